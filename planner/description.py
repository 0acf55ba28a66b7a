"""What `ptplan describe` says of a file of traffic: its statistics under the keys that users' scripts rely
on, and the warnings in words. Takes what was read; knows nothing of terminals, pages or the endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from planner.line import one_line
from reports import numbers
from simulations.ingest import Reading
from simulations.ingest.rules import ELSEWHERE, FAILED
from simulations.statistics import (
    DAY_S,
    FEWEST_INSTANTS,
    WINDOWS_S,
    Histogram,
    Hole,
    Statistics,
    load_by_hour_of_week,
    rate_over_time,
    summarise_trace,
)
from simulations.trace import Trace

MOST_BINS = 480
"""Bins of the rate over time: what a figure of 960 px can show."""

FEWEST_BINS = 60
REQUESTS_PER_BIN = 5
"""Fewer requests a bin would show chance and not the rate."""

BIN_WIDTHS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, DAY_S, 2 * DAY_S),
)

MOST_HOLES = 1000
"""Holes written out; all are counted."""

HIDDEN_PEAK_RATIO = 3.0
HIDDEN_PEAK_REQUESTS = 10
"""A second with fewer requests is what chance does to sparse traffic."""

FEWEST_FOR_P99 = 1000
"""Ten requests are then beyond the 99th percentile."""

COARSE_CLOCK_S = 0.1
"""A finer step is lost among the times that are promised, some hundreds of milliseconds."""

TIES_FRACTION = 0.01
ZEROS_FRACTION = 0.01


def describe(reading: Reading) -> dict[str, Any]:
    """Return a trace in numbers and words, as plain data that JSON can hold.

    What is not known is None (the trace is too short, or has no dates), never NaN.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simulations.ingest import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "log.csv")
    ...     _ = file.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\\n0,9,1\\n2,7,1\\n")
    ...     data = describe(read(file))
    >>> data["requests"], data["mean_rate_per_s"], data["input_tokens"]["mean"], data["format"]
    (2, 1.0, 8.0, 'vidur')
    """
    trace = reading.trace
    found = summarise_trace(trace)
    hours = load_by_hour_of_week(trace)
    return {
        "path": str(reading.path),
        "format": reading.format,
        "container": reading.container,
        "sha256": reading.sha256,
        "rows_read": reading.rows_read,
        "rows_kept": reading.rows_kept,
        "requests": found.requests,
        "dropped": dict(reading.dropped),
        "bad_rows": [str(row) for row in reading.bad_rows],
        "epoch": _epoch(trace),
        "span_s": found.span_s,
        "mean_rate_per_s": found.mean_rate_per_s,
        "mean_tokens_per_s": found.mean_tokens_per_s,
        "input_tokens": asdict(found.input_tokens),
        "output_tokens": asdict(found.output_tokens),
        "total_tokens": trace.total_tokens,
        "cached_fraction": found.cached_fraction,
        "input_output_correlation": found.input_output_correlation,
        "peak_to_mean": found.by_requests.peak_to_mean,
        "peak_requests_per_s": found.by_requests.peak_per_s,
        "dispersion": found.by_requests.dispersion,
        "tokens_peak_to_mean": found.by_tokens.peak_to_mean,
        "peak_tokens_per_s": found.by_tokens.peak_per_s,
        "tokens_dispersion": found.by_tokens.dispersion,
        "interarrival_cv": found.interarrival_cv,
        "ties_fraction": found.ties_fraction,
        "clock_step_s": found.clock_step_s,
        "n_holes": len(found.holes),
        "holes": [hole._asdict() for hole in found.holes[:MOST_HOLES]],
        "warnings": [*map(one_line, reading.notes), *_warnings(reading, found)],
        "rate_over_time": _rate_over_time(trace),
        "load_by_hour_of_week": None
        if hours is None
        else [None if np.isnan(load) else float(load) for load in hours],
        "histograms": {
            "input_tokens": _bins(found.input_histogram),
            "output_tokens": _bins(found.output_histogram),
        },
    }


def _epoch(trace: Trace) -> str | None:
    if trace.epoch_ns is None:
        return None
    return f"{np.datetime64(trace.epoch_ns, 'ns')}Z"


def _bins(histogram: Histogram) -> dict[str, list[int]]:
    return {"edges": list(histogram.edges), "counts": list(histogram.counts)}


def _rate_over_time(trace: Trace) -> dict[str, Any]:
    most = min(MOST_BINS, max(FEWEST_BINS, len(trace) // REQUESTS_PER_BIN))
    width_s = next(
        (width_s for width_s in BIN_WIDTHS_S if trace.span_s <= width_s * most), BIN_WIDTHS_S[-1]
    )
    rates = rate_over_time(trace, width_s)
    return {"width_s": width_s} | {name: of.tolist() for name, of in rates._asdict().items()}


def _warnings(reading: Reading, found: Statistics) -> Iterator[str]:
    """Yield what to know before believing the numbers, a sentence each."""
    # Of failures and of what others served, reading has told already.
    bad = {
        reason: n
        for reason, n in reading.dropped.items()
        if not reason.startswith(FAILED) and reason != ELSEWHERE
    }
    n_bad = sum(bad.values())
    if n_bad:
        reasons = ", ".join(f"{one_line(reason)}: {numbers.count(n)}" for reason, n in bad.items())
        yield (
            f"{numbers.count(n_bad)} of {numbers.counted(reading.rows_read, 'row')} {_are(n_bad)} left "
            f"out ({reasons})"
        )
    yield from _peak_warnings(found)
    yield from _length_warnings(found)
    yield from _clock_warnings(found)
    yield from _hole_warnings(found)
    yield from _token_warnings(found)


def _peak_warnings(found: Statistics) -> Iterator[str]:
    peaks = found.by_requests.peak_per_s
    second, minutes = peaks["1s"], peaks["5m"]
    in_words = "5-minute averages", "5 minutes"
    if minutes is None:
        minutes, in_words = peaks["1m"], ("1-minute averages", "minute")
    if second is None or minutes is None or (found.clock_step_s or 0) > WINDOWS_S["1s"]:
        return
    if second >= max(HIDDEN_PEAK_RATIO * minutes, HIDDEN_PEAK_REQUESTS):
        yield (
            f"{in_words[0]} hide a {_times(second / minutes)} one-second peak: "
            f"{numbers.counted(second, 'request')} in the busiest second, "
            f"{numbers.count(minutes)} a second in the busiest {in_words[1]}"
        )


def _length_warnings(found: Statistics) -> Iterator[str]:
    if found.requests < FEWEST_FOR_P99:
        beyond = found.requests - max(1, -(-99 * found.requests // 100))
        yield (
            f"too few requests for p99: {numbers.count(beyond)} of {numbers.count(found.requests)} "
            f"{_are(beyond)} beyond it; of {numbers.count(FEWEST_FOR_P99)}, ten would be"
        )
    if not found.span_s:
        what = "all requests arrive at one instant" if found.requests > 1 else "one request"
        yield f"{what}: there is no rate"
        return
    short = [name for name, value in found.by_requests.dispersion.items() if value is None]
    if short:
        names = {"1s": "1 s", "1m": "1 min", "5m": "5 min"}
        yield (
            f"too short for peaks at {' and '.join(names[name] for name in short)}: "
            f"the recording lasts {numbers.duration(found.span_s)}, and two full bins are needed"
        )
    if found.span_s < DAY_S:
        yield (
            f"the recording lasts {numbers.duration(found.span_s)}, less than a day: "
            "the busiest hour may not be in it"
        )
    elif found.span_s < 7 * DAY_S:
        yield (
            f"the recording lasts {numbers.duration(found.span_s)}, less than a week: "
            "the busiest day may not be in it"
        )


def _clock_warnings(found: Statistics) -> Iterator[str]:
    step_s, ties = found.clock_step_s, found.ties_fraction
    if step_s is not None and step_s >= COARSE_CLOCK_S:
        text = (
            f"all arrivals are multiples of {numbers.duration(step_s)}: when within a step a "
            "request came is not recorded"
        )
        if step_s > WINDOWS_S["1s"]:
            text += ", so that peaks at 1 s are those of the clock"
        if ties:
            text += f" ({numbers.percent(ties)} arrive together with the one before)"
        yield text
    elif ties >= TIES_FRACTION:
        yield (
            f"{numbers.percent(ties)} of requests arrive at the very instant of the one before: "
            "a batch, a coarse clock, or rows twice"
        )


def _hole_warnings(found: Statistics) -> Iterator[str]:
    if not found.holes:
        return
    longest = max(found.holes, key=_length)
    total_s = sum(map(_length, found.holes))
    text = (
        f"nothing arrives for {numbers.duration(longest.length_s)}, from "
        f"{numbers.duration(longest.start_s)} after the first request"
    )
    if len(found.holes) > 1:
        text = (
            f"{numbers.count(len(found.holes))} holes of {numbers.duration(total_s)} together; "
            f"in the longest {text}"
        )
    if total_s < found.span_s:
        ratio = found.span_s / (found.span_s - total_s)
        higher = (
            f"{_times(ratio)} as high" if ratio >= 2 else f"{numbers.percent(ratio - 1)} higher"
        )
        text += f"; if nothing was recorded then, the mean rate is {higher}"
    yield text


def _length(hole: Hole) -> float:
    return hole.length_s


def _token_warnings(found: Statistics) -> Iterator[str]:
    zeros = found.output_histogram.zeros / found.requests
    if zeros == 1:
        yield (
            "every output is 0 tokens: right for a model of embeddings; "
            "of any other, the log does not know the outputs"
        )
    elif zeros >= ZEROS_FRACTION:
        yield f"{numbers.percent(zeros)} of outputs are 0 tokens: requests that failed or were cancelled?"
    if found.requests >= FEWEST_INSTANTS:
        for what, lengths, histogram in (
            ("input", found.input_tokens, found.input_histogram),
            ("output", found.output_tokens, found.output_histogram),
        ):
            if len(histogram.counts) == 1 and lengths.mean == lengths.max > 0:
                yield f"every {what} is {numbers.counted(lengths.max, 'token')}: made, not measured?"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 9.95 else f"{ratio:.1f}x"
