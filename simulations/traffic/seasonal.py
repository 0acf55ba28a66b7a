"""A rate with the hour of the day and the day of the week in it, and Poisson arrivals at it.

It knows seconds since Monday 00:00, no dates and no tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.ticks import TICKS_PER_S
from simulations.trace import MAX_REQUESTS, IntArray

DAY_S = 86_400
WEEK_S = 7 * DAY_S

_US_PER_S = 1_000_000
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class SeasonalRate:
    """Requests a second: a cosine over the day, a factor on Saturday and Sunday.

    Args:
        weekday_mean_per_s: mean over the 24 hours of a weekday, > 0.
        daily_amplitude: 0 (every hour alike) to 1 (nothing at all 12 hours off the peak).
        peak_hour: of the day, 0 to below 24; 14.5 is half past two.
        weekend_factor: >= 0; the whole day's rate is multiplied by it.

    Raises:
        TraceError: a number is out of its range.

    >>> rate = SeasonalRate(2.0, daily_amplitude=0.5, peak_hour=12.0)
    >>> rate.per_s(np.array([0.0, 12 * 3600.0])).tolist()
    [1.0, 3.0]
    """

    weekday_mean_per_s: float
    daily_amplitude: float = 0.0
    peak_hour: float = 14.0
    weekend_factor: float = 1.0

    def __post_init__(self) -> None:
        _refuse(
            "weekday_mean_per_s",
            self.weekday_mean_per_s,
            0 < self.weekday_mean_per_s < math.inf,
            "above 0",
        )
        _refuse(
            "daily_amplitude", self.daily_amplitude, 0 <= self.daily_amplitude <= 1, "from 0 to 1"
        )
        _refuse("peak_hour", self.peak_hour, 0 <= self.peak_hour < 24, "from 0 to below 24")
        _refuse("weekend_factor", self.weekend_factor, 0 <= self.weekend_factor < math.inf, ">= 0")

    @property
    def max_per_s(self) -> float:
        """The rate that is never exceeded."""
        return self.weekday_mean_per_s * (1 + self.daily_amplitude) * max(1, self.weekend_factor)

    def per_s(self, week_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the rate at times [n] in seconds since a Monday 00:00."""
        angle = (week_s / 3600.0 - self.peak_hour) * (2 * math.pi / 24)
        weekend = week_s % WEEK_S >= 5 * DAY_S
        day = np.where(weekend, self.weekend_factor, 1.0)
        return self.weekday_mean_per_s * day * (1.0 + self.daily_amplitude * np.cos(angle))


def draw_arrivals(
    rate: SeasonalRate, random: np.random.Generator, *, start_week_s: float, duration_s: float
) -> IntArray:
    """Return arrival ticks [n] of a Poisson process, sorted, on whole microseconds as in logs.

    By thinning: as many candidates as the highest rate asks for, each kept with the share that
    the rate at its time has in the highest. Exact for any rate, and without a loop over requests.

    Args:
        start_week_s: seconds since Monday 00:00 at which it begins.
        duration_s: > 0.

    Raises:
        TraceError: more than 2^31 candidates would be drawn.

    >>> from simulations.traffic.streams import Purpose, stream
    >>> random = stream(1, 0, Purpose.ARRIVALS)
    >>> ticks = draw_arrivals(SeasonalRate(5.0), random, start_week_s=0, duration_s=1000)
    >>> len(ticks), bool((np.diff(ticks) >= 0).all())
    (5097, True)
    """
    expected = rate.max_per_s * duration_s
    if expected > MAX_REQUESTS / 2:
        raise TraceError(
            f"about {expected:.3g} requests at the highest rate; must stay below "
            f"{MAX_REQUESTS // 2:,}: lower the rate or the duration"
        )
    left = int(random.poisson(expected))
    kept = []
    while left:
        n = min(left, _BLOCK)
        arrival_us = random.integers(0, round(duration_s * _US_PER_S), n)
        at_s = start_week_s + arrival_us / _US_PER_S
        kept.append(arrival_us[random.random(n) * rate.max_per_s < rate.per_s(at_s)])
        left -= n
    arrival_us = np.concatenate([*kept, np.empty(0, np.int64)])
    arrival_us.sort()
    arrival_us *= TICKS_PER_S // _US_PER_S
    return arrival_us


def _refuse(key: str, value: float, fine: bool, rule: str) -> None:
    if not fine:
        raise TraceError(f"{key} is {value}; must be {rule}")
