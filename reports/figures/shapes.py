"""Marks that figures share, each drawn as few paths so that a page stays small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, StepPatch
from matplotlib.path import Path

from reports.colours import BLUE
from reports.figures.look import Array, Look

SHADES = (0.08, 0.18, 0.28, 0.40, 0.52, 0.64, 0.76, 0.88, 1.0)
"""Opacities of a map, from nothing to the most, in equal steps of load."""


def squares(
    corners: Sequence[Sequence[tuple[float, float]]], alpha: float, colour: str = BLUE
) -> PathPatch:
    """Return polygons of five corners, the last one to close them, as one shape."""
    codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(corners)
    path = Path([corner for square in corners for corner in square], codes)
    return PathPatch(path, facecolor=colour, alpha=alpha, linewidth=0)


def fill_steps(
    axes: Axes, values: Array, edges: Array, colour: str, *, above: Array | float = 0.0, **look: Any
) -> None:
    """Fill what lies between two step functions; unlike `Axes.stairs`, without walking every step."""
    look = {"alpha": 1.0, "linewidth": 0, "baseline": above} | look
    axes.add_artist(StepPatch(values, edges, color=colour, **look))


def draw_steps(axes: Axes, values: Array, edges: Array, colour: str, *, linewidth: float) -> None:
    look: Look = {"fill": False, "color": colour, "linewidth": linewidth, "baseline": None}
    axes.add_artist(StepPatch(values, edges, **look))
