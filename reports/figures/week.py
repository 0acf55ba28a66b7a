"""Load by hour of the week."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports import numbers
from reports.colours import BLUE
from reports.figures.look import (
    WIDE_FROM_IN,
    WIDE_IN,
    Values,
    array_of,
    new_figure,
    styled,
    write_head,
)
from reports.figures.shapes import SHADES, squares

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def load_by_hour_of_week(loads: Values, *, width_in: float = WIDE_IN) -> Figure:
    """Return a load for each hour of the week as a map: a row for each day, stronger for more.

    Args:
        loads: from Monday 00:00 [168]; None for an hour never seen, which stays without colour.
        width_in: width of the figure.

    >>> figure = load_by_hour_of_week([*range(100), *[None] * 68])
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()][:2]
    ['Mon', 'Tue']
    """
    with styled():
        wide = width_in >= WIDE_FROM_IN
        load = array_of(loads).reshape(len(DAYS), 24)
        figure = new_figure(width_in, 2.9 if wide else 2.3)
        axes = figure.subplots()
        highest = float(np.nanmax(load, initial=0.0))
        # Of all marks alike one path is made: the page stays small.
        level = np.full(load.shape, -1)
        seen = np.isfinite(load)
        level[seen] = np.rint(load[seen] / (highest or 1.0) * (len(SHADES) - 1))
        gap = 0.05 if wide else 0.03
        for shade, alpha in enumerate(SHADES):
            cells = [
                [(x + gap, y + gap), (x + 1 - gap, y + gap), (x + 1 - gap, y + 1 - gap)]
                + [(x + gap, y + 1 - gap)] * 2
                for y, x in np.argwhere(level == shade).tolist()
            ]
            if cells:
                axes.add_patch(squares(cells, alpha))
        axes.set_xlim(0, 24)
        axes.set_ylim(len(DAYS), 0)
        axes.set_yticks(np.arange(len(DAYS)) + 0.5, DAYS)
        hours = range(0, 24, 3 if wide else 6)
        axes.set_xticks([hour + 0.5 for hour in hours], [f"{hour:02}" for hour in hours])
        axes.set_xlabel("hour of the day, UTC", loc="left")
        axes.spines["bottom"].set_visible(False)
        handles = [
            Patch(facecolor=(BLUE, SHADES[0]), label="0"),
            Patch(facecolor=(BLUE, SHADES[len(SHADES) // 2]), label=numbers.count(highest / 2)),
            Patch(facecolor=(BLUE, SHADES[-1]), label=numbers.count(highest)),
        ]
        write_head(axes, "tokens/s", handles if highest else [], wide=wide)
        return figure
