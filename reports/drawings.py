"""Which figures a report has, each with its title and the sentence under it: one list for every format.

A drawing is not drawn yet: whoever shows it says how wide. Knows nothing of HTML or files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reports import figures, numbers, sentences, trace_words
from reports.report import Metric, Percentile, RangeRow, Report, Timeline
from simulations.capacity import ModelUnits

MOST_ROWS = 15
"""Ranges in the figure of latencies; the table has them all."""

LATENCY_TITLES: dict[Metric, str] = {
    "ttft": "Time to first token",
    "tpot": "Time per output token",
    "e2e": "End to end",
}


class Drawing(NamedTuple):
    """A figure that can be drawn.

    Args:
        name: letters, unique in a report.
        title: what it is.
        sentence: what to see.
        draw: the figure of a width in inches.
    """

    name: str
    title: str
    sentence: str
    draw: Callable[[float], figures.Figure]


def drawings(report: Report) -> list[Drawing]:
    """Return the figures of a report, in the order in which one asks."""
    return [drawing for name in NAMES if (drawing := drawing_of(report, name)) is not None]


def drawing_of(report: Report, name: str) -> Drawing | None:
    """Return one figure by its name in `NAMES`; None where the report has nothing to draw in it."""
    return _DRAWINGS[name](report)


def _cost(report: Report) -> Drawing:
    rows = report.ranges_by_cost()
    money = report.has_money()
    latencies = [limit for limit in report.promise.limits if limit.percentile is not None]
    # With several latencies promised no single share of requests says whether all hold.
    promised = latencies[0].percentile if len(latencies) == 1 else None
    return Drawing(
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
            axis=sentences.cost_axis(report),
            width_in=width_in,
        ),
    )


def _load(report: Report) -> Drawing:
    return Drawing(
        "load",
        "Load against capacity over time",
        sentences.load_sentence(report),
        lambda width_in: _load_figure(report, report.timeline, width_in),
    )


def _day(report: Report) -> Drawing | None:
    day = report.busiest_day
    if day is None or not len(day.t_s):
        return None
    return Drawing(
        "day",
        "The busiest day",
        sentences.day_sentence(report),
        lambda width_in: _load_figure(report, day, width_in),
    )


def _load_figure(report: Report, timeline: Timeline, width_in: float) -> figures.Figure:
    capacity = report.decision.capacity
    return figures.load_against_capacity(
        timeline.t_s,
        timeline.offered_tokens_per_s,
        timeline.ready_chunks,
        timeline.refused,
        chunk_tokens_per_s=capacity.rated_tokens_per_s,
        held_chunks=(capacity.min_chunks, capacity.max_chunks),
        started_s=timeline.started_s,
        released_s=timeline.released_s,
        noun=sentences.unit_noun(capacity),
        width_in=width_in,
    )


def _spread(report: Report) -> Drawing | None:
    if not report.percentiles:
        return None
    panels = [
        _spread_panel(report, metric)
        for metric in LATENCY_TITLES
        if _is_worth_a_panel(report, metric)
    ]
    return Drawing(
        "spread",
        "Latency percentiles over futures",
        sentences.spread_sentence(report),
        lambda width_in: figures.latency_spread(panels, width_in=width_in),
    )


def _spread_panel(report: Report, metric: Metric) -> figures.SpreadPanel:
    rows: list[Percentile] = sorted(
        (row for row in report.percentiles if row.metric == metric), key=lambda row: row.percent
    )
    return figures.SpreadPanel(
        LATENCY_TITLES[metric],
        [row.percent for row in rows],
        [row.seconds for row in rows],
        [row.interval.low for row in rows],
        [row.interval.high for row in rows],
        [row.interval.p05 for row in rows],
        [row.interval.p95 for row in rows],
        _limits(report, metric),
    )


def _is_worth_a_panel(report: Report, metric: Metric) -> bool:
    """Time per output token is shown where it is promised: a page is narrow."""
    return metric != "tpot" or bool(_limits(report, metric))


def _latency(report: Report) -> Drawing:
    rows = _around_the_chosen(report.ranges_by_cost())
    panels = [
        _latency_panel(report, rows, metric)
        for metric in LATENCY_TITLES
        if _is_worth_a_panel(report, metric)
    ]
    sentence = sentences.latency_sentence(report)
    noun = sentences.option_noun(report.decision.capacity)
    caption = "units" if sentences.unit_noun(report.decision.capacity) == "step" else "chunks"
    if len(rows) < len(report.ranges):
        sentence += f" Shown are {len(rows)} of {numbers.counted(len(report.ranges), noun)} tried, those nearest in cost."
    return Drawing(
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


def _latency_panel(report: Report, rows: list[RangeRow], metric: Metric) -> figures.LatencyPanel:
    percentiles = (50, 95, 99)
    seconds = [[getattr(row, f"{metric}_p{p}_s") for p in percentiles] for row in rows]
    return figures.LatencyPanel(
        LATENCY_TITLES[metric], percentiles, seconds, _limits(report, metric)
    )


def _limits(report: Report, metric: Metric) -> list[tuple[float, float]]:
    return [
        (limit.percentile, limit.limit)
        for limit in report.promise.limits
        if limit.metric == metric and limit.percentile is not None
    ]


def _map(report: Report) -> Drawing | None:
    rows = report.ranges_by_cost()
    if not rows:
        return None
    money = report.has_money()
    costs = [row.usd_per_month if money else row.chunk_hours for row in rows]
    kept = [row.feasible for row in rows]
    sentence = sentences.map_sentence(report)
    if isinstance(report.decision.capacity, ModelUnits):
        units = [row.capacity.units for row in rows if isinstance(row.capacity, ModelUnits)]
        return Drawing(
            "map",
            "Units against cost",
            sentence,
            lambda width_in: figures.cost_by_size(
                units,
                kept,
                costs,
                chosen=_chosen(rows),
                axis=sentences.cost_axis(report),
                width_in=width_in,
            ),
        )
    return Drawing(
        "map",
        "Minimum against maximum",
        sentence,
        lambda width_in: figures.map_of_ranges(
            [row.capacity.min_chunks for row in rows],
            [row.capacity.max_chunks for row in rows],
            kept,
            costs,
            chosen=_chosen(rows),
            money=money,
            width_in=width_in,
        ),
    )


def _hours(report: Report) -> Drawing | None:
    loads = report.load_by_hour_of_week
    if not loads:
        return None
    return Drawing(
        "hours",
        "Load by hour of the week",
        trace_words.hour_sentence({"load_by_hour_of_week": loads}),
        lambda width_in: figures.load_by_hour_of_week(loads, width_in=width_in),
    )


def _volume(report: Report) -> Drawing | None:
    rows = report.volumes
    if not rows:
        return None
    here = next((place for place, row in enumerate(rows) if row.volume == 1), None)
    return Drawing(
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


def _turns(report: Report) -> Drawing | None:
    rows = [
        figures.TurnRow(
            turn.parameter,
            turn.low / turn.value,
            turn.high / turn.value,
            None if turn.below is None else max(turn.below.at, turn.low) / turn.value,
            None if turn.above is None else turn.above.at / turn.value,
            turn.below is None or turn.below.fails,
            turn.above is None or turn.above.fails,
            turn.effect,
        )
        for turn in report.turns
        # A factor of nothing, or down to nothing, has no place on an axis by factors.
        if turn.value and turn.low and turn.high and turn.value > 0 and turn.low > 0
    ]
    if not rows:
        return None
    return Drawing(
        "turns",
        "What would change the answer",
        sentences.turns_sentence(report),
        lambda width_in: figures.flip_distances(rows, width_in=width_in),
    )


_DRAWINGS: dict[str, Callable[[Report], Drawing | None]] = {
    "cost": _cost,
    "load": _load,
    "day": _day,
    "spread": _spread,
    "latency": _latency,
    "map": _map,
    "hours": _hours,
    "volume": _volume,
    "turns": _turns,
}

NAMES = tuple(_DRAWINGS)
"""The figures a report can have, in the order in which one asks."""


def _chosen(rows: list[RangeRow]) -> int | None:
    return next((index for index, row in enumerate(rows) if row.chosen), None)


def _around_the_chosen(rows: list[RangeRow]) -> list[RangeRow]:
    """Return at most `MOST_ROWS` ranges in order of cost, the chosen one among them."""
    middle = _chosen(rows) or 0
    first = max(0, min(middle - MOST_ROWS // 2, len(rows) - MOST_ROWS))
    return rows[first : first + MOST_ROWS]
