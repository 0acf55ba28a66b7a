"""The commands on traces: describe, convert, generate.

Thin over the library: flags in, the library called, results printed and written. Heavy imports are inside the
commands, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.commands.inputs import (
    Workload,
    read_trace,
    wants_json,
)
from planner.flags import (
    Config,
    Form,
    GroupedCommand,
    Json,
    Quiet,
    TrafficFlags,
    takes,
)
from simulations.errors import InputError

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=GroupedCommand)
@takes(TrafficFlags)
def describe(
    workload: Workload,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="write the same as a page", metavar="FILE.html", show_default=False),
    ] = None,
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    traffic: TrafficFlags,
) -> None:
    """Say what a trace holds: rates, peaks, lengths, and what was dropped."""
    from planner import artifacts
    from planner.description import describe as describe_trace
    from planner.terminal import screen
    from planner.terminal.description import show_description

    as_json = wants_json(json, output)
    if out is not None:
        artifacts.require_writable(out.parent)
    with screen.progress(quiet=quiet or as_json) as tell:
        reading = read_trace(workload, traffic, tell)
        tell("counting")
        data = describe_trace(reading)
    if out is not None:
        from reports.trace_page import render_trace_page

        artifacts.write(out, render_trace_page(data))
    if as_json:
        screen.show_text(artifacts.to_json(data))
        return
    show_description(data)
    if out is not None:
        screen.show_lines([f"written: {out}"])


@app.command(cls=GroupedCommand)
@takes(TrafficFlags)
def convert(
    workload: Workload,
    *,
    to: Annotated[
        str,
        typer.Option(
            help="the format to write",
            metavar="mooncake|azure|burstgpt|vidur|parquet",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="the file to write; .gz is gzipped", metavar="FILE", show_default=False),
    ],
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    traffic: TrafficFlags,
) -> None:
    """Write a trace in another format, and say what is lost."""
    from planner import artifacts, conversion
    from planner.terminal import screen

    as_json = wants_json(json, output)
    conversion.require_format(to)
    artifacts.require_writable(out.parent)
    with screen.progress(quiet=quiet or as_json) as tell:
        reading = read_trace(workload, traffic, tell)
        tell(f"writing {out}")
        data = conversion.convert(reading, out, to=to)
    if as_json:
        screen.show_text(artifacts.to_json(data))
        return
    screen.show_lines(conversion.sentences(data))
    screen.show_lines(data["warnings"], mark="!")


@app.command(cls=GroupedCommand)
@takes(TrafficFlags)
def generate(
    description: Annotated[
        Path | None,
        typer.Argument(help="what traffic to make", metavar="FILE.toml", show_default=False),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="the trace to write: .csv, .csv.gz or .parquet; with --fit the description: .toml",
            show_default=False,
        ),
    ],
    fit: Annotated[
        Path | None,
        typer.Option(
            help="write a description of this trace, and show how near it comes",
            metavar="TRACE",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="instead of the description's", show_default=False)
    ] = None,
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    traffic: TrafficFlags,
) -> None:
    """Make traffic from a description, or a description from traffic."""
    from planner import artifacts

    as_json = wants_json(json, output)
    if (description is None) == (fit is None):
        raise InputError(
            "give FILE.toml to make traffic from it, or --fit TRACE to describe a trace"
            + (", not both" if fit else "")
        )
    if seed is not None and seed < 0:
        raise InputError(f"--seed is {seed}; must be >= 0")
    artifacts.require_writable(out.parent)
    if fit is None:
        assert description is not None
        _make_traffic(description, out, seed, as_json=as_json, quiet=quiet)
    else:
        _fit_traffic(fit, out, seed or 0, traffic, as_json=as_json, quiet=quiet)


def _make_traffic(path: Path, out: Path, seed: int | None, *, as_json: bool, quiet: bool) -> None:
    """Write the traffic that a file describes."""
    from dataclasses import replace

    from planner import artifacts
    from planner.terminal import screen
    from simulations.ingest import write_trace
    from simulations.traffic import generate as generate_traffic
    from simulations.traffic import load_description

    described = load_description(path)
    if seed is not None:
        described = replace(described, seed=seed)
    trace = generate_traffic(described)
    write_trace(trace, out)
    if as_json:
        facts = {
            "written": str(out),
            "sha256": trace.sha256,
            "requests": len(trace),
            "span_s": trace.span_s,
            "input_tokens": int(trace.input_tokens.sum(dtype="int64")),
            "output_tokens": int(trace.output_tokens.sum(dtype="int64")),
            "seed": described.seed,
        }
        screen.show_text(artifacts.to_json(facts))
    elif not quiet:
        screen.show_lines([f"written: {out}, {trace!r}"])


def _fit_traffic(
    path: Path, out: Path, seed: int, flags: TrafficFlags, *, as_json: bool, quiet: bool
) -> None:
    """Write a description of a trace."""
    from planner import artifacts
    from planner.fitting import fitted
    from planner.terminal import screen
    from planner.terminal.fit import show_fit
    from simulations.traffic import is_description

    if not is_description(out):
        raise InputError(f"{out}: a description is written to a file that ends in .toml")
    with screen.progress(quiet=quiet or as_json) as tell:
        reading = read_trace(path, flags, tell)
        tell("fitting")
        made = fitted(reading, seed=seed)
    artifacts.write(out, made.text)
    if as_json:
        screen.show_text(artifacts.to_json({"written": str(out), **made.data}))
    elif not quiet:
        show_fit(made.data, str(out))
