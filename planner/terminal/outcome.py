"""What `simulate` prints: the outcome of one range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.line import one_line
from planner.terminal.screen import (
    Line,
    console,
    print_lines,
    table_lines,
    width_of,
    wrapped_lines,
)
from reports import numbers


def show_outcome(title: str, figures: Mapping[str, Any], conservation: Mapping[str, int]) -> None:
    """Print the outcome of one simulated range."""
    out = console()
    width = width_of(out)
    lines: list[Line] = [*wrapped_lines(one_line(title), width, style="bold")]
    rows = [[f"  {key.replace('_', ' ')}", numbers.count(n)] for key, n in conservation.items()]
    rows += [
        [f"  within limit: {key}" if key != "all" else "  within all limits", numbers.percent(part)]
        for key, part in figures["attainment"].items()
    ]
    rows += [
        [f"  {key}", _figure_text(key, value)]
        for key, value in figures.items()
        if not isinstance(value, dict)
        and key not in conservation
        and not key.startswith(("ttft_", "tpot_", "e2e_"))
    ]
    lines += [*table_lines(["", ""], rows, [""] * len(rows), width, left=(0,))[1:], ("", "")]
    percents = [key[5:-2] for key in figures if key.startswith("ttft_") and key.endswith("_s")]
    latencies = [
        [f"  {metric.upper()}{of}"]
        + [
            numbers.latency(figures[f"{metric}_{percent}_s{suffix}"], unknown="never")
            for percent in percents
        ]
        for of, suffix in (("", ""), (" of the served", "_completed"))
        for metric in ("ttft", "tpot", "e2e")
        if not suffix or figures["refused"]
    ]
    lines += table_lines(
        ["  latency", *percents],
        latencies,
        [""] * len(latencies),
        width,
        left=(0,),
    )
    print_lines(out, [*lines, ("", "")])


def _figure_text(key: str, value: float | None) -> str:
    if key.startswith("usd"):
        return numbers.usd(value)
    if key.endswith("_fraction") or key == "utilisation":
        return numbers.percent(value)
    return numbers.count(value)
