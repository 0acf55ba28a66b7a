"""The numbers of a run: percentiles by rank, limits by count, capacity and money over the horizon."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queues import customers, servers
from strategies import scenarios, traces

from simulations.capacity import TokenChunks
from simulations.cost import Price, billed_chunk_ticks
from simulations.engine import simulate
from simulations.errors import ObjectiveError, ScenarioError
from simulations.outcome import PERCENTILES, Attainment, Limit, Outcome, summarise
from simulations.run import COMPLETED, LAUNCH, REFUSED_QUEUE, REQUEST, SPILLED, Run, Trail
from simulations.scenario import Admission, Autoscaler, Overflow, Scenario, Service
from simulations.ticks import NEVER, TICKS_PER_S, to_ticks
from simulations.trace import Trace

FIXED = Scenario(Service(1.0), TokenChunks(10, 1, 1), Autoscaler(target=1.0), start_chunks=1)


def made_up(ends: list[tuple[int, float, float]], output: list[int] | None = None) -> Run:
    """Return a run in which request i arrives at i seconds and ends as told: status, TTFT, E2E; in seconds."""
    n = len(ends)
    trace = Trace.build(range(n), [1] * n, output or [2] * n)
    rows = np.zeros(n, REQUEST)
    rows["attempts"] = 1
    for row, arrival, (status, ttft_s, e2e_s) in zip(
        rows, trace.arrival_ticks.tolist(), ends, strict=True
    ):
        row["status"] = status
        row["end_ticks"] = arrival + to_ticks(e2e_s)
        refused = status == REFUSED_QUEUE
        row["first_token_ticks"] = NEVER if refused else arrival + to_ticks(ttft_s)
    launches = np.array([(0, 0, 0, NEVER, NEVER, 0)], LAUNCH)
    return Run(trace, FIXED, FIXED.rules(trace), Trail(rows, launches, complete=True), "kernel")


# --- latency -------------------------------------------------------------------------------------


def naive_latencies(run: Run) -> dict[str, list[float]]:
    """Return the latencies of each metric in ticks, infinite for what was refused."""
    found: dict[str, list[float]] = {"ttft": [], "tpot": [], "e2e": []}
    for i, row in enumerate(run.trail.requests.tolist()):
        _, first, end, _, _, _, status = row
        arrival, output = int(run.trace.arrival_ticks[i]), int(run.trace.output_tokens[i])
        kept = status in (COMPLETED, SPILLED)
        found["ttft"].append(first - arrival if kept else math.inf)
        found["e2e"].append(end - arrival if kept else math.inf)
        if output >= 2:
            found["tpot"].append((end - first) // (output - 1) if kept else math.inf)
    return found


def nearest_rank_s(latencies: list[float], percent: int) -> float | None:
    """Return the smallest value that at least so many percent do not exceed; None if infinite or of nothing."""
    for value in sorted(latencies):
        if 100 * sum(other <= value for other in latencies) >= percent * len(latencies):
            return None if math.isinf(value) else value / TICKS_PER_S
    return None


def naive_percentiles_s(run: Run) -> dict[str, float | None]:
    expected = {}
    for metric, latencies in naive_latencies(run).items():
        served = [value for value in latencies if value < math.inf]
        for percent in PERCENTILES:
            expected[f"{metric}_p{percent}_s"] = nearest_rank_s(latencies, percent)
            expected[f"{metric}_p{percent}_s_completed"] = nearest_rank_s(served, percent)
    return expected


@settings(max_examples=100)
@given(traces(), scenarios())
def test_percentiles_are_nearest_rank(trace, scenario):
    """Over all that arrived, and over those that were served."""
    run = simulate(trace, scenario)
    assert summarise(run).latency_s == naive_percentiles_s(run)


ends = st.tuples(
    st.sampled_from([COMPLETED, COMPLETED, COMPLETED, SPILLED, REFUSED_QUEUE]),
    st.floats(1e-11, 1e6) | st.sampled_from([0.5, 1.0, 2.0]),
    st.floats(0, 1e6) | st.just(0.25),
)


@settings(max_examples=200)
@given(st.lists(ends, min_size=1, max_size=150), st.data())
def test_percentiles_are_exact_from_ten_picoseconds_to_ten_days(ends, data):
    """Latencies of every size side by side, some the same, some a tick apart."""
    output = data.draw(st.lists(st.integers(0, 4), min_size=len(ends), max_size=len(ends)))
    run = made_up([(status, ttft, ttft + later) for status, ttft, later in ends], output)
    assert summarise(run).latency_s == naive_percentiles_s(run)


def test_a_percentile_that_falls_on_a_refused_request_is_unknown():
    """One of twenty was refused: it stands behind the 95th percentile and before the 99th."""
    ends = [(COMPLETED, i, i) for i in range(1, 20)] + [(REFUSED_QUEUE, 0, 5)]
    latency_s = summarise(made_up(ends)).latency_s
    assert latency_s["ttft_p50_s"] == 10.0
    assert latency_s["ttft_p95_s"] == 19.0
    assert latency_s["ttft_p99_s"] is None
    assert latency_s["ttft_p99_s_completed"] == 19.0


def test_time_per_token_is_for_those_with_two_tokens_and_more():
    """6 s for 3 further tokens; the others have none."""
    ends = [(COMPLETED, 1, 7), (COMPLETED, 1, 1), (COMPLETED, 1, 1)]
    latency_s = summarise(made_up(ends, output=[4, 1, 0])).latency_s
    assert {latency_s[f"tpot_p{percent}_s"] for percent in PERCENTILES} == {2.0}
    none_counts = summarise(made_up(ends[1:], output=[1, 0])).latency_s
    assert none_counts["tpot_p50_s"] is None


# --- limits --------------------------------------------------------------------------------------

limits = st.builds(
    Limit,
    st.sampled_from(["ttft", "tpot", "e2e"]),
    st.integers(1, 100),
    st.sampled_from([0.001, 0.003, 0.01, 0.03, 0.1, 1.0]),
)


@settings(max_examples=100)
@given(traces(), scenarios(), st.lists(limits, max_size=3, unique_by=lambda limit: limit.key))
def test_attainment_is_counted_exactly(trace, scenario, limits):
    """One by one; under `all` whoever kept each limit that applies to it."""
    run = simulate(trace, scenario)
    outcome = summarise(run, limits)
    rows = run.trail.requests.tolist()
    for counted, spilled_count in (
        (outcome.attainment, True),
        (outcome.attainment_unspilled, False),
    ):
        within, of, all_kept = dict.fromkeys(counted, 0), dict.fromkeys(counted, 0), 0
        for i, (_, first, end, _, _, _, status) in enumerate(rows):
            arrival, output = int(trace.arrival_ticks[i]), int(trace.output_tokens[i])
            came = status == COMPLETED or (status == SPILLED and spilled_count)
            everything = came
            for limit in limits:
                if limit.metric == "tpot" and output < 2:
                    continue
                ticks = {
                    "ttft": first - arrival,
                    "e2e": end - arrival,
                    "tpot": (end - first) // max(1, output - 1),
                }[limit.metric]
                kept = came and ticks <= to_ticks(limit.seconds)
                within[limit.key] += kept
                of[limit.key] += 1
                everything &= kept
            all_kept += everything
        expected = {key: Attainment(within[key], of[key]) for key in counted}
        assert counted == {**expected, "all": Attainment(all_kept, len(trace))}


def test_a_limit_that_is_met_exactly_holds_and_95_percent_is_19_of_20():
    ends = [(COMPLETED, 2.0, 3.0)] * 19 + [(COMPLETED, 2.0 + 1e-11, 3.0)]
    kept = summarise(made_up(ends), [Limit("ttft", 95, 2.0)]).attainment["ttft_p95_s"]
    assert kept == Attainment(19, 20)
    assert (kept.reaches(95), kept.reaches(96)) == (True, False)


def test_a_limit_that_applies_to_nothing_is_kept():
    outcome = summarise(made_up([(COMPLETED, 1, 1)], output=[1]), [Limit("tpot", 99, 0.1)])
    assert outcome.attainment["tpot_p99_s"].fraction == 1.0
    assert outcome.attainment["all"] == Attainment(1, 1)


@pytest.mark.parametrize(
    ("metric", "percentile", "seconds"),
    [("itl", 95, 1.0), ("ttft", 0, 1.0), ("ttft", 101, 1.0), ("ttft", 95, 0.0)],
)
def test_a_promise_that_cannot_be_judged_is_refused(metric, percentile, seconds):
    with pytest.raises(ObjectiveError, match="must be"):
        Limit(metric, percentile, seconds)


# --- capacity and money --------------------------------------------------------------------------


def scaled(span_s: float) -> tuple[Trace, Scenario]:
    """Two requests of 3.5 s at once; the second chunk starts at 1 s, is ready at 3 s and goes at 7 s."""
    scenario = Scenario(
        Service(3.5, token_budget=100, max_sequences=1),
        TokenChunks(10, 1, 2),
        Autoscaler(decide_every_s=1, up_window_s=1, down_window_s=3, start_delay_s=2, target=1.0),
        Admission(queue_limit="none"),
        start_chunks=1,
    )
    return Trace.build([0, 0], [4, 4], [1, 1], span_s=span_s), scenario


def test_capacity_is_counted_over_the_horizon():
    """9 s + 4 s of chunks in 9 s, which could have served 130 tokens; 10 were asked for."""
    outcome = summarise(simulate(*scaled(9)), price=Price(3600.0, launch_usd=2.0))
    assert outcome.horizon_s == 9.0
    assert outcome.mean_chunks == pytest.approx(13 / 9)
    assert outcome.peak_chunks == 2
    assert outcome.time_at_max_fraction == pytest.approx(4 / 9)
    assert outcome.utilisation == pytest.approx(10 / 130)
    assert outcome.scale_ups_per_day == pytest.approx(86_400 / 9)
    assert outcome.bill.chunk_hours == pytest.approx(13 / 3600)
    assert outcome.bill.usd == pytest.approx(13.0 + 2.0)
    assert outcome.usd_per_hour == pytest.approx(15.0 * 400)
    assert outcome.usd_per_month == pytest.approx(15.0 * 400 * 730)
    assert outcome.usd_per_million_tokens == pytest.approx(1.5e6)


def test_what_comes_after_the_horizon_is_measured_but_neither_billed_nor_counted():
    """The second chunk starts at 1 s, the recording ends at 0.5 s."""
    outcome = summarise(simulate(*scaled(0.5)), price=Price(3600.0, launch_usd=2.0))
    assert outcome.completed == 2
    assert outcome.latency_s["e2e_p99_s"] == 6.5
    assert (outcome.mean_chunks, outcome.peak_chunks, outcome.time_at_max_fraction) == (1.0, 1, 0.0)
    assert outcome.bill.n_launches == 0
    assert outcome.bill.usd == pytest.approx(1.0)


def test_a_chunk_started_after_the_horizon_is_no_scale_up():
    """The second chunk starts at 1 s, the recording ends at 0.5 s."""
    assert summarise(simulate(*scaled(0.5))).scale_ups_per_day == 0.0


def test_unknown_prices_make_unknown_sums():
    """Chunks without a price, and spilled tokens without one."""
    run = simulate(*scaled(9))
    assert summarise(run).usd_per_month is None
    spilled = made_up([(COMPLETED, 1, 1), (SPILLED, 1, 1)])
    assert summarise(spilled, price=Price(1.0)).usd_per_hour is None
    priced = Price(1.0, input_usd_per_million=1e6, output_usd_per_million=1e6)
    assert summarise(spilled, price=priced).spill_usd == pytest.approx(3.0)


def test_figures_are_plain_numbers_and_none():
    figures = summarise(simulate(*scaled(9)), [Limit("ttft", 95, 2.0)]).figures()
    flat = [*figures.pop("attainment").values(), *figures.pop("attainment_unspilled").values()]
    for value in [*flat, *figures.values()]:
        assert value is None or (type(value) in (int, float) and math.isfinite(value))


# --- totals that outgrow 64 bits of ticks ----------------------------------------------------------


def year_of(chunks: int) -> Outcome:
    """Two requests a year apart, on chunks that are there all the time."""
    year_s = 365 * 86_400.0
    trace = customers(np.array([0.0, year_s]), np.array([1.0, 1.0]))
    return summarise(simulate(trace, servers(chunks)))


def test_a_hundred_chunks_for_a_year_do_not_wrap():
    """3.2e20 ticks."""
    outcome = year_of(100)
    assert outcome.bill.billed_ticks == 100 * 365 * 86_400 * TICKS_PER_S
    assert outcome.bill.chunk_hours == 876_000.0
    assert outcome.mean_chunks == pytest.approx(100.0)
    assert outcome.usd_per_month is None


def test_a_million_lives_of_a_hundred_minutes_do_not_wrap():
    """6e20 ticks, as much as 100 million requests of a minute."""
    n, seconds = 1_000_000, 6000
    zeros, ends = np.zeros(n, np.int64), np.full(n, seconds * TICKS_PER_S)
    billed = billed_chunk_ticks(zeros, zeros, ends, horizon_ticks=NEVER - 1)
    assert billed == n * seconds * TICKS_PER_S


def test_time_in_flight_that_outgrows_64_bits_still_scales_the_same():
    """3,000 requests for 12 days at a time are 3e20 ticks a decision: the reference counts in Python's integers,
    the kernel in pairs. Wishes fall from 4 to 1 as the queue does."""
    n, million_s = 3000, 1_000_000.0
    trace = Trace.build(np.zeros(n), np.ones(n, int), np.ones(n, int), span_s=20 * million_s)
    scenario = Scenario(
        Service(4000.0, token_budget=100, max_sequences=1),
        TokenChunks(10, 1, 4),
        Autoscaler(
            decide_every_s=million_s,
            up_window_s=2 * million_s,
            down_window_s=0.0,
            start_delay_s=0.3 * million_s,
            target=700.3,
        ),
        Admission(queue_limit="none"),
        start_chunks=1,
    )
    computed = simulate(trace, scenario).trail
    expected = simulate(trace, scenario, engine="reference").trail
    np.testing.assert_array_equal(computed.launches, expected.launches)
    np.testing.assert_array_equal(computed.requests, expected.requests)
    assert len(expected.launches) == 4
    assert (expected.launches["released_ticks"] < NEVER).sum() == 3


def test_a_spill_that_outgrows_time_is_refused():
    """999 further tokens of 1e6 s are 32 years."""
    scenario = replace(FIXED, overflow=Overflow("spill", spill_tpot_s=1e6))
    with pytest.raises(ScenarioError, match="spill"):
        simulate(Trace.build([0.0], [1], [1000]), scenario)
