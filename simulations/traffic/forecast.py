"""What the hourly rate may be in the hours after a trace: many paths, each as likely as another.

One line, the most likely one, would be smoother than any future; capacity is bought for the others.
The only place that knows statsforecast, which is an optional extra.
"""

from __future__ import annotations

import warnings
from types import ModuleType

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

MOST_PATHS = 10_000
MOST_HOURS = 24 * 366
LEAST_SEEN_S = 60.0
"""An hour of which less was recorded is taken from those around it."""

FloatArray = npt.NDArray[np.float64]


def forecast_rates(trace: Trace, horizon_s: float, *, n_paths: int, seed: int) -> FloatArray:
    """Return requests per second in each hour after a trace, sampled paths [n_paths, hours].

    The logarithm of the hourly rate is taken apart into a day, a week and the rest (MSTL); the rest is
    followed by exponential smoothing (AutoETS), whose errors are drawn again from those it made. The
    first hour begins where the last full hour of the trace ends, counted from its beginning.

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
    # Its own seed feeds a generator of its own; ours gives it one for each (seed, purpose).
    drawn = int(stream(seed, 0, Purpose.FORECAST).integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = models.MSTL(
            season_length=[24, HOURS_PER_WEEK], trend_forecaster=models.AutoETS(model="ZZN")
        )
        model = model.fit(logs)
        paths = model.simulate(n_hours, n_paths, seed=drawn, error_distribution="bootstrap")
    paths = np.exp(np.minimum(np.asarray(paths, float), np.log(rates.max() * 100)))
    return np.where(paths <= floor, 0.0, paths)


def hourly_rates(trace: Trace) -> FloatArray:
    """Return requests per second in each full hour from tick 0 [hours]; a hole is no hour without requests.

    An hour that was not recorded has the mean of its hour of the week, or of its neighbours.

    >>> trace = Trace.build(np.arange(0, 7200, 2.0), [1] * 3600, [1] * 3600, span_s=7200)
    >>> hourly_rates(trace).tolist()
    [0.5, 0.5]
    """
    n = int(trace.span_s // HOUR_S)
    edges_s = np.arange(n + 1) * float(HOUR_S)
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


def _statsforecast() -> ModuleType:
    try:
        from statsforecast import models
    except ImportError:
        raise TraceError(
            "a forecast takes statsforecast, which is not installed: pip install 'ptplan[forecast]'"
        ) from None
    return models  # type: ignore[no-any-return]
