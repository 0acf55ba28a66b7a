"""A description fitted to a trace: what it says of traffic whose truth is known, and how near it comes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.cli import run
from simulations.errors import TraceError
from simulations.ingest import load_trace, write_trace
from simulations.statistics import Hole, find_holes, summarise_trace
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic import (
    Bursts,
    Client,
    Description,
    LogNormal,
    OnOff,
    Renewal,
    SeasonalRate,
    arrivals,
    description_text,
    generate,
    is_description,
    load_description,
)
from simulations.traffic.fit import fit
from simulations.traffic.fit_quality import compare, measure
from simulations.traffic.windows import gaps_cv, seen_s, windows

DAY_S = 86_400.0
LENGTHS = LogNormal.from_p95(400, 3000)
FLAT = Description(6 * 3600.0, SeasonalRate(3.0), LENGTHS, LENGTHS)
WAVES = SeasonalRate(0.5, daily_amplitude=0.8, weekend_factor=0.3)
ON_OFF = OnOff(30.0, 300.0, 15.0)


def without(trace: Trace, start_s: float, length_s: float) -> Trace:
    """The same trace, in which nothing was recorded for a while."""
    at_s = trace.arrival_ticks / TICKS_PER_S
    kept = (at_s < start_s) | (at_s >= start_s + length_s)
    columns = (trace.arrival_ticks, trace.input_tokens, trace.cached_tokens, trace.output_tokens)
    return Trace(*(column[kept] for column in columns), trace.span_ticks, trace.epoch_ns)


# Which burst process


@pytest.mark.parametrize("seed", range(4))
def test_traffic_at_random_is_called_poisson(seed: int) -> None:
    for described in (FLAT, replace(FLAT, duration_s=3 * DAY_S, rate=WAVES)):
        assert fit(generate(replace(described, seed=seed))).burst_words == "Poisson"


@pytest.mark.parametrize("gaps", [Renewal("gamma", 2.0), Renewal("weibull", 2.5), Renewal("gamma", 0.5)], ids=str)  # fmt: skip
def test_gaps_that_cluster_or_keep_apart_are_told_with_their_variation(gaps: Renewal) -> None:
    found = fit(generate(replace(FLAT, bursts=Bursts(gaps)))).description.bursts
    assert found.on_off is None
    assert found.gaps.gaps == gaps.gaps
    assert found.gaps.cv == pytest.approx(gaps.cv, rel=0.15)


def test_traffic_that_comes_in_bursts_stays_bursty() -> None:
    trace = generate(replace(FLAT, duration_s=DAY_S, bursts=Bursts(on_off=ON_OFF)))
    found = fit(trace)
    assert "bursts of" in found.burst_words or "in bursts" in found.burst_words
    rows = {row.name: row for row in compare(trace, found.description)[0]}
    for name in ("dispersion at 1 s", "dispersion at 1 min", "dispersion at 5 min"):
        assert rows[name].generated == pytest.approx(rows[name].trace, rel=0.25)
    assert rows["dispersion at 1 min"].trace > 100


def test_bursts_of_one_client_among_steady_ones_stay_bursty() -> None:
    clients = (Client(0.8), Client(0.2, Bursts(on_off=OnOff(200.0, 5000.0, 1e3))))
    trace = generate(replace(FLAT, duration_s=DAY_S, clients=clients, seed=1))
    found = fit(trace)
    rows = {row.name: row for row in compare(trace, found.description)[0]}
    assert rows["dispersion at 1 min"].trace > 30
    assert rows["dispersion at 1 min"].generated == pytest.approx(rows["dispersion at 1 min"].trace, rel=0.35)  # fmt: skip


# Rates


def test_an_hour_of_the_week_has_its_rate() -> None:
    start = datetime(2026, 11, 18, 7, tzinfo=UTC)
    truth = replace(FLAT, duration_s=28 * DAY_S, rate=WAVES, start=start)
    found = fit(generate(truth))
    assert found.rate_words == "rate by hour of the week"
    at = np.arange(0, 7 * DAY_S, 3600.0) + 1800
    assert found.description.rate_per_s(at) == pytest.approx(
        truth.rate_per_s(at), rel=0.25, abs=0.03
    )
    assert found.description.rate_per_s(at).mean() == pytest.approx(truth.rate_per_s(at).mean(), rel=0.02)  # fmt: skip


@pytest.mark.parametrize(
    ("days", "dated", "words"),
    [
        (0.04, True, "rate in 4 blocks of 15 min"),
        (1, True, "rate in 24 blocks of 60 min"),
        (3, True, "rate by hour of the day"),
        (4.5, True, "rate by hour of the day, weekend apart"),
        (3, False, "rate by hour of the day"),
        (8, False, "rate by hour of the day, times one factor for each day of the week"),
        (15, False, "rate by hour of the week"),
    ],
)
def test_the_longer_the_trace_the_finer_the_week(days: float, dated: bool, words: str) -> None:
    start = datetime(2026, 11, 17, tzinfo=UTC) + timedelta(days=days > 4) * 1
    described = replace(FLAT, duration_s=days * DAY_S, start=start if dated else None)
    assert fit(generate(replace(described, rate=SeasonalRate(0.2)))).rate_words == words


# Holes


def test_a_hole_is_no_time_without_requests() -> None:
    """Three hours that were not recorded change neither the rate nor what is said of bursts."""
    whole = generate(replace(FLAT, duration_s=DAY_S, rate=SeasonalRate(1.0)))
    holed = without(whole, 40_000.0, 10_800.0)
    found = fit(holed)
    assert len(found.holes) == 1
    assert found.burst_words == "Poisson"
    at = np.arange(0, DAY_S, 600.0)
    assert found.description.rate_per_s(at) == pytest.approx(np.ones(len(at)), rel=0.1)
    assert len(generate(found.description)) == pytest.approx(DAY_S, rel=0.02)
    assert measure(holed, holes=find_holes(holed))["requests/s"] == pytest.approx(1.0, rel=0.02)


def test_windows_that_a_hole_touches_count_in_nothing() -> None:
    at_s = np.concatenate([np.arange(0, 100, 1.0), np.arange(900, 1000, 1.0)])
    ticks = (at_s * TICKS_PER_S).astype(np.int64)
    hole = Hole(99.0, 801.0)
    seen = windows(ticks, 1000.0, 10.0, [hole])
    assert seen.counts.tolist() == [10] * 19
    assert seen.dispersion == 0
    assert gaps_cv(ticks, [hole]) == pytest.approx(0, abs=1e-9)
    assert seen_s(np.array([50.0, 500.0, 1000.0]), [hole]).tolist() == [50.0, 99.0, 199.0]


@settings(max_examples=50)
@given(
    st.lists(st.floats(0, 3000), min_size=3, max_size=200),
    st.sampled_from([1.0, 60.0, 300.0]),
)
def test_without_holes_the_windows_are_those_of_describe(at_s, width_s) -> None:
    trace = Trace.build(at_s, [1] * len(at_s), [1] * len(at_s), span_s=3600)
    found = summarise_trace(trace)
    name = {1.0: "1s", 60.0: "1m", 300.0: "5m"}[width_s]
    ours = windows(trace.arrival_ticks, trace.span_s, width_s)
    assert ours.dispersion == pytest.approx(found.by_requests.dispersion[name])
    assert ours.peak_to_mean == pytest.approx(found.by_requests.peak_to_mean[name])


# Lengths


def test_lengths_their_dependence_and_the_cached_share_come_back() -> None:
    odd = replace(LENGTHS, min_tokens=7, max_tokens=9000)
    truth = replace(
        FLAT, input=odd, rank_correlation=0.6, cached_fraction=0.25, duration_s=20_000.0
    )
    trace = generate(truth)
    found = fit(trace).description
    assert (found.input.min_tokens, found.input.max_tokens) == (7, 9000)
    assert found.rank_correlation == pytest.approx(0.6, abs=0.02)
    assert found.cached_fraction == pytest.approx(0.25, abs=0.01)
    again = generate(found)
    for percent in (5, 50, 95, 99):
        values = [np.percentile(one.input_tokens, percent) for one in (trace, again)]
        assert values[1] == pytest.approx(values[0], rel=0.05, abs=1)


def test_lengths_that_are_all_alike_stay_so() -> None:
    trace = Trace.build(np.arange(0, 600.0, 0.5), [512] * 1200, [0] * 1200, span_s=600)
    again = generate(fit(trace).description)
    assert set(again.input_tokens.tolist()) == {512}
    assert set(again.output_tokens.tolist()) == {0}


# What holds of any trace


@settings(max_examples=6, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([Bursts(), Bursts(Renewal("gamma", 3.0)), Bursts(on_off=ON_OFF)]),
    st.integers(1, 40),
)
def test_whole_weeks_later_a_fit_is_the_same(seed: int, bursts: Bursts, weeks: int) -> None:
    start = datetime(2026, 11, 16, 9, tzinfo=UTC)
    trace = generate(replace(FLAT, duration_s=3600.0, seed=seed, bursts=bursts, start=start))
    later = replace(trace, epoch_ns=trace.epoch_ns + weeks * 7 * 86_400 * 10**9)
    one, other = fit(trace).description, fit(later).description
    assert replace(other, start=one.start) == one


@settings(max_examples=8, deadline=None)
@given(
    at_s=st.lists(st.floats(0, 1e5), min_size=100, max_size=300),
    seed=st.integers(0, 10**6),
)
def test_any_trace_of_a_hundred_requests_has_a_fit_that_can_be_read_and_generated(
    at_s, seed, tmp_path_factory
) -> None:
    random = np.random.default_rng(seed)
    tokens = random.integers(1, 10**5, (2, len(at_s)))
    trace = Trace.build(at_s, *tokens, span_s=max(at_s) - min(at_s) + 120)
    recorded = trace.span_s - sum(hole.length_s for hole in find_holes(trace))
    if recorded < 60:
        return
    made = fit(trace).description
    path = tmp_path_factory.mktemp("fit") / "any.toml"
    path.write_text(description_text(made), encoding="utf-8")
    assert load_description(path) == made
    # All requests at one instant make gaps of which most futures see none.
    assert any(len(arrivals.draw(made, replication=i).ticks) for i in range(50))


def test_a_trace_that_says_nothing_is_refused() -> None:
    few = Trace.build(range(99), [1] * 99, [1] * 99)
    with pytest.raises(TraceError, match="the trace has 99 requests in 98 s; a fit takes at least 100 in 60 s"):  # fmt: skip
        fit(few)


# The command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with traffic in bursts in it."""
    monkeypatch.chdir(tmp_path)
    trace = generate(replace(FLAT, duration_s=7200.0, bursts=Bursts(on_off=ON_OFF)))
    write_trace(trace, Path("log.csv"))
    return tmp_path


def test_a_fit_is_shown_and_written_and_can_be_generated_from(folder, capsys) -> None:
    assert run(["generate", "--fit", "log.csv", "--out", "made.toml", "--seed", "5"]) == 0
    shown = capsys.readouterr().out
    assert "trace against generated" in shown
    assert "dispersion at 1 min" in shown
    assert shown.endswith("written: made.toml\n")
    assert load_description("made.toml").seed == 5
    assert (
        Path("made.toml").read_text(encoding="utf-8").startswith("# Fitted by ptplan to log.csv:\n")
    )
    assert run(["generate", "made.toml", "--out", "made.csv", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["requests"] == len(load_trace("made.csv"))
    assert said["sha256"] == load_trace("made.csv").sha256


def test_the_same_trace_gives_the_same_fit(folder, capsys) -> None:
    texts = []
    for name in ("a.toml", "b.toml"):
        assert run(["generate", "--fit", "log.csv", "--out", name, "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["n_off"] == sum(row["off"] for row in data["rows"])
        texts.append(Path(name).read_bytes())
    assert texts[0] == texts[1]
    assert is_description("a.toml")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--out", "x.csv"), "give FILE.toml to make traffic from it, or --fit TRACE to describe a trace"),
        (("x.toml", "--fit", "log.csv", "--out", "y.toml"), "give FILE.toml to make traffic from it, or --fit TRACE to describe a trace, not both"),
        (("--fit", "log.csv", "--out", "x.csv"), "x.csv: a description is written to a file that ends in .toml"),
        (("--fit", "none.csv", "--out", "x.toml"), "none.csv: there is no such file"),
        (("--fit", "log.csv", "--out", "x.toml", "--seed", "-1"), "--seed is -1; must be >= 0"),
        (("--fit", "log.csv", "--out", "log.csv/x.toml"), "log.csv cannot be written: Not a directory; choose another --out"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_said_in_one_line(arguments, complaint, folder, capsys) -> None:
    assert run(["generate", *arguments]) == 1
    assert capsys.readouterr().err == f"ptplan: {complaint}\n"


# Real traffic


def test_azure_comes_back(shared: Path) -> None:
    """Dispersion, peaks and lengths of the conversation hour, within what is called off."""
    trace = load_trace(shared / "traces" / "AzureLLMInferenceTrace_conv.csv.gz")
    rows, _ = compare(trace, fit(trace).description)
    assert [row.name for row in rows if row.is_off] == []


@pytest.mark.slow
def test_three_days_in_bursts_come_back(shared: Path) -> None:
    """The gaps are the one thing that a few kinds of bursts do not reach."""
    path = shared / "traces" / "derived" / "servegen_m-small_3d_synthetic.csv.gz"
    columns = {"arrival": "timestamp_s", "input": "input_tokens", "output": "output_tokens"}
    trace = load_trace(path, columns=columns)
    rows, _ = compare(trace, fit(trace).description, replications=5)
    off = {row.name for row in rows if row.is_off and not row.low <= row.trace <= row.high}
    assert off <= {"CV of gaps"}
