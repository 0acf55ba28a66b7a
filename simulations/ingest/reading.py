"""Reading a trace: which file, which layout, what was kept, what was not and why.

`read` tells all of it; `load_trace` gives the requests alone. Nothing is dropped in silence:
rows read are always rows kept plus rows dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simulations.errors import TraceError
from simulations.ingest.bad_row import N_SHOWN, BadRow, count_bad_rows, show_bad_rows
from simulations.ingest.buckets import Bucket, bucket_named, bucket_notes, requests_of
from simulations.ingest.clock import DATES, DATES_AS_TEXT, Clock, is_number, numbers
from simulations.ingest.database import Table, Tangled, opened
from simulations.ingest.duplicates import count_duplicates
from simulations.ingest.formats import (
    AGGREGATE,
    AZURE,
    BAILIAN,
    BURSTGPT,
    ENDPOINT_USAGE,
    GATEWAY_TABLE,
    GATEWAY_USAGE,
    INFERENCE_TABLE,
    LEGACY_TABLE,
    MOONCAKE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    PTPLAN,
    REPLAY,
    SLOSIZER,
    VIDUR,
)
from simulations.ingest.layout import Layout, listed, mapped, position
from simulations.ingest.naming import recognise
from simulations.ingest.parts import parts_of
from simulations.ingest.rows import CHOSEN, Cells, Rows, extract, probe
from simulations.ingest.rules import FAILED, NO_OUTPUT
from simulations.ingest.served import (
    choose,
    count_served,
    is_served_entities,
    names_by_id,
    served_notes,
)
from simulations.ingest.shown import shown
from simulations.ingest.source import Source, identify
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import Trace

LAYOUTS = (
    SLOSIZER,
    PTPLAN,
    AZURE,
    VIDUR,
    BURSTGPT,
    BAILIAN,
    MOONCAKE,
    REPLAY,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ENDPOINT_USAGE,
    GATEWAY_USAGE,
    INFERENCE_TABLE,
    GATEWAY_TABLE,
    LEGACY_TABLE,
    AGGREGATE,
)
"""What is recognised without being told, in the order in which it is tried."""

FAR_S = 100_000_000_000
"""Seconds from 1970 to the year 5138: nobody's date, but any date since 1973 in milliseconds."""


LAST_S = 2**63 // 10**9
"""Seconds from 1970 to the last date that counts in nanoseconds, in 2262."""


@dataclass(frozen=True)
class Reading:
    """A trace with all that is to be said of how it was read.

    Args:
        trace: the requests kept.
        path: as given: a file, a folder or a pattern.
        format: the layout found.
        container: csv, jsonl (either also .gz, .zst) or parquet, told by content.
        rows_read: rows in the file; equals len(trace) plus the sum of `dropped`, unless rows are
            sums of requests.
        dropped: rows left out, by reason.
        bad_rows: the first few of them.
        notes: what was assumed or put right, one sentence each.
        parts: the files that were read, in their order.
    """

    trace: Trace
    path: Path
    format: str
    container: str
    rows_read: int
    dropped: Mapping[str, int]
    bad_rows: tuple[BadRow, ...]
    notes: tuple[str, ...]
    parts: tuple[Path, ...] = ()

    @property
    def rows_kept(self) -> int:
        """Rows that are requests, or sums of them."""
        return self.rows_read - sum(self.dropped.values())

    @cached_property
    def sha256(self) -> str:
        """Checksum of the file, of several one after the other; computed when first asked for."""
        digest = hashlib.sha256()
        for part in self.parts or (self.path,):
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()


def load_trace(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    on_bad: Literal["fail", "drop"] = "fail",
    time_unit: str | None = None,
    aggregate: str | None = None,
    served_by: str | None = None,
    served_entities: str | Path | None = None,
    seed: int = 0,
) -> Trace:
    """Return the requests of a file.

    Args:
        path: CSV, JSON lines (both also gzip, zstd) or Parquet, told by content; a folder or a
            pattern stands for its files, sorted by name. Never a URL.
        columns: which column is which (arrival, input, output, perhaps cached, status, served,
            requests) where the layout is none that is recognised.
        on_bad: refuse a file with bad rows, as a wrong trace buys the wrong capacity; or drop
            them, which `read` counts by reason.
        time_unit: of an arrival that is a number: ns, us, ms, s, min or h.
        aggregate: second, minute or hour where a row is the sum of that time, in which its
            requests are then spread at random.
        served_by: read only what was served by this endpoint, entity or model.
        served_entities: an export of `system.serving.served_entities`, for names; in a folder it
            is found.
        seed: of what is random.

    Raises:
        TraceError: the file is no trace, or a row of it is no request.

    >>> import tempfile
    >>> columns = {"arrival": "when", "input": "prompt", "output": "answer"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "log.csv")
    ...     _ = file.write_text("when,prompt,answer\\n7.5,100,20\\n7.0,300,5\\n")
    ...     load_trace(file, columns=columns).input_tokens.tolist()
    [300, 100]
    """
    return read(
        path,
        columns=columns,
        on_bad=on_bad,
        time_unit=time_unit,
        aggregate=aggregate,
        served_by=served_by,
        served_entities=served_entities,
        seed=seed,
    ).trace


def read(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    on_bad: Literal["fail", "drop"] = "fail",
    time_unit: str | None = None,
    aggregate: str | None = None,
    served_by: str | None = None,
    served_entities: str | Path | None = None,
    seed: int = 0,
    progress: Callable[[int], object] = lambda rows: None,
) -> Reading:
    """Return the requests of a file and how they were read. Arguments as `load_trace`.

    Args:
        progress: called now and then with the rows read so far.

    Raises:
        TraceError: the file is no trace, or a row of it is no request.

    >>> import tempfile
    >>> header = "arrived_at,num_prefill_tokens,num_decode_tokens"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "log.csv")
    ...     _ = file.write_text(f"{header}\\n0,9,1\\n2,0,1\\n")
    ...     reading = read(file, on_bad="drop")
    ...     reading.format, len(reading.trace), reading.dropped
    ('vidur', 1, {'input_tokens is 0': 1})
    """
    if on_bad not in ("fail", "drop"):
        raise TraceError(f"on_bad is {on_bad!r}; must be 'fail' or 'drop'")
    unit_clock = None if time_unit is None else numbers(time_unit)
    wish = _Wish(
        columns,
        on_bad,
        unit_clock,
        None if aggregate is None else bucket_named(aggregate),
        served_by,
        seed,
        progress,
    )
    parts = parts_of(path)
    # Whoever writes parts and has no rows for one leaves it empty.
    full = [part for part in parts if len(parts) == 1 or part.stat().st_size] or parts[:1]
    empty = [shown(part.name) for part in parts if part not in full] if full != parts else []
    sources = [identify(part) for part in full]
    names = (
        [] if served_entities is None else [identify(part) for part in parts_of(served_entities)]
    )
    layouts = [*LAYOUTS] if columns is None else [*LAYOUTS, mapped(columns)]
    wanted = {name.strip().casefold() for layout in layouts for name in layout.names}

    def read_all(sources: Sequence[Source]) -> Reading:
        with opened(sources, wanted=wanted, is_beside=is_served_entities) as table:
            beside = {apart.source.path for apart in table.beside}
            for source in names:
                if source.path not in beside:
                    raise TraceError(
                        f"{shown(source.path)} is no export of system.serving.served_entities: it "
                        "must have served_entity_id, change_time and endpoint_name"
                    )
            try:
                return _read(table, Path(path), wish)
            except Tangled as error:
                raise Tangled(f"{shown(path)}: {error}") from None
            except TraceError as error:
                raise TraceError(f"{shown(path)}: {error}") from None

    try:
        reading = read_all([*sources, *names])
    except Tangled:
        # Line ends of several kinds cost a copy; so they are looked for only when reading fails.
        reading = read_all(
            [replace(one, is_rewritten=one.kind != "parquet") for one in (*sources, *names)]
        )
    if empty:
        are = "file is" if len(empty) == 1 else "files are"
        note = f"{len(empty):,} {are} empty and passed over: {listed(empty)}"
        reading = replace(reading, notes=(*reading.notes, note))
    return reading


@dataclass(frozen=True, slots=True)
class _Wish:
    """How a file is to be read; as `read` takes it."""

    columns: Mapping[str, str] | None
    on_bad: str
    unit_clock: Clock | None
    bucket: Bucket | None
    served_by: str | None
    seed: int
    progress: Callable[[int], object]


def _read(table: Table, path: Path, wish: _Wish) -> Reading:
    if wish.columns is not None:
        layout = mapped(wish.columns)
    else:
        layout = recognise(table.columns, LAYOUTS if wish.bucket is None else [AGGREGATE])
    _refuse_other_rows(layout, wish)
    headers = [part.header for part in table.parts or (table,)]
    if all(header is not None and not header.has_rows for header in headers):
        raise TraceError("a header and no rows")
    cells, notes = _cells(table, layout, wish.unit_clock)
    cells, served = _chosen(table, layout, cells, wish.served_by)
    notes += served
    rows = extract(table, cells, n_examples=N_SHOWN, progress=wish.progress)
    output = repr(shown(layout.output_tokens))
    if layout.zero_output_failed and _is_all(rows, NO_OUTPUT):
        cells = replace(cells, zero_means_failed=("input_tokens", "output_tokens"))
        rows = extract(table, cells, n_examples=N_SHOWN, progress=wish.progress)
        if len(rows.arrival_ticks):
            notes.append(
                f"every {output} is 0: kept as normal, as it is of embeddings; beside rows with output "
                "it would mark a failed request"
            )
    elif layout.no_output_is_none and _is_all(rows, "output_tokens missing"):
        cells = replace(cells, blank_is_none=(*cells.blank_is_none, "output_tokens"))
        rows = extract(table, cells, n_examples=N_SHOWN, progress=wish.progress)
        notes.append(
            f"no row has an {output}: read as 0, as of embeddings; if the model writes text, this log "
            "does not hold what it wrote, and the load is higher than this trace"
        )
    dropped = count_bad_rows(table, rows)
    bad_rows = show_bad_rows(table, cells, rows)
    n_dropped = sum(dropped.values())
    rows_read = len(rows.arrival_ticks) + n_dropped
    if rows_read == 0:
        raise TraceError("no rows were found")
    failed = {rule.reason: count for rule, count in rows.broken if rule.kind == "failure"}
    sound = {rule.reason for rule, _ in rows.broken if rule.kind != "bad"}
    bad = {reason: count for reason, count in dropped.items() if reason not in sound}
    if bad and wish.on_bad == "fail":
        raise TraceError(
            f"{bad_rows[0]}. {_counted(rows_read, bad)} {_are(bad)} bad ({_listed(bad)}); mend them or "
            "leave them out with --on-bad drop"
        )
    if n_dropped == rows_read:
        first = f". The first: {bad_rows[0]}" if bad else ""
        are = f"{_are(dropped)} {'bad' if bad and not sound else 'left out'}"
        raise TraceError(
            f"no request is left; {_counted(rows_read, dropped)} {are} ({_listed(dropped)}){first}"
        )
    notes += _zone_notes(rows, repr(shown(layout.arrival)))
    notes += _failure_notes(rows_read, failed)
    notes += _text_notes(table)
    notes += _logging_notes(table, layout)
    end_ticks = None
    if wish.bucket is not None:
        notes += bucket_notes(rows.arrival_ticks, wish.bucket, wish.seed)
        rows, end_ticks = requests_of(rows, wish.bucket, seed=wish.seed)
    trace = _trace(table, path.name, cells, rows, notes, end_ticks)
    # Of requests that were drawn, equal ones say nothing.
    n_duplicates = 0 if wish.bucket else count_duplicates(trace)
    if n_duplicates:
        notes.append(
            f"exact duplicates: {n_duplicates:,} "
            f"{'request equals' if n_duplicates == 1 else 'requests equal'} another in arrival and all "
            "token counts; kept, as a coarse clock makes them too"
        )
    sources = [part.source for part in table.parts or (table,)]
    return Reading(
        trace,
        path,
        layout.name,
        " ".join(sorted({source.container for source in sources})),
        rows_read,
        dropped,
        bad_rows,
        tuple(notes),
        tuple(source.path for source in sources),
    )


def _cells(table: Table, layout: Layout, unit_clock: Clock | None) -> tuple[Cells, list[str]]:
    """Return which cells to read and how, and what was assumed about it."""
    where = [position(name, table.columns) for name in layout.required]
    arrival_cell, input_cell, output_cell = (f"c{index}" for index in where)
    optional = {
        field: f"c{position(name, table.columns)}"
        for field, name in layout.optional(table.columns).items()
    }
    sql_type = table.types[where[0]]
    as_number = unit_clock or numbers(layout.unit or "s")
    if is_number(sql_type):
        clocks = [as_number]
    elif sql_type == "VARCHAR":
        clocks = [as_number] if unit_clock else [as_number, DATES_AS_TEXT]
    else:
        clocks = [DATES]
    clock, zero = probe(table, arrival_cell, clocks) or (clocks[-1], 0)
    arrival = repr(shown(table.columns[where[0]]))
    notes = [layout.note] if layout.note else []
    if clock.has_date:
        if unit_clock is not None:
            raise TraceError(f"column {arrival} holds dates; a time unit is for numbers")
        if sql_type not in ("VARCHAR", "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"):
            notes.append(f"{arrival} has no time zone; read as UTC")
    elif unit_clock is None and layout.unit is None:
        if not layout.is_mapped:
            what = layout.unit_note or "not dates"
            raise TraceError(
                f"column {arrival} holds numbers, {what}; say their unit with --time-unit"
            )
        notes.append(f"{arrival} is a number; read as seconds, as no --time-unit was given")
    elif unit_clock is None and layout.unit_note is not None:
        notes.append(layout.unit_note)
    if not clock.has_date and zero > FAR_S * TICKS_PER_S:
        finer = (
            f"{arrival}, read as {clock.must_be}, is beyond the year 5000 if it counts from 1970"
        )
        if unit_clock is None:
            raise TraceError(
                f"{finer}; give --time-unit ms, us or ns, or s if it counts from another day"
            )
        notes.append(finer)
    cells = Cells(
        arrival_cell,
        input_cell,
        output_cell,
        clock,
        zero,
        cached_tokens=optional.get("cached_tokens"),
        thinking_tokens=optional.get("thinking_tokens"),
        status=optional.get("status"),
        zero_means_failed=("output_tokens",) if layout.zero_output_failed else (),
        blank_is_none=("cached_tokens", "thinking_tokens") if layout.blank_is_none else (),
        served_by=optional.get("served_by"),
        requests=optional.get("requests"),
        has_means=layout.has_means,
        since_1970=layout.since_1970,
    )
    return cells, notes


def _zone_notes(rows: Rows, arrival: str) -> list[str]:
    """Return what is to be said of dates as text that have no zone, or not all."""
    if not rows.n_zoneless:
        return []
    if not rows.n_zoned:
        return [f"{arrival} has no time zone; read as UTC"]
    return [
        f"{arrival} has a time zone in some rows only; in the others ({rows.n_zoneless:,} of "
        f"{rows.n_zoned + rows.n_zoneless:,}) it was read as UTC"
    ]


def _is_all(rows: Rows, reason: str) -> bool:
    """Return whether that is wrong with every request that is there and was answered."""
    if len(rows.arrival_ticks):
        return False
    others = [rule.kind for rule, _ in rows.broken if rule.reason != reason]
    return len(others) < len(rows.broken) and "bad" not in others


def _refuse_other_rows(layout: Layout, wish: _Wish) -> None:
    """Refuse sums that are read as requests, and requests that are read as sums."""
    if layout.requests is not None and wish.bucket is None:
        raise TraceError(
            f"column {shown(layout.requests)!r} counts the requests of a row; say how long a row lasts "
            "with --aggregate second, minute or hour"
        )
    if wish.bucket is not None:
        if layout.requests is None:
            raise TraceError(
                "--aggregate needs the column that counts the requests of a row: --columns "
                "arrival=..,requests=..,input=..,output=.. (or mean_input=.., mean_output=..)"
            )
        if layout.status is not None:
            raise TraceError("--aggregate: a sum has no status; leave status out of --columns")


def _chosen(
    table: Table, layout: Layout, cells: Cells, wanted: str | None
) -> tuple[Cells, list[str]]:
    """Return the cells with who is asked for, and what is to be said of who served the log."""
    names = names_by_id(table.beside)
    if cells.served_by is None:
        if wanted is not None:
            raise TraceError(
                "--served-by: no column says who served a row; name it with --columns served=NAME"
            )
        return cells, []
    served = count_served(table, cells.served_by, names)
    if wanted is None:
        return replace(cells, served_by=None), served_notes(served, names, [])
    chosen = choose(served, wanted)
    table.connection.execute(f"SET VARIABLE {CHOSEN} = ?::VARCHAR[]", [chosen])
    return cells, served_notes(served, names, chosen)


def _trace(
    table: Table,
    name: str,
    cells: Cells,
    rows: Rows,
    notes: list[str],
    end_ticks: int | None,
) -> Trace:
    """Return the rows kept as a trace: sorted, from tick 0, with span and date where known.

    Args:
        end_ticks: where the recording is known to end, after `Cells.zero`.
    """
    ticks = rows.arrival_ticks
    cached = rows.cached_tokens
    if cached is None:
        cached = np.zeros(len(ticks), np.int32)
    first = int(ticks.min())
    last = max(int(ticks.max()), end_ticks or 0)
    if last - first >= NEVER:
        raise TraceError("the first and the last arrival are more than 1.46 years apart")
    ticks -= first
    columns: list[Any] = [rows.input_tokens, cached, rows.output_tokens]
    n_back = int(np.count_nonzero(ticks[1:] < ticks[:-1]))
    if n_back:
        notes.append(f"steps back in time: {n_back:,}; the rows were sorted by arrival")
        order = np.argsort(ticks, kind="stable")
        ticks = ticks[order]
        for index, column in enumerate(columns):
            columns[index] = column[order]
    epoch_ns = None
    if cells.clock.has_date:
        epoch_ns = cells.zero + first // cells.clock.ticks_per_instant
    began = cells.zero * cells.clock.ticks_per_instant + first
    if cells.since_1970 and not cells.clock.has_date and 0 <= began < LAST_S * TICKS_PER_S:
        epoch_ns = began // DATES.ticks_per_instant
    span_ticks = last - first
    if table.extent is not None and not cells.clock.has_date:
        span_ticks = max(span_ticks, table.extent.span_ticks - began)
        if table.extent.epoch_ns is not None:
            epoch_ns = table.extent.epoch_ns + began // DATES.ticks_per_instant
    return Trace(ticks, columns[0], columns[1], columns[2], span_ticks, epoch_ns, name)


def _failure_notes(rows_read: int, failed: Mapping[str, int]) -> list[str]:
    """Return what failed requests mean for a trace that is without them."""
    if not failed:
        return []
    why = {reason.removeprefix(FAILED).strip("()"): count for reason, count in failed.items()}
    are = "is a failed request" if sum(failed.values()) == 1 else "are failed requests"
    notes = [
        f"{_counted(rows_read, failed)} {are} ({_listed(why)}) and left out: "
        "what they would have cost is not in the trace"
    ]
    if any("429" in reason for reason in failed):
        notes.append(
            "requests were throttled, and logs seldom hold all of them: the load that was offered "
            "is higher than this trace"
        )
    return notes


def _text_notes(table: Table) -> list[str]:
    """Return what is to be said of files that are not the text they should be."""
    return [
        f"{shown(source.path.name)} is not UTF-8; read as Latin-1: numbers and dates are the same in "
        "both, names may not be"
        for source in (part.source for part in table.parts or (table,))
        if source.encoding == "latin-1"
    ]


def _logging_notes(table: Table, layout: Layout) -> list[str]:
    """Return what a log of answers is known not to hold."""
    notes = []
    there = [name.lower() for name in table.columns]
    if layout.sampled in there:
        cell = f"c{there.index(layout.sampled)}"
        ((low, high),) = table.rows(
            f"SELECT min(fraction), max(fraction) FROM (SELECT TRY_CAST({cell} AS DOUBLE) AS "
            f"fraction FROM {table.scan}) WHERE fraction > 0"
        )
        if low is not None and low < 1:
            share = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            notes.append(
                f"{layout.sampled!r} is {share}: not every request was logged, and the load was up "
                f"to {1 / low:,.3g} times this trace"
            )
    if layout.payload is not None:
        cell = f"c{there.index(layout.payload)}"
        is_served = "true"
        if layout.status in there:
            status = f"c{there.index(layout.status)}"
            is_served = f"TRY_CAST({status} AS DOUBLE) BETWEEN 200 AND 299"
        ((n_null,),) = table.rows(
            f"SELECT count(*) FROM {table.scan} WHERE {is_served} "
            f"AND trim(coalesce(CAST({cell} AS VARCHAR), '')) IN ('', 'null')"
        )
        if n_null:
            notes.append(
                f"rows without {layout.payload!r}: {n_null:,}; answers above the size limit are not "
                "logged, so the longest requests may be missing"
            )
    return notes


def _counted(rows_read: int, dropped: Mapping[str, int]) -> str:
    return f"{sum(dropped.values()):,} of {rows_read:,} rows"


def _are(dropped: Mapping[str, int]) -> str:
    return "is" if sum(dropped.values()) == 1 else "are"


def _listed(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in dropped.items())
