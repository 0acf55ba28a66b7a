"""How many tokens a request has: a lognormal between two bounds. Knows nothing of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.trace import MAX_REQUEST_TOKENS, TokenArray
from simulations.traffic.tail import ParetoTail

Z95 = 1.6448536269514722
"""The 95th percentile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Token counts whose logarithm is normal, rounded, and moved to the nearer bound beyond.

    Args:
        median_tokens: > 0.
        sigma: standard deviation of the natural logarithm, >= 0.
        min_tokens, max_tokens: bounds, 0 <= min <= max.
        tail: what the longest follow instead.

    Raises:
        TraceError: a number is out of its range.

    >>> LogNormal.from_p95(100, 1000).sigma
    1.3998...
    """

    median_tokens: float
    sigma: float
    min_tokens: int = 1
    max_tokens: int = 131_072
    tail: ParetoTail | None = None

    def __post_init__(self) -> None:
        if not 0 < self.median_tokens < math.inf:
            raise TraceError(f"median_tokens is {self.median_tokens}; must be above 0")
        if not 0 <= self.sigma < math.inf:
            raise TraceError(f"sigma is {self.sigma}; must be >= 0")
        require_bounds(self.min_tokens, self.max_tokens)

    @classmethod
    def from_p95(
        cls,
        median_tokens: float,
        p95_tokens: float,
        *,
        min_tokens: int = 1,
        max_tokens: int = 131_072,
        tail: ParetoTail | None = None,
    ) -> LogNormal:
        """Return the distribution with a median and a 95th percentile, before bounds."""
        if not 0 < median_tokens <= p95_tokens < math.inf:
            raise TraceError(
                f"p95_tokens is {p95_tokens}; must be at least median_tokens ({median_tokens}), "
                "which must be above 0"
            )
        sigma = math.log(p95_tokens / median_tokens) / Z95
        return cls(median_tokens, sigma, min_tokens, max_tokens, tail)

    @classmethod
    def from_mean(
        cls,
        mean_tokens: float,
        sigma: float,
        *,
        min_tokens: int = 1,
        max_tokens: int = 131_072,
        tail: ParetoTail | None = None,
    ) -> LogNormal:
        """Return the distribution with a mean and a sigma, before bounds."""
        if not (0 < mean_tokens < math.inf and 0 <= sigma < 10):
            raise TraceError(
                f"mean_tokens is {mean_tokens} and sigma is {sigma}; must be above 0, and from 0 "
                "to below 10"
            )
        return cls(mean_tokens * math.exp(-(sigma**2) / 2), sigma, min_tokens, max_tokens, tail)

    def at(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return lengths [n] at normal scores [n], before rounding and bounds."""
        excess = None
        if self.tail is not None:
            excess = self.tail.excess(scores)
            scores = np.minimum(scores, self.tail.begins_at)
        tokens = scores * self.sigma
        with np.errstate(over="ignore"):
            np.exp(tokens, out=tokens)
            tokens *= self.median_tokens
            if excess is not None:
                tokens *= excess
        return tokens


def require_bounds(min_tokens: int, max_tokens: int) -> None:
    """Refuse bounds that are none.

    Raises:
        TraceError: one is out of its range.
    """
    if min_tokens < 0:
        raise TraceError(f"min_tokens is {min_tokens}; must be >= 0")
    if not min_tokens <= max_tokens <= MAX_REQUEST_TOKENS:
        raise TraceError(
            f"max_tokens is {max_tokens}; must be from min_tokens ({min_tokens}) "
            f"to {MAX_REQUEST_TOKENS}"
        )


def rounded(tokens: npt.NDArray[np.float64], *, min_tokens: int, max_tokens: int) -> TokenArray:
    """Return lengths as int32[n] whole numbers within bounds; the argument is overwritten."""
    np.rint(tokens, out=tokens)
    return np.clip(tokens, min_tokens, max_tokens).astype(np.int32)
