"""How sure: of how many futures a range must keep the promise, and between what its figures lie.

A future is one whole run. Requests within a run depend on each other, so an interval over the requests of
one run is wrong (at 90 % load it covers 8 % where it says 95 %); everything here is over futures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
"""Of the bound on the share of futures (one side) and of the intervals of figures (two sides)."""

DEFAULT_FUTURES = 61
"""The fewest from which two that fail still leave a bound of 90 % (design; Clopper and Pearson 1934)."""


def lowest_share(successes: int, futures: int) -> float:
    """Return what share of all futures keeps the promise at the least, with 95 % confidence.

    The one-sided bound of Clopper and Pearson 1934 (Biometrika 26), exact for independent futures.

    >>> round(lowest_share(61, 61), 4), round(lowest_share(59, 61), 4), lowest_share(0, 5)
    (0.9521, 0.9004, 0.0)
    """
    # scipy.stats would say the same, two seconds of import later.
    from scipy.special import betaincinv

    if successes == 0:
        return 0.0
    return float(betaincinv(successes, futures - successes + 1, 1 - CONFIDENCE))


def share_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return between which shares the truth lies with 95 % confidence, on two sides; `trials` >= 1.

    Clopper and Pearson 1934 again, exact for independent trials.

    >>> [round(bound, 4) for bound in share_interval(3, 4)], share_interval(0, 1)[0], share_interval(1, 1)[1]
    ([0.1941, 0.9937], 0.0, 1.0)
    """
    from scipy.special import betaincinv

    tail, failures = (1 - CONFIDENCE) / 2, trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return low, high


@lru_cache(maxsize=1024)
def allowed_failures(futures: int, hold_in_fraction: float) -> int | None:
    """Return how many futures may fail so that the bound still reaches the share; None: even none is too many.

    >>> [allowed_failures(n, 0.9) for n in (28, 29, 46, 61)]
    [None, 0, 1, 2]
    """
    allowed = None
    for failures in range(futures + 1):
        if lowest_share(futures - failures, futures) < hold_in_fraction:
            break
        allowed = failures
    return allowed


def fewest_futures(hold_in_fraction: float) -> int | None:
    """Return how many futures it takes for a bound at the share, if none fails; None where none can do.

    >>> fewest_futures(0.9), fewest_futures(0.99), fewest_futures(1.0)
    (29, 299, None)
    """
    if hold_in_fraction >= 1:
        return None
    if hold_in_fraction <= 0:
        return 1
    # With no failure the bound is alpha ** (1 / n).
    return max(1, math.ceil(math.log(1 - CONFIDENCE) / math.log(hold_in_fraction) - 1e-9))


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over futures.

    Args:
        value: its mean, None where it is unknown in some future.
        low, high: the 95 % interval of the mean over futures, None for one future.
        p05, p95: the spread over futures, nearest-rank, None for one future.
        unknown: futures in which it is not known, or never reached.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p05: float | None = None
    p95: float | None = None
    unknown: int = 0

    def within(self, least: float, most: float) -> Spread:
        """Return the same with its interval cut to what the figure can be.

        >>> Spread(0.99, 0.97, 1.01).within(0, 1).high
        1
        """
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, least), high=min(self.high, most))


def spread(values: Sequence[float | None]) -> Spread:
    """Return a figure over futures; where some do not know it, only how many.

    >>> spread([1.0, 2.0, 3.0]).value, spread([4.0]), spread([1.0, None]).unknown
    (2.0, Spread(value=4.0, low=None, high=None, p05=None, p95=None, unknown=0), 1)
    """
    known = [value for value in values if value is not None]
    unknown = len(values) - len(known)
    if unknown or not known:
        return Spread(None, unknown=unknown)
    numbers = np.array(known, dtype=float)
    n, mean = len(numbers), float(numbers.mean())
    if n == 1:
        return Spread(mean)
    error = float(numbers.std(ddof=1)) / n**0.5
    below, above = _deviations(numbers, _students_t(n - 1))
    ordered = np.sort(numbers)
    return Spread(
        mean,
        mean - below * error,
        mean + above * error,
        float(ordered[max(0, -(-5 * n // 100) - 1)]),
        float(ordered[-(-95 * n // 100) - 1]),
    )


def _deviations(numbers: npt.NDArray[np.float64], t: float) -> tuple[float, float]:
    """Return how many standard errors the truth may lie below and above the mean: Student's t, for skewed figures.

    Latencies and attainments are skewed over futures, and the plain interval then covers too little: of 20
    futures at half load 91 % instead of 95 % (docs/validation/coverage.txt). The transformation of Hall 1992
    (Journal of the Royal Statistical Society B 54) takes the skew out.
    """
    n, about = len(numbers), numbers - numbers.mean()
    deviation = float((about**2).mean()) ** 0.5
    if deviation == 0:
        return t, t
    skew = float(((about / deviation) ** 3).mean())
    bend = skew / (3 * math.sqrt(n))
    if abs(bend) < 1e-6:
        return t, t

    def undone(z: float) -> float:
        return (float(np.cbrt(1 + 3 * bend * (z - bend / 2))) - 1) / bend

    return undone(t), -undone(-t)


@lru_cache(maxsize=256)
def _students_t(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2))
