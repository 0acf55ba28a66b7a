"""The token lengths of a trace: a table of quantiles, a Pareto tail, and how output goes with input."""

from __future__ import annotations

import numpy as np
from scipy import stats

from simulations.trace import TokenArray, Trace
from simulations.traffic.quantiles import QuantileTable

FRACTIONS = (
    0.0, 0.001, 0.005, 0.01, 0.025, *(i / 40 for i in range(2, 39)), 0.975, 0.98, 0.985, 0.99, 0.9925, 0.995,
)  # fmt: skip
"""The quantiles that are kept."""

FEWEST_IN_TAIL = 50
"""A power law is told from so many requests; with fewer above the last quantile, there is none."""

MOST_RANKED = 200_000


def fit_lengths(tokens: TokenArray, *, least: int) -> QuantileTable:
    """Return the quantiles of lengths, and the power law that the longest follow (Hill's estimate).

    The longest length seen is the bound: a context limit makes it, and a longer one was never seen.

    Args:
        tokens: [n], n >= 1.
        least: that a length can be.

    >>> fit_lengths(np.arange(1, 101, dtype=np.int32), least=1).tokens[-1]
    100.0
    """
    ordered = np.sort(tokens)
    n = len(ordered)
    n_in_tail = int(n * (1 - FRACTIONS[-1]))
    fractions = FRACTIONS if n_in_tail >= FEWEST_IN_TAIL else (*FRACTIONS, 1.0)
    # A rounded length stands for half a token around it, so quantiles are of the values themselves.
    values = np.quantile(ordered, fractions, method="inverted_cdf").astype(float)
    low, high = max(least, int(ordered[0])), int(ordered[-1])
    lengths = tuple(values.tolist())
    begins = values[-1]
    if fractions[-1] < 1 and begins > 0:
        excess = np.log(ordered[-n_in_tail:] / begins).mean()
        if excess > 0.01:
            index = float(f"{max(0.1, 1 / excess):.4g}")
            return QuantileTable.with_tail(
                fractions, lengths, tail_index=index, min_tokens=low, max_tokens=high
            )
    if fractions[-1] < 1:
        fractions, lengths = (*fractions, 1.0), (*lengths, float(ordered[-1]))
    return QuantileTable(fractions, lengths, low, high)


def rank_correlation(trace: Trace) -> float | None:
    """Return Spearman's of input and output, None where one of them does not vary.

    Of a long trace, over evenly spaced requests.
    """
    rows = slice(None, None, max(1, -(-len(trace) // MOST_RANKED)))
    columns = trace.input_tokens[rows], trace.output_tokens[rows]
    if any(column.min() == column.max() for column in columns):
        return None
    return float(stats.spearmanr(*columns).statistic)


def cached_fraction(trace: Trace) -> float:
    """Return the share of all input tokens that was cached."""
    cached = int(trace.cached_tokens.sum(dtype=np.int64))
    return cached / int(trace.input_tokens.sum(dtype=np.int64))
