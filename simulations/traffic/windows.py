"""Requests counted in windows of a recording, those that a hole touches left out.

A hole is a time that was not recorded, not one without requests: it counts in no mean and in no variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.statistics import Hole
from simulations.ticks import TICKS_PER_S
from simulations.trace import IntArray

FloatArray = npt.NDArray[np.float64]


class Windows(NamedTuple):
    """Full windows that were recorded whole.

    Args:
        t_s: where each begins [n].
        counts: requests in each [n].
    """

    t_s: FloatArray
    counts: IntArray

    @property
    def dispersion(self) -> float | None:
        """Sample variance over mean, None below two windows or without requests."""
        if len(self.counts) < 2 or not self.counts.any():
            return None
        return float(self.counts.var(ddof=1) / self.counts.mean())

    @property
    def peak_to_mean(self) -> float | None:
        """Largest over mean, None likewise."""
        if len(self.counts) < 2 or not self.counts.any():
            return None
        return float(self.counts.max() / self.counts.mean())


def windows(
    arrival_ticks: IntArray, span_s: float, width_s: float, holes: Sequence[Hole] = ()
) -> Windows:
    """Return the requests in windows from tick 0.

    Args:
        arrival_ticks: sorted [n].
        width_s: whole microseconds, > 0.

    >>> ticks = np.arange(0, 10) * TICKS_PER_S
    >>> windows(ticks, 10.0, 2.0, [Hole(3.0, 2.5)]).counts.tolist()
    [2, 2, 2]
    """
    width = round(width_s * TICKS_PER_S)
    n = int(round(span_s * TICKS_PER_S) // width)
    edges = np.arange(n + 1, dtype=np.int64) * width
    counts = np.diff(np.searchsorted(arrival_ticks, edges))
    t_s = edges[:-1] / TICKS_PER_S
    seen = np.ones(n, bool)
    for hole in holes:
        first, last = int(hole.start_s // width_s), (hole.start_s + hole.length_s) / width_s
        seen[first : int(np.ceil(last))] = False
    return Windows(t_s[seen], counts[seen])


def seen_s(t_s: FloatArray, holes: Sequence[Hole]) -> FloatArray:
    """Return how many seconds before times [n] were recorded.

    >>> seen_s(np.array([5.0, 15.0, 30.0]), [Hole(10.0, 10.0)]).tolist()
    [5.0, 10.0, 20.0]
    """
    if not holes:
        return t_s
    edges = np.array([edge for h in holes for edge in (h.start_s, h.start_s + h.length_s)])
    lost = np.repeat(np.cumsum([hole.length_s for hole in holes]), 2)
    lost[0::2] = np.concatenate([[0.0], lost[1:-1:2]])
    return np.asarray(t_s - np.interp(t_s, edges, lost, left=0.0))


def gaps_cv(arrival_ticks: IntArray, holes: Sequence[Hole] = ()) -> float | None:
    """Return sample standard deviation over mean of the gaps, holes left out; None below three requests."""
    gaps = np.diff(arrival_ticks).astype(float)
    if holes:
        lost = [hole.start_s for hole in holes]
        at = np.searchsorted(arrival_ticks / TICKS_PER_S, np.array(lost), side="right") - 1
        gaps = np.delete(gaps, at[(at >= 0) & (at < len(gaps))])
    if len(gaps) < 2 or not gaps.any():
        return None
    return float(gaps.std(ddof=1) / gaps.mean())
