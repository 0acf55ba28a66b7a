"""The numbers of a report as tables for programs: CSV and Parquet, full precision, units in the names.

In CSV no cell is a formula: text that a spreadsheet would compute begins with an apostrophe. Parquet has no
formulas and holds text as it is. Knows nothing of words, figures or pages.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from reports.report import Report
from simulations.capacity import Capacity, ModelUnits

FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What a spreadsheet takes for the start of a formula, their full-width forms included (OWASP, CSV injection)."""

Cell = str | int | float | bool | None


class Table(NamedTuple):
    """Rows of one kind.

    Args:
        name: of the file, without its ending.
        columns: names with units [n].
        rows: cells [m][n]; None where a value is not known.
    """

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


LATENCIES = tuple(f"{metric}_p{p}_s" for metric in ("ttft", "e2e", "tpot") for p in (50, 95, 99))


def tables(report: Report) -> list[Table]:
    """Return ranges, baselines, percentiles, sensitivity, break_even, timeline and assumptions."""
    return [
        Table(
            "ranges",
            [
                *_CAPACITY,
                "feasible",
                "chosen",
                "kept_in_futures",
                "futures",
                "usd_per_month",
                "chunk_hours",
                "attainment_fraction",
                "refused_fraction",
                *LATENCIES,
                "why",
            ],
            [
                [
                    *_capacity(row.capacity),
                    row.feasible,
                    row.chosen,
                    row.kept_in,
                    row.futures,
                    row.usd_per_month,
                    row.chunk_hours,
                    row.attainment_fraction,
                    row.refused_fraction,
                    *(getattr(row, name) for name in LATENCIES),
                    row.why,
                ]
                for row in report.ranges_by_cost()
            ],
        ),
        Table(
            "baselines",
            [
                "name",
                *_CAPACITY,
                "usd_per_month",
                "attainment_fraction",
                "refused_fraction",
                "note",
            ],
            [
                [
                    row.name,
                    *_capacity(row.capacity),
                    row.usd_per_month,
                    row.attainment_fraction,
                    row.refused_fraction,
                    row.note,
                ]
                for row in report.baselines
            ],
        ),
        Table(
            "percentiles",
            ["metric", "percent", "mean_s", "mean_low_s", "mean_high_s", "p05_s", "p95_s"],
            [
                [row.metric, row.percent, row.seconds, *_interval(row.interval)]
                for row in report.percentiles
            ],
        ),
        Table(
            "sensitivity",
            [
                "parameter",
                "value",
                "low",
                "high",
                "flips_below",
                "flips_below_to",
                "flips_above",
                "flips_above_to",
                "effect_fraction",
                "interaction_fraction",
                "sentence",
            ],
            [
                [
                    turn.parameter,
                    turn.value,
                    turn.low,
                    turn.high,
                    *_flip(turn.below),
                    *_flip(turn.above),
                    turn.effect,
                    turn.interaction,
                    turn.sentence,
                ]
                for turn in report.turns
            ],
        ),
        Table(
            "break_even",
            [
                "volume",
                "tokens_per_s",
                *_CAPACITY,
                "usd_per_month",
                "pay_per_token_usd_per_month",
            ],
            [
                [
                    row.volume,
                    row.tokens_per_s,
                    *_capacity(row.capacity),
                    row.usd_per_month,
                    row.pay_per_token_usd_per_month,
                ]
                for row in report.volumes
            ],
        ),
        Table(
            "timeline",
            ["t_s", "offered_tokens_per_s", "ready_chunks", "refused"],
            [
                list(row)
                for row in zip(
                    report.timeline.t_s,
                    report.timeline.offered_tokens_per_s,
                    report.timeline.ready_chunks,
                    report.timeline.refused,
                    strict=True,
                )
            ],
        ),
        Table(
            "assumptions",
            ["name", "value", "source", "date", "assumed"],
            [
                [row.name, row.value, row.source, row.date, row.assumed]
                for row in report.assumptions
            ],
        ),
    ]


_CAPACITY = ("min_chunks", "max_chunks", "min_tokens_per_s", "max_tokens_per_s", "model_units")


def _capacity(capacity: Capacity | None) -> list[Cell]:
    if capacity is None:
        return [None] * len(_CAPACITY)
    rated = capacity.rated_tokens_per_s
    low, high = capacity.min_chunks, capacity.max_chunks
    units = capacity.units if isinstance(capacity, ModelUnits) else None
    return [low, high, low * rated, high * rated, units]


def _interval(interval: Any) -> list[Cell]:
    return [interval.low, interval.high, interval.p05, interval.p95]


def _flip(flip: Any) -> list[Cell]:
    return [None, None] if flip is None else [flip.at, "fails" if flip.fails else "cheaper"]


def to_csv(table: Table) -> str:
    """Return a table as CSV: commas, a header, numbers in full, unknown ones empty.

    >>> print(to_csv(Table("t", ["a", "b"], [["=1+1", 2.5], ["-", None], ["x", -3]])), end="")
    a,b
    '=1+1,2.5
    '-,
    x,-3
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([[_harmless(cell) for cell in row] for row in table.rows])
    return text.getvalue().encode("utf-8", "replace").decode("utf-8")


def _harmless(cell: Cell) -> Cell:
    """Return a cell that no spreadsheet computes; a number is no formula."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if not isinstance(cell, str):
        return cell
    # Line breaks within a cell are legal and misread by many; what cannot be printed has no use.
    line = "".join(c if c.isprintable() else " " for c in cell)
    return f"'{line}" if line.strip()[:1] in FORMULA_STARTS and line.strip() else line


def to_parquet(table: Table) -> bytes:
    """Return a table as Parquet; a column that is nowhere known is one of numbers."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        name: _column([row[place] for row in table.rows], pa)
        for place, name in enumerate(table.columns)
    }
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _column(values: list[Cell], pa: Any) -> Any:
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        clean = [
            None if value is None else str(value).encode("utf-8", "replace").decode("utf-8")
            for value in values
        ]
        return pa.array(clean, pa.string())
    if known and all(isinstance(value, bool) for value in known):
        return pa.array(values, pa.bool_())
    if known and all(isinstance(value, int) for value in known):
        return pa.array(values, pa.int64())
    return pa.array([None if value is None else float(value) for value in values], pa.float64())
