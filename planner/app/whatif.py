"""What if: the recommended range and one's own, on other traffic, at once. One future, the compiled kernel.

And one's own beside the answer, in all of its futures; neither moves the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from planner.confidence import allowed_failures
from planner.evidence import Evidence
from planner.experiment import Experiment, Range
from planner.objective import Verdict
from planner.recommendation import Recommendation
from simulations.capacity import Capacity
from simulations.errors import InputError
from simulations.outcome import Outcome, summarise
from simulations.sweeps import threads
from simulations.traffic import Change

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


def look(made: Recommendation, wanted: WhatIf) -> tuple[Seen, Seen | None]:
    """Return what becomes of the recommended range and of one's own.

    The traffic is the recording (of a description, one draw) with the question's own change and these on top.
    """
    there = made.futures.change
    change = Change(
        there.growth * wanted.growth, there.input_factor, there.output_factor * wanted.output_factor
    )
    # Its target stays: it is the endpoint's, whatever the traffic does.
    scaler = made.scenario.autoscaler
    if wanted.start_delay_s is not None:
        scaler = replace(scaler, start_delay_s=wanted.start_delay_s)
    experiment = Experiment(
        made.futures.changed(change) if change != there else made.futures,
        made.offer,
        replace(made.scenario, autoscaler=scaler),
        made.objective,
    )

    def seen(size: Range) -> Seen:
        run = experiment.run(size)
        outcome = summarise(run, made.objective.limits, price=made.offer.price)
        return Seen(run.scenario.capacity, outcome, made.objective.judge(outcome))

    chosen = (made.chosen.min_chunks, made.chosen.max_chunks)
    return seen(chosen), None if wanted.own is None else seen(wanted.own)
