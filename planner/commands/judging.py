"""The commands that judge ranges: recommend, backtest, simulate.

Thin over the library: flags in, the library called, results printed and written. Heavy imports are inside the
commands, so that `--help` answers at once.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from planner.commands.inputs import (
    Workload,
    capacity_of,
    require_present,
    tell_compiling,
    traffic_of,
    wants_json,
)
from planner.flags import (
    BehaviourFlags,
    ChangeFlags,
    Config,
    Form,
    GroupedCommand,
    Json,
    ModelFlags,
    PromiseFlags,
    Quiet,
    SearchFlags,
    TrafficFlags,
    takes,
)
from planner.version import version

app = typer.Typer(rich_markup_mode=None)


@app.command(cls=GroupedCommand)
@takes(TrafficFlags, ChangeFlags, ModelFlags, PromiseFlags, BehaviourFlags, SearchFlags)
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
    budget: Annotated[
        str | None,
        typer.Option(
            help="also: the best promise that this pays for",
            metavar="USD_PER_MONTH",
            show_default=False,
        ),
    ] = None,
    forecast: Annotated[
        str | None,
        typer.Option(
            help="judge on what may come in so long after the log (two weeks or more of it)",
            metavar="DURATION",
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
    search: SearchFlags,
) -> None:
    """Recommend the cheapest range that keeps the promise."""
    require_present(workload)
    from dataclasses import replace
    from datetime import UTC, datetime

    from planner import artifacts, question
    from planner.quantities import parse_budget, parse_duration
    from planner.recommendation import recommend as recommend_range
    from planner.rendering import report_of
    from planner.terminal import screen
    from planner.terminal.answer import show_report

    as_json = wants_json(json, output)
    artifacts.require_writable(out)
    searched = question.search_of(search)
    offer = question.offer_of(model)
    objective = question.objective_of(promise)
    with screen.progress(quiet=quiet or as_json) as tell:
        source, requests = traffic_of(workload, traffic, tell, seed=behaviour.seed)
        tell_compiling(tell)
        made = recommend_range(
            requests,
            offer,
            objective,
            **question.behaviour_of(behaviour),
            endpoint=endpoint,
            **searched,
            start_chunks=behaviour.start_chunks,
            change=question.change_of(change),
            forecast_s=None if forecast is None else parse_duration(forecast, name="--forecast"),
            budget_usd_per_month=None if budget is None else parse_budget(budget),
            grow_until_fails=grow_until_fails,
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
        screen.show_text(text)
    else:
        show_report(report)
        screen.show_lines([f"written: {out / 'recommendation.json'}, {out / 'report.html'}"])
    if not made.feasible:
        raise typer.Exit(3)


@app.command(cls=GroupedCommand)
@takes(TrafficFlags, ChangeFlags, ModelFlags, PromiseFlags, BehaviourFlags, SearchFlags)
def backtest(
    workload: Workload,
    *,
    train: Annotated[
        str | None,
        typer.Option(help="to learn from [a third]", metavar="DURATION", show_default=False),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="to judge on [a day, or a sixth]", metavar="DURATION", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder for backtest.json", metavar="DIR", show_default=False),
    ] = None,
    config: Config = None,
    json: Json = False,
    output: Form = "text",
    quiet: Quiet = False,
    traffic: TrafficFlags,
    change: ChangeFlags,
    model: ModelFlags,
    promise: PromiseFlags,
    behaviour: BehaviourFlags,
    search: SearchFlags,
) -> None:
    """Recommend on the past, judge on what came after, walking forward."""
    require_present(workload)
    from planner import artifacts, question
    from planner.backtesting import backtest as walk_forward
    from planner.backtesting import backtest_data
    from planner.quantities import parse_duration
    from planner.terminal import screen
    from planner.terminal.backtest import show_backtest
    from reports import numbers
    from simulations.trace import Trace
    from simulations.traffic import generate as generate_traffic

    as_json = wants_json(json, output)
    if out is not None:
        artifacts.require_writable(out)
    searched = question.search_of(search)
    offer = question.offer_of(model)
    objective = question.objective_of(promise)
    with screen.progress(quiet=quiet or as_json) as tell:
        source, requests = traffic_of(workload, traffic, tell, seed=behaviour.seed)
        trace = requests if isinstance(requests, Trace) else generate_traffic(requests)
        tell_compiling(tell)
        made = walk_forward(
            trace,
            offer,
            objective,
            train_s=None if train is None else parse_duration(train, name="--train"),
            test_s=None if test is None else parse_duration(test, name="--test"),
            **question.behaviour_of(behaviour),
            **searched,
            start_chunks=behaviour.start_chunks,
            change=question.change_of(change),
            seed=behaviour.seed or 0,
            progress=tell,
        )
    text = artifacts.to_json(backtest_data(made))
    if out is not None:
        artifacts.write(out / "backtest.json", text)
    if as_json:
        screen.show_text(text)
    else:
        show_backtest(
            f"{workload}: {numbers.counted(len(trace), 'request')} in {numbers.duration(trace.span_s)} "
            f"({source.format})",
            made,
        )
        beyond = question.range_warnings(model, offer, trace)
        screen.show_lines([*source.notes, *beyond, *offer.warnings], mark="!")
        if out is not None:
            screen.show_lines([f"written: {out / 'backtest.json'}"])
    if not any(window.feasible for window in made.windows):
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
    require_present(workload)
    from dataclasses import asdict

    from planner import artifacts, question
    from planner.terminal import screen
    from planner.terminal.outcome import show_outcome
    from simulations.engine import simulate as simulate_endpoint
    from simulations.outcome import summarise
    from simulations.scenario import Scenario
    from simulations.trace import Trace
    from simulations.traffic import RECORDED, Bootstrap, Futures

    as_json = wants_json(json, output)
    offer = question.offer_of(model)
    objective = question.objective_of(promise)
    capacity = capacity_of(offer, min_chunks, max_chunks, units)
    with screen.progress(quiet=quiet or as_json) as tell:
        source, requests = traffic_of(workload, traffic, tell, seed=behaviour.seed)
        law = Bootstrap(requests) if isinstance(requests, Trace) else requests
        trace = Futures(law, question.change_of(change), behaviour.seed or 0).draw(RECORDED)
        tell_compiling(tell)
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
        screen.show_text(artifacts.to_json({"outcome": figures, "conservation": conservation}))
        return
    show_outcome(f"{workload}: {capacity}", figures, conservation)
    verdict = objective.judge(outcome)
    kept = "kept" if verdict.holds else "missed"
    screen.show_lines([f"the promise is {kept}: {objective.definition}"])
    beyond = question.range_warnings(model, offer, trace)
    screen.show_lines([*source.notes, *beyond, *offer.warnings], mark="!")
