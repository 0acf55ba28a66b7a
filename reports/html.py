"""A report as one HTML page: the templates decide the order, the stylesheet the look, `sentences` the
words and `numbers` the digits. Knows nothing of how an answer was found.

The page is made of sections, `templates/sections/NAME.html`, each of which can be rendered alone with
`render_section`: a live page shows the same ones.
"""

from __future__ import annotations

from typing import Any

from reports import numbers, sentences
from reports.drawings import drawing_of
from reports.page import Picture, picture, render
from reports.report import Report

SECTIONS = (
    "pairings",
    "why",
    "frontier",
    "load",
    "latency",
    "ranges",
    "hours",
    "volume",
    "turns",
    "asked",
    "baselines",
    "assumptions",
    "inputs",
    "request",
    "command",
)
"""Below the decision, in this order; those without content are empty."""


def render_html(report: Report) -> str:
    """Return a report as the text of an HTML page: the same report gives the same page.

    Args:
        report: what to show; every text in it may be hostile.

    Returns:
        A page of its own that can be encoded as UTF-8 whatever the texts hold.
    """
    return render("report.html", sections=SECTIONS, **content_of(report))


def render_section(name: str, report: Report) -> str:
    """Return one section as a fragment of HTML: `decision`, `warnings`, or one of `SECTIONS`."""
    return render(f"sections/{name}.html", **content_of(report))


def content_of(report: Report) -> dict[str, Any]:
    """Return what the templates of sections read; a figure is drawn when a template asks for it."""
    capacity = report.decision.capacity
    return {
        "report": report,
        "decision": report.decision,
        "capacity": capacity,
        "rows": report.ranges_by_cost(),
        "noun": sentences.unit_noun(capacity),
        "option": sentences.option_noun(capacity),
        "dash": numbers.MISSING,
        "pictures": Pictures(report),
    }


class Pictures:
    """The figures of a report by name, each drawn once and only if it is wanted; None where there is none."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._drawn: dict[str, Picture | None] = {}

    def __getitem__(self, name: str) -> Picture | None:
        if name not in self._drawn:
            drawing = drawing_of(self._report, name)
            self._drawn[name] = None if drawing is None else picture(*drawing)
        return self._drawn[name]
