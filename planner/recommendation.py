"""The main job: traffic, an offer and a promise in, the cheapest range that keeps it out.

`recommend` searches on futures made from the traffic, then tests the winner on fresh ones, and takes the next
where it fails. A `Recommendation` holds everything the answer rests on; `artifact` turns it into a file,
`explanation` into sentences.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from planner import baselines, explanation, inverse
from planner.baselines import Baseline
from planner.bench import Bench, Progress
from planner.break_even import Volume, break_even
from planner.confidence import DEFAULT_FUTURES, allowed_failures, lowest_share
from planner.endpoint.request import Request, create_request
from planner.evidence import Evidence
from planner.experiment import Experiment
from planner.explanation import Assumption, NextCheaper, NextSafer
from planner.inverse import Attainable, Survival
from planner.jury import Jury
from planner.objective import Objective
from planner.offer import Offer
from planner.search import Found, Trial, search
from planner.sensitivity import Sensitivity, sensitivities
from reports import numbers
from simulations.capacity import Capacity
from simulations.errors import ObjectiveError, ScenarioError
from simulations.outcome import summarise
from simulations.run import Run
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario
from simulations.sweeps import threads
from simulations.trace import Trace
from simulations.traffic import Bootstrap, Change, Continuation, Description, Futures

TRIALS_FOR_SMALL = 300
"""Ranges tried at the most, for traces that simulate in milliseconds (assumed)."""

REQUESTS_TO_SIMULATE = 150_000_000
"""Simulated requests at the most; about a minute of one core. Fewer ranges are tried on longer traces."""

FEWEST_TO_RESAMPLE = 200
"""Below this many requests a resampled recording says little that the recording does not (assumed)."""

FEWEST_BLOCKS = 5
"""In fewer blocks than this with requests in them there is no more than a few bursts (assumed)."""

RUNS_PER_TRIAL = 6
"""How many futures a range is run in before its verdict is clear, roughly; for the limit above alone."""

MOST_RETESTS = 12
"""Winners that may fail on fresh futures before the search gives up (assumed)."""


@dataclass(frozen=True, slots=True)
class Held:
    """In how many futures a range kept the promise.

    Args:
        successes, futures: of the test on fresh futures; of the recording, where that is the only one.
        low: the share of all futures it keeps at the least, with 95 % confidence; None for one future.
        confidence: the same in words.
    """

    successes: int
    futures: int
    low: float | None
    confidence: str


@dataclass(frozen=True, eq=False)
class Recommendation:
    """An answer, and what it rests on.

    Args:
        trace: the traffic that was recorded, without its holes and with what is to change; of a description,
            one of its futures.
        futures: the traffic that was judged on, by number.
        n_futures: futures of the search, and as many fresh ones of the test; 1 means the recording alone.
        offer: what is for sale.
        scenario: the endpoint as simulated, settled for the chosen range.
        objective: the promise.
        found: every range tried.
        chosen: the answer; where nothing keeps the promise, what came nearest.
        evidence: its outcomes in the futures that `held` and all figures are about.
        held: how sure the answer is.
        run: the chosen range on the recording.
        next_cheaper, next_safer: its neighbours in cost, None where there is none.
        baselines: what other ways of choosing give.
        request: what creates the endpoint.
        reasons, warnings: sentences.
        assumptions: every number used, with its source.
        seed: of all draws.
        n_runs: how many runs the search and the test took.
        sensitivities: what would change the answer, the nearest first.
        volumes: the break-even against paying by the token; empty where a price is not known.
        attainable: what the budget can promise, where one was given.
        survival: how much growth the range survives, where that was asked.
    """

    trace: Trace
    futures: Futures
    n_futures: int
    offer: Offer
    scenario: Scenario
    objective: Objective
    found: Found
    chosen: Trial
    evidence: Evidence
    held: Held
    run: Run
    next_cheaper: NextCheaper | None
    next_safer: NextSafer | None
    baselines: tuple[Baseline, ...]
    request: Request
    endpoint: str | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    assumptions: tuple[Assumption, ...]
    seed: int
    n_runs: int
    sensitivities: tuple[Sensitivity, ...] = ()
    volumes: tuple[Volume, ...] = ()
    attainable: Attainable | None = None
    survival: Survival | None = None

    @property
    def feasible(self) -> bool:
        """Whether the chosen range keeps the promise."""
        return self.chosen.verdict.holds

    @property
    def capacity(self) -> Capacity:
        """The range to ask for."""
        return self.scenario.capacity

    @property
    def figures(self) -> Mapping[str, Any]:
        """Every figure of the chosen range as a `Spread` over futures, by key."""
        return self.evidence.spreads()

    @property
    def on_the_record(self) -> bool:
        """Whether the chosen range keeps the promise on the recording itself."""
        outcome = summarise(self.run, self.objective.limits, price=self.offer.price)
        return self.objective.judge(outcome).holds

    def alternatives(self) -> pd.DataFrame:
        """Return every range tried, in order of preference; a row each, mean figures in columns."""
        rows = []
        for trial in self.found.trials:
            figures = dict(trial.figures)
            attainment = figures.pop("attainment")
            figures.pop("attainment_unspilled")
            rows.append(
                {
                    "min_chunks": trial.min_chunks,
                    "max_chunks": trial.max_chunks,
                    "chosen": trial is self.chosen,
                    "feasible": trial.verdict.holds,
                    "futures": trial.tried,
                    "why": explanation.why(trial, self.chosen, self.objective),
                    **{f"attainment_{key}": value for key, value in attainment.items()},
                    **figures,
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        month = self.figures["usd_per_month"].value
        money = "cost unknown" if month is None else f"{month:,.0f} USD a month"
        word = "keeps" if self.feasible else "does not keep"
        return (
            f"Recommendation({self.capacity}: {money}; {word} the promise; {self.held.confidence})"
        )

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(reason)}</li>" for reason in self.reasons)
        return f"<p><b>{html.escape(repr(self))}</b></p><ul>{lines}</ul>"


def recommend(
    traffic: Trace | Description,
    offer: Offer,
    objective: Objective | None = None,
    *,
    autoscaler: Autoscaler | None = None,
    admission: Admission | None = None,
    client: Client | None = None,
    overflow: Overflow | None = None,
    endpoint: str | None = None,
    current: tuple[int, int] | None = None,
    start_chunks: int | None = None,
    allow_zero: bool = False,
    limit_chunks: int | None = None,
    futures: int | None = None,
    change: Change | None = None,
    forecast_s: float | None = None,
    budget_usd_per_month: float | None = None,
    grow_until_fails: bool = False,
    sensitivity: bool = True,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Recommendation:
    """Return the cheapest range that keeps a promise in a stated share of futures.

    A range is tried on futures drawn from the traffic, the same for all. The cheapest that keeps the promise
    in enough of them is then tested on as many fresh ones, and the next is taken where it fails: it was picked
    because it did well, so its own futures flatter it.

    Args:
        traffic: a recording, which is resampled, or the description of a generator.
        offer: what is for sale, from `make_offer`.
        objective: the promise; None means TTFT p95 of 2 s and 0.1 % refused, in 90 % of futures.
        autoscaler, admission, client, overflow: how the endpoint and its clients behave; the defaults are
            *assumed*, see there.
        endpoint: the endpoint's name, for the request.
        current: (min_chunks, max_chunks) of what runs now, judged beside the answer; at equal cost the
            smaller change from it is preferred.
        start_chunks: chunks at t = 0 where the range allows it.
        allow_zero: consider scaling to zero.
        limit_chunks: consider no larger maximum.
        futures: how many to search on, and as many to test on, >= 1; 1 judges on the recording itself. None
            means 61, and 1 for a recording of fewer than 200 requests or of a few bursts.
        change: growth and factors on lengths.
        forecast_s: judge on what may come after the recording in so many seconds, not on the like of it; takes two
            weeks of recording and the extra `forecast`.
        budget_usd_per_month: also say what this could promise at best.
        grow_until_fails: also say how much growth the range survives.
        sensitivity: also vary what is assumed, and compare with paying by the token at other volumes.
        seed: of all draws.
        workers: threads; None means one a core. The answer does not depend on it.
        progress: is told of every range before it is tried.

    Raises:
        ObjectiveError: the number of futures is out of its range, the trace spans no time, or the budget pays for
            nothing.
        ScenarioError: the endpoint cannot be simulated.
    """
    _require_kinds(traffic, offer, objective)
    objective = objective or Objective.default()
    if futures is None:
        futures = DEFAULT_FUTURES if _can_be_resampled(traffic) else 1
    if not 1 <= futures <= MOST_FUTURES:
        raise ObjectiveError(f"futures is {futures}; must be between 1 and {MOST_FUTURES}")
    if start_chunks is not None and start_chunks < 0:
        raise ScenarioError(f"start_chunks is {start_chunks}; must be >= 0")
    if isinstance(traffic, Trace) and traffic.span_ticks == 0:
        raise ObjectiveError(
            "the trace spans no time (one request, or all at once), so nothing can be said of rates or cost; "
            "take a longer one"
        )
    if budget_usd_per_month is not None:
        inverse.usd_per_chunk_hour(offer, budget_usd_per_month, allow_zero=allow_zero)
    base = Scenario(
        service=offer.service,
        capacity=offer.step,
        autoscaler=autoscaler or Autoscaler(),
        admission=admission or Admission(),
        client=client or Client(),
        overflow=overflow or Overflow(),
        shape=offer.shape,
        seed=seed,
    )
    law = law_of(traffic, forecast_s)
    with threads(workers) as mapper:
        futures_of = Futures(law, change or Change(), seed)
        experiment = Experiment(futures_of, offer, base, objective, start_chunks)
        bench = Bench(experiment, futures, current, mapper, progress)
        found, evidence = _find(bench, allow_zero=allow_zero, limit_chunks=limit_chunks)
        return _explained(
            bench,
            found,
            evidence,
            endpoint,
            seed,
            sensitivity=sensitivity,
            grow=grow_until_fails,
            budget=budget_usd_per_month,
            allow_zero=allow_zero,
        )


MOST_FUTURES = 10_000


def _require_kinds(traffic: object, offer: object, objective: object) -> None:
    """Say what was meant where something else is handed over, as happens in a notebook.

    Raises:
        TypeError: traffic, offer or objective is of another kind; the text says how to make one.
    """
    for name, value, kinds, remedy in (
        ("traffic", traffic, (Trace, Description), "load_trace(PATH) or load_description(PATH)"),
        ("offer", offer, (Offer,), 'make_offer("NAME:VERSION")'),
        ("objective", objective, (Objective, type(None)), 'Objective((Limit("ttft", 95, 2.0),))'),
    ):
        if not isinstance(value, kinds):
            raise TypeError(f"{name} is {type(value).__name__}; give {remedy}")


def _can_be_resampled(traffic: Trace | Description) -> bool:
    """Whether enough was recorded, and in more than one burst, so that futures can be made of it."""
    if not isinstance(traffic, Trace):
        return True
    if len(traffic) < FEWEST_TO_RESAMPLE or traffic.span_ticks == 0:
        return False
    blocks = traffic.arrival_ticks // Bootstrap(traffic).block_ticks
    return len(np.unique(blocks)) >= FEWEST_BLOCKS


def law_of(
    traffic: Trace | Description, forecast_s: float | None = None
) -> Bootstrap | Continuation | Description:
    """Return what makes futures of traffic: a recording is resampled, or goes on as forecast.

    Raises:
        ObjectiveError: a description is to be forecast.
    """
    if not isinstance(traffic, Trace):
        if forecast_s is not None:
            raise ObjectiveError(
                "a description is no recording to forecast from; leave the forecast out"
            )
        return traffic
    past = Bootstrap(traffic)
    return past if forecast_s is None else Continuation(past, forecast_s)


def _find(bench: Bench, *, allow_zero: bool, limit_chunks: int | None) -> tuple[Found, Evidence]:
    """Return what a search found that also holds on fresh futures, and what was seen there.

    The search itself sees a range in few futures. What it finds is tried in all of them; where that fails,
    the futures at fault are faced by every range, and the search goes on. So the answer is the one that
    trying every range in every future would give, for a fraction of the runs.
    """
    n = bench.n_futures
    requests = max(1, len(bench.experiment.recorded))
    per_trial = requests * (1 if n == 1 else RUNS_PER_TRIAL)
    tests = 0
    while True:
        found = search(
            bench.attempt,
            floor_cost=bench.floor_cost,
            change=bench.change,
            first_guess=bench.likely_chunks(),
            limit_chunks=limit_chunks,
            largest_useful=requests,
            allow_zero=allow_zero,
            fixed_only=bench.fixed_only,
            max_trials=max(40, min(TRIALS_FOR_SMALL, REQUESTS_TO_SIMULATE // per_trial)),
        )
        if found.best is None:
            nearest = bench.completed(found.nearest_miss)
            return found.with_trial(nearest), nearest.evidence
        if n == 1:
            return found, found.best.evidence
        size = (found.best.min_chunks, found.best.max_chunks)
        if not bench.confirm(size).verdict.holds:
            continue
        tests += 1
        evidence = bench.retest(size, range(tests * n, (tests + 1) * n))
        if evidence.verdict(bench.allowed).holds or tests == MOST_RETESTS:
            return _confirmed(found, bench), evidence


def _confirmed(found: Found, bench: Bench) -> Found:
    """Return what was found with the winner's trial as it stands after all futures."""
    assert found.best is not None
    trial = bench.trial((found.best.min_chunks, found.best.max_chunks))
    return replace(found.with_trial(trial), best=trial if trial.verdict.holds else None)


def _explained(
    bench: Bench,
    found: Found,
    evidence: Evidence,
    endpoint: str | None,
    seed: int,
    *,
    sensitivity: bool,
    grow: bool,
    budget: float | None,
    allow_zero: bool,
) -> Recommendation:
    """Return the answer with everything that is said about it."""
    offer, objective, trace = bench.offer, bench.objective, bench.experiment.recorded
    chosen = found.best or found.nearest_miss
    if found.best is None:
        evidence = chosen.evidence
    run = bench.experiment.run((chosen.min_chunks, chosen.max_chunks))
    request = create_request(
        run.scenario.capacity,
        endpoint=endpoint,
        entity_name=offer.name,
        entity_version=offer.version,
    )
    held = held_in(evidence, bench.n_futures, objective)
    cheaper = explanation.next_cheaper(
        found, chosen, objective, bench.experiment.run, bench.with_failures
    )
    tested = tuple(evidence.outcomes)
    safer = explanation.next_safer(found, chosen, lambda size: bench.figures(size, tested))
    size = (chosen.min_chunks, chosen.max_chunks)
    compared = baselines.compare(trace, offer, bench, size)
    jury = Jury.of(evidence, bench.allowed)
    turned: list[Sensitivity] = []
    volumes: list[Volume] = []
    survival = None
    if chosen.verdict.holds:
        near = cheaper.trial if cheaper else None
        if sensitivity:
            # Under way on some threads while the others turn what is assumed.
            at_volumes = break_even(bench, jury, size, evidence.spreads()["usd_per_month"].value)
            turned = sensitivities(
                bench.experiment,
                size,
                jury,
                cheaper=None if near is None else (near.min_chunks, near.max_chunks),
                cheaper_jury=None if near is None else Jury.of(near.deciding, bench.allowed),
                mapper=bench.mapper,
                seed=seed,
                progress=bench.tell,
            )
            volumes = sorted(at_volumes, key=lambda row: row.volume)
        if grow:
            survival = inverse.grow_until_fails(bench.experiment, size, jury)
    attainable = (
        None if budget is None else inverse.best_within(bench, budget, allow_zero=allow_zero)
    )
    return Recommendation(
        trace=trace,
        futures=bench.experiment.futures,
        n_futures=bench.n_futures,
        offer=offer,
        scenario=run.scenario,
        objective=objective,
        found=found,
        chosen=chosen,
        evidence=evidence,
        held=held,
        run=run,
        next_cheaper=cheaper,
        next_safer=safer,
        baselines=compared,
        request=request,
        endpoint=endpoint,
        reasons=tuple(explanation.reasons(found, chosen, objective, offer, cheaper)),
        warnings=tuple(
            explanation.warnings(
                trace, offer, objective, found, chosen, run.scenario, bench.n_futures
            )
        ),
        assumptions=tuple(explanation.assumptions(run.scenario, offer)),
        seed=seed,
        n_runs=bench.n_runs,
        sensitivities=tuple(turned),
        volumes=tuple(volumes),
        attainable=attainable,
        survival=survival,
    )


def held_in(evidence: Evidence, n_futures: int, objective: Objective) -> Held:
    """Return how sure an answer is, from its outcomes in the futures it was tested on."""
    successes, tried = evidence.successes, len(evidence.outcomes)
    if n_futures == 1:
        return Held(successes, 1, None, "one future, no interval")
    low = lowest_share(successes, tried)
    share = numbers.share(objective.hold_in_fraction)
    words = f"{successes} of {tried} futures; with 95 % confidence at least {numbers.percent(low)} of all"
    if allowed_failures(n_futures, objective.hold_in_fraction) is None:
        words = f"insufficient for {share}: {words}"
    return Held(successes, tried, low, f"{words}, {share} asked for")
