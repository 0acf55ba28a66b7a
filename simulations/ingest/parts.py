"""Which files a path stands for: itself, the files of a folder, or those that fit a pattern.

A file that is there is never taken for a pattern. It knows names only, never contents.
"""

from __future__ import annotations

import glob
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
            inside = (part for part in path.iterdir() if not part.name.startswith((".", "_")))
            parts = sorted(part for part in inside if part.is_file())
            what = "is a folder without files"
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
        raise TraceError(f"{shown(path)} stands for {len(parts):,} files; at most {MAX_PARTS:,}")
    return parts
