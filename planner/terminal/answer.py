"""What `recommend` and `report` print: the decision, the ranges, the baselines, and what would change the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import reports
from planner.line import one_line
from planner.terminal.screen import (
    Line,
    console,
    labelled_lines,
    print_lines,
    table_lines,
    width_of,
    wrapped_lines,
)
from reports import numbers, sentences
from simulations.capacity import ModelUnits, TokenChunks

MOST_ROWS = 12
MOST_TURNS = 8

FIGURES = (
    "feasible",
    "why",
    "usd_per_month",
    "chunk_hours",
    "attainment_fraction",
    "refused_fraction",
    *(f"{metric}_p{p}_s" for metric in ("ttft", "e2e", "tpot") for p in (50, 95, 99)),
)
"""What two ranges must share to stand in one row."""


def show_report(report: reports.Report) -> None:
    """Print a recommendation."""
    out = console()
    width = width_of(out)
    capacity = report.decision.capacity
    inputs = report.inputs
    lines = [
        *wrapped_lines(
            f"{one_line(inputs.file)}: {numbers.counted(inputs.n_requests, 'request')} in "
            f"{numbers.duration(inputs.span_s)} ({inputs.format})",
            width,
        ),
        *wrapped_lines(f"{report.decision.model}: {_size_text(capacity)}", width),
    ]
    if report.unloaded is not None:
        alone = report.unloaded
        text = (
            f"one request alone ({alone.shape} tokens): TTFT {numbers.latency(alone.ttft_s)}, "
            f"TPOT {numbers.latency(alone.tpot_s)}, E2E {numbers.latency(alone.e2e_s)}"
        )
        lines += wrapped_lines(text, width)
    head = "RECOMMENDED" if report.decision.feasible else "NO RANGE KEEPS THE PROMISE; NEAREST"
    style = "bold green" if report.decision.feasible else "bold red"
    lines += [
        ("", ""),
        (f"{head}  {numbers.amount(capacity)}  ({numbers.throughput(capacity)})", style),
        *(line for label, text in _facts(report) for line in labelled_lines(label, text, width)),
        ("", ""),
    ]
    for sentence in [*report.reasons, *_safer_sentences(report), *report.asked]:
        lines += wrapped_lines(f"- {sentence}", width, hanging=2)
    lines += [("", ""), *_ranges(report, width), ("", ""), *_baselines(report, width)]
    lines += _turns(report, width)
    if report.warnings:
        lines += [("", ""), ("warnings", "bold yellow")]
    for warning in report.warnings:
        lines += wrapped_lines(f"! {warning}", width, hanging=2)
    print_lines(out, [*lines, ("", "")])


def _facts(report: reports.Report) -> Iterator[Line]:
    """Yield what stands below the headline, each with its label."""
    capacity, cost = report.decision.capacity, report.cost
    if isinstance(capacity, TokenChunks):
        yield (
            "console",
            f'"Up to" {capacity.max_tokens_per_s}, "Modify" minimum {capacity.min_tokens_per_s}',
        )
    if cost.usd_per_month is not None:
        yield (
            "cost",
            f"{numbers.usd(cost.usd_per_month)} a month ({numbers.usd(cost.usd_per_hour)}/h; {cost.note})",
        )
        if cost.interval.low is not None:
            yield "", sentences.spread(cost.interval, numbers.usd)
    else:
        noun = "step-hour" if isinstance(capacity, ModelUnits) else "chunk-hour"
        yield "cost", f"unknown: {cost.why_unknown}; {numbers.counted(cost.chunk_hours, noun)}"
        yield from (("", text) for text in _pairing_texts(cost.pairings))
    for limit in report.promise.limits:
        yield "promise", _limit_text(limit)
    yield "held in", report.promise.held_in
    yield "search", report.search
    if report.request is not None:
        missing = ", ".join(name.replace("_", " ") for name in report.request.missing)
        yield (
            "request",
            f"{report.request.method} {report.request.path}"
            + (f"; still to be filled in: {missing}" if missing else ", ready to send"),
        )


def _pairing_texts(pairings: Sequence[reports.Pairing]) -> Iterator[str]:
    """Yield what the candidate prices would come to, and of other sizes only that they were seen."""
    known = {
        f"at {numbers.usd(pairing.usd_per_chunk_hour)}/h: {numbers.usd(pairing.usd_per_month)} a month": None
        for pairing in pairings
        if pairing.usd_per_month is not None
    }
    yield from known
    others = [pairing for pairing in pairings if pairing.usd_per_month is None]
    if others:
        sizes = sorted({pairing.chunk_tokens_per_s for pairing in others})
        rates = sorted({pairing.usd_per_chunk_hour for pairing in others})
        yield (
            f"{_listed([numbers.count(size) for size in sizes])} tokens/s may go with "
            f"{_listed([f'{numbers.usd(rate)}/h' for rate in rates])}: "
            "give --chunk-tokens-per-s to try one"
        )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _safer_sentences(report: reports.Report) -> list[str]:
    safer = report.next_safer
    if safer is None:
        return []
    price = (
        f"{numbers.usd(safer.usd_per_month)} a month"
        if safer.usd_per_month is not None
        else sentences.hours(safer.chunk_hours, safer.capacity)
    )
    return [f"The next safer, {numbers.amount(safer.capacity)}, costs {price}: {safer.why}."]


def _size_text(capacity: Any) -> str:
    if isinstance(capacity, TokenChunks):
        return f"chunk of {numbers.tokens_per_s(capacity.size_tokens_per_s)}"
    return f"step of {capacity.step_units} model units ({numbers.tokens_per_s(capacity.tokens_per_s_per_step)})"


def _limit_text(limit: reports.Limit) -> str:
    mark = {True: "kept", False: "MISSED", None: "not judged"}[limit.kept]
    if limit.percentile is None:
        return f"{mark}: {numbers.percent(limit.reached_fraction)} refused, {numbers.share(limit.limit)} allowed"
    requests = "requests with two output tokens or more" if limit.metric == "tpot" else "requests"
    return (
        f"{mark}: {limit.metric.upper()} within {numbers.duration(limit.limit)} for "
        f"{numbers.percent(limit.reached_fraction)} of arrived {requests}, {limit.percentile:g} % promised"
    )


def _ranges(report: reports.Report, width: int) -> list[Line]:
    """Return the ranges tried, those around the answer where they are many; equal ones share a row."""
    groups = _folded(report.ranges_by_cost())
    shown = _around_chosen(groups)
    n_shown = sum(map(len, shown))
    notes = []
    if n_shown < len(report.ranges):
        notes.append(f"{n_shown} of {len(report.ranges)}, around the answer")
    if (report.promise.futures or 1) > 1:
        notes.append(
            "figures of the first futures, which all were run in; those above are of fresh ones"
        )
    title = f"ranges tried ({'; '.join(notes)})" if notes else "ranges tried"
    money = report.has_money()
    hours = "step-hours" if isinstance(report.decision.capacity, ModelUnits) else "chunk-hours"
    header = ["  range", "a month" if money else hours, "TTFT p50", "p95", "p99", "E2E p95"]
    cells, styles = [], []
    for group in shown:
        row, chosen = group[0], any(one.chosen for one in group)
        label = numbers.short_range(row.capacity)
        if len(group) > 1:
            label += f" … {numbers.short_range(group[-1].capacity)}"
        cells.append(
            [
                ("> " if chosen else "  ") + label,
                numbers.usd(row.usd_per_month) if money else numbers.count(row.chunk_hours),
                *(
                    numbers.latency(seconds, unknown="never")
                    for seconds in (row.ttft_p50_s, row.ttft_p95_s, row.ttft_p99_s, row.e2e_p95_s)
                ),
                numbers.percent(row.refused_fraction),
                row.why,
            ]
        )
        styles.append("bold" if chosen else ("" if row.feasible else "dim"))
    return [
        (title, "italic"),
        *table_lines([*header, "refused", ""], cells, styles, width, left=(0, 7)),
    ]


def _folded(rows: Sequence[reports.RangeRow]) -> list[list[reports.RangeRow]]:
    """Return ranges in groups that no figure tells apart, the answer at the head of its own."""
    groups: list[list[reports.RangeRow]] = []
    for row in rows:
        if groups and not row.chosen and _same_figures(groups[-1][0], row):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _same_figures(first: reports.RangeRow, second: reports.RangeRow) -> bool:
    alike = FIGURES if not first.chosen else [name for name in FIGURES if name != "why"]
    return all(getattr(first, name) == getattr(second, name) for name in alike)


def _around_chosen(groups: list[list[reports.RangeRow]]) -> list[list[reports.RangeRow]]:
    place = next((i for i, group in enumerate(groups) if group[0].chosen), 0)
    first = max(0, min(place - MOST_ROWS // 2, len(groups) - MOST_ROWS))
    return groups[first : first + MOST_ROWS]


def _baselines(report: reports.Report, width: int) -> list[Line]:
    cells = [
        [
            "  " + row.name,
            "-" if row.capacity is None else numbers.short_range(row.capacity),
            numbers.usd(row.usd_per_month),
            "-" if row.attainment_fraction is None else numbers.percent(row.attainment_fraction),
            "-" if row.refused_fraction is None else numbers.percent(row.refused_fraction),
            row.note,
        ]
        for row in report.baselines
    ]
    header = ["  way", "range", "a month", "within limits", "refused", ""]
    return [
        ("other ways to choose", "italic"),
        *table_lines(header, cells, [""] * len(cells), width, left=(0, 1, 5)),
    ]


def _turns(report: reports.Report, width: int) -> list[Line]:
    """Return what would change the answer, the nearest first."""
    turns = [turn for turn in report.turns if turn.flips][:MOST_TURNS]
    if not report.turns:
        return []
    asked = f"asked on the {numbers.counted(report.turns[0].futures, 'future')} nearest to failing"
    lines: list[Line] = [("", ""), (f"what would change the answer ({asked})", "italic")]
    if not turns:
        return [*lines, *wrapped_lines("  nothing that was varied, within the range tried", width)]
    for turn in turns:
        lines += wrapped_lines(f"- {turn.parameter}: {turn.sentence}", width, hanging=2)
    standing = sum(not turn.flips for turn in report.turns)
    if standing:
        number = numbers.counted(standing, "number")
        lines += wrapped_lines(f"- {number} more changed nothing within the range tried", width)
    return lines
