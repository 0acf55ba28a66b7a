"""Logs that several endpoints share, and the names that an export of served_entities adds."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulations.errors import TraceError
from simulations.ingest import parse_columns, read

USAGE = "served_entity_id,status_code,request_time,input_token_count,output_token_count"
ROWS = [
    "id-1,200,2026-03-01 12:00:00Z,100,10",
    "id-1,429,2026-03-01 12:00:01Z,,",
    "id-2,200,2026-03-01 12:00:02Z,200,20",
    "id-2,500,2026-03-01 12:00:03Z,,",
    "id-2,200,2026-03-01 12:00:04Z,bad,20",
    "id-1,200,2026-03-01 12:00:05Z,300,30",
    ",200,2026-03-01 12:00:06Z,400,40",
]
CHANGES = [
    "served_entity_id,endpoint_name,served_entity_name,entity_name,entity_version,change_time",
    "id-2,search,gte,system.ai.gte_large_en,1,2026-02-02T00:00:00Z",
    "id-1,chat,llama-2,system.ai.llama,2,2026-02-01T10:00:00+00:00",
    "id-1,old-chat,llama-1,system.ai.llama,1,2026-01-01T10:00:00+00:00",
]


@pytest.fixture
def usage(tmp_path: Path) -> Path:
    """A folder with a log in two parts."""
    folder = tmp_path / "usage"
    folder.mkdir()
    (folder / "a.csv").write_text("\n".join([USAGE, *ROWS[:4]]) + "\n")
    (folder / "b.csv").write_text("\n".join([USAGE, *ROWS[4:]]) + "\n")
    return folder


@pytest.fixture
def entities(tmp_path: Path) -> Path:
    """An export of served_entities; the latest change is not the last row."""
    path = tmp_path / "entities"
    path.write_text("\n".join(CHANGES) + "\n")
    return path


def test_several_entities_in_one_log_are_said(usage: Path, entities: Path) -> None:
    notes = read(usage, on_bad="drop").notes
    assert notes[1] == (
        "3 endpoints, entities or models served this log (id-1: 3 rows, id-2: 3 rows, (none): 1 row): "
        "what has capacity of its own is sized on its own; choose with --served-by NAME"
    )
    notes = read(usage, on_bad="drop", served_entities=entities).notes
    assert notes[1:3] == (
        "the export of served_entities does not know who served 1 row: (none): 1 row",
        "3 endpoints, entities or models served this log (chat system.ai.llama id-1: 3 rows, "
        "search system.ai.gte_large_en id-2: 3 rows, (none): 1 row): what has capacity of its own is "
        "sized on its own; choose with --served-by NAME",
    )


@pytest.mark.parametrize("name", ["chat", "llama-2", "system.ai.llama", "id-1"])
@pytest.mark.parametrize("container", ["csv", "parquet", "inside"])
def test_one_of_them_is_chosen_by_any_of_its_names(
    usage: Path, entities: Path, name: str, container: str
) -> None:
    """Rows of others are left out and need not be good; found inside a folder, the export needs no flag."""
    given: Path | None = entities
    if container == "parquet":
        cells = [line.split(",") for line in CHANGES]
        columns = {key: list(column) for key, *column in zip(*cells, strict=True)}
        table = pa.table(columns)
        times = pa.array([f"{text[:10]}T00:00:00" for text in columns["change_time"]])
        pq.write_table(table.set_column(5, "change_time", times.cast(pa.timestamp("us"))), entities)
    elif container == "inside":
        given = None
        (usage / "0-entities").write_bytes(entities.read_bytes())
    reading = read(usage, served_by=name, served_entities=given)
    assert reading.trace.input_tokens.tolist() == [100, 300]
    assert (reading.rows_read, reading.format) == (7, "endpoint_usage")
    assert reading.dropped == {"served by another": 4, "failed request (status 429)": 1}
    assert [part.name for part in reading.parts] == ["a.csv", "b.csv"]
    assert any("4 rows are of others" in note for note in reading.notes)


def test_who_is_not_there_cannot_be_chosen(usage: Path, entities: Path) -> None:
    with pytest.raises(TraceError, match=r"served by 'old-chat'; found chat, search, \(none\)$"):
        read(usage, served_by="old-chat", served_entities=entities)
    with pytest.raises(TraceError, match=r"is no export of system\.serving\.served_entities"):
        read(usage / "a.csv", served_entities=usage / "b.csv")
    with pytest.raises(TraceError, match="holds names of served entities, no requests"):
        read(entities)
    path = entities.with_name("log")
    path.write_text("t,i,o\n0,1,1\n")
    columns = parse_columns("arrival=t,input=i,output=o")
    with pytest.raises(TraceError, match="name it with --columns served=NAME"):
        read(path, columns=columns, served_by="x")


def test_a_name_is_data(tmp_path: Path) -> None:
    """Quotes and SQL in a cell or a flag choose rows and do nothing else."""
    hostile = "'); DROP TABLE x; --"
    path = tmp_path / "log"
    path.write_text(f't,i,o,who\n0,1,1,"{hostile}"\n1,2,2,b\n')
    columns = parse_columns("arrival=t,input=i,output=o,served=who")
    reading = read(path, columns=columns, time_unit="s", served_by=hostile)
    assert reading.trace.input_tokens.tolist() == [1]
