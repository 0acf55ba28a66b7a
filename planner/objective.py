"""The promise: which latencies, for which share of requests, how many refusals; and how it is judged.

An `Objective` is data. `Objective.judge` says of one run's outcome whether the promise was kept, and by
how much each part of it was missed. It knows nothing of ranges or money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from simulations.allowance import Allowance, Count, allowance
from simulations.errors import ObjectiveError
from simulations.outcome import Attainment, Limit, Outcome
from simulations.trace import Trace

DEFAULT_TTFT_P95_S = 2.0
DEFAULT_MAX_REFUSED_FRACTION = 0.001

FEWEST_BEYOND = 10
"""A percentile with fewer requests than this beyond it is said to rest on too short a trace (assumed; a
rule of thumb of order statistics)."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A part of the promise and how far a run stayed from it.

    Args:
        limit: its key, such as `ttft_p95_s` or `max_refused_fraction`.
        attained: the share reached (of requests within the latency, or refused).
        required: the share asked for.
    """

    limit: str
    attained: float
    required: float

    @property
    def by(self) -> float:
        """How much is missing, as a share of requests; <= 0 where the part is kept."""
        if self.limit == "max_refused_fraction":
            return self.attained - self.required
        return self.required - self.attained


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run kept the promise, and what it missed, the worst first."""

    holds: bool
    misses: tuple[Miss, ...]

    @property
    def worst(self) -> Miss | None:
        """The part that is missed by the largest share of requests, None where all are kept."""
        return self.misses[0] if self.misses else None


@dataclass(frozen=True, slots=True)
class Objective:
    """A promise to the users of an endpoint.

    Args:
        limits: latencies with their shares.
        max_refused_fraction: requests refused for good, of those that arrived, 0..1.
        hold_in_fraction: share of futures in which the promise must hold.
        is_default: nobody asked for anything, so this is what we took.

    Raises:
        ObjectiveError: two limits for the same percentile, or a share outside 0..1.

    >>> Objective.default().limits[0].key
    'ttft_p95_s'
    """

    limits: tuple[Limit, ...]
    max_refused_fraction: float = DEFAULT_MAX_REFUSED_FRACTION
    hold_in_fraction: float = 0.9
    is_default: bool = False

    def __post_init__(self) -> None:
        keys = [limit.key for limit in self.limits]
        if len(set(keys)) < len(keys):
            raise ObjectiveError(
                f"the limits {', '.join(keys)} name a percentile twice; give each once"
            )
        for name in ("max_refused_fraction", "hold_in_fraction"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ObjectiveError(f"{name} is {getattr(self, name)}; must be between 0 and 1")

    @classmethod
    def default(cls) -> Objective:
        """Return what is promised when nothing is asked for: TTFT p95 of 2 s, 0.1 % refused."""
        return cls((Limit("ttft", 95, DEFAULT_TTFT_P95_S),), is_default=True)

    @property
    def definition(self) -> str:
        """The promise in one sentence, printed with every number."""
        parts = [
            f"at least {limit.percentile} % of arrived requests have "
            + {
                "ttft": f"their first token within {limit.seconds:g} s of their first attempt",
                "e2e": f"their last token within {limit.seconds:g} s of their first attempt",
                "tpot": f"at most {limit.seconds:g} s per output token after the first",
            }[limit.metric]
            for limit in self.limits
        ]
        parts.append(f"at most {100 * self.max_refused_fraction:g} % are refused for good")
        return "; ".join(parts) + ". Refused requests count as never."

    def judge(self, outcome: Outcome) -> Verdict:
        """Return whether an outcome keeps the promise; on exact counts."""
        attained = [outcome.attainment[limit.key] for limit in self.limits]
        return self._verdict(attained, Attainment(outcome.refused, outcome.arrived))

    def judge_count(self, counted: Count, trace: Trace, allowed: Allowance) -> Verdict:
        """Return the same of what a run on a trace counted; of one that stopped, only that it does not hold."""
        if counted.stopped:
            return Verdict(False, ())
        attained = [
            Attainment(int(of) - late, int(of))
            for late, of in zip(counted.late, allowed.applies, strict=True)
        ]
        return self._verdict(attained, Attainment(counted.refused, len(trace)))

    def _verdict(self, attained: Sequence[Attainment], refused: Attainment) -> Verdict:
        misses = [
            Miss(limit.key, counted.fraction, limit.percentile / 100)
            for limit, counted in zip(self.limits, attained, strict=True)
            if not counted.reaches(limit.percentile)
        ]
        if refused.within > Fraction(str(self.max_refused_fraction)) * refused.of:
            misses.append(Miss("max_refused_fraction", refused.fraction, self.max_refused_fraction))
        misses.sort(key=lambda miss: -miss.by)
        return Verdict(not misses, tuple(misses))

    def allowance(self, trace: Trace) -> Allowance:
        """Return how many requests of a trace may be late or refused, for runs that are only judged."""
        return allowance(trace, self.limits, self.max_refused_fraction)

    def shortness_warnings(self, n_requests: int) -> list[str]:
        """Return what this many requests are too few for."""
        warnings = [
            f"{n_requests:,} requests leave {beyond:.3g} beyond p{limit.percentile} of {limit.metric.upper()}: "
            f"the trace is too short for this percentile; take at least {fewest:,} requests"
            for limit in self.limits
            if limit.percentile < 100
            and (beyond := n_requests * (100 - limit.percentile) / 100) < FEWEST_BEYOND
            and (fewest := -(-FEWEST_BEYOND * 100 // (100 - limit.percentile)))
        ]
        if 0 < self.max_refused_fraction * n_requests < 1:
            warnings.append(
                f"{n_requests:,} requests are too few to tell {100 * self.max_refused_fraction:g} % refused from none"
            )
        return warnings
