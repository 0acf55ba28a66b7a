"""Requests and tokens per second over time."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from reports.colours import BLUE, INK
from reports.figures.look import (
    ROUND,
    WIDE_FROM_IN,
    WIDE_IN,
    Values,
    array_of,
    counts,
    empty,
    new_figure,
    styled,
)
from reports.figures.scales import time_unit
from reports.figures.shapes import draw_steps, fill_steps


def rate_over_time(
    t_s: Values,
    requests_per_s: Values,
    tokens_per_s: Values,
    *,
    width_s: float,
    width_in: float = WIDE_IN,
) -> Figure:
    """Return requests and tokens per second over time, one above the other.

    Args:
        t_s: where each bin starts, seconds since the first request, increasing [n].
        requests_per_s, tokens_per_s: means of each bin [n].
        width_s: width of the bins.
        width_in: width of the figure; long series are binned to what it can show.

    >>> figure = rate_over_time([0, 60], [0.5, 1.0], [900.0, 1500.0], width_s=60)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['requests/s', 'tokens/s']
    """
    with styled():
        wide = width_in >= WIDE_FROM_IN
        start_s = array_of(t_s)
        if not len(start_s):
            return empty("too short for a rate over time", width_in)
        figure = new_figure(width_in, 4.4 if wide else 3.9)
        panels: list[Axes] = list(figure.subplots(2, 1, sharex=True))
        first = np.arange(0, len(start_s), math.ceil(len(start_s) / (400 if wide else 200)))
        edges_s = np.append(start_s[first], start_s[-1] + width_s)
        unit_s, unit, step = time_unit(edges_s[-1] - edges_s[0], most=8 if wide else 4)
        edges = edges_s / unit_s
        shown = (("requests/s", requests_per_s, INK), ("tokens/s", tokens_per_s, BLUE))
        for axes, (title, values, colour) in zip(panels, shown, strict=True):
            rate = array_of(values)
            mean = np.add.reduceat(rate, first) / np.diff(np.append(first, len(rate)))
            high = np.maximum.reduceat(rate, first)
            axes.grid(visible=True, axis="y")
            fill_steps(axes, mean, edges, colour, alpha=0.30)
            if (high > mean).any():
                fill_steps(axes, high, edges, colour, alpha=0.14, above=mean)
            draw_steps(axes, mean, edges, colour, linewidth=1.0)
            axes.set_ylim(0, float(high.max()) * 1.06 or 1.0)
            axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=ROUND))
            axes.yaxis.set_major_formatter(counts())
            axes.set_title(title)
        panels[0].tick_params(labelbottom=False)
        panels[1].set_xlim(edges[0], edges[-1])
        panels[1].xaxis.set_major_locator(MultipleLocator(step))
        panels[1].xaxis.set_major_formatter(counts())
        panels[1].set_xlabel(f"{unit} since the first request", loc="left")
        return figure
