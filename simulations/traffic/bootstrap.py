"""A recording resampled: other hours and days that could as well have been.

Blocks of the recording are put together anew, each near the time of day it came from, so that what is
within a block (bursts, the tokens of each request) and what the clock does to the load both stay, and the
rest varies. Where a kind of day was recorded often enough, whole days are drawn instead. Knows neither
endpoints nor files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulations.errors import TraceError
from simulations.statistics import Hole, find_holes
from simulations.ticks import TICKS_PER_S
from simulations.trace import IntArray, Trace
from simulations.traffic.streams import Purpose, stream

DAY_S = 86_400
DAY_TICKS = DAY_S * TICKS_PER_S
NS_PER_DAY = DAY_S * 10**9
THURSDAY = 3
"""Weekday of 1970-01-01, Monday being 0."""

BLOCKS_IN_SPAN = 20
SHORTEST_BLOCK_S = 60.0
LONGEST_BLOCK_S = 1800.0
WANDER_BLOCKS = 3.0
FEWEST_DAYS = 5
"""Days of a kind (working day, weekend) from which on whole days are drawn: with fewer there is too little to
draw from (assumed)."""

WHOLE_FRACTION = 0.99
LEAST_RECORDED_FRACTION = 0.5
"""Of a day that must have been recorded for it to be drawn whole, or to lend its blocks (assumed)."""

DRAWS = 16
"""Places tried for a block before one without a hole is searched for; futures, before one with a request."""


class _Block(NamedTuple):
    """Where a stretch of a future comes from; all in ticks."""

    target: int
    source: int
    length: int


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """A law of futures: a block bootstrap of a recording that keeps the time of day.

    A future is as long as the recording. Each of its days takes after one recorded day of the same kind
    (working day or weekend; any day, where the log has no date). Where at least five whole days of the
    kind were recorded it is that day; else its blocks come from that day, each from up to `wander_s` earlier
    or later. Holes of the recording are gaps, not idle time: no block comes out of one.

    Args:
        trace: the recording; to be resampled it must span some time.
        block_s: length of a block, > 0; None for a twentieth of the recording, 1 to 30 minutes (assumed:
            longer than bursts, shorter than the swing of a day).
        wander_s: how far a block may come from, >= 0; None for three blocks (assumed).

    Raises:
        TraceError: a length is out of its range, or nothing but holes was recorded.

    Source: the moving-block bootstrap (Kuensch 1989, Annals of Statistics 17), local in time as in
    Paparoditis and Politis 2002 (Stochastic Processes and their Applications 97).

    >>> calm = Trace.build(range(3600), [100] * 3600, [10] * 3600)
    >>> Bootstrap(calm).draw(seed=0, replication=0)
    Trace('trace': 3,601 requests in 3,599.0 s, mean shape 100:10 tokens)
    """

    trace: Trace
    block_s: float | None = None
    wander_s: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("block_s", 1e-3), ("wander_s", 0.0)):
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise TraceError(f"{name} is {value}; must be at least {least:g}")

    @cached_property
    def block_ticks(self) -> int:
        """Length of a block."""
        usual_s = min(max(self.trace.span_s / BLOCKS_IN_SPAN, SHORTEST_BLOCK_S), LONGEST_BLOCK_S)
        ticks = round((usual_s if self.block_s is None else self.block_s) * TICKS_PER_S)
        return min(ticks, self.trace.span_ticks)

    @cached_property
    def wander_ticks(self) -> int:
        """How far a block may come from."""
        if self.wander_s is None:
            return round(WANDER_BLOCKS * self.block_ticks)
        return round(self.wander_s * TICKS_PER_S)

    @cached_property
    def holes(self) -> tuple[Hole, ...]:
        """Times that were not recorded."""
        return find_holes(self.trace)

    def draw(self, *, seed: int, replication: int, copy: int = 0) -> Trace:
        """Return a future: as long as the recording, with its first arrival when it comes.

        Args:
            seed, replication: both >= 0; every pair is another future.
            copy: >= 0; other copies follow the same days through other blocks, to be laid over each other.

        Raises:
            TraceError: nothing arrived.
        """
        if self.trace.span_ticks == 0:
            raise TraceError("the trace spans no time, so there are no blocks to resample")
        for attempt in range(DRAWS):
            # A future without a request is no trace, so it is drawn again.
            which = (attempt,) if attempt else ()
            days = stream(seed, replication, Purpose.BLOCKS, *which)
            random = (
                stream(seed, replication + (copy << 32), Purpose.BLOCKS, *which) if copy else days
            )
            blocks = list(self._blocks(days, random))
            arrival, lengths, picked = self._pick(blocks)
            if len(picked):
                break
        else:
            raise TraceError(
                f"a resampled {self.trace.name!r} holds no request: {len(self.trace):,} requests in "
                f"{self.trace.span_s:g} s are too few for blocks of {self.block_ticks / TICKS_PER_S:g} s; use longer blocks"
            )
        arrival += np.repeat(np.array([b.target - b.source for b in blocks], np.int64), lengths)
        trace = self.trace
        return Trace(
            arrival,
            trace.input_tokens[picked],
            trace.cached_tokens[picked],
            trace.output_tokens[picked],
            trace.span_ticks,
            trace.epoch_ns,
            trace.name,
        )

    def _pick(self, blocks: list[_Block]) -> tuple[IntArray, IntArray, IntArray]:
        """Return when the requests of the blocks arrived, how many each block has, and which they are."""
        ticks = self.trace.arrival_ticks
        low = np.searchsorted(ticks, [b.source for b in blocks])
        high = np.searchsorted(ticks, [b.source + b.length for b in blocks])
        lengths = high - low
        ends = np.cumsum(lengths)
        picked = np.arange(int(ends[-1]), dtype=np.int64)
        picked += np.repeat(low - (ends - lengths), lengths)
        return ticks[picked], lengths, picked

    def _blocks(self, days: np.random.Generator, random: np.random.Generator) -> Iterator[_Block]:
        """Yield the blocks of a future, in order and without a gap."""
        span = self.trace.span_ticks
        for day in range(-(-span // DAY_TICKS)):
            start, end = day * DAY_TICKS, min((day + 1) * DAY_TICKS, span)
            alike = self._days_like(day)
            whole = [one for one in alike if self._recorded_fractions[one] >= WHOLE_FRACTION]
            if len(whole) >= FEWEST_DAYS:
                source = min(int(days.choice(whole)) * DAY_TICKS, span - (end - start))
                yield _Block(start, source, end - start)
                continue
            model = int(days.choice(alike)) if alike else day
            # The first block is cut short by chance, or every future would be cut at the same places.
            length = 1 + int(random.random() * (self.block_ticks - 1))
            at = start
            while at < end:
                length = min(length, end - at)
                yield _Block(at, self._source(at, model, day, length, random), length)
                at += length
                length = self.block_ticks

    def _source(
        self, at: int, model: int, day: int, length: int, random: np.random.Generator
    ) -> int:
        """Return where a block comes from: near its time of day, in the recording, not in a hole."""
        latest = self.trace.span_ticks - length
        for attempt in range(DRAWS):
            home = at + (model - day) * DAY_TICKS
            if (
                home > latest or attempt >= DRAWS // 2
            ):  # the model has no such hour: its own day has
                home = at
            low = max(0, home - self.wander_ticks)
            high = max(low, min(latest, home + self.wander_ticks))
            source = low + int(random.random() * (high - low + 1))
            if not self._in_hole(source, length):
                return source
        for _ in range(100 * DRAWS):
            source = int(random.random() * (latest + 1))
            if not self._in_hole(source, length):
                return source
        raise TraceError(
            f"no stretch of {length / TICKS_PER_S:g} s was recorded without a hole; use shorter blocks"
        )

    def _in_hole(self, source: int, length: int) -> bool:
        start_s, end_s = source / TICKS_PER_S, (source + length) / TICKS_PER_S
        return any(h.start_s < end_s and start_s < h.start_s + h.length_s for h in self.holes)

    def _days_like(self, day: int) -> list[int]:
        """Return the days of a day's kind that were recorded by half at least."""
        epoch_ns = self.trace.epoch_ns
        if epoch_ns is None:
            return list(self._recorded_fractions)
        kind = _is_weekend(epoch_ns, day)
        return [other for other in self._recorded_fractions if _is_weekend(epoch_ns, other) == kind]

    @cached_property
    def _recorded_fractions(self) -> dict[int, float]:
        """Which part of each day was recorded, of the days where it is half or more."""
        fractions = {}
        for day in range(-(-self.trace.span_ticks // DAY_TICKS)):
            end_s = min((day + 1) * DAY_S, self.trace.span_s)
            inside = (
                max(0.0, min(h.start_s + h.length_s, end_s) - max(h.start_s, day * DAY_S))
                for h in self.holes
            )
            fraction = (end_s - day * DAY_S - sum(inside)) / DAY_S
            if fraction >= LEAST_RECORDED_FRACTION:
                fractions[day] = fraction
        return fractions


def _is_weekend(epoch_ns: int, day: int) -> bool:
    """Whether a day of a recording, counted from its start, begins on a Saturday or a Sunday."""
    return ((epoch_ns // NS_PER_DAY) + day + THURSDAY) % 7 >= 5
