"""What `ptplan convert` does: a trace that was read goes out in another format, and what is lost is said.

Neither reads nor prints; the formats are `simulations.ingest.exporting`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.line import one_line
from reports import numbers
from simulations.errors import InputError
from simulations.ingest import EXPORTS, Reading, export_trace


def require_format(to: str) -> None:
    """Refuse a format that cannot be written, before anything is read.

    >>> require_format("mooncake")
    """
    if to not in EXPORTS:
        raise InputError(f"--to is {to!r}; must be one of {', '.join(EXPORTS)}")


def convert(reading: Reading, out: Path, *, to: str) -> dict[str, Any]:
    """Write what was read in another format and return what became of it, as plain data.

    Raises:
        InputError: the file would replace what was read.

    >>> import tempfile
    >>> from simulations.ingest import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "log.csv")
    ...     _ = file.write_text("Timestamp,Request tokens,Response tokens\\n5,9,0\\n6,7,1\\n")
    ...     data = convert(read(file), Path(folder, "log.vidur"), to="vidur")
    >>> data["requests"], data["lost"]
    (1, ['rows of the log that are not requests: failed request (no output): 1'])
    """
    for part in reading.parts:
        if out.exists() and part.exists() and out.samefile(part):
            raise InputError(f"{out} is what is read; give --out another name")
    done = export_trace(reading.trace, out, to=to)
    lost = list(done.lost)
    if reading.dropped:
        reasons = ", ".join(
            f"{one_line(reason)}: {numbers.count(n)}" for reason, n in reading.dropped.items()
        )
        lost.append(f"rows of the log that are not requests: {reasons}")
    return {
        "path": str(out),
        "format": done.format,
        "requests": done.requests,
        "from": {"path": str(reading.path), "format": reading.format, "sha256": reading.sha256},
        "rows_read": reading.rows_read,
        "dropped": dict(reading.dropped),
        "lost": lost,
        "notes": list(done.notes),
        "warnings": [one_line(note) for note in reading.notes],
    }


def sentences(data: Mapping[str, Any]) -> list[str]:
    """Return what became of a trace, a line each."""
    source = data["from"]
    return [
        f"written: {data['path']}, {numbers.counted(data['requests'], 'request')} as "
        f"{data['format']}, from {source['path']} ({source['format']})",
        *(f"lost: {sentence}" for sentence in data["lost"] or ["nothing"]),
        *(f"note: {sentence}" for sentence in data["notes"]),
    ]
