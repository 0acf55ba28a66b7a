"""Every range that was tried as a map, minimum against maximum: what keeps the promise, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from reports import numbers
from reports.colours import BLUE, STRONG, VERMILION
from reports.figures.look import (
    WIDE_FROM_IN,
    WIDE_IN,
    Array,
    Figure,
    Look,
    Values,
    array_of,
    empty,
    new_figure,
    plain,
    styled,
    write_head,
)
from reports.figures.shapes import squares

MOST_IN_FULL = 30
"""Values of an axis up to which those not tried have a place too; beyond, only those tried."""

FEWEST_COLUMNS = 8
"""Columns that a wide map has room for at the least: a few cells across a page would be walls."""

PALE, DARK = 0.10, 0.46
"""Opacities of the cheapest and the dearest range: text reads on both."""

TINTS = 6
"""Steps between them."""


def map_of_ranges(
    min_chunks: Sequence[int],
    max_chunks: Sequence[int],
    kept: Sequence[bool],
    costs: Values,
    *,
    chosen: int | None = None,
    money: bool = True,
    width_in: float = WIDE_IN,
) -> Figure:
    """Return ranges as cells, minimum upwards and maximum to the right, stronger for dearer.

    Blue keeps the promise; vermilion with a cross does not, so that colour is not needed to tell them apart.

    Args:
        min_chunks, max_chunks: of each range tried, min <= max [n].
        kept: whether each keeps the promise [n].
        costs: of each [n], written into the cells where there is room; None where it is not known.
        chosen: index of the decision.
        money: whether the costs are USD a month, and not hours of chunks.
        width_in: width of the figure.

    >>> figure = map_of_ranges([1, 1, 2], [1, 2, 2], [False, True, True], [10, 15, 20], chosen=1)
    >>> figure.axes[0].get_xlabel()
    'maximum, chunks'
    """
    with styled():
        if not len(min_chunks):
            return empty("no range was tried", width_in)
        wide = width_in >= WIDE_FROM_IN
        columns, rows = _places(max_chunks), _places(min_chunks)
        figure = new_figure(width_in, min(5.2, max(2.0, 1.3 + 0.42 * len(rows))))
        axes = figure.subplots()
        x = np.array([columns[value] for value in max_chunks], dtype=float)
        y = np.array([rows[value] for value in min_chunks], dtype=float)
        cost, keeps = array_of(costs), np.array(kept, dtype=bool)
        tint = _tints(cost)
        for of_kind, colour in ((keeps, BLUE), (~keeps, VERMILION)):
            for step in range(TINTS):
                cells = [_cell(x[i], y[i]) for i in np.flatnonzero(of_kind & (tint == step))]
                if cells:
                    alpha = PALE + (DARK - PALE) * step / (TINTS - 1)
                    axes.add_patch(squares(cells, alpha, colour))
        axes.set_xlim(0, max(len(columns), FEWEST_COLUMNS if wide else 4))
        axes.set_ylim(0, len(rows))
        _name_ticks(axes, columns, rows, most=16 if wide else 7)
        axes.set_xlabel("maximum, chunks", loc="left")
        roomy = len(columns) <= (14 if wide else 5)
        if roomy:
            _write_costs(axes, x, y, cost, keeps)
        cross: Look = {
            "marker": "x",
            "color": VERMILION,
            "linestyle": "none",
            "markeredgewidth": 1.5,
        }
        aside = 0.14 if roomy else 0.5
        axes.plot(
            x[~keeps] + aside,
            y[~keeps] + (0.78 if roomy else 0.5),
            **cross,
            markersize=5 if roomy else 4,
        )
        handles: list[Line2D | Patch] = [
            Patch(facecolor=(BLUE, 0.3), label="keeps the promise" if wide else "keeps it"),
            Line2D([], [], **cross, markersize=6, label="does not"),
        ]
        if chosen is not None:
            look: Look = {
                "facecolor": "none",
                "edgecolor": BLUE if keeps[chosen] else VERMILION,
                "linewidth": 2.2,
            }
            axes.add_patch(Rectangle((x[chosen] + 0.03, y[chosen] + 0.03), 0.94, 0.94, **look))
            handles.append(Patch(**look, label="chosen" if keeps[chosen] else "nearest"))
        unit = "USD a month" if money else "chunk-hours"
        title = (
            f"minimum, chunks; stronger: more {unit}" if wide else f"minimum; stronger: more {unit}"
        )
        write_head(axes, title, handles, wide=wide)
        return figure


def _places(values: Sequence[int]) -> dict[int, int]:
    """Return where each value of an axis stands, from 0.

    >>> _places([1, 3]), _places([1, 300])
    ({1: 0, 2: 1, 3: 2}, {1: 0, 300: 1})
    """
    low, high = min(values), max(values)
    shown = range(low, high + 1) if high - low < MOST_IN_FULL else sorted(set(values))
    return {value: place for place, value in enumerate(shown)}


def _tints(cost: Array) -> Array:
    """Return which tint each cost has, from 0; what is not known has the palest."""
    known = np.isfinite(cost)
    tint = np.zeros(len(cost))
    if known.any():
        low, high = float(cost[known].min()), float(cost[known].max())
        if high > low:
            tint[known] = np.rint((cost[known] - low) / (high - low) * (TINTS - 1))
    return tint


def _cell(x: float, y: float) -> list[tuple[float, float]]:
    a, b = 0.03, 0.97
    corners = [(x + a, y + a), (x + b, y + a), (x + b, y + b), (x + a, y + b)]
    return [*corners, corners[-1]]


def _write_costs(axes: Axes, x: Array, y: Array, cost: Array, keeps: np.ndarray) -> None:
    for column, row, value in zip(x, y, cost, strict=True):
        if np.isfinite(value):
            axes.text(
                column + 0.5,
                row + 0.42,
                plain(numbers.compact(value)),
                ha="center",
                va="center",
                color=STRONG,
            )


def _name_ticks(axes: Axes, columns: dict[int, int], rows: dict[int, int], *, most: int) -> None:
    for places, ticks in ((columns, axes.set_xticks), (rows, axes.set_yticks)):
        shown = list(places)[:: -(-len(places) // most)]
        ticks([places[value] + 0.5 for value in shown], [numbers.count(value) for value in shown])
    axes.spines["bottom"].set_visible(False)
