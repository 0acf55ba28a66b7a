"""Walking forward: windows are cut where they should be, judged on what came, and counted honestly."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import traces

from planner.artifacts import to_json
from planner.backtesting import (
    Backtest,
    Stretch,
    Window,
    backtest,
    backtest_data,
    carried,
    cut,
    default_lengths,
)
from planner.cli import run
from planner.confidence import share_interval
from planner.objective import Objective, Verdict
from planner.offer import Offer, make_offer
from planner.recommendation import recommend
from simulations.capacity import TokenChunks
from simulations.engine import simulate
from simulations.errors import InputError
from simulations.outcome import Limit, summarise
from simulations.scenario import Autoscaler, Scenario, Service
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

SERVICE = Service(0.02, prefill_s=2e-5, max_sequences=4, per_chunk=True)
SCALER = Autoscaler(start_delay_s=20.0)
PROMISE = Objective((Limit("ttft", 95, 2.0),), 0.01, 0.7)
LAST_S = 1800.0


@cache
def offer() -> Offer:
    return make_offer("ml.own.model", chunk_tokens_per_s=1200, service=SERVICE)


@cache
def steady(rate_per_s: float = 0.5) -> Trace:
    """Return half an hour of requests at random."""
    random = np.random.default_rng(8)
    n = round(LAST_S * rate_per_s)
    at_s = np.sort(random.uniform(0, LAST_S, n))
    return Trace.build(
        at_s - at_s[0], random.integers(100, 900, n), random.integers(20, 200, n), span_s=LAST_S
    )


def walked(trace: Trace, **more) -> Backtest:
    given = {
        "train_s": 600.0,
        "test_s": 300.0,
        "futures": 5,
        "autoscaler": SCALER,
        "limit_chunks": 4,
    }
    return backtest(trace, offer(), more.pop("objective", PROMISE), **(given | more))


def test_windows_walk_on_by_what_they_are_judged_on():
    made = walked(steady())
    assert [(w.train.start_s, w.train.end_s, w.test.end_s) for w in made.windows] == [
        (start, start + 600, start + 900) for start in (0.0, 300.0, 600.0, 900.0)
    ]
    at_s = steady().arrival_ticks / TICKS_PER_S
    for window in made.windows:
        for part in (window.train, window.test):
            assert part.requests == ((at_s >= part.start_s) & (at_s < part.end_s)).sum()
    assert made.left_s == 0


def test_a_window_is_the_recommendation_of_its_past_run_on_what_came():
    """Made again by hand from the library's own parts."""
    window = walked(steady()).windows[1]
    start, now, end = (round(s * TICKS_PER_S) for s in (300.0, 900.0, 1200.0))
    past, came = cut(steady(), start, now), cut(steady(), now, end)
    made = recommend(
        past, offer(), PROMISE, autoscaler=SCALER, futures=5, limit_chunks=4, sensitivity=False
    )
    assert window.capacity == made.capacity
    assert window.confidence == made.held.confidence
    realised = summarise(simulate(came, carried(made.scenario, past)), PROMISE.limits)
    assert window.realised == realised
    assert window.kept == PROMISE.judge(realised).holds


def test_what_is_foretold_is_over_stretches_as_long_as_what_came():
    """Five futures of the past, the last five minutes of each."""
    window = walked(steady()).windows[0]
    assert len(window.foretold.outcomes) == 5
    horizons = {outcome.horizon_s for outcome in window.foretold.outcomes.values()}
    assert horizons == {window.realised.horizon_s} == {300.0}
    figures, spreads = window.realised.figures(), window.foretold.spreads()
    within = window.within()
    spread = spreads["mean_chunks"]
    assert within["mean_chunks"] == (spread.p05 <= figures["mean_chunks"] <= spread.p95)
    assert within["attainment_all"] in (True, False)


def test_one_future_foretells_no_spread():
    made = walked(steady(), futures=1)
    assert [window.within() for window in made.windows] == [{}] * 4
    assert made.shares_within() == {}
    assert [len(window.foretold.outcomes) for window in made.windows] == [1] * 4


def test_workers_and_repetition_change_nothing():
    first = to_json(backtest_data(walked(steady(), workers=1)))
    assert to_json(backtest_data(walked(steady(), workers=4))) == first


def test_a_load_that_doubles_breaks_the_promise_and_the_count_says_so():
    """One chunk serves the first twenty minutes; the last ten bring three times as much."""
    calm, busy = steady(0.4), steady(1.6)
    turn = round(1200 * TICKS_PER_S)
    columns = {
        name: np.concatenate(
            [
                getattr(calm, name)[calm.arrival_ticks < turn],
                getattr(busy, name)[busy.arrival_ticks >= turn],
            ]
        )
        for name in ("arrival_ticks", "input_tokens", "cached_tokens", "output_tokens")
    }
    trace = Trace(**columns, span_ticks=busy.span_ticks)
    made = walked(trace, train_s=900.0, limit_chunks=1)
    assert [(window.promised, window.kept) for window in made.windows] == [
        (True, True),
        (True, False),
        (False, False),
    ]
    assert made.calibration == (2, 1, share_interval(1, 2))
    assert made.sentences()[0] == (
        "In 1 of 3 windows no range was found that keeps the promise; they are judged but not counted."
    )


def test_growth_is_a_forecast_for_what_comes_and_not_done_to_it():
    from simulations.traffic import Change

    plain, grown = walked(steady()), walked(steady(), change=Change(growth=3.0))
    requests = [[w.realised.arrived for w in made.windows] for made in (plain, grown)]
    assert requests[0] == requests[1]
    chunks = [[w.capacity.max_chunks for w in made.windows] for made in (plain, grown)]
    assert sum(chunks[1]) > sum(chunks[0])


def test_a_window_without_traffic_is_told_and_not_counted():
    """Nothing came for a quarter of an hour, in which a window learns and others are judged."""
    at_s = steady().arrival_ticks / TICKS_PER_S
    rows = (at_s < 300) | (at_s >= 1200)
    trace = replace(
        steady(),
        **{
            name: getattr(steady(), name)[rows]
            for name in ("arrival_ticks", "input_tokens", "cached_tokens", "output_tokens")
        },
    )
    made = walked(trace, train_s=300.0, test_s=300.0)
    assert [window.why for window in made.windows] == [
        "nothing arrived in the stretch to judge on",
        *["nothing arrived in the stretch to learn from"] * 3,
        None,
    ]
    assert made.calibration[0] == sum(window.promised for window in made.windows) == 1
    assert "4 of 5 windows could not be judged." in made.sentences()
    data = json.loads(to_json(backtest_data(made)))
    assert [row["kept"] for row in data["windows"][:4]] == [None] * 4


# Starting where the past ended


def scenario(low: int, high: int) -> Scenario:
    return Scenario(SERVICE, TokenChunks(1200, low, high), replace(SCALER, target=2.0))


def test_the_judged_run_starts_with_what_the_end_of_the_past_needs():
    """What came before the last five minutes does not count, and the range bounds it."""
    calm, busy = [4.0 * i for i in range(150)], [600 + 0.2 * i for i in range(1500)]
    rising = Trace.build(calm + busy, [300] * 1650, [50] * 1650, span_s=900)
    falling = Trace.build(
        [0.2 * i for i in range(3000)] + [600 + 4.0 * i for i in range(75)],
        [300] * 3075,
        [50] * 3075,
        span_s=900,
    )
    more = carried(scenario(1, 8), rising).start_chunks
    less = carried(scenario(1, 8), falling).start_chunks
    assert 1 <= less < more <= 8
    assert carried(scenario(1, more - 1), rising).start_chunks == more - 1
    assert carried(scenario(more + 1, 9), rising).start_chunks == more + 1
    assert carried(scenario(1, 8), rising, 5).start_chunks == 5
    assert carried(scenario(1, 8), rising, 50).start_chunks == 8
    assert carried(scenario(0, 8), None).start_chunks == 0


@given(traces(max_requests=30), st.integers(0, 4000), st.integers(1, 4000))
def test_a_cut_holds_what_arrived_in_it_on_its_own_clock(trace, start, length):
    low = start * TICKS_PER_S // 1000
    high = min(low + length * TICKS_PER_S // 1000, trace.span_ticks)
    assume(low < high)
    rows = (trace.arrival_ticks >= low) & (
        (trace.arrival_ticks < high) | (high == trace.span_ticks)
    )
    part = cut(trace, low, high)
    if part is None:
        assert not rows.any()
        return
    assert np.array_equal(part.arrival_ticks + low, trace.arrival_ticks[rows])
    assert np.array_equal(part.input_tokens, trace.input_tokens[rows])
    assert part.span_ticks == high - low


# Lengths and counting


@given(st.floats(1, 400 * 86_400))
def test_default_lengths_make_at_least_two_windows(span_s):
    train_s, test_s = default_lengths(span_s)
    assert test_s <= train_s < span_s
    assert (span_s - train_s) / test_s >= 1.9


@pytest.mark.parametrize(
    ("lengths", "complaint"),
    [
        ({"train_s": 0.0}, "train is 0 s; must be from 1 ms to less than the recording's 1800 s"),
        ({"test_s": 1e9}, "test is 1e+09 s; must be"),
        ({"train_s": 1700.0}, "no window fits: train 1700 s and test 300 s are longer together"),
        ({"test_s": 0.5}, "test is 0.5 s, which makes 2,400 windows; at most 1,000"),
    ],
)
def test_lengths_that_make_no_window_are_refused(lengths, complaint):
    with pytest.raises(InputError) as refused:
        walked(steady(), **lengths)
    assert complaint in str(refused.value)


def test_what_is_wrong_in_every_window_is_an_error():
    with pytest.raises(InputError, match=r"none of the .* requests fits a server"):
        backtest(
            steady(),
            make_offer(
                "ml.own.model",
                chunk_tokens_per_s=1200,
                service=replace(SERVICE, context_limit_tokens=50),
            ),
            train_s=600,
            test_s=300,
            futures=3,
        )


part = st.builds(lambda: Stretch(0.0, 1.0, 3))
windows = st.builds(
    lambda feasible, kept: Window(
        Stretch(0, 1, 3),
        Stretch(1, 2, 3),
        feasible,
        verdict=None if kept is None else Verdict(kept, ()),
        why="nothing" if kept is None else None,
    ),
    st.sampled_from([True, False, None]),
    st.sampled_from([True, False, None]),
)


@given(st.lists(windows, max_size=40))
def test_only_promises_that_could_be_judged_are_counted(drawn):
    made = Backtest(tuple(drawn), PROMISE, 1.0, 1.0, 0.0, "given")
    promised, kept, interval = made.calibration
    counted = [w for w in drawn if w.feasible and w.verdict is not None]
    assert (promised, kept) == (len(counted), sum(w.verdict.holds for w in counted))
    assert interval == (share_interval(kept, promised) if promised else None)
    few = any("too few to show" in line for line in made.sentences())
    assert few == (0 < promised < 9)  # 0.7 ** 9 < 0.05


# The command


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    rows = zip(
        steady().arrival_ticks / TICKS_PER_S,
        steady().input_tokens,
        steady().output_tokens,
        strict=True,
    )
    text = "\n".join(f"{at:.3f},{given},{made}" for at, given, made in rows)
    Path("log.csv").write_text(f"arrived_at,num_prefill_tokens,num_decode_tokens\n{text}\n")
    Path("service.toml").write_text(
        "[service]\niteration_s = 0.02\nprefill_s = 2e-5\nmax_sequences = 4\nper_chunk = true\n"
    )
    model = "--model ml.own.model --chunk-tokens-per-s 1200 --service service.toml --futures 3"
    return ["backtest", "log.csv", *model.split(), "--start-delay", "20s"]


def test_the_command_prints_and_writes_what_the_library_gives(log, capsys):
    assert run([*log, "--train", "10m", "--test", "5m", "--out", "out"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert max(map(len, lines)) <= 118
    assert "0:00..0:10..0:15" in printed.out
    assert "too few to show 90 %" in printed.out.replace("\n  ", " ")
    written = Path("out/backtest.json").read_text(encoding="utf-8")
    assert run([*log, "--train", "10m", "--test", "5m", "--json"]) == 0
    assert capsys.readouterr().out == written
    data = json.loads(written)
    assert data.keys() >= {"windows", "promised", "kept"}
    for window in data["windows"]:
        assert window.keys() >= {"train", "test", "capacity", "predicted", "realised"}
        assert window["predicted"].keys() == window["realised"].keys()
    assert data["promised"] == sum(bool(window["feasible"]) for window in data["windows"])


def test_a_promise_that_no_window_can_make_exits_with_3(log, capsys):
    assert run([*log, "--ttft-p95", "1ms", "--quiet"]) == 3
    assert "no range promised; nearest missed" in " ".join(capsys.readouterr().out.split())


@settings(max_examples=10)
@given(st.sampled_from(["--train", "--test"]), st.sampled_from(["3", "0s", "x", "9w"]))
def test_a_length_that_is_none_is_refused(flag, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parents[1])
        assert (
            run(
                [
                    "backtest",
                    "examples/office-day.csv.gz",
                    "--model",
                    "system.ai.llama_v3_3_70b_instruct",
                    flag,
                    text,
                ]
            )
            == 1
        )
