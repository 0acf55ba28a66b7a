"""Histograms of token counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from reports import numbers
from reports.colours import BLUE, INK
from reports.figures.look import (
    ROUND,
    WIDE_FROM_IN,
    WIDE_IN,
    array_of,
    new_figure,
    plain,
    styled,
)
from reports.figures.scales import round_steps
from reports.figures.shapes import draw_steps, fill_steps


class LengthPanel(NamedTuple):
    """How many requests have how many tokens.

    Args:
        title: what is counted.
        edges: of the bins, increasing [n + 1]; a first bin from 0 to 1 holds what has none.
        counts: requests in each bin [n].
        percentiles: marked, as (percentile, tokens), increasing.
    """

    title: str
    edges: Sequence[int]
    counts: Sequence[int]
    percentiles: Sequence[tuple[float, float]] = ()


def token_lengths(panels: Sequence[LengthPanel], *, width_in: float = WIDE_IN) -> Figure:
    """Return histograms of token counts on a logarithmic scale, with percentiles as lines.

    Args:
        panels: side by side where it is wide, else one above the other.
        width_in: width of the figure.

    >>> figure = token_lengths([LengthPanel("input", [0, 1, 2, 3], [1, 0, 3], [(50, 2)])])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['input']
    """
    with styled():
        wide = width_in >= WIDE_FROM_IN
        across, down = (len(panels), 1) if wide else (1, len(panels))
        figure = new_figure(width_in, 2.7 if wide else 2.4 * down)
        figure.set_layout_engine("constrained", hspace=0.0 if wide else 0.06)
        grid = figure.subplots(down, across, squeeze=False).flat
        for axes, panel in zip(grid, panels, strict=True):
            share = array_of(panel.counts)
            share /= share.sum() or 1.0
            # 0 has no logarithm; its bin stands an octave wide to the left of 1.
            edges = np.maximum(array_of(panel.edges), 0.5)
            axes.set_xscale("log")
            axes.grid(visible=True, axis="y")
            fill_steps(axes, share, edges, BLUE, alpha=0.35)
            draw_steps(axes, share, edges, BLUE, linewidth=1.0)
            low, high = float(edges[0]), float(edges[-1])
            if high < 8 * low:
                # A few bins from edge to edge would be a wall and no histogram.
                low, high = low / 2, high * 2
            axes.set_xlim(low, high)
            ticks = round_steps(max(1.0, low), high, most=6 if wide else 5)
            names = [numbers.count(tick) for tick in ticks]
            if panel.edges[0] == 0:
                ticks, names = [math.sqrt(0.5), *ticks], ["0", *names]
            axes.set_xticks(ticks, names)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_ylim(0, float(share.max()) * 1.08)
            axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=ROUND))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.share(value)))
            axes.set_title(plain(panel.title, most=60), pad=22)
            _mark_percentiles(axes, panel.percentiles, across_in=width_in / across)
        return figure


def _mark_percentiles(
    axes: Axes,
    percentiles: Sequence[tuple[float, float]],
    *,
    across_in: float,
) -> None:
    """Draw percentiles as lines with their names above, of those close together only the first."""
    # A name is 0.3 inches wide.
    low, high = axes.get_xlim()
    apart = 0.35 / across_in * math.log(high / low)
    named: float | None = None
    for percentile, tokens in percentiles:
        place = max(tokens, math.sqrt(0.5))
        axes.axvline(place, color=INK, linewidth=1.0, linestyle=(0, (4, 2)), alpha=0.8)
        if named is not None and math.log(place / named) < apart:
            continue
        named = place
        axes.annotate(
            f"p{percentile:g}",
            (place, 1),
            (0, 5),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
        )
