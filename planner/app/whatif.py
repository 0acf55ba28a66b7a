"""What if: the recommended range and one's own, on other traffic, at once. One future, the compiled kernel; of long
traffic the busiest part alone, and of questions that overtake each other the last.

And one's own beside the answer, in all of its futures; neither moves the answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from planner.confidence import allowed_failures
from planner.evidence import Evidence
from planner.experiment import Experiment, Range
from planner.objective import Verdict
from planner.recommendation import Recommendation
from simulations.capacity import Capacity
from simulations.errors import InputError
from simulations.outcome import Outcome, summarise
from simulations.sweeps import threads
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic import Change
from simulations.traffic.bootstrap import Bootstrap
from simulations.traffic.futures import Futures

T = TypeVar("T")

MOST_REQUESTS = 400_000
"""Simulated at once for one range (assumed: what a machine does in about a second)."""

SLIDERS = {
    "growth": (0.25, 4.0, 0.05),
    "output_factor": (0.25, 4.0, 0.05),
    "start_delay_s": (0.0, 900.0, 5.0),
}
"""Lowest, highest and step of each; requests and output tokens as multiples of what was brought."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one range.

    Args:
        capacity: the range.
        outcome: of the run.
        verdict: on it.
    """

    capacity: Capacity
    outcome: Outcome
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Look:
    """What became of the recommended range and of one's own.

    Args:
        chosen, own: the two; own is None where there is none.
        part: the part of the traffic that was simulated, where it is not all of it. A month made of it would be
            one of peaks alone, so it has no cost.
    """

    chosen: Seen
    own: Seen | None
    part: Trace | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What is to be different; the range None leaves the recommended one alone."""

    growth: float = 1.0
    output_factor: float = 1.0
    start_delay_s: float | None = None
    own: Range | None = None


def what_if_of(form: Mapping[str, str]) -> WhatIf:
    """Return what the sliders say.

    Raises:
        InputError: a value is no number, or beyond its slider.
    """
    values: dict[str, float] = {}
    for name, (low, high, _) in SLIDERS.items():
        if not form.get(name):
            continue
        try:
            value = float(form[name])
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise InputError(
                f"{name.replace('_', ' ')} is {form[name]!r}; must be between {low:g} and {high:g}"
            )
        values[name] = value
    own = None
    if form.get("own_max"):
        texts = form["own_max"], form.get("own_min") or form["own_max"]
        if not all(text.isdecimal() and len(text) < 7 for text in texts):
            raise InputError(f"the range is {texts[1]!r} to {texts[0]!r}; must be whole chunks")
        most = int(texts[0])
        own = (min(int(texts[1]), most), most)
    return WhatIf(
        values.get("growth", 1.0),
        values.get("output_factor", 1.0),
        values.get("start_delay_s"),
        own,
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One's own range in the futures that the answer was judged on.

    Args:
        capacity: the range.
        evidence: its outcomes.
        holds: whether it keeps the promise in enough of them, as the answer has to.
    """

    capacity: Capacity
    evidence: Evidence
    holds: bool


def judge(made: Recommendation, own: Range) -> Judged:
    """Return what became of one's own range in the very futures of the answer.

    Raises:
        CapacityError: the range cannot be bought.
    """
    experiment = Experiment(made.futures, made.offer, made.scenario, made.objective)
    futures = sorted(made.evidence.outcomes)
    with threads() as mapper:
        outcomes = list(mapper(lambda future: experiment.outcome(own, future), futures))
    evidence = Evidence(dict(zip(futures, outcomes, strict=True)), made.objective)
    share = made.objective.hold_in_fraction
    allowed = 0 if made.n_futures == 1 else allowed_failures(made.n_futures, share) or 0
    return Judged(made.offer.capacity(*own), evidence, evidence.verdict(allowed).holds)


def look(made: Recommendation, wanted: WhatIf, *, most_requests: int = MOST_REQUESTS) -> Look:
    """Return what becomes of the recommended range and of one's own.

    The traffic is the recording (of a description, one draw) with the question's own change and these on top; where
    that is more than `most_requests`, the busiest part of it.
    """
    there = made.futures.change
    change = Change(
        there.growth * wanted.growth, there.input_factor, there.output_factor * wanted.output_factor
    )
    # Its target stays: it is the endpoint's, whatever the traffic does.
    scaler = made.scenario.autoscaler
    if wanted.start_delay_s is not None:
        scaler = replace(scaler, start_delay_s=wanted.start_delay_s)
    part = busiest(made.trace, max(1, int(most_requests / max(1.0, wanted.growth))))
    if part is not None:
        on_top = Change(wanted.growth, 1.0, wanted.output_factor)
        futures = Futures(Bootstrap(part), on_top, made.futures.seed)
    else:
        futures = made.futures.changed(change) if change != there else made.futures
    experiment = Experiment(
        futures, made.offer, replace(made.scenario, autoscaler=scaler), made.objective
    )

    def seen(size: Range) -> Seen:
        run = experiment.run(size)
        price = made.offer.price if part is None else None
        outcome = summarise(run, made.objective.limits, price=price)
        return Seen(run.scenario.capacity, outcome, made.objective.judge(outcome))

    chosen = (made.chosen.min_chunks, made.chosen.max_chunks)
    return Look(seen(chosen), None if wanted.own is None else seen(wanted.own), part)


def busiest(trace: Trace, most: int) -> Trace | None:
    """Return the part of a trace in which so many requests come in the shortest time; None where there are no more.

    >>> trace = Trace.build([0, 100, 101, 102, 300], [1] * 5, [1] * 5)
    >>> busiest(trace, 3).arrival_ticks.tolist() == [0, TICKS_PER_S, 2 * TICKS_PER_S], busiest(trace, 5)
    (True, None)
    """
    if len(trace) <= most:
        return None
    firsts = np.arange(0, len(trace) - most + 1, max(1, most // 8))
    ticks = trace.arrival_ticks
    first = int(firsts[np.argmin(ticks[firsts + most - 1] - ticks[firsts])])
    # A second more, so that what comes all at once spans some time too.
    return trace.between(
        int(ticks[first]) / TICKS_PER_S, int(ticks[first + most - 1]) / TICKS_PER_S + 1.0
    )


class Overtaken(Exception):
    """A later question of the same kind was asked while this one waited."""


class Latest:
    """One question at a time; of those that wait, only the last is answered.

    >>> Latest().answer(lambda: 7)
    7
    """

    def __init__(self) -> None:
        self._working = threading.Lock()
        self._counting = threading.Lock()
        self.asked = 0

    def answer(self, work: Callable[[], T]) -> T:
        """Return what the work gives, once nothing else works.

        Raises:
            Overtaken: somebody asked later; nothing was done.
        """
        with self._counting:
            self.asked += 1
            mine = self.asked
        with self._working:
            if mine != self.asked:
                raise Overtaken
            return work()
