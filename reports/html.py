"""A report as one HTML page that needs nothing else: no network, no script, no other file.

The only importer of jinja2. Every text is escaped; the template decides the order, the
stylesheet the look, `sentences` the words and `numbers` the digits. Knows nothing of how an
answer was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from reports import figures, numbers, sentences
from reports.report import Metric, RangeRow, Report
from reports.svg import inline_svg

MOST_ROWS = 15
"""Ranges in the figure of latencies; the table has them all."""

_CONTROLS = dict.fromkeys({*range(32), 127} - {9, 10}, "\N{REPLACEMENT CHARACTER}")
"""Characters that HTML forbids, as `str.translate` wants them."""


class Picture(NamedTuple):
    """A figure on the page: drawn twice, shown once."""

    name: str
    title: str
    sentence: str
    wide: Markup
    narrow: Markup


def render_html(report: Report) -> str:
    """Return a report as the text of an HTML page: the same report gives the same page.

    Args:
        report: what to show; every text in it may be hostile.

    Returns:
        A page of its own that can be encoded as UTF-8 whatever the texts hold.
    """
    page = (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            rows=report.ranges_by_cost(),
            cost_picture=_cost_picture(report),
            load_picture=_load_picture(report),
            latency_picture=_latency_picture(report),
        )
    )
    return page.translate(_CONTROLS).encode("utf-8", "replace").decode("utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(numbers=numbers, words=sentences)
    environment.filters["prose"] = _prose
    return environment


def _prose(text: str) -> str:
    """Return running text in which no line breaks between a number and its unit."""
    return re.sub(
        r"(?<=\d) (?=(%|ms|s|min|h|USD|tokens/s)\b|%)|(?<=USD) (?=\d)", "\N{NO-BREAK SPACE}", text
    )


def _picture(
    name: str, title: str, sentence: str, draw: Callable[[float], figures.Figure]
) -> Picture:
    wide, narrow = (
        Markup(
            inline_svg(
                figures.svg(draw(width_in)), prefix=f"{name}-{size}", label=f"{title}. {sentence}"
            )
        )
        for size, width_in in (("wide", figures.WIDE_IN), ("narrow", figures.NARROW_IN))
    )
    return Picture(name, title, sentence, wide, narrow)


def _cost_picture(report: Report) -> Picture:
    rows = report.ranges_by_cost()
    money = report.has_money()
    hours = f"{sentences.unit_noun(report.decision.capacity)}-hours over the trace"
    latencies = [limit for limit in report.promise.limits if limit.percentile is not None]
    # With several latencies promised no single share of requests says whether all hold.
    promised = latencies[0].percentile if len(latencies) == 1 else None
    return _picture(
        "cost",
        "Cost against attainment",
        sentences.cost_sentence(report),
        lambda width_in: figures.cost_against_attainment(
            [row.usd_per_month if money else row.chunk_hours for row in rows],
            [row.attainment_fraction for row in rows],
            labels=[numbers.short_range(row.capacity) for row in rows],
            kept=[row.feasible for row in rows],
            chosen=_chosen(rows),
            promised_fraction=None if promised is None else promised / 100,
            axis="USD per month" if money else hours,
            width_in=width_in,
        ),
    )


def _load_picture(report: Report) -> Picture:
    timeline, capacity = report.timeline, report.decision.capacity
    return _picture(
        "load",
        "Load against capacity over time",
        sentences.load_sentence(report),
        lambda width_in: figures.load_against_capacity(
            timeline.t_s,
            timeline.offered_tokens_per_s,
            timeline.ready_chunks,
            timeline.refused,
            chunk_tokens_per_s=capacity.rated_tokens_per_s,
            held_chunks=(capacity.min_chunks, capacity.max_chunks),
            noun=sentences.unit_noun(capacity),
            width_in=width_in,
        ),
    )


def _latency_picture(report: Report) -> Picture:
    rows = _around_the_chosen(report.ranges_by_cost())
    panels = [
        _panel(report, rows, "ttft", "Time to first token"),
        _panel(report, rows, "tpot", "Time per output token"),
        _panel(report, rows, "e2e", "End to end"),
    ]
    if not panels[1].limits:
        del panels[1]
    sentence = sentences.latency_sentence(report)
    noun = sentences.option_noun(report.decision.capacity)
    caption = "units" if sentences.unit_noun(report.decision.capacity) == "step" else "chunks"
    if len(rows) < len(report.ranges):
        sentence += f" Shown are {len(rows)} of {numbers.counted(len(report.ranges), noun)} tried, those nearest in cost."
    return _picture(
        "latency",
        f"Latency percentiles by {noun}",
        sentence,
        lambda width_in: figures.latency_by_range(
            [numbers.short_range(row.capacity) for row in rows],
            panels,
            kept=[row.feasible for row in rows],
            chosen=_chosen(rows),
            caption=caption,
            width_in=width_in,
        ),
    )


def _panel(
    report: Report, rows: list[RangeRow], metric: Metric, title: str
) -> figures.LatencyPanel:
    percentiles = (50, 95, 99)
    seconds = [[getattr(row, f"{metric}_p{p}_s") for p in percentiles] for row in rows]
    limits = [
        (limit.percentile, limit.limit)
        for limit in report.promise.limits
        if limit.metric == metric and limit.percentile is not None
    ]
    return figures.LatencyPanel(title, percentiles, seconds, limits)


def _chosen(rows: list[RangeRow]) -> int | None:
    return next((index for index, row in enumerate(rows) if row.chosen), None)


def _around_the_chosen(rows: list[RangeRow]) -> list[RangeRow]:
    """Return at most `MOST_ROWS` ranges in order of cost, the chosen one among them."""
    middle = _chosen(rows) or 0
    first = max(0, min(middle - MOST_ROWS // 2, len(rows) - MOST_ROWS))
    return rows[first : first + MOST_ROWS]
