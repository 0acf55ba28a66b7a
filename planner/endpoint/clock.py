"""The time, and waiting for it to pass: an argument, so that a test need not wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time; `sleep` may raise, and the wait is then over."""

    def time(self) -> float:
        """Return seconds since 1970."""

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class SystemClock:
    """The clock of this machine."""

    def time(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        time.sleep(seconds)


def stamp(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC.

    >>> stamp(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def seconds_of(text: str) -> float:
    """Return the time that a stamp tells.

    >>> seconds_of("1970-01-01T00:01:00+00:00")
    60.0
    """
    return datetime.fromisoformat(text).timestamp()
