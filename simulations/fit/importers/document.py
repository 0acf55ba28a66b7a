"""A file as one JSON document, as JSON lines, or as a table; whichever it is, as plain data with a known origin.

Numbers and texts of a document are whatever a file says: `number` and its kin refuse what they are not, with the
file and the place in the text of the error.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulations.errors import MeasurementError, TraceError
from simulations.fit.measurement import FloatArray, Origin
from simulations.ingest.database import opened
from simulations.ingest.packing import packing_of, unpacked
from simulations.ingest.shown import shown
from simulations.ingest.source import identify

MOST_BYTES = 1 << 28
"""A larger JSON document is refused; load generators write a few MB (256 MiB)."""


@dataclass(frozen=True)
class Document:
    """What a file holds.

    Args:
        path: of it.
        sha256: of its bytes.
        objects: of a JSON document the one, of JSON lines all; empty for a table.
        columns: of a table, by their plain names (lower case); cells are texts or None.
        is_lines: whether it is JSON lines.
    """

    path: Path
    sha256: str
    objects: tuple[Mapping[str, Any], ...] = ()
    columns: Mapping[str, list[str | None]] | None = None
    is_lines: bool = False

    @property
    def first(self) -> Mapping[str, Any]:
        """The first object, empty for a table."""
        return self.objects[0] if self.objects else {}

    def origin(self, tool: str, version: object = "") -> Origin:
        """Return where a measurement of this file comes from."""
        return Origin(str(self.path), tool, shown(str(version))[:40], self.sha256)

    def error(self, text: str) -> MeasurementError:
        """Return an error with the file's name before it."""
        return MeasurementError(f"{shown(self.path)}: {text}")


def read_document(path: Path) -> Document:
    """Return what a file holds.

    Raises:
        MeasurementError: there is no such file, it breaks off, or it is none of the three.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise MeasurementError(f"{shown(path)}: there is no such file") from None
    except OSError as error:
        raise MeasurementError(f"{shown(path)} cannot be read: {error.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise MeasurementError(f"{shown(path)} is larger than {MOST_BYTES >> 20} MiB")
    if not raw.strip():
        raise MeasurementError(f"{shown(path)} is empty")
    digest = hashlib.sha256(raw).hexdigest()
    packing = packing_of(raw[:16])
    if packing is not None:
        try:
            with unpacked(path, packing) as file:
                raw = file.read(MOST_BYTES + 1)
        except (OSError, TraceError, EOFError) as error:
            raise MeasurementError(f"{shown(path)} cannot be unpacked: {shown(error)}") from None
        if len(raw) > MOST_BYTES:
            raise MeasurementError(f"{shown(path)} unpacks to more than {MOST_BYTES >> 20} MiB")
    text = raw.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] in (b"{", b"["):
        return _json(path, raw, digest)
    return _table(path, digest)


def _json(path: Path, raw: bytes, digest: str) -> Document:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MeasurementError(f"{shown(path)} is not UTF-8 (byte {error.start})") from None
    try:
        whole = json.loads(text)
    except RecursionError:
        raise MeasurementError(f"{shown(path)} is nested too deeply") from None
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        found = []
        for at, line in enumerate(lines, start=1):
            try:
                one = json.loads(line)
            except (ValueError, RecursionError):
                if at == 1:
                    raise MeasurementError(
                        f"{shown(path)} begins like JSON and breaks off: {shown(error)}; is it whole?"
                    ) from None
                raise MeasurementError(
                    f"{shown(path)}: line {at} is no JSON; is the file whole?"
                ) from None
            if not isinstance(one, dict):
                raise MeasurementError(f"{shown(path)}: line {at} is no JSON object") from None
            found.append(one)
        return Document(path, digest, tuple(found), is_lines=True)
    if isinstance(whole, list):
        if not whole or not all(isinstance(one, dict) for one in whole):
            raise MeasurementError(f"{shown(path)} is a JSON list, but not of objects")
        return Document(path, digest, tuple(whole), is_lines=True)
    if not isinstance(whole, dict):
        raise MeasurementError(f"{shown(path)} is JSON, but no object")
    return Document(path, digest, (whole,), is_lines="\n" not in text.strip())


def _table(path: Path, digest: str) -> Document:
    try:
        with opened([identify(path)]) as table:
            cells = ", ".join(f"CAST(c{at} AS VARCHAR)" for at in range(len(table.columns)))
            rows = table.rows(f"SELECT {cells} FROM {table.scan} WHERE {table.is_sound}")
            columns = [name.strip().lower() for name in table.columns]
    except TraceError as error:
        raise MeasurementError(str(error)) from None
    if len(set(columns)) < len(columns):
        columns = [
            name if columns.index(name) == at else f"{name}.{at}" for at, name in enumerate(columns)
        ]
    held: dict[str, list[str | None]] = {name: [] for name in columns}
    for row in rows:
        for name, cell in zip(columns, row, strict=True):
            held[name].append(cell)
    return Document(path, digest, columns=held)


def number(value: object) -> float:
    """Return a number of a document, or NaN for what is none, is blank or is not finite.

    >>> number("3.5"), number(True), number(None)
    (3.5, nan, nan)
    """
    if isinstance(value, bool) or value is None:
        return math.nan
    if isinstance(value, int | float | str):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            return math.nan
        return found if math.isfinite(found) else math.nan
    return math.nan


def numbers(values: object, n: int) -> FloatArray:
    """Return a list of a document as float[n]; NaN where it holds no number, all NaN where it is no list."""
    if not isinstance(values, list) or len(values) != n:
        return np.full(n, np.nan)
    return np.array([number(value) for value in values])


def whole(values: FloatArray) -> npt.NDArray[np.int64]:
    """Return numbers as counts; what is none becomes -1."""
    return np.where(np.isnan(values), -1, np.round(np.nan_to_num(values))).astype(np.int64)


def at(mapping: object, *keys: str) -> Any:
    """Return what lies under nested keys, or None.

    >>> at({"a": {"b": 1}}, "a", "b"), at({"a": 1}, "a", "b")
    (1, None)
    """
    for key in keys:
        if not isinstance(mapping, Mapping):
            return None
        mapping = mapping.get(key)
    return mapping
