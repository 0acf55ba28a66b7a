"""What kind of file this is, told by its first bytes and never by its name.

It opens, looks at the head and closes; it knows neither DuckDB nor what columns mean.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulations.errors import TraceError
from simulations.ingest.packing import NAMES, Packing, packing_of, unpacked
from simulations.ingest.shown import shown

HEAD_BYTES = 1 << 20
"""How much of a file is looked at: comments and header must end within the first MiB."""

Kind = Literal["csv", "jsonl", "parquet"]

_SERVEGEN = "is a ServeGen client, a generator's input and no trace; draw requests from it first"

_NUMBER = rb"-?[\d.]+([eE][+-]?\d+)?"

_NOT_A_TRACE = (
    (rb"%b,%b,(%b)?,(Gamma|Weibull)?,(%b)?,(%b)?\r?\n" % ((_NUMBER,) * 5), _SERVEGEN),
    (rb'\s*\{\s*"\d+"\s*:\s*\{\s*"input_tokens"\s*:\s*"\{', _SERVEGEN),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the data; fetch it with `git lfs pull`"),
    (rb"PK\x03\x04|PK\x05\x06", "is a zip archive (or a spreadsheet); unpack it first"),
    (rb"BZh[1-9]", "is bzip2-compressed; unpack it first"),
    (rb"\xfd7zXZ\x00", "is xz-compressed; unpack it first"),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; unpack it first"),
    (rb"\xff\xfe|\xfe\xff", "is UTF-16 text; save it as UTF-8"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)", "is an HTML or XML page, not a table"),
    (rb"(\xef\xbb\xbf)?\s*(\[|\{\s*[\r\n])", "is one JSON document; write one object a line (JSONL)"),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it first"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read: where it is, how it is packed, how it begins.

    Args:
        path: as given.
        kind: told by content.
        packing: how it is compressed; None for Parquet, which packs itself.
        head: the first bytes, unpacked; empty for Parquet.
    """

    path: Path
    kind: Kind
    packing: Packing | None
    head: bytes

    @property
    def container(self) -> str:
        """Kind and packing in a word: csv, csv.gz, jsonl.zst."""
        return self.kind if self.packing is None else f"{self.kind}.{self.packing}"


def identify(path: str | Path) -> Source:
    """Return what kind of file a path holds.

    Raises:
        TraceError: there is no such file, or it is none that holds a trace; the text names it
            for what it is.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "so-called.parquet")
    ...     _ = file.write_text("arrival_s,input_tokens,output_tokens\\n0,1,1\\n")
    ...     identify(file).container
    'csv'
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise TraceError(f"{shown(path)} is a directory")
        if not stat.S_ISREG(mode):
            raise TraceError(f"{shown(path)} is not a regular file; save the trace to one first")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise TraceError(f"{shown(path)}: there is no such file") from None
    except OSError as error:
        raise TraceError(f"{shown(path)} cannot be opened: {error.strerror}") from None
    if head.startswith(b"PAR1"):
        return Source(path, "parquet", None, b"")
    packing = packing_of(head)
    if packing is not None:
        try:
            with unpacked(path, packing) as file:
                head = file.read(HEAD_BYTES)
        except TraceError as error:
            raise TraceError(f"{shown(path)} {error}") from None
        if head.startswith(b"PAR1"):
            raise TraceError(f"{shown(path)} is Parquet inside {NAMES[packing]}; unpack it first")
    if not head.strip():
        raise TraceError(f"{shown(path)} is empty")
    for pattern, what in _NOT_A_TRACE:
        if re.match(pattern, head):
            raise TraceError(f"{shown(path)} {what}")
    if b"\x00" in head:
        raise TraceError(
            f"{shown(path)} is binary; CSV, JSONL (both also gzip, zstd) and Parquet are read"
        )
    kind: Kind = "jsonl" if re.match(rb"(\xef\xbb\xbf)?\s*\{", head) else "csv"
    return Source(path, kind, packing, head)


def diagnose(source: Source) -> str | None:
    """Return what is wrong with a file that DuckDB could not read, or None if it looks whole."""
    if source.kind == "parquet":
        with source.path.open("rb") as file:
            if file.seek(0, 2) < 12 or (file.seek(-4, 2), file.read())[1] != b"PAR1":
                return "is a truncated Parquet file; copy it again"
    return None
