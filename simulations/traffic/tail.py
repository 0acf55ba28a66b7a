"""The few very long requests: a Pareto tail above a quantile of any distribution of lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from simulations.errors import TraceError


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """The longest requests, as many times as long as where the tail begins by a power law.

    Args:
        fraction: of requests in the tail, above 0 to 0.5.
        index: of the power law, 0.1 to 100; the mean is finite above 1, and a bound cuts it in any case.

    Raises:
        TraceError: a number is out of its range.

    >>> ParetoTail(0.01, 2.0).excess(special.ndtri(np.array([0.5, 0.99, 0.9999]))).round(6).tolist()
    [1.0, 1.0, 10.0]
    """

    fraction: float
    index: float

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 0.5:
            raise TraceError(f"tail_fraction is {self.fraction}; must be above 0 and at most 0.5")
        if not 0.1 <= self.index <= 100:
            raise TraceError(f"tail_index is {self.index}; must be from 0.1 to 100")

    @property
    def begins_at(self) -> float:
        """The normal score at which the tail begins."""
        return float(-special.ndtri(self.fraction))

    def excess(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return lengths over the length at which the tail begins, 1 below it, for normal scores [n]."""
        beyond = np.minimum(special.ndtr(-scores), self.fraction) / self.fraction
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(beyond ** (-1 / self.index))
