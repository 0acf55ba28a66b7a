"""A rate in steps, that begins anew after its last: 168 hours of a week, 24 of a day, or blocks of a log."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError

BEGINS = ("monday", "start")


@dataclass(frozen=True, slots=True)
class SteppedRate:
    """Requests a second, constant within each step.

    Args:
        rates_per_s: of each step, >= 0, not all 0.
        step_s: length of a step, >= 1.
        begins: when the first step begins: `monday` at 00:00, or `start`, with the recording.

    Raises:
        TraceError: a number is out of its range.

    >>> SteppedRate((1.0, 3.0), 10.0).per_s(np.array([5.0, 15.0, 25.0]), start_week_s=0.0).tolist()
    [1.0, 3.0, 1.0]
    """

    rates_per_s: tuple[float, ...]
    step_s: float = 3600.0
    begins: str = "monday"

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

    def steps_at(
        self, t_s: npt.NDArray[np.float64], *, start_week_s: float
    ) -> npt.NDArray[np.int64]:
        """Return which step it is at times [n] in seconds after the beginning."""
        return self._at(t_s, start_week_s).astype(np.int64) % len(self.rates_per_s)

    def per_s(
        self, t_s: npt.NDArray[np.float64], *, start_week_s: float
    ) -> npt.NDArray[np.float64]:
        """Return the rate at times [n] in seconds after the beginning.

        Args:
            start_week_s: seconds since Monday 00:00 at the beginning.
        """
        return np.asarray(self.rates_per_s, float)[self.steps_at(t_s, start_week_s=start_week_s)]

    def edges_s(self, duration_s: float, *, start_week_s: float) -> npt.NDArray[np.float64]:
        """Return when the steps begin within a duration."""
        first = 0.0 if self.begins == "start" else -(start_week_s % self.step_s)
        return np.arange(first, duration_s, self.step_s)

    def _at(self, t_s: npt.NDArray[np.float64], start_week_s: float) -> npt.NDArray[np.float64]:
        from_s = 0.0 if self.begins == "start" else start_week_s
        return np.floor((from_s + t_s) / self.step_s)
