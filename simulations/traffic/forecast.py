"""What the hourly rate may be in the hours after a trace: many paths, each as likely as another.

One line, the most likely one, would be smoother than any future; capacity is bought for the others.
The only place that knows statsforecast, which is an optional extra.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.statistics import DAY_S, HOUR_S, HOURS_PER_WEEK, find_holes
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic.streams import Purpose, stream
from simulations.traffic.windows import seen_s

SHORTEST_S = 14 * DAY_S
"""Below two weeks no hour of the week is seen twice, and nothing is known of how it varies."""

MOST_HOURS_BACK = 8 * HOURS_PER_WEEK
"""What is older than eight weeks was other traffic."""

FEWEST_ORIGINS, MOST_ORIGINS = 7, 14
"""Days within the trace from which a week is forecast, to see how far off it is."""

MOST_PATHS = 10_000
MOST_HOURS = 24 * 366
LEAST_SEEN_S = 60.0
"""An hour of which less was recorded is taken from those around it."""

FloatArray = npt.NDArray[np.float64]


def forecast_rates(trace: Trace, horizon_s: float, *, n_paths: int, seed: int) -> FloatArray:
    """Return requests per second in each hour after a trace, sampled paths [n_paths, hours].

    The logarithm of the hourly rate is taken apart into a day, a week and the rest (MSTL); the rest is
    followed by exponential smoothing (AutoETS). A path is that forecast off by what it was off before:
    whole weeks of errors, drawn from those of forecasts made within the trace (conformal in spirit;
    residuals within the fit would be far too small). The first hour begins where the last full hour of the trace ends, counted from its beginning.

    Args:
        horizon_s: how far, 1 s to a year; rounded up to whole hours.
        n_paths: 1 to 10,000.
        seed: >= 0; the same seed gives the same paths.

    Raises:
        TraceError: statsforecast is not installed, the trace is shorter than two weeks, or a number
            is out of its range.
    """
    n_hours = -(-int(np.ceil(horizon_s)) // HOUR_S) if 1 <= horizon_s < 1e9 else 0
    if not 1 <= n_hours <= MOST_HOURS:
        raise TraceError(f"horizon_s is {horizon_s}; must be from 1 to {MOST_HOURS * HOUR_S}")
    if not 1 <= n_paths <= MOST_PATHS:
        raise TraceError(f"n_paths is {n_paths}; must be from 1 to {MOST_PATHS}")
    if seed < 0:
        raise TraceError(f"seed is {seed}; must be >= 0")
    if trace.span_s < SHORTEST_S:
        raise TraceError(
            f"the trace spans {trace.span_s / DAY_S:.3g} days; a forecast takes two weeks or more"
        )
    models = _statsforecast()
    rates = hourly_rates(trace)
    # Half a request an hour stands for none, whose logarithm is not.
    floor = 0.5 / HOUR_S
    logs = np.log(np.maximum(rates, floor))
    random = stream(seed, 0, Purpose.FORECAST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = _expected(logs, n_hours, models)
        errors = _errors(logs, models)
    paths = expected + _drawn_errors(errors, n_paths, n_hours, random)
    # A path that runs away is cut at a hundred times the busiest hour.
    paths = np.exp(np.minimum(paths, np.log(rates.max() * 100)))
    return np.where(paths <= floor, 0.0, paths)


def _expected(logs: FloatArray, n_hours: int, models: Any) -> FloatArray:
    """Return the logarithms of the rate that are most likely next [n_hours]."""
    model = models.MSTL(
        season_length=[24, HOURS_PER_WEEK], trend_forecaster=models.AutoETS(model="ZZN")
    )
    made = model.forecast(logs[-MOST_HOURS_BACK:], n_hours)
    mean: FloatArray = np.asarray(made["mean"], np.float64)
    return mean


def _errors(logs: FloatArray, models: Any) -> FloatArray:
    """Return by how much the week to come was off when it was forecast from each of some days [n, 168].

    In a trace too short to try that, by how much a week was off the one before, made smaller since a
    forecast knows two weeks and not one.
    """
    last = len(logs) - HOURS_PER_WEEK
    origins = range(last, max(2 * HOURS_PER_WEEK, last - 24 * MOST_ORIGINS) - 1, -24)
    if len(origins) >= FEWEST_ORIGINS:
        return np.array(
            [
                logs[origin : origin + HOURS_PER_WEEK]
                - _expected(logs[:origin], HOURS_PER_WEEK, models)
                for origin in origins
            ]
        )
    apart: FloatArray = (logs[HOURS_PER_WEEK:] - logs[:-HOURS_PER_WEEK]) * np.sqrt((1 + 1 / 2) / 2)
    n_days = len(apart) // 24
    days = apart[-24 * n_days :].reshape(n_days, 24)
    # Day after day in their order, beginning with each: as many weeks as days, of the same hours of the day.
    order = (np.arange(n_days)[:, None] + np.arange(7)) % n_days
    weeks = days[order].reshape(n_days, HOURS_PER_WEEK)
    # Growth from one week to the next is in the forecast already: a week may be off to either side.
    return np.concatenate([weeks, -weeks])


def _drawn_errors(
    errors: FloatArray, n_paths: int, n_hours: int, random: np.random.Generator
) -> FloatArray:
    """Return errors of whole weeks one after the other [n_paths, n_hours]; what a week ends with stays."""
    n_weeks = -(-n_hours // HOURS_PER_WEEK)
    weeks = errors[random.integers(len(errors), size=(n_paths, n_weeks))]
    ends = weeks[:, :-1, -24:].mean(axis=2)
    level = np.concatenate([np.zeros((n_paths, 1)), np.cumsum(ends, axis=1)], axis=1)
    return np.asarray((weeks + level[:, :, None]).reshape(n_paths, -1)[:, :n_hours])


def hourly_rates(trace: Trace) -> FloatArray:
    """Return requests per second in each full hour from tick 0 [hours]; a hole is no hour without requests.

    An hour that was not recorded has the mean of its hour of the week, or of its neighbours.

    >>> trace = Trace.build(np.arange(0, 7200, 2.0), [1] * 3600, [1] * 3600, span_s=7200)
    >>> hourly_rates(trace).tolist()
    [0.5, 0.5]
    """
    n = int(trace.span_s // HOUR_S)
    edges_s = np.arange(0.0, (n + 1) * HOUR_S, HOUR_S)
    edges = np.arange(n + 1, dtype=np.int64) * (HOUR_S * TICKS_PER_S)
    counts = np.diff(np.searchsorted(trace.arrival_ticks, edges))
    seconds = np.diff(seen_s(edges_s, find_holes(trace)))
    known = seconds >= LEAST_SEEN_S
    rates = np.divide(counts, seconds, where=known, out=np.zeros(n))
    hours = np.arange(n) % HOURS_PER_WEEK
    for hour in np.flatnonzero(~known):
        alike = known & (hours == hours[hour])
        rates[hour] = rates[alike].mean() if alike.any() else np.nan
    missing = np.isnan(rates)
    if missing.any():
        rates[missing] = np.interp(
            np.flatnonzero(missing), np.flatnonzero(~missing), rates[~missing]
        )
    return rates


def _statsforecast() -> Any:
    try:
        from statsforecast import models
    except ImportError:
        raise TraceError(
            "a forecast takes statsforecast, which is not installed: pip install 'ptplan[forecast]'"
        ) from None
    return models
