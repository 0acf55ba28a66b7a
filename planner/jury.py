"""The futures that decide a verdict, for asking it again with something changed at a small price.

A range may fail in a few futures. So whether it still holds turns on the hardest ones: it does as long as
one more of them than may fail is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner.evidence import Evidence
from planner.experiment import Experiment, Range
from planner.objective import Objective
from simulations.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Jury:
    """The futures in which a range comes nearest to failing, the hardest first.

    Args:
        futures: as many as may fail and one more, or fewer where a verdict must be cheap.
    """

    futures: tuple[int, ...]

    @classmethod
    def of(cls, evidence: Evidence, allowed_failures: int, *, at_most: int | None = None) -> Jury:
        """Return the futures on which the verdict of a range turns.

        Args:
            evidence: what was seen of it.
            allowed_failures: how many futures may fail.
            at_most: no more than these, the ones at which it tips.
        """
        margins = {f: margin(evidence.objective, o) for f, o in evidence.outcomes.items()}
        ordered = sorted(margins, key=lambda future: (margins[future], future))
        seats = ordered[: allowed_failures + 1]
        return cls(tuple(seats[-at_most:] if at_most else seats))

    def holds(self, experiment: Experiment, size: Range) -> bool:
        """Whether a range keeps the promise in one of these futures at least."""
        return any(experiment.keeps(size, future) for future in reversed(self.futures))

    def margin(self, experiment: Experiment, size: Range) -> float:
        """Return by which share of requests a range keeps its promise, in the future at which it tips."""
        outcome = experiment.outcome(size, self.futures[-1])
        return margin(experiment.objective, outcome)


def margin(objective: Objective, outcome: Outcome) -> float:
    """Return by which share of requests the tightest part of a promise is kept; below 0 where it is missed."""
    return min(kept_by(objective, outcome))


def kept_by(objective: Objective, outcome: Outcome) -> Sequence[float]:
    """Return by which share of requests each part of a promise is kept: the limits, then the refusals."""
    spare = [
        outcome.attainment[limit.key].fraction - limit.percentile / 100
        for limit in objective.limits
    ]
    return [*spare, objective.max_refused_fraction - outcome.refused_fraction]
