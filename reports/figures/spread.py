"""Latency percentiles of the decision with what is known of them: the mean over futures, its interval, the spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reports import numbers
from reports.colours import BLUE
from reports.figures.look import (
    WIDE_FROM_IN,
    WIDE_IN,
    Array,
    Figure,
    Look,
    array_of,
    empty,
    mark_limit,
    new_figure,
    styled,
    write_head,
)
from reports.figures.scales import scale_seconds


class SpreadPanel(NamedTuple):
    """Percentiles of one latency over futures.

    Args:
        title: name of the latency.
        percentiles: which there are, in percent, increasing [k].
        seconds: mean of each over futures [k]; None where some future never reaches it.
        low, high: 95 % interval of that mean [k]; None for one future.
        p05, p95: between which nine of ten futures lie [k]; None for one future.
        limits: limits promised, as (percentile, seconds).
    """

    title: str
    percentiles: Sequence[float]
    seconds: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    p05: Sequence[float | None] = ()
    p95: Sequence[float | None] = ()
    limits: Sequence[tuple[float, float]] = ()


def latency_spread(panels: Sequence[SpreadPanel], *, width_in: float = WIDE_IN) -> Figure:
    """Return latency percentiles over futures, a row a percentile: thin the spread, thick the interval.

    Args:
        panels: one for each kind of latency; those without any value are left out.
        width_in: width of the figure; panels stand side by side where it is wide.

    >>> panel = SpreadPanel("TTFT", [50, 95], [0.2, 1.1], [0.19, 1.0], [0.21, 1.2], [0.1, 0.9], [0.3, 1.5])
    >>> [text.get_text() for text in latency_spread([panel]).axes[0].get_yticklabels()]
    ['p50', 'p95']
    """
    with styled():
        panels = [panel for panel in panels if np.isfinite(array_of(panel.seconds)).any()]
        if not panels:
            return empty("no latency percentile is reached", width_in)
        wide = width_in >= WIDE_FROM_IN
        across, down = (len(panels), 1) if wide else (1, len(panels))
        rows = max(len(panel.percentiles) for panel in panels)
        figure = new_figure(width_in, (0.34 * rows + 1.2) * down + (0.0 if wide else 0.3))
        grid = figure.subplots(down, across, squeeze=False).flat
        spread = any(len(panel.low) and np.isfinite(array_of(panel.low)).any() for panel in panels)
        with_legend = len(panels) - 1 if wide else 0
        for index, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
            axes.set_ylim(len(panel.percentiles) - 0.4, -0.6)
            axes.set_yticks(
                range(len(panel.percentiles)),
                [f"p{percentile:g}" for percentile in panel.percentiles],
            )
            _draw(axes, panel)
            write_head(
                axes,
                panel.title,
                _handles(wide=wide) if spread and index == with_legend else [],
                wide=wide,
                gap_points=22,
            )
        return figure


_MEAN: Look = {"marker": "o", "linestyle": "none", "color": BLUE, "markersize": 6.5}


def _handles(*, wide: bool) -> list[Line2D | Patch]:
    interval, spread = ("95 % of mean", "9 of 10 futures") if wide else ("95 %", "9 of 10")
    return [
        Line2D([], [], **_MEAN, label="mean"),
        Line2D([], [], color=BLUE, alpha=0.75, linewidth=5, label=interval),
        Line2D([], [], color=BLUE, alpha=0.45, linewidth=1.6, label=spread),
    ]


def _draw(axes: Axes, panel: SpreadPanel) -> None:
    seconds = array_of(panel.seconds)
    reach = [seconds, *(array_of(side) for side in (panel.low, panel.high, panel.p05, panel.p95))]
    every = np.concatenate([*reach, [limit for _, limit in panel.limits]])
    positive = every[np.isfinite(every) & (every > 0)]
    scale_seconds(axes, positive.tolist() or [1.0])
    axes.grid(visible=True, axis="x")
    rows = np.arange(len(seconds), dtype=float)
    _bars(axes, rows, panel.p05, panel.p95, alpha=0.45, linewidth=1.6)
    _bars(axes, rows, panel.low, panel.high, alpha=0.75, linewidth=5)
    axes.plot(seconds, rows, **_MEAN)
    for row in np.flatnonzero(~np.isfinite(seconds)).tolist():
        place = axes.get_yaxis_transform()
        axes.text(0.02, row, "never, in some future", transform=place, va="center", fontsize=8)
    for percentile, limit in sorted(panel.limits, key=lambda limit: limit[1]):
        name = f"p{percentile:g} \N{LESS-THAN OR EQUAL TO} {numbers.duration(limit)}"
        mark_limit(
            axes, name if len(panel.limits) == 1 else f"p{percentile:g}", x=limit, ha="center"
        )


def _bars(
    axes: Axes,
    rows: Array,
    low: Sequence[float | None],
    high: Sequence[float | None],
    *,
    alpha: float,
    linewidth: float,
) -> None:
    if not len(low):
        return
    left, right = array_of(low), array_of(high)
    known = np.isfinite(left) & np.isfinite(right)
    # An interval of a mean may reach below 0, which has no place on an axis by factors.
    start = np.maximum(left[known], 1e-9)
    axes.hlines(rows[known], start, right[known], color=BLUE, alpha=alpha, linewidth=linewidth)
