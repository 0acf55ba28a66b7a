"""The commands: flags in, the library called, results printed and written. Thin over `planner`.

Heavy imports are inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import shlex
import sys
from hashlib import sha256
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from planner import __file__ as _package_file
from planner import endpoint_cli
from planner.app import command as app_command
from planner.configuration import configured
from planner.flags import (
    BehaviourFlags,
    CalibrationFlags,
    ChangeFlags,
    Config,
    Form,
    GroupedCommand,
    Json,
    ModelFlags,
    PromiseFlags,
    Quiet,
    TrafficFlags,
    takes,
)
from planner.line import one_line
from simulations.errors import InputError, PtplanError

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
    Path,
    typer.Argument(
        help="a file of traffic, or its description", metavar="WORKLOAD", show_default=False
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
@takes(TrafficFlags, ChangeFlags, ModelFlags, PromiseFlags, BehaviourFlags)
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
    futures: Annotated[
        int | None,
        typer.Option(
            help="futures to judge on, and to test the winner on [61]", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="threads [one a core]", show_default=False)
    ] = None,
    allow_zero: Annotated[
        bool, typer.Option("--allow-zero", help="consider scaling to zero")
    ] = False,
    current_min_chunks: Annotated[
        int | None, typer.Option(help="of what runs now", show_default=False)
    ] = None,
    current_max_chunks: Annotated[
        int | None, typer.Option(help="of what runs now", show_default=False)
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="also: the best promise that this pays for",
            metavar="USD_PER_MONTH",
            show_default=False,
        ),
    ] = None,
    grow_until_fails: Annotated[
        bool, typer.Option("--grow-until-fails", help="also: how much growth the range survives")
    ] = False,
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    traffic: TrafficFlags,
    change: ChangeFlags,
    model: ModelFlags,
    promise: PromiseFlags,
    behaviour: BehaviourFlags,
) -> None:
    """Recommend the cheapest range that keeps the promise."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from planner import artifacts, question, terminal
    from planner.quantities import parse_budget
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
        source, requests = _traffic(workload, traffic, tell, seed=behaviour.seed)
        _tell_compiling(tell)
        made = recommend_range(
            requests,
            offer,
            objective,
            **question.behaviour_of(behaviour),
            endpoint=endpoint,
            current=current,
            start_chunks=behaviour.start_chunks,
            allow_zero=allow_zero,
            futures=futures,
            change=question.change_of(change),
            budget_usd_per_month=None if budget is None else parse_budget(budget),
            grow_until_fails=grow_until_fails,
            workers=workers,
            seed=behaviour.seed or 0,
            progress=lambda tried, n: tell(f"trying {tried} ({n} ranges tried)"),
        )
        data = artifacts.artifact(
            made,
            replace(
                source,
                notes=(*source.notes, *question.range_warnings(model, offer, made.trace)),
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
@takes(TrafficFlags, ChangeFlags, ModelFlags, PromiseFlags, BehaviourFlags)
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
    change: ChangeFlags,
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
    from simulations.trace import Trace
    from simulations.traffic import RECORDED, Bootstrap, Futures

    as_json = _wants_json(json, output)
    offer = question.offer_of(model)
    objective = question.objective_of(promise)
    capacity = _capacity(offer, min_chunks, max_chunks, units)
    with terminal.progress(quiet=quiet or as_json) as tell:
        source, requests = _traffic(workload, traffic, tell, seed=behaviour.seed)
        law = Bootstrap(requests) if isinstance(requests, Trace) else requests
        trace = Futures(law, question.change_of(change), behaviour.seed or 0).draw(RECORDED)
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
        run = simulate_endpoint(trace, scenario, engine=engine)  # type: ignore[arg-type]
        outcome = summarise(run, objective.limits, price=offer.price)
    figures, conservation = outcome.figures(), asdict(run.conservation())
    if as_json:
        terminal.show_text(artifacts.to_json({"outcome": figures, "conservation": conservation}))
        return
    terminal.show_outcome(f"{workload}: {capacity}", figures, conservation)
    verdict = objective.judge(outcome)
    kept = "kept" if verdict.holds else "missed"
    terminal.show_lines([f"the promise is {kept}: {objective.definition}"])
    beyond = question.range_warnings(model, offer, trace)
    terminal.show_lines([*source.notes, *beyond, *offer.warnings], mark="!")


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
    from planner import artifacts, terminal, terminal_plots
    from planner.description import describe as describe_trace

    as_json = _wants_json(json, output)
    if out is not None:
        artifacts.require_writable(out.parent)
    with terminal.progress(quiet=quiet or as_json) as tell:
        reading = _read(workload, traffic, tell)
        tell("counting")
        data = describe_trace(reading)
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
    from planner import artifacts, conversion, terminal

    as_json = _wants_json(json, output)
    conversion.require_format(to)
    artifacts.require_writable(out.parent)
    with terminal.progress(quiet=quiet or as_json) as tell:
        reading = _read(workload, traffic, tell)
        tell(f"writing {out}")
        data = conversion.convert(reading, out, to=to)
    if as_json:
        terminal.show_text(artifacts.to_json(data))
        return
    terminal.show_lines(conversion.sentences(data))
    terminal.show_lines(data["warnings"], mark="!")


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

    as_json = _wants_json(json, output)
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

    from planner import artifacts, terminal
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
            "path": str(out),
            "requests": len(trace),
            "span_s": trace.span_s,
            "input_tokens": int(trace.input_tokens.sum(dtype="int64")),
            "output_tokens": int(trace.output_tokens.sum(dtype="int64")),
            "seed": described.seed,
        }
        terminal.show_text(artifacts.to_json(facts))
    elif not quiet:
        terminal.show_lines([f"written: {out}, {trace!r}"])


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
    from planner import terminal
    from planner.endpoint.sandbox.command import serve
    from planner.quantities import parse_duration

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
        tell=lambda line: terminal.show_text(f"{line}\n"),
        quiet=quiet,
    )


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


def _fit_traffic(
    path: Path, out: Path, seed: int, flags: TrafficFlags, *, as_json: bool, quiet: bool
) -> None:
    """Write a description of a trace."""
    from planner import artifacts, terminal, terminal_fit
    from planner.fitting import fitted
    from simulations.traffic import is_description

    if not is_description(out):
        raise InputError(f"{out}: a description is written to a file that ends in .toml")
    with terminal.progress(quiet=quiet or as_json) as tell:
        reading = _read(path, flags, tell)
        tell("fitting")
        made = fitted(reading, seed=seed)
    artifacts.write(out, made.text)
    if as_json:
        terminal.show_text(artifacts.to_json({"written": str(out), **made.data}))
    elif not quiet:
        terminal_fit.show_fit(made.data, str(out))


def _traffic(
    workload: Path, flags: TrafficFlags, tell: Any, *, seed: int | None
) -> tuple[Any, Any]:
    """Return where traffic comes from, for the record, and the recording or the description."""
    from planner.artifacts import Workload as Source
    from simulations.traffic import is_description, load_description

    if is_description(workload):
        described = load_description(workload)
        digest = sha256(workload.read_bytes()).hexdigest()
        note = "the traffic is generated from a description: every future is a draw of its own"
        return Source(str(workload), digest, "description", {}, (note,)), described
    reading = _read(workload, flags, tell, seed=seed)
    source = Source(str(workload), reading.sha256, reading.format, reading.dropped, reading.notes)
    return source, reading.trace


def _read(workload: Path, flags: TrafficFlags, tell: Any, *, seed: int | None = None) -> Any:
    """Return what was read of a file, with the rows on the way told."""
    tell(f"reading {workload}")
    from simulations.ingest import parse_columns, read

    return read(
        workload,
        columns=parse_columns(flags.columns) if flags.columns else None,
        on_bad=flags.on_bad or "fail",  # type: ignore[arg-type]
        time_unit=flags.time_unit,
        aggregate=flags.aggregate,
        served_by=flags.served_by,
        served_entities=flags.served_entities,
        seed=seed or 0,
        progress=lambda rows: tell(f"reading {workload}: {rows:,} rows"),
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


app.registered_commands += endpoint_cli.app.registered_commands
app.registered_commands += app_command.commands.registered_commands

if __name__ == "__main__":
    main()
