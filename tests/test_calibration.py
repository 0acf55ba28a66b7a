"""A server is found again from its run; what cannot be told is said; a closed loop is the fixed point of open ones."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.cli import run as ptplan
from simulations.errors import MeasurementError
from simulations.fit import Limits, MeasuredLevel, MeasuredRun, calibrate, load_measurements
from simulations.fit.calibration import scores
from simulations.fit.closed_loop import closed_loop, fixed_point
from simulations.fit.comparison import Comparison, Part
from simulations.fit.load_generators import TOOLS, command, replay_lines
from simulations.fit.loading import Loading, infer_loading
from simulations.fit.parameters import Candidate, space_of
from simulations.fit.replay import _served, figures, replay, replay_level
from simulations.ingest import load_trace
from simulations.services import load_range, load_service
from simulations.ticks import TICKS_PER_S
from simulations.trace import Shape, Trace

TRUTH = Candidate(0.012, 6e-5, 5e-8, 4e-5, 0.0, 0.006, 24, 2048, None)


def run_of(
    truth: Candidate, *, n: int = 120, rate: float = 3.0, noise: float = 0.01, seed: int = 0
) -> MeasuredRun:
    """Return a run of a known server, with noise."""
    chance = np.random.default_rng(seed)
    arrival = np.concatenate([[0.0], np.cumsum(chance.exponential(1 / rate, n - 1))])
    inputs = np.clip(chance.lognormal(6, 1, n), 4, 2500).astype(int)
    outputs = np.clip(chance.lognormal(5.5, 0.6, n), 2, 900).astype(int)
    blank = MeasuredRun.build(arrival, inputs, outputs, e2e_s=np.ones(n))
    times = replay(blank, truth)
    ttft = times.ttft_s * np.exp(3 * noise * chance.normal(size=n))
    e2e = ttft + (times.e2e_s - times.ttft_s) * np.exp(noise * chance.normal(size=n))
    return replace(blank, ttft_s=ttft, e2e_s=e2e)


def table_of(run: MeasuredRun) -> str:
    rows = zip(
        run.arrival_s, run.input_tokens, run.output_tokens, run.ttft_s, run.e2e_s, strict=True
    )
    return "arrival_s,input_tokens,output_tokens,ttft_s,e2e_s\n" + "".join(
        ",".join(map(str, row)) + "\n" for row in rows
    )


@pytest.mark.slow
def test_a_server_is_found_again_and_predicts_what_was_held_out():
    """Slots that were met are found to the last one."""
    limits = Limits(token_budget=2048, kv_tokens=1_000_000)
    made = calibrate([replace(run_of(TRUTH, rate=8.0), limits=limits)], n_starts=1, replicates=0)
    (score,) = made.held_out
    assert score.e2e_error is not None
    assert score.e2e_error < 0.03
    assert made.candidate.max_sequences == 24
    assert made.candidate.iteration_s == pytest.approx(TRUTH.iteration_s, rel=0.3)


@pytest.mark.slow
def test_what_the_data_do_not_tell_is_said():
    """At a light load neither slots nor memory are met, and the times are told all the same."""
    made = calibrate([replace(run_of(TRUTH), limits=Limits(token_budget=2048))], replicates=12)
    for name in ("max_sequences", "kv_tokens"):
        assert not made.intervals[name].reached
        assert name in made.untold
    for name in ("iteration_s", "prefill_s"):
        interval = made.intervals[name]
        assert interval.told
        assert interval.low <= getattr(TRUTH, name) <= interval.high


@pytest.mark.slow
def test_what_was_held_out_and_asks_for_more_than_was_fitted_is_said():
    """Light first and crowded later: slots were never met, and the score is said to be an extrapolation."""
    light, crowded = run_of(TRUTH, n=40, rate=1.0), run_of(TRUTH, n=40, rate=50.0, seed=1)
    both = MeasuredRun.build(
        np.concatenate([light.arrival_s, 90.0 + crowded.arrival_s]),
        np.concatenate([light.input_tokens, crowded.input_tokens]),
        np.concatenate([light.output_tokens, crowded.output_tokens]),
        e2e_s=np.ones(80),
    )
    times = replay(both, TRUTH)
    limits = Limits(token_budget=2048, kv_tokens=1_000_000)
    run = replace(both, ttft_s=times.ttft_s, e2e_s=times.e2e_s, limits=limits)
    made = calibrate([run], fit_fraction=0.5, n_starts=1, replicates=0)
    assert made.unmet == ("max_sequences",)
    assert made.untold == ["max_sequences"]
    assert any(
        "sequences at once" in note and "max_sequences is not identifiable" in note
        for note in made.notes
    )
    assert made.reach.sequences < 24


def test_the_true_server_has_the_least_misfit():
    run = run_of(TRUTH, rate=8.0, noise=0.0)
    comparison = Comparison((Part(run),))
    assert comparison.cost(TRUTH) == pytest.approx(0.0, abs=1e-6)
    for name in (
        "iteration_s",
        "sequence_s",
        "context_s",
        "prefill_s",
        "routing_s",
        "max_sequences",
    ):
        value = getattr(TRUTH, name)
        other = replace(TRUTH, **{name: value - 8 if name == "max_sequences" else 1.5 * value})
        assert comparison.cost(other) > 1.0, name


@given(
    st.tuples(*(st.integers(low, high) for low, high in ((1, 4), (0, 2), (0, 2), (0, 3), (0, 2)))),
    st.integers(1, 8),
    st.integers(9, 40),
    st.tuples(st.integers(1, 60), st.integers(1, 12)),
    st.integers(1, 12),
    st.integers(1, 4),
    st.lists(st.integers(0, 12), min_size=48, max_size=48) | st.none(),
)
def test_a_closed_loop_is_the_fixed_point_of_open_ones(
    times, slots, budget, shape, users, rounds, pauses
):
    """Cohorts give what the kernel gives, tick for tick, when answers send the next requests."""
    candidate = Candidate(*map(float, times), 0.0, slots, budget, None)
    n = users * rounds
    # Quarters of a second, so that arrivals fall on ends of iterations and beside them.
    pause = None if pauses is None else np.array(pauses[:n], np.int64) * (TICKS_PER_S // 4)
    loop = closed_loop(candidate.service(), Shape(*shape), users=users, n=n, pause_ticks=pause)
    arrival, rows = fixed_point(
        lambda trace: _served(trace, candidate, 1),
        Shape(*shape),
        users=users,
        n=n,
        pause_ticks=pause,
    )
    np.testing.assert_array_equal(loop.arrival_ticks, arrival)
    np.testing.assert_array_equal(loop.first_token_ticks, rows["first_token_ticks"])
    np.testing.assert_array_equal(loop.end_ticks, rows["end_ticks"])


@pytest.mark.slow
def test_levels_of_two_shapes_foretell_a_third():
    truth = replace(TRUTH, max_sequences=256, token_budget=8192)
    levels = []
    for shape in (Shape(256, 128), Shape(1024, 128), Shape(4096, 128)):
        for users in (2, 8, 32):
            blank = MeasuredLevel(shape, {"tpot_mean": 1.0}, users=users)
            found = figures(replay_level(blank, truth), shape.output_tokens)
            levels.append(
                replace(blank, figures={name: found[name] for name in ("ttft_mean", "tpot_mean")})
            )
    made = calibrate(list(levels), replicates=0)
    (score,) = made.held_out
    assert score.n == 6
    assert score.medians["all"] < 0.05


def test_too_little_is_refused():
    run = run_of(TRUTH, n=10)
    with pytest.raises(MeasurementError, match="10 requests; at least 20 are needed"):
        calibrate([run])
    with pytest.raises(MeasurementError, match="fit fraction is 0"):
        calibrate([run], fit_fraction=0)
    level = MeasuredLevel(Shape(10, 10), {"tpot_mean": 0.01}, users=2)
    with pytest.raises(MeasurementError, match="1 times were measured in all"):
        calibrate([level])
    with pytest.raises(MeasurementError, match="kv_tokens is 5, and a request of"):
        calibrate([replace(run_of(TRUTH), limits=Limits(kv_tokens=5))])


def test_the_command_writes_a_service_that_simulates_and_warns_beyond_its_range(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("run.csv").write_text(table_of(run_of(TRUTH)), encoding="utf-8")
    flags = "--out service.toml --replicates 0 --max-sequences 24 --token-budget 2048 --kv-tokens 100000 --per-chunk"
    assert ptplan(["calibrate", "run.csv", *flags.split()]) == 0
    page = capsys.readouterr().out
    assert "on what was held out: 48 requests" in page
    assert "written: service.toml" in page
    service = load_service("service.toml")
    assert (service.max_sequences, service.per_chunk, service.assumed) == (24, True, False)
    measured = load_range("service.toml")
    assert measured is not None
    longer = Trace.build([0, 1], [9000, 9000], [5, 5])
    assert any(
        "9" in warning or "input tokens" in warning
        for warning in measured.warnings(longer, service)
    )
    document = tomllib.loads(Path("service.toml").read_text(encoding="utf-8"))
    assert document["provenance"]["measurement"][0]["path"] == "run.csv"
    Path("log.csv").write_text(
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0,9000,5\n9,9000,5\n", encoding="utf-8"
    )
    model = "--model ml.own.model --chunk-tokens-per-s 900 --service service.toml --min-chunks 1 --max-chunks 1"
    assert ptplan(["simulate", "log.csv", *model.split()]) == 0
    assert "100.0% of the requests lie outside" in " ".join(capsys.readouterr().out.split())


def test_the_catalogue_is_listed(capsys):
    assert ptplan(["calibrate", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "llama-3-1-8b-bf16-h100-tp1-trtllm" in printed
    assert "aiconfigurator" in printed
    assert ptplan(["calibrate", "--list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 11


@pytest.mark.parametrize("tool", TOOLS)
def test_a_trace_becomes_a_command_and_a_file_to_replay(tool, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trace = Trace.build([0, 1.5, 4], [10, 20, 30], [3, 4, 5])
    line, result = command(trace, tool, replay_file="it.jsonl")
    assert line.split()[0] in ("aiperf", "guidellm", "vllm")
    Path("log.csv").write_text(
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0,10,3\n1.5,20,4\n4,30,5\n",
        encoding="utf-8",
    )
    assert ptplan(["calibrate", "log.csv", "--measure-with", tool, "--out", "it.jsonl"]) == 0
    printed = capsys.readouterr().out
    assert line in printed
    assert f"ptplan calibrate {result}" in printed
    unit = "s" if tool == "guidellm" else "ms"
    assert Path("it.jsonl").read_text(encoding="utf-8") == replay_lines(trace, tool)
    again = load_trace("it.jsonl", time_unit=unit)
    assert again.sha256 == trace.sha256


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "MEASUREMENTS are missing; see ptplan calibrate --help"),
        (("x.csv",), "--out is missing; see ptplan calibrate --help"),
        (("x.csv", "--out", "s.toml"), "x.csv: there is no such file"),
        (("x.csv", "--out", "s.toml", "--where", "tp"), "--where is 'tp'; must be COLUMN=VALUE"),
        (("x.csv", "--out", "s.toml", "--measure-with", "ab"), "x.csv: there is no such file"),
        (("--autoscaler", "x.csv", "--out", "s.toml"), "x.csv: there is no such file"),
    ],
)
def test_wrong_usage_is_one_line(arguments, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ptplan(["calibrate", *arguments]) == 1
    assert capsys.readouterr().err == f"ptplan: {complaint}\n"


@pytest.mark.slow
@pytest.mark.parametrize("kv_tokens", [9_000, None])
def test_memory_is_found_where_it_was_short_and_nowhere_else(kv_tokens):
    """Preempted or not, what was held out is foretold about as well as the true server foretells it."""
    truth = replace(TRUTH, max_sequences=128, kv_tokens=kv_tokens)
    run = replace(run_of(truth, n=250, rate=8.0, noise=0.02), limits=Limits(128, 2048))
    made = calibrate([run], fit_fraction=0.5, replicates=0)
    (score,) = made.held_out
    (best,) = scores((Part(run, np.arange(len(run)) >= 125),), truth)
    assert score.e2e_error is not None
    assert best.e2e_error is not None
    assert score.e2e_error < best.e2e_error + 0.01
    if kv_tokens is not None:
        assert made.candidate.kv_tokens == pytest.approx(kv_tokens, rel=0.02)
    else:
        assert made.candidate.kv_tokens is not None
        assert made.candidate.kv_tokens >= 400_000


def test_how_a_sweep_was_loaded_is_told_by_its_times_to_first_token():
    """One request held back and a thousand at every level, of which nothing stands in the table."""
    truth = replace(TRUTH, max_sequences=256, token_budget=8192)
    way = Loading(0, 1000, 1)
    levels = []
    for shape in (Shape(256, 64), Shape(2048, 64)):
        for users in (2, 8, 24):
            blank = MeasuredLevel(shape, {"tpot_mean": 1.0}, users=users)
            found = figures(replay_level(way.of(blank), truth), shape.output_tokens)
            levels.append(
                replace(blank, figures={name: found[name] for name in ("ttft_mean", "tpot_mean")})
            )
    parts = tuple(map(Part, levels))
    space = space_of(
        ["iteration_s", "sequence_s", "context_s", "prefill_s"], Limits(256, 8192), longest_tokens=1
    )
    found_way = infer_loading(parts, space, [truth])
    assert found_way.held_back == 1
    plain = [replace(level, figures={"tpot_mean": level.figures["tpot_mean"]}) for level in levels]
    assert infer_loading(tuple(map(Part, plain[:1])), space, [truth]) == Loading()


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.4, 0.5, 0.6])
def test_a_measured_run_is_foretold(shared, fraction):
    """Each request of the later part is within 2 % end to end in the mean, times to first token within 10 %."""
    (run,) = load_measurements(shared / "latency" / "vllm_rtxpro6000_llama-3.1-8b.requests.jsonl")
    (score,) = calibrate([run], fit_fraction=fraction, replicates=0).held_out
    assert score.e2e_error is not None
    assert score.e2e_error < 0.02
    assert abs(score.errors["ttft_mean"]) < 0.1
    assert abs(score.errors["ttft_p90"]) < 0.1
