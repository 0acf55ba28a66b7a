"""A comparison as a page, as Markdown, and as the short block for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports import numbers
from reports.comparison import Change, Comparison, compare_to_current
from reports.page import render, render_markdown_template
from reports.report import Report

COST_ROWS = (
    "Range",
    "Cost a month",
    "Cost an hour",
    "How often it held",
    "Requests within all limits",
)
"""What a reviewer of a pull request looks at first."""


def render_comparison_html(comparison: Comparison) -> str:
    """Return a comparison as the text of an HTML page that needs nothing else."""
    return render("comparison.html", **_content(comparison))


def render_comparison_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown; it begins with the block for a pull request."""
    return render_markdown_template("comparison.md", **_content(comparison))


def render_cost_diff(comparison: Comparison) -> str:
    """Return what a change costs, as a short block of Markdown for a pull request."""
    return render_markdown_template("cost_diff.md", **_content(comparison))


def render_current_diff(report: Report) -> str | None:
    """Return what changing from what runs now would cost, as a short block of Markdown for a pull request; None where
    the report does not know what runs now."""
    rows = compare_to_current(report)
    if rows is None:
        return None
    cost = next(row for row in rows if row.name == "Cost a month")
    return render_markdown_template(
        "current_diff.md",
        report=report,
        rows=_rows(rows),
        cost=cost,
        feasible=report.decision.feasible,
    )


def _content(comparison: Comparison) -> dict[str, Any]:
    before, after = comparison.before, comparison.after
    was, now = before.cost.usd_per_month, after.cost.usd_per_month
    apart = numbers.usd_apart(was, now, unknown="")
    changed = len(comparison.inputs), len(comparison.assumptions)
    return {
        "comparison": comparison,
        "before": before,
        "after": after,
        "apart": "" if apart == "no change" else apart,
        "known": was is not None and now is not None,
        "cost_rows": _rows([row for row in comparison.answer if row.name in COST_ROWS]),
        "rows_of": _rows,
        "summary": f"{numbers.counted(changed[0], 'input')} and {numbers.counted(changed[1], 'assumption')} changed.",
    }


def _rows(changes: Sequence[Change], columns: int = 4) -> list[list[str]]:
    return [[row.name, row.before, row.after, row.difference][:columns] for row in changes]
