# A checkout sets itself up: the first target called installs what requirements.lock pins into
# .venv, later ones only when the lock or pyproject.toml changed.
# Needed beforehand: make, and Python 3.11 or later with pip and venv.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2

BIN := $(VENV)/bin
READY := $(VENV)/.ready

DEMO := recommend examples/office-day.csv.gz --model system.ai.meta_llama_v3_1_8b_instruct:3 --endpoint chat --out out/demo

.PHONY: help demo test slow check format bench validate lock lowest clean
.DELETE_ON_ERROR:

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## recommend a range for the example trace
	$(BIN)/ptplan $(DEMO)

test: check ## the checks, every test that is not slow, every docstring example
	$(BIN)/pytest -n $(JOBS) --dist worksteal

slow: $(READY) ## the tests that take minutes
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m slow

check: $(READY) ## format, lint, types, layers, spelling
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell -D - -D docs/spelling.txt

format: $(READY) ## let ruff write what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## timings on this machine, asserting nothing
	$(BIN)/python -m benchmarks

validate: $(READY) ## long experiments behind the numbers in docs
	$(BIN)/python -m benchmarks.validate
	$(BIN)/python -m benchmarks.validate_calibration

lock: $(READY) ## pin anew what pyproject.toml asks for
	$(BIN)/uv pip compile pyproject.toml --group test --group check --group lock --upgrade \
	  --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --annotation-style split --custom-compile-command "make lock" \
	  --quiet --output-file requirements.lock

lowest: $(READY) ## the tests on the oldest versions that pyproject.toml admits
	$(BIN)/python -m venv --clear $(VENV)/lowest
	$(BIN)/uv pip install --quiet --python $(VENV)/lowest --resolution lowest-direct --group test \
	  --editable .
	$(VENV)/lowest/bin/pytest -n $(JOBS) --dist worksteal

clean: ## remove what make made
	rm -rf $(VENV) dist out/demo .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or later is needed: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo 'No virtual environment could be made; on Debian: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Installing into $(VENV); this takes a minute or two, once.'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
