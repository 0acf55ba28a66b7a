"""Model units against what they cost: the map of ranges where nothing autoscales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from reports.colours import BLUE, VERMILION
from reports.figures.look import (
    ROUND,
    WIDE_FROM_IN,
    WIDE_IN,
    Figure,
    Look,
    Values,
    array_of,
    counts,
    empty,
    new_figure,
    plain,
    styled,
    write_head,
)


def cost_by_size(
    units: Sequence[int],
    kept: Sequence[bool],
    costs: Values,
    *,
    chosen: int | None = None,
    axis: str = "USD a month",
    width_in: float = WIDE_IN,
) -> Figure:
    """Return what each size costs, and whether it keeps the promise.

    Args:
        units: of each size tried [n].
        kept: whether each keeps the promise [n].
        costs: of each, in the unit of the axis [n]; None where it is not known.
        chosen: index of the decision.
        axis: name and unit of the cost.
        width_in: width of the figure.

    >>> cost_by_size([50, 100], [False, True], [10.0, 20.0], chosen=1).axes[0].get_xlabel()
    'model units'
    """
    with styled():
        size, cost, keeps = array_of(units), array_of(costs), np.array(kept, dtype=bool)
        known = np.isfinite(size) & np.isfinite(cost)
        if not known.any():
            return empty("no size has a cost", width_in)
        wide = width_in >= WIDE_FROM_IN
        figure = new_figure(width_in, 3.4 if wide else 3.0)
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        looks: dict[bool, Look] = {
            True: {"marker": "o", "color": BLUE, "linestyle": "none", "markersize": 6},
            False: {
                "marker": "x",
                "color": VERMILION,
                "linestyle": "none",
                "markersize": 6,
                "markeredgewidth": 1.5,
            },
        }
        for keep, look in looks.items():
            of_kind = known & (keeps == keep)
            axes.vlines(
                size[of_kind], 0, cost[of_kind], color=look["color"], alpha=0.35, linewidth=2
            )
            axes.plot(size[of_kind], cost[of_kind], **look)
        handles: list[Line2D | Patch] = [
            Line2D([], [], **looks[True], label="keeps the promise" if wide else "keeps it"),
            Line2D([], [], **looks[False], label="does not"),
        ]
        if chosen is not None and known[chosen]:
            ring: Look = {"marker": "o", "markerfacecolor": "none", "markeredgewidth": 1.5}
            ring |= {"color": BLUE if keeps[chosen] else VERMILION, "linestyle": "none"}
            axes.plot(size[chosen], cost[chosen], **ring, markersize=16)
            handles.append(
                Line2D([], [], **ring, markersize=9, label="chosen" if keeps[chosen] else "nearest")
            )
        margin = (float(size[known].max() - size[known].min()) or 1.0) * 0.08
        axes.set_xlim(float(size[known].min()) - margin, float(size[known].max()) + margin)
        axes.set_ylim(0, float(cost[known].max()) * 1.18 or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8 if wide else 4, steps=ROUND, integer=True))
        axes.xaxis.set_major_formatter(counts())
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=ROUND))
        axes.yaxis.set_major_formatter(counts())
        axes.set_xlabel("model units", loc="left")
        write_head(axes, plain(axis, most=60), handles, wide=wide)
        return figure
