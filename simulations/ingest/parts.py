"""Which files a path stands for: itself, those in a folder at any depth, or those that fit a pattern.

A file that is there is never taken for a pattern. It knows names only, never contents.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from simulations.errors import TraceError
from simulations.ingest.shown import shown

MAX_PARTS = 10_000


def parts_of(path: str | Path) -> list[Path]:
    """Return the files a path stands for, sorted by name.

    In folders, names that begin with a dot or an underscore are passed over: what writes parts
    keeps its own notes in them.

    Raises:
        TraceError: a folder without files, a pattern that nothing fits, or far too many.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("part-1.csv", "part-0.csv", "_SUCCESS"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in parts_of(folder)]
    ['part-0.csv', 'part-1.csv']
    """
    path = Path(path)
    try:
        if path.is_dir():
            if (path / "_delta_log").is_dir():
                raise TraceError(
                    f"{shown(path)} is a Delta table, whose files hold rows that are no longer in it; "
                    "export its rows to a folder of their own"
                )
            parts = sorted(islice(_files_in(path), MAX_PARTS + 1))
            what = "is a folder without files (names that begin with . or _ are passed over)"
        elif not path.exists() and glob.has_magic(str(path)):
            parts = sorted(Path(name) for name in glob.glob(str(path)))  # noqa: PTH207
            parts = [part for part in parts if part.is_file()]
            what = "fits no file"
        else:
            return [path]
    except OSError as error:
        raise TraceError(f"{shown(path)} cannot be opened: {error.strerror}") from None
    if not parts:
        raise TraceError(f"{shown(path)} {what}")
    if len(parts) > MAX_PARTS:
        raise TraceError(f"{shown(path)} stands for more than {MAX_PARTS:,} files")
    return parts


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and those in it, each folder once however it is linked."""
    seen: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place).resolve()
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        files = (Path(place, name) for name in names if not name.startswith((".", "_")))
        yield from (file for file in files if file.is_file())
