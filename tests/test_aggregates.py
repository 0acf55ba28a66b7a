"""Logs of sums: a row a minute, of how many requests and tokens; every sum is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from planner.cli import run
from simulations.errors import TraceError
from simulations.ingest import parse_columns, read
from simulations.ticks import TICKS_PER_S
from simulations.traffic import spread

COLUMNS = parse_columns("arrival=at,requests=n,input=i,output=o")
SECONDS = {"second": 1, "minute": 60, "hour": 3600}


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a file, and return it."""

    def save(*lines: str) -> Path:
        path = tmp_path / "sums.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return save


def refusal(path: Path, **how: object) -> str:
    with pytest.raises(TraceError) as caught:
        read(path, **how)  # type: ignore[arg-type]
    return str(caught.value).replace(f"{path}: ", "")


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    word=st.sampled_from(list(SECONDS)),
    rows=st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 3000), st.integers(0, 500)), min_size=1
    ),
    seed=st.integers(0, 3),
    has_cached=st.booleans(),
    is_shuffled=st.booleans(),
)
def test_every_sum_is_kept_in_its_bucket(
    tmp_path: Path,
    word: str,
    rows: list[tuple[int, int, int]],
    seed: int,
    has_cached: bool,
    is_shuffled: bool,
) -> None:
    # At least one input token a request, and nothing without requests.
    rows = [(n, n + i if n else 0, o if n else 0) for n, i, o in rows]
    total = [sum(column) for column in zip(*rows, strict=True)]
    bucket_s = SECONDS[word]
    lines = [f"{at * bucket_s},{n},{i},{o},{i // 3}" for at, (n, i, o) in enumerate(rows)]
    path = tmp_path / "sums"
    path.write_text("\n".join(["at,n,i,o,c", *(lines[::-1] if is_shuffled else lines)]))
    columns = {**COLUMNS, "cached": "c"} if has_cached else COLUMNS
    how = {"columns": columns, "time_unit": "s", "aggregate": word, "seed": seed}
    if total[0] == 0:
        assert refusal(path, **how) == "no requests: every row counts 0"
        return
    reading = read(path, **how)
    trace = reading.trace
    assert len(trace) == total[0]
    assert (reading.rows_read, reading.rows_kept) == (len(rows), len(rows))
    # The last bucket ends the recording; its first arrival begins it.
    first = len(rows) * bucket_s * TICKS_PER_S - trace.span_ticks
    at = (trace.arrival_ticks + first) // (bucket_s * TICKS_PER_S)
    wanted = [[n for n, _, _ in rows], [i for _, i, _ in rows], [o for _, _, o in rows]]
    counts = [np.ones(len(trace)), trace.input_tokens, trace.output_tokens]
    if has_cached:
        wanted.append([i // 3 for _, i, _ in rows])
        counts.append(trace.cached_tokens)
    for sums, tokens in zip(wanted, counts, strict=True):
        found = np.bincount(at, weights=tokens, minlength=len(rows))
        assert found.tolist() == sums
    # Shared equally: no two of a bucket differ by more than one token.
    for bucket in range(len(rows)):
        mine = trace.input_tokens[at == bucket]
        assert len(mine) == 0 or mine.max() - mine.min() <= 1
    assert read(path, **how).trace.sha256 == trace.sha256
    assert f"peaks below {'an' if word == 'hour' else 'a'} {word}" in " ".join(reading.notes)


def test_arrivals_are_uniform_in_their_bucket() -> None:
    """Kolmogorov and Smirnov on 20,000 of one bucket, and on the gaps of a hundred: exponential ones."""
    bucket_ticks = 60 * TICKS_PER_S
    start, counts = np.arange(200) * bucket_ticks, np.full(200, 100)
    ticks, _ = spread(start, counts, {}, bucket_ticks=bucket_ticks, seed=7)
    assert (np.diff(ticks) >= 0).all()
    within = (ticks - np.repeat(start, 100)) / bucket_ticks
    assert stats.kstest(within, "uniform").pvalue > 0.01
    gaps = np.diff(ticks) / (0.6 * TICKS_PER_S)
    assert stats.kstest(gaps, "expon").pvalue > 0.01


def test_dates_without_seconds_and_means_are_read(save: Callable[..., Path]) -> None:
    path = save(
        "minute,n,mean_in,mean_out",
        "2026-03-01 12:00,3,33.333333,0.5",
        "2026-03-01 12:01,0,,",
        "2026-03-01 12:02,2,10.5,2",
    )
    columns = parse_columns("arrival=minute,requests=n,mean_input=mean_in,mean_output=mean_out")
    reading = read(path, columns=columns, aggregate="minute", on_bad="drop")
    trace = reading.trace
    assert trace.input_tokens.tolist() == [34, 33, 33, 11, 10]
    assert int(trace.output_tokens.sum()) == 2 + 4
    assert reading.dropped == {"input_tokens missing": 1}
    started = trace.epoch_ns
    assert started is not None
    assert 0 <= started - 1_772_366_400 * 10**9 < 60 * 10**9


def test_a_file_of_sums_with_plain_names_needs_no_columns(save: Callable[..., Path]) -> None:
    path = save("bucket_start,requests,input_tokens,output_tokens", "2026-03-01 12:00:00Z,5,50,5")
    reading = read(path, aggregate="hour")
    assert (reading.format, len(reading.trace)) == ("aggregate", 5)
    assert refusal(path) == (
        "column 'requests' counts the requests of a row; say how long a row lasts with "
        "--aggregate second, minute or hour"
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("60,-1,9,9", "requests (column 'n') is '-1'; must be a whole number from 0 to 100000000"),
        ("60,1e9,9,9", "requests (column 'n') is '1e9'; must be a whole number"),
        ("60,,9,9", "requests (column 'n') is empty"),
        ("60,1.5,9,9", "requests (column 'n') is '1.5'"),
        ("60,9,8,9", "input_tokens (column 'i') is '8'; must be at least 1 for each request"),
        ("60,0,8,9", "requests (column 'n') is '0'; must be above 0 where there are tokens"),
        ("60,1,16777216,1", "must with its output be at most 16777216 for each request"),
        ("60,1,1e300,1", "input_tokens (column 'i') is '1e300'; must be a whole number from 0"),
    ],
)
def test_a_bad_row_of_sums_is_named(save: Callable[..., Path], row: str, said: str) -> None:
    path = save("at,n,i,o", "0,1,1,1", row)
    text = refusal(path, columns=COLUMNS, time_unit="s", aggregate="minute")
    assert text.startswith(f"line 3: {said}") or said in text
    reading = read(path, columns=COLUMNS, time_unit="s", aggregate="minute", on_bad="drop")
    assert (len(reading.trace), reading.rows_read, reading.rows_kept) == (1, 2, 1)


def test_the_bucket_must_fit(save: Callable[..., Path]) -> None:
    path = save("at,n,i,o,s", "0,5,50,5,200", "60,5,50,5,200", "60,1,1,1,200")
    how = {"columns": COLUMNS, "time_unit": "s"}
    assert refusal(path, **how, aggregate="hour") == (
        "rows begin 60 s apart, less than the hour each is said to last; give --aggregate minute"
    )
    assert read(path, **how, aggregate="second").notes[1:] == (
        "1 row begins with another's second; added to it",
        "rows begin at least 60 s apart: if one lasts longer than a second, its requests were put "
        "into too short a time, and peaks are too high",
    )
    with pytest.raises(TraceError, match="must be one of second, minute, hour"):
        read(path, **how, aggregate="day")
    with pytest.raises(TraceError, match="a sum has no status"):
        read(path, columns={**COLUMNS, "status": "s"}, time_unit="s", aggregate="minute")
    with pytest.raises(TraceError, match="needs the column that counts"):
        read(path, columns=parse_columns("arrival=at,input=i,output=o"), aggregate="minute")


def test_too_many_requests_are_refused_before_they_are_drawn(save: Callable[..., Path]) -> None:
    path = save("at,n,i,o", *(f"{60 * at},100000000,100000000,0" for at in range(3)))
    assert refusal(path, columns=COLUMNS, time_unit="s", aggregate="minute") == (
        "the rows stand for 300,000,000 requests; at most 100,000,000 can be drawn"
    )


def test_every_command_reads_sums(
    save: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save("at,n,i,o", *(f"{60 * at},{at % 7},{at % 7 * 50},{at % 7 * 5}" for at in range(30)))
    flags = ["--columns", "arrival=at,requests=n,input=i,output=o", "--time-unit", "s"]
    flags += ["--aggregate", "minute"]
    out = str(tmp_path / "out.parquet")
    assert run(["convert", str(path), *flags, "--to", "parquet", "--out", out]) == 0
    capsys.readouterr()
    assert run(["describe", out, "--json"]) == 0
    converted = json.loads(capsys.readouterr().out)
    assert run(["describe", str(path), *flags, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["requests"] == converted["requests"] == sum(at % 7 for at in range(30))
    assert (described["rows_read"], described["rows_kept"]) == (30, 30)
    assert described["peak_to_mean"] == converted["peak_to_mean"]
    model = ["--model", "system.ai.meta_llama_v3_1_8b_instruct:3"]
    chunks = ["--min-chunks", "1", "--max-chunks", "1"]
    assert run(["simulate", str(path), *flags, *model, *chunks, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"]["arrived"] == described["requests"]
