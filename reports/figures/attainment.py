"""What each range keeps of the promise against what it costs: the frontier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports import numbers
from reports.colours import BLUE, INK, VERMILION
from reports.figures.look import (
    WIDE_FROM_IN,
    WIDE_IN,
    Array,
    Look,
    Values,
    array_of,
    empty,
    mark_limit,
    new_figure,
    plain,
    styled,
    write_head,
)
from reports.figures.scales import round_steps, scale_cost

MOST_NAMES = 10
"""Points of a frontier up to which each is named; of a longer one, only the ends."""


def cost_against_attainment(
    costs: Values,
    attainment_fractions: Values,
    *,
    labels: Sequence[str],
    kept: Sequence[bool],
    chosen: int | None = None,
    promised_fraction: float | None = None,
    axis: str = "USD per month",
    width_in: float = WIDE_IN,
) -> Figure:
    """Return what each range keeps of the promise against what it costs.

    Attainment is drawn so that each further nine (90 %, 99 %, 99.9 %) takes the same height,
    since that is what money buys. A line joins the ranges that nothing as cheap beats.

    Args:
        costs: of each range, in the unit of the axis [n]; None where there is none.
        attainment_fractions: share of arrived requests within all limits (0..1) [n].
        labels: a short name for each range [n].
        kept: whether each range keeps the promise [n].
        chosen: index of the decision.
        promised_fraction: the share promised, where one number says it.
        axis: name and unit of the cost.
        width_in: width of the figure.

    >>> cost_against_attainment([10, 20], [0.9, 0.99], labels=["1", "2"], kept=[False, True]).axes[0].get_xlabel()
    'USD per month'
    """
    with styled():
        cost, attained = array_of(costs), np.clip(array_of(attainment_fractions), 0, 1)
        known = np.flatnonzero(np.isfinite(cost) & np.isfinite(attained)).tolist()
        if not known:
            return empty("no range has both a cost and an attainment", width_in)
        wide = width_in >= WIDE_FROM_IN
        figure = new_figure(width_in, 4.2 if wide else 3.6)
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        axes.set_xlabel(plain(axis, most=60), loc="left")
        nines = _scale_nines(axes, attained[known], promised_fraction)
        height = np.full(len(cost), math.nan)
        height[known] = [nines(fraction) for fraction in attained[known]]
        scale_cost(axes, cost[known], most=7 if wide else 4)

        best = _frontier(known, cost, attained)
        axes.step(cost[best], height[best], where="post", color=INK, alpha=0.55, linewidth=1.0)
        if promised_fraction is not None:
            mark_limit(
                axes, f"{numbers.share(promised_fraction)} promised", y=nines(promised_fraction)
            )
        good: Look = {"marker": "o", "color": BLUE, "linestyle": "none", "markersize": 6}
        bad: Look = {
            "marker": "x",
            "color": VERMILION,
            "linestyle": "none",
            "markersize": 6,
            "markeredgewidth": 1.5,
        }
        for look, keeps in ((bad, False), (good, True)):
            of_kind = [i for i in known if kept[i] == keeps]
            axes.plot(cost[of_kind], height[of_kind], **look)
        handles = [
            Line2D([], [], **good, label="keeps the promise" if wide else "keeps it"),
            Line2D([], [], **bad, label="does not"),
        ]
        named = best if len(best) <= MOST_NAMES else [best[0], best[-1]]
        if chosen in known:
            ring: Look = {"marker": "o", "markerfacecolor": "none", "markeredgewidth": 1.5}
            ring |= {"color": BLUE if kept[chosen] else VERMILION, "linestyle": "none"}
            axes.plot(cost[chosen], height[chosen], **ring, markersize=16)
            word = "chosen" if kept[chosen] else "nearest"
            handles.append(Line2D([], [], **ring, markersize=9, label=word))
            named = [chosen, *(i for i in named if i != chosen)]
        write_head(
            axes, "requests within all limits" if wide else "within all limits", handles, wide=wide
        )
        _name_points(axes, [(cost[i], height[i], plain(labels[i]), i == chosen) for i in named])
        return figure


def _scale_nines(
    axes: Axes, attained: Array, promised_fraction: float | None
) -> Callable[[float], float]:
    """Give the y axis a scale on which every further nine takes the same height; return that height.

    100 % would be infinitely high; it stands half a nine above the best of the rest.
    """
    shares = attained if promised_fraction is None else np.append(attained, promised_fraction)
    missing = 1 - shares[shares < 1]
    fewest, most = (float(missing.min()), float(missing.max())) if len(missing) else (0.1, 0.1)
    top = 0.5 - math.log10(fewest)

    def height(fraction: float) -> float:
        return -math.log10(1 - fraction) if fraction < 1 else top

    ticks = [1 - step for step in round_steps(min(fewest, most / 3), most, most=6)]
    if (attained == 1).any():
        ticks.append(1.0)
    axes.set_yticks([height(tick) for tick in ticks], [numbers.share(tick) for tick in ticks])
    low, high = -math.log10(most), height(float(shares.max()))
    margin = 0.1 * (high - low) + 0.05
    axes.set_ylim(low - margin, high + margin)
    return height


def _frontier(known: Sequence[int], cost: Array, attained: Array) -> list[int]:
    """Return the ranges that nothing as cheap beats, cheapest first.

    >>> _frontier([0, 1, 2], np.array([1.0, 3.0, 2.0]), np.array([0.5, 0.9, 0.4]))
    [0, 1]
    """
    frontier: list[int] = []
    for i in sorted(known, key=lambda i: (cost[i], -attained[i])):
        if not frontier or attained[i] > attained[frontier[-1]]:
            frontier.append(i)
    return frontier


def _name_points(axes: Axes, points: Sequence[tuple[float, float, str, bool]]) -> None:
    """Name points, most important first; a name that would touch a point or a name is left out."""
    taken: list[tuple[float, float, float, float]] = []
    corners = [axes.transData.transform((x, y)) for x, y, _, _ in points]
    taken += [(x - 4, y - 4, x + 4, y + 4) for x, y in corners]
    for (x, y, text, important), (left, bottom) in zip(points, corners, strict=True):
        offset = 11 if important else 6
        # A character is about 6 points wide and 10 high; the canvas of a new figure has 100 dots an inch.
        box = (
            left + 1.4 * offset,
            bottom - 1.4 * offset - 14,
            left + 1.4 * offset + 9 * len(text),
            bottom - 6,
        )
        if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            continue
        taken.append(box)
        weight = "bold" if important else "normal"
        axes.annotate(
            text, (x, y), (offset, -offset), textcoords="offset points", va="top", fontweight=weight
        )
