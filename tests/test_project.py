"""The repository keeps its own promises: pins, packages, names and what its text may say."""

from __future__ import annotations

import ast
import importlib
import os
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = ("planner", "reports", "simulations")

NOT_OURS = {"__pycache__", "build", "dist", "out"}
"""Folders that tools write, in addition to hidden ones and virtual environments."""

FORBIDDEN_NAMES = {"base.py", "common.py", "core.py", "helpers.py", "utils.py"}
"""Names that say nothing of what lives in a file."""

MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:home|root|tmp|work|Users)/")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.org|deb\.debian\.org|conda\.anaconda\.org)\b"
)


def repository_files() -> Iterator[Path]:
    """Yield the files that are committed, or soon will be; git need not be there."""
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [
            name
            for name in subfolders
            if (name == ".ci" or not name.startswith("."))
            and name not in NOT_OURS
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(folder, name) for name in names if name != ".git")


FILES = sorted(repository_files())
INITS = [
    path
    for path in FILES
    if path.name == "__init__.py" and path.relative_to(ROOT).parts[0] in PACKAGES
]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_that_match(pattern: re.Pattern[str]) -> list[str]:
    """Return path, number and text of each line of the repository in which a pattern is found."""
    found = []
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture or a compressed trace
            continue
        found += [
            f"{relative(path)}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), start=1)
            if pattern.search(line)
        ]
    return found


# --- pyproject.toml and requirements.lock ---------------------------------------------------


def declared() -> list[Requirement]:
    """Return what pyproject.toml asks for, groups included."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = content["dependency-groups"].values()
    return [Requirement(text) for text in sum(groups, content["project"]["dependencies"])]


def pins() -> list[tuple[Requirement, list[str]]]:
    """Return each pin of the lock with the lines below it: its hashes, and who asked for it."""
    found: list[tuple[Requirement, list[str]]] = []
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        line = line.removesuffix("\\").strip()
        if line[0].isalnum():
            found.append((Requirement(line), []))
        elif found:
            found[-1][1].append(line)
    return found


def test_lock_pins_what_pyproject_declares() -> None:
    """No more, no less, and within its bounds; what those need in turn is the resolver's affair."""
    asked_for_by_us = [pin for pin, below in pins() if any("(pyproject.toml" in s for s in below)]
    wanted = {requirement.name: requirement.specifier for requirement in declared()}
    assert {pin.name for pin in asked_for_by_us} == wanted.keys(), "run make lock"
    for pin in asked_for_by_us:
        (version,) = pin.specifier
        assert version.version in wanted[pin.name], "run make lock"


def test_lock_pins_by_version_and_hash_alone() -> None:
    """No address: an index is the choice of whoever installs."""
    for pin, below in pins():
        assert [specifier.operator for specifier in pin.specifier] == ["=="]
        assert any(line.startswith("--hash=sha256:") for line in below), pin
        assert all(line.startswith(("--hash=sha256:", "#")) for line in below), pin
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text


# --- packages -------------------------------------------------------------------------------


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", INITS, ids=relative)
def test_init_only_reexports(path: Path) -> None:
    """Imports of ours and `__all__`; where imports must be late, what PEP 562 needs for them."""
    for node in parsed(path).body:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.ImportFrom(module=str(module)):
                assert module.partition(".")[0] in {*PACKAGES, "__future__", "typing"}
            case ast.Import(names=[ast.alias(name="importlib")]):
                pass
            case ast.Assign(targets=[ast.Name(id="__all__" | "_HOMES")]):
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.FunctionDef(name="__getattr__" | "__dir__"):
                pass
            case _:
                pytest.fail(f"line {node.lineno} does more than re-export")


@pytest.mark.parametrize("path", INITS, ids=relative)
def test_all_is_complete(path: Path) -> None:
    """Every name of ours that is imported is listed, once, and can be had; ruff sorts the list."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.module not in {"__future__", "typing"}
        for alias in node.names
    }
    module = importlib.import_module(relative(path.parent).replace("/", "."))
    listed = getattr(module, "__all__", [])
    assert len(listed) == len(set(listed))
    assert imported <= set(listed)
    assert [name for name in listed if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_lives_in_it(package: str) -> None:
    modules = {path: parsed(path) for path in sorted((ROOT / package).rglob("*.py"))}
    silent = [
        path for path, module in modules.items() if module.body and not ast.get_docstring(module)
    ]
    assert [relative(path) for path in silent] == []


# --- names and text -------------------------------------------------------------------------


def test_no_file_name_says_nothing() -> None:
    assert [relative(path) for path in FILES if path.name in FORBIDDEN_NAMES] == []


def comments(path: Path) -> Iterator[str]:
    """Yield the comments of a module, each with where it stands."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield f"{relative(path)}:{token.start[0]}: {token.string}"


def test_every_todo_names_its_issue() -> None:
    nameless = re.compile(r"\b(?:FIXME|TODO|XXX)\b(?!.*#\d)")
    modules = [path for path in FILES if path.suffix == ".py"]
    assert [c for path in modules for c in comments(path) if nameless.search(c)] == []


def test_text_names_no_place_of_any_machine() -> None:
    assert lines_that_match(MACHINE_PATH) == []


def test_text_names_no_package_registry() -> None:
    assert lines_that_match(REGISTRY_HOST) == []
