"""Axes of times and money: round ticks, logarithmic where values span decades."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reports import numbers
from reports.figures.look import ROUND, Array, counts


def time_unit(span_s: float, *, most: int) -> tuple[float, str, float]:
    """Return the unit of a time axis in seconds, its name, and a tick step that gives at most so many.

    >>> time_unit(86400, most=8), time_unit(90, most=4), time_unit(2, most=4)
    ((3600.0, 'hours', 3), (1.0, 'seconds', 30), (1.0, 'seconds', 0.5))
    """
    steps: tuple[float, ...]
    if span_s <= 180:
        unit_s, name, steps = 1.0, "seconds", (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60)
    elif span_s <= 3 * 3600:
        unit_s, name, steps = 60.0, "minutes", (1, 2, 5, 10, 15, 30, 60)
    elif span_s <= 3 * 86400:
        unit_s, name, steps = 3600.0, "hours", (1, 2, 3, 6, 12, 24)
    else:
        unit_s, name, steps = 86400.0, "days", (1, 2, 7, 14, 28, 91, 182)
    return unit_s, name, next((step for step in steps if step * most * unit_s >= span_s), steps[-1])


def scale_seconds(axes: Axes, seconds: Sequence[float]) -> None:
    """Show positive times from 0, or on a logarithmic scale where they span more than a decade."""
    low, high = min(seconds), max(seconds)
    if high > 12 * low:
        scale_decades(axes, low / 1.4, high * 1.4, most=5)
    else:
        axes.set_xlim(0, high * 1.12)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=ROUND))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.axis_seconds(value)))


def scale_cost(axes: Axes, cost: Array, *, most: int) -> None:
    """Show costs around what was tried, on a logarithmic scale where they span more than a decade."""
    low, high = float(cost.min()), float(cost.max())
    if low > 0 and high > 20 * low:
        scale_decades(axes, low / 1.25, high * 1.35, most=most)
    else:
        margin = (high - low or abs(high) or 1.0) * 0.08
        axes.set_xlim(low - margin, high + 1.6 * margin)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=most, steps=ROUND))
    axes.xaxis.set_major_formatter(counts())


def scale_decades(axes: Axes, low: float, high: float, *, most: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(round_steps(low, high, most=most)))
    axes.xaxis.set_minor_locator(NullLocator())


def round_steps(low: float, high: float, *, most: int) -> list[float]:
    """Return round numbers within a range that spans decades, at most so many.

    >>> round_steps(0.1, 100, most=5), round_steps(1, 30, most=5)
    ([0.1, 1.0, 10.0, 100.0], [1.0, 3.0, 10.0, 30.0])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps: list[float] = []
    for mantissas in ((1,), (1, 3), (1, 2, 5)):
        every = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas]
        steps = [step for step in every if low * 0.999 <= step <= high * 1.001]
        if len(steps) >= 3:
            break
    return steps[:: math.ceil(len(steps) / most)] if steps else []
