"""What was seen of one range: whether the promise held in each future it was run in, and the outcome of some.

Knows neither how futures are made nor which one is run next.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from planner.confidence import spread
from planner.objective import Miss, Objective, Verdict
from simulations.outcome import Outcome


@dataclass(frozen=True, eq=False)
class Evidence:
    """The outcomes of one range, by the number of the future.

    Args:
        outcomes: of the futures that were run to the end, at least one.
        objective: the promise.
        common: the futures in which every range was run, so that figures compare; all that there are, unless
            told otherwise.
        only_judged: of further futures, whether the promise held; what was missed there is known of one at
            least, unless it failed in one of the common ones.
    """

    outcomes: Mapping[int, Outcome]
    objective: Objective
    common: Sequence[int] = ()
    only_judged: Mapping[int, Verdict] = field(default_factory=dict)

    @cached_property
    def verdicts(self) -> dict[int, Verdict]:
        """Whether the promise held, by future."""
        judged = {n: self.objective.judge(outcome) for n, outcome in self.outcomes.items()}
        return {**judged, **self.only_judged}

    @property
    def failing(self) -> list[int]:
        """The futures in which the promise did not hold, the worst first as far as that is known."""
        failing = [number for number, verdict in self.verdicts.items() if not verdict.holds]
        return sorted(failing, key=lambda number: (-_shortfall(self.verdicts[number]), number))

    @property
    def tried(self) -> int:
        """In how many futures the range was run."""
        return len(self.outcomes) + len(self.only_judged)

    @property
    def successes(self) -> int:
        """Futures in which the promise held."""
        return self.tried - len(self.failing)

    def verdict(self, allowed_failures: int) -> Verdict:
        """Return whether enough futures keep the promise, and what the failing ones miss on average.

        The average is over those that every range was run in, where it fails in such, so that it compares.
        """
        if len(self.failing) <= allowed_failures:
            return Verdict(True, ())
        common = [number for number in self.failing if number in self.common]
        failing = [self.verdicts[number] for number in common or self.failing]
        found: dict[str, list[Miss]] = {}
        for verdict in failing:
            for miss in verdict.misses:
                found.setdefault(miss.limit, []).append(miss)
        misses = [
            Miss(limit, fmean(miss.attained for miss in each), each[0].required)
            for limit, each in found.items()
        ]
        return Verdict(False, tuple(sorted(misses, key=lambda miss: -miss.by)))

    @cached_property
    def mean(self) -> dict[str, Any]:
        """The mean figures over the common futures; None where one does not know it."""
        numbers = self.common or tuple(self.outcomes)
        return means([self.outcomes[number].figures() for number in numbers])

    def spreads(self, numbers: Iterable[int] | None = None) -> dict[str, Any]:
        """Return every figure with its interval and spread over futures: `Spread`s, by key."""
        chosen = list(self.outcomes if numbers is None else numbers)
        merged = _merged([self.outcomes[number].figures() for number in chosen], spread)
        for key, value in merged.items():
            if isinstance(value, dict):
                merged[key] = {part: value[part].within(0.0, 1.0) for part in value}
            else:
                merged[key] = value.within(0.0, 1.0 if key.endswith("_fraction") else math.inf)
        return merged


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of each figure; None where one row does not know it, a whole number where all agree on one."""
    return _merged(rows, _mean)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return known[0] if all(value == known[0] for value in known) else fmean(known)


def _merged(rows: Sequence[Mapping[str, Any]], merge: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, value in rows[0].items():
        if isinstance(value, dict):
            merged[key] = {part: merge([row[key][part] for row in rows]) for part in value}
        else:
            merged[key] = merge([row[key] for row in rows])
    return merged


def _shortfall(verdict: Verdict) -> float:
    return verdict.worst.by if verdict.worst else 0.0
