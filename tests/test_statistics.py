"""A trace in numbers: against closed forms, against the plainest numpy, and on traffic made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import traces

from simulations import statistics
from simulations.ingest import load_trace
from simulations.statistics import (
    WINDOWS_S,
    Hole,
    clock_step_s,
    find_holes,
    load_by_hour_of_week,
    rate_over_time,
    summarise_trace,
)
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

MONDAY_NS = 1_767_571_200 * 10**9
"""2026-01-05 00:00 UTC."""


def arriving(arrival_s, *, tokens: int = 1, **more) -> Trace:
    arrival_s = np.asarray(list(arrival_s), dtype=float)
    column = np.full(len(arrival_s), tokens)
    return Trace.build(arrival_s, column, column, **more)


def at_random(n: int, rate_per_s: float, *, seed: int) -> Trace:
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.exponential(1 / rate_per_s, n))
    return Trace.build(
        arrival_s, rng.integers(1, 4000, n), rng.integers(0, 900, n), epoch_ns=MONDAY_NS
    )


# The plainest numpy


def naive_bins(trace: Trace, width_s: float, weights) -> np.ndarray:
    n = trace.span_ticks // round(width_s * TICKS_PER_S)
    bins = np.zeros(n)
    for tick, weight in zip(trace.arrival_ticks.tolist(), weights, strict=True):
        place = tick // round(width_s * TICKS_PER_S)
        if place < n:
            bins[place] += weight
    return bins


def tokens_of(trace: Trace) -> np.ndarray:
    return trace.input_tokens.astype(np.int64) + trace.output_tokens


@given(traces(), st.sampled_from([1.0, 60.0, 300.0]))
def test_burstiness_is_what_numpy_makes_of_all_bins(trace, stretch):
    trace = replace(
        trace,
        arrival_ticks=trace.arrival_ticks * int(stretch * 100),
        span_ticks=trace.span_ticks * int(stretch * 100),
    )
    found = summarise_trace(trace)
    for burstiness, weights in (
        (found.by_requests, np.ones(len(trace))),
        (found.by_tokens, tokens_of(trace)),
    ):
        for name, width_s in WINDOWS_S.items():
            bins = naive_bins(trace, width_s, weights)
            if len(bins) < 2:
                assert burstiness.peak_to_mean[name] is None
                assert burstiness.peak_per_s[name] is None
                assert burstiness.dispersion[name] is None
                continue
            mean = bins.mean()
            assert burstiness.peak_per_s[name] == bins.max() / width_s
            assert burstiness.peak_to_mean[name] == pytest.approx(bins.max() / mean)
            assert burstiness.dispersion[name] == pytest.approx(
                bins.var(ddof=1) / mean, abs=1e-9 * bins.max()
            )


@given(traces(), st.sampled_from([0.001, 0.01, 0.5, 1.0]))
def test_rates_are_sums_over_full_bins(trace, width_s):
    rates = rate_over_time(trace, width_s)
    n = trace.span_ticks // round(width_s * TICKS_PER_S)
    assert rates.t_s == pytest.approx(np.arange(n) * width_s)
    assert rates.requests_per_s * width_s == pytest.approx(
        naive_bins(trace, width_s, np.ones(len(trace)))
    )
    assert rates.tokens_per_s * width_s == pytest.approx(
        naive_bins(trace, width_s, tokens_of(trace))
    )


@given(traces())
def test_lengths_are_nearest_rank_and_histograms_count_everybody(trace):
    found = summarise_trace(trace)
    for tokens, lengths, histogram in (
        (trace.input_tokens, found.input_tokens, found.input_histogram),
        (trace.output_tokens, found.output_tokens, found.output_histogram),
    ):
        assert lengths.mean == pytest.approx(tokens.mean())
        assert lengths.max == tokens.max()
        for percent in (50, 95, 99):
            exact = np.percentile(tokens, percent, method="inverted_cdf")
            assert getattr(lengths, f"p{percent}") == exact
        edges, counts = histogram.edges, histogram.counts
        assert sum(counts) == len(trace)
        assert list(edges) == sorted(set(edges))
        assert list(counts) == [
            int(((tokens >= low) & (tokens < high)).sum()) for low, high in pairwise(edges)
        ]
        assert counts[0] > 0
        assert counts[-1] > 0
        assert histogram.zeros == (tokens == 0).sum()


@given(traces())
def test_gaps_and_correlation_are_those_of_numpy(trace):
    found = summarise_trace(trace)
    gaps = np.diff(trace.arrival_ticks)
    assert found.ties_fraction == (gaps == 0).sum() / len(trace)
    if len(gaps) < 2 or not gaps.any():
        assert found.interarrival_cv is None
    else:
        assert found.interarrival_cv == pytest.approx(gaps.std(ddof=1) / gaps.mean(), abs=1e-9)
    columns = trace.input_tokens, trace.output_tokens
    if any(column.min() == column.max() for column in columns):
        assert found.input_output_correlation is None
    else:
        assert found.input_output_correlation == pytest.approx(
            np.corrcoef(*columns)[0, 1], abs=1e-9
        )


@given(traces(), st.integers(1, 7))
def test_rows_looked_at_in_blocks_give_the_same(trace, block):
    whole = summarise_trace(trace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "BLOCK_ROWS", block)
        parts = summarise_trace(trace)
    assert parts.input_histogram == whole.input_histogram
    assert parts.ties_fraction == whole.ties_fraction
    assert parts.interarrival_cv == pytest.approx(whole.interarrival_cv)
    assert parts.input_output_correlation == pytest.approx(whole.input_output_correlation)


# Closed forms


def test_requests_at_random_have_dispersion_and_variation_of_one():
    found = summarise_trace(at_random(200_000, 20.0, seed=4))
    assert found.interarrival_cv == pytest.approx(1, abs=0.01)
    # Of n bins the dispersion has a standard error of sqrt(2/n).
    for name, n in (("1s", 10_000), ("1m", 166), ("5m", 33)):
        assert found.by_requests.dispersion[name] == pytest.approx(1, abs=4 * math.sqrt(2 / n))
    tokens = tokens_of(at_random(200_000, 20.0, seed=4)).astype(float)
    compound = (tokens**2).mean() / tokens.mean()
    assert found.by_tokens.dispersion["1s"] == pytest.approx(compound, rel=0.06)


def test_a_steady_trace_has_no_dispersion():
    found = summarise_trace(arriving(np.arange(0, 1200, 0.25), span_s=1200))
    assert found.by_requests.dispersion == {"1s": 0.0, "1m": 0.0, "5m": 0.0}
    assert found.by_requests.peak_to_mean == {"1s": 1.0, "1m": 1.0, "5m": 1.0}
    assert found.by_requests.peak_per_s == {"1s": 4.0, "1m": 4.0, "5m": 4.0}
    assert found.interarrival_cv == 0.0
    assert found.mean_rate_per_s == 4.0
    assert found.mean_tokens_per_s == 8.0


def test_traffic_that_comes_in_turns_is_bursty():
    """Ten a second for a minute, then nothing for a minute: bins of 600 and 0."""
    on = [120 * cycle + i / 10 for cycle in range(30) for i in range(600)]
    found = summarise_trace(arriving(on, span_s=3600))
    assert found.by_requests.peak_to_mean == {"1s": 2.0, "1m": 2.0, "5m": pytest.approx(1.2)}
    n = 60
    assert found.by_requests.dispersion["1m"] == pytest.approx(300 * n / (n - 1))
    assert found.interarrival_cv > 5


def test_an_even_trace_of_one_second_with_one_bin_has_no_peak():
    found = summarise_trace(arriving([0, 0.5, 1.0]))
    assert set(found.by_requests.peak_to_mean.values()) == {None}
    assert found.mean_rate_per_s == 3.0


def test_one_request_has_no_rate():
    found = summarise_trace(arriving([7.0]))
    assert (found.requests, found.span_s) == (1, 0.0)
    assert found.mean_rate_per_s is found.mean_tokens_per_s is found.interarrival_cv is None
    assert found.clock_step_s is None
    assert found.holes == ()


def test_two_requests_a_year_apart_cost_no_more_than_two():
    found = summarise_trace(arriving([0, 365 * 86_400.0]))
    assert found.by_requests.peak_per_s["1s"] == 1.0
    assert found.by_requests.peak_to_mean["1s"] == 365 * 86_400


# Holes


def test_a_pause_in_steady_traffic_is_a_hole():
    times = [*range(0, 3000, 10), *range(10_000, 13_000, 10)]
    assert find_holes(arriving(times)) == (Hole(2990.0, 7010.0),)


def test_a_short_pause_is_no_hole_however_dense_the_traffic():
    times = [*np.arange(0, 100, 0.1), *np.arange(690, 800, 0.1)]
    assert find_holes(arriving(times)) == ()


def test_sparse_traffic_has_no_holes():
    """An hour between requests is what this traffic does; a day is not fifty times as long."""
    times = np.cumsum([3600.0] * 30 + [86_400.0] + [3600.0] * 30)
    assert find_holes(arriving(times)) == ()


def test_a_quiet_night_is_no_hole():
    day = np.arange(0, 8 * 3600, 2.0)
    night = np.arange(8 * 3600, 24 * 3600, 700.0)
    assert find_holes(arriving([*day, *night, *(86_400 + day)])) == ()


def test_a_recording_that_goes_on_in_silence_ends_with_a_hole():
    assert find_holes(arriving(range(100), span_s=10_000)) == (Hole(99.0, 9901.0),)


def test_among_few_requests_nothing_is_called_a_hole():
    assert find_holes(arriving([*range(5), *range(100_000, 100_005)])) == ()


def test_ties_all_around_do_not_hide_a_hole():
    assert find_holes(arriving([0.0] * 50 + [5000.0] * 50)) == (Hole(0.0, 5000.0),)


def test_holes_at_either_end_have_neighbours_on_one_side():
    assert find_holes(arriving([0, *range(5000, 5060)])) == (Hole(0.0, 5000.0),)


@pytest.mark.parametrize("seed", range(5))
def test_chance_makes_no_holes(seed):
    assert find_holes(at_random(20_000, 1 / 500, seed=seed)) == ()


# The clock


@pytest.mark.parametrize("step_s", [0.002, 0.5, 1.0, 3.0, 60.0])
def test_the_step_of_a_coarse_clock_is_found(step_s):
    rng = np.random.default_rng(1)
    steps = np.cumsum(rng.integers(0, 4, 500))
    assert clock_step_s(arriving(steps * step_s)) == pytest.approx(step_s, rel=1e-12)


def test_a_fine_clock_has_no_step():
    assert clock_step_s(arriving(np.arange(500) * 0.001)) is None
    assert clock_step_s(at_random(1000, 1.0, seed=3)) is None


def test_few_instants_have_a_common_step_by_chance():
    assert clock_step_s(arriving(range(0, 87, 3))) is None
    assert clock_step_s(arriving(range(0, 90, 3))) == 3.0
    assert clock_step_s(arriving([0.0] * 500 + [60.0] * 500)) is None


# The week


def test_each_hour_of_the_week_has_its_mean():
    hours = np.arange(14 * 24) * 3600.0
    tokens = np.arange(14 * 24) % 168 + 1
    trace = Trace.build(hours, tokens, tokens, span_s=14 * 86_400, epoch_ns=MONDAY_NS)
    assert load_by_hour_of_week(trace) == pytest.approx(2 * np.arange(1, 169) / 3600)
    east = load_by_hour_of_week(trace, utc_offset_s=3600)
    assert east == pytest.approx(np.roll(2 * np.arange(1, 169) / 3600, 1))


def test_an_hour_seen_in_part_counts_for_its_part():
    """From Monday 00:30, one token in and one out every second, for two and a quarter days."""
    seconds = np.arange(2.25 * 86_400)
    trace = arriving(seconds, span_s=len(seconds), epoch_ns=MONDAY_NS + 1800 * 10**9)
    load = load_by_hour_of_week(trace)
    assert load[:55] == pytest.approx([2.0] * 55)
    assert np.isnan(load[55:]).all()


@given(traces(), st.integers(-(10**18), 10**18), st.integers(-50_000, 50_000))
def test_the_week_is_what_walking_its_hours_gives(trace, epoch_ns, offset_s):
    trace = replace(
        trace,
        arrival_ticks=trace.arrival_ticks * 100_000,
        span_ticks=max(trace.span_ticks * 100_000 + 1, 2 * 86_400 * TICKS_PER_S),
        epoch_ns=epoch_ns,
    )
    hour = 3600 * TICKS_PER_S
    began = epoch_ns * (TICKS_PER_S // 10**9) + (offset_s + 3 * 86_400) * TICKS_PER_S
    seen, tokens = np.zeros(168), np.zeros(168)
    tick = 0
    while tick < trace.span_ticks:
        next_tick = min(((began + tick) // hour + 1) * hour - began, trace.span_ticks)
        seen[(began + tick) // hour % 168] += (next_tick - tick) / TICKS_PER_S
        tick = next_tick
    for tick, n in zip(trace.arrival_ticks.tolist(), tokens_of(trace).tolist(), strict=True):
        tokens[(began + tick) // hour % 168] += n
    expected = np.divide(tokens, seen, where=seen > 0, out=np.full(168, np.nan))
    assert load_by_hour_of_week(trace, utc_offset_s=offset_s) == pytest.approx(
        expected, nan_ok=True
    )


def test_without_dates_or_days_there_is_no_week():
    assert load_by_hour_of_week(arriving(range(10), span_s=7 * 86_400)) is None
    assert load_by_hour_of_week(arriving(range(10), epoch_ns=MONDAY_NS)) is None


# Real traffic


def test_azure_has_the_dispersion_that_was_measured_of_it(shared):
    """Source: ../shared/trace-formats.md, section 2."""
    trace = load_trace(shared / "traces" / "AzureLLMInferenceTrace_conv.csv.gz")
    dispersion = summarise_trace(trace).by_requests.dispersion
    assert {name: f"{value:.2g}" for name, value in dispersion.items()} == {
        "1s": "1.4",
        "1m": "16",
        "5m": "62",
    }
