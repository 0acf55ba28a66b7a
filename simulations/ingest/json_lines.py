"""JSON as text: which keys their objects have, and on which line of the file a row stands.

The values are read by DuckDB; this is what it is told beforehand and what it cannot tell.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from simulations.errors import TraceError
from simulations.ingest.packing import unpacked
from simulations.ingest.shown import shown
from simulations.ingest.source import Source

N_LOOKED_AT = 1000
"""Objects that are asked for their keys; not every object has all."""

MAX_LINE_BYTES = 1 << 23
"""Longer lines are counted as bad (8 MiB)."""

_MAX_DEPTH = 4

_WRAPPERS = {"data", "items", "records", "requests", "results", "rows", "value", "values"}
"""Keys under which services answer with rows."""


def read_keys(source: Source) -> dict[str, str]:
    """Return the keys of the first objects and their JSON pointers; nested ones as `outer.inner`.

    Raises:
        TraceError: no line of the first MiB is an object.
    """
    keys: dict[str, str] = {}
    values = _elements(source.head) if source.kind == "json" else _lines(source.head)
    objects = [value for value in islice(values, N_LOOKED_AT) if isinstance(value, dict)]
    for value in objects:
        keys.update(_keys(value, "", "", _MAX_DEPTH))
    if not objects:
        where = "no line of it is" if source.kind == "jsonl" else "it does not begin with"
        raise TraceError(f"{shown(source.path)} begins like JSON, but {where} an object")
    if len(objects) == 1:
        _refuse_wrapped(source, objects[0])
    return keys


def _refuse_wrapped(source: Source, value: Mapping[str, Any]) -> None:
    """Refuse one object that has the rows inside."""
    for name in value.keys() & _WRAPPERS:
        inner = value[name]
        if (
            isinstance(inner, list)
            and inner
            and isinstance(inner[0], dict)
            and "usage" not in value
        ):
            raise TraceError(
                f"{shown(source.path)} is one JSON object with its rows in {name!r}; take them out, "
                f"as `jq .{name}` does"
            )


def _lines(text: str) -> Iterator[Any]:
    """Yield what the lines hold that are JSON."""
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            yield json.loads(line)


def _elements(text: str) -> Iterator[Any]:
    """Yield the elements of an array, or values that follow each other, up to what is cut off."""
    decoder = json.JSONDecoder()
    at = re.compile(r"\s*\[?\s*").match(text).end()  # type: ignore[union-attr]
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield value
        at = re.compile(r"\s*,?\s*").match(text, at).end()  # type: ignore[union-attr]


def number_of_line(source: Source, ordinal: int) -> int | None:
    """Return the line number of a row, counted from 1, or None if it cannot be followed so far.

    Args:
        ordinal: of the lines that are not blank, counted from 0.
    """
    seen = -1
    try:
        with unpacked(source.path, source.packing) as raw:
            text = io.TextIOWrapper(raw, source.encoding, errors="surrogateescape", newline=None)
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
