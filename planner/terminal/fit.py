"""What `ptplan generate --fit` prints: the trace beside what its description generates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from reports import numbers


def show_fit(data: Mapping[str, Any], written: str) -> None:
    """Print how near a fit comes.

    Args:
        data: of `planner.fitting.Fitted`; texts in it may be hostile.
        written: where the description was written.
    """
    out = console()
    print_lines(out, [*fit_lines(data, width_of(out)), (f"written: {one_line(written)}", "")])


def fit_lines(data: Mapping[str, Any], width: int) -> list[Line]:
    """Return how near a fit comes, as lines with their styles."""
    head = (
        f"{one_line(data['path'])}: {numbers.counted(data['requests'], 'request')} in "
        f"{numbers.duration(data['span_s'])} ({data['format']})"
    )
    lines = [*wrapped_lines(head, width), ("", "")]
    lines += labelled_lines("rate", data["rate"], width)
    lines += labelled_lines("bursts", data["bursts"], width)
    lines += [("", "")]
    header = ["  trace against generated", "trace", "generated", "from", "to", ""]
    cells = [
        [
            f"  {row['name']}",
            *(numbers.count(row[key]) for key in ("trace", "generated", "low", "high")),
            row["words"],
        ]
        for row in data["rows"]
    ]
    styles = ["bold" if row["off"] else "" for row in data["rows"]]
    lines += [*table_lines(header, cells, styles, width, left=(0, 5)), ("", "")]
    lines += wrapped_lines(_verdict(data), width)
    for note in data["notes"]:
        lines += wrapped_lines(f"! {note}", width, hanging=2)
    return lines


def _verdict(data: Mapping[str, Any]) -> str:
    of = (
        f"generated: mean, least and most of {data['replications']} replications. Said to be off from "
        "5 % of the rate, 25 % of dispersion, peaks and CV, 10 % of lengths, 0.05 of the rank correlation "
        "and 0.01 of the cached share on."
    )
    n = data["n_off"]
    if not n:
        return f"{of} Nothing is."
    return f"{of} So {'is' if n == 1 else 'are'} {n} of {len(data['rows'])}."
