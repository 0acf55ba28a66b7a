"""A report as Markdown with its figures as PNG beside it: same sections, words and digits as the page."""

from __future__ import annotations

from typing import Any, NamedTuple

from reports import figures, numbers, sentences
from reports.drawings import drawings
from reports.page import render_markdown_template
from reports.report import Report


class MarkdownReport(NamedTuple):
    """A report as Markdown.

    Args:
        text: the Markdown.
        pictures: PNG by the relative path under which the text shows it.
    """

    text: str
    pictures: dict[str, bytes]


def render_markdown(report: Report) -> MarkdownReport:
    """Return a report as Markdown and its pictures; every text in it may be hostile."""
    drawn = {drawing.name: drawing for drawing in drawings(report)}
    capacity = report.decision.capacity
    content: dict[str, Any] = {
        "report": report,
        "decision": report.decision,
        "capacity": capacity,
        "rows": report.ranges_by_cost(),
        "noun": sentences.unit_noun(capacity),
        "option": sentences.option_noun(capacity),
        "dash": numbers.MISSING,
        "drawn": drawn,
    }
    return MarkdownReport(render_markdown_template("report.md", **content), pngs(report))


def pngs(report: Report) -> dict[str, bytes]:
    """Return the figures of a report as PNG, by relative path."""
    return {
        f"figures/{drawing.name}.png": figures.png(drawing.draw(figures.WIDE_IN))
        for drawing in drawings(report)
    }
