"""Operational time: a clock that counts expected requests, so that any rate is a stretched rate of 1.

Points that come one a unit on this clock come at the described rate on the wall's. Dispersion over
many requests and the law of gaps between few survive the stretching.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.traffic.on_off import OnOff

FloatArray = npt.NDArray[np.float64]

CELL_S = 60.0
FEWEST_CELLS = 256
"""A rate is taken at the middle of cells no longer than this, and of at least so many."""


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Expected requests up to each of some times; straight in between.

    Args:
        edges_s: times since the beginning, increasing, the first 0 [n + 1].
        passed: expected requests up to them, not decreasing, the first 0 [n + 1].
    """

    edges_s: FloatArray
    passed: FloatArray

    @property
    def total(self) -> float:
        """Expected requests until the end."""
        return float(self.passed[-1])

    def at_s(self, points: FloatArray) -> FloatArray:
        """Return when points of operational time [n] are, in seconds since the beginning."""
        return np.interp(points, self.passed, self.edges_s)

    def passed_at(self, t_s: FloatArray) -> FloatArray:
        """Return the expected requests up to times [n] in seconds since the beginning."""
        return np.interp(t_s, self.edges_s, self.passed)

    def modulated(self, on_off: OnOff, random: np.random.Generator) -> Clock:
        """Return the clock of the same rate in bursts, drawn once."""
        begins_on, switches_s = on_off.switches_s(float(self.edges_s[-1]), random)
        edges_s = np.sort(np.concatenate([self.edges_s, switches_s]), kind="stable")
        middles_s = (edges_s[1:] + edges_s[:-1]) / 2
        is_on = (np.searchsorted(switches_s, middles_s) % 2 == 0) == begins_on
        factor = np.where(is_on, on_off.on_factor, on_off.off_factor)
        gone = np.diff(self.passed_at(edges_s)) * factor
        return Clock(edges_s, np.concatenate([[0.0], np.cumsum(gone)]))


def clock_of(
    per_s: Callable[[FloatArray], FloatArray], duration_s: float, edges_s: Iterable[FloatArray] = ()
) -> Clock:
    """Return the clock of a rate.

    Args:
        per_s: from times in seconds since the beginning [n] to requests a second [n].
        edges_s: where the rate jumps or bends; in between it is taken at the middle of short cells.

    >>> clock = clock_of(lambda t_s: np.where(t_s < 50, 1.0, 3.0), 100.0, [np.array([50.0])])
    >>> clock.total, clock.at_s(np.array([50.0, 110.0])).round(9).tolist()
    (200.0, [50.0, 70.0])
    """
    n_cells = max(FEWEST_CELLS, int(np.ceil(duration_s / CELL_S)))
    inner = np.concatenate([*edges_s, np.empty(0)])
    inner = inner[(inner > 0) & (inner < duration_s)]
    edges = np.unique(np.concatenate([np.linspace(0, duration_s, n_cells + 1), inner]))
    rate = per_s((edges[1:] + edges[:-1]) / 2)
    return Clock(edges, np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))]))
