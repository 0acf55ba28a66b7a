"""JSON lines as text: which keys their objects have, and on which line of the file a row stands.

The values are read by DuckDB; this is what it is told beforehand and what it cannot tell.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from simulations.errors import TraceError
from simulations.ingest.packing import unpacked
from simulations.ingest.shown import shown
from simulations.ingest.source import HEAD_BYTES, Source

N_LOOKED_AT = 1000
"""Objects that are asked for their keys; not every object has all."""

MAX_LINE_BYTES = 1 << 23
"""Longer lines are counted as bad (8 MiB)."""

_MAX_DEPTH = 4


def read_keys(source: Source) -> dict[str, str]:
    """Return the keys of the first objects and their JSON pointers; nested ones as `outer.inner`.

    Raises:
        TraceError: no line of the first MiB is an object.
    """
    lines = source.head.decode("utf-8-sig", errors="replace").splitlines()
    if len(source.head) == HEAD_BYTES and len(lines) > 1:
        del lines[-1]
    keys: dict[str, str] = {}
    found = False
    for line in lines[:N_LOOKED_AT]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found = True
            keys.update(_keys(value, "", "", _MAX_DEPTH))
    if not found:
        raise TraceError(f"{shown(source.path)} begins like JSON, but no line of it is an object")
    return keys


def number_of_line(source: Source, ordinal: int) -> int | None:
    """Return the line number of a row, counted from 1, or None if it cannot be followed so far.

    Args:
        ordinal: of the lines that are not blank, counted from 0.
    """
    seen = -1
    try:
        with unpacked(source.path, source.packing) as raw:
            text = io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline=None)
            for number, line in enumerate(text, start=1):
                # Lines that were rejected are no rows.
                seen += line.strip(" \n") != "" and _is_accepted(line)
                if seen == ordinal:
                    return number
    except (OSError, TraceError):
        return None
    return None


def _is_accepted(line: str) -> bool:
    try:
        return len(line.encode()) <= MAX_LINE_BYTES
    except UnicodeEncodeError:
        return False


def _keys(
    value: Mapping[str, Any], name: str, pointer: str, depth: int
) -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        at = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        yield f"{name}{key}", at
        if isinstance(inner, dict) and depth > 1:
            yield from _keys(inner, f"{name}{key}.", at, depth - 1)
