"""What a trace looks like in numbers: rates, peaks, burstiness, lengths, quantiles.

Conventions, the same everywhere: bins start at tick 0 and only full ones count; dispersion is the sample
variance over the mean of the counts; peak-to-mean is the largest bin over the mean bin. A number that the
trace is too short for is None. Reads a trace; knows neither files nor endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

WINDOWS_S = {"1s": 1, "1m": 60, "5m": 300}
HOUR_S = 3600
HOURS_PER_WEEK = 168
QUANTILES = {"p50": 50, "p95": 95, "p99": 99}


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of the requests: mean and nearest-rank percentiles."""

    mean: float
    p50: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True)
class Burstiness:
    """How uneven counts per bin are, by window (`1s`, `1m`, `5m`); None where fewer than two bins are full.

    Args:
        peak_to_mean: largest bin over the mean bin.
        dispersion: sample variance over mean; 1 for a Poisson process with an even rate.
    """

    peak_to_mean: dict[str, float | None]
    dispersion: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Statistics:
    """A trace in numbers.

    Args:
        requests: how many.
        span_s: length of the recording.
        mean_rate_per_s: requests per second, None where the recording has no length.
        mean_tokens_per_s: input + output, None likewise.
        input_tokens, output_tokens: lengths.
        cached_fraction: of all input tokens.
        by_requests, by_tokens: burstiness of arrivals and of offered tokens.
        interarrival_cv: standard deviation over mean of the gaps; 1 for Poisson. None below three requests.
        input_output_correlation: Pearson; None where one of them does not vary.
        ties_fraction: requests that arrived at the very tick of the one before.
    """

    requests: int
    span_s: float
    mean_rate_per_s: float | None
    mean_tokens_per_s: float | None
    input_tokens: Lengths
    output_tokens: Lengths
    cached_fraction: float
    by_requests: Burstiness
    by_tokens: Burstiness
    interarrival_cv: float | None
    input_output_correlation: float | None
    ties_fraction: float


def summarise_trace(trace: Trace) -> Statistics:
    """Return a trace in numbers.

    >>> stats = summarise_trace(Trace.build([0, 1, 2, 3], [10, 10, 20, 20], [1, 2, 3, 4]))
    >>> stats.requests, stats.input_tokens.mean, stats.interarrival_cv
    (4, 15.0, 0.0)
    """
    span_s = trace.span_s
    gaps = np.diff(trace.arrival_ticks)
    tokens = trace.input_tokens.astype(np.int64) + trace.output_tokens
    return Statistics(
        requests=len(trace),
        span_s=span_s,
        mean_rate_per_s=len(trace) / span_s if span_s else None,
        mean_tokens_per_s=trace.total_tokens / span_s if span_s else None,
        input_tokens=_lengths(trace.input_tokens),
        output_tokens=_lengths(trace.output_tokens),
        cached_fraction=float(trace.cached_tokens.sum(dtype=np.int64))
        / float(trace.input_tokens.sum(dtype=np.int64)),
        by_requests=_burstiness(trace, None),
        by_tokens=_burstiness(trace, tokens),
        interarrival_cv=_variation(gaps) if len(gaps) > 1 else None,
        input_output_correlation=_correlation(trace.input_tokens, trace.output_tokens),
        ties_fraction=float((gaps == 0).sum()) / len(trace),
    )


def counts_per_bin(
    trace: Trace, width_s: float, weights: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.float64]:
    """Return requests (or the sum of their weights) in each full bin from tick 0.

    >>> counts_per_bin(Trace.build([0, 0.5, 1.2, 2.0], [1] * 4, [1] * 4), 1.0).tolist()
    [2.0, 1.0]
    """
    width = round(width_s * TICKS_PER_S)
    n = trace.span_ticks // width
    place = trace.arrival_ticks // width
    full = place < n
    chosen = None if weights is None else weights[full]
    return np.bincount(place[full], chosen, n).astype(np.float64)


def rate_over_time(trace: Trace, width_s: float) -> npt.NDArray[np.float64]:
    """Return offered tokens per second in each full bin of a width."""
    tokens = trace.input_tokens.astype(np.int64) + trace.output_tokens
    return counts_per_bin(trace, width_s, tokens) / width_s


def load_by_hour_of_week(trace: Trace, *, utc_offset_s: int = 0) -> npt.NDArray[np.float64] | None:
    """Return mean offered tokens per second for each of the 168 hours from Monday 00:00, NaN where never seen.

    None where the log has no date or spans less than two days.
    """
    if trace.epoch_ns is None or trace.span_s < 2 * 86_400:
        return None
    # 1970-01-01 was a Thursday, three days into its week.
    start_s = trace.epoch_ns / 1e9 + utc_offset_s + 3 * 86_400
    edges_s = np.arange(0.0, trace.span_s + HOUR_S, HOUR_S)
    edges_s = np.minimum(edges_s - start_s % HOUR_S, trace.span_s)
    edges_s[0] = 0.0
    edges_s = np.unique(edges_s)
    tokens = trace.input_tokens.astype(np.float64) + trace.output_tokens
    summed, _ = np.histogram(
        trace.arrival_ticks / TICKS_PER_S, np.append(edges_s, np.inf), weights=tokens
    )
    hour = ((start_s + edges_s) // HOUR_S).astype(np.int64) % HOURS_PER_WEEK
    seconds = np.bincount(hour, np.diff(np.append(edges_s, trace.span_s)), HOURS_PER_WEEK)
    total = np.bincount(hour, summed, HOURS_PER_WEEK)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seconds > 0, total / seconds, np.nan)


def _lengths(tokens: npt.NDArray[np.int32]) -> Lengths:
    ranks = {
        name: max(1, -(-percent * len(tokens) // 100)) - 1 for name, percent in QUANTILES.items()
    }
    ordered = np.partition(tokens, list(ranks.values()))
    return Lengths(
        mean=float(tokens.mean()),
        max=int(tokens.max()),
        **{name: int(ordered[rank]) for name, rank in ranks.items()},
    )


def _burstiness(trace: Trace, weights: npt.NDArray[np.int64] | None) -> Burstiness:
    peak: dict[str, float | None] = {}
    dispersion: dict[str, float | None] = {}
    for name, width_s in WINDOWS_S.items():
        counts = counts_per_bin(trace, width_s, weights)
        usable = len(counts) > 1 and counts.mean() > 0
        peak[name] = float(counts.max() / counts.mean()) if usable else None
        dispersion[name] = float(counts.var(ddof=1) / counts.mean()) if usable else None
    return Burstiness(peak, dispersion)


def _variation(gaps: npt.NDArray[np.int64]) -> float | None:
    mean = float(gaps.mean())
    return float(gaps.std(ddof=1)) / mean if mean > 0 else None


def _correlation(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32]) -> float | None:
    if len(one) < 2 or one.min() == one.max() or other.min() == other.max():
        return None
    return float(np.corrcoef(one, other)[0, 1])
