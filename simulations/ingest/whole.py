"""A file that appears whole or not at all. Knows no formats."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from simulations.errors import TraceError
from simulations.ingest.shown import shown

GZIP_LEVEL = 4
"""Three times as fast as the default of 6, for files that are 4 % larger."""


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that takes its name only when all is written; gzipped if the name says so."""
    if not path.name:
        raise TraceError(f"{shown(path)} cannot be written: Is a directory")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as raw:
            if path.name.endswith(".gz"):
                with gzip.GzipFile(
                    "", "wb", compresslevel=GZIP_LEVEL, fileobj=raw, mtime=0
                ) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
        unfinished.replace(path)
    except OSError as error:
        raise TraceError(f"{shown(path)} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()
