"""An autoscaler's numbers out of simulated histories: inside their intervals, or said not to be told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from planner.cli import run as ptplan
from simulations.autoscalers import load_autoscaler
from simulations.errors import MeasurementError
from simulations.fit.autoscaler_history import (
    History,
    infer_autoscaler,
    load_history,
    predicted_chunks,
)

TRUTH = {"target": 8.0, "up_window_s": 20.0, "down_window_s": 300.0, "start_delay_s": 155.0}


def history(bin_s: float, *, hours: float, seed: int = 0) -> History:
    """Return the history of an autoscaler that is known, seen in bins; its load wanders by the minute."""
    chance = np.random.default_rng(seed)
    n = int(hours * 3600 / 5)
    walk = np.cumsum(chance.normal(0, 0.02, n))
    load = 40 * np.exp(0.6 * np.sin(np.arange(n) * 5 / 1200) + walk - np.linspace(0, walk[-1], n))
    fine = History(5.0, load, np.clip(np.ceil(load / 8), 1, 14), "in_flight")
    chunks = predicted_chunks(fine, **TRUTH)
    each = round(bin_s / 5)
    n_bins = n // each
    return History(
        bin_s,
        load[: n_bins * each].reshape(n_bins, each).mean(1),
        chunks[: n_bins * each].reshape(n_bins, each).mean(1),
        "in_flight",
    )


@pytest.mark.parametrize(("bin_s", "hours"), [(10.0, 12.0), (60.0, 24.0), (3600.0, 168.0)])
def test_the_truth_lies_inside_or_is_said_not_to_be_told(bin_s, hours):
    fit = infer_autoscaler(history(bin_s, hours=hours))
    for name, true in TRUTH.items():
        told = fit.numbers[name]
        assert told.low <= true <= told.high, name
    if bin_s == 10:
        assert fit.numbers["down_window_s"].told
        assert fit.numbers["target"].told
    if bin_s == 3600:
        assert not fit.numbers["up_window_s"].told
        assert not fit.numbers["start_delay_s"].told


def test_a_history_without_events_tells_nothing():
    with pytest.raises(MeasurementError, match="never changes in this history"):
        infer_autoscaler(History(10.0, np.full(50, 3.0), np.full(50, 2.0), "in_flight"))


def test_a_file_becomes_an_autoscaler(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = history(10.0, hours=6.0)
    rows = zip(10.0 * np.arange(len(seen.load)), seen.chunks, seen.load, strict=True)
    Path("history.csv").write_text(
        "time_s,ready_chunks,in_flight\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows),
        encoding="utf-8",
    )
    np.testing.assert_allclose(load_history("history.csv").load, seen.load)
    assert ptplan(["calibrate", "--autoscaler", "history.csv", "--out", "autoscaler.toml"]) == 0
    assert "changes of the number of chunks" in capsys.readouterr().out
    scaler = load_autoscaler("autoscaler.toml")
    assert scaler.target == pytest.approx(8.0, rel=0.3)
    assert tomllib.loads(Path("autoscaler.toml").read_text(encoding="utf-8"))["autoscaler"][
        "source"
    ] == ("fitted to history.csv")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("time,chunks\n" + "1,2\n" * 12, "has no load: in_flight"),
        ("a,b\n1,2\n", "has no column for time"),
        ("time,chunks,in_flight\n1,2,3\n", "has 1 rows with time"),
        ("time,chunks,in_flight\n" + "1,2,3\n" * 12, "several rows have the same time"),
    ],
)
def test_what_is_no_history_is_refused(text, complaint, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(MeasurementError, match=complaint):
        load_history(file)
