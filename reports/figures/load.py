"""Offered load against what was ready, over time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from reports import numbers
from reports.colours import BLUE, INK, VERMILION
from reports.figures.look import (
    ROUND,
    WIDE_FROM_IN,
    WIDE_IN,
    Array,
    Values,
    array_of,
    counts,
    empty,
    new_figure,
    plain,
    styled,
    write_head,
)
from reports.figures.scales import time_unit
from reports.figures.shapes import draw_steps, fill_steps


def load_against_capacity(
    t_s: Values,
    offered_tokens_per_s: Values,
    ready_chunks: Values,
    refused: Values,
    *,
    chunk_tokens_per_s: float,
    held_chunks: tuple[int, int] | None = None,
    started_s: Values = (),
    released_s: Values = (),
    noun: str = "chunk",
    width_in: float = WIDE_IN,
) -> Figure:
    """Return offered load and rated ready capacity over time; below, if there are any, refusals and scale events.

    Args:
        t_s: where each bin of equal width starts, seconds since the first request, increasing [n].
        offered_tokens_per_s, ready_chunks: means of each bin [n].
        refused: requests refused in each bin [n].
        chunk_tokens_per_s: rated throughput of one chunk.
        held_chunks: minimum and maximum of the range, marked at the right.
        started_s, released_s: when a chunk was asked for and when one was let go, seconds since the first request.
        noun: what one server is called.
        width_in: width of the figure; long series are binned to what it can show.

    >>> figure = load_against_capacity([0, 60], [900.0, 1500.0], [1, 2], [0, 3], chunk_tokens_per_s=980)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['tokens/s', 'requests refused, per 60 s']
    """
    with styled():
        wide = width_in >= WIDE_FROM_IN
        bins = _bins(
            array_of(t_s),
            array_of(offered_tokens_per_s),
            array_of(ready_chunks) * chunk_tokens_per_s,
            array_of(refused),
            most=400 if wide else 200,
        )
        if bins is None:
            return empty("no timeline", width_in)
        started, released = (
            np.histogram(array_of(times), bins.edges_s)[0].astype(float)
            for times in (started_s, released_s)
        )
        any_refused, any_event = bool(np.nansum(bins.refused)), bool((started + released).any())
        below = any_refused + any_event
        figure = new_figure(width_in, (3.9 if wide else 3.1) + 1.0 * below)
        panels: list[Axes] = list(
            figure.subplots(
                1 + below, 1, sharex=True, height_ratios=[4, *[1] * below], squeeze=False
            ).flat
        )
        load = panels[0]
        unit_s, unit, step = time_unit(bins.edges_s[-1] - bins.edges_s[0], most=8 if wide else 4)
        edges = bins.edges_s / unit_s

        load.grid(visible=True, axis="y")
        fill_steps(load, bins.capacity_high, edges, BLUE, alpha=0.10)
        fill_steps(load, bins.load_mean, edges, INK, alpha=0.35)
        draw_steps(load, bins.load_mean, edges, INK, linewidth=1.0)
        ready, offered = (
            (f"ready {plain(noun)}s, rated", "offered load") if wide else ("ready", "offered")
        )
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=BLUE, linewidth=1.6, label=ready),
            Patch(facecolor=(INK, 0.35), edgecolor=INK, label=offered),
        ]
        if np.nanmax(bins.load_high - bins.load_mean) > 0:
            fill_steps(load, bins.load_high, edges, INK, alpha=0.18, above=bins.load_mean)
            handles.append(Patch(facecolor=(INK, 0.18), edgecolor="none", label="peaks"))
        fill_steps(load, bins.capacity_high, edges, BLUE, alpha=0.25, above=bins.capacity_low)
        draw_steps(load, bins.capacity_high, edges, BLUE, linewidth=1.6)

        held = held_chunks[1] * chunk_tokens_per_s if held_chunks else 0.0
        ceiling = float(np.nanmax([*bins.capacity_high, *bins.load_high, held])) or 1.0
        load.set_ylim(0, ceiling * 1.06)
        load.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=ROUND))
        load.yaxis.set_major_formatter(counts())
        write_head(load, "tokens/s", handles, wide=wide)
        if held_chunks:
            _mark_range(load, held_chunks, chunk_tokens_per_s)

        width = numbers.duration(float(bins.edges_s[1] - bins.edges_s[0]))
        if any_refused:
            refusals = panels[1]
            refusals.grid(visible=True, axis="y")
            fill_steps(refusals, bins.refused, edges, VERMILION, linewidth=0.8)
            refusals.set_title(f"{'requests ' if wide else ''}refused, per {width}")
            refusals.set_ylim(0, max(1.0, float(np.nanmax(bins.refused))) * 1.05)
            refusals.yaxis.set_major_locator(MaxNLocator(nbins=2, steps=ROUND, integer=True))
            refusals.yaxis.set_major_formatter(counts())
        if any_event:
            _draw_events(panels[-1], started, released, edges)
            title = f"{plain(noun)}s started (up) and let go (down), per {width}"
            panels[-1].set_title(title if wide else f"started, let go, per {width}")
        for panel in panels[:-1]:
            panel.tick_params(labelbottom=False)
        last = panels[-1]
        last.set_xlim(edges[0], edges[-1])
        last.xaxis.set_major_locator(MultipleLocator(step))
        last.xaxis.set_major_formatter(counts())
        last.set_xlabel(f"{unit} since the first request", loc="left")
        return figure


def _draw_events(axes: Axes, started: Array, released: Array, edges: Array) -> None:
    """Draw what was started upwards and what was let go downwards."""
    axes.grid(visible=True, axis="y")
    fill_steps(axes, started, edges, BLUE, linewidth=0.8)
    fill_steps(axes, -released, edges, INK, linewidth=0.8, alpha=0.7)
    axes.axhline(0, color=INK, linewidth=0.7)
    most = max(1.0, float(started.max()), float(released.max())) * 1.1
    axes.set_ylim(-most, most)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, steps=ROUND, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.count(abs(value))))


class _Bins(NamedTuple):
    edges_s: Array
    load_mean: Array
    load_high: Array
    capacity_low: Array
    capacity_high: Array
    refused: Array


def _bins(
    start_s: Array, load: Array, capacity: Array, refused: Array, *, most: int
) -> _Bins | None:
    """Return at most so many bins, each of equally many of those given; None where nothing is known."""
    n = len(start_s)
    if not (np.isfinite(load).any() and np.isfinite(capacity).any()):
        return None
    first = np.arange(0, n, math.ceil(n / most))
    width_s = (start_s[-1] - start_s[0]) / (n - 1) if n > 1 else 1.0
    return _Bins(
        edges_s=np.append(start_s[first], start_s[-1] + (width_s or 1.0)),
        load_mean=np.add.reduceat(load, first) / np.diff(np.append(first, n)),
        load_high=np.maximum.reduceat(load, first),
        capacity_low=np.minimum.reduceat(capacity, first),
        capacity_high=np.maximum.reduceat(capacity, first),
        refused=np.add.reduceat(refused, first),
    )


def _mark_range(axes: Axes, held_chunks: tuple[int, int], chunk_tokens_per_s: float) -> None:
    """Mark minimum and maximum of the range at the right edge, as one where they are close."""
    low, high = held_chunks
    marks = [(high, f"max {high:,}"), (low, f"min {low:,}")]
    if low == high:
        marks = [(high, f"fixed {high:,}")]
    elif (high - low) * chunk_tokens_per_s < 0.08 * axes.get_ylim()[1]:
        marks = [(high, f"{low:,}\N{EN DASH}{high:,}")]
    for chunks, text in marks:
        y = chunks * chunk_tokens_per_s
        axes.axhline(y, color=BLUE, linewidth=0.9, linestyle=(0, (1, 3)), zorder=1)
        place = axes.get_yaxis_transform()
        axes.annotate(
            text,
            (1, y),
            (5, 0),
            xycoords=place,
            textcoords="offset points",
            color=BLUE,
            va="center",
        )
