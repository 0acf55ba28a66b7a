"""Each heavy dependency, each effect and each source of chance comes in by one door."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("planner", "reports", "simulations")

CLI = ("planner/cli.py", "planner/flags.py", "planner/terminal/*")
WORLD = ("planner/app/*", "planner/endpoint/*", "planner/listening.py")
CHANCE = ("planner/*", "simulations/fit/*", "simulations/traffic/*")

# What a module may use only if its path matches one of the patterns; * matches slashes too.
DOORS = {
    "databricks": ("planner/endpoint/client.py",),
    "duckdb": ("simulations/ingest/*",),
    "fastapi": ("planner/app/*", "planner/endpoint/sandbox*"),
    "filelock": ("planner/endpoint/receipts.py",),
    "matplotlib": ("reports/figures/*",),
    "numba": ("simulations/kernel.py", "simulations/tally.py"),
    "pydantic": ("planner/endpoint/sandbox*",),
    "simpy": ("simulations/reference.py",),
    "sqlite3": ("planner/endpoint/sandbox/store.py",),
    "statsforecast": ("simulations/traffic/forecast.py",),
    "starlette": ("planner/app/*",),
    "uvicorn": ("planner/endpoint/sandbox*", "planner/listening.py"),
    # printing
    "print()": CLI,
    "rich": CLI,
    "typer": (*CLI, "planner/app/command.py", "planner/commands/*"),
    # the network
    "http": WORLD,
    "httpx": WORLD,
    "requests": WORLD,
    "socket": WORLD,
    "urllib": WORLD,
    "urllib3": WORLD,
    # the clock and chance
    "np.random": CHANCE,
    "random": CHANCE,
    "secrets": CHANCE,
    "time": ("planner/*",),
}


def uses(source: str) -> Iterator[str]:
    """Yield what a module imports, by top-level name, and what it uses without an import."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module="numpy.random"):
                yield "np.random"
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(func=ast.Name(id="print")):
                yield "print()"
            case ast.Attribute(value=ast.Name(id="np"), attr="random"):
                yield "np.random"


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """What each module of the three packages uses, by its path."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {
        path.relative_to(ROOT).as_posix(): set(uses(path.read_text(encoding="utf-8")))
        for path in paths
    }


@pytest.mark.parametrize("name", DOORS)
def test_only_its_door_uses(name: str, used: dict[str, set[str]]) -> None:
    trespassers = [
        path
        for path, names in used.items()
        if name in names and not any(fnmatch(path, door) for door in DOORS[name])
    ]
    assert trespassers == []


def test_what_is_imported_is_declared(used: dict[str, set[str]]) -> None:
    """A dependency of a dependency may be gone after its next release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    declared = {
        canonicalize_name(Requirement(text).name) for text in [*project["dependencies"], *extras]
    }
    ours = {*PACKAGES, "np.random", "print()"}
    foreign = set().union(*used.values()) - sys.stdlib_module_names - ours
    providers = packages_distributions()
    undeclared = {
        name
        for name in foreign
        if declared.isdisjoint(map(canonicalize_name, providers.get(name, [name])))
    }
    assert undeclared == set()


def test_every_form_of_use_is_seen() -> None:
    source = "import a.b, c as d\nfrom e.f import g\nfrom . import h\nprint(np.random.rand())"
    assert sorted(uses(source)) == ["a", "c", "e", "np.random", "print()"]
