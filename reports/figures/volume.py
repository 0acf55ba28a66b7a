"""A month provisioned and by the token, against the volume of traffic."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from reports import numbers
from reports.colours import BLUE, VERMILION
from reports.figures.look import (
    WIDE_FROM_IN,
    WIDE_IN,
    Look,
    Values,
    array_of,
    empty,
    new_figure,
    styled,
    write_head,
)


def cost_by_volume(
    tokens_per_s: Values,
    provisioned_usd: Values,
    by_token_usd: Values,
    *,
    here: int | None = None,
    width_in: float = WIDE_IN,
) -> Figure:
    """Return what a month costs, provisioned and by the token, against the mean load; both axes by factors.

    Args:
        tokens_per_s: mean load at each volume, increasing [n].
        provisioned_usd: a month of the cheapest range that keeps the promise [n]; None where none was found.
        by_token_usd: a month of the tokens [n].
        here: index of the traffic as it is.
        width_in: width of the figure.

    >>> cost_by_volume([1, 2], [100, 100], [70, 140]).axes[0].get_xlabel()
    'mean load, tokens/s'
    """
    with styled():
        load, provisioned, by_token = (
            array_of(values) for values in (tokens_per_s, provisioned_usd, by_token_usd)
        )
        if not np.isfinite(provisioned).any():
            return empty("no cost is known at any volume", width_in)
        wide = width_in >= WIDE_FROM_IN
        figure = new_figure(width_in, 3.6 if wide else 3.2)
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        axes.set_xscale("log")
        axes.set_yscale("log")
        known = np.isfinite(provisioned)
        paid: Look = {"color": BLUE, "marker": "o", "markersize": 5, "linewidth": 1.5}
        token: Look = {"color": VERMILION, "linestyle": "--", "linewidth": 1.5}
        axes.plot(load[known], provisioned[known], **paid)
        axes.plot(load, by_token, **token)
        handles = [
            Line2D([], [], **paid, label="provisioned"),
            Line2D([], [], **token, label="pay-per-token" if wide else "by the token"),
        ]
        if here is not None and known[here]:
            ring: Look = {"marker": "o", "markerfacecolor": "none", "markeredgewidth": 1.5}
            ring |= {"color": BLUE, "linestyle": "none"}
            axes.plot(load[here], provisioned[here], **ring, markersize=14)
            handles.append(
                Line2D([], [], **ring, markersize=9, label="this traffic" if wide else "now")
            )
        axes.set_xticks(load.tolist()[:: 1 if wide else 2])
        axes.minorticks_off()
        amounts = FuncFormatter(lambda value, _: numbers.count(float(f"{value:.2g}")))
        axes.xaxis.set_major_formatter(amounts)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("mean load, tokens/s", loc="left")
        write_head(axes, "USD a month", handles, wide=wide)
        return figure
