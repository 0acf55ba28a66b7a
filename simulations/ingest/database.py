"""The door to DuckDB: files as a table of cells `c0, c1, ...`, and nothing else within reach.

Names in a file and the name of a file never become SQL: cells are numbered, and DuckDB sees
files as links in a private folder, the only paths that its locked configuration allows.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from simulations.errors import TraceError
from simulations.ingest.csv_text import Header, read_header
from simulations.ingest.extent import Extent, parse_extent
from simulations.ingest.json_lines import MAX_LINE_BYTES, read_keys
from simulations.ingest.packing import NAMES, kept_within_limit
from simulations.ingest.payload import RESPONSE, counts_in
from simulations.ingest.rewriting import rewrite
from simulations.ingest.shown import shown
from simulations.ingest.source import Source, diagnose

EXTENT_KEY = "ptplan"
"""The key under which our own Parquet files hold their `Extent`."""

MAX_OTHER_KEYS = 100
"""Keys of JSON lines that are offered beside those that are looked for."""

_LOCKS = (
    # It would be drawn on stdout, where results belong, wherever Python seems interactive.
    "SET enable_progress_bar = false",
    "SET TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True, slots=True)
class Table:
    """A file that DuckDB reads, or several as one.

    Args:
        source: the file; of several the first.
        connection: locked to it.
        parameters: of `scan`; the last is the link by which DuckDB sees the file.
        scan: what stands after FROM; its columns are c0, c1, ... and, in JSON lines, `line`.
        columns: their names in the file.
        types: their DuckDB types; VARCHAR throughout in text.
        extent: what our own files say of themselves, else None.
        header: of a CSV.
        is_sound: SQL that says whether a row has cells at all.
        parts: the tables of several files.
        n_rows: about how many, where the file says it or its size does; room is made for so many.
        order: where each column stands in the file, where that is not its place here.
        beside: tables of files that belong to the others and hold no requests.
    """

    source: Source
    connection: duckdb.DuckDBPyConnection
    parameters: tuple[str, ...]
    scan: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    extent: Extent | None
    header: Header | None = None
    is_sound: str = "true"
    parts: tuple[Table, ...] = ()
    beside: tuple[Table, ...] = ()
    n_rows: int | None = None
    order: tuple[int, ...] | None = None

    @property
    def is_text(self) -> bool:
        """Whether it has lines."""
        return self.source.kind in ("csv", "jsonl")

    def row(self, ordinal: int) -> tuple[Table, int]:
        """Return the file that a row is in, and its ordinal there, counted from 0."""
        for part in self.parts:
            ((n_rows,),) = part.rows(f"SELECT count(*) FROM {part.scan}")
            if ordinal < n_rows:
                return part, ordinal
            ordinal -= n_rows
        return self, ordinal

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query over `scan`."""
        return self.connection.execute(query, list(self.parameters)).fetchall()

    def batches(self, query: str, batch_rows: int) -> Iterator[Any]:
        """Yield the Arrow record batches of a query over `scan`, in the order of the file."""
        reader = self.connection.sql(query, params=list(self.parameters)).to_arrow_reader(
            batch_rows
        )
        while True:
            try:
                yield reader.read_next_batch()
            except StopIteration:
                return
            except (OSError, ValueError) as error:
                # What DuckDB finds on the way comes through Arrow as one of its errors.
                raise duckdb.InvalidInputException(str(error)) from None

    def rejected(self) -> dict[str, int]:
        """Return how many lines of a text could not be split into its columns, by reason.

        Raises:
            Tangled: one of them took others with it, so that they cannot be counted.
        """
        ((swallowing,),) = self.connection.execute(
            # DuckDB keeps the first 10,000 bytes of what it took for one line.
            "SELECT min(line) FROM reject_errors "
            "WHERE regexp_matches(csv_line, '[^\\r\\n][\\r\\n]+[^\\r\\n]') "
            "OR (error_type = 'UNQUOTED VALUE' AND strlen(csv_line) >= 10000)"
        ).fetchall()
        if swallowing is not None:
            raise Tangled(
                f"line {swallowing}: a quote that is not closed makes one row of several lines; mend "
                "that line"
            )
        counts = self.connection.execute(
            "SELECT reason, count(*) FROM (SELECT min(error_type::VARCHAR) AS reason "
            f"FROM {_REJECTED} GROUP BY file_path, line) GROUP BY reason ORDER BY reason"
        ).fetchall()
        return {_REJECTS.get(reason, reason.lower()): count for reason, count in counts}

    def first_rejected(self, n_lines: int) -> list[tuple[int, str, str]]:
        """Return line number, text and reason of the first lines of a file that were rejected."""
        lines = self.connection.execute(
            "SELECT line, trim(any_value(csv_line), '\r\n'), min(error_type::VARCHAR) "
            f"FROM {_REJECTED} WHERE file_path = ? GROUP BY line ORDER BY line LIMIT ?",
            [self.parameters[-1], n_lines],
        ).fetchall()
        return [(line, text or "", _REJECTS.get(why, why.lower())) for line, text, why in lines]


class Tangled(TraceError):
    """Lines cannot be told apart; those of a copy with line ends of one kind may be."""


_MAX_DEPTH = 4
"""Of structs, as of the keys of JSON lines."""

_ALIKE = (
    {
        f"{sign}{kind}"
        for sign in ("", "U")
        for kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
    },
    {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"},
    {"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"},
)
"""Types that parts of one trace may mix: no value is changed by it."""

_REJECTED = "reject_errors JOIN reject_scans USING (scan_id, file_id)"

_REJECTS = {
    "MISSING COLUMNS": "too few cells",
    "TOO MANY COLUMNS": "too many cells",
    "UNQUOTED VALUE": "a broken quote",
    "LINE SIZE OVER MAXIMUM": "a line too long",
    "INVALID ENCODING": "bytes that are not UTF-8",
    "INVALID STATE": "a broken line",
}


@contextmanager
def opened(
    sources: Sequence[Source],
    *,
    wanted: Collection[str] = (),
    is_beside: Callable[[Sequence[str]], bool] = lambda columns: False,
) -> Iterator[Table]:
    """Yield files as one table; whatever DuckDB says of them comes out as a `TraceError`.

    Args:
        wanted: keys of JSON lines, in lower case, that are read however many there are.
        is_beside: whether a file with such columns holds no rows of the table.
    """
    packed = {source.path: source.packing for source in sources}
    with (
        _as_trace_errors(sources),
        private_database([None if source.is_rewritten else source.path for source in sources]) as (
            connection,
            aliases,
        ),
        kept_within_limit(packed, stop=connection.interrupt),
    ):
        for source, alias in zip(sources, aliases, strict=True):
            if source.is_rewritten:
                rewrite(source, alias)
        # Not every part of JSON lines need have all keys.
        own = [
            _some_keys(read_keys(source), wanted) if source.kind in ("jsonl", "json") else {}
            for source in sources
        ]
        every = {name: at for keys in own if not is_beside([*keys]) for name, at in keys.items()}
        tables = []
        for source, alias, keys in zip(sources, aliases, own, strict=True):
            if source.kind in ("jsonl", "json"):
                known = keys if is_beside([*keys]) else every
                tables.append(_json(source, connection, str(alias), known))
            else:
                read = _csv if source.kind == "csv" else _parquet
                tables.append(read(source, connection, str(alias)))
        beside = tuple(table for table in tables if is_beside(table.columns))
        parts = [_with_counts(table) for table in tables if not is_beside(table.columns)]
        if not parts:
            raise TraceError(
                f"{shown(sources[0].path)} holds names of served entities, no requests"
            )
        yield replace(_joined(parts), beside=beside)


@contextmanager
def private_database(
    targets: Sequence[Path | None],
) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[Path]]]:
    """Yield a database that can touch some files, and their paths in a folder of its own.

    Args:
        targets: what the files are links to; None for one that is yet to be written.
    """
    with tempfile.TemporaryDirectory(prefix="ptplan-") as folder:
        files = [Path(folder, f"rows{at}") for at in range(len(targets))]
        for file, target in zip(files, targets, strict=True):
            if target is None:
                continue
            try:
                file.symlink_to(target.absolute())
            except OSError as error:
                raise TraceError(f"cannot link {shown(target)} into {folder}: {error}") from None
        with duckdb.connect(":memory:") as connection:
            # DuckDB compares resolved paths, so the links must be there by now.
            allowed = ", ".join(literal(file) for file in files)
            connection.execute(f"SET allowed_paths = [{allowed}]")
            for lock in _LOCKS:
                connection.execute(lock)
            yield connection, files


def literal(text: object) -> str:
    """Return a text as SQL.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + str(text).replace("'", "''") + "'"


def _csv(source: Source, connection: duckdb.DuckDBPyConnection, alias: str) -> Table:
    header = read_header(source)
    cells = [f"c{index}" for index in range(len(header.columns))]
    types = ", ".join(f"'{cell}': 'VARCHAR'" for cell in cells)
    scan = (
        f"read_csv(?, auto_detect = false, header = false, skip = {header.n_lines}, "
        f"delim = '{header.separator}', quote = '\"', escape = '\"', columns = {{{types}}}, "
        f"compression = '{_compression(source)}', store_rejects = true, hive_partitioning = false)"
    )
    varchar = ("VARCHAR",) * len(cells)
    n_rows = None
    if source.packing is None and not source.is_rewritten:
        head_bytes = len(source.head.encode())
        n_rows = source.path.stat().st_size * source.head.count("\n") // head_bytes
    return Table(
        source,
        connection,
        (alias,),
        scan,
        header.columns,
        varchar,
        header.extent,
        header,
        n_rows=n_rows,
    )


def _json(
    source: Source, connection: duckdb.DuckDBPyConnection, alias: str, keys: dict[str, str]
) -> Table:
    # Each line is a row, broken or not: as a CSV of one cell, whose separator JSON cannot hold.
    lines = (
        "read_csv(?, auto_detect = false, header = false, delim = '\x01', quote = '', escape = '', "
        f"columns = {{'line': 'VARCHAR'}}, compression = '{_compression(source)}', "
        f"max_line_size = {MAX_LINE_BYTES}, strict_mode = false, null_padding = false, "
        "store_rejects = true, hive_partitioning = false)"
    )
    if source.kind == "json":
        form = "array" if source.head.lstrip().startswith("[") else "unstructured"
        lines = (
            f"(SELECT CAST(json AS VARCHAR) AS line FROM read_json_objects(?, format = '{form}', "
            f"compression = '{_compression(source)}', maximum_object_size = {MAX_LINE_BYTES}, "
            "hive_partitioning = false))"
        )
    cells = ", ".join(
        f"CASE WHEN is_object THEN json_extract_string(line, ?) END AS c{index}"
        for index in range(len(keys))
    )
    scan = (
        f"(SELECT line, is_object, {cells} FROM (SELECT line, "
        "json_valid(line) AND starts_with(ltrim(line), '{') AS is_object "
        f"FROM {lines} WHERE trim(line) <> ''))"
    )
    varchar = ("VARCHAR",) * len(keys)
    parameters = (*keys.values(), alias)
    return Table(
        source, connection, parameters, scan, tuple(keys), varchar, None, is_sound="is_object"
    )


def _some_keys(keys: dict[str, str], wanted: Collection[str]) -> dict[str, str]:
    """Return the keys that are wanted and the first of the others: each is work for every line."""
    first = {name: keys[name] for name in list(keys)[:MAX_OTHER_KEYS]}
    return first | {name: at for name, at in keys.items() if name.strip().casefold() in wanted}


def _parquet(source: Source, connection: duckdb.DuckDBPyConnection, alias: str) -> Table:
    scan = "read_parquet(?, hive_partitioning = false)"
    schema = connection.execute(f"DESCRIBE SELECT * FROM {scan}", [alias]).fetchall()
    names = [name for name, *_ in schema]
    cells = ", ".join(f"c{index}" for index in range(len(schema)))
    scan += f" AS cells({cells})"
    inside = (
        _inside(source.path) if any(kind.startswith("STRUCT(") for _, kind, *_ in schema) else {}
    )
    if inside:
        further = ", ".join(f"{sql} AS c{at}" for at, sql in enumerate(inside.values(), len(names)))
        scan = f"(SELECT *, {further} FROM {scan})"
        names += inside
        schema = connection.execute(f"DESCRIBE SELECT * FROM {scan}", [alias]).fetchall()
    notes = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [alias]).fetchall()
    said = dict(notes).get(EXTENT_KEY.encode())
    ((n_rows,),) = connection.execute(f"SELECT count(*) FROM {scan}", [alias]).fetchall()
    return Table(
        source,
        connection,
        (alias,),
        scan,
        tuple(names),
        tuple(sql_type for _, sql_type, *_ in schema),
        None if said is None else parse_extent(said.decode(errors="replace")),
        n_rows=n_rows,
    )


def _inside(path: Path) -> dict[str, str]:
    """Return what stands in the structs of a Parquet file, as `outer.inner`, and SQL for each."""
    import pyarrow
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError):
        return {}
    found = {}
    at_hand = [(field.name, f"c{at}", field.type, 1) for at, field in enumerate(schema)]
    for name, sql, kind, depth in at_hand:
        if depth > 1:
            found[name] = sql
        if pyarrow.types.is_struct(kind) and depth < _MAX_DEPTH:
            # By place: a name in a file never becomes SQL.
            at_hand += [
                (
                    f"{name}.{inner.name}",
                    f"struct_extract_at({sql}, {place})",
                    inner.type,
                    depth + 1,
                )
                for place, inner in enumerate(kind, start=1)
            ]
    return found


def _joined(tables: list[Table]) -> Table:
    """Return the tables of files as one, in their order; columns must be the same, in any order."""
    first = tables[0]
    if len(tables) == 1:
        return first
    other = next((table for table in tables if table.source.kind != first.source.kind), None)
    if other is not None:
        raise TraceError(
            f"{shown(other.source.path)} is {other.source.kind} and {shown(first.source.path)} "
            f"{first.source.kind}; parts of a trace must be of one kind: give a pattern that fits "
            "them alone, such as 'part-*.csv'"
        )
    tables = [_aligned(table, first) for table in tables]
    for table in tables:
        for what, same in (
            ("columns", table.columns == first.columns),
            ("types", all(map(_fit, table.types, first.types))),
        ):
            if not same:
                raise TraceError(
                    f"{shown(table.source.path)} has other {what} than {shown(first.source.path)}; "
                    "parts of a trace must have the same: give a pattern that fits them alone, such as "
                    "'part-*.csv'"
                )
    scans = " UNION ALL ".join(f"SELECT * FROM {table.scan}" for table in tables)
    return replace(
        first,
        scan=f"({scans})",
        parameters=tuple(alias for table in tables for alias in table.parameters),
        extent=None,
        parts=tuple(tables),
        n_rows=None if first.n_rows is None else sum(table.n_rows or 0 for table in tables),
    )


def _aligned(table: Table, first: Table) -> Table:
    """Return a table with its columns in the order of another's, where they are the same."""
    mine = {name.strip().casefold(): at for at, name in enumerate(table.columns)}
    theirs = [name.strip().casefold() for name in first.columns]
    if table.columns == first.columns or len(mine) < len(table.columns) or {*mine} != {*theirs}:
        return table
    order = tuple(mine[name] for name in theirs)
    cells = ", ".join(f"c{at} AS c{place}" for place, at in enumerate(order))
    return replace(
        table,
        scan=f"(SELECT {cells} FROM {table.scan})",
        columns=first.columns,
        types=tuple(table.types[at] for at in order),
        order=order,
    )


def _fit(mine: str, other: str) -> bool:
    """Return whether columns of two types are one: DuckDB takes the wider."""
    return mine == other or any({mine, other} <= alike for alike in _ALIKE)


def _with_counts(table: Table) -> Table:
    """Return a table with the token counts of its `response` column as further columns."""
    plain = [name.lower() for name in table.columns]
    if plain.count(RESPONSE) != 1:
        return table
    n_columns = len(plain)
    cell, sql_type = f"c{plain.index(RESPONSE)}", table.types[plain.index(RESPONSE)]
    if sql_type == "BLOB":
        cell = f"TRY(decode({cell}))"
    elif sql_type != "VARCHAR":
        cell = f"CAST(to_json({cell}) AS VARCHAR)"
    counts = counts_in(cell)
    new = {name: sql for name, sql in counts.items() if name not in plain}
    cells = ", ".join(f"{sql} AS c{n_columns + at}" for at, sql in enumerate(new.values()))
    return replace(
        table,
        scan=f"(SELECT *, {cells} FROM {table.scan})" if new else table.scan,
        columns=(*table.columns, *new),
        types=(*table.types, *("VARCHAR" for _ in new)),
    )


def _compression(source: Source) -> str:
    if source.packing is None or source.is_rewritten:
        return "none"
    return NAMES[source.packing]


@contextmanager
def _as_trace_errors(sources: Sequence[Source]) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        for source in sources:
            what = diagnose(source)
            if what is not None:
                raise TraceError(f"{shown(source.path)} {what}") from None
        source = sources[0]
        kind = {"csv": "CSV", "jsonl": "JSON lines", "json": "JSON", "parquet": "Parquet"}[
            source.kind
        ]
        if "invalid state" in str(error) and source.kind == "csv":
            raise Tangled(
                f"{shown(source.path)} cannot be read as CSV: its lines cannot be told apart; save "
                "it anew, each row on a line of its own"
            ) from None
        said = str(error).split("Possible fixes")[0].split("LINE 1:")[0]
        said = " ".join(re.sub(r"file '[^']*ptplan-[^']*'", "the file", said).split())[:300]
        raise TraceError(
            f"{shown(source.path)} cannot be read as {kind}: {shown(said)}; copy it again, or write it "
            "anew"
        ) from None
