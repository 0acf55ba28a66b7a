"""One question being answered: a thread that recommends, what it tells on the way, and how it is cancelled."""

from __future__ import annotations

import re
import shlex
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from html import unescape
from typing import Any, Literal

from markupsafe import Markup

from planner import artifacts, question
from planner.app.asked import Asked
from planner.app.reader import Brought
from planner.app.whatif import Judged, Latest, judge
from planner.offer import Offer
from planner.recommendation import Recommendation, recommend
from planner.rendering import report_of
from reports import Report
from reports.html import render_html
from simulations import kernel
from simulations.errors import PtplanError

State = Literal["running", "done", "failed", "cancelled"]

COMPILING = "compiling the simulation, once: about half a minute"


class Cancelled(Exception):
    """Raised out of a recommendation that nobody waits for any more."""


class Run:
    """A question and its answer, from the moment it is asked.

    Args:
        brought: the traffic.
        asked: the question.
        version: of ptplan.
    """

    def __init__(self, brought: Brought, asked: Asked, *, version: str) -> None:
        self.brought = brought
        self.asked = asked
        self.state: State = "running"
        self.told = "beginning"
        self.tried = 0
        self.error = ""
        self.made: Recommendation | None = None
        self.own: Judged | None = None
        self.what_if = Latest()
        self.data: dict[str, Any] = {}
        self._version = version
        self._step = "chunk"
        self._began_s = time.monotonic()
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="ptplan-run")

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def cancel(self) -> None:
        """Let nobody wait any longer; the thread ends before it tries its next range."""
        self._cancel.set()
        if self.state == "running":
            self.state = "cancelled"

    @property
    def elapsed_s(self) -> int:
        """Whole seconds since it was asked."""
        return int(time.monotonic() - self._began_s)

    @property
    def busy(self) -> bool:
        """Whether its thread still computes."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Return when it has ended, or after so many seconds."""
        self._thread.join(seconds)

    @property
    def offer(self) -> Offer:
        """What is for sale."""
        assert self.made is not None
        return self.made.offer

    @cached_property
    def report(self) -> Report:
        """The answer as the report shows it."""
        return report_of(self.data)

    @cached_property
    def page(self) -> str:
        """The report as a page of its own."""
        return render_html(self.report)

    @cached_property
    def parts(self) -> dict[str, Markup]:
        """The report's page in its three parts, to be put into another page."""
        return parts_of(self.page)

    def _work(self) -> None:
        try:
            self._answer()
        except Cancelled:
            return
        except PtplanError as error:
            self._end("failed", str(error))
        except MemoryError:
            self._end("failed", "out of memory; bring a shorter trace")
        except Exception:
            # A defect of ours must not leave a page that waits for ever.
            self._end("failed", "something went wrong inside ptplan; the terminal shows what")
            raise

    def _answer(self) -> None:
        asked, brought = self.asked, self.brought
        objective = question.objective_of(asked.promise)
        behaviour = question.behaviour_of(asked.behaviour)
        self.told = "rating the model" if kernel.is_compiled() else COMPILING
        offer = question.offer_of(asked.model)
        self._step = "step" if offer.in_units else "chunk"
        self._tell("trying the first range", 0)
        made = recommend(
            brought.described or brought.trace,
            offer,
            objective,
            **behaviour,
            endpoint=asked.endpoint,
            allow_zero=asked.allow_zero,
            futures=asked.futures,
            change=question.change_of(asked.change),
            sensitivity=asked.sensitivity,
            progress=self._tell,
        )
        if asked.own is not None:
            self._tell("trying your own choice", self.tried)
            self.own = judge(made, asked.own)
        self.told = "drawing the report"
        source = artifacts.Workload(
            brought.name, brought.sha256, brought.format, brought.dropped, brought.notes
        )
        self.data = artifacts.artifact(
            made,
            source,
            command=shlex.join(asked.command(brought.name, brought.flags)),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            version=self._version,
        )
        # Without the futures that were drawn: they may take a gigabyte, and can be drawn again.
        self.made = replace(made, futures=made.futures.changed(made.futures.change))
        # Drawn now, so that the page stands at once when it is asked for.
        assert self.parts
        self._end("done")

    def _tell(self, what: str, tried: int) -> None:
        if self._cancel.is_set():
            raise Cancelled
        # Told by the search of a range, and by what comes after it of whatever it does.
        low, dots, high = what.partition("..")
        self.tried = max(self.tried, tried)
        self.told = (
            f"trying {low if low == high else f'{low} to {high}'} {self._noun(high)}"
            if dots
            else what
        )

    def _noun(self, n: str) -> str:
        return f"{self._step}{'' if n == '1' else 's'}"

    def _end(self, state: State, error: str = "") -> None:
        if not self._cancel.is_set():
            self.error, self.state = error, state


def parts_of(page: str) -> dict[str, Markup]:
    """Return title, header, main and footer of one of our pages.

    >>> parts_of("<title>A &amp; B</title><header>a</header><main>b</main><footer>c</footer>")["main"]
    Markup('b')
    """

    def within(tag: str) -> str:
        # What was brought is escaped, so that our tags are the only ones.
        found = re.search(rf"<{tag}(?: [^>]*)?>(.*)</{tag}>", page, re.DOTALL)
        if found is None:
            raise ValueError(f"the page has no {tag}")
        return found[1]

    return {
        "title": Markup.escape(unescape(within("title"))),
        "header": Markup(within("header")),
        "main": Markup(within("main")),
        "footer": Markup(within("footer")),
    }
