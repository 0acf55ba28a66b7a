"""What is planned: a launch, a batch, a holiday; a time in which there is a multiple of the traffic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError

MOST_FACTOR = 10_000.0


@dataclass(frozen=True, slots=True)
class Event:
    """The rate is multiplied by a factor for a while.

    It begins to change at `at_s`, is at the factor after `ramp_s`, stays there for `duration_s`, and
    takes `ramp_s` to come back.

    Args:
        at_s: seconds after the beginning of the recording, >= 0.
        duration_s: > 0.
        factor: 0 (nothing comes) to 10,000.
        ramp_s: >= 0.
        name: for the reader.

    Raises:
        TraceError: a number is out of its range.

    >>> launch = Event(100.0, 50.0, 3.0, ramp_s=10.0)
    >>> launch.factor_at(np.array([99.0, 105.0, 130.0, 165.0, 171.0])).tolist()
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """

    at_s: float
    duration_s: float
    factor: float
    ramp_s: float = 0.0
    name: str = "event"

    def __post_init__(self) -> None:
        for key, fine, rule in (
            ("at_s", 0 <= self.at_s < 1e9, "from 0 to below 1e9"),
            ("duration_s", 0 < self.duration_s < 1e9, "above 0 and below 1e9"),
            ("factor", 0 <= self.factor <= MOST_FACTOR, f"from 0 to {MOST_FACTOR:g}"),
            ("ramp_s", 0 <= self.ramp_s < 1e9, "from 0 to below 1e9"),
        ):
            if not fine:
                raise TraceError(f"{key} is {getattr(self, key)}; must be {rule}")

    @property
    def corners_s(self) -> tuple[float, float, float, float]:
        """When it begins to change, is at the factor, begins to come back, and is over."""
        full_s = self.at_s + self.ramp_s
        back_s = full_s + self.duration_s
        return self.at_s, full_s, back_s, back_s + self.ramp_s

    def factor_at(self, t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return what the rate is multiplied by at times [n] in seconds after the beginning."""
        return np.interp(t_s, self.corners_s, (1.0, self.factor, self.factor, 1.0))

    def edges_s(self) -> npt.NDArray[np.float64]:
        """Return times between which the factor may be taken for its value in the middle."""
        begin_s, full_s, back_s, end_s = self.corners_s
        return np.concatenate([np.linspace(begin_s, full_s, 33), np.linspace(back_s, end_s, 33)])
