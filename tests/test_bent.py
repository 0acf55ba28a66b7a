"""Files as they come: bent by Hypothesis, and bent as real exports are. Read whole, counted, or refused in a line."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.artifacts import to_json
from planner.description import describe
from simulations.errors import TraceError
from simulations.ingest import Reading, parse_columns, read

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
USAGE = (
    "status_code,request_time,input_token_count,output_token_count,usage_context,served_entity_id"
)


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


TEXTS = {
    "azure": f"{AZURE}\r\n"
    + "".join(f"2023-11-16 18:15:{at:02}.68059{at:02},{at + 1},{at}\r\n" for at in range(20)),
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    + "".join(f"{at}.5,GPT-4,{at + 9},{at},{2 * at},API log\n" for at in range(20)),
    "usage": f"\ufeff{USAGE}\n"
    + "".join(
        f'200,2026-03-01T12:00:{at:02}.123+00:00,{at + 1},{at},"{{""app"":""a, b""}}",e{at % 2}\n'
        for at in range(20)
    ),
    "mooncake": "".join(
        json.dumps(
            {"timestamp": at * 7, "input_length": at + 1, "output_length": at, "hash_ids": [at]}
        )
        + "\n"
        for at in range(20)
    ),
    "semicolons": "arrived_at;num_prefill_tokens;num_decode_tokens\n"
    + "".join(f"{at};{at + 1};{at}\n" for at in range(20)),
}
BINARIES = {
    "numbers": parquet(
        arrived_at=[0.5, 1.5, 2.5], num_prefill_tokens=[1, 2, 3], num_decode_tokens=[3, 0, 1]
    ),
    "answers": parquet(
        request_time=pa.array([0, 1], pa.timestamp("us")),
        status_code=[200, 429],
        response=['{"usage": {"prompt_tokens": 5, "completion_tokens": 2}}', None],
    ),
}
INSERTS = [
    *(
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b'"',
        b"\n",
        b"\r",
        b"\r\n",
        b",",
        b";",
        b"\t",
        b"#",
        b"'",
        b"\\",
    ),
    *(
        b"nan",
        b"inf",
        b"-",
        b"1e308",
        b"9" * 400,
        b"{",
        b"}",
        b"\xe2\x80\xa8",
        b"\x1f\x8b",
        b"NULL",
    ),
]

Bend = tuple[str, int, bytes]
bends = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "cut", "remove", "repeat"]),
        st.integers(0, 4000),
        st.sampled_from(INSERTS),
    ),
    max_size=3,
)
in_one_folder = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def bent(content: bytes, how: list[Bend]) -> bytes:
    for what, place, piece in how:
        at = place % (len(content) + 1)
        match what:
            case "insert":
                content = content[:at] + piece + content[at:]
            case "replace":
                content = content[:at] + piece + content[at + len(piece) :]
            case "cut":
                content = content[:at]
            case "remove":
                content = content[:at] + content[at + 7 :]
            case "repeat":
                content = content[:at] + content[max(0, at - 60) :]
    return content


def assert_honest(path: Path, **how: object) -> Reading | None:
    """A file is read with every row accounted for and every number finite, or refused in one line."""
    try:
        reading = read(path, **how)  # type: ignore[arg-type]
    except TraceError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.isprintable()
        assert len(said) < 2000
        return None
    assert reading.rows_read == len(reading.trace) + sum(reading.dropped.values())
    bad = [n for reason, n in reading.dropped.items() if "failed" not in reason]
    assert len(reading.bad_rows) == min(5, sum(bad))

    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(to_json(describe(reading)), parse_constant=refuse)
    return reading


@settings(max_examples=80, deadline=None, suppress_health_check=in_one_folder)
@given(
    name=st.sampled_from([*TEXTS, *BINARIES]),
    how=bends,
    pack=st.sampled_from([bytes, bytes, gzip.compress, zstd]),
    after=bends.map(lambda found: found[:1]),
    on_bad=st.sampled_from(["fail", "drop", "drop"]),
)
def test_any_bent_file_is_read_honestly_or_refused(
    tmp_path: Path,
    name: str,
    how: list[Bend],
    pack: Callable[[bytes], bytes],
    after: list[Bend],
    on_bad: str,
) -> None:
    path = tmp_path / "bent"
    content = TEXTS[name].encode() if name in TEXTS else BINARIES[name]
    path.write_bytes(bent(pack(bent(content, how)), after if pack is not bytes else []))
    assert_honest(path, on_bad=on_bad)


CELLS = [
    "",
    " ",
    "-1",
    "0",
    "5",
    "1.5",
    "1e3",
    "1e400",
    "-inf",
    "nan",
    "9" * 60,
    "0x1",
    "\x0b",
    "é",
    "NULL",
]


@settings(max_examples=40, deadline=None, suppress_health_check=in_one_folder)
@given(
    cells=st.lists(st.tuples(*[st.sampled_from(CELLS)] * 3), min_size=1, max_size=9),
    order=st.permutations(range(3)),
    separator=st.sampled_from(",;\t|"),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    start=st.sampled_from(["", "\ufeff", "# a comment\n", "sep=%s\n"]),
    is_quoted=st.booleans(),
)
def test_no_line_is_lost(
    tmp_path: Path,
    cells: list[tuple[str, ...]],
    order: list[int],
    separator: str,
    ends: str,
    start: str,
    is_quoted: bool,
) -> None:
    names = ["arrived_at", "num_prefill_tokens", "num_decode_tokens"]
    quote = '"' if is_quoted else ""
    table = [names, ["0", "5", "5"], *cells]
    lines = [separator.join(f"{quote}{row[at]}{quote}" for at in order) for row in table]
    start = (start % separator if "%" in start else start).replace("\n", ends)
    path = tmp_path / "bent"
    path.write_bytes((start + ends.join(lines)).encode())
    reading = assert_honest(path, on_bad="drop")
    assert reading is not None
    assert reading.rows_read == len(table) - 1


LONG = f"{AZURE}\n" + "".join(
    f"2023-11-16 18:15:46.68,{at % 97 + 1},{at % 7}\n" for at in range(400)
)


@settings(max_examples=40, deadline=None, suppress_health_check=in_one_folder)
@given(pack=st.sampled_from([gzip.compress, zstd]), share=st.floats(0, 1, exclude_max=True))
def test_a_packed_file_that_ends_early_is_never_taken_for_a_whole_one(
    tmp_path: Path, pack: Callable[[bytes], bytes], share: float
) -> None:
    content = pack(LONG.encode())
    path = tmp_path / "bent"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(TraceError):
        read(path, on_bad="drop")


@pytest.mark.parametrize("at", [-1, -3, -5, -7])
def test_a_checksum_that_is_wrong_is_named(tmp_path: Path, at: int) -> None:
    content = bytearray(gzip.compress(LONG.encode()))
    content[at] ^= 1
    path = tmp_path / "bent"
    path.write_bytes(content)
    with pytest.raises(TraceError, match="is a damaged gzip file; copy it again"):
        read(path, on_bad="drop")


NAMES = [
    *(
        "a'b",
        "a*b",
        "[ab]",
        "a?b",
        "; DROP TABLE x; --",
        "a\nb",
        "s3:",
        "~",
        "$HOME",
        "%41",
        "{a,b}",
    ),
    *("x.parquet", "x.gz", "http:x", "é\udcff", "-x", "part=1", "*"),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "part=1.csv").write_text("never read")
    path = tmp_path / name
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,1,1\n1,2,1\n")
    reading = assert_honest(path)
    assert reading is not None
    assert reading.trace.input_tokens.tolist() == [1, 2]


# Real exports


def test_a_wide_export_of_usage_is_read(tmp_path: Path) -> None:
    """As a warehouse writes it: BOM, quoted JSON with line ends inside, hundreds of columns, blank lines."""
    others = [f"col {at}" for at in range(500)]
    head = ",".join([*USAGE.split(","), *others])
    context = '"{""app"": ""x, \\""y\\"""",\n""k"": ""v;|""}"'
    rows = [f"200,2026-03-01T12:00:0{at}.123+01:00,{at + 1},1,{context},e" for at in range(3)]
    rows.append(f"429,2026-03-01T12:00:05+01:00,,,{context},e")
    path = tmp_path / "export"
    text = "\n".join(row + "," * len(others) for row in rows)
    path.write_bytes(f"\ufeff{head}\n{text}\n\n\n".encode())
    reading = assert_honest(path)
    assert reading is not None
    assert reading.trace.input_tokens.tolist() == [1, 2, 3]
    assert reading.trace.epoch_ns == 1_772_362_800_123 * 10**6
    assert reading.dropped == {"failed request (status 429)": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{AZURE.replace(',', ';')}\n2026-03-01 12:00:00;1.374;44\n", "(column 'ContextTokens') is '1.374'"),
        (f'{AZURE}\n2026-03-01 12:00:00,"1,374",44\n', "(column 'ContextTokens') is '1,374'"),
        (f"{AZURE}\n3/1/2026 12:00:00 PM,1,44\n", "is '3/1/2026 12:00:00 PM'; must be a date and time"),
        (f"{AZURE}\n01.03.2026 12:00:00,1,44\n", "is '01.03.2026 12:00:00'; must be a date and time"),
        (f"{AZURE}\ninfinity,1,44\n2026-03-01 12:00:00,1,44\n", "line 2: arrival (column 'TIMESTAMP') is 'infinity'"),
        (f"{AZURE}\n2026-03-01 12:00:00,1,44\nTotal,1,44\n", "line 3: arrival (column 'TIMESTAMP') is 'Total'"),
        ("0.5,GPT-4,374,44\n0.6,GPT-4,1,1\n", "line 1 is a row, not a header"),
        ("2026-03-01 12:00:00,1,44\n2026-03-01 12:00:01,1,44\n", "line 1 is a row, not a header"),
        ("0.5,374,44\n0.6,1,1\n", "line 1 is a row, not a header"),
        ("sep=;\r\na;b\r\n1;2\r\n", "found columns a, b;"),
    ],
)  # fmt: skip
def test_what_people_send_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "sent"
    path.write_bytes(content.encode())
    with pytest.raises(TraceError) as caught:
        read(path)
    assert said in str(caught.value)


def test_one_date_that_is_far_off_does_not_make_the_others_so(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    rows = "".join(f"2026-03-01 12:00:0{at},1,44\n" for at in range(5))
    path.write_text(f"{AZURE}\n1970-01-01 00:00:00,9,9\n{rows}")
    reading = assert_honest(path, on_bad="drop")
    assert reading is not None
    assert reading.dropped == {"arrival too far from the first": 1}
    assert [bad.number for bad in reading.bad_rows] == [2]


def test_zones_in_some_rows_only_are_said(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    path.write_text(f"{AZURE}\n2026-03-01T12:00:00Z,1,1\n2026-03-01T12:00:01,1,1\n")
    assert read(path).notes == (
        "'TIMESTAMP' has a time zone in some rows only; in the others (1 of 2) it was read as UTC",
    )


@pytest.mark.parametrize("zoned", ["Z", "+00:00", "-0500", " UTC", " Europe/Berlin"])
def test_a_zone_in_the_last_row_alone_is_said(tmp_path: Path, zoned: str) -> None:
    path = tmp_path / "sent"
    plain = "2026-03-01 12:00:00.5,1,1\n" * 20_000
    path.write_text(f"{AZURE}\n{plain}2026-03-01 12:00:00{zoned},1,1\n")
    assert (
        "'TIMESTAMP' has a time zone in some rows only; in the others (20,000 of 20,001) it was read "
        "as UTC"
    ) in read(path).notes


@settings(max_examples=40, deadline=None, suppress_health_check=in_one_folder)
@given(
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]), min_size=2, max_size=30),
    note=st.sampled_from(["", '"a,b"', '"a\r\nb"', '"a\nb"', '"q""q"']),
    pack=st.sampled_from([bytes, gzip.compress]),
)
def test_line_ends_of_any_kinds_are_read(
    tmp_path: Path, ends: list[str], note: str, pack: Callable[[bytes], bytes]
) -> None:
    lines = [f"{at},{note},{at + 1},0" for at in range(len(ends) - 1)]
    table = ["arrived_at,note,num_prefill_tokens,num_decode_tokens", *lines]
    text = "".join(line + end for line, end in zip(table, ends, strict=True))
    path = tmp_path / "sent"
    path.write_bytes(pack(text.encode()))
    reading = assert_honest(path)
    assert reading is not None
    assert reading.trace.input_tokens.tolist() == [*range(1, len(ends))]


def test_line_ends_of_two_kinds_in_json_are_read(tmp_path: Path) -> None:
    ends = ["\r", "\n", "\r\n", "\r", ""]
    path = tmp_path / "sent"
    path.write_text(
        "".join(
            json.dumps({"timestamp": at, "input_length": 5, "output_length": 1, "hash_ids": []})
            + end
            for at, end in enumerate(ends)
        ),
        newline="",
    )
    assert read(path).rows_read == 5


ENCODED = {
    "UTF-16": TEXTS["burstgpt"].encode("utf-16"),
    "UTF-16 without a mark": TEXTS["burstgpt"].encode("utf-16-le"),
    "the other UTF-16": TEXTS["burstgpt"].encode("utf-16-be"),
    "packed UTF-16": gzip.compress(TEXTS["burstgpt"].encode("utf-16")),
    "Latin-1": TEXTS["burstgpt"].replace("API", "API \xe9").encode("latin-1"),
    "JSON in UTF-16": TEXTS["mooncake"].encode("utf-16"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_other_encodings_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "sent"
    path.write_bytes(ENCODED[name])
    reading = assert_honest(path)
    assert reading is not None
    plain = TEXTS["mooncake" if "JSON" in name else "burstgpt"]
    assert reading.rows_read == 20
    assert any("is not UTF-8; read as Latin-1" in note for note in reading.notes) == (
        name == "Latin-1"
    )
    path.write_text(plain)
    assert read(path).trace.sha256 == reading.trace.sha256
    bad = plain.replace("5.5,GPT-4,14", "5.5,GPT-4,x").replace(
        '"input_length": 6', '"input_length": -6'
    )
    path.write_bytes(bad.encode("utf-16"))
    with pytest.raises(TraceError, match=r": line [67]: input_tokens"):
        read(path)


ROWS = [
    {"timestamp": at * 7, "input_length": at + 1, "output_length": at, "hash_ids": [at]}
    for at in range(20)
]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        f"\ufeff\r\n{json.dumps(ROWS)}\r\n",
    ],
    ids=["array", "indented array", "indented objects", "mark"],
)
def test_json_need_not_be_in_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sent"
    path.write_text(TEXTS["mooncake"])
    in_lines = read(path)
    path.write_text(text, newline="")
    reading = assert_honest(path)
    assert reading is not None
    assert (reading.container, reading.trace.sha256) == ("json", in_lines.trace.sha256)


def test_elements_that_are_no_requests_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    path.write_text(json.dumps([*ROWS, 5, None, [1], {"timestamp": 5, "input_length": 0}]))
    reading = assert_honest(path, on_bad="drop")
    assert reading is not None
    assert reading.dropped == {
        "no JSON object": 3,
        "output_tokens missing": 1,
    } or reading.dropped == {
        "no JSON object": 3,
        "input_tokens is 0": 1,
    }
    assert str(reading.bad_rows[0]) == "row 21: '5'; must be one JSON object"


@settings(max_examples=30, deadline=None, suppress_health_check=in_one_folder)
@given(share=st.floats(0, 1, exclude_max=True), indent=st.sampled_from([None, 1]))
def test_a_document_that_ends_early_is_never_taken_for_a_whole_one(
    tmp_path: Path, share: float, indent: int | None
) -> None:
    content = json.dumps(ROWS, indent=indent)
    path = tmp_path / "bent"
    path.write_text(content[: int(share * len(content))])
    with pytest.raises(TraceError):
        read(path, on_bad="drop")


# Names that say what they are


@pytest.mark.parametrize(
    ("header", "span_s"),
    [
        ("timestamp_s,client_id,input_tokens,output_tokens", 1500.0),
        ("Output Tokens;Prompt Tokens;Time (ms);x", 1.5),
        ("arrivalTimeUs,x,promptTokens,completionTokens", 0.0015),
        ("timestamp_start_unix_ms,prompt,num_input_tokens,num_output_tokens", 1.5),
    ],
)
def test_columns_are_taken_by_the_words_in_their_names(
    tmp_path: Path, header: str, span_s: float
) -> None:
    separator = ";" if ";" in header else ","
    names = header.split(separator)
    cells = {"out": 3, "compl": 3, "prompt": 7, "input": 7, "x": 0, "client": 0}

    def cell(name: str, at: int) -> str:
        if any(word in name.lower() for word in ("time", "arrival")):
            return str(1000 + 1500 * at)
        if "token" not in name.lower():
            return "x"
        return str(next(n for word, n in cells.items() if word in name.lower()))

    path = tmp_path / "sent"
    lines = [separator.join(cell(name, at) for name in names) for at in range(2)]
    path.write_text("\n".join([header, *lines]))
    reading = assert_honest(path)
    assert reading is not None
    assert reading.format == "generic"
    assert reading.trace.span_s == span_s
    assert (reading.trace.input_tokens[0], reading.trace.output_tokens[0]) == (7, 3)
    assert reading.notes[0].startswith(
        "no known format; columns were taken by the words in their names: arrival is "
    )
    assert (reading.trace.epoch_ns == 10**9) == ("unix" in header)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("timestamp,prompt_tokens,completion_tokens", "column 'timestamp' holds numbers, not dates; say their unit"),
        ("request_time_ms,prompt_tokens,completion_tokens", "--columns arrival=..,input=prompt_tokens,output=completion_tokens"),
        ("start_time_s,created_s,prompt_tokens,completion_tokens", "--columns arrival=created_s,input=prompt_tokens"),
        ("timestamp_s,latency_s,Tokens In,tokens", "--columns 'arrival=timestamp_s,input=Tokens In,output=..'"),
        ("time,prompt,answer", "--columns arrival=time,input=prompt,output=.."),
        ("minute,requests,input_tokens,output_tokens", "--aggregate minute --columns arrival=minute,requests=requests,input=input_tokens,output=output_tokens"),
        ("timestamp_s,n,input_tokens,output_tokens", "column 'n' seems to count the requests of a row"),
    ],
)  # fmt: skip
def test_what_names_do_not_say_is_asked(tmp_path: Path, header: str, said: str) -> None:
    path = tmp_path / "sent"
    cells = ",".join("5" for _ in header.split(","))
    path.write_text(f"{header}\n{cells}\n")
    with pytest.raises(TraceError) as caught:
        read(path)
    assert said in str(caught.value)


# Folders as Spark leaves them


def test_a_folder_is_read_with_those_in_it(tmp_path: Path) -> None:
    for day in (1, 2):
        folder = tmp_path / f"date=2026-03-0{day}"
        folder.mkdir()
        (folder / "part-0.csv").write_text(f"{AZURE}\n2026-03-0{day} 12:00:00Z,{day},1\n")
        (folder / "part-1.csv").touch()
        (folder / "_committed_1").write_text("no rows")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    reading = assert_honest(tmp_path)
    assert reading is not None
    assert reading.trace.input_tokens.tolist() == [1, 2]
    assert reading.notes == ("2 files are empty and passed over: part-1.csv, part-1.csv",)


def test_a_delta_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "part-0.csv").write_text(f"{AZURE}\n2026-03-01 12:00:00Z,1,1\n")
    with pytest.raises(
        TraceError, match="is a Delta table, whose files hold rows that are no longer"
    ):
        read(tmp_path)


def test_milliseconds_are_never_taken_for_seconds_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    path.write_text("t,i,o\n1772366400000,1,1\n1772366400500,1,1\n")
    columns = parse_columns("arrival=t,input=i,output=o")
    beyond = "'t', read as a number of s, is beyond the year 5000 if it counts from 1970"
    with pytest.raises(TraceError, match=f"{beyond}; give --time-unit ms, us or ns, or s if"):
        read(path, columns=columns)
    assert read(path, columns=columns, time_unit="s").notes[0] == beyond
    assert read(path, columns=columns, time_unit="ms").trace.span_s == 0.5


@pytest.mark.parametrize("kind", ["struct", "binary"])
def test_answers_in_parquet_need_not_be_text(tmp_path: Path, kind: str) -> None:
    answers = [{"usage": {"prompt_tokens": at + 5, "completion_tokens": at}} for at in range(3)]
    times = pa.array([0, 1, 2], pa.timestamp("us"))
    cells = answers if kind == "struct" else [json.dumps(answer).encode() for answer in answers]
    path = tmp_path / "sent"
    path.write_bytes(parquet(request_time=times, status_code=[200] * 3, response=cells))
    reading = assert_honest(path)
    assert reading is not None
    assert reading.trace.input_tokens.tolist() == [5, 6, 7]


def test_a_log_of_answers_in_parquet_is_read_from_its_structs(tmp_path: Path) -> None:
    usage = [
        {
            "prompt_tokens": at + 5,
            "x'; --": 1,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": at},
        }
        for at in range(3)
    ]
    path = tmp_path / "sent"
    path.write_bytes(parquet(id=["a"] * 3, usage=usage, created=[7, 8, 9]))
    reading = assert_honest(path)
    assert reading is not None
    assert (reading.format, reading.trace.input_tokens.tolist()) == ("openai", [5, 6, 7])
    assert reading.trace.cached_tokens.tolist() == [0, 1, 2]


def test_a_log_with_thousands_of_keys_is_read(tmp_path: Path) -> None:
    row = {f"key {at}": at for at in range(3000)}
    row |= {"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": 0}
    path = tmp_path / "sent"
    path.write_text(json.dumps(row) + "\n")
    reading = assert_honest(path)
    assert reading is not None
    assert reading.format == "mooncake"
