"""What traffic to generate, as data. Nothing here reads, writes or draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import MAX_REQUEST_TOKENS
from simulations.traffic.bursts import Bursts
from simulations.traffic.clients import Client, Clients, require_whole
from simulations.traffic.dependence import require_rank_correlation
from simulations.traffic.events import Event
from simulations.traffic.lengths import LogNormal
from simulations.traffic.operational import Clock, clock_of
from simulations.traffic.quantiles import QuantileTable
from simulations.traffic.seasonal import DAY_S, WEEK_S, SeasonalRate
from simulations.traffic.stepped import SteppedRate

MOST_GROWTH = 100.0
"""A hundredfold a week is a mistake."""


@dataclass(frozen=True, slots=True)
class Description:
    """Traffic to be generated.

    Args:
        duration_s: length of the recording, 1 s to 1.46 years.
        rate: when requests arrive, before growth and events; the mean over bursts and clients.
        input, output: how long they are.
        cached_fraction: share of every input that needs no prefill, 0 to below 1.
        start: what clock and calendar say at the beginning; hours and weekends are of its own
            offset, UTC if it has none. Without it, a Monday 00:00 without a date.
        seed: >= 0; the same seed gives the same requests.
        name: what the trace is called.
        growth_per_week_fraction: above -1; 0.02 makes each moment of a week 1.02 times the one a week before.
        events: what multiplies the rate for a while.
        bursts: how requests cluster; of each of `Clients` that has bursts.
        clients: who sends; a law, a list whose shares add up to 1, or nobody in particular.
        rank_correlation: Spearman's, of input and output, -1 to 1.

    Raises:
        TraceError: a number is out of its range.

    >>> lengths = LogNormal(100, 1.0)
    >>> Description(60.0, SeasonalRate(1.0), lengths, lengths).start_week_s
    0.0
    """

    duration_s: float
    rate: SeasonalRate | SteppedRate
    input: LogNormal | QuantileTable
    output: LogNormal | QuantileTable
    cached_fraction: float = 0.0
    start: datetime | None = None
    seed: int = 0
    name: str = "generated"
    growth_per_week_fraction: float = 0.0
    events: tuple[Event, ...] = ()
    bursts: Bursts = field(default_factory=Bursts)
    clients: Clients | tuple[Client, ...] = ()
    rank_correlation: float = 0.0

    def __post_init__(self) -> None:
        limit_s = NEVER // TICKS_PER_S
        if not 1 <= self.duration_s <= limit_s:
            raise TraceError(f"duration_s is {self.duration_s}; must be from 1 to {limit_s}")
        if not 0 <= self.cached_fraction < 1:
            raise TraceError(
                f"cached_fraction is {self.cached_fraction}; must be from 0 to below 1"
            )
        if self.input.min_tokens < 1:
            raise TraceError(f"input.min_tokens is {self.input.min_tokens}; must be >= 1")
        longest = self.input.max_tokens + self.output.max_tokens
        if longest > MAX_REQUEST_TOKENS:
            raise TraceError(
                f"input.max_tokens + output.max_tokens is {longest}; must be at most "
                f"{MAX_REQUEST_TOKENS}"
            )
        if self.seed < 0:
            raise TraceError(f"seed is {self.seed}; must be >= 0")
        if not -1 < self.growth_per_week_fraction <= MOST_GROWTH:
            raise TraceError(
                f"growth_per_week_fraction is {self.growth_per_week_fraction}; must be above -1 and "
                f"at most {MOST_GROWTH:g}"
            )
        for event in self.events:
            if event.at_s >= self.duration_s:
                raise TraceError(
                    f"event {event.name!r} begins at {event.at_s:g} s; the recording ends at "
                    f"{self.duration_s:g} s"
                )
        if isinstance(self.clients, tuple) and self.clients:
            require_whole(self.clients)
            if self.bursts != Bursts():
                raise TraceError("[bursts] is there beside [[client]]; give each client its own")
        require_rank_correlation(self.rank_correlation)

    @property
    def start_week_s(self) -> float:
        """Seconds since Monday 00:00 at the beginning."""
        if self.start is None:
            return 0.0
        clock = self.start.time()
        day_s = clock.hour * 3600 + clock.minute * 60 + clock.second + clock.microsecond / 1e6
        return self.start.weekday() * DAY_S + day_s

    @property
    def epoch_ns(self) -> int | None:
        """Nanoseconds since 1970-01-01 UTC at the beginning, None without a date."""
        if self.start is None:
            return None
        start = self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)
        since = start - datetime(1970, 1, 1, tzinfo=UTC)
        return ((since.days * DAY_S + since.seconds) * 1_000_000 + since.microseconds) * 1000

    @property
    def is_plain(self) -> bool:
        """Whether requests are Poisson at a rate that only the clock and the calendar change."""
        return (
            isinstance(self.rate, SeasonalRate)
            and self.growth_per_week_fraction == 0
            and not self.events
            and self.bursts == Bursts()
            and not self.clients
        )

    def rate_per_s(self, t_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the expected rate at times [n] in seconds after the beginning, growth and events in it.

        >>> lengths = LogNormal(100, 1.0)
        >>> launch = Event(600.0, 60.0, 3.0)
        >>> launched = Description(3600.0, SeasonalRate(2.0), lengths, lengths, events=(launch,))
        >>> launched.rate_per_s(np.array([0.0, 630.0])).tolist()
        [2.0, 6.0]
        """
        if isinstance(self.rate, SteppedRate):
            rate = self.rate.per_s(t_s, start_week_s=self.start_week_s)
        else:
            rate = self.rate.per_s(self.start_week_s + t_s)
        if self.growth_per_week_fraction:
            rate = rate * (1 + self.growth_per_week_fraction) ** (t_s / WEEK_S)
        return reduce(lambda so_far, event: so_far * event.factor_at(t_s), self.events, rate)

    def clock(self) -> Clock:
        """Return operational time: expected requests up to each moment."""
        edges: Sequence[npt.NDArray[np.float64]] = [event.edges_s() for event in self.events]
        if isinstance(self.rate, SteppedRate):
            steps = self.rate.edges_s(self.duration_s, start_week_s=self.start_week_s)
            edges = [*edges, steps]
        return clock_of(self.rate_per_s, self.duration_s, edges)
