"""What a trace looks like in numbers: rates, peaks, burstiness, lengths, gaps, hours of the week.

Conventions, the same everywhere: bins start at tick 0 and only full ones count; dispersion is the sample
variance over the mean of the bins; peak-to-mean is the largest bin over the mean bin; percentiles are
nearest-rank. A number that the trace is too short for is None. Reads a trace; knows neither files nor endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.ticks import TICKS_PER_S
from simulations.trace import IntArray, TokenArray, Trace

WINDOWS_S = {"1s": 1, "1m": 60, "5m": 300}
"""Windows of peaks and dispersion; each a whole number of the one before, so that it is made of its bins."""

HOUR_S = 3600
DAY_S = 86_400
HOURS_PER_WEEK = 168
SHORTEST_WITH_HOURS_S = 2 * DAY_S
"""Below two days no hour of the day is seen twice, and a load by hour of the week is the trace itself."""

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}

HOLE_LONGEST_USUAL_S = 600
HOLE_MEAN_GAPS = 50
HOLE_NEIGHBOURS = 50
HOLE_FEWEST_NEIGHBOURS = 10

COARSE_STEP_TICKS = TICKS_PER_S // 1000
"""A clock that ticks no slower than this, 1 ms, is fine: logs are written in milliseconds."""

FEWEST_INSTANTS = 30
"""So many distinct instants are on a multiple of a common step by chance once in 2**29 times."""

BLOCK_ROWS = 1 << 22
"""Rows looked at together, so that no column is copied whole."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of the requests: mean, nearest-rank percentiles, and the longest."""

    mean: float
    p50: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many requests have how many tokens, in bins of half an octave; 0 tokens have a bin of their own.

    Args:
        edges: whole numbers, increasing [n + 1]; bin i holds edges[i] <= tokens < edges[i + 1].
        counts: requests [n]; the first and the last bin are not empty.
    """

    edges: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def zeros(self) -> int:
        """Requests with no token at all."""
        return self.counts[0] if self.edges[0] == 0 else 0


@dataclass(frozen=True, slots=True)
class Burstiness:
    """How uneven the bins are, by window (`1s`, `1m`, `5m`); None where fewer than two bins are full.

    Args:
        peak_to_mean: largest bin over the mean bin.
        peak_per_s: largest bin over the window.
        dispersion: sample variance over mean; for counts of requests 1 where they are Poisson at an
            even rate. For tokens it has the unit of a token: the mean square over the mean of a
            request, where they are.
    """

    peak_to_mean: dict[str, float | None]
    peak_per_s: dict[str, float | None]
    dispersion: dict[str, float | None]


class Hole(NamedTuple):
    """A time without arrivals that is too long for the traffic around it.

    Args:
        start_s: when the last request before it arrived.
        length_s: until the next one, or until the recording ends.
    """

    start_s: float
    length_s: float


class Rates(NamedTuple):
    """What was offered per second in each full bin.

    Args:
        t_s: where each bin starts [n].
        requests_per_s, tokens_per_s: means of each bin [n].
    """

    t_s: npt.NDArray[np.float64]
    requests_per_s: npt.NDArray[np.float64]
    tokens_per_s: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statistics:
    """A trace in numbers.

    Args:
        requests: how many.
        span_s: length of the recording.
        mean_rate_per_s: requests per second, None where the recording has no length.
        mean_tokens_per_s: input + output, None likewise.
        input_tokens, output_tokens: lengths.
        input_histogram, output_histogram: the same in bins.
        cached_fraction: of all input tokens.
        by_requests, by_tokens: burstiness of arrivals and of offered tokens.
        interarrival_cv: sample standard deviation over mean of the gaps; 1 for Poisson. None below three requests.
        input_output_correlation: Pearson; None where one of them does not vary.
        ties_fraction: requests that arrived at the very tick of the one before.
        clock_step_s: what all arrivals are multiples of, where that is more than 1 ms; else None.
        holes: in order of time, see `find_holes`.
    """

    requests: int
    span_s: float
    mean_rate_per_s: float | None
    mean_tokens_per_s: float | None
    input_tokens: Lengths
    output_tokens: Lengths
    input_histogram: Histogram
    output_histogram: Histogram
    cached_fraction: float
    by_requests: Burstiness
    by_tokens: Burstiness
    interarrival_cv: float | None
    input_output_correlation: float | None
    ties_fraction: float
    clock_step_s: float | None
    holes: tuple[Hole, ...]


def summarise_trace(trace: Trace) -> Statistics:
    """Return a trace in numbers.

    >>> stats = summarise_trace(Trace.build([0, 1, 2, 3], [10, 10, 20, 20], [1, 2, 3, 4]))
    >>> stats.requests, stats.input_tokens.mean, stats.interarrival_cv
    (4, 15.0, 0.0)
    """
    span_s = trace.span_s
    by_requests, by_tokens = _burstiness(trace)
    input_tokens, input_histogram = _lengths(trace.input_tokens)
    output_tokens, output_histogram = _lengths(trace.output_tokens)
    interarrival_cv, n_ties = _gaps(trace.arrival_ticks)
    return Statistics(
        requests=len(trace),
        span_s=span_s,
        mean_rate_per_s=len(trace) / span_s if span_s else None,
        mean_tokens_per_s=trace.total_tokens / span_s if span_s else None,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        input_histogram=input_histogram,
        output_histogram=output_histogram,
        cached_fraction=int(trace.cached_tokens.sum(dtype=np.int64))
        / int(trace.input_tokens.sum(dtype=np.int64)),
        by_requests=by_requests,
        by_tokens=by_tokens,
        interarrival_cv=interarrival_cv,
        input_output_correlation=_correlation(trace),
        ties_fraction=n_ties / len(trace),
        clock_step_s=clock_step_s(trace),
        holes=find_holes(trace),
    )


def rate_over_time(trace: Trace, width_s: float) -> Rates:
    """Return requests and tokens (input + output) per second in each full bin from tick 0.

    >>> rates = rate_over_time(Trace.build([0, 0.5, 1.2, 2.0], [3] * 4, [1] * 4), 1.0)
    >>> rates.requests_per_s.tolist(), rates.tokens_per_s.tolist()
    ([2.0, 1.0], [8.0, 4.0])
    """
    width = round(width_s * TICKS_PER_S)
    edges = np.arange(trace.span_ticks // width + 1, dtype=np.int64) * width
    requests, tokens = _offered_between(trace, edges)
    return Rates(edges[:-1] / TICKS_PER_S, requests / width_s, tokens / width_s)


def load_by_hour_of_week(trace: Trace, *, utc_offset_s: int = 0) -> npt.NDArray[np.float64] | None:
    """Return mean offered tokens per second for each of the 168 hours from Monday 00:00, NaN where never seen.

    None where the log has no date or spans less than two days. An hour seen in part counts for the
    part that was seen.

    Args:
        utc_offset_s: of the clock whose hours these are; UTC unless told otherwise.
    """
    if trace.epoch_ns is None or trace.span_s < SHORTEST_WITH_HOURS_S:
        return None
    # 1970-01-01 was a Thursday, three days into its week.
    began_s, rest_ns = divmod(trace.epoch_ns, 10**9)
    began_s += utc_offset_s + 3 * DAY_S
    into_hour = (began_s % HOUR_S) * TICKS_PER_S + rest_ns * (TICKS_PER_S // 10**9)
    hour_ticks = HOUR_S * TICKS_PER_S
    n = -(-(into_hour + trace.span_ticks) // hour_ticks)
    edges = np.arange(n + 1, dtype=np.int64) * hour_ticks - into_hour
    edges[0], edges[-1] = 0, trace.span_ticks
    hour = (began_s // HOUR_S + np.arange(n)) % HOURS_PER_WEEK
    _, tokens = _offered_between(trace, edges)
    offered = np.bincount(hour, tokens, HOURS_PER_WEEK)
    seconds = np.bincount(hour, np.diff(edges) / TICKS_PER_S, HOURS_PER_WEEK)
    with np.errstate(invalid="ignore"):
        return np.where(seconds > 0, offered / seconds, np.nan)


def find_holes(trace: Trace) -> tuple[Hole, ...]:
    """Return the times without arrivals that are too long for the traffic around them.

    A gap is a hole if it is longer than 10 minutes and than 50 times the mean of the gaps around it, up
    to 50 on either side. Around it and not overall, since nights are quiet: where requests come at
    random at any rate that changes slowly, a gap passes for a hole with probability (1 + 50/100)**-100,
    or 2e-18. Whether nobody asked or nobody recorded, a log cannot say. With fewer than ten gaps around
    it nothing is called a hole.

    >>> minutes = [*range(30), *range(300, 330)]
    >>> find_holes(Trace.build([60 * m for m in minutes], [1] * 60, [1] * 60))
    (Hole(start_s=1740.0, length_s=16260.0),)
    """
    ticks = trace.arrival_ticks
    last = len(ticks) - 1
    least = HOLE_LONGEST_USUAL_S * TICKS_PER_S
    # Index i is the gap after request i; the one after the last lasts to the end of the recording.
    found = [
        np.flatnonzero(np.diff(ticks[rows.start : rows.stop + 1]) > least) + rows.start
        for rows in _blocks(last)
    ]
    found.append(np.full(int(trace.span_ticks - int(ticks[-1]) > least), last))
    gap = np.concatenate(found)
    after = np.minimum(gap + 1, last)
    length = np.where(gap < last, ticks[after], trace.span_ticks) - ticks[gap]
    before = np.maximum(gap - HOLE_NEIGHBOURS, 0)
    beyond = np.minimum(after + HOLE_NEIGHBOURS, last)
    n_around = (gap - before) + (beyond - after)
    around = (ticks[gap] - ticks[before]) + (ticks[beyond] - ticks[after])
    is_hole = (n_around >= HOLE_FEWEST_NEIGHBOURS) & (
        length * np.maximum(n_around, 1.0) > HOLE_MEAN_GAPS * around.astype(np.float64)
    )
    return tuple(
        Hole(start / TICKS_PER_S, long / TICKS_PER_S)
        for start, long in zip(ticks[gap[is_hole]].tolist(), length[is_hole].tolist(), strict=True)
    )


def close_holes(trace: Trace) -> Trace:
    """Return the trace without its holes: what came after one follows on what came before it.

    A gap of a recording is no time without traffic, so it is no part of rates, horizon or bill. One mean
    gap of what is left stays in place of each hole. A trace without holes comes back as it is.

    >>> minutes = [*range(30), *range(300, 330)]
    >>> close_holes(Trace.build([60 * m for m in minutes], [1] * 60, [1] * 60)).span_s / 60
    59.0
    """
    holes = find_holes(trace)
    if not holes:
        return trace
    lengths = np.array([round(hole.length_s * TICKS_PER_S) for hole in holes], np.int64)
    starts = np.array([round(hole.start_s * TICKS_PER_S) for hole in holes], np.int64)
    kept = trace.span_ticks - int(lengths.sum())
    mean_gap = kept // max(1, len(trace) - 1 - len(holes))
    cut = np.cumsum(np.maximum(0, lengths - max(2, mean_gap)))
    # Seconds are floats, so a hole's own edge may be off by some ticks; its middle has no request near.
    before = np.searchsorted(starts + lengths // 2, trace.arrival_ticks)
    shift = np.concatenate([[0], cut])[before]
    return replace(
        trace, arrival_ticks=trace.arrival_ticks - shift, span_ticks=trace.span_ticks - int(cut[-1])
    )


def clock_step_s(trace: Trace) -> float | None:
    """Return what all arrivals are multiples of, where that is more than 1 ms; else None.

    None also where there are too few distinct instants to tell a step from chance.

    >>> seconds = range(0, 120, 3)
    >>> clock_step_s(Trace.build(seconds, [1] * 40, [1] * 40))
    3.0
    """
    step, n_instants = 0, 1
    for rows in _blocks(len(trace), block=1 << 16):
        ticks = trace.arrival_ticks[rows]
        step = math.gcd(step, int(np.gcd.reduce(ticks)))
        if 0 < step <= COARSE_STEP_TICKS:
            return None
        n_instants += int(np.count_nonzero(np.diff(ticks)))
    return step / TICKS_PER_S if n_instants >= FEWEST_INSTANTS else None


def _blocks(n: int, *, block: int | None = None) -> Iterator[slice]:
    block = block or BLOCK_ROWS
    return (slice(start, min(start + block, n)) for start in range(0, n, block))


def _offered_between(
    trace: Trace, edges: IntArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return requests and tokens in each bin [edge, next edge), of edges in ticks, increasing."""
    place = np.searchsorted(trace.arrival_ticks, edges)
    tokens = np.zeros(len(edges) - 1, np.int64)
    # reduceat sums from each start to the next one; an empty bin would take its right neighbour's first.
    filled = np.flatnonzero(np.diff(place))
    if len(filled):
        tokens[filled] = _token_sums(trace, place[filled], int(place[-1]))
    return np.diff(place), tokens


def _token_sums(trace: Trace, first: IntArray, n: int) -> npt.NDArray[np.int64]:
    """Return input + output tokens of the rows from each of `first` to the next, of the first n rows."""
    sums: npt.NDArray[np.int64] = np.add.reduceat(trace.input_tokens[:n], first, dtype=np.int64)
    sums += np.add.reduceat(trace.output_tokens[:n], first, dtype=np.int64)
    return sums


def _burstiness(trace: Trace) -> tuple[Burstiness, Burstiness]:
    """Return the burstiness of requests and of tokens.

    Only bins with requests are kept, so that a year with ten requests costs no more than ten.
    """
    by_requests, by_tokens = Burstiness({}, {}, {}), Burstiness({}, {}, {})
    place = trace.arrival_ticks // TICKS_PER_S
    first = np.flatnonzero(np.diff(place, prepend=-1))
    requests = np.diff(first, append=len(place))
    tokens = _token_sums(trace, first, len(place))
    place = place[first]
    width_s = 1
    for name, wider_s in WINDOWS_S.items():
        place //= wider_s // width_s
        width_s = wider_s
        first = np.flatnonzero(np.diff(place, prepend=-1))
        place = place[first]
        requests = np.add.reduceat(requests, first)
        tokens = np.add.reduceat(tokens, first)
        n_full = trace.span_ticks // (width_s * TICKS_PER_S)
        full = place < n_full
        for burstiness, bins in ((by_requests, requests), (by_tokens, tokens)):
            peak, ratio, dispersion = _unevenness(bins[full], n_full)
            burstiness.peak_per_s[name] = None if peak is None else peak / width_s
            burstiness.peak_to_mean[name] = ratio
            burstiness.dispersion[name] = dispersion
    return by_requests, by_tokens


def _unevenness(
    filled: npt.NDArray[np.int64], n: int
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return peak, peak over mean and dispersion of n bins of which these are not empty."""
    if n < 2 or not len(filled):
        return None, None, None
    mean = int(filled.sum()) / n
    peak = float(filled.max())
    squares = float(np.square(filled - mean).sum()) + (n - len(filled)) * mean * mean
    return peak, peak / mean, squares / (n - 1) / mean


def _gaps(ticks: IntArray) -> tuple[float | None, int]:
    """Return the coefficient of variation of the gaps, and how many of them are 0."""
    n = len(ticks) - 1
    mean = int(ticks[-1]) / n if n else 0.0
    squares, n_ties = 0.0, 0
    for rows in _blocks(n):
        gaps = np.diff(ticks[rows.start : rows.stop + 1])
        n_ties += len(gaps) - int(np.count_nonzero(gaps))
        squares += float(np.square(gaps - mean).sum())
    return math.sqrt(squares / (n - 1)) / mean if n > 1 and mean else None, n_ties


def _lengths(tokens: TokenArray) -> tuple[Lengths, Histogram]:
    """Return lengths in numbers and in bins, both from how often each length occurs."""
    longest = int(tokens.max())
    times = np.zeros(longest + 1, np.int64)
    for rows in _blocks(len(tokens), block=max(BLOCK_ROWS, longest)):
        times += np.bincount(tokens[rows], minlength=longest + 1)
    up_to = np.cumsum(times)
    n = len(tokens)
    ranks = {name: max(1, -(-percent * n // 100)) for name, percent in PERCENTILES.items()}
    lengths = Lengths(
        mean=int(tokens.sum(dtype=np.int64)) / n,
        max=longest,
        **{name: int(np.searchsorted(up_to, rank)) for name, rank in ranks.items()},
    )
    edges = _half_octaves(longest)
    counts = np.diff(up_to[np.minimum(edges, longest + 1) - 1], prepend=0)[1:]
    counts = np.append(times[0], counts)
    edges = np.append(0, edges)
    first, end = np.flatnonzero(counts)[[0, -1]] + [0, 1]
    return lengths, Histogram(
        tuple(edges[first : end + 1].tolist()), tuple(counts[first:end].tolist())
    )


def _half_octaves(longest: int) -> npt.NDArray[np.int64]:
    """Return the whole numbers next above the half powers of 2, from 1 to beyond the longest.

    >>> _half_octaves(20).tolist()
    [1, 2, 3, 4, 6, 8, 12, 16, 23]
    """
    powers = np.arange(2 * max(1, longest).bit_length() + 1)
    edges = np.unique(np.ceil(np.exp2(powers / 2)).astype(np.int64))
    return edges[: int(np.searchsorted(edges, longest, side="right")) + 1]


def _correlation(trace: Trace) -> float | None:
    columns: list[npt.NDArray[Any]] = [trace.input_tokens, trace.output_tokens]
    if any(column.min() == column.max() for column in columns):
        return None
    means = [int(column.sum(dtype=np.int64)) / len(trace) for column in columns]
    products = np.zeros((2, 2))
    for rows in _blocks(len(trace)):
        apart = np.stack([column[rows] - mean for column, mean in zip(columns, means, strict=True)])
        products += apart @ apart.T
    return float(products[0, 1] / math.sqrt(products[0, 0] * products[1, 1]))
