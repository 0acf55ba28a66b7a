"""The command that fits a service to measurements: calibrate.

Thin over the library: flags in, the library called, results printed and written. Heavy imports are inside the
commands, so that `--help` answers at once.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from planner.commands.inputs import (
    tell_compiling,
    wants_json,
)
from planner.flags import (
    CalibrationFlags,
    Config,
    Form,
    GroupedCommand,
    Json,
    Quiet,
    takes,
)
from planner.version import version
from simulations.errors import InputError

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=GroupedCommand)
@takes(CalibrationFlags)
def calibrate(
    context: typer.Context,
    measurements: Annotated[
        list[Path] | None,
        typer.Argument(help="files of measurements", metavar="MEASUREMENTS...", show_default=False),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="the .toml to write", metavar="FILE.toml", show_default=False),
    ] = None,
    list_services: Annotated[
        bool, typer.Option("--list", help="list the services that are known, and nothing else")
    ] = False,
    autoscaler: Annotated[
        Path | None,
        typer.Option(
            help="fit an autoscaler to a history instead", metavar="HISTORY", show_default=False
        ),
    ] = None,
    measure_with: Annotated[
        str | None,
        typer.Option(
            help="print the command that measures an endpoint with the trace MEASUREMENTS",
            metavar="aiperf|guidellm|vllm",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    calibration: CalibrationFlags,
) -> None:
    """Fit a service to measurements, and say how far to trust it."""
    from datetime import UTC, datetime

    from planner import artifacts, calibrating
    from planner.terminal import screen

    as_json = wants_json(json, output)
    source = context.get_parameter_source("autoscaler")
    if source is not None and source.name == "DEFAULT_MAP":
        autoscaler = None  # in a config file it is the autoscaler of the other commands
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    command = shlex.join(["ptplan", *context.obj["arguments"]])
    files = measurements or []
    if list_services:
        known = calibrating.catalogue()
        if as_json:
            screen.show_text(artifacts.to_json(known))
        else:
            screen.show_text(calibrating.catalogue_text(known))
        return
    if autoscaler is None and not files:
        raise InputError("MEASUREMENTS are missing; see ptplan calibrate --help")
    if out is None:
        raise InputError("--out is missing; see ptplan calibrate --help")
    artifacts.require_writable(out.parent)
    with screen.progress(quiet=quiet or as_json) as tell:
        if autoscaler is not None:
            tell(f"reading {autoscaler}")
            made = calibrating.autoscaler_of(autoscaler, date=created_at[:10])
        elif measure_with is not None:
            made = calibrating.measuring_command(files, measure_with, out=out)
        else:
            tell_compiling(tell)
            tell(f"fitting {', '.join(map(str, files))}")
            made = calibrating.service_of(
                files,
                calibration,
                name=out.stem,
                created_at=created_at,
                version=version(),
                command=command,
            )
    artifacts.write(out, made.text)
    if as_json:
        screen.show_text(artifacts.to_json(made.data))
        return
    screen.show_text(made.page)
    screen.show_lines(made.warnings, mark="!")
    screen.show_lines([f"written: {out}"])
