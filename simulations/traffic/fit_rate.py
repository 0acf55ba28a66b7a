"""The rate of a trace in steps: by hour of the week, of the day, or block by block, as its span allows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from scipy import linalg

from simulations.statistics import DAY_S, HOUR_S, HOURS_PER_WEEK, Hole
from simulations.ticks import TICKS_PER_S
from simulations.trace import IntArray, Trace
from simulations.traffic.seasonal import WEEK_S
from simulations.traffic.stepped import SteppedRate
from simulations.traffic.windows import FloatArray, seen_s

DAYS_FOR_WEEK, DAYS_FOR_DAY = 14, 2
"""So many days until an hour of the week, or of the day, is seen twice."""

DAYS_FOR_EACH_DAY = 7
"""From so many on each day of the week has a factor of its own."""

HOURS_FOR_HOURS = 6
"""From so many hours on a block is an hour; a shorter trace has four blocks."""

BLOCKS = 4
SHORTEST_BLOCK_S = 60.0


def week_s(start: datetime | None) -> float:
    """Return seconds since Monday 00:00, 0 without a date."""
    if start is None:
        return 0.0
    clock_s = start.hour * 3600 + start.minute * 60 + start.second + start.microsecond / 1e6
    return start.weekday() * float(DAY_S) + clock_s


def fit_rate(
    trace: Trace, holes: Sequence[Hole], start: datetime | None
) -> tuple[SteppedRate, str]:
    """Return a trace's rate in steps, and in words which steps they are.

    A step that falls into a hole whole has the rate between its neighbours'.

    Args:
        start: date and clock of tick 0.
    """
    days = trace.span_s / DAY_S
    begins = "start" if start is None else "monday"
    if days < DAYS_FOR_DAY:
        step_s = float(HOUR_S)
        if trace.span_s < HOURS_FOR_HOURS * HOUR_S:
            step_s = max(SHORTEST_BLOCK_S, np.ceil(trace.span_s / BLOCKS / 60) * 60)
        n = max(1, int(np.ceil(trace.span_s / step_s)))
        words = f"rate in {n} blocks of {step_s / 60:g} min"
        return _stepped(trace, holes, step_s, np.arange(n), "start", 0.0), words
    hours = np.arange(HOURS_PER_WEEK)
    hour_of_day, weekend = hours % 24, hours >= 5 * 24
    began_s = week_s(start)
    if days >= DAYS_FOR_WEEK:
        return (
            _stepped(trace, holes, HOUR_S, hours, begins, began_s),
            "rate by hour of the week",
        )
    if days >= DAYS_FOR_EACH_DAY:
        rate = _stepped(trace, holes, HOUR_S, hours, begins, began_s, by_day=True)
        return rate, "rate by hour of the day, times one factor for each day of the week"
    if start is not None and _sees_both(began_s, trace.span_s):
        groups = hour_of_day + 24 * weekend
        return (
            _stepped(trace, holes, HOUR_S, groups, begins, began_s),
            "rate by hour of the day, weekend apart",
        )
    return (
        _stepped(trace, holes, HOUR_S, np.arange(24), begins, began_s),
        "rate by hour of the day",
    )


def _sees_both(began_s: float, span_s: float) -> bool:
    """Return whether a whole day's worth of weekend and of weekdays is in a recording."""
    hours = (began_s + np.arange(0, span_s, HOUR_S)) % WEEK_S >= 5 * DAY_S
    return bool(24 <= hours.sum() <= len(hours) - 24)


def _stepped(
    trace: Trace,
    holes: Sequence[Hole],
    step_s: float,
    groups: IntArray,
    begins: str,
    began_s: float,
    *,
    by_day: bool = False,
) -> SteppedRate:
    """Return the rates of steps; steps of one group share theirs.

    Args:
        by_day: of 168 hours: take each rate for the product of its hour's and its day's.
    """
    n = len(groups)
    shape = SteppedRate((1.0,) * n, step_s, begins)
    inner = shape.edges_s(trace.span_s, start_week_s=began_s)
    edges_s = np.unique(np.clip(np.append(inner, trace.span_s), 0, trace.span_s))
    step = shape.steps_at((edges_s[1:] + edges_s[:-1]) / 2, start_week_s=began_s)
    edges = np.rint(edges_s * TICKS_PER_S).astype(np.int64)
    edges[-1] += 1  # a request at the very end belongs to the last step
    counts = np.diff(np.searchsorted(trace.arrival_ticks, edges))
    seconds = np.diff(seen_s(edges_s, holes))
    n_groups = int(groups.max()) + 1
    requests: FloatArray = np.bincount(groups[step], counts, n_groups)[groups].astype(float)
    recorded: FloatArray = np.bincount(groups[step], seconds, n_groups)[groups].astype(float)
    if by_day:
        requests, recorded = _products(requests.reshape(7, 24), recorded.reshape(7, 24))
    known = recorded > step_s / 100
    if not (known & (requests > 0)).any():
        known = recorded > 0
    rates = requests[known] / recorded[known]
    filled = np.interp(np.arange(n), np.flatnonzero(known), rates, period=n)
    return SteppedRate(tuple(float(f"{rate:.6g}") for rate in filled), float(step_s), begins)


def in_lines(rate: SteppedRate) -> SteppedRate | None:
    """Return the rate in lines that has the same mean in each step, None where it would fall below 0.

    A step whose middle has rate b, between a and c, has the mean (a + 6 b + c) / 8.

    >>> in_lines(SteppedRate((1.0, 2.0, 3.0, 2.0))).rates_per_s
    (0.666667, 2.0, 3.33333, 2.0)
    """
    n = len(rate.rates_per_s)
    if n < 3:
        return None
    neighbours = np.zeros(n)
    neighbours[[0, 1, -1]] = 0.75, 0.125, 0.125
    middles = linalg.solve_circulant(neighbours, np.asarray(rate.rates_per_s))
    if middles.min() < 0:
        return None
    rates = tuple(float(f"{middle:.6g}") for middle in middles)
    return SteppedRate(rates, rate.step_s, rate.begins, "lines")


def _products(requests: FloatArray, recorded: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return requests, and recorded seconds, of each hour of the week as hour of day times day of week.

    Args:
        requests, recorded: by day and hour [7, 24].
    """
    hours = requests.sum(axis=0) / np.maximum(recorded.sum(axis=0), 1.0)
    days = np.ones(7)
    for _ in range(20):
        expected = recorded @ hours
        days = np.divide(requests.sum(axis=1), expected, where=expected > 0, out=np.ones(7))
        expected = days @ recorded
        hours = np.divide(requests.sum(axis=0), expected, where=expected > 0, out=hours.copy())
    return (days[:, None] * hours * recorded).ravel(), recorded.ravel()
