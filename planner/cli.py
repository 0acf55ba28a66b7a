"""The commands: flags in, the library called, results printed and written. Thin over `planner`.

Heavy imports are inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import shlex
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from planner import __file__ as _package_file
from planner.configuration import CONFIG_NAME, configured
from planner.flags import (
    BehaviourFlags,
    CalibrationFlags,
    GroupedCommand,
    ModelFlags,
    PromiseFlags,
    TrafficFlags,
    takes,
)
from planner.line import one_line
from simulations.errors import InputError, PtplanError

OUTPUT = "Output"
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

Workload = Annotated[
    Path, typer.Argument(help="a file of traffic", metavar="WORKLOAD", show_default=False)
]
Json = Annotated[
    bool, typer.Option("--json", help="machine-readable on stdout", rich_help_panel=OUTPUT)
]
Form = Annotated[
    str,
    typer.Option(
        "--output", "-o", help="text or json", rich_help_panel=OUTPUT, metavar="text|json"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress", rich_help_panel=OUTPUT)]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help=f"defaults for flags [{CONFIG_NAME} if it is there]",
        metavar="FILE",
        show_default=False,
    ),
]


def main() -> None:
    """Run a command and leave with its exit code; every error is one line."""
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be text, and a terminal need not know every character.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Return the exit code of a command line: 0 done, 1 error or wrong usage, 3 no range, 4 refused."""
    usage_error: Any = typer.BadParameter.__mro__[2]  # typer does not export the base of its errors
    try:
        command: Any = typer.main.get_command(app)
        code = command.main(
            arguments,
            prog_name="ptplan",
            standalone_mode=False,
            default_map=configured(arguments, lambda: _flags_of(command)),
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
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    if code == STOPPED:
        complain("stopped")
    return code if isinstance(code, int) else 0


def complain(text: str) -> None:
    """Print an error in one line on stderr."""
    sys.stderr.write(f"ptplan: {one_line(text)}\n")


def _flags_of(command: Any) -> dict[str, set[str]]:
    """Return the flags that may stand in a config file, by command, with underscores."""
    return {
        name: {flag.name for flag in one.params if flag.param_type_name == "option"} - {"config"}
        for name, one in command.commands.items()
    }


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ptplan {version()} from {Path(_package_file).parent}")
        raise typer.Exit


def version() -> str:
    """Return the version of the distribution."""
    from importlib import metadata

    return metadata.version("ptplan")


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


@app.command(cls=GroupedCommand)
@takes(TrafficFlags, ModelFlags, PromiseFlags, BehaviourFlags)
def recommend(
    context: typer.Context,
    workload: Workload,
    *,
    endpoint: Annotated[
        str | None, typer.Option(help="name of the endpoint, for the request", show_default=False)
    ] = None,
    out: Annotated[
        Path, typer.Option(help="folder for recommendation.json and report.html")
    ] = Path("ptplan-out"),
    futures: Annotated[int, typer.Option(help="futures to judge on; only 1 yet")] = 1,
    allow_zero: Annotated[
        bool, typer.Option("--allow-zero", help="consider scaling to zero")
    ] = False,
    current_min_chunks: Annotated[
        int | None, typer.Option(help="of what runs now", show_default=False)
    ] = None,
    current_max_chunks: Annotated[
        int | None, typer.Option(help="of what runs now", show_default=False)
    ] = None,
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    traffic: TrafficFlags,
    model: ModelFlags,
    promise: PromiseFlags,
    behaviour: BehaviourFlags,
) -> None:
    """Recommend the cheapest range that keeps the promise."""
    from datetime import UTC, datetime

    from planner import artifacts, question, terminal
    from planner.recommendation import recommend as recommend_range
    from planner.rendering import report_of

    as_json = _wants_json(json, output)
    artifacts.require_writable(out)
    current = _both(
        current_min_chunks, current_max_chunks, "--current-min-chunks", "--current-max-chunks"
    )
    offer = question.offer_of(model)
    objective = question.objective_of(promise)
    with terminal.progress(quiet=quiet or as_json) as tell:
        tell(f"reading {workload}")
        reading = _read(workload, traffic)
        _tell_compiling(tell)
        made = recommend_range(
            reading.trace,
            offer,
            objective,
            **question.behaviour_of(behaviour),
            endpoint=endpoint,
            current=current,
            start_chunks=behaviour.start_chunks,
            allow_zero=allow_zero,
            futures=futures,
            seed=behaviour.seed or 0,
            progress=lambda tried, n: tell(f"trying {tried} ({n} ranges tried)"),
        )
        data = artifacts.artifact(
            made,
            artifacts.Workload(
                str(workload),
                reading.sha256,
                reading.format,
                reading.dropped,
                (*reading.notes, *question.range_warnings(model, offer, reading.trace)),
            ),
            command=shlex.join(["ptplan", *context.obj["arguments"]]),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            version=version(),
        )
        report = report_of(data)
        tell("drawing the report")
        from reports.html import render_html

        page = render_html(report)
    text = artifacts.to_json(data)
    artifacts.write_together({out / "recommendation.json": text, out / "report.html": page})
    if as_json:
        terminal.show_text(text)
    else:
        terminal.show_report(report)
        terminal.show_lines([f"written: {out / 'recommendation.json'}, {out / 'report.html'}"])
    if not made.feasible:
        raise typer.Exit(3)


@app.command(cls=GroupedCommand)
@takes(TrafficFlags, ModelFlags, PromiseFlags, BehaviourFlags)
def simulate(
    workload: Workload,
    *,
    min_chunks: Annotated[int | None, typer.Option(help="of the range", show_default=False)] = None,
    max_chunks: Annotated[int | None, typer.Option(help="of the range", show_default=False)] = None,
    units: Annotated[
        int | None, typer.Option(help="model units, instead of a range", show_default=False)
    ] = None,
    engine: Annotated[
        str, typer.Option(help="kernel or reference", metavar="kernel|reference")
    ] = "kernel",
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    traffic: TrafficFlags,
    model: ModelFlags,
    promise: PromiseFlags,
    behaviour: BehaviourFlags,
) -> None:
    """Simulate one range once."""
    from dataclasses import asdict

    from planner import artifacts, question, terminal
    from simulations.engine import simulate as simulate_endpoint
    from simulations.outcome import summarise
    from simulations.scenario import Scenario

    as_json = _wants_json(json, output)
    offer = question.offer_of(model)
    objective = question.objective_of(promise)
    capacity = _capacity(offer, min_chunks, max_chunks, units)
    with terminal.progress(quiet=quiet or as_json) as tell:
        tell(f"reading {workload}")
        reading = _read(workload, traffic)
        _tell_compiling(tell)
        scenario = Scenario(
            offer.service,
            capacity,
            **question.behaviour_of(behaviour),
            start_chunks=behaviour.start_chunks,
            shape=offer.shape,
            seed=behaviour.seed or 0,
        )
        tell(f"simulating {capacity}")
        run = simulate_endpoint(reading.trace, scenario, engine=engine)  # type: ignore[arg-type]
        outcome = summarise(run, objective.limits, price=offer.price)
    figures, conservation = outcome.figures(), asdict(run.conservation())
    if as_json:
        terminal.show_text(artifacts.to_json({"outcome": figures, "conservation": conservation}))
        return
    terminal.show_outcome(f"{workload}: {capacity}", figures, conservation)
    verdict = objective.judge(outcome)
    kept = "kept" if verdict.holds else "missed"
    terminal.show_lines([f"the promise is {kept}: {objective.definition}"])
    beyond = question.range_warnings(model, offer, reading.trace)
    terminal.show_lines([*reading.notes, *beyond, *offer.warnings], mark="!")


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
    traffic: TrafficFlags,
) -> None:
    """Say what a trace holds: rates, peaks, lengths, and what was dropped."""
    from planner import artifacts, terminal, terminal_plots
    from planner.description import describe as describe_trace

    as_json = _wants_json(json, output)
    if out is not None:
        artifacts.require_writable(out.parent)
    data = describe_trace(_read(workload, traffic))
    if out is not None:
        from reports.trace_page import render_trace_page

        artifacts.write(out, render_trace_page(data))
    if as_json:
        terminal.show_text(artifacts.to_json(data))
        return
    terminal_plots.show_description(data)
    if out is not None:
        terminal.show_lines([f"written: {out}"])


@app.command(cls=GroupedCommand)
def generate(
    description: Annotated[
        Path, typer.Argument(help="what traffic to make", metavar="FILE.toml", show_default=False)
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="the trace to write: .csv, .csv.gz or .parquet", show_default=False)
    ],
    seed: Annotated[
        int | None, typer.Option(help="instead of the description's", show_default=False)
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make traffic from a description."""
    from dataclasses import replace

    from planner import artifacts, terminal
    from simulations.ingest import write_trace
    from simulations.traffic import generate as generate_traffic
    from simulations.traffic import load_description

    artifacts.require_writable(out.parent)
    described = load_description(description)
    if seed is not None:
        described = replace(described, seed=seed)
    trace = generate_traffic(described)
    write_trace(trace, out)
    if not quiet:
        terminal.show_lines([f"written: {out}, {trace!r}"])


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

    from planner import artifacts, calibrating, terminal

    as_json = _wants_json(json, output)
    source = context.get_parameter_source("autoscaler")
    if source is not None and source.name == "DEFAULT_MAP":
        autoscaler = None  # in a config file it is the autoscaler of the other commands
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    command = shlex.join(["ptplan", *context.obj["arguments"]])
    files = measurements or []
    if list_services:
        known = calibrating.catalogue()
        if as_json:
            terminal.show_text(artifacts.to_json(known))
        else:
            terminal.show_text(calibrating.catalogue_text(known))
        return
    if autoscaler is None and not files:
        raise InputError("MEASUREMENTS are missing; see ptplan calibrate --help")
    if out is None:
        raise InputError("--out is missing; see ptplan calibrate --help")
    artifacts.require_writable(out.parent)
    with terminal.progress(quiet=quiet or as_json) as tell:
        if autoscaler is not None:
            tell(f"reading {autoscaler}")
            made = calibrating.autoscaler_of(autoscaler, date=created_at[:10])
        elif measure_with is not None:
            made = calibrating.measuring_command(files, measure_with, out=out)
        else:
            _tell_compiling(tell)
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
        terminal.show_text(artifacts.to_json(made.data))
        return
    terminal.show_text(made.page)
    terminal.show_lines(made.warnings, mark="!")
    terminal.show_lines([f"written: {out}"])


def _read(workload: Path, flags: TrafficFlags) -> Any:
    from simulations.ingest import parse_columns, read

    return read(
        workload,
        columns=parse_columns(flags.columns) if flags.columns else None,
        on_bad=flags.on_bad or "fail",  # type: ignore[arg-type]
        time_unit=flags.time_unit,
    )


def _tell_compiling(tell: Any) -> None:
    from simulations import kernel

    if not kernel.is_compiled():
        tell("compiling the simulation, once: about half a minute")


def _wants_json(json: bool, output: str) -> bool:
    if output not in ("text", "json"):
        raise InputError(f"--output is {output!r}; must be text or json")
    return json or output == "json"


def _both(
    low: int | None, high: int | None, low_name: str, high_name: str
) -> tuple[int, int] | None:
    if low is None and high is None:
        return None
    if low is None or high is None:
        raise InputError(
            f"{low_name if low is None else high_name} is missing; give both or neither"
        )
    return low, high


def _capacity(offer: Any, min_chunks: int | None, max_chunks: int | None, units: int | None) -> Any:
    """Return the capacity that simulate's flags ask for."""
    from dataclasses import replace

    if offer.in_units:
        if units is None or min_chunks is not None or max_chunks is not None:
            raise InputError(f"{offer.name} is sold in model units; give --units N and no range")
        return replace(offer.step, units=units)
    both = _both(min_chunks, max_chunks, "--min-chunks", "--max-chunks")
    if both is None or units is not None:
        raise InputError(
            f"{offer.name} is sold in chunks; give --min-chunks A and --max-chunks B and no --units"
        )
    return offer.capacity(*both)


if __name__ == "__main__":
    main()
