"""Traffic in bursts: two rates in turn, each for an exponential time (MMPP(2) where gaps are Poisson).

It knows the multiplier of the rate and when it changes, not the rate itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError

MOST_SWITCHES = 20_000_000


@dataclass(frozen=True, slots=True)
class OnOff:
    """Bursts and what lies between them; the mean over both is the rate that was asked for.

    Args:
        on_mean_s, off_mean_s: mean length of a burst, and of the time between two, > 0.
        on_to_off_ratio: rate in a burst over the rate outside, > 1; infinite where nothing comes outside.

    Raises:
        TraceError: a number is out of its range.

    >>> bursts = OnOff(60.0, 540.0, math.inf)
    >>> bursts.on_factor, bursts.off_factor, round(bursts.variance, 9)
    (10.0, 0.0, 9.0)
    """

    on_mean_s: float
    off_mean_s: float
    on_to_off_ratio: float

    def __post_init__(self) -> None:
        for key in ("on_mean_s", "off_mean_s"):
            if not 1e-3 <= getattr(self, key) <= 1e8:
                raise TraceError(f"{key} is {getattr(self, key)}; must be from 0.001 to 1e8")
        if not self.on_to_off_ratio > 1:
            raise TraceError(f"on_to_off_ratio is {self.on_to_off_ratio}; must be above 1")

    @property
    def on_fraction(self) -> float:
        """Share of time in bursts."""
        return self.on_mean_s / (self.on_mean_s + self.off_mean_s)

    @property
    def off_factor(self) -> float:
        """What the mean rate is multiplied by outside of bursts."""
        if math.isinf(self.on_to_off_ratio):
            return 0.0
        on = self.on_fraction
        return 1 / (on * self.on_to_off_ratio + 1 - on)

    @property
    def on_factor(self) -> float:
        """What the mean rate is multiplied by in a burst."""
        return (1 - (1 - self.on_fraction) * self.off_factor) / self.on_fraction

    @property
    def variance(self) -> float:
        """Of the multiplier over time."""
        on = self.on_fraction
        return on * (1 - on) * (self.on_factor - self.off_factor) ** 2

    @property
    def relaxation_s(self) -> float:
        """Time after which the multiplier's autocorrelation is 1/e."""
        return 1 / (1 / self.on_mean_s + 1 / self.off_mean_s)

    def dispersion(self, rate_per_s: float, window_s: float) -> float:
        """Return variance over mean of Poisson counts in windows at this mean rate.

        The multiplier's autocovariance is its variance times exp(-t / relaxation_s); integrated over a
        window it gives the closed form of MMPP(2).

        >>> round(OnOff(60.0, 540.0, math.inf).dispersion(1.0, 60.0), 1)
        386.2
        """
        held = float(held_fraction(np.array(window_s / self.relaxation_s)))
        return 1 + rate_per_s * window_s * self.variance * held

    def switches_s(
        self, duration_s: float, random: np.random.Generator
    ) -> tuple[bool, npt.NDArray[np.float64]]:
        """Return whether it begins in a burst, and when the multiplier changes within the duration.

        Raises:
            TraceError: it would change more than twenty million times.
        """
        expected = 2 * duration_s / (self.on_mean_s + self.off_mean_s)
        if expected > MOST_SWITCHES:
            raise TraceError(
                f"on_mean_s is {self.on_mean_s} and off_mean_s {self.off_mean_s}: about {expected:.3g} "
                f"changes in {duration_s:g} s; must be below {MOST_SWITCHES:,}"
            )
        begins_on = bool(random.random() < self.on_fraction)
        means = (self.on_mean_s, self.off_mean_s)
        turn = np.array(means if begins_on else means[::-1])
        parts: list[npt.NDArray[np.float64]] = []
        last = 0.0
        while last < duration_s:
            n = int((duration_s - last) / (self.on_mean_s + self.off_mean_s) * 1.05) + 16
            part = (random.standard_exponential((n, 2)) * turn).ravel()
            part[0] += last
            np.cumsum(part, out=part)
            last = float(part[-1])
            parts.append(part)
        at_s = np.concatenate(parts)
        return begins_on, at_s[: int(np.searchsorted(at_s, duration_s))]


def held_fraction(windows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the share of an exponentially correlated variance that a mean over a window keeps.

    Args:
        windows: lengths in relaxation times [n], > 0.

    >>> held_fraction(np.array([1e-9, 1.0, 100.0])).round(4).tolist()
    [1.0, 0.7358, 0.0198]
    """
    small = windows < 1e-3
    x = np.where(small, 1.0, windows)
    return np.where(small, 1 - windows / 3, 2 * (x + np.expm1(-x)) / (x * x))
