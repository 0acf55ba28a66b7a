"""What would change the answer: how far each assumed number may be turned before it flips, and how much it moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reports import numbers
from reports.colours import BLUE, INK, VERMILION
from reports.figures.look import (
    WIDE_FROM_IN,
    WIDE_IN,
    Figure,
    Look,
    empty,
    new_figure,
    plain,
    styled,
    write_head,
)

FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""What ticks of factors are chosen from."""


class TurnRow(NamedTuple):
    """One number, as factors of what is assumed (1).

    Args:
        label: its name.
        low, high: between which it was varied.
        below, above: where the answer flips; None where it stands.
        below_fails, above_fails: whether the range fails there, and not a cheaper one keeps the promise.
        effect: mu* on the share of requests within the promise; None where not screened.
    """

    label: str
    low: float
    high: float
    below: float | None = None
    above: float | None = None
    below_fails: bool = True
    above_fails: bool = True
    effect: float | None = None


def flip_distances(rows: Sequence[TurnRow], *, width_in: float = WIDE_IN) -> Figure:
    """Return numbers as bars within which the answer stands, with what happens at the ends; and their effects.

    Args:
        rows: top first; ranges are positive factors.
        width_in: width of the figure; effects have a panel where it is wide and any is known.

    >>> figure = flip_distances([TurnRow("growth", 0.5, 2, None, 1.4, effect=0.2)])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['times what is assumed', 'effect']
    """
    with styled():
        if not rows:
            return empty("no number was varied", width_in)
        wide = width_in >= WIDE_FROM_IN
        with_effects = wide and any(row.effect is not None for row in rows)
        figure = new_figure(width_in, 0.27 * len(rows) + (1.0 if wide else 1.2))
        if with_effects:
            flips, effects = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
        else:
            flips, effects = figure.subplots(), None
        flips.set_ylim(len(rows) - 0.4, -0.6)
        # Where it is narrow, what a number is part of stands in the table alone.
        names = [row.label if wide else row.label.rpartition(".")[2] for row in rows]
        flips.set_yticks(range(len(rows)), [plain(name, most=30 if wide else 18) for name in names])
        _draw_flips(flips, rows, wide=wide)
        if effects is not None:
            _draw_effects(effects, rows)
        return figure


_FAILS: Look = {"marker": "X", "color": VERMILION, "linestyle": "none", "markersize": 7}
_CHEAPER: Look = {"marker": "v", "color": BLUE, "linestyle": "none", "markersize": 7}


def _draw_flips(axes: Axes, rows: Sequence[TurnRow], *, wide: bool) -> None:
    places = np.arange(len(rows))
    ends = [value for row in rows for value in (row.low, row.high)]
    low, high = min(ends) / 1.1, max(ends) * 1.1
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [factor for factor in FACTORS if low <= factor <= high]
    while len(ticks) > (9 if wide else 5):
        ticks = (
            [tick for tick in ticks if tick in (0.01, 0.1, 1, 10, 100)]
            if len(ticks) > 9
            else ticks[::2]
        )
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(visible=True, axis="x")
    axes.hlines(
        places,
        [row.low for row in rows],
        [row.high for row in rows],
        color=INK,
        alpha=0.45,
        linewidth=1.2,
    )
    stands = [
        (row.low if row.below is None else row.below, row.high if row.above is None else row.above)
        for row in rows
    ]
    axes.hlines(
        places, [a for a, _ in stands], [b for _, b in stands], color=INK, alpha=0.55, linewidth=7
    )
    axes.axvline(1, color=INK, linewidth=1.0)
    for fails, look in ((True, _FAILS), (False, _CHEAPER)):
        marks = [
            (at, place)
            for place, row in enumerate(rows)
            for at, at_fails in ((row.below, row.below_fails), (row.above, row.above_fails))
            if at is not None and at_fails == fails
        ]
        axes.plot([at for at, _ in marks], [place for _, place in marks], **look)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, alpha=0.55, linewidth=7, label="stands"),
        Line2D([], [], **_FAILS, label="fails beyond" if wide else "fails"),
        Line2D([], [], **_CHEAPER, label="a cheaper one keeps it" if wide else "cheaper"),
    ]
    write_head(axes, "times what is assumed" if wide else "times the assumed", handles, wide=wide)


def _draw_effects(axes: Axes, rows: Sequence[TurnRow]) -> None:
    effect = [math.nan if row.effect is None else row.effect for row in rows]
    known = np.isfinite(effect)
    axes.barh(np.flatnonzero(known), np.array(effect)[known], height=0.5, color=BLUE, alpha=0.55)
    axes.set_xlim(0, (float(np.nanmax(effect)) if known.any() else 0.0) * 1.1 or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.share(value)))
    axes.grid(visible=True, axis="x")
    axes.tick_params(labelleft=False)
    write_head(axes, "effect", [], wide=True)
