"""Files that are whole or not there: plain data as JSON with a checksum, written beside and then renamed.

Knows nothing of what a file says: recommendations, plans and receipts all go through here.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from errno import EACCES, EISDIR, ENOTDIR
from os import strerror
from pathlib import Path
from typing import Any

import numpy as np

from simulations.errors import InputError


def checksum(data: Mapping[str, Any]) -> str:
    """Return the sha256 of plain data, whatever the order of its keys.

    >>> checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1})
    True
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(data: Mapping[str, Any]) -> str:
    """Return plain data as indented JSON; a number that is not finite is a defect and raises ValueError."""
    text = json.dumps(data, indent=2, default=_plain, allow_nan=False, ensure_ascii=False) + "\n"
    # A file name that is no text holds lone surrogates, which UTF-8 refuses and JSON can escape.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not plain data")


def write(path: Path, text: str) -> None:
    """Put a file in place whole: written beside it, then renamed.

    Raises:
        InputError: the folder cannot be written to.
    """
    write_together({path: text})


def write_together(files: Mapping[Path, str | bytes]) -> None:
    """Put files in place whole, and only after all of them could be written; text as UTF-8.

    Raises:
        InputError: a folder cannot be written to; what stood there still does.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            if path.is_dir():
                raise IsADirectoryError(EISDIR, strerror(EISDIR))
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            staged[path] = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
            staged[path].chmod(0o644)
        for path, temporary in list(staged.items()):
            temporary.replace(path)
            del staged[path]
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Refuse a folder that could not be written to, before an hour is spent on what goes there.

    Raises:
        InputError: it is a file, lies in one, or may not be written to.
    """
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not there.is_dir():
            raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR))
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, strerror(EACCES))
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written: {error.strerror or error}; choose another --out")


def read(path: Path, *, what: str) -> dict[str, Any]:
    """Return the object in a JSON file, if its checksum is right.

    Args:
        path: of the file.
        what: it ought to be, for the error.

    Raises:
        InputError: it cannot be read, is no JSON object, or was changed after it was written.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); give {what}") from error
    if not isinstance(data, dict) or "schema_version" not in data:
        raise InputError(f"{path} is none of ptplan's files; give {what}")
    stated = data.pop("sha256", None)
    try:
        genuine = stated == checksum(data)
    except ValueError:  # a number that somebody made too large reads as infinite
        genuine = False
    if not genuine:
        raise InputError(f"{path} was changed after it was written (checksum); make it anew")
    return {**data, "sha256": stated}
