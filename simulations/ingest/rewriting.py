"""A text that DuckDB cannot take as it lies, written anew: UTF-8, unpacked, line ends of one kind.

Rows, cells and line numbers stay what they were. JSON that is not in lines goes this way to be seen
to its end. It knows texts, not what is in them.
"""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import IO

from simulations.errors import TraceError
from simulations.ingest.packing import blocks_of
from simulations.ingest.shown import shown
from simulations.ingest.source import Source


def rewrite(source: Source, path: Path) -> None:
    """Write what a source holds to a file of its own.

    Raises:
        TraceError: it cannot be read to its end, or there is no room.
    """
    # What is no text stays as it is, to be found and counted with the row it is in.
    errors = "surrogateescape" if source.encoding.startswith("utf-8") else "replace"
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder(source.encoding)(errors), translate=True
    )
    try:
        with path.open("w", encoding="utf-8", errors=errors, newline="\n") as file:
            end = ""
            for block in blocks_of(source.path, source.packing):
                end = _write(file, decoder.decode(block)) or end
            end = _write(file, decoder.decode(b"", final=True)) or end
    except TraceError as error:
        raise TraceError(f"{shown(source.path)} {error}") from None
    except OSError as error:
        raise TraceError(
            f"{shown(source.path)} cannot be written anew in {path.parent}: {error.strerror}"
        ) from None
    # DuckDB takes an array that is cut off between two elements for a whole one.
    if source.kind == "json" and source.head.lstrip().startswith("[") and end != "]":
        raise TraceError(f"{shown(source.path)} is a truncated JSON document; copy it again")


def _write(file: IO[str], text: str) -> str:
    """Return the last character that is no white space."""
    file.write(text)
    return text.rstrip()[-1:]
