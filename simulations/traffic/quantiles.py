"""How many tokens a request has, by a table of quantiles: any shape that was seen. Knows nothing of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from simulations.errors import TraceError
from simulations.traffic.lengths import require_bounds
from simulations.traffic.tail import ParetoTail


@dataclass(frozen=True, slots=True)
class QuantileTable:
    """Token counts with these quantiles, straight in between, rounded, moved to the nearer bound beyond.

    Args:
        fractions: of requests at most so long, increasing from 0 to at most 1 [n], n >= 2. Where the
            last is below 1, `tail` takes over, or the last length is the longest.
        tokens: the lengths, not decreasing, >= 0 [n].
        min_tokens, max_tokens: bounds, 0 <= min <= max.
        tail: above the last fraction; its own fraction is the rest.

    Raises:
        TraceError: a number is out of its range.

    >>> table = QuantileTable((0.0, 0.5, 1.0), (0.0, 100.0, 300.0), min_tokens=0)
    >>> table.at(special.ndtri(np.array([0.25, 0.5, 0.75]))).round(9).tolist()
    [50.0, 100.0, 200.0]
    """

    fractions: tuple[float, ...]
    tokens: tuple[float, ...]
    min_tokens: int = 1
    max_tokens: int = 131_072
    tail: ParetoTail | None = None

    def __post_init__(self) -> None:
        n = len(self.fractions)
        if n != len(self.tokens) or n < 2:
            raise TraceError(
                f"quantile_fractions has {n} values and quantile_tokens {len(self.tokens)}; "
                "must be equally many, two or more"
            )
        if not all(0 <= x <= 1 for x in self.fractions) or self.fractions[0] != 0:
            raise TraceError("quantile_fractions must begin with 0 and stay from 0 to 1")
        if not all(a < b for a, b in zip(self.fractions, self.fractions[1:], strict=False)):
            raise TraceError("quantile_fractions must increase")
        if not all(0 <= x < math.inf for x in self.tokens):
            raise TraceError("quantile_tokens must be >= 0")
        if not all(a <= b for a, b in zip(self.tokens, self.tokens[1:], strict=False)):
            raise TraceError("quantile_tokens must not decrease")
        require_bounds(self.min_tokens, self.max_tokens)

    @classmethod
    def with_tail(
        cls,
        fractions: tuple[float, ...],
        tokens: tuple[float, ...],
        *,
        tail_index: float,
        min_tokens: int = 1,
        max_tokens: int = 131_072,
    ) -> QuantileTable:
        """Return the table with a Pareto tail above its last fraction."""
        rest = 1 - fractions[-1] if fractions else 0.0
        if not 0 < rest <= 0.5:
            raise TraceError(
                "tail_index is there, and quantile_fractions must end from 0.5 to below 1 for it"
            )
        return cls(fractions, tokens, min_tokens, max_tokens, ParetoTail(rest, tail_index))

    def at(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return lengths [n] at normal scores [n], before rounding and bounds."""
        tokens: npt.NDArray[np.float64] = np.interp(
            special.ndtr(scores), self.fractions, self.tokens
        )
        if self.tail is not None:
            tokens *= self.tail.excess(scores)
        return tokens
