"""The workspace on disk: one SQLite file, one row an endpoint. Knows no API and no clock."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from simulations.errors import InputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS endpoints (name TEXT PRIMARY KEY, position INTEGER, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rest (one INTEGER PRIMARY KEY CHECK (one = 1), data TEXT NOT NULL);
"""
_APPLICATION = 0x70_74_70_6C
"""Marks the file as ours, so that no other database is written to."""


class SqliteStore:
    """Endpoints in a file; what `save` returned from survives a kill.

    Args:
        path: the file; made where it is absent.

    Raises:
        InputError: it cannot be opened, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # One thread at a time uses it, but not always the one that opened it.
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=1.0)
        except sqlite3.Error as error:
            raise InputError(f"--state {path} cannot be opened: {error}") from None
        try:
            marked = self._database.execute("PRAGMA application_id").fetchone()[0]
            tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables and marked != _APPLICATION:
                raise InputError(f"--state {path} is a database of something else; name a new file")
            # Held until it is closed or the process dies: two sandboxes on one file would each
            # overwrite what the other told its clients.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._database.close()
            raise InputError(
                f"--state {path} cannot be used: {error}; it may be no SQLite file, or be in use by another sandbox"
            ) from None
        except InputError:
            self._database.close()
            raise

    def load(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Return the endpoints by name in order of creation, and the rest."""
        rows = self._database.execute("SELECT name, data FROM endpoints ORDER BY position")
        endpoints = {name: json.loads(data) for name, data in rows}
        rest = self._database.execute("SELECT data FROM rest").fetchone()
        return endpoints, json.loads(rest[0]) if rest else {}

    def save(self, name: str, data: dict[str, Any] | None, rest: dict[str, Any]) -> None:
        """Keep an endpoint, or forget it where `data` is None, and keep the rest, in one transaction."""
        with self._database:
            if data is None:
                self._database.execute("DELETE FROM endpoints WHERE name = ?", (name,))
            else:
                self._database.execute(
                    "INSERT INTO endpoints VALUES (?, (SELECT coalesce(max(position), 0) + 1 FROM endpoints), ?) "
                    "ON CONFLICT (name) DO UPDATE SET data = excluded.data",
                    (name, json.dumps(data)),
                )
            self._database.execute("INSERT OR REPLACE INTO rest VALUES (1, ?)", (json.dumps(rest),))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
