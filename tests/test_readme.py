"""What the README and the examples show is what the commands and programs print.

After a change of what is printed, `python tests/test_readme.py` writes all of it anew; read the diff.
"""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path

import pytest

from planner.cli import app
from simulations.scenario import Autoscaler, Service

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))

VARIATIONS = ("meta_llama_v3_1_8b_instruct:4", "llama_v3_3_70b_instruct:1")
"""Recommendations of the README beside the worked example; like the examples in LONG, they are for `make slow`."""

LONG = ("01_recommend.py", "03_start_delay.py", "05_apply.py")

CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?P<command>(?:.*\\\n)*.*)\n(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)
FIGURE = re.compile(r"USD [\d,]*\d|\d+\.\d %|[\d,]*\d tokens/s")
PYTHON = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def printed(command: str, folder: Path) -> str:
    """Return what a command prints in a folder, errors included."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=clean | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def run_again(text: str, folder: Path, *, leave_out: Collection[str] = ()) -> str:
    """Return a text with what its commands print today, one after the other as a reader would.

    Args:
        leave_out: commands in which one of these stands keep what they show.
    """

    def again(found: re.Match[str]) -> str:
        if any(word in found["command"] for word in leave_out):
            return found[0]
        return f"$ {found['command']}\n{printed(found['command'], folder)}"

    return CONSOLE.sub(lambda block: COMMAND.sub(again, block[0]), text)


def output_of(example: Path) -> Path:
    return example.with_suffix(".out")


@pytest.fixture
def folder(tmp_path):
    """A folder with nothing in it but the examples."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@pytest.mark.parametrize("leave_out", [VARIATIONS, pytest.param((), marks=pytest.mark.slow)])
def test_commands_print_what_the_readme_shows(leave_out, folder):
    text = README.read_text(encoding="utf-8")
    assert all(word in text for word in leave_out)
    assert run_again(text, folder, leave_out=leave_out) == text


def test_figures_in_the_prose_are_printed_by_its_commands():
    text = README.read_text(encoding="utf-8").partition("\n## In a notebook\n")[0]
    shown = " ".join(CONSOLE.findall(text))
    prose = " ".join(CONSOLE.sub("", text).split())
    rule = "2304 tokens/s"  # the documentation's
    assert set(FIGURE.findall(prose)) - set(FIGURE.findall(shown)) == {rule}


@pytest.mark.parametrize(
    "example",
    [pytest.param(path, marks=pytest.mark.slow if path.name in LONG else ()) for path in EXAMPLES],
    ids=lambda path: path.name,
)
def test_example_prints_its_out(example, folder):
    output = printed(f"python examples/{example.name}", folder)
    assert output == output_of(example).read_text(encoding="utf-8")


def test_python_of_the_readme_is_an_example_with_its_output():
    (shown,) = PYTHON.findall(README.read_text(encoding="utf-8"))
    first = EXAMPLES[0].read_text(encoding="utf-8")
    assert first.endswith(shown[0])
    assert shown[1] == output_of(EXAMPLES[0]).read_text(encoding="utf-8")


def test_readme_names_every_command():
    text = README.read_text(encoding="utf-8")
    names = [command.callback.__name__ for command in app.registered_commands if command.callback]
    assert [name for name in names if f"`ptplan {name}" not in text] == []


@pytest.mark.parametrize("described", [Service, Autoscaler])
def test_every_key_of_a_file_is_documented(described):
    text = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    assert [f.name for f in fields(described) if f"| `{f.name}` |" not in text] == []


def write_anew() -> None:
    """Write what the commands and programs print into the README and beside the examples."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "examples").symlink_to(ROOT / "examples")
        for example in EXAMPLES:
            output = printed(f"python examples/{example.name}", folder)
            output_of(example).write_text(output, encoding="utf-8")
        text = run_again(README.read_text(encoding="utf-8"), folder)
    program = EXAMPLES[0].read_text(encoding="utf-8").partition('"""\n\n')[2]
    output = output_of(EXAMPLES[0]).read_text(encoding="utf-8")
    shown = f"```python\n{program}```\n\n```text\n{output}```"
    README.write_text(PYTHON.sub(lambda _: shown, text), encoding="utf-8")


if __name__ == "__main__":
    write_anew()
