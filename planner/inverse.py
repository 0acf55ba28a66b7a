"""The question turned round: what a budget can promise, and how much growth a range survives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from planner.bench import Bench
from planner.evidence import Evidence
from planner.experiment import Experiment, Range
from planner.jury import Jury, kept_by, margin
from planner.offer import Offer
from simulations.cost import HOURS_PER_MONTH
from simulations.errors import ObjectiveError, PtplanError
from simulations.traffic.futures import MAX_FACTOR

LARGER_MAXIMA = 8
"""How many maxima beyond what the budget pays for around the clock are tried (assumed)."""

GROWTH_STEP = 0.01
"""Growth is found to this much."""


@dataclass(frozen=True, slots=True)
class Attainable:
    """The best that a budget can promise.

    Args:
        budget_usd_per_month: what may be spent.
        capacity: the range that comes nearest to the promise, or keeps it with most to spare.
        usd_per_month: its mean cost.
        holds: whether it keeps the promise that was asked for.
        successes, futures: in how many it does.
        promises: for each limit the seconds that it can promise in the share of futures asked for, by key; None
            where so many are refused that no time can be promised. Under `max_refused_fraction` the share.
    """

    budget_usd_per_month: float
    capacity: Range
    usd_per_month: float
    holds: bool
    successes: int
    futures: int
    promises: dict[str, float | None]


def best_within(bench: Bench, budget_usd_per_month: float, *, allow_zero: bool) -> Attainable:
    """Return the best promise that a budget pays for.

    Tried are the largest fixed size within the budget, and larger maxima with the largest minimum that keeps
    the mean cost within it. The best is the one whose tightest part is kept by most in the hardest futures.

    Raises:
        ObjectiveError: as `usd_per_chunk_hour`, or not even a range from zero is within the budget.
    """
    price = usd_per_chunk_hour(bench.offer, budget_usd_per_month, allow_zero=allow_zero)
    whole = int(budget_usd_per_month / (price * HOURS_PER_MONTH) * (1 + 1e-12))
    sizes = [(whole, whole)] if whole >= 1 else []
    if not bench.fixed_only:
        lowest = 0 if allow_zero else 1
        for high in range(max(1, whole + 1), whole + 1 + LARGER_MAXIMA):
            low = _largest_minimum(bench, high, min(whole, high), lowest, budget_usd_per_month)
            if low is not None:
                sizes.append((low, high))
    if not sizes:
        raise _pays_for_nothing(budget_usd_per_month, price, "")
    best = max(sizes, key=lambda size: (_worst_margins(bench, size), -size[1]))
    bench.measure(best, bench.screening)
    trial = bench.trial(best)
    cost = trial.usd_per_month
    assert cost is not None
    return Attainable(
        budget_usd_per_month,
        best,
        cost,
        trial.verdict.holds,
        trial.evidence.successes,
        trial.tried,
        _promises(bench, trial.evidence),
    )


def usd_per_chunk_hour(offer: Offer, budget_usd_per_month: float, *, allow_zero: bool) -> float:
    """Return the price of a chunk, once it is seen that a budget can pay for one: before anything is simulated.

    Raises:
        ObjectiveError: no price is known, the budget is not above 0, or it pays for nothing.
    """
    usd = offer.price.usd_per_chunk_hour
    if usd is None:
        raise ObjectiveError(
            "--budget needs a price, and none is known for this model and chunk; give --usd-per-chunk-hour"
        )
    if not 0 < budget_usd_per_month < float("inf"):
        raise ObjectiveError(f"--budget is {budget_usd_per_month:g}; must be above 0 USD a month")
    if budget_usd_per_month * (1 + 1e-12) < usd * HOURS_PER_MONTH and not allow_zero:
        raise _pays_for_nothing(
            budget_usd_per_month, usd, "" if offer.in_units else ", or --allow-zero"
        )
    return usd


def _pays_for_nothing(
    budget_usd_per_month: float, usd_per_chunk_hour: float, hint: str
) -> ObjectiveError:
    return ObjectiveError(
        f"--budget is {budget_usd_per_month:,.0f} USD a month, which pays for less than one chunk around the "
        f"clock ({usd_per_chunk_hour * HOURS_PER_MONTH:,.0f} USD); give more{hint}"
    )


def _largest_minimum(bench: Bench, high: int, most: int, lowest: int, budget: float) -> int | None:
    """Return the largest minimum whose mean cost with this maximum is within the budget."""

    def within(low: int) -> bool:
        cost = bench.attempt(low, high).usd_per_month
        return cost is not None and cost <= budget

    if most < lowest or not within(lowest):
        return None
    low, beyond = lowest, most + 1
    while beyond - low > 1:
        middle = (low + beyond) // 2
        if within(middle):
            low = middle
        else:
            beyond = middle
    return low


def _worst_margins(bench: Bench, size: Range) -> list[float]:
    """Return how the promise is kept in the futures every range is run in, the worst first."""
    trial = bench.completed(bench.attempt(*size))
    return sorted(margin(bench.objective, o) for o in trial.evidence.outcomes.values())[:1]


def _promises(bench: Bench, evidence: Evidence) -> dict[str, float | None]:
    """Return for each limit what holds in as many futures as may be asked for."""
    place = max(0, len(evidence.outcomes) - 1 - bench.allowed)
    found: dict[str, float | None] = {}
    for limit in bench.objective.limits:
        seconds = [outcome.latency_s[limit.key] for outcome in evidence.outcomes.values()]
        ordered = sorted(float("inf") if value is None else value for value in seconds)
        found[limit.key] = None if ordered[place] == float("inf") else ordered[place]
    refused = sorted(outcome.refused_fraction for outcome in evidence.outcomes.values())
    found["max_refused_fraction"] = refused[place]
    return found


@dataclass(frozen=True, slots=True)
class Survival:
    """How much more traffic a range bears.

    Args:
        growth: the largest found at which the promise is kept, as a multiple of what was judged on.
        fails_at: the smallest found at which it is not, None where it never failed.
        limit: the part of the promise that fails there, None where none.
        futures: on how many of the hardest futures this was judged.
    """

    growth: float
    fails_at: float | None
    limit: str | None
    futures: int


def grow_until_fails(experiment: Experiment, size: Range, jury: Jury) -> Survival:
    """Return how much growth a range survives, by doubling and bisection to a hundredth.

    More traffic is more of the same: further copies of the same days, drawn on their own.
    """
    base = experiment.futures.change.growth

    def at(growth: float) -> Experiment:
        change = replace(experiment.futures.change, growth=base * growth)
        return replace(experiment, futures=experiment.futures.changed(change))

    def holds(growth: float) -> bool:
        try:
            return jury.holds(at(growth), size)
        except PtplanError:
            return False

    good, bad = 1.0, 2.0
    while holds(bad):
        good, bad = bad, 2 * bad
        if base * bad > MAX_FACTOR:
            return Survival(good, None, None, len(jury.futures))
    while bad - good > GROWTH_STEP * good:
        middle = (good + bad) / 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    outcome = at(bad).outcome(size, jury.futures[-1])
    spare = kept_by(experiment.objective, outcome)
    keys = [*(limit.key for limit in experiment.objective.limits), "max_refused_fraction"]
    return Survival(good, bad, keys[_argmin(spare)], len(jury.futures))


def _argmin(values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda place: values[place])
