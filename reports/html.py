"""A report as one HTML page: the template decides the order, the stylesheet the look, `sentences` the
words and `numbers` the digits. Knows nothing of how an answer was found.
"""

from __future__ import annotations

from reports import figures, numbers, sentences, trace_words
from reports.page import Picture, picture, render
from reports.report import Metric, RangeRow, Report

MOST_ROWS = 15
"""Ranges in the figure of latencies; the table has them all."""


def render_html(report: Report) -> str:
    """Return a report as the text of an HTML page: the same report gives the same page.

    Args:
        report: what to show; every text in it may be hostile.

    Returns:
        A page of its own that can be encoded as UTF-8 whatever the texts hold.
    """
    return render(
        "report.html",
        report=report,
        rows=report.ranges_by_cost(),
        cost_picture=_cost_picture(report),
        load_picture=_load_picture(report),
        latency_picture=_latency_picture(report),
        volume_picture=_volume_picture(report) if report.volumes else None,
        hour_picture=_hour_picture(report) if report.load_by_hour_of_week else None,
    )


def _cost_picture(report: Report) -> Picture:
    rows = report.ranges_by_cost()
    money = report.has_money()
    hours = f"{sentences.unit_noun(report.decision.capacity)}-hours over the trace"
    latencies = [limit for limit in report.promise.limits if limit.percentile is not None]
    # With several latencies promised no single share of requests says whether all hold.
    promised = latencies[0].percentile if len(latencies) == 1 else None
    return picture(
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
    return picture(
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
    return picture(
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


def _volume_picture(report: Report) -> Picture:
    rows = report.volumes
    here = next((place for place, row in enumerate(rows) if row.volume == 1), None)
    return picture(
        "volume",
        "Against paying by the token",
        sentences.volume_sentence(report),
        lambda width_in: figures.cost_by_volume(
            [row.tokens_per_s for row in rows],
            [row.usd_per_month for row in rows],
            [row.pay_per_token_usd_per_month for row in rows],
            here=here,
            width_in=width_in,
        ),
    )


def _hour_picture(report: Report) -> Picture:
    loads = report.load_by_hour_of_week or ()
    return picture(
        "hours",
        "Load by hour of the week",
        trace_words.hour_sentence({"load_by_hour_of_week": loads}),
        lambda width_in: figures.load_by_hour_of_week(loads, width_in=width_in),
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
