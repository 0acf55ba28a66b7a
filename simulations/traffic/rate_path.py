"""From a path of hourly rates to a trace: the requests of a trace at those rates, hour of the week by hour of the week.

What clusters in the trace clusters here, and long requests stay where in the week they come.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.statistics import HOUR_S, HOURS_PER_WEEK, find_holes
from simulations.ticks import TICKS_PER_S
from simulations.trace import MAX_REQUESTS, IntArray, Trace
from simulations.traffic.streams import Purpose, stream
from simulations.traffic.windows import seen_s

HOUR_TICKS = HOUR_S * TICKS_PER_S
SEEN_FRACTION = 0.5
"""An hour of which less was recorded is no source."""


def trace_at_rates(
    trace: Trace, rates_per_s: npt.NDArray[np.float64], *, seed: int, replication: int = 0
) -> Trace:
    """Return a trace that goes on after another at hourly rates, made of the other's requests.

    Each hour takes the requests of one hour of the trace at the same hour of the week, drawn at random,
    and keeps each with the share that gives the rate. Where one has too few, others are laid over it;
    once all were, they come again, turned round within the hour.

    Args:
        trace: of one hour at least; where it has no such hour of the week, the same hour of another day.
        rates_per_s: of the hours after the last full hour of the trace [hours], >= 0, not all 0.
        seed, replication: >= 0; the same ones give the same requests.

    Raises:
        TraceError: a number is out of its range, or nothing arrived.

    >>> steady = Trace.build(np.arange(0, 7200.0), [5] * 7200, [1] * 7200, span_s=7200)
    >>> half = trace_at_rates(steady, np.array([0.5]), seed=1)
    >>> 1650 < len(half) < 1950
    True
    """
    rates = np.asarray(rates_per_s, float)
    if rates.ndim != 1 or not len(rates) or not np.isfinite(rates).all() or (rates < 0).any():
        raise TraceError("rates_per_s must be hourly rates [hours], each a finite number >= 0")
    if float(rates.sum()) * HOUR_S >= MAX_REQUESTS:
        raise TraceError(
            f"the rates ask for {float(rates.sum()) * HOUR_S:.3g} requests; must be below {MAX_REQUESTS:,}"
        )
    if seed < 0 or replication < 0:
        raise TraceError(f"seed is {seed} and replication {replication}; must be >= 0")
    n_seen = int(trace.span_s // HOUR_S)
    edges = np.arange(n_seen + 1, dtype=np.int64) * HOUR_TICKS
    first = np.searchsorted(trace.arrival_ticks, edges)
    recorded_s = np.diff(seen_s(edges / TICKS_PER_S, find_holes(trace)))
    usable = (np.diff(first) > 0) & (recorded_s >= SEEN_FRACTION * HOUR_S)
    if not usable.any():
        raise TraceError("the trace has no full hour with requests to take requests from")
    random = stream(seed, replication, Purpose.RESAMPLING)
    rows, ticks = [], []
    for hour, rate in enumerate(rates.tolist()):
        sources = random.permutation(_alike(usable, n_seen + hour))
        taken, at = _hour(trace.arrival_ticks, first, sources, rate * HOUR_S, random)
        order = np.argsort(at, kind="stable")
        rows.append(taken[order])
        ticks.append(at[order] + hour * HOUR_TICKS)
    row, tick = np.concatenate(rows), np.concatenate(ticks)
    if not len(row):
        raise TraceError("nothing arrived at these rates; raise them")
    begin = int(tick[0])
    epoch_ns = trace.epoch_ns
    if epoch_ns is not None:
        epoch_ns += n_seen * HOUR_S * 10**9 + begin // (TICKS_PER_S // 10**9)
    return Trace(
        tick - begin,
        trace.input_tokens[row],
        trace.cached_tokens[row],
        trace.output_tokens[row],
        len(rates) * HOUR_TICKS,
        epoch_ns,
        trace.name,
    )


def _alike(usable: npt.NDArray[np.bool_], hour: int) -> IntArray:
    """Return the hours to take requests from: of the week, of the day, or any."""
    hours: IntArray = np.flatnonzero(usable).astype(np.int64)
    for period in (HOURS_PER_WEEK, 24):
        alike: IntArray = hours[(hours - hour) % period == 0]
        if len(alike):
            return alike
    return hours


def _hour(
    arrival_ticks: IntArray,
    first: IntArray,
    sources: IntArray,
    wanted: float,
    random: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Return rows of the trace and ticks within the hour, about as many as wanted, in no order."""
    if wanted <= 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows, ticks, n = [], [], 0
    turn = 0
    while n < wanted:
        hour = int(sources[turn % len(sources)])
        taken = np.arange(first[hour], first[hour + 1])
        at = arrival_ticks[taken] - hour * HOUR_TICKS
        if turn >= len(sources):
            at = (at + random.integers(HOUR_TICKS)) % HOUR_TICKS
        rows.append(taken)
        ticks.append(at)
        n += len(taken)
        turn += 1
    kept = random.random(n) * n < wanted
    return np.concatenate(rows)[kept], np.concatenate(ticks)[kept]
