"""A rate in steps, that begins anew after its last: 168 hours of a week, 24 of a day, or blocks of a log."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError

BEGINS = ("monday", "start")
BETWEEN = ("steps", "lines")


@dataclass(frozen=True, slots=True)
class SteppedRate:
    """Requests a second, constant within each step or straight from the middle of one to that of the next.

    Args:
        rates_per_s: of each step, >= 0, not all 0.
        step_s: length of a step, >= 1.
        begins: when the first step begins: `monday` at 00:00, or `start`, with the recording.
        between: `steps`, or `lines`: then a rate is that of the middle of its step.

    Raises:
        TraceError: a number is out of its range.

    >>> SteppedRate((1.0, 3.0), 10.0).per_s(np.array([5.0, 15.0, 25.0]), start_week_s=0.0).tolist()
    [1.0, 3.0, 1.0]
    """

    rates_per_s: tuple[float, ...]
    step_s: float = 3600.0
    begins: str = "monday"
    between: str = "steps"

    def __post_init__(self) -> None:
        for i, rate in enumerate(self.rates_per_s):
            if not 0 <= rate < math.inf:
                raise TraceError(f"per_s holds {rate} at place {i}; must be >= 0")
        if not any(self.rates_per_s):
            raise TraceError("per_s holds no rate above 0")
        if not 1 <= self.step_s <= 1e8:
            raise TraceError(f"step_s is {self.step_s}; must be from 1 to 1e8")
        if self.begins not in BEGINS:
            raise TraceError(f"begins is {self.begins!r}; must be monday or start")
        if self.between not in BETWEEN:
            raise TraceError(f"between is {self.between!r}; must be steps or lines")

    def steps_at(
        self, t_s: npt.NDArray[np.float64], *, start_week_s: float
    ) -> npt.NDArray[np.int64]:
        """Return which step it is at times [n] in seconds after the beginning."""
        place = (self._from_s(start_week_s) + t_s) // self.step_s
        return place.astype(np.int64) % len(self.rates_per_s)

    def per_s(
        self, t_s: npt.NDArray[np.float64], *, start_week_s: float
    ) -> npt.NDArray[np.float64]:
        """Return the rate at times [n] in seconds after the beginning.

        Args:
            start_week_s: seconds since Monday 00:00 at the beginning.
        """
        rates = np.asarray(self.rates_per_s, float)
        if self.between == "steps":
            return np.asarray(rates[self.steps_at(t_s, start_week_s=start_week_s)])
        place = (self._from_s(start_week_s) + t_s) / self.step_s - 0.5
        return np.asarray(np.interp(place, np.arange(len(rates)), rates, period=len(rates)))

    def edges_s(self, duration_s: float, *, start_week_s: float) -> npt.NDArray[np.float64]:
        """Return when the steps begin within a duration, or where the lines bend."""
        first = -(self._from_s(start_week_s) % self.step_s)
        if self.between == "lines":
            first -= self.step_s / 2
        return np.arange(first, duration_s, self.step_s)

    def _from_s(self, start_week_s: float) -> float:
        """Return how far into its first step the recording begins."""
        return 0.0 if self.begins == "start" else start_week_s
