"""What lies on each user's desk: the traces that were brought and the questions that were asked. In memory alone."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from planner.app.asked import Asked
from planner.app.reader import MOST_REQUESTS, Brought
from planner.app.runs import Run
from simulations.errors import InputError

MOST_TRACES = 4
MOST_RUNS = 12
MOST_AT_ONCE = 2
"""Runs that compute at the same time, of all users together (assumed: a small machine)."""

T = TypeVar("T")


class Kept(Generic[T]):
    """The last things of each user, by a name that nobody can guess."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, OrderedDict[str, T]] = {}
        self._lock = threading.Lock()

    def add(self, who: str, thing: T) -> str:
        """Keep a thing, forget the oldest where there are too many, and return its name."""
        name = secrets.token_urlsafe(9)
        with self._lock:
            mine = self._of.setdefault(who, OrderedDict())
            mine[name] = thing
            while len(mine) > self._most:
                mine.popitem(last=False)
        return name

    def get(self, who: str, name: str) -> T | None:
        """Return a thing of this user, or None."""
        mine = self._of.get(who)
        return None if mine is None else mine.get(name)

    def all_of(self, who: str) -> list[tuple[str, T]]:
        """Return the things of this user with their names, the latest first."""
        with self._lock:
            mine = self._of.get(who)
            return [] if mine is None else list(reversed(mine.items()))

    def everything(self) -> list[T]:
        """Return the things of all users."""
        with self._lock:
            return [thing for mine in self._of.values() for thing in mine.values()]


class Desk:
    """Traces and runs.

    Args:
        version: of ptplan.
    """

    def __init__(self, *, version: str) -> None:
        self.version = version
        self.traces: Kept[Brought] = Kept(MOST_TRACES)
        self.runs: Kept[Run] = Kept(MOST_RUNS)
        self._lock = threading.Lock()

    def ask(self, who: str, brought: Brought, asked: Asked) -> str:
        """Begin to answer a question, and return the name of the run.

        Raises:
            InputError: too many are being answered, or of too much traffic.
        """
        n_requests = len(brought.trace) * (asked.change.growth or 1.0)
        if n_requests > MOST_REQUESTS:
            raise InputError(
                f"growth is {asked.change.growth:g}, which makes {n_requests:,.0f} requests, and the app takes "
                f"{MOST_REQUESTS:,}; use ptplan recommend in a terminal"
            )
        with self._lock:
            if sum(run.busy for run in self.runs.everything()) >= MOST_AT_ONCE:
                raise InputError(
                    f"{MOST_AT_ONCE} questions are being answered already; wait for one, or cancel it"
                )
            run = Run(brought, asked, version=self.version)
            run.begin()
            return self.runs.add(who, run)
