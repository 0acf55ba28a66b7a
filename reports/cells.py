"""The cells of every table of a report, as text: a page and Markdown show the same ones.

Rows of plain strings, in the order of the report. Knows nothing of HTML, Markdown or files.
"""

from __future__ import annotations

from reports import numbers, sentences
from reports.report import Pairing, Report
from simulations.capacity import ModelUnits

DASH = numbers.MISSING


def month(usd: float | None) -> str:
    """Return money without its currency, for a column whose head names it."""
    return numbers.usd(usd, unknown=DASH).replace("USD ", "")


def pairing_size(pairing: Pairing, report: Report) -> str:
    """Return how large a chunk, or a step of units, was where it was seen."""
    if isinstance(report.decision.capacity, ModelUnits):
        return numbers.counted(pairing.chunk_tokens_per_s, "model unit")
    return numbers.tokens_per_s(pairing.chunk_tokens_per_s)


def pairing_rows(report: Report) -> list[list[str]]:
    """Return chunk, its price, the month at it, and where the two were seen."""
    return [
        [
            pairing_size(pairing, report),
            f"{numbers.usd(pairing.usd_per_chunk_hour)} an hour",
            numbers.usd(pairing.usd_per_month, unknown=DASH),
            pairing.note,
        ]
        for pairing in report.cost.pairings
    ]


def range_header(report: Report) -> list[str]:
    """Return the names of the columns of `range_rows`."""
    in_units = isinstance(report.decision.capacity, ModelUnits)
    hours = f"{sentences.unit_noun(report.decision.capacity).capitalize()}-hours"
    return [
        "Units" if in_units else "Range",
        "Promise",
        "USD a month" if report.has_money() else hours,
        "Within limits",
        "Refused",
        "TTFT p50",
        "TTFT p95",
        "TTFT p99",
        "E2E p95",
        "E2E p99",
    ]


def range_rows(report: Report) -> list[list[str]]:
    """Return every range tried, cheapest first."""
    money = report.has_money()
    rows = []
    for row in report.ranges_by_cost():
        verdict = "✓ keeps it" if row.feasible else "✗ does not"
        if row.chosen:
            verdict += ", chosen" if row.feasible else ", nearest"
        cost = month(row.usd_per_month) if money else numbers.count(row.chunk_hours, unknown=DASH)
        seconds = (row.ttft_p50_s, row.ttft_p95_s, row.ttft_p99_s, row.e2e_p95_s, row.e2e_p99_s)
        rows.append(
            [
                numbers.amount(row.capacity),
                f"{verdict}: {row.why}" if row.why else verdict,
                cost,
                numbers.percent(row.attainment_fraction, unknown=DASH),
                numbers.percent(row.refused_fraction, unknown=DASH),
                *(numbers.latency(value, unknown=DASH) for value in seconds),
            ]
        )
    return rows


def turn_rows(report: Report) -> list[list[str]]:
    """Return each number that was turned: its name, what becomes of the answer, effect and interaction."""
    return [
        [
            turn.parameter,
            turn.sentence,
            numbers.percent(turn.effect, unknown=DASH),
            numbers.percent(turn.interaction, unknown=DASH),
        ]
        for turn in report.turns
    ]


def baseline_rows(report: Report) -> list[list[str]]:
    """Return the decision and, below it, what other ways of choosing would give."""
    decision = report.decision
    first = [
        "This recommendation" if decision.feasible else "Nearest miss",
        numbers.amount(decision.capacity),
        numbers.percent(report.promise.attainment_fraction, unknown=DASH),
        numbers.percent(sentences.refused_fraction(report), unknown=DASH),
        month(report.cost.usd_per_month),
        "",
    ]
    return [
        first,
        *(
            [
                row.name,
                sentences.baseline_size(row),
                numbers.percent(row.attainment_fraction, unknown=DASH),
                numbers.percent(row.refused_fraction, unknown=DASH),
                month(row.usd_per_month),
                row.note,
            ]
            for row in report.baselines
        ),
    ]


def assumption_rows(report: Report) -> list[list[str]]:
    """Return every number the answer rests on: name, value, standing, source, date."""
    return [
        [row.name, row.value, "assumed" if row.assumed else "known", row.source, row.date or DASH]
        for row in report.assumptions
    ]


def input_rows(report: Report) -> list[list[str]]:
    """Return what the answer was judged on, with checksums, as pairs."""
    inputs = report.inputs
    dropped = [f"{numbers.count(n)}: {reason}" for reason, n in sorted(inputs.dropped.items())]
    rows = [
        ["File", inputs.file],
        ["SHA-256 of the file", inputs.sha256],
        ["Format", inputs.format],
        ["Requests", f"{numbers.count(inputs.n_requests)} over {numbers.duration(inputs.span_s)}"],
        ["Rows left out", "; ".join(dropped) or "none"],
        *([sentences.sentence(name), text] for name, text in inputs.settings.items()),
    ]
    return [*rows, ["SHA-256 of this answer", report.sha256]] if report.sha256 else rows
