"""A CSV as text: its header, its separator, and on which line of the file a row stands.

The cells are read by DuckDB; this is what it is told beforehand and what it cannot tell.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from dataclasses import dataclass

from simulations.errors import TraceError
from simulations.ingest.extent import Extent, parse_extent
from simulations.ingest.packing import unpacked
from simulations.ingest.shown import shown
from simulations.ingest.source import Source

SEPARATORS = ",\t;|"

N_VALUES_OF_A_ROW = 3
"""So many numbers or dates in what should be a header: an arrival and two counts."""


@dataclass(frozen=True, slots=True)
class Header:
    """Where the rows of a CSV begin and what its columns are called.

    Args:
        columns: names as written, outer spaces removed.
        separator: one of `SEPARATORS`.
        n_lines: lines up to and including the header; comments (`#`) and blank lines count.
        extent: what the comment line of our own files says, else None.
        has_rows: something other than white space follows.
    """

    columns: tuple[str, ...]
    separator: str
    n_lines: int
    extent: Extent | None
    has_rows: bool


def read_header(source: Source) -> Header:
    """Return the header of a CSV.

    Raises:
        TraceError: the first MiB holds no header.
    """
    # Line ends as DuckDB counts them; str.splitlines would also split at other characters.
    lines = source.head.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    extent = None
    for number, line in enumerate(lines, start=1):
        # Spreadsheets tell each other the separator in a line before the header.
        if number == 1 and re.fullmatch(rf"sep=[{SEPARATORS}]", line.strip(" "), re.IGNORECASE):
            continue
        if line.startswith("#"):
            extent = extent or parse_extent(line.removeprefix("#"))
        elif line.strip():
            try:
                separator = max(SEPARATORS, key=lambda mark: len(_cells(line, mark)))
                names = tuple(name.strip() for name in _cells(line, separator))
            except csv.Error as error:
                raise TraceError(
                    f"{shown(source.path)}: line {number} is no header: {error}"
                ) from None
            values = [_is_value(name) for name in names if name]
            if all(values) or sum(values) >= N_VALUES_OF_A_ROW:
                raise TraceError(
                    f"{shown(source.path)}: line {number} is a row, not a header: "
                    f"{shown(line)!r}; put a line with the names of the columns before it, such as "
                    f"arrival_s{separator}input_tokens{separator}output_tokens for seconds (numbers "
                    "are no names)"
                )
            has_rows = any(rest.strip() for rest in lines[number:])
            return Header(names, separator, number, extent, has_rows)
    raise TraceError(f"{shown(source.path)} holds no header: blank lines and comments only")


def line_of(source: Source, header: Header, ordinal: int) -> tuple[int, list[str]] | None:
    """Return line number and cells of a row, or None if the file cannot be followed so far.

    Args:
        ordinal: of the rows with the right number of cells, counted from 0.
    """
    width = len(header.columns)
    try:
        with unpacked(source.path, source.packing) as raw:
            file = io.TextIOWrapper(raw, encoding=source.encoding, errors="replace", newline=None)
            skipped = itertools.islice(file, header.n_lines)
            n_lines = sum(1 for _ in skipped)
            rows = csv.reader(file, delimiter=header.separator)
            seen = 0
            for row in rows:
                if len(row) == width or (len(row) == width + 1 and not row[-1]):
                    if seen == ordinal:
                        return n_lines + rows.line_num, row
                    seen += 1
    except (csv.Error, OSError, TraceError):
        return None
    return None


def _is_value(name: str) -> bool:
    """Return whether a name is a number or a date, as rows hold and headers do not."""
    return re.fullmatch(r"[-+]?[\d.,]+([eE][-+]?\d+)?|\d{4}-\d\d-\d\d.*", name) is not None


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])
