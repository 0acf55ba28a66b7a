"""What `report --compare` prints: what changed in the answer, in what was asked and in what was assumed."""

from __future__ import annotations

from collections.abc import Sequence

from planner.line import one_line
from planner.terminal import screen
from planner.terminal.screen import Line
from reports import numbers
from reports.comparison import Change, Comparison


def show_comparison(comparison: Comparison) -> None:
    """Print a comparison."""
    out = screen.console()
    width = screen.width_of(out)
    lines: list[Line] = [
        *screen.wrapped_lines(comparison.headline, width, style="bold"),
        ("", ""),
        ("the answer", "italic"),
        *_rows(comparison.answer, width),
    ]
    for title, rows, same, noun in (
        ("what was asked", comparison.inputs, comparison.same_inputs, "row"),
        ("what was assumed", comparison.assumptions, comparison.same_assumptions, "number"),
    ):
        lines += [("", ""), (title, "italic"), *_rows(rows, width)]
        verb = "is" if same == 1 else "are"
        lines.append((f"  {numbers.counted(same, noun)} {verb} the same", ""))
    screen.print_lines(out, [*lines, ("", "")])


def _rows(rows: Sequence[Change], width: int) -> list[Line]:
    """Return a line a row, what changed marked; texts too long for a table stand one below the other."""
    lines: list[Line] = []
    broad = max((len(one_line(row.name)) for row in rows), default=0)
    for row in rows:
        mark, style = ("~", "yellow") if row.is_one else (" ", "")
        text = row.before if not row.is_one else f"{row.before} \N{RIGHTWARDS ARROW} {row.after}"
        if row.difference:
            text += f"  {row.difference}"
        line = f"{mark} {one_line(row.name):<{broad}}  {one_line(text)}"
        if len(line) <= width:
            lines.append((line, style))
        else:
            head = f"{mark} {row.name}: {row.before} \N{RIGHTWARDS ARROW} {row.after}"
            lines += screen.wrapped_lines(head, width, hanging=4, style=style)
    return lines
