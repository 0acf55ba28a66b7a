"""Rows that cannot be requests: how many for which reason, and the first of them as they stand.

Two kinds: what breaks one of `rules`, and lines of a CSV that DuckDB could not split.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulations.ingest.csv_text import line_of
from simulations.ingest.database import Table
from simulations.ingest.json_lines import number_of_line
from simulations.ingest.rows import Cells, Rows, cell_of
from simulations.ingest.rules import LINE, Rule
from simulations.ingest.shown import shown

N_SHOWN = 5
"""Bad rows that are shown; all are counted."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be a request.

    Args:
        place: `line` of the file, counted from 1, or `row` where a file has no lines.
        number: of the line or row.
        said: field and value.
        reason: under which it is counted.
        must: what would be right.
        file: its name, where there are several.
    """

    place: str
    number: int
    said: str
    reason: str
    must: str
    file: str = ""

    def __str__(self) -> str:
        where = f"{self.place} {self.number}"
        if self.file:
            where = f"{self.file} {where}"
        return f"{where}: {self.said}; {self.must}"


def count_bad_rows(table: Table, rows: Rows) -> dict[str, int]:
    """Return the number of bad rows by reason."""
    counts = {rule.reason: count for rule, count in rows.broken}
    return counts | table.rejected() if table.is_text else counts


def show_bad_rows(table: Table, cells: Cells, rows: Rows) -> tuple[BadRow, ...]:
    """Return the first bad rows in the order of the file."""
    parts = table.parts or (table,)
    names = [shown(part.source.path.name) if table.parts else "" for part in parts]
    found = []
    for ordinal, rule in rows.first_broken:
        part, at = table.row(ordinal)
        place = parts.index(part)
        found.append((place, _bad_row(part, cells, at, rule, names[place])))
    if table.is_text:
        must = "must be one JSON object" if table.header is None else "must have one cell a column"
        for place, part in enumerate(parts):
            for line, text, reason in part.first_rejected(N_SHOWN):
                said = repr(shown(text))
                found.append((place, BadRow("line", line, said, reason, must, names[place])))
    found.sort(key=lambda one: (one[0], one[1].number))
    return tuple(bad for _, bad in found[:N_SHOWN])


def _bad_row(table: Table, cells: Cells, ordinal: int, rule: Rule, file: str) -> BadRow:
    where = ("row", ordinal + 1)
    if table.source.kind == "jsonl":
        number = number_of_line(table.source, ordinal)
        where = where if number is None else ("line", number)
    if rule.subject == LINE:
        text = repr(shown(cell_of(table, LINE, ordinal)))
        return BadRow(*where, text, rule.reason, rule.must, file)
    cell = cells.of(rule.subject)
    index = int(cell[1:])
    value = cell_of(table, cell, ordinal)
    if table.header is not None:
        line = line_of(table.source, table.header, ordinal)
        at = index if table.order is None else table.order[index]
        # Only if the line says the same; otherwise lines were counted differently. Cells that
        # were computed are on no line.
        if line is not None and (at >= len(line[1]) or (line[1][at] or None) == value):
            where = ("line", line[0])
    name = table.columns[index]
    column = "" if name == rule.subject else f" (column {shown(name)!r})"
    said = "empty" if value is None else repr(shown(value))
    return BadRow(*where, f"{rule.subject}{column} is {said}", rule.reason, rule.must, file)
