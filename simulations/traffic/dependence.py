"""How output goes with input: a Gaussian copula, which ties the ranks and leaves both distributions alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError


def require_rank_correlation(rank_correlation: float) -> None:
    """Refuse what is no rank correlation."""
    if not -1 <= rank_correlation <= 1:
        raise TraceError(f"rank_correlation is {rank_correlation}; must be from -1 to 1")


def joined(
    input_scores: npt.NDArray[np.float64],
    output_scores: npt.NDArray[np.float64],
    rank_correlation: float,
) -> npt.NDArray[np.float64]:
    """Return normal scores of the output [n] whose rank correlation (Spearman) with the input's is this.

    Of normal scores with correlation r it is 6/pi asin(r/2).

    Args:
        input_scores, output_scores: independent, standard normal [n].

    >>> joined(np.array([1.0, 2.0]), np.array([0.5, 0.25]), 1.0).round(6).tolist()
    [1.0, 2.0]
    """
    if rank_correlation == 0:
        return output_scores
    r = 2 * math.sin(math.pi * rank_correlation / 6)
    return r * input_scores + math.sqrt(max(0.0, 1 - r * r)) * output_scores
