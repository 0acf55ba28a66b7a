"""Paths of the hours to come, and traces at those rates; the forecast itself where statsforecast is installed."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.recommendation import law_of
from simulations.errors import ObjectiveError, TraceError
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic import (
    RECORDED,
    Bootstrap,
    Bursts,
    Change,
    Continuation,
    Description,
    Futures,
    LogNormal,
    OnOff,
    SeasonalRate,
    generate,
)
from simulations.traffic.forecast import forecast_rates, hourly_rates
from simulations.traffic.rate_path import trace_at_rates

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
LENGTHS = LogNormal.from_p95(400, 3000)
START = datetime(2026, 11, 4, 10, tzinfo=UTC)
TRUTH = Description(
    3 * WEEK_S,
    SeasonalRate(0.2, daily_amplitude=0.7, weekend_factor=0.4),
    LENGTHS,
    LENGTHS,
    start=START,
    bursts=Bursts(on_off=OnOff(3600.0, 7200.0, 2.0)),
)

installed = pytest.mark.skipif(
    importlib.util.find_spec("statsforecast") is None,
    reason="statsforecast is not installed: pip install 'ptplan[forecast]'",
)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return generate(TRUTH)


def truth_in(hours: np.ndarray) -> np.ndarray:
    return replace(TRUTH, duration_s=9 * WEEK_S).rate_per_s(hours * 3600.0 + 1800)


# Rates by the hour


def test_an_hour_that_was_not_recorded_has_the_rate_of_its_hour_of_the_week(trace: Trace) -> None:
    hours = trace.arrival_ticks // (3600 * TICKS_PER_S)
    kept = (hours < 200) | (hours >= 206)
    columns = (trace.arrival_ticks, trace.input_tokens, trace.cached_tokens, trace.output_tokens)
    holed = Trace(*(column[kept] for column in columns), trace.span_ticks, trace.epoch_ns)
    whole, found = hourly_rates(trace), hourly_rates(holed)
    assert (found[:199] == whole[:199]).all()
    assert found[201:205] == pytest.approx((whole[33:37] + whole[369:373]) / 2)


# A trace at a path of rates


def test_a_path_is_kept_to_hour_by_hour(trace: Trace) -> None:
    """Counts around a tenth and around three times the rate there was, over 40 replications."""
    for factor in (0.1, 3.0):
        rates = truth_in(504 + np.arange(24.0)) * factor
        made = [trace_at_rates(trace, rates, seed=1, replication=i) for i in range(40)]
        # The first request is moved to tick 0; the hour it is moved by is a few seconds.
        counts = np.mean([len(one) for one in made])
        expected = rates.sum() * 3600
        assert counts == pytest.approx(expected, abs=5 * np.sqrt(expected / 40))
        assert {one.span_s for one in made} == {86_400.0}
        assert made[0].epoch_ns // 10**9 == pytest.approx(START.timestamp() + 3 * WEEK_S, abs=900)


def test_requests_are_those_of_their_hour_of_the_week() -> None:
    """Each request of a fortnight carries its hour of the week as its length."""
    at_s = np.arange(0, 2 * WEEK_S, 60.0)
    hour = (at_s // 3600).astype(int) % 168
    trace = Trace.build(at_s, hour + 1, hour, span_s=2 * WEEK_S)
    made = trace_at_rates(trace, np.full(168, 0.05), seed=3)
    begins = int(made.input_tokens[0]) - 1
    at_hour = (made.arrival_ticks // (3600 * TICKS_PER_S) + begins) % 168
    # Tick 0 is the first request's; what follows may stand in the hour before its own.
    late = (made.input_tokens - 1 - at_hour) % 168
    assert set(late.tolist()) <= {0, 1}
    assert len(set(made.input_tokens.tolist())) == 168


def test_bursts_stay_bursts_and_chance_stays_chance() -> None:
    """Dispersion in minutes, of the same rate: about 1 of Poisson traffic, far more of bursts."""
    found = {}
    for name, bursts in (("calm", Bursts()), ("bursty", Bursts(on_off=OnOff(60.0, 600.0, 30.0)))):
        described = replace(TRUTH, duration_s=WEEK_S, rate=SeasonalRate(0.5), bursts=bursts)
        made = trace_at_rates(generate(described), np.full(168, 0.4), seed=1)
        counts = np.bincount(made.arrival_ticks // (60 * TICKS_PER_S))
        found[name] = counts.var() / counts.mean()
    assert found["calm"] == pytest.approx(1.0, abs=0.1)
    assert found["bursty"] > 15


def test_the_same_seed_gives_the_same_requests_and_another_replication_others(trace: Trace) -> None:
    rates = truth_in(504 + np.arange(5.0))
    one = trace_at_rates(trace, rates, seed=1)
    assert one.sha256 == trace_at_rates(trace, rates, seed=1).sha256
    assert one.sha256 != trace_at_rates(trace, rates, seed=1, replication=1).sha256


@settings(max_examples=30)
@given(st.lists(st.floats(0, 2), min_size=1, max_size=30), st.integers(0, 10**6))
def test_any_path_gives_a_trace_or_says_that_nothing_came(rates, seed) -> None:
    short = Trace.build(np.arange(0, 7200.0, 30.0), [9] * 240, [1] * 240, span_s=7300)
    if sum(rates) * 3600 > 30:
        made = trace_at_rates(short, np.array(rates), seed=seed)
        assert made.span_s == 3600.0 * len(rates)
        assert set(made.input_tokens.tolist()) == {9}


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        ([], "rates_per_s must be hourly rates"),
        ([-1.0], "rates_per_s must be hourly rates"),
        ([float("nan")], "rates_per_s must be hourly rates"),
        ([0.0], "nothing arrived at these rates; raise them"),
        ([1e9], "the rates ask for 3.6e"),
    ],
)
def test_a_path_that_cannot_be_is_refused(rates, text, trace: Trace) -> None:
    with pytest.raises(TraceError, match=text):
        trace_at_rates(trace, np.array(rates), seed=1)


def test_a_trace_without_a_full_hour_is_no_source() -> None:
    with pytest.raises(TraceError, match="no full hour with requests to take requests from"):
        trace_at_rates(Trace.build([0, 9], [1, 1], [1, 1]), np.array([1.0]), seed=1)


# The forecast


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"horizon_s": 0.0}, "horizon_s is 0.0; must be from 1 to 31622400"),
        ({"horizon_s": float("nan")}, "horizon_s is nan; must be from 1"),
        ({"n_paths": 0}, "n_paths is 0; must be from 1 to 10000"),
        ({"seed": -1}, "seed is -1; must be >= 0"),
    ],
)
def test_a_forecast_that_cannot_be_is_refused(change, text, trace: Trace) -> None:
    with pytest.raises(TraceError, match=text):
        forecast_rates(trace, **{"horizon_s": DAY_S, "n_paths": 10, "seed": 0, **change})


def test_a_trace_shorter_than_two_weeks_has_no_forecast(trace: Trace) -> None:
    with pytest.raises(TraceError, match="the trace spans 13 days; a forecast takes two weeks or more"):  # fmt: skip
        forecast_rates(trace.between(0, 13 * DAY_S), DAY_S, n_paths=1, seed=0)


def test_without_statsforecast_it_is_said_how_to_install_it(trace: Trace, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(TraceError) as caught:
        forecast_rates(trace, DAY_S, n_paths=1, seed=0)
    assert str(caught.value) == (
        "a forecast takes statsforecast, which is not installed: pip install 'ptplan[forecast]'"
    )


@installed
def test_paths_go_on_with_the_week_and_differ(trace: Trace) -> None:
    paths = forecast_rates(trace, WEEK_S, n_paths=100, seed=1)
    assert paths.shape == (100, 168)
    assert (paths >= 0).all()
    truth = truth_in(504 + np.arange(168.0))
    assert np.corrcoef(paths.mean(axis=0), truth)[0, 1] > 0.9
    assert paths.mean() == pytest.approx(truth.mean(), rel=0.15)
    assert paths.std(axis=0).min() > 0
    assert (paths == forecast_rates(trace, WEEK_S, n_paths=100, seed=1)).all()
    assert (paths != forecast_rates(trace, WEEK_S, n_paths=100, seed=2)).any()


@installed
@pytest.mark.slow
@pytest.mark.parametrize("weeks", [2, 3, 4])
def test_the_hours_that_came_lie_within_the_paths(weeks: int) -> None:
    """Nine tenths of the paths hold about nine tenths of the hours, over 12 traces; said with its slack."""
    held = []
    for seed in range(12):
        past = replace(TRUTH, duration_s=weeks * WEEK_S, seed=seed)
        came = generate(replace(TRUTH, duration_s=WEEK_S, seed=seed), replication=9)
        hours = hourly_rates(came)
        paths = forecast_rates(generate(past), WEEK_S, n_paths=300, seed=seed)[:, : len(hours)]
        low, high = np.quantile(paths, [0.05, 0.95], axis=0)
        held.append(((hours >= low) & (hours <= high)).mean())
    assert 0.75 < np.mean(held) <= 1


@installed
def test_a_recording_goes_on_in_futures_that_differ(trace: Trace) -> None:
    law = Continuation(Bootstrap(trace), DAY_S)
    futures = Futures(law, seed=3)
    first, second = futures.draw(0), futures.draw(1)
    assert first.span_s == second.span_s == DAY_S
    assert first.sha256 != second.sha256
    assert Futures(Continuation(Bootstrap(trace), DAY_S), seed=3).draw(1).sha256 == second.sha256
    assert futures.draw(RECORDED).sha256 == trace.sha256
    doubled = futures.changed(Change(growth=2.0)).draw(0)
    assert 1.5 < len(doubled) / len(first) < 2.5


def test_a_description_cannot_be_forecast_from() -> None:
    with pytest.raises(ObjectiveError, match="a description is no recording to forecast from"):
        law_of(TRUTH, DAY_S)
