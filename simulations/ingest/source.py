"""What kind of file this is, told by its first bytes and never by its name.

It opens, looks at the head and closes; it knows neither DuckDB nor what columns mean.
"""

from __future__ import annotations

import json
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

Kind = Literal["csv", "jsonl", "json", "parquet"]

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
    (rb"\x04\x22\x4d\x18|\xff\x06\x00\x00sNaPpY", "is compressed with lz4 or snappy; unpack it first"),
    (rb"(\xef\xbb\xbf)?\s*<", "is an HTML or XML page, not a table"),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it first"),
    (rb"%PDF-", "is a PDF, not a table; export the rows as CSV"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel file; save it as CSV"),
    (rb"SQLite format 3\x00", "is an SQLite database; export the rows as CSV"),
    (rb"ARROW1|ORC|Obj\x01|\x89HDF|\x93NUMPY", "is Arrow, ORC, Avro, HDF5 or NumPy; write it as Parquet"),
    (rb"\x7fELF|MZ\x90|\xcf\xfa\xed\xfe", "is a program, not a table"),
)  # fmt: skip

_MARKS = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}
"""How texts begin that say their encoding."""

_ADDRESS = re.compile("[a-z][a-z0-9+]+:/", re.IGNORECASE)

_NEVER_IN_TEXT = re.compile("[\x00-\x08\x0e-\x19\x1c-\x1f]")
"""Characters that no header begins with; further on, somebody's prompt may hold them."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read: where it is, how it is packed, how it begins.

    Args:
        path: as given.
        kind: told by content.
        packing: how it is compressed; None for Parquet, which packs itself.
        head: the beginning of a text, unpacked; empty for Parquet.
        encoding: of the text.
        is_rewritten: whether it is read from a copy in UTF-8 with line ends of one kind.
    """

    path: Path
    kind: Kind
    packing: Packing | None
    head: str
    encoding: str = "utf-8"
    is_rewritten: bool = False

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
        hint = "; an address is not read: download it first" if _ADDRESS.match(str(path)) else ""
        raise TraceError(f"{shown(path)}: there is no such file{hint}") from None
    except OSError as error:
        raise TraceError(f"{shown(path)} cannot be opened: {error.strerror}") from None
    if head.startswith(b"PAR1"):
        return Source(path, "parquet", None, "")
    packing = packing_of(head)
    if packing is not None:
        try:
            with unpacked(path, packing) as file:
                head = file.read(HEAD_BYTES)
        except TraceError as error:
            raise TraceError(f"{shown(path)} {error}") from None
        if head.startswith(b"PAR1"):
            raise TraceError(f"{shown(path)} is Parquet inside {NAMES[packing]}; unpack it first")
        inner = packing_of(head)
        if inner is not None:
            raise TraceError(
                f"{shown(path)} is {NAMES[inner]} inside {NAMES[packing]}; unpack it once"
            )
    if not head.strip():
        raise TraceError(f"{shown(path)} is empty")
    for pattern, what in _NOT_A_TRACE:
        if re.match(pattern, head):
            raise TraceError(f"{shown(path)} {what}")
    text, encoding = _decoded(head)
    if "\x00" in text or _NEVER_IN_TEXT.search(text[:64]):
        raise TraceError(
            f"{shown(path)} is binary; CSV, JSON (both also gzip, zstd) and Parquet are read"
        )
    if not text.strip():
        raise TraceError(f"{shown(path)} is empty")
    kind = _kind(text)
    if kind != "csv" and encoding == "latin-1":
        # JSON is UTF-8; lines that are not are counted.
        text, encoding = head.decode(errors="replace"), "utf-8"
    # JSON lines are split at each kind of line end, but not at all of them in one file.
    is_mixed = kind == "jsonl" and "\n" in text and re.search(r"\r(?!\n|\Z)", text) is not None
    is_rewritten = is_mixed or kind == "json" or not encoding.startswith("utf-8")
    return Source(path, kind, packing, text, encoding, is_rewritten)


def _decoded(head: bytes) -> tuple[str, str]:
    """Return the beginning of a text and its encoding."""
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and len(head) > 1:
        # Text of ASCII letters in two bytes each, without a mark.
        for name, zeros, letters in (("utf-16-le", 1, 0), ("utf-16-be", 0, 1)):
            if not any(head[zeros:400:2]) and all(head[letters:400:2]):
                encoding = name
    # A character may be cut in two at the very end.
    for cut in range(4):
        try:
            return head[: len(head) - cut].decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return head.decode("latin-1"), "latin-1"


def _kind(text: str) -> Kind:
    start = text.lstrip()[:1]
    if start == "[":
        return "json"
    if start != "{":
        return "csv"
    try:
        _, end = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return "jsonl"
    return "json" if re.search(r"[\r\n]", text.lstrip()[:end]) else "jsonl"


def diagnose(source: Source) -> str | None:
    """Return what is wrong with a file that DuckDB could not read, or None if it looks whole."""
    if source.kind == "parquet":
        with source.path.open("rb") as file:
            if file.seek(0, 2) < 12 or (file.seek(-4, 2), file.read())[1] != b"PAR1":
                return "is a truncated Parquet file; copy it again"
    return None
