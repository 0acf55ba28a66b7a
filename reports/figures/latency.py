"""Latency percentiles of ranges, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import numbers
from reports.colours import BLUE, INK, VERMILION
from reports.figures.look import (
    WIDE_FROM_IN,
    WIDE_IN,
    Array,
    array_of,
    empty,
    mark_limit,
    new_figure,
    plain,
    styled,
    write_head,
)
from reports.figures.scales import scale_seconds


class LatencyPanel(NamedTuple):
    """Percentiles of one latency for every range.

    Args:
        title: name of the latency.
        percentiles: which percentiles there are, in percent, increasing [k].
        seconds: their values, a row for each range [n][k]; None where there is none.
        limits: limits promised, as (percentile, seconds).
    """

    title: str
    percentiles: Sequence[float]
    seconds: Sequence[Sequence[float | None]]
    limits: Sequence[tuple[float, float]] = ()


def latency_by_range(
    labels: Sequence[str],
    panels: Sequence[LatencyPanel],
    *,
    kept: Sequence[bool],
    chosen: int | None = None,
    caption: str = "chunks",
    width_in: float = WIDE_IN,
) -> Figure:
    """Return latency percentiles of ranges, a row each, with the limits promised as lines.

    Args:
        labels: a short name for each range, top first [n].
        panels: one for each kind of latency; those without any value are left out.
        kept: whether each range keeps the promise [n].
        chosen: index of the decision.
        caption: what the labels are.
        width_in: width of the figure; panels stand side by side where it is wide.

    >>> panel = LatencyPanel("TTFT", [50, 95], [[0.2, 1.1], [0.3, 3.9]], [(95, 2.0)])
    >>> figure = latency_by_range(["2-4", "1-4"], [panel], kept=[True, False], chosen=0)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['TTFT']
    """
    with styled():
        panels = [panel for panel in panels if np.isfinite(_matrix(panel)).any()]
        if not panels:
            return empty("no range has latency percentiles", width_in)
        n, wide = len(labels), width_in >= WIDE_FROM_IN
        across, down = (len(panels), 1) if wide else (1, len(panels))
        figure = new_figure(width_in, (0.24 * n + (1.05 if wide else 1.25)) * down)
        grid = figure.subplots(down, across, sharey=True, squeeze=False).flat
        with_legend = len(panels) - 1 if wide else 0
        for index, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
            axes.set_ylim(n - 0.4, -0.6)
            axes.set_yticks(range(n), [plain(label) for label in labels])
            _draw_latencies(axes, panel, kept=kept, chosen=chosen)
            shapes = [_shape(p, color=INK, label=f"p{p:g}") for p in panel.percentiles]
            write_head(
                axes, panel.title, shapes if index == with_legend else [], wide=wide, gap_points=22
            )
            if wide and index:
                axes.tick_params(labelleft=False)
                continue
            axes.annotate(
                plain(caption),
                (0, 1),
                (-4, 5),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="right",
            )
            if chosen is not None:
                axes.get_yticklabels()[chosen].set_fontweight("bold")
        return figure


def _matrix(panel: LatencyPanel) -> Array:
    rows = [array_of(row) for row in panel.seconds]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(panel.percentiles))


def _draw_latencies(
    axes: Axes, panel: LatencyPanel, *, kept: Sequence[bool], chosen: int | None
) -> None:
    seconds = _matrix(panel)
    reach = [*seconds[np.isfinite(seconds)].tolist(), *(limit for _, limit in panel.limits)]
    scale_seconds(axes, [value for value in reach if value > 0] or [1.0])
    axes.grid(visible=True, axis="x")
    if chosen is not None:
        colour = BLUE if kept[chosen] else VERMILION
        axes.axhspan(chosen - 0.5, chosen + 0.5, color=colour, alpha=0.10, linewidth=0)
    known = np.isfinite(seconds).any(axis=1)
    for keeps, colour in ((True, BLUE), (False, VERMILION)):
        rows = np.flatnonzero(known & (np.array(kept, dtype=bool) == keeps))
        low, high = np.nanmin(seconds[rows], axis=1), np.nanmax(seconds[rows], axis=1)
        axes.hlines(rows, low, high, color=colour, alpha=0.4, linewidth=2.0)
        for column, percentile in enumerate(panel.percentiles):
            axes.add_line(_shape(percentile, seconds[rows, column], rows, color=colour))
    for row in np.flatnonzero(~known).tolist():
        place = axes.get_yaxis_transform()
        axes.text(0.02, row, "no percentiles", transform=place, va="center", fontsize=8)
    for percentile, limit in sorted(panel.limits, key=lambda limit: limit[1]):
        if len(panel.limits) == 1:
            name, align = (
                f"p{percentile:g} \N{LESS-THAN OR EQUAL TO} {numbers.duration(limit)}",
                "center",
            )
        else:
            # Limits may lie close together: short names, and the last one to the right of its line.
            name, align = f"p{percentile:g}", "right"
            if limit == max(seconds for _, seconds in panel.limits):
                align = "left"
        mark_limit(axes, name, x=limit, ha=align)


def _shape(percentile: float, x: npt.ArrayLike = (), y: npt.ArrayLike = (), **look: Any) -> Line2D:
    """Return a percentile as marks: rings for the middle, dots for most, bars for the tail."""
    look["marker"] = "o" if percentile < 99 else "|"
    look["fillstyle"] = "none" if percentile < 90 else "full"
    return Line2D(x, y, markersize=6.5, markeredgewidth=1.6, linestyle="none", **look)
