"""Files that are packed: opened as what they hold, and kept from holding more than they may.

DuckDB unpacks by itself. It would go on for hours with a bomb and takes half a zstd file for a
whole one, so the same bytes are unpacked once more beside it and counted.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal, cast

from simulations.errors import TraceError
from simulations.ingest.shown import shown

Packing = Literal["gz", "zst"]

MAGIC: dict[bytes, Packing] = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}
"""How a packed file begins."""

NAMES = {"gz": "gzip", "zst": "zstd"}
"""What messages and DuckDB call a packing."""

MAX_RATIO = 200
"""How many times its size a file may hold: logs hold 5 to 50 times, bombs 1,000 times."""

FREE_BYTES = 1 << 30
"""What any file may hold (1 GiB): a short log of equal rows is packed better than 200 times."""

_BLOCK_BYTES = 1 << 20


def packing_of(start: bytes) -> Packing | None:
    """Return how a file that begins so is packed.

    >>> packing_of(b"\\x1f\\x8b\\x08"), packing_of(b"a,b,c")
    ('gz', None)
    """
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)


@contextmanager
def unpacked(path: Path, packing: Packing | None) -> Iterator[IO[bytes]]:
    """Yield a file as what it holds.

    Raises:
        TraceError: it is cut off or damaged; the text has no name in front.
    """
    try:
        with _opened(path, packing) as file:
            yield file
    except EOFError:
        raise TraceError(f"is a truncated {NAMES[packing or 'gz']} file; copy it again") from None
    except (OSError, zlib.error) as error:
        if packing is None:
            raise
        # pyarrow has one error for all that is wrong with a packed file.
        what = "truncated" if "Truncated" in str(error) else "damaged"
        raise TraceError(f"is a {what} {NAMES[packing]} file; copy it again") from None


@contextmanager
def kept_within_limit(
    files: Mapping[Path, Packing | None], *, stop: Callable[[], object]
) -> Iterator[None]:
    """Count what files hold while they are read, and stop the reader when one holds too much.

    Args:
        stop: called from another thread; makes the reader raise.

    Raises:
        TraceError: too much, or cut off; whatever the reader raised is then beside the point.
    """
    packed = [(path, packing) for path, packing in files.items() if packing is not None]
    if not packed:
        yield
        return
    faults: list[tuple[Path, TraceError]] = []

    def count() -> None:
        for path, packing in packed:
            try:
                for _ in blocks_of(path, packing):
                    pass
            except TraceError as fault:
                faults.append((path, fault))
                stop()
                return

    counting = Thread(target=count, daemon=True)
    counting.start()
    try:
        yield
    finally:
        counting.join()
        if faults:
            ((path, fault),) = faults
            raise TraceError(f"{shown(path)} {fault}") from None


def blocks_of(path: Path, packing: Packing | None) -> Iterator[bytes]:
    """Yield what a file holds, a block at a time.

    Raises:
        TraceError: it holds too much, or is cut off; the text has no name in front.
    """
    limit = max(FREE_BYTES, MAX_RATIO * path.stat().st_size)
    n_bytes = 0
    with unpacked(path, packing) as file:
        while block := file.read(_BLOCK_BYTES):
            n_bytes += len(block)
            if packing is not None and n_bytes > limit:
                raise TraceError(
                    f"holds more than {limit:,} bytes, the limit for a {NAMES[packing]} file of "
                    "its size; unpack it first if it is meant to"
                )
            yield block


def _opened(path: Path, packing: Packing | None) -> IO[bytes]:
    if packing == "gz":
        return cast(IO[bytes], gzip.open(path))
    if packing == "zst":
        import pyarrow

        stream: Any = pyarrow.input_stream(str(path), compression="zstd")
        return cast(IO[bytes], stream)
    return path.open("rb")
