"""Gaps between requests: independent, of mean 1 in operational time, as regular or as irregular as asked.

Operational time counts expected requests: what is drawn here at one request a unit becomes traffic at
any rate when `operational` stretches it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # which imports its parts when they are used: half a second that most do not need

from simulations.errors import TraceError

GAPS = ("poisson", "gamma", "weibull")
LEAST_CV, MOST_CV = 0.05, 50.0
"""Beyond these a clock ticks, or everything comes at once."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewal process of rate 1 in its steady state: it did not begin at time 0.

    Args:
        gaps: what the gaps are drawn from: `poisson` (exponential), `gamma` or `weibull`.
        cv: their standard deviation over their mean, 0.05 to 50; 1 for `poisson`. The dispersion of
            counts in windows of many requests is its square.

    Raises:
        TraceError: an unknown kind, or a CV that is out of its range.

    >>> round(Renewal("weibull", 2.0).shape, 4)
    0.5427
    """

    gaps: str = "poisson"
    cv: float = 1.0

    def __post_init__(self) -> None:
        if self.gaps not in GAPS:
            raise TraceError(f"gaps is {self.gaps!r}; must be {', '.join(GAPS[:-1])} or {GAPS[-1]}")
        if self.gaps == "poisson" and self.cv != 1:
            raise TraceError(
                f"cv is {self.cv} and gaps is 'poisson', whose CV is 1; say gaps = 'gamma' or 'weibull'"
            )
        if not LEAST_CV <= self.cv <= MOST_CV:
            raise TraceError(f"cv is {self.cv}; must be from {LEAST_CV} to {MOST_CV:g}")

    @property
    def shape(self) -> float:
        """The shape parameter: 1 is exponential, below it clustered, above it regular."""
        if self.gaps == "gamma":
            return 1 / self.cv**2
        return weibull_shape(self.cv) if self.gaps == "weibull" else 1.0

    def points(self, end: float, random: np.random.Generator) -> Iterator[npt.NDArray[np.float64]]:
        """Yield the points in [0, end), in order, in blocks."""
        shape = self.shape
        last = self._first(shape, random)
        yield np.array([last] if last < end else [])
        while last < end:
            n = min(_BLOCK, int((end - last) * 1.01) + 64)
            points = self._gaps(shape, n, random)
            points[0] += last
            np.cumsum(points, out=points)
            last = float(points[-1])
            yield points if last < end else points[: int(np.searchsorted(points, end))]

    def _gaps(self, shape: float, n: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
        if self.gaps == "gamma":
            gaps = random.standard_gamma(shape, n)
            gaps /= shape
            return gaps
        gaps = random.standard_exponential(n)
        if self.gaps == "weibull":
            np.power(gaps, 1 / shape, out=gaps)
            gaps /= scipy.special.gamma(1 + 1 / shape)
        return gaps

    def _first(self, shape: float, random: np.random.Generator) -> float:
        """Return the time to the first point for one who looks at any moment.

        He is more likely to look into a long gap: that gap has the density x f(x), which for gamma is
        gamma of shape + 1, and for Weibull the power of a gamma of 1 + 1/shape; he sees a uniform part.
        """
        if self.gaps == "gamma":
            gap = random.standard_gamma(shape + 1) / shape
        elif self.gaps == "weibull":
            gap = random.standard_gamma(1 + 1 / shape) ** (1 / shape) / scipy.special.gamma(
                1 + 1 / shape
            )
        else:
            return float(random.standard_exponential())
        return float(gap * random.random())


def weibull_shape(cv: float) -> float:
    """Return the shape of the Weibull distribution with this CV.

    >>> round(weibull_shape(1.0), 9)
    1.0
    """

    def off(shape: float) -> float:
        logs = scipy.special.gammaln(1 + 2 / shape) - 2 * scipy.special.gammaln(1 + 1 / shape)
        return float(logs) - math.log1p(cv * cv)

    return float(scipy.optimize.brentq(off, 0.1, 100.0, xtol=1e-12))
