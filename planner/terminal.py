"""What the commands print: tables and sentences for a terminal, from the same view model and the same
digits as the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import reports
from reports import numbers
from simulations.capacity import TokenChunks

PIPED_WIDTH = 118
MOST_ROWS = 12
UNKNOWN = "unknown"


def console(*, stderr: bool = False) -> Console:
    """Return where to print; a pipe gets plain text of a fixed width."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        highlight=False,
        soft_wrap=False,
        width=None if stream.isatty() else PIPED_WIDTH,
    )


@contextmanager
def progress(*, quiet: bool) -> Iterator[Any]:
    """Yield something to call with what is being done; it shows on stderr, and only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    with console(stderr=True).status("starting") as status:
        yield lambda text: status.update(escape(text))


def show_report(report: reports.Report) -> None:
    """Print a recommendation."""
    out = console()
    capacity = report.decision.capacity
    inputs = report.inputs
    out.print(
        Text(
            f"{inputs.file}: {numbers.counted(inputs.n_requests, 'request')} in {numbers.duration(inputs.span_s)} "
            f"({inputs.format})"
        )
    )
    out.print(Text(f"{report.decision.model}: {_size_text(capacity)}"))
    if report.unloaded is not None:
        alone = report.unloaded
        out.print(
            Text(
                f"one request alone ({alone.shape} tokens): TTFT {numbers.latency(alone.ttft_s)}, "
                f"TPOT {numbers.latency(alone.tpot_s)}, E2E {numbers.latency(alone.e2e_s)}"
            )
        )
    out.print()
    head = "RECOMMENDED" if report.decision.feasible else "NO RANGE KEEPS THE PROMISE; NEAREST"
    style = "bold green" if report.decision.feasible else "bold red"
    out.print(
        Text(f"{head}  {numbers.amount(capacity)}  ({numbers.throughput(capacity)})", style=style)
    )
    if isinstance(capacity, TokenChunks):
        out.print(
            Text(
                f'  console   "Up to" {capacity.max_tokens_per_s}, "Modify" minimum {capacity.min_tokens_per_s}'
            )
        )
    cost = report.cost
    if cost.usd_per_month is not None:
        out.print(
            Text(
                f"  cost      {numbers.usd(cost.usd_per_month)} a month ({numbers.usd(cost.usd_per_hour)}/h; {cost.note})"
            )
        )
    else:
        out.print(
            Text(
                f"  cost      {UNKNOWN}: {cost.why_unknown}; {numbers.count(cost.chunk_hours)} chunk-hours"
            )
        )
        for pairing in cost.pairings:
            month = (
                f"{numbers.usd(pairing.usd_per_month)} a month"
                if pairing.usd_per_month is not None
                else "another size: run with --chunk-tokens-per-s"
            )
            out.print(
                Text(
                    f"            if {pairing.chunk_tokens_per_s:,} cost {numbers.usd(pairing.usd_per_chunk_hour)}/h: {month}"
                )
            )
    for limit in report.promise.limits:
        out.print(Text(f"  promise   {_limit_text(limit)}"))
    out.print(Text(f"  held in   {report.promise.held_in}; search: {report.search}"))
    out.print()
    for reason in report.reasons:
        out.print(Text(f"- {reason}"))
    out.print()
    out.print(_ranges_table(report))
    out.print(_baselines_table(report))
    if report.warnings:
        out.print(Text("warnings", style="bold yellow"))
        for warning in report.warnings:
            out.print(Text(f"! {warning}"))


def _size_text(capacity: Any) -> str:
    if isinstance(capacity, TokenChunks):
        return f"chunk of {numbers.tokens_per_s(capacity.size_tokens_per_s)}"
    return f"step of {capacity.step_units} model units ({numbers.tokens_per_s(capacity.tokens_per_s_per_step)})"


def _limit_text(limit: reports.Limit) -> str:
    mark = {True: "kept", False: "MISSED", None: "not judged"}[limit.kept]
    if limit.percentile is None:
        return f"{mark}: {numbers.percent(limit.reached_fraction)} refused, {numbers.share(limit.limit)} allowed"
    return (
        f"{mark}: {limit.metric.upper()} within {numbers.duration(limit.limit)} for "
        f"{numbers.percent(limit.reached_fraction)} of arrived requests, {limit.percentile:g} % promised"
    )


def _ranges_table(report: reports.Report) -> Table:
    rows = report.ranges_by_cost()
    shown = _around_chosen(rows)
    left_out = len(rows) - len(shown)
    title = "ranges tried" + (
        f" ({len(shown)} of {len(rows)}, around the answer)" if left_out else ""
    )
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    money = report.has_money()
    for name in (
        "range",
        "a month" if money else "chunk-hours",
        "TTFT p50",
        "p95",
        "p99",
        "E2E p95",
        "refused",
        "",
    ):
        table.add_column(
            name, justify="left" if name in ("range", "") else "right", no_wrap=name != ""
        )
    for row in shown:
        cost = numbers.usd(row.usd_per_month) if money else numbers.count(row.chunk_hours)
        table.add_row(
            ("> " if row.chosen else "  ") + numbers.short_range(row.capacity),
            cost,
            *(
                numbers.latency(v, unknown="never")
                for v in (row.ttft_p50_s, row.ttft_p95_s, row.ttft_p99_s, row.e2e_p95_s)
            ),
            numbers.percent(row.refused_fraction),
            Text(row.why),
            style="bold" if row.chosen else ("" if row.feasible else "dim"),
        )
    return table


def _around_chosen(rows: list[reports.RangeRow]) -> list[reports.RangeRow]:
    place = next((i for i, row in enumerate(rows) if row.chosen), 0)
    first = max(0, min(place - MOST_ROWS // 2, len(rows) - MOST_ROWS))
    return rows[first : first + MOST_ROWS]


def _baselines_table(report: reports.Report) -> Table:
    table = Table(title="other ways to choose", title_justify="left", box=None, pad_edge=False)
    for name in ("way", "range", "a month", "within limits", "refused"):
        table.add_column(name, justify="left" if name in ("way", "range") else "right")
    for row in report.baselines:
        table.add_row(
            Text("  " + row.name),
            "-" if row.capacity is None else numbers.short_range(row.capacity),
            numbers.usd(row.usd_per_month),
            "-" if row.attainment_fraction is None else numbers.percent(row.attainment_fraction),
            "-" if row.refused_fraction is None else numbers.percent(row.refused_fraction),
        )
    return table


def show_outcome(title: str, figures: Mapping[str, Any], conservation: Mapping[str, int]) -> None:
    """Print the outcome of one simulated range."""
    out = console()
    out.print(Text(title, style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for key, value in conservation.items():
        table.add_row(f"  {key.replace('_', ' ')}", numbers.count(value))
    for key, value in figures["attainment"].items():
        table.add_row(f"  attainment: {key}", numbers.percent(value))
    for key, value in figures.items():
        if isinstance(value, dict) or key in conservation:
            continue
        table.add_row(f"  {key}", _figure_text(key, value))
    out.print(table)


def _figure_text(key: str, value: float | None) -> str:
    if key.endswith(("_s", "_s_completed")):
        return numbers.latency(value, unknown="never")
    if key.startswith("usd"):
        return numbers.usd(value)
    if key.endswith("_fraction") or key == "utilisation":
        return numbers.percent(value)
    return numbers.count(value)


def show_lines(lines: list[str], *, mark: str = "!") -> None:
    """Print sentences, one a line."""
    out = console()
    for line in lines:
        out.print(Text(f"{mark} {line}"))


def show_text(text: str) -> None:
    """Print text as it is, to be read by a program."""
    sys.stdout.write(text)
