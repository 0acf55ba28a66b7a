"""The command that runs a workspace to rehearse in: sandbox.

Thin over the library: flags in, the library called, results printed and written. Heavy imports are inside the
commands, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.flags import (
    Config,
    GroupedCommand,
    Quiet,
)

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=GroupedCommand)
def sandbox(
    *,
    port: Annotated[int, typer.Option(help="of 127.0.0.1; 0 for a free one")] = 8123,
    state: Annotated[
        Path | None,
        typer.Option(
            help="keep the workspace in this file, from one run to the next",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="ask for this bearer token [any]",
            envvar="PTPLAN_SANDBOX_TOKEN",
            show_default=False,
            show_envvar=False,
        ),
    ] = None,
    permission: Annotated[
        str,
        typer.Option(
            help="of whoever asks; below CAN_MANAGE, changes are refused",
            metavar="CAN_MANAGE|CAN_QUERY|CAN_VIEW",
        ),
    ] = "CAN_MANAGE",
    sell: Annotated[
        list[str] | None,
        typer.Option(
            help="sell this model too: tokens/s of a chunk (980), step of units (50units), or none; repeatable",
            metavar="NAME[:VERSION]=SIZE",
            show_default=False,
        ),
    ] = None,
    create_time: Annotated[
        str, typer.Option(help="until a create has ended", metavar="DURATION")
    ] = "20s",
    update_time: Annotated[
        str, typer.Option(help="until an update has ended", metavar="DURATION")
    ] = "10s",
    capacity_time: Annotated[
        str, typer.Option(help="until one without capacity has failed", metavar="DURATION")
    ] = "30s",
    ending: Annotated[
        str,
        typer.Option(help="what creates and updates come to", metavar="succeed|capacity|hang"),
    ] = "succeed",
    requests_per_s: Annotated[
        float | None,
        typer.Option(help="refuse more with 429 and Retry-After", metavar="X", show_default=False),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="go wrong, as in 'drop:after PUT /config times=1'; repeatable; see docs/sandbox.md",
            metavar="FAULT",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Run a local workspace that speaks the serving-endpoints API, to rehearse in."""
    from planner.endpoint.sandbox.command import serve
    from planner.quantities import parse_duration
    from planner.terminal import screen

    serve(
        port=port,
        state=state,
        token=token,
        permission=permission,
        models=sell or [],
        create_s=parse_duration(create_time, name="--create-time"),
        update_s=parse_duration(update_time, name="--update-time"),
        capacity_s=parse_duration(capacity_time, name="--capacity-time"),
        ending=ending,
        requests_per_s=requests_per_s,
        faults=fault or [],
        tell=lambda line: screen.show_text(f"{line}\n"),
        quiet=quiet,
    )
