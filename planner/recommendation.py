"""The main job: traffic, an offer and a promise in, the cheapest range that keeps it out.

`recommend` tries ranges on the trace itself, which is one future, and says so. A `Recommendation` holds
everything the answer rests on; `artifact` turns it into a file, `explanation` into sentences.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

import pandas as pd

from planner import baselines, explanation
from planner.baselines import Baseline
from planner.bench import Bench, Progress
from planner.endpoint.request import Request, create_request
from planner.explanation import Assumption, NextCheaper, NextSafer
from planner.objective import Objective
from planner.offer import Offer
from planner.search import Found, Trial, search
from simulations.capacity import Capacity
from simulations.errors import ObjectiveError, ScenarioError
from simulations.run import Run
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario
from simulations.trace import Trace

TRIALS_FOR_SMALL = 300
"""Ranges tried at the most, for traces that simulate in milliseconds (assumed)."""

REQUESTS_TO_SIMULATE = 150_000_000
"""Simulated requests at the most; about a minute of one core. Fewer ranges are tried on longer traces."""


@dataclass(frozen=True, eq=False)
class Recommendation:
    """An answer, and what it rests on.

    Args:
        trace: the traffic it was judged on.
        offer: what is for sale.
        scenario: the endpoint as simulated, settled for the chosen range.
        objective: the promise.
        found: every range tried.
        chosen: the answer; where nothing keeps the promise, what came nearest.
        run: the run of the chosen range.
        next_cheaper, next_safer: its neighbours in cost, None where there is none.
        baselines: what other ways of choosing give.
        request: what creates the endpoint.
        reasons, warnings: sentences.
        assumptions: every number used, with its source.
        seed: of all draws.
    """

    trace: Trace
    offer: Offer
    scenario: Scenario
    objective: Objective
    found: Found
    chosen: Trial
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

    @property
    def feasible(self) -> bool:
        """Whether the chosen range keeps the promise."""
        return self.chosen.verdict.holds

    @property
    def capacity(self) -> Capacity:
        """The range to ask for."""
        return self.scenario.capacity

    def alternatives(self) -> pd.DataFrame:
        """Return every range tried, in order of preference; a row each, figures in columns."""
        rows = []
        for trial in self.found.trials:
            figures = trial.outcome.figures()
            attainment = figures.pop("attainment")
            figures.pop("attainment_unspilled")
            rows.append(
                {
                    "min_chunks": trial.min_chunks,
                    "max_chunks": trial.max_chunks,
                    "chosen": trial is self.chosen,
                    "feasible": trial.verdict.holds,
                    "why": explanation.why(trial, self.chosen, self.objective),
                    **{f"attainment_{key}": value for key, value in attainment.items()},
                    **figures,
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        month = self.chosen.outcome.usd_per_month
        money = "cost unknown" if month is None else f"{month:,.0f} USD a month"
        word = "keeps" if self.feasible else "does not keep"
        return f"Recommendation({self.capacity}: {money}; {word} the promise in one future)"

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(reason)}</li>" for reason in self.reasons)
        return f"<p><b>{html.escape(repr(self))}</b></p><ul>{lines}</ul>"


def recommend(
    trace: Trace,
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
    futures: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Recommendation:
    """Return the cheapest range that keeps a promise on a trace.

    Args:
        trace: the traffic; it is the one future that is judged.
        offer: what is for sale, from `make_offer`.
        objective: the promise; None means TTFT p95 of 2 s and 0.1 % refused.
        autoscaler, admission, client, overflow: how the endpoint and its clients behave; the defaults are
            *assumed*, see there.
        endpoint: the endpoint's name, for the request.
        current: (min_chunks, max_chunks) of what runs now, judged beside the answer.
        start_chunks: chunks at t = 0 where the range allows it.
        allow_zero: consider scaling to zero.
        limit_chunks: consider no larger maximum.
        futures: 1; more futures need a model of the traffic.
        seed: of jitter and start delays.
        progress: is told of every range before it is tried.

    Raises:
        ObjectiveError: more than one future is asked for, or the trace spans no time.
        ScenarioError: the endpoint cannot be simulated.
    """
    objective = objective or Objective.default()
    if futures != 1:
        raise ObjectiveError(
            f"futures is {futures}; this version judges on one future, the trace itself: use 1"
        )
    if start_chunks is not None and start_chunks < 0:
        raise ScenarioError(f"start_chunks is {start_chunks}; must be >= 0")
    if trace.span_ticks == 0:
        raise ObjectiveError(
            "the trace spans no time (one request, or all at once), so nothing can be said of rates or cost; "
            "take a longer one"
        )
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
    bench = Bench(trace, offer, base, objective, start_chunks, progress)
    found = search(
        bench.attempt,
        floor_cost=bench.floor_cost,
        first_guess=bench.offered_chunks(),
        limit_chunks=limit_chunks,
        largest_useful=len(trace),
        allow_zero=allow_zero,
        fixed_only=bench.fixed_only,
        max_trials=max(40, min(TRIALS_FOR_SMALL, REQUESTS_TO_SIMULATE // len(trace))),
    )
    chosen = found.best or found.nearest_miss
    run = bench.run(chosen.min_chunks, chosen.max_chunks)
    request = create_request(
        run.scenario.capacity,
        endpoint=endpoint,
        entity_name=offer.name,
        entity_version=offer.version,
    )
    cheaper = explanation.next_cheaper(found, chosen, objective, bench.run)
    safer = explanation.next_safer(found, chosen)
    compared = baselines.compare(trace, offer, bench, current=current)
    return Recommendation(
        trace=trace,
        offer=offer,
        scenario=run.scenario,
        objective=objective,
        found=found,
        chosen=chosen,
        run=run,
        next_cheaper=cheaper,
        next_safer=safer,
        baselines=compared,
        request=request,
        endpoint=endpoint,
        reasons=tuple(explanation.reasons(found, chosen, objective, offer, cheaper)),
        warnings=tuple(explanation.warnings(trace, offer, objective, found, chosen, run.scenario)),
        assumptions=tuple(explanation.assumptions(run.scenario, offer)),
        seed=seed,
    )
