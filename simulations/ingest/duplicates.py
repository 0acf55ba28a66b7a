"""Requests that are there more than once: counted and kept, as a coarse clock makes them too.

It knows a trace's columns, not where they came from.
"""

from __future__ import annotations

import numpy as np

from simulations.trace import Trace

_CHUNK_ROWS = 1 << 22
"""Rows that are searched at a time, to bound the memory."""


def count_duplicates(trace: Trace) -> int:
    """Return how many requests equal another in arrival and all counts; the first does not count.

    >>> count_duplicates(Trace.build([0, 0, 0, 1], [5, 6, 5, 5], [1, 1, 1, 1]))
    1
    """
    ticks = trace.arrival_ticks
    n_found = 0
    start = 0
    while start < len(ticks):
        # Equal arrivals stay in one chunk.
        last = ticks[min(start + _CHUNK_ROWS, len(ticks)) - 1]
        end = int(np.searchsorted(ticks, last, side="right"))
        tied = np.flatnonzero(ticks[start : end - 1] == ticks[start + 1 : end]) + start
        rows = np.union1d(tied, tied + 1)
        columns = (trace.output_tokens, trace.cached_tokens, trace.input_tokens, ticks)
        ordered = np.lexsort([column[rows] for column in columns])
        same = np.ones(max(len(rows) - 1, 0), np.bool_)
        for column in columns:
            values = column[rows][ordered]
            same &= values[1:] == values[:-1]
        n_found += int(np.count_nonzero(same))
        start = end
    return n_found
