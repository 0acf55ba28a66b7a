"""Reading and writing traces: exact, from content and not from names, nothing lost in silence."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulations.errors import TraceError
from simulations.ingest import Reading, load_trace, parse_columns, read, write_trace
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import MAX_REQUEST_TOKENS, Trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens"
OWN = "arrival_s,input_tokens,output_tokens"

# A read takes 50 ms, nearly all of it DuckDB starting: fewer examples than elsewhere.
in_one_folder = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a file and return it."""

    def save(*lines: str, name: str = "log.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        return path

    return save


def requests(trace: Trace) -> list[tuple[int, int, int, int]]:
    """A trace as rows: tick, input, cached, output."""
    columns = (trace.arrival_ticks, trace.input_tokens, trace.cached_tokens, trace.output_tokens)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def assert_same(one: Trace, other: Trace) -> None:
    assert requests(one) == requests(other)
    assert (one.span_ticks, one.epoch_ns) == (other.span_ticks, other.epoch_ns)


# Formats


def test_azure_2023_keeps_the_seventh_digit(tmp_path: Path) -> None:
    """As published: CRLF, no newline at the end, 100 ns that float seconds would lose."""
    path = tmp_path / "anything"
    path.write_bytes(
        f"{AZURE}\r\n2023-11-16 18:15:46.6805901,374,44\r\n"
        "2023-11-16 18:15:46.6805902,396,109\r\n2023-11-18 18:15:46.6805901,1,0".encode()
    )
    reading = read(path)
    assert requests(reading.trace) == [
        (0, 374, 0, 44),
        (10_000, 396, 0, 109),
        (2 * 86_400 * TICKS_PER_S, 1, 0, 0),
    ]
    assert reading.trace.epoch_ns == 1_700_158_546_680_590_100
    assert (reading.format, reading.container, reading.rows_read) == ("azure", "csv", 3)
    assert reading.notes == ("'TIMESTAMP' has no time zone; read as UTC",)


def test_dates_may_have_any_zone_and_fraction_row_by_row(save: Callable[..., Path]) -> None:
    path = save(
        AZURE,
        "2024-05-10 00:00:00.009930+00:00,1,1",
        "2024-05-10 00:00:01+00:00,2,1",
        "2024-05-10T00:00:01.0000001Z,3,1",
        "2024-05-10 02:00:02.5+02:00,4,1",
        "2024-05-09 18:30:03.0000007-0530,5,1",
        "2024-05-10 02:00:04 Europe/Berlin,6,1",
        "2024-05-10 00:00:05,7,1",
    )
    reading = read(path)
    after_s = ["0", "0.99007", "0.9900701", "2.49007", "2.9900707", "3.99007", "4.99007"]
    assert reading.trace.arrival_ticks.tolist() == [int(Decimal(s) * TICKS_PER_S) for s in after_s]
    assert reading.trace.input_tokens.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert reading.notes == (
        "'TIMESTAMP' has a time zone in some rows only; in the others (1 of 7) it was read as UTC",
    )


def test_vidur_seconds_are_exact(save: Callable[..., Path]) -> None:
    path = save(VIDUR, "1000000.00000000001,5,6", "1000000.1,7,8", "1e6,1,2")
    assert requests(load_trace(path)) == [
        (0, 1, 0, 2),
        (1, 5, 0, 6),
        (TICKS_PER_S // 10, 7, 0, 8),
    ]


@pytest.mark.parametrize(
    ("unit", "cells", "ticks"),
    [
        ("ns", ["1700000000000000001", "1700000000000000003"], 200),
        ("us", ["1700000000000000.5", "1700000000000001"], 50_000),
        ("ms", ["1700000000000", "1700000000000.001"], 100_000),
        ("s", ["-1.5", "1.5"], 3 * TICKS_PER_S),
        ("min", ["0", "0.5"], 30 * TICKS_PER_S),
        ("h", ["0", "0.5"], 1800 * TICKS_PER_S),
    ],
)
def test_a_time_unit_is_honoured_exactly(
    save: Callable[..., Path], unit: str, cells: list[str], ticks: int
) -> None:
    path = save("t,in,out", *(f"{cell},1,1" for cell in cells))
    columns = {"arrival": "t", "input": "in", "output": "out"}
    assert load_trace(path, columns=columns, time_unit=unit).arrival_ticks.tolist() == [0, ticks]


def test_mapped_columns_are_found_by_name_in_any_order(save: Callable[..., Path]) -> None:
    path = save("Out;Reused Tokens;junk;When;IN", "2;3;x;0.5;10", "4;0;y;0.0;20")
    reading = read(
        path, columns=parse_columns("arrival=when,input=in,output=out,cached=reused tokens")
    )
    assert requests(reading.trace) == [(0, 20, 0, 4), (TICKS_PER_S // 2, 10, 3, 2)]
    assert reading.format == "columns"
    assert reading.notes == (
        "'When' is a number; read as seconds, as no --time-unit was given",
        "steps back in time: 1; the rows were sorted by arrival",
    )


def test_mapped_dates_need_no_unit(save: Callable[..., Path]) -> None:
    path = save("t,i,o", "2026-01-01 00:00:00Z,1,1", "2026-01-01 00:00:00.25Z,1,1")
    reading = read(path, columns={"arrival": "t", "input": "i", "output": "o"})
    assert reading.trace.arrival_ticks.tolist() == [0, TICKS_PER_S // 4]
    assert reading.trace.epoch_ns == 1_767_225_600 * 10**9
    assert reading.notes == ()


def test_equal_arrivals_stay_in_the_order_of_the_file(save: Callable[..., Path]) -> None:
    path = save(VIDUR, "2,1,1", "1,2,1", "1,3,1", "2,4,1", "1,5,1")
    assert load_trace(path).input_tokens.tolist() == [2, 3, 5, 1, 4]


def test_quotes_comments_blank_lines_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        '\ufeff# exported\n\n"arrived_at", NUM_PREFILL_TOKENS,num_decode_tokens \n"0",1,1\n\n1,"2",1\n'
    )
    assert load_trace(path).input_tokens.tolist() == [1, 2]


@pytest.mark.parametrize(
    "arrival",
    [
        pa.array([0, 1_500_000], pa.timestamp("us")),
        pa.array([0, 1_500_000_000], pa.timestamp("ns", "UTC")),
        pa.array(["1970-01-01 00:00:00", "1970-01-01 00:00:01.5"]),
    ],
)
def test_parquet_holds_dates_of_any_type(tmp_path: Path, arrival: pa.Array) -> None:
    tokens = pa.array([5, 6], pa.uint16())
    names = AZURE.split(",")
    pq.write_table(pa.table([arrival, tokens, tokens], names), tmp_path / "log")
    reading = read(tmp_path / "log")
    assert requests(reading.trace) == [(0, 5, 0, 5), (3 * TICKS_PER_S // 2, 6, 0, 6)]
    assert (reading.container, reading.trace.epoch_ns) == ("parquet", 0)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.decimal128(9, 2), pa.string()])
def test_parquet_holds_seconds_of_any_type(tmp_path: Path, kind: pa.DataType) -> None:
    arrival = pa.array(["100.25", "102.75"]).cast(kind)
    tokens = pa.array([5.0, 6.0])
    pq.write_table(pa.table([arrival, tokens, tokens], VIDUR.split(",")), tmp_path / "log")
    assert load_trace(tmp_path / "log").arrival_ticks.tolist() == [0, 5 * TICKS_PER_S // 2]


def test_content_decides_and_not_the_name(save: Callable[..., Path], tmp_path: Path) -> None:
    lines = (VIDUR, "0,1,1")
    assert read(save(*lines, name="log.parquet")).container == "csv"
    packed = tmp_path / "log.csv"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert read(packed).container == "csv.gz"


def test_the_checksum_is_of_the_file(save: Callable[..., Path]) -> None:
    path = save(VIDUR, "0,1,1")
    assert read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_exact_duplicates_are_kept_and_said(save: Callable[..., Path]) -> None:
    path = save(VIDUR, "0,1,1", "0,2,1", "0,1,1", "1,1,1", "1,1,0", "0,1,1")
    reading = read(path)
    assert len(reading.trace) == 6
    assert reading.notes == (
        "steps back in time: 1; the rows were sorted by arrival",
        "exact duplicates: 2 requests equal another in arrival and all token counts; kept, as a "
        "coarse clock makes them too",
    )


# Refusals


def refusal(path: Path, **how: object) -> str:
    """The text of the error, without the file's folder."""
    with pytest.raises(TraceError) as caught:
        read(path, **how)  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(f"{path.parent}/", "")


def test_an_unknown_layout_is_refused_with_what_to_do(save: Callable[..., Path]) -> None:
    path = save("when,ContextTokens,GeneratedTokens", "1,2,3")
    assert refusal(path) == (
        "log.csv: no known layout: found columns when, ContextTokens, GeneratedTokens; the "
        "nearest, azure, lacks TIMESTAMP. Say which is which with "
        "--columns arrival=..,input=ContextTokens,output=GeneratedTokens[,cached=..,status=..]"
    )


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ("arrival=t,input=i,output=nope", "there is no column 'nope'; found t, i, o, o"),
        ("arrival=t,input=i,output=o", "2 columns are called 'o'; found t, i, o, o"),
    ],
)
def test_a_mapping_must_fit(save: Callable[..., Path], columns: str, text: str) -> None:
    path = save("t,i,o,o", "1,2,3,4")
    assert refusal(path, columns=parse_columns(columns)) == f"log.csv: {text}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("arrival=t,input=i", "--columns: output is missing; write output=NAME"),
        ("arrival=t,input=i,output=", "--columns: output is missing; write output=NAME"),
        ("arrival,input=i", "--columns: 'arrival' must be written role=name"),
        ("arrival=t,arrival=u", "--columns: arrival is given twice"),
        (
            "when=t,input=i,output=o",
            "--columns: 'when' is none of arrival, input, output, cached, status, served, requests, "
            "mean_input, mean_output",
        ),
    ],
)
def test_columns_are_refused_unless_complete(text: str, problem: str) -> None:
    with pytest.raises(TraceError) as caught:
        parse_columns(text)
    assert str(caught.value) == problem


def test_numbers_where_dates_belong_need_a_unit(save: Callable[..., Path]) -> None:
    path = save(AZURE, "1,2,3")
    assert refusal(path) == (
        "log.csv: column 'TIMESTAMP' holds numbers, not dates; say their unit with --time-unit"
    )
    assert len(load_trace(path, time_unit="ms")) == 1


def test_a_unit_is_refused_for_dates(save: Callable[..., Path]) -> None:
    tokens = pa.array([1])
    path = save("").parent / "log"
    table = pa.table([pa.array([0], pa.timestamp("us")), tokens, tokens], AZURE.split(","))
    pq.write_table(table, path)
    assert refusal(path, time_unit="ms") == (
        "log: column 'TIMESTAMP' holds dates; a time unit is for numbers"
    )
    assert refusal(path, time_unit="fortnights") == (
        "time unit is 'fortnights'; must be one of ns, us, ms, s, min, h"
    )


WHOLE = f"must be a whole number from 1 to {MAX_REQUEST_TOKENS}"
OR_ZERO = f"must be a whole number from 0 to {MAX_REQUEST_TOKENS}"
BAD_ROWS = [
    (",1,1,0", "arrival missing", "arrival (column 'arrival_s') is empty; must be a number of s"),
    ("x,1,1,0", "arrival unreadable", "arrival (column 'arrival_s') is 'x'; must be a number of s"),
    (
        "5e7,1,1,0",
        "arrival too far from the first",
        "arrival (column 'arrival_s') is '5e7'; must be within 1.46 years of the first rows', "
        "read as a number of s (--time-unit says another unit)",
    ),
    ("1,,1,0", "input_tokens missing", f"input_tokens is empty; {WHOLE}"),
    ("1,many,1,0", "input_tokens not a whole number", f"input_tokens is 'many'; {WHOLE}"),
    ("1,1.5,1,0", "input_tokens not a whole number", f"input_tokens is '1.5'; {WHOLE}"),
    ("1,nan,1,0", "input_tokens not a whole number", f"input_tokens is 'nan'; {WHOLE}"),
    ("1,inf,1,0", "input_tokens not a whole number", f"input_tokens is 'inf'; {WHOLE}"),
    ("1,0,1,0", "input_tokens is 0", f"input_tokens is '0'; {WHOLE}"),
    ("1,-1,1,0", "input_tokens unknown (-1)", f"input_tokens is '-1'; {WHOLE}"),
    ("1,-2,1,0", "input_tokens below 0", f"input_tokens is '-2'; {WHOLE}"),
    ("1,1e300,1,0", "input_tokens too large", f"input_tokens is '1e300'; {WHOLE}"),
    ("1,1,-1,0", "output_tokens unknown (-1)", f"output_tokens is '-1'; {OR_ZERO}"),
    ("1,1,,0", "output_tokens missing", f"output_tokens is empty; {OR_ZERO}"),
    ("1,1,1,-3", "cached_tokens below 0", f"cached_tokens is '-3'; {OR_ZERO}"),
    (
        "1,1,1,2",
        "cached_tokens above input_tokens",
        "cached_tokens is '2'; must not be above input_tokens",
    ),
    (
        f"1,{MAX_REQUEST_TOKENS},1,0",
        "input + output too large",
        f"input_tokens is '{MAX_REQUEST_TOKENS}'; must with its output be at most {MAX_REQUEST_TOKENS}",
    ),
    ("1,1,1", "too few cells", "'1,1,1'; must have one cell a column"),
    ("1,1,1,0,9", "too many cells", "'1,1,1,0,9'; must have one cell a column"),
    ('1,1,1,"0"x', "a broken quote", "'1,1,1,\"0\"x'; must have one cell a column"),
]


@pytest.mark.parametrize(("row", "reason", "text"), BAD_ROWS, ids=[row for row, _, _ in BAD_ROWS])
def test_a_bad_row_is_named_or_dropped_by_reason(
    save: Callable[..., Path], row: str, reason: str, text: str
) -> None:
    path = save("# a comment", f"{OWN},cached_tokens", "0,1,1,0", "", "1,1,1,0", row, "2,1,1,1")
    assert refusal(path) == (
        f"log.csv: line 6: {text}. 1 of 4 rows is bad ({reason}: 1); mend them or leave them out "
        "with --on-bad drop"
    )
    reading = read(path, on_bad="drop")
    assert reading.dropped == {reason: 1}
    assert [(bad.place, bad.number, bad.reason) for bad in reading.bad_rows] == [
        ("line", 6, reason)
    ]
    assert reading.rows_read == 4
    assert len(reading.trace) == 3


def test_a_row_that_swallows_others_is_never_dropped(save: Callable[..., Path]) -> None:
    path = save(VIDUR, "0,1,1", '1,"1,1', "2,1,1", "3,1,1")
    assert refusal(path, on_bad="drop") == (
        "log.csv: line 3: a quote that is not closed makes one row of several lines; mend that line"
    )


def test_reasons_are_counted_and_the_first_rows_are_shown(save: Callable[..., Path]) -> None:
    bad = ["1,0,1", "1,-2,1", "1,0,0", "1,2", "1,0,1", "1,0,1", "1,0,1"]
    reading = read(save(VIDUR, "0,1,1", *bad), on_bad="drop")
    assert reading.dropped == {
        "input_tokens below 0": 1,
        "input_tokens is 0": 5,
        "too few cells": 1,
    }
    assert [bad.number for bad in reading.bad_rows] == [3, 4, 5, 6, 7]


def test_dropping_every_row_leaves_no_trace(save: Callable[..., Path]) -> None:
    path = save(VIDUR, "0,0,0", "1,0,0")
    assert refusal(path, on_bad="drop") == (
        "log.csv: no request is left; 2 of 2 rows are bad (input_tokens is 0: 2). The first: "
        f"line 2: input_tokens (column 'num_prefill_tokens') is '0'; {WHOLE}"
    )


def test_a_bad_row_of_parquet_is_counted_from_one(tmp_path: Path) -> None:
    tokens = pa.array([1, None])
    pq.write_table(pa.table([pa.array([0, 1]), tokens, tokens], VIDUR.split(",")), tmp_path / "log")
    assert "row 2: input_tokens (column 'num_prefill_tokens') is empty" in refusal(tmp_path / "log")


def test_arrivals_may_not_lie_more_than_1_46_years_apart(save: Callable[..., Path]) -> None:
    limit_s = NEVER // TICKS_PER_S
    path = save(VIDUR, "0,1,1", f"-{limit_s - 5},1,1", f"{limit_s - 5},1,1")
    assert refusal(path) == (
        "log.csv: the first and the last arrival are more than 1.46 years apart"
    )
    assert len(load_trace(save(VIDUR, "0,1,1", f"{limit_s - 5},1,1"))) == 2


def parquet_bytes() -> bytes:
    tokens = pa.array(range(1, 100))
    file = io.BytesIO()
    pq.write_table(pa.table([tokens, tokens, tokens], VIDUR.split(",")), file)
    return file.getvalue()


NOT_TRACES = {
    "nothing": (b"", "is empty"),
    "blank": (b" \r\n\n", "is empty"),
    "comments": (b"# nothing\n#\n", "holds no header: blank lines and comments only"),
    "header": (AZURE.encode(), "a header and no rows"),
    "header-line": (AZURE.encode() + b"\r\n\r\n", "a header and no rows"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "is a Git LFS pointer, not the data; fetch it with `git lfs pull`",
    ),
    "page": (b"\n<!DOCTYPE html><html>", "is an HTML or XML page, not a table"),
    "json-inside": (b'{\n "data": [{"timestamp": 1}]}\n', "is one JSON object with its rows in 'data'; take them out, as `jq .data` does"),
    "json-rows": (b"[[1, 2, 3]]", "begins like JSON, but it does not begin with an object"),
    "half-json-list": (b'[{"timestamp": 1, "input_length": 1, "output_length": 1, "hash_ids": []}, {"tim', "is a truncated JSON document; copy it again"),
    "half-json": (b'{"timestamp":', "begins like JSON, but no line of it is an object"),
    "servegen": (
        b"0,1.25,2.5e-1,Gamma,0.5,1\n600,0,,,,\n",
        "is a ServeGen client, a generator's input and no trace; draw requests from it first",
    ),
    "servegen-lengths": (
        b'{"0": {"input_tokens": "{1: 0.5}", "output_tokens": "{}"}}',
        "is a ServeGen client, a generator's input and no trace; draw requests from it first",
    ),
    "zip": (b"PK\x03\x04\x14\x00", "is a zip archive (or a spreadsheet); unpack it first"),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "is a damaged zstd file; copy it again"),
    "tar.gz": (gzip.compress(b"a" * 257 + b"ustar"), "is a tar archive; unpack it first"),
    "tar": (b"a" * 257 + b"ustar", "is a tar archive; unpack it first"),
    "binary": (b"t,i\x00\x01", "is binary; CSV, JSON (both also gzip, zstd) and Parquet are read"),
    "pickle": (b"\x80\x04\x95\x10", "is binary; CSV, JSON (both also gzip, zstd) and Parquet are read"),
    "pdf": (b"%PDF-1.7\n", "is a PDF, not a table; export the rows as CSV"),
    "sqlite": (b"SQLite format 3\x00", "is an SQLite database; export the rows as CSV"),
    "program": (b"\x7fELF\x02\x01", "is a program, not a table"),
    "arrow": (b"ARROW1\x00\x00", "is Arrow, ORC, Avro, HDF5 or NumPy; write it as Parquet"),
    "gzip-in-gzip": (gzip.compress(gzip.compress(b"t,i,o\n")), "is gzip inside gzip; unpack it once"),
    "empty-gzip": (gzip.compress(b""), "is empty"),
    "half-gzip": (gzip.compress(b"t,i,o\n" * 999)[:30], "is a truncated gzip file; copy it again"),
    "bad-gzip": (b"\x1f\x8b" + b"\xff" * 40, "is a damaged gzip file; copy it again"),
    "zip-in-gzip": (gzip.compress(b"PK\x03\x04"), "is a zip archive (or a spreadsheet); unpack it first"),
    "half-parquet": (parquet_bytes()[:-20], "is a truncated Parquet file; copy it again"),
    "parquet-start": (b"PAR1", "is a truncated Parquet file; copy it again"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_TRACES)
def test_what_is_no_trace_is_named_for_what_it_is(tmp_path: Path, name: str) -> None:
    content, text = NOT_TRACES[name]
    path = tmp_path / name
    path.write_bytes(content)
    said = refusal(path).removeprefix(name).removeprefix(":").strip()
    assert said == text


def test_a_long_gzip_that_ends_early_is_named(tmp_path: Path) -> None:
    """The head unpacks, so only the reading finds out."""
    rows = "".join(f"{i},{i * 7919 % 4000 + 1},{i * 104729 % 800}\n" for i in range(200_000))
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(f"{VIDUR}\n{rows}".encode())[:-1000])
    assert refusal(path) == "log is a truncated gzip file; copy it again"
    assert refusal(path, on_bad="drop") == "log is a truncated gzip file; copy it again"


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "log.csv") == "log.csv: there is no such file"
    (tmp_path / "logs").mkdir()
    assert refusal(tmp_path / "logs") == (
        "logs is a folder without files (names that begin with . or _ are passed over)"
    )
    assert refusal(tmp_path / "logs-*") == "logs-* fits no file"
    with pytest.raises(
        TraceError, match="there is no such file; an address is not read: download it first"
    ):
        load_trace("https://example.com/log.csv")


def test_batches_and_threads_change_no_order_and_no_line_number(save: Callable[..., Path]) -> None:
    """More rows than leave DuckDB at a time, from a file that several threads read."""
    n = 600_000
    lines = [f"{i // 7}.5,{i % 4000 + 1},{i % 13}" for i in range(n)]
    bad = {300_000: "1,0,1", 400_001: "1,2", 599_999: "x,1,1"}
    for ordinal, line in bad.items():
        lines[ordinal] = line
    reading = read(save(VIDUR, *lines), on_bad="drop")
    kept = np.delete(np.arange(n), list(bad))
    assert (reading.trace.arrival_ticks == kept // 7 * TICKS_PER_S).all()
    assert (reading.trace.input_tokens == kept % 4000 + 1).all()
    assert (reading.trace.output_tokens == kept % 13).all()
    assert [(row.number, row.reason) for row in reading.bad_rows] == [
        (300_002, "input_tokens is 0"),
        (400_003, "too few cells"),
        (600_001, "arrival unreadable"),
    ]


# A name and a cell are data


@pytest.mark.parametrize(
    "name",
    [
        "*.csv",
        "a?.csv",
        "a[1].csv",
        "it's.csv",
        'say "x".csv',
        "a=1",
        "new\nline",
        "ü %20{}\\",
        "-",
    ],
)
def test_a_file_name_is_neither_a_pattern_nor_sql(tmp_path: Path, name: str) -> None:
    for decoy in ("1.csv", "a1.csv", "ab.csv"):
        (tmp_path / decoy).write_text(f"{VIDUR}\n0,9,9\n")
    folder = tmp_path / "x=1[2]" / "y'*"
    folder.mkdir(parents=True)
    path = folder / name
    path.write_text(f"{VIDUR}\n0,1,1\n")
    assert load_trace(path).input_tokens.tolist() == [1]


def test_column_names_and_cells_are_not_sql(save: Callable[..., Path], tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("secret\n42\n")
    evil = f"'); COPY (SELECT 1) TO '{tmp_path}/made'; --"
    path = save(f'"t","{evil}","o"', f"\"read_csv('{other}')\",1,1", "1,5,1")
    columns = {"arrival": "t", "input": evil, "output": "o"}
    assert load_trace(path, columns=columns, on_bad="drop").input_tokens.tolist() == [5]
    assert not (tmp_path / "made").exists()


def test_strange_names_and_cells_stay_on_one_short_line(save: Callable[..., Path]) -> None:
    path = save(f'{VIDUR},"{"long" * 500}\n\x1b[31m"', f'0,"{"1" * 999}\n2",3,4')
    assert len(refusal(path)) < 700


def read_or_refusal(path: Path) -> Reading | str:
    """What there is to read, bad rows dropped, or why nothing is."""
    try:
        return read(path, on_bad="drop")
    except TraceError as error:
        return str(error)


CELLS = ["0", "1", "7.5", "-1", "", " ", "x", "nan", "-inf", "1e400", "#", "'", "2026-01-01"]


def bent(cells: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    rows = st.lists(cells, min_size=1, max_size=5).map(",".join)
    return st.lists(rows, max_size=12)


@in_one_folder
@given(rows=bent(st.sampled_from(CELLS)), ends=st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_row_is_kept_or_dropped_with_a_reason(
    tmp_path: Path, rows: list[str], ends: str
) -> None:
    path = tmp_path / "bent.csv"
    path.write_bytes(ends.join([VIDUR, "0,1,1", *rows]).encode())
    reading = read_or_refusal(path)
    assert isinstance(reading, Reading)
    assert reading.rows_read == 1 + sum(row != "" for row in rows)
    n_dropped = sum(reading.dropped.values())
    assert reading.rows_read == len(reading.trace) + n_dropped
    assert len(reading.bad_rows) == min(5, n_dropped)


@in_one_folder
@given(
    rows=bent(
        st.sampled_from([*CELLS, '"', '"a,b"', '"\n"', "\x00", "\r", "\n"]) | st.text(max_size=4)
    ),
    cut=st.integers(0, 12),
)
def test_whatever_is_not_read_is_refused_in_one_line(
    tmp_path: Path, rows: list[str], cut: int
) -> None:
    path = tmp_path / "bent.csv"
    content = "\n".join([VIDUR, "0,1,1", *rows]).encode(errors="surrogatepass")
    path.write_bytes(content[: len(content) - cut])
    reading = read_or_refusal(path)
    if isinstance(reading, str):
        assert reading.isprintable()
    else:
        assert reading.rows_read == len(reading.trace) + sum(reading.dropped.values())


@in_one_folder
@given(data=st.data(), suffix=st.sampled_from([".csv", ".csv.gz", ".parquet"]))
def test_a_file_cut_anywhere_is_shorter_or_refused(
    tmp_path: Path, data: st.DataObject, suffix: str
) -> None:
    path = tmp_path / f"trace{suffix}"
    trace = Trace.build(range(50), range(1, 51), range(50))
    write_trace(trace, path)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    reading = read_or_refusal(path)
    if isinstance(reading, str):
        assert reading.isprintable()
    elif suffix == ".csv":
        assert len(reading.trace) <= len(trace)
    else:
        assert_same(reading.trace, trace)


# Writing


@st.composite
def exact_traces(draw: st.DrawFn) -> Trace:
    """Traces on grids from whole seconds down to single ticks, up to 1.46 years long."""
    grain = 10 ** draw(st.integers(0, 11))
    steps = draw(st.lists(st.integers(0, (NEVER - 1) // grain), max_size=20))
    ticks = np.array(sorted({0, *(step * grain for step in steps)}), np.int64)
    tokens = st.lists(st.integers(1, 9999), min_size=len(ticks), max_size=len(ticks))
    inputs = np.array(draw(tokens), np.int32)
    cached = draw(st.sampled_from([0, 1, 3]))
    return Trace(
        ticks,
        inputs,
        inputs * cached // 4,
        np.array(draw(tokens), np.int32) - 1,
        draw(st.integers(int(ticks[-1]), NEVER - 1)),
        draw(st.none() | st.integers(0, 2**62)),
    )


@in_one_folder
@given(trace=exact_traces(), suffix=st.sampled_from([".csv", ".csv.gz", ".parquet"]))
def test_what_is_written_reads_back_equal(tmp_path: Path, trace: Trace, suffix: str) -> None:
    path = tmp_path / f"trace{suffix}"
    write_trace(trace, path)
    reading = read(path)
    assert_same(reading.trace, trace)
    assert (reading.format, reading.container) == ("ptplan", suffix[1:])
    assert reading.notes == ()


def test_a_slice_of_our_own_file_keeps_its_place_in_time(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    write_trace(Trace.build([0, 2, 5], [1, 2, 3], [1, 1, 1], span_s=10, epoch_ns=10**18), path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], *lines[3:]]))
    trace = load_trace(path)
    assert requests(trace) == [(0, 2, 0, 1), (3 * TICKS_PER_S, 3, 0, 1)]
    assert (trace.span_s, trace.epoch_ns) == (8.0, 10**18 + 2 * 10**9)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_the_same_trace_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    trace = Trace.build(np.arange(5000) * 0.37, np.arange(5000) % 977 + 1, np.arange(5000) % 91)
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    write_trace(trace, one)
    write_trace(replace(trace, name="another"), other)
    assert one.read_bytes() == other.read_bytes()


def test_a_gzipped_trace_is_what_other_tools_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv.gz"
    write_trace(Trace.build([0, 1.25], [10, 20], [3, 4], cached_tokens=[0, 5]), path)
    with gzip.open(path, "rt") as file:
        rows = list(csv.reader(itertools.islice(file, 1, None)))
    assert rows == [
        [*OWN.split(","), "cached_tokens"],
        ["0.00", "10", "3", "0"],
        ["1.25", "20", "4", "5"],
    ]


def test_a_trace_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    trace = Trace.build([0], [1], [1])
    with pytest.raises(TraceError, match=r"ends in \.csv, \.csv\.gz or \.parquet"):
        write_trace(trace, tmp_path / "trace.json")
    with pytest.raises(TraceError, match="cannot be written: No such file or directory"):
        write_trace(trace, tmp_path / "nowhere" / "trace.csv")
    (tmp_path / "file").touch()
    with pytest.raises(TraceError, match="cannot be written: Not a directory"):
        write_trace(trace, tmp_path / "file" / "trace.csv")
    (tmp_path / "trace.csv").mkdir()
    with pytest.raises(TraceError, match="cannot be written: Is a directory"):
        write_trace(trace, tmp_path / "trace.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "trace.csv"]


# Public traces


def azure_rows(path: Path) -> Iterable[tuple[int, int, int]]:
    """Time in units of 100 ns, input, output: read with nothing but the standard library."""
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            whole, fraction = row["TIMESTAMP"].split(".")
            seconds = (datetime.fromisoformat(whole) - datetime(1970, 1, 1)) // timedelta(seconds=1)
            assert len(fraction) == 7
            yield (
                seconds * 10**7 + int(fraction),
                int(row["ContextTokens"]),
                int(row["GeneratedTokens"]),
            )


def test_the_azure_trace_is_read_to_the_last_digit(shared: Path) -> None:
    path = shared / "traces/AzureLLMInferenceTrace_conv.csv.gz"
    reading = read(path)
    rows = list(azure_rows(path))
    first = rows[0][0]
    assert requests(reading.trace) == [((t - first) * 10_000, i, 0, o) for t, i, o in rows]
    assert reading.trace.epoch_ns == first * 100
    assert (len(reading.trace), round(reading.trace.span_s, 1)) == (19_366, 3501.7)
    assert (reading.format, reading.rows_read, reading.dropped) == ("azure", 19_366, {})


def test_servegen_parameters_are_refused_with_what_they_are(shared: Path) -> None:
    folder = shared / "traces/servegen_m-small"
    for path in (folder / "chunk-7-trace.csv.gz", folder / "chunk-7-dataset.json.gz"):
        assert "is a ServeGen client, a generator's input and no trace" in refusal(path)


def test_the_three_day_trace_is_read_with_columns(shared: Path) -> None:
    path = shared / "traces/derived/servegen_m-small_3d_synthetic.csv.gz"
    columns = parse_columns("arrival=timestamp_s,input=input_tokens,output=output_tokens")
    trace = load_trace(path, columns=columns)
    with gzip.open(path, "rt") as file:
        rows = [(Decimal(r["timestamp_s"]), r) for r in csv.DictReader(file)]
    assert len(trace) == len(rows) == 426_162
    assert trace.span_ticks == (rows[-1][0] - rows[0][0]) * TICKS_PER_S
    assert int(trace.input_tokens.sum()) == sum(int(row["input_tokens"]) for _, row in rows)
    assert int(trace.output_tokens.sum()) == sum(int(row["output_tokens"]) for _, row in rows)


def test_burstgpt_is_read_without_its_failures(shared: Path) -> None:
    path = shared / "traces/BurstGPT_1_head400.csv.gz"
    reading = read(path)
    assert (reading.format, reading.rows_read, len(reading.trace)) == ("burstgpt", 400, 383)
    assert reading.dropped == {"failed request (no output)": 17}
    with gzip.open(path, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["Response tokens"] != "0"]
    first = int(rows[0]["Timestamp"])
    assert requests(reading.trace) == [
        (
            (int(row["Timestamp"]) - first) * TICKS_PER_S,
            int(row["Request tokens"]),
            0,
            int(row["Response tokens"]),
        )
        for row in rows
    ]
    columns = parse_columns("arrival=timestamp,input=request tokens,output=response tokens")
    with pytest.raises(TraceError, match=r"line 22: .* 17 of 400 rows are bad"):
        load_trace(path, columns=columns)


def test_reading_prints_nothing(tmp_path: Path) -> None:
    """DuckDB would draw a bar on stdout where there is no script, in a notebook among others."""
    source = (
        "from simulations.ingest.database import private_database\n"
        "with private_database([]) as (database, _):\n"
        "    print(database.execute(\"SELECT current_setting('enable_progress_bar')\").fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[(False,)]\n"
