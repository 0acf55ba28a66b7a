"""Every public format, from files in its exact layout that are made here."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulations.errors import TraceError
from simulations.ingest import parse_columns, read
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

THROTTLED = (
    "requests were throttled, and logs seldom hold all of them: the load that was offered is "
    "higher than this trace"
)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a file whose name says nothing, and return it."""

    def save(*lines: str) -> Path:
        path = tmp_path / "trace"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        return path

    return save


def rows(trace: Trace) -> list[tuple[float, int, int, int]]:
    """A trace as rows: second, input, cached, output."""
    arrival_s = [ticks / TICKS_PER_S for ticks in trace.arrival_ticks.tolist()]
    tokens = (trace.input_tokens, trace.cached_tokens, trace.output_tokens)
    return list(zip(arrival_s, *(column.tolist() for column in tokens), strict=True))


def refusal(path: Path, **how: object) -> str:
    """The text of the error, without the file's folder."""
    with pytest.raises(TraceError) as caught:
        read(path, **how)  # type: ignore[arg-type]
    return str(caught.value).replace(f"{path.parent}/", "")


# BurstGPT


@pytest.mark.parametrize(
    "lines",
    [
        [
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
            "5,ChatGPT,472,18,490,Conversation log",
            "45,ChatGPT,0,0,0,API log",
            "45,GPT-4,417,0,417,API log",
            "118,GPT-4,417,276,693,API log",
        ],
        [
            "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type",
            "5.0,7,1.5,ChatGPT,472,18,490,Conversation log",
            "45.0,,0.3,ChatGPT,0,0,0,API log",
            "45.0,,0.2,GPT-4,417,0,417,API log",
            "118.0,7,9.25,GPT-4,417,276,693,API log",
        ],
    ],
    ids=["6 columns", "8 columns"],
)
def test_burstgpt_leaves_its_failures_out_and_says_so(
    save: Callable[..., Path], lines: list[str]
) -> None:
    reading = read(save(*lines))
    assert reading.format == "burstgpt"
    assert rows(reading.trace) == [(0, 472, 0, 18), (113, 417, 0, 276)]
    assert (reading.rows_read, reading.dropped) == (4, {"failed request (no output)": 2})
    assert reading.bad_rows == ()
    assert reading.notes == (
        "2 endpoints, entities or models served this log (ChatGPT: 2 rows, GPT-4: 2 rows): what "
        "has capacity of its own is sized on its own; choose with --served-by NAME",
        "2 of 4 rows are failed requests (no output: 2) and left out: what they "
        "would have cost is not in the trace",
    )


BURSTGPT = "Timestamp,Model,Request tokens,Response tokens"


def test_a_trace_of_failures_alone_is_refused(save: Callable[..., Path]) -> None:
    path = save(BURSTGPT, "5,GPT-4,0,0", "6,GPT-4,0,0")
    assert refusal(path) == (
        "trace: no request is left; 2 of 2 rows are left out (failed request (no tokens): 2)"
    )


def test_no_output_is_normal_where_no_row_has_any(tmp_path: Path) -> None:
    """As of embeddings. What holds for a file holds for parts of it and for what is chosen of it."""
    (tmp_path / "0").write_text(f"{BURSTGPT}\n5,e5,7,0\n6,e5,0,0\n")
    (tmp_path / "1").write_text(f"{BURSTGPT}\n8,e5,9,0\n")
    reading = read(tmp_path)
    assert rows(reading.trace) == [(0, 7, 0, 0), (3, 9, 0, 0)]
    assert reading.dropped == {"failed request (no tokens)": 1}
    assert reading.notes[0] == (
        "every 'Response tokens' is 0: kept as normal, as it is of embeddings; beside rows with "
        "output it would mark a failed request"
    )
    (tmp_path / "2").write_text(f"{BURSTGPT}\n9,GPT-4,9,3\n")
    assert rows(read(tmp_path).trace) == [(0, 9, 0, 3)]
    assert rows(read(tmp_path, served_by="e5").trace) == [(0, 7, 0, 0), (3, 9, 0, 0)]


def test_output_of_none_but_bad_rows_is_no_reason_to_keep_failures(
    save: Callable[..., Path],
) -> None:
    path = save(BURSTGPT, "5,GPT-4,7,0", "6,GPT-4,x,3")
    assert "(failed request (no output): 1, input_tokens not a whole number: 1)" in refusal(
        path, on_bad="drop"
    )


# slosizer


def test_slosizer_thinking_is_output_too(save: Callable[..., Path]) -> None:
    path = save(
        "arrival_s,class_name,input_tokens,cached_input_tokens,output_tokens,thinking_tokens,"
        "max_output_tokens,observed_latency_s",
        "0.0,chat,824,0,190,0,512,",
        "0.25,reasoning,2797,1015,254,536,1024,",
    )
    reading = read(path)
    assert reading.format == "slosizer"
    assert rows(reading.trace) == [(0, 824, 0, 190), (0.25, 2797, 1015, 790)]


# system.serving.endpoint_usage


USAGE = {
    "account_id": ["a"] * 6,
    "databricks_request_id": list("abcdef"),
    "status_code": [200, 429, 429, 400, 503, 200],
    "request_time": [datetime(2026, 3, 1, 12, 0, second) for second in range(6)],
    "input_token_count": [100, None, 0, None, None, 300],
    "output_token_count": [10, None, 0, None, None, 30],
    "request_streaming": [True, False, False, False, False, True],
    "served_entity_id": ["e"] * 6,
}


def assert_usage(path: Path) -> None:
    reading = read(path)
    assert reading.format == "endpoint_usage"
    assert rows(reading.trace) == [(0, 100, 0, 10), (5, 300, 0, 30)]
    assert reading.dropped == {
        "failed request (status 429)": 2,
        "failed request (status 4xx)": 1,
        "failed request (status 5xx)": 1,
    }
    assert reading.trace.epoch_ns == 1_772_366_400 * 10**9
    assert reading.notes[-1] == THROTTLED


def test_endpoint_usage_counts_failures_by_status(save: Callable[..., Path]) -> None:
    lines = [",".join(USAGE)]
    for row in zip(*USAGE.values(), strict=True):
        lines.append(",".join("" if cell is None else str(cell).lower() for cell in row))
    assert_usage(save(*lines))


@pytest.mark.parametrize("blank", ["", "null", "None"])
def test_usage_without_any_count_of_output_is_that_of_embeddings(
    save: Callable[..., Path], blank: str
) -> None:
    header = "request_time,status_code,input_token_count,output_token_count"
    time = "2026-03-01T12:00:00Z"
    reading = read(save(header, f"{time},200,5,{blank}", f"{time},429,{blank},{blank}"))
    assert rows(reading.trace) == [(0, 5, 0, 0)]
    assert "no row has an 'output_token_count': read as 0" in " ".join(reading.notes)
    mixed = save(header, f"{time},200,5,{blank}", f"{time},200,5,1")
    assert "1 of 2 rows is bad (output_tokens missing: 1)" in refusal(mixed)


def test_endpoint_usage_is_read_from_parquet(tmp_path: Path) -> None:
    table = pa.table(USAGE)
    times = table["request_time"].cast(pa.timestamp("us", "UTC"))
    table = table.set_column(3, "request_time", times)
    pq.write_table(table, tmp_path / "trace")
    assert_usage(tmp_path / "trace")


def test_gateway_usage_is_read(save: Callable[..., Path]) -> None:
    path = save(
        "event_time,endpoint_name,destination_model,input_tokens,output_tokens,total_tokens,latency",
        "2026-03-01T12:00:00.250Z,e,m,100,10,110,900",
        "2026-03-01T12:00:01Z,e,m,300,30,330,900",
    )
    reading = read(path)
    assert reading.format == "gateway_usage"
    assert rows(reading.trace) == [(0, 100, 0, 10), (0.75, 300, 0, 30)]


# Inference tables


ANSWERS = [
    json.dumps(
        {
            "object": "chat.completion",
            "choices": [{"message": {"content": '"completion_tokens": 99'}}],
            "usage": {
                "prompt_tokens": 5,
                "completion_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 2},
            },
        }
    ),
    json.dumps(
        [
            {"choices": [], "usage": None},
            {"usage": {"prompt_tokens": 5, "completion_tokens": 1}},
            {"usage": {"prompt_tokens": 5, "completion_tokens": 8}},
        ]
    ),
    'data: {"choices": [{"delta": {"content": "\\"completion_tokens\\": 99"}}]}\n\n'
    'data: {"usage": {"prompt_tokens": 5, "completion_tokens": 9}}\n\ndata: [DONE]\n',
    json.dumps({"object": "list", "data": [], "usage": {"prompt_tokens": 6, "total_tokens": 6}}),
    json.dumps({"type": "message", "usage": {"input_tokens": 4, "output_tokens": 3}}),
    None,
    json.dumps({"error_code": "REQUEST_LIMIT_EXCEEDED"}),
    "cut off {",
]
SECONDS = [datetime(2026, 3, 1, 12, 0, second) for second in range(len(ANSWERS))]
ARRIVALS = {
    "request_time": pa.array(SECONDS, pa.timestamp("us", "UTC")),
    "event_time": pa.array(SECONDS, pa.timestamp("us")),
    "timestamp_ms": pa.array([int(at.timestamp()) * 1000 for at in SECONDS]),
}


@pytest.mark.parametrize("arrival", ARRIVALS)
@pytest.mark.parametrize("container", ["parquet", "csv", "jsonl"])
def test_inference_tables_hold_their_counts_in_the_answers(
    tmp_path: Path, arrival: str, container: str
) -> None:
    table = pa.table(
        {
            "databricks_request_id": list("abcdefgh"),
            arrival: ARRIVALS[arrival],
            "status_code": [200] * 6 + [429, 200],
            "sampling_fraction": [0.25] * 8,
            "request": ["{}"] * 8,
            "response": ANSWERS,
        }
    )
    path = tmp_path / "trace"
    if container == "parquet":
        pq.write_table(table, path)
    elif container == "csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        table.to_pandas().to_json(path, orient="records", lines=True, date_format="iso")
    said = refusal(path)
    assert "input_tokens (column 'response.usage.prompt_tokens') is empty" in said
    reading = read(path, on_bad="drop")
    assert reading.format == "inference_table"
    assert rows(reading.trace) == [
        (0, 5, 2, 7),
        (1, 5, 0, 8),
        (2, 5, 0, 9),
        (3, 6, 0, 0),
        (4, 4, 0, 3),
    ]
    assert reading.dropped == {"failed request (status 429)": 1, "input_tokens missing": 2}
    assert reading.notes[-3:] == (
        THROTTLED,
        "'sampling_fraction' is 0.25: not every request was logged, and the load was up to 4 times "
        "this trace",
        "rows without 'response': 1; answers above the size limit are not logged, so the longest "
        "requests may be missing",
    )


# JSON lines


MOONCAKE = [
    {"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2]},
    {"timestamp": 27, "input_length": 7319, "output_length": 490, "hash_ids": [0, 14, 15]},
    {"timestamp": 3000, "input_length": 7236, "output_length": 0, "hash_ids": []},
]
IN_MS = (
    "'timestamp' read as milliseconds, as Mooncake, AIPerf and Dynamo write it; where it was made "
    "for guidellm or vLLM it may be seconds: then give --time-unit s"
)


def json_lines(objects: list[dict[str, object]]) -> list[str]:
    return [json.dumps(one) for one in objects]


def test_mooncake_is_in_milliseconds(save: Callable[..., Path]) -> None:
    path = save(*json_lines(MOONCAKE))
    reading = read(path)
    assert (reading.format, reading.container) == ("mooncake", "jsonl")
    assert rows(reading.trace) == [(0, 6755, 0, 500), (0.027, 7319, 0, 490), (3, 7236, 0, 0)]
    assert reading.notes[0] == IN_MS
    reading = read(path, time_unit="s")
    assert reading.trace.span_s == 3000
    assert IN_MS not in reading.notes


def test_bailian_is_in_seconds(save: Callable[..., Path]) -> None:
    bailian = {"chat_id": 159, "parent_chat_id": -1, "type": "text", "turn": 1}
    path = save(*json_lines([{**bailian, **row} for row in MOONCAKE]))
    reading = read(path)
    assert (reading.format, reading.trace.span_s) == ("bailian", 3000)
    assert reading.notes[0] == (
        "'timestamp' read as seconds, as 'chat_id' marks a Qwen-Bailian trace"
    )


@pytest.mark.parametrize("is_csv", [False, True])
def test_a_replay_file_needs_its_unit(save: Callable[..., Path], is_csv: bool) -> None:
    lines = json_lines([{"timestamp": 0.5, "input_length": 9, "output_length": 4}] * 2)
    if is_csv:
        lines = ["timestamp,input_length,output_length", "0.5,9,4", "0.5,9,4"]
    path = save(*lines)
    assert refusal(path) == (
        "trace: column 'timestamp' holds numbers, seconds for guidellm and vLLM but milliseconds "
        "for AIPerf; say their unit with --time-unit"
    )
    reading = read(path, time_unit="s")
    assert (reading.format, rows(reading.trace)) == ("replay", [(0, 9, 0, 4)] * 2)


def test_openai_usage_is_found_inside(save: Callable[..., Path]) -> None:
    path = save(
        *json_lines(
            [
                {
                    "id": "chatcmpl-1",
                    "created": 1_772_366_400,
                    "choices": [{"message": {"content": 'a\n{"created": 7}'}}],
                    "usage": {
                        "prompt_tokens": 19,
                        "completion_tokens": 10,
                        "prompt_tokens_details": {"cached_tokens": 8},
                    },
                },
                {
                    "created": 1_772_366_402,
                    "usage": {
                        "prompt_tokens": 7,
                        "completion_tokens": 1,
                        "prompt_tokens_details": None,
                    },
                },
            ]
        )
    )
    reading = read(path)
    assert reading.format == "openai"
    assert rows(reading.trace) == [(0, 19, 8, 10), (2, 7, 0, 1)]


def test_openai_responses_are_read_too(save: Callable[..., Path]) -> None:
    usage = {"input_tokens": 36, "output_tokens": 87, "total_tokens": 123}
    reading = read(save(*json_lines([{"created_at": 1_741_476_542.0, "usage": usage}])))
    assert (reading.format, rows(reading.trace)) == ("openai", [(0, 36, 0, 87)])


def test_a_nested_key_can_be_named(save: Callable[..., Path]) -> None:
    path = save('{"at": {"t~/ \'": 1}, "n": {"in": "3", "out": 4.0}}')
    columns = parse_columns("arrival=at.t~/ ',input=n.in,output=n.out")
    assert rows(read(path, columns=columns, time_unit="s").trace) == [(0, 3, 0, 4)]


def packed_zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, packed_zstd])
def test_broken_lines_are_named_with_their_number(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    good = json_lines(MOONCAKE)
    lines = ["\ufeff" + good[0], "", good[1][:-5], " ", '"text"', good[2] + "\r", "[1]", good[1]]
    path = tmp_path / "trace"
    path.write_bytes(pack("\n".join(lines).encode()))
    assert refusal(path).startswith(
        f"trace: line 3: {good[1][:-5]!r}; must be one JSON object. 3 of 6 rows"
    )
    reading = read(path, on_bad="drop")
    assert [(bad.place, bad.number) for bad in reading.bad_rows] == [
        ("line", 3),
        ("line", 5),
        ("line", 7),
    ]
    assert reading.dropped == {"no JSON object": 3}
    assert rows(reading.trace) == [(0, 6755, 0, 500), (0.027, 7319, 0, 490), (3, 7236, 0, 0)]


def test_a_bad_value_is_named_with_its_line(save: Callable[..., Path]) -> None:
    path = save(*json_lines([MOONCAKE[0], {**MOONCAKE[1], "input_length": "many"}]))
    assert refusal(path).startswith(
        "trace: line 2: input_tokens (column 'input_length') is 'many'; must be a whole number"
    )


def test_lines_that_are_no_text_are_counted(tmp_path: Path) -> None:
    good = [line.encode() for line in json_lines(MOONCAKE)]
    path = tmp_path / "trace"
    path.write_bytes(
        b"\n".join([good[0], b'{"a": "\xff"}', b"{" + b"x" * 9_000_000, b"{x", good[1]])
    )
    reading = read(path, on_bad="drop")
    assert reading.dropped == {
        "no JSON object": 1,
        "a line too long": 1,
        "bytes that are not UTF-8": 1,
    }
    assert [bad.number for bad in reading.bad_rows] == [2, 3, 4]
    assert len(reading.trace) == 2


# Parts


VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with three parts of one trace, and what is written beside parts."""
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "part-2").write_text(f"{VIDUR}\n20,1,1\n21,0,1\n22,1,1\n23,1\n")
    (folder / "part-0").write_bytes(gzip.compress(f"# x\n{VIDUR}\n0,1,1\n1,-2,1\n".encode()))
    (folder / "part-1").write_text(f"{VIDUR}\n")
    (folder / "_SUCCESS").touch()
    (folder / ".part.crc").write_bytes(b"crc\x00")
    (folder / "nested").mkdir()
    return folder


@pytest.mark.parametrize("pattern", ["", "part-*", "part-[0-2]"])
def test_parts_are_read_as_one(parts: Path, pattern: str) -> None:
    path = parts / pattern
    reading = read(path, on_bad="drop")
    assert rows(reading.trace) == [(0, 1, 0, 1), (20, 1, 0, 1), (22, 1, 0, 1)]
    assert (reading.path, reading.container, reading.rows_read) == (path, "csv csv.gz", 6)
    assert [part.name for part in reading.parts] == ["part-0", "part-1", "part-2"]
    assert [str(bad).partition(";")[0] for bad in reading.bad_rows] == [
        "part-0 line 4: input_tokens (column 'num_prefill_tokens') is '-2'",
        "part-2 line 3: input_tokens (column 'num_prefill_tokens') is '0'",
        "part-2 line 5: '23,1'",
    ]
    assert len(reading.sha256) == 64


def test_parts_of_json_lines_may_have_different_keys(tmp_path: Path) -> None:
    for name, lines in {
        "a": ['{"a": 1, "timestamp": 0, "input_length": 1, "output_length": 1, "chat_id": 1}'],
        "b": ['{"output_length": 2, "input_length": 3, "timestamp": 4, "b": 5}', "{"],
    }.items():
        (tmp_path / name).write_text("\n".join(lines))
    reading = read(tmp_path, on_bad="drop")
    assert rows(reading.trace) == [(0, 1, 0, 1), (4, 3, 0, 2)]
    assert [str(bad) for bad in reading.bad_rows] == ["b line 2: '{'; must be one JSON object"]


def test_parts_may_have_their_columns_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{VIDUR}\n0,5,1\n")
    (tmp_path / "b").write_text("NUM_DECODE_TOKENS;arrived_at;num_prefill_tokens\n2;1;6\n3;2;0\n")
    reading = read(tmp_path, on_bad="drop")
    assert rows(reading.trace) == [(0, 5, 0, 1), (1, 6, 0, 2)]
    assert str(reading.bad_rows[0]).startswith(
        "b line 3: input_tokens (column 'num_prefill_tokens') is '0'"
    )


def test_parts_of_parquet_may_have_other_widths(tmp_path: Path) -> None:
    names = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
    kinds = [
        ("us", pa.int64(), pa.uint8()),
        ("ns", pa.int16(), pa.int32()),
        ("s", pa.uint64(), pa.int8()),
    ]
    for at, (unit, first, second) in enumerate(kinds):
        cells = [
            pa.array([at]).cast(pa.timestamp("s")).cast(pa.timestamp(unit)),
            pa.array([at + 5], first),
            pa.array([at], second),
        ]
        order = [0, 1, 2] if at else [2, 0, 1]
        table = pa.table([cells[i] for i in order], [names[i] for i in order])
        pq.write_table(table, tmp_path / str(at))
    assert rows(read(tmp_path).trace) == [(0, 5, 0, 0), (1, 6, 0, 1), (2, 7, 0, 2)]
    pq.write_table(pa.table([[0.5], [1], [1]], names), tmp_path / "3")
    assert "has other types than" in refusal(tmp_path)


def test_parts_must_fit_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{VIDUR}\n0,1,1\n")
    (tmp_path / "b").write_text("num_prefill_tokens,arrived_at,tokens\n0,1,1\n")
    assert refusal(tmp_path).replace(f"{tmp_path.name}/", "") == (
        "b has other columns than a; parts of a trace must have the same: give a pattern that fits "
        "them alone, such as 'part-*.csv'"
    )
    (tmp_path / "b").write_text('{"a": 1}\n')
    assert refusal(tmp_path).replace(f"{tmp_path.name}/", "") == (
        "b is jsonl and a csv; parts of a trace must be of one kind: give a pattern that fits them "
        "alone, such as 'part-*.csv'"
    )


# Packed files


def test_a_zstd_file_that_ends_early_is_named(tmp_path: Path) -> None:
    """DuckDB takes half a zstd file for a whole one."""
    lines = "".join(f"{i},{i * 7919 % 4000 + 1},{i * 104729 % 800}\n" for i in range(200_000))
    content = packed_zstd(f"arrived_at,num_prefill_tokens,num_decode_tokens\n{lines}".encode())
    path = tmp_path / "trace"
    path.write_bytes(content)
    assert len(read(path).trace) == 200_000
    path.write_bytes(content[: len(content) * 3 // 4])
    assert refusal(path, on_bad="drop") == "trace is a truncated zstd file; copy it again"


def test_a_bomb_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulations.ingest.packing.FREE_BYTES", 1 << 20)
    path = tmp_path / "trace"
    path.write_bytes(
        gzip.compress(
            b"arrived_at,num_prefill_tokens,num_decode_tokens\n0,1,1\n" + b"\n" * (1 << 25)
        )
    )
    assert refusal(path) == (
        f"trace holds more than {200 * path.stat().st_size:,} bytes, the limit for a gzip file of "
        "its size; unpack it first if it is meant to"
    )


# Any columns


def test_a_status_of_ones_own_is_honoured(save: Callable[..., Path]) -> None:
    path = save("t,i,o,s", "0,1,1,200", "1,,,500", "2,2,2,201", "3,1,1,302", "4,1,1,199")
    columns = parse_columns("arrival=t,input=i,output=o,status=s")
    reading = read(path, columns=columns, time_unit="s")
    assert rows(reading.trace) == [(0, 1, 0, 1), (2, 2, 0, 2)]
    assert reading.dropped == {
        "failed request (status 5xx)": 1,
        "failed request (status 1xx)": 1,
        "failed request (status 3xx)": 1,
    }


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("", "status missing", "status (column 's') is empty"),
        ("ok", "status unreadable", "status (column 's') is 'ok'"),
        ("0", "status unreadable", "status (column 's') is '0'"),
        ("inf", "status unreadable", "status (column 's') is 'inf'"),
    ],
)
def test_a_status_that_is_none_is_a_bad_row(
    save: Callable[..., Path], status: str, reason: str, said: str
) -> None:
    path = save("t,i,o,s", "0,1,1,200", f"1,1,1,{status}")
    columns = parse_columns("arrival=t,input=i,output=o,status=s")
    assert refusal(path, columns=columns, time_unit="s") == (
        f"trace: line 3: {said}; must be an HTTP status code, 100 to 599. 1 of 2 rows is bad "
        f"({reason}: 1); mend them or leave them out with --on-bad drop"
    )
    assert read(path, columns=columns, time_unit="s", on_bad="drop").dropped == {reason: 1}


JSON_CELLS = [
    "0",
    "1",
    "7.5",
    "-1",
    "null",
    '"x"',
    "[]",
    "{}",
    "1e400",
    "NaN",
    '"\\u0000"',
    "",
    "{",
    '"',
]


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    cells=st.lists(st.lists(st.sampled_from(JSON_CELLS), min_size=3, max_size=3), max_size=8),
    noise=st.lists(st.sampled_from(["", " ", "#", "\x01", "\x0b", "\ufeff", "{}", "é"])),
    cut=st.integers(0, 9),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_bent_json_lines_are_kept_or_dropped_with_a_reason(
    tmp_path: Path, cells: list[list[str]], noise: list[str], cut: int, ends: str
) -> None:
    names = ("timestamp", "input_length", "output_length")
    lines = [json.dumps(MOONCAKE[0])]
    for row in cells:
        pairs = [f'"{name}": {cell}' for name, cell in zip(names, row, strict=True)]
        lines.append("{" + ", ".join(pairs) + "}")
    content = ends.join([*lines, *noise]).encode()
    path = tmp_path / "bent"
    path.write_bytes(content[: len(content) - cut] if len(lines) > 1 else content)
    reading = read(path, on_bad="drop")
    assert reading.rows_read == len(reading.trace) + sum(reading.dropped.values())
    assert reading.rows_read >= len(lines) - 1
    assert len(reading.bad_rows) == min(5, sum(reading.dropped.values()))
