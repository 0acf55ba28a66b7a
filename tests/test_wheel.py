"""The wheel is built, installed far from the checkout, and tested there.

The environment made here holds the wheel and borrows everything else from the one that runs
the tests, through a .pth file. Folders added like that have their own .pth files ignored, so
the editable install is out of reach: what the wheel lacks cannot be found.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("planner", "reports", "simulations")

AGAINST_THE_WHEEL = ("test_catalogue.py", "test_cost.py", "test_laws.py", "test_request.py")
"""Tests that need nothing of the checkout and are quick; every docstring example runs too."""

pytestmark = pytest.mark.skipif(
    not (ROOT / "README.md").exists(), reason="without README.md there is nothing to build"
)


def run(*command: object, cwd: Path) -> str:
    """Return what a command printed; fail with it if the command did."""
    parts = [str(part) for part in command]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))}
    out = subprocess.PIPE
    done = subprocess.run(
        parts, cwd=cwd, env=clean, stdout=out, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        pytest.fail(
            f"{shlex.join(parts)} ended with {done.returncode}:\n{done.stdout}", pytrace=False
        )
    return done.stdout


def build(out: Path, *kinds: str) -> Path:
    """Return the wheel built into a folder, without fetching a build backend."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *kinds, ROOT, cwd=out)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"), "--wheel")


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that the wheel is installed in."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps")
    run(sys.executable, *install, wheel, cwd=home)
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
    return home


@pytest.mark.slow
def test_wheel_passes_the_tests_from_outside(home: Path, tmp_path: Path) -> None:
    tests = [path for name in AGAINST_THE_WHEEL if (path := ROOT / "tests" / name).exists()]
    python = home / "bin" / "python"
    pytest_options = ("-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider", "-q")
    run(python, "-m", "pytest", *pytest_options, "--pyargs", *PACKAGES, *tests, cwd=tmp_path)


def test_packages_come_from_the_wheel(home: Path, tmp_path: Path) -> None:
    code = f"import {', '.join(PACKAGES)} as last; print({', '.join(PACKAGES[:-1])}, last)"
    printed = run(home / "bin" / "python", "-c", code, cwd=tmp_path)
    assert printed.count(str(home)) == len(PACKAGES)
    assert str(ROOT) not in printed


@pytest.mark.skipif(not (ROOT / "planner/cli.py").exists(), reason="there is no command yet")
def test_version_prints_where_it_was_loaded_from(home: Path, tmp_path: Path) -> None:
    assert str(home) in run(home / "bin" / "ptplan", "--version", cwd=tmp_path)


def test_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    by_way_of_source = build(tmp_path)
    with zipfile.ZipFile(wheel) as direct, zipfile.ZipFile(by_way_of_source) as detour:
        assert detour.namelist() == direct.namelist()
