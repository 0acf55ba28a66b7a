"""The command line: every command, the exit codes, and errors in one line.

The commands themselves are in `planner.commands`.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from planner import __file__ as _package_file
from planner.app import command as app_command
from planner.commands import acting, judging, measuring, rehearsing, reporting, traces
from planner.configuration import configured
from planner.line import one_line
from planner.version import version
from simulations.errors import PtplanError

STOPPED = 130
"""The exit code of a command that was interrupted, as shells have it."""

app = typer.Typer(
    name="ptplan",
    help="Choose the provisioned throughput of an LLM endpoint: simulate it, explain it, apply it.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for family in (judging, reporting, traces, measuring, acting, rehearsing):
    app.registered_commands += family.app.registered_commands
app.registered_commands += app_command.commands.registered_commands


def main() -> None:
    """Run a command and leave with its exit code; every error is one line."""
    # Closed by whoever called: what is printed goes nowhere.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be text, and a terminal need not know every character.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _leave(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Return the exit code of a command line: 0 done, 1 error or wrong usage, 3 no range, 4 refused."""
    usage_error: Any = typer.BadParameter.__mro__[2]  # typer does not export the base of its errors
    try:
        command: Any = typer.main.get_command(app)
        code = command.main(
            arguments,
            prog_name="ptplan",
            standalone_mode=False,
            default_map=_in_lists(command, configured(arguments, lambda: _flags_of(command))),
            obj={"arguments": arguments},
        )
    except usage_error as error:
        # The error knows its command only sometimes.
        named = next((f" {name}" for name in arguments[:1] if name in command.commands), "")
        complain(f"{error.format_message().rstrip('.')}; see ptplan{named} --help")
        return 1
    except PtplanError as error:
        complain(str(error))
        return error.exit_code
    except MemoryError:
        complain("out of memory; take a shorter trace")
        return 1
    except OSError as error:
        if error.filename is not None:
            raise
        return _unprinted(error)
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    if code == STOPPED:
        complain("stopped")
    return code if isinstance(code, int) else 0


def _leave(code: int) -> NoReturn:
    """End the process without freeing every object first, which takes most of a second after a search.

    As `multiprocessing` ends its own: what is registered for the end is done, and what is printed is out.
    """
    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or _unprinted(error)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def _unprinted(error: OSError) -> int:
    """Return the exit code where stdout took nothing more; who left before the end wanted no more."""
    if isinstance(error, BrokenPipeError):
        return 0
    complain(f"stdout cannot be written to ({error.strerror or error}); print to somewhere else")
    return 1


def complain(text: str) -> None:
    """Print an error in one line on stderr."""
    with suppress(OSError):
        sys.stderr.write(f"ptplan: {one_line(text)}\n")


def _flags_of(command: Any) -> dict[str, set[str]]:
    """Return the flags that may stand in a config file, by command, with underscores."""
    return {
        name: {flag.name for flag in one.params if flag.param_type_name == "option"}
        # What overrides a safety rule is said each time.
        - {"config", "force"}
        for name, one in command.commands.items()
    }


def _in_lists(command: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return defaults of a config file in which the value of a flag that may be repeated is a list of one."""
    repeated = {
        (name, one.name)
        for name, sub in (command.commands.items() if defaults else ())
        for one in sub.params
        if getattr(one, "multiple", False)
    }
    return {
        name: {
            flag: [str(value)] if (name, flag) in repeated else value
            for flag, value in flags.items()
        }
        for name, flags in defaults.items()
    }


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ptplan {version()} from {Path(_package_file).parent}")
        raise typer.Exit


@app.callback()
def _global(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="print version and where it is loaded from",
            callback=_show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    pass


if __name__ == "__main__":
    main()
