"""`ptplan app`: flags in, a server out. Heavy imports are inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.commands.acting import WorkspaceFlags
from planner.flags import Config, GroupedCommand, takes

commands = typer.Typer(rich_markup_mode=None)


@commands.command(cls=GroupedCommand)
@takes(WorkspaceFlags)
def app(
    *,
    port: Annotated[
        int | None, typer.Option(help="0 for a free one [8321]", show_default=False)
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            help="another address than 127.0.0.1, which others can then reach",
            metavar="ADDRESS",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for plans and receipts")] = Path("ptplan-app"),
    config: Config = None,
    workspace: WorkspaceFlags,
) -> None:
    """Run the app in a browser: from a trace to an endpoint that is changed as the page says."""
    from planner.app.serving import serve
    from planner.terminal import screen

    serve(
        port=port,
        listen=listen,
        folder=out,
        host=workspace.host,
        profile=workspace.profile,
        tell=lambda line: screen.show_text(f"{line}\n"),
    )
