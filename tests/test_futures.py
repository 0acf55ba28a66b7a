"""Futures: what they are made of, that they are the same for all who ask, and what is recommended on them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import scenarios, traces

from benchmarks import validate
from planner import artifacts
from planner.confidence import allowed_failures, spread
from planner.evidence import Evidence
from planner.objective import Objective
from planner.offer import Offer, Tariff, make_offer
from planner.recommendation import Recommendation, recommend
from simulations.engine import simulate
from simulations.errors import ScenarioError, TraceError
from simulations.outcome import Limit, summarise
from simulations.scenario import Autoscaler, Scenario, Service
from simulations.statistics import close_holes, find_holes
from simulations.sweeps import threads
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic import Bootstrap, Change, Description, LogNormal, SeasonalRate
from simulations.traffic.futures import RECORDED, Futures

DAY_S = 86_400.0
WEEK_NS = 7 * 86_400 * 10**9
MONDAY_NS = int(datetime(2026, 11, 16, tzinfo=UTC).timestamp()) * 10**9
COLUMNS = ("arrival_ticks", "input_tokens", "cached_tokens", "output_tokens")


def same(first: Trace, second: Trace) -> bool:
    return first.span_ticks == second.span_ticks and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in COLUMNS
    )


@cache
def days(n: int, *, per_hour: int = 20) -> Trace:
    """Return days with a busy afternoon, whose input tokens tell the minute of the day, from 1 on."""
    random = np.random.default_rng(n)
    hours = np.repeat(
        np.arange(24 * n), [per_hour * (3 if 12 <= h % 24 < 18 else 1) for h in range(24 * n)]
    )
    at_s = np.sort(hours * 3600 + random.uniform(0, 3600, len(hours)))
    at_s -= at_s[0]
    minute = (at_s % DAY_S // 60).astype(int) + 1
    return Trace.build(
        at_s, minute, np.arange(len(at_s)) % 50, span_s=n * DAY_S, epoch_ns=MONDAY_NS
    )


def with_hole(trace: Trace, start_s: float, end_s: float) -> Trace:
    at_s = trace.arrival_ticks / TICKS_PER_S
    rows = (at_s < start_s) | (at_s >= end_s)
    return replace(trace, **{name: getattr(trace, name)[rows] for name in COLUMNS})


# What a future is made of


@settings(max_examples=60)
@given(traces(max_requests=40), st.integers(0, 5), st.integers(0, 3))
def test_a_future_holds_requests_of_the_recording_whole_and_within_its_span(trace, number, copy):
    """Input, cached and output tokens stay together: a request is taken as it was."""
    assume(trace.span_ticks > 0)
    try:
        future = Bootstrap(trace).draw(seed=1, replication=number, copy=copy)
    except TraceError:
        event("nothing arrived")  # what may happen to so few
        return
    recorded = set(zip(*(getattr(trace, name).tolist() for name in COLUMNS[1:]), strict=True))
    drawn = zip(*(getattr(future, name).tolist() for name in COLUMNS[1:]), strict=True)
    assert set(drawn) <= recorded
    assert future.span_ticks == trace.span_ticks


def test_a_future_keeps_the_time_of_day():
    """Of a short recording blocks come from up to three block lengths away; of a long one, whole days come."""
    short, long = days(2), days(21)
    for trace, wander_s in ((short, 3 * 1800.0), (long, 0.0)):
        law = Bootstrap(trace)
        future = law.draw(seed=0, replication=0)
        at_minute = future.arrival_ticks // (60 * TICKS_PER_S) % 1440 + 1
        moved = np.abs(at_minute - future.input_tokens)
        moved = np.minimum(moved, 1440 - moved)
        assert moved.max() <= wander_s / 60 + 1
        assert (moved.max() > 0) == (wander_s > 0)


def test_whole_days_are_of_their_kind():
    """Three weeks: working days take after working days, weekends after weekends."""
    trace = days(21)
    kind = trace.arrival_ticks // round(DAY_S * TICKS_PER_S) % 7 >= 5
    marked = replace(trace, output_tokens=kind.astype(np.int32))
    for number in range(5):
        future = Bootstrap(marked).draw(seed=3, replication=number)
        there = future.arrival_ticks // round(DAY_S * TICKS_PER_S) % 7 >= 5
        assert np.array_equal(there, future.output_tokens == 1)
        assert not same(future, marked)


@settings(max_examples=25)
@given(st.integers(0, 30), st.floats(1, 40), st.floats(1, 20))
def test_nothing_comes_out_of_a_hole_and_no_future_has_one(number, start_h, length_h):
    trace = with_hole(days(2, per_hour=60), 3600 * start_h, 3600 * min(start_h + length_h, 47))
    holes = find_holes(trace)
    event(f"holes: {len(holes)}")
    future = Bootstrap(trace).draw(seed=7, replication=number)
    assert find_holes(future) == ()
    assert future.span_ticks == trace.span_ticks


def test_a_future_does_not_depend_on_the_week_in_which_it_was_recorded():
    for number in range(4):
        now = Bootstrap(days(9)).draw(seed=0, replication=number)
        before = replace(days(9), epoch_ns=MONDAY_NS - 5 * WEEK_NS)
        assert same(Bootstrap(before).draw(seed=0, replication=number), now)


@pytest.mark.parametrize(
    ("name", "value"), [("block_s", 0.0), ("block_s", math.nan), ("wander_s", -1)]
)
def test_a_length_out_of_its_range_is_refused(name, value):
    with pytest.raises(TraceError, match=f"{name} is"):
        Bootstrap(days(2), **{name: value})


# Chance


def test_a_resampled_poisson_stream_stays_one_and_a_bursty_one_bursty():
    """A light version of `python -m benchmarks.validate bootstrap`; growth lays independent streams over each other."""
    at_random = validate.poisson(span_s=7200.0)
    for growth in (1.0, 2.0, 2.5, 0.5):
        futures = Futures(Bootstrap(at_random), Change(growth=growth))
        drawn = [futures.draw(number) for number in range(30)]
        for width_s, tolerance in ((1.0, 0.05), (60.0, 0.35)):
            mean = spread([validate.dispersion(one, width_s) for one in drawn]).value
            assert mean == pytest.approx(validate.dispersion(at_random, width_s), abs=tolerance)
        n = np.mean([len(one) for one in drawn])
        assert n == pytest.approx(growth * len(at_random), rel=0.02)
    bursty = validate.on_off(span_s=7200.0)
    for growth in (1.0, 2.0):
        futures = Futures(Bootstrap(bursty), Change(growth=growth))
        drawn = [futures.draw(number) for number in range(30)]
        for width_s in (1.0, 60.0):
            mean = spread([validate.dispersion(one, width_s) for one in drawn]).value
            assert mean == pytest.approx(validate.dispersion(bursty, width_s), rel=0.15)
            assert mean > 2


def test_more_of_a_recording_with_a_hole_is_more_of_it_everywhere():
    """The hole is closed before copies are laid over, so they end where the recording does."""
    trace = with_hole(days(2, per_hour=60), 3600 * 20, 3600 * 30)
    twice = Futures(Bootstrap(trace), Change(growth=2.0)).draw(RECORDED)
    once = close_holes(trace)
    assert twice.span_s == pytest.approx(
        once.span_s, abs=60
    )  # in place of the hole, a mean gap each
    last_hours = once.span_ticks - 4 * 3600 * TICKS_PER_S
    tail = (twice.arrival_ticks > last_hours).sum() / (once.arrival_ticks > last_hours).sum()
    assert tail == pytest.approx(2.0, rel=0.15)


@settings(max_examples=50)
@given(traces(max_requests=40), st.floats(0.001, 50), st.floats(0.001, 50))
def test_factors_change_lengths_and_nothing_else(trace, input_factor, output_factor):
    assume(trace.span_ticks > 0)
    change = Change(input_factor=input_factor, output_factor=output_factor)
    changed = Futures(Bootstrap(trace), change).draw(RECORDED)
    assert np.array_equal(changed.arrival_ticks, trace.arrival_ticks)
    assert (changed.cached_tokens <= changed.input_tokens).all()
    assert ((changed.output_tokens == 0) == (trace.output_tokens == 0)).all()
    for name, factor in (("input_tokens", input_factor), ("output_tokens", output_factor)):
        exact = getattr(trace, name) * factor
        assert (np.abs(getattr(changed, name) - exact) <= np.where(exact < 1, 1, 0.5)).all()


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1001.0])
@pytest.mark.parametrize("name", ["growth", "input_factor", "output_factor"])
def test_a_change_out_of_its_range_is_refused(name, value):
    with pytest.raises(TraceError, match=f"{name} is"):
        Change(**{name: value})


# The same for all who ask

LAWS = {
    "recording": Bootstrap(days(2)),
    "description": Description(3600.0, SeasonalRate(0.2), LogNormal(100, 1.0), LogNormal(20, 1.0)),
}


@pytest.mark.parametrize("law", LAWS)
@settings(max_examples=20)
@given(st.lists(st.integers(-1, 6), min_size=2, max_size=6, unique=True), st.floats(0.3, 3))
def test_a_future_depends_on_its_number_and_seed_alone(law, numbers, growth):
    """Not on what was drawn before, nor on threads; other seeds and numbers are others."""
    change = Change(growth=growth)
    forward, backward = (Futures(LAWS[law], change, seed=4) for _ in range(2))
    drawn = {number: forward.draw(number) for number in numbers}
    with threads(3) as mapper:
        again = dict(zip(numbers[::-1], mapper(backward.draw, numbers[::-1]), strict=True))
    assert all(same(drawn[number], again[number]) for number in numbers)
    assert len({drawn[number].sha256 for number in numbers}) == len(numbers)
    other = Futures(LAWS[law], change, seed=5)
    assert not any(same(other.draw(n), drawn[n]) for n in numbers if n != RECORDED)
    seeds = {forward.endpoint_seed(number) for number in numbers}
    assert len(seeds) == len(numbers)


@settings(max_examples=60)
@given(traces(max_requests=30), scenarios(), st.integers(1, 500))
def test_kernel_and_reference_agree_where_the_first_request_comes_late(trace, scenario, steps):
    """The horizon begins before the first arrival, with decisions, start-ups and bills going on."""
    late = steps * TICKS_PER_S // 1000
    later = replace(
        trace, arrival_ticks=trace.arrival_ticks + late, span_ticks=trace.span_ticks + late
    )
    fast, plain = (simulate(later, scenario, engine=one) for one in ("kernel", "reference"))
    np.testing.assert_array_equal(fast.trail.requests, plain.trail.requests)
    np.testing.assert_array_equal(fast.trail.launches, plain.trail.launches)


# Many at once


@pytest.mark.parametrize("workers", [1, 2, 5, 256])
def test_results_come_in_the_order_of_the_questions(workers):
    with threads(workers) as mapper:
        assert list(mapper(lambda n: n * n, range(50))) == [n * n for n in range(50)]


@pytest.mark.parametrize("workers", [0, -1, 257])
def test_a_number_of_threads_out_of_its_range_is_refused(workers):
    with pytest.raises(ScenarioError, match=f"workers is {workers}; must be"), threads(workers):
        pass


def test_an_error_in_a_thread_is_the_caller_s():
    with threads(2) as mapper, pytest.raises(ZeroDivisionError):
        list(mapper(lambda n: 1 // n, [1, 0, 2]))


# Holes


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(2, 20), st.integers(2, 8)), max_size=3))
def test_closed_holes_leave_every_request_and_no_hole(holes):
    """A request a minute, with holes of whole hours after so many hours each."""
    minutes, now = [], 0
    for before_h, hole_h in [*holes, (3, 0)]:
        minutes += range(now, now + 60 * before_h)
        now += 60 * (before_h + hole_h)
    n = len(minutes)
    trace = Trace.build([60 * m for m in minutes], range(1, n + 1), [1] * n)
    closed = close_holes(trace)
    assert len(find_holes(trace)) == len(holes)
    assert find_holes(closed) == ()
    assert np.array_equal(closed.input_tokens, trace.input_tokens)
    # A hole of h hours after a request a minute keeps one mean gap.
    assert closed.span_s / 60 == pytest.approx(n - 1, abs=len(holes) * 1e-3)
    gaps = np.diff(closed.arrival_ticks) / TICKS_PER_S
    assert gaps == pytest.approx(np.full(n - 1, 60.0), abs=0.1)


# What is recommended on futures

SERVICE = Service(0.02, prefill_s=2e-5, max_sequences=4, per_chunk=True)
SCALER = Autoscaler(start_delay_s=20.0)


@cache
def wave() -> Trace:
    """Return twenty minutes of 500 requests, most of them in the middle."""
    random = np.random.default_rng(11)
    at_s = np.sort(np.clip(random.normal(600, 250, 500), 0, 1200))
    return Trace.build(
        at_s - at_s[0],
        random.integers(50, 900, 500),
        random.integers(5, 200, 500),
        span_s=1200,
        epoch_ns=MONDAY_NS,
    )


def offer(**prices) -> Offer:
    given = {"usd_per_chunk_hour": 4.0, "input_price": 0.5, "output_price": 1.5} | prices
    return make_offer(
        "ml.own.model", chunk_tokens_per_s=1200, service=SERVICE, tariff=Tariff(**given)
    )


def promise(seconds: float = 2.0, hold_in: float = 0.7) -> Objective:
    return Objective((Limit("ttft", 95, seconds),), 0.01, hold_in)


def advise(trace: Trace | None = None, asked: Objective | None = None, **more) -> Recommendation:
    given = {"autoscaler": SCALER, "futures": 12, "limit_chunks": 5, "sensitivity": False} | more
    priced = given.pop("offer", offer())
    return recommend(trace or wave(), priced, asked or promise(), **given)


def file_of(made: Recommendation) -> str:
    workload = artifacts.Workload("log.csv", "ab" * 32, "vidur")
    data = artifacts.artifact(
        made, workload, command="ptplan", created_at="2026-11-22", version="0.1.0"
    )
    return artifacts.to_json(data)


def test_the_file_does_not_depend_on_the_number_of_workers():
    """Byte for byte, with growth, retries and starts of uneven length."""
    how = {"autoscaler": replace(SCALER, start_spread_s=15.0), "change": Change(growth=1.5)}
    first = file_of(advise(workers=1, sensitivity=True, **how))
    assert file_of(advise(workers=2, sensitivity=True, **how)) == first
    assert file_of(advise(workers=5, sensitivity=True, **how)) == first


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (2, 17)])
def test_what_would_change_the_answer_can_be_cancelled(workers, most):
    """What progress raises ends it; on threads each number varied and each volume is told of once at the most."""

    class CancelledError(Exception):
        pass

    told = []

    def cancel(what: str, _: int) -> None:
        told.append(what)
        if what == "what would change the answer":
            raise CancelledError

    with pytest.raises(CancelledError):
        advise(workers=workers, sensitivity=True, progress=cancel)
    assert 1 <= told.count("what would change the answer") <= most


def test_the_same_seed_gives_the_same_answer_and_another_one_other_futures():
    first, again, other = advise(seed=3), advise(seed=3), advise(seed=4)
    assert file_of(first) == file_of(again)
    assert first.evidence.mean != other.evidence.mean


def test_a_winner_was_tested_on_fresh_futures_and_held_in_enough_of_them():
    made = advise()
    allowed = allowed_failures(12, 0.7)
    assert made.feasible
    assert min(made.evidence.outcomes) >= 12
    assert len(made.evidence.outcomes) == made.held.futures == 12
    assert made.held.successes >= 12 - allowed
    assert made.held.low >= 0.7
    assert made.chosen.tried == 12
    assert made.chosen.evidence.successes >= 12 - allowed


def test_what_was_seen_in_a_future_is_what_running_it_alone_gives():
    """Every outcome that the answer rests on, made again from the file's numbers."""
    made = advise()
    for number, outcome in made.evidence.outcomes.items():
        scenario = replace(
            made.scenario, start_chunks=None, seed=made.futures.endpoint_seed(number)
        )
        run = simulate(made.futures.draw(number), scenario)
        assert summarise(run, made.objective.limits, price=made.offer.price) == outcome


def test_no_cheaper_range_holds_in_enough_futures():
    """Stopping early changes no verdict: every range that was ruled out fails in too many of all futures."""
    made = advise(asked=promise(0.5))
    allowed = allowed_failures(12, 0.7)
    assert made.found.proved
    assert made.feasible
    cheaper = [trial for trial in made.found.trials if trial.key < made.chosen.key]
    assert cheaper
    for trial in cheaper:
        # Ruled out by the search's own futures, or by fresh ones.
        kept = trial.evidence.verdict(allowed).holds
        assert not trial.verdict.holds
        if not kept:
            assert len(trial.evidence.failing) > allowed
    assert sum(trial.tried for trial in made.found.trials) < 12 * len(made.found.trials)


def test_dear_chunks_change_the_bill_and_no_range():
    doubled = offer(usd_per_chunk_hour=8.0, input_price=1.0, output_price=3.0)
    first, twice = advise(), advise(offer=doubled)
    assert twice.capacity == first.capacity
    ranges = [[(t.min_chunks, t.max_chunks) for t in m.found.trials] for m in (first, twice)]
    assert ranges[0] == ranges[1]
    for key in ("usd_per_hour", "usd_per_month", "usd_per_million_tokens"):
        bills = [made.figures[key] for made in (first, twice)]
        for part in ("value", "low", "high", "p05", "p95"):
            assert getattr(bills[1], part) == pytest.approx(2 * getattr(bills[0], part))
    usd = [row.usd_per_month for row in first.baselines]
    assert [row.usd_per_month for row in twice.baselines] == pytest.approx([2 * u for u in usd])


def test_the_week_of_the_recording_changes_nothing():
    shifted = replace(wave(), epoch_ns=MONDAY_NS + 3 * WEEK_NS)
    first, second = advise(), advise(shifted)
    assert second.capacity == first.capacity
    assert second.evidence.outcomes == first.evidence.outcomes


@settings(max_examples=12)
@given(
    st.integers(0, 1000),
    st.sampled_from([0.2, 0.5, 1.0, 2.0, 5.0]),
    st.sampled_from([1.0, 1.5, 4.0]),
    st.sampled_from([0.3, 0.5, 0.7]),
    st.sampled_from([0.0, 0.1]),
)
def test_a_looser_promise_costs_no_more_on_the_same_futures(seed, seconds, times, share, less):
    """True of what the futures of the search say. Fresh ones may rule out the looser promise's first choice by
    bad luck, since what is tested on them is another range; then nothing follows."""
    strict = advise(asked=promise(seconds, share), seed=seed, futures=8)
    loose = advise(asked=promise(seconds * times, share - less), seed=seed, futures=8)
    assume(strict.feasible and strict.found.proved and loose.found.proved)
    allowed = allowed_failures(8, loose.objective.hold_in_fraction) or 0
    ruled_out = [
        trial
        for trial in loose.found.trials
        if not trial.verdict.holds and trial.evidence.verdict(allowed).holds
    ]
    event(f"ruled out by fresh futures: {bool(ruled_out)}")
    if not ruled_out:
        assert loose.feasible
        assert loose.chosen.cost <= strict.chosen.cost


@settings(max_examples=40)
@given(st.lists(st.sampled_from([True, False]), min_size=1, max_size=30), st.integers(0, 30))
def test_evidence_counts_what_failed(kept, allowed):
    limits = promise().limits
    scenario = Scenario(SERVICE, offer().capacity(1, 1), start_chunks=1)
    good = summarise(simulate(Trace.build([0, 1], [1, 1], [1, 1]), scenario), limits)
    bad = replace(good, refused=good.arrived)
    evidence = Evidence({n: good if one else bad for n, one in enumerate(kept)}, promise())
    assert evidence.successes == sum(kept)
    assert Counter(evidence.failing) == Counter(n for n, one in enumerate(kept) if not one)
    verdict = evidence.verdict(allowed)
    assert verdict.holds == (kept.count(False) <= allowed)
    if not verdict.holds:
        assert [(m.limit, m.attained) for m in verdict.misses] == [("max_refused_fraction", 1.0)]


# Light versions of the long experiments


def test_intervals_over_futures_cover_the_truth_of_a_queue():
    """`python -m benchmarks.validate coverage`, with 40 repetitions of 20 futures at half load."""
    with threads() as mapper:
        truth = validate.figures(0.5, range(validate.FAR, validate.FAR + 800), mapper).mean(axis=0)
        seen = validate.figures(0.5, range(40 * 20), mapper)
    hits, n = validate.covered(seen, truth, 20)
    assert n == 40
    for hit in hits:
        assert stats.binomtest(int(hit), n, 0.93).pvalue > 1e-4


def test_a_promise_is_kept_in_unseen_futures():
    """`python -m benchmarks.validate promise`, with two repetitions of 100 unseen futures."""
    for number in (1, 3):
        made = validate.answer(number)
        assert made.feasible
        seen = validate.unseen(made, 100)
        # At a true share of 90 % fewer than 75 come once in 100,000 cases.
        assert seen.successes >= 75
