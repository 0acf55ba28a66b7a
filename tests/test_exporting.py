"""Writing traces in public formats: what comes back, and that what does not was said."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from planner.cli import run
from simulations.errors import TraceError
from simulations.ingest import EXPORTS, export_trace, read
from simulations.statistics import summarise_trace
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import MAX_REQUEST_TOKENS, Trace

TEXT = [name for name in EXPORTS if name != "parquet"]
GRAIN_TICKS = {"mooncake": TICKS_PER_S // 1000, "azure": TICKS_PER_S // 10**7}
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens"


def columns(trace: Trace) -> list[list[int]]:
    """Arrivals, inputs, cached, outputs."""
    return [
        column.tolist()
        for column in (
            trace.arrival_ticks,
            trace.input_tokens,
            trace.cached_tokens,
            trace.output_tokens,
        )
    ]


def made(ticks: list[int], rows: list[tuple[int, int, int]], rest: int, epoch: int | None) -> Trace:
    """A trace of (input, cached, output), with some time after its last arrival."""
    arrival = np.sort(np.array(ticks, np.int64))
    arrival -= arrival[0]
    tokens = np.array(rows, np.int32).T
    span = min(int(arrival[-1]) + rest, NEVER - 1)
    return Trace(
        arrival, tokens[0].copy(), np.minimum(tokens[1], tokens[0]), tokens[2].copy(), span, epoch
    )


@st.composite
def any_traces(draw: st.DrawFn) -> Trace:
    """Ties, gaps of one tick and of half a year, absurd lengths, dates and none."""
    step = draw(st.sampled_from([1, 10**4, 10**7, 10**8, 10**11]))
    reach = min(draw(st.sampled_from([0, 3, 10**4, NEVER - 1])), (NEVER - 1) // step)
    ticks = draw(st.lists(st.integers(0, reach).map(lambda n: n * step), min_size=1, max_size=12))
    tokens = st.sampled_from([1, 2, 511, 512, 513, 1 << 20])
    outputs = st.sampled_from([0, 1, 400, MAX_REQUEST_TOKENS - (1 << 20)])
    row = st.tuples(tokens, st.sampled_from([0, 0, 7]), outputs)
    rows = draw(st.lists(row, min_size=len(ticks), max_size=len(ticks)))
    epoch = draw(st.none() | st.integers(0, 4 * 10**18) | st.sampled_from([-1, 10**18 + 50]))
    return made(ticks, rows, draw(st.sampled_from([0, 1, 10**12])), epoch)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(trace=any_traces(), to=st.sampled_from(EXPORTS), suffix=st.sampled_from(["", ".gz"]))
def test_what_is_written_comes_back_up_to_what_was_said(
    tmp_path: Path, trace: Trace, to: str, suffix: str
) -> None:
    # Rounded to the next step of the format a time must still be representable.
    assume(int(trace.arrival_ticks[-1]) < NEVER - TICKS_PER_S)
    path = tmp_path / ("trace" if to == "parquet" else f"trace{suffix}")
    done = export_trace(trace, path, to=to)
    lost = " | ".join(done.lost)
    assert (done.format, done.requests) == (to, len(trace))
    assert done.lost == export_trace(trace, path, to=to).lost

    kept = np.full(len(trace), True)
    if to == "burstgpt":
        kept = trace.output_tokens > 0
    n_zero = int(np.count_nonzero(~kept))
    assert ("without output" in lost) == (n_zero > 0)
    if n_zero == len(trace):
        with pytest.raises(TraceError, match="no request is left"):
            read(path)
        return
    reading = read(path)
    back = reading.trace
    assert reading.format == ("ptplan" if to == "parquet" else to)
    assert reading.rows_read == len(trace)
    assert sum(reading.dropped.values()) == n_zero

    # Row by row in the same order, ties and all.
    assert back.input_tokens.tolist() == trace.input_tokens[kept].tolist()
    assert back.output_tokens.tolist() == trace.output_tokens[kept].tolist()
    first = int(trace.arrival_ticks[kept][0])
    moved = np.abs(back.arrival_ticks + first - trace.arrival_ticks[kept])
    assert moved.max() <= GRAIN_TICKS.get(to, 0) // 2
    assert ("are rounded to" in lost) == bool(moved.any())
    ties = np.count_nonzero(np.diff(back.arrival_ticks) == 0)
    assert ("together with the one before" in lost) == bool(
        ties > np.count_nonzero(np.diff(trace.arrival_ticks[kept]) == 0)
    )
    if to == "parquet":
        assert columns(back) == columns(trace)
        assert (back.span_ticks, back.epoch_ns) == (trace.span_ticks, trace.epoch_ns)
        assert lost == ""
        return
    assert not back.cached_tokens.any()
    assert ("cached tokens" in lost) == bool(trace.cached_tokens.any())
    assert ("the end of the recording" in lost) == (trace.span_ticks > trace.arrival_ticks[-1])
    if to == "azure":
        assert back.epoch_ns == (trace.epoch_ns or 0) // 100 * 100
        assert ("ns of the date" in lost) == bool((trace.epoch_ns or 0) % 100)
        assert ("1970-01-01" in done.notes[0]) == (trace.epoch_ns is None)
    else:
        assert back.epoch_ns is None
        assert ("the date of the first request" in lost) == (trace.epoch_ns is not None)


@pytest.mark.parametrize("to", EXPORTS)
def test_every_format_gives_equal_statistics(tmp_path: Path, to: str) -> None:
    """Requests that every format can hold: on whole milliseconds, nothing cached, none without output."""
    rng = np.random.default_rng(3)
    ticks = np.cumsum(rng.integers(0, 900, 4000)) * (TICKS_PER_S // 1000)
    rows = zip(rng.integers(1, 9000, 4000), [0] * 4000, rng.integers(1, 700, 4000), strict=True)
    trace = made(ticks.tolist(), list(rows), 0, None)
    path = tmp_path / "trace"
    assert export_trace(trace, path, to=to).lost == ()
    assert asdict(summarise_trace(read(path).trace)) == asdict(summarise_trace(trace))


def test_load_tools_find_what_they_look_for(tmp_path: Path) -> None:
    trace = made([0, 5 * TICKS_PER_S // 2], [(1, 0, 0), (1025, 0, 7)], 0, 1_772_366_400 * 10**9)
    for to in TEXT:
        export_trace(trace, tmp_path / f"{to}.gz", to=to)
    texts = {to: gzip.decompress((tmp_path / f"{to}.gz").read_bytes()).decode() for to in TEXT}
    assert [json.loads(line) for line in texts["mooncake"].splitlines()] == [
        {"timestamp": 0, "input_length": 1, "output_length": 0, "hash_ids": [0]},
        {"timestamp": 2500, "input_length": 1025, "output_length": 7, "hash_ids": [1, 2, 3]},
    ]
    assert list(csv.reader(texts["azure"].splitlines())) == [
        ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
        ["2026-03-01 12:00:00.0000000", "1", "0"],
        ["2026-03-01 12:00:02.5000000", "1025", "7"],
    ]
    assert list(csv.DictReader(texts["burstgpt"].splitlines()))[1] == {
        "Timestamp": "2.5",
        "Model": "GPT-4",
        "Request tokens": "1025",
        "Response tokens": "7",
        "Total tokens": "1032",
        "Log Type": "API log",
    }
    assert texts["vidur"] == f"{VIDUR}\n0.0,1,0\n2.5,1025,7\n"


def test_an_export_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    trace = made([0], [(1, 0, 1)], 0, None)
    for to in EXPORTS:
        with pytest.raises(TraceError, match="cannot be written: No such file or directory"):
            export_trace(trace, tmp_path / "nowhere" / "file", to=to)
        with pytest.raises(TraceError, match="cannot be written: Is a directory"):
            export_trace(trace, tmp_path, to=to)
    with pytest.raises(TraceError, match=r"must be one of mooncake, azure, .*parquet"):
        export_trace(trace, tmp_path / "file", to="xml")
    with pytest.raises(TraceError, match=r"leave \.gz out"):
        export_trace(trace, tmp_path / "file.gz", to="parquet")
    last = made([0, 10 * TICKS_PER_S], [(1, 0, 1)] * 2, 0, 2**63 - 10**9)
    with pytest.raises(TraceError, match="beyond what dates can hold"):
        export_trace(last, tmp_path / "file", to="azure")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log with failures, in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "log.csv"
    path.write_text("t,i,o,s\n0,5,1,200\n0.0004,6,2,200\n1,0,0,429\n2,7,3,500\n3,8,4,200\n")
    return path


COLUMNS = ("--columns", "arrival=t,input=i,output=o,status=s", "--time-unit", "s")


def test_convert_says_what_is_lost(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", "log.csv", *COLUMNS, "--to", "mooncake", "--out", "out.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "written: out.jsonl, 3 requests as mooncake, from log.csv (columns)",
        "lost: arrivals are rounded to whole milliseconds: 1 of 3 requests moves, by up to 400 us; 1 arrives together with the",
        "one before where it did not",
        "lost: rows of the log that are not requests: failed request (status 429): 1, failed request (status 5xx): 1",
    ]
    assert run(["convert", "log.csv", *COLUMNS, "--to", "vidur", "--out", "out", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["requests"], data["rows_read"], data["path"]) == (3, 5, "out")
    assert data["lost"] == [
        "rows of the log that are not requests: failed request (status 429): 1, failed request (status 5xx): 1"
    ]


def test_convert_never_replaces_what_it_reads(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = log.read_bytes()
    Path("other").symlink_to(log)
    for out in ("log.csv", "./other"):
        assert run(["convert", "log.csv", *COLUMNS, "--to", "azure", "--out", out]) == 1
        assert "is what is read; give --out another name" in capsys.readouterr().err
    assert run(["convert", "log.csv", *COLUMNS, "--to", "xml", "--out", "x"]) == 1
    assert "--to is 'xml'; must be one of" in capsys.readouterr().err
    assert log.read_bytes() == before


@pytest.mark.parametrize("to", EXPORTS)
def test_the_azure_trace_comes_back_from_every_format(
    shared: Path, tmp_path: Path, to: str
) -> None:
    trace = read(shared / "traces/AzureLLMInferenceTrace_conv.csv.gz").trace
    done = export_trace(trace, tmp_path / "trace", to=to)
    back = read(tmp_path / "trace").trace
    assert columns(back)[1:] == columns(trace)[1:]
    moved = np.abs(back.arrival_ticks - trace.arrival_ticks).max()
    assert moved <= (GRAIN_TICKS["mooncake"] // 2 if to == "mooncake" else 0)
    assert (moved > 0) == any("19,353 of 19,366 requests move" in lost for lost in done.lost)
