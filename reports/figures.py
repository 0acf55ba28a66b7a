"""Figures: arrays in, a matplotlib Figure out, never saved to a file.

The only importer of matplotlib. Backgrounds are transparent and colours read on white and on
black, so one figure serves a light page and a dark one. Figures come wide and narrow, since
text must not shrink on a phone. Knows nothing of reports, pages or files.
"""

from __future__ import annotations

import io
import math
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, StepPatch
from matplotlib.path import Path
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
)

from reports import numbers
from reports.colours import BLUE, GREEN, INK, VERMILION

Array = npt.NDArray[np.float64]

Look = dict[str, Any]
"""Keyword arguments of matplotlib for the look of one thing."""

Values = Sequence[float] | Sequence[float | None] | Array
"""One number for each bin or range; None or NaN where there is none."""

WIDE_IN = 10.0
"""Width in inches for a page of 960 px."""

NARROW_IN = 3.75
"""Width in inches for a phone of 390 px."""

WIDE_FROM_IN = 6.0
"""Width from which panels stand side by side and words are written out."""

ROUND = (1, 2, 2.5, 5, 10)
"""What ticks are multiples of."""

MOST_NAMES = 10
"""Points of a frontier up to which each is named; of a longer one, only the ends."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

SHADES = (0.08, 0.18, 0.28, 0.40, 0.52, 0.64, 0.76, 0.88, 1.0)
"""Opacities of a map, from nothing to the most, in equal steps of load."""

UNPRINTABLE = ("Cc", "Cn", "Cs", "Zl", "Zp")
"""Unicode categories that no label may hold: controls, no characters, lone surrogates, line separators."""

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.edgecolor": "none",
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.alpha": 0.22,
    "grid.color": INK,
    "grid.linewidth": 0.7,
    "legend.borderpad": 0,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 1.5,
    "legend.labelcolor": INK,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "ptplan",
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelsize": 9,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": INK,
    "ytick.labelsize": 9,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}

_style_lock = threading.RLock()


@contextmanager
def _style() -> Iterator[None]:
    """Draw in the house style. Its settings are global to matplotlib, hence the lock."""
    with _style_lock, matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        # Text is laid out with one font and shown with the page's, which may have more glyphs.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


class LatencyPanel(NamedTuple):
    """Percentiles of one latency for every range.

    Args:
        title: name of the latency.
        percentiles: which percentiles there are, in percent, increasing [k].
        seconds: their values, a row for each range [n][k]; None where there is none.
        limits: limits promised, as (percentile, seconds).
    """

    title: str
    percentiles: Sequence[float]
    seconds: Sequence[Sequence[float | None]]
    limits: Sequence[tuple[float, float]] = ()


class LengthPanel(NamedTuple):
    """How many requests have how many tokens.

    Args:
        title: what is counted.
        edges: of the bins, increasing [n + 1]; a first bin from 0 to 1 holds what has none.
        counts: requests in each bin [n].
        percentiles: marked, as (percentile, tokens), increasing.
    """

    title: str
    edges: Sequence[int]
    counts: Sequence[int]
    percentiles: Sequence[tuple[float, float]] = ()


def load_against_capacity(
    t_s: Values,
    offered_tokens_per_s: Values,
    ready_chunks: Values,
    refused: Values,
    *,
    chunk_tokens_per_s: float,
    held_chunks: tuple[int, int] | None = None,
    noun: str = "chunk",
    width_in: float = WIDE_IN,
) -> Figure:
    """Return offered load and rated ready capacity over time, and refusals below if there are any.

    Args:
        t_s: where each bin of equal width starts, seconds since the first request, increasing [n].
        offered_tokens_per_s, ready_chunks: means of each bin [n].
        refused: requests refused in each bin [n].
        chunk_tokens_per_s: rated throughput of one chunk.
        held_chunks: minimum and maximum of the range, marked at the right.
        noun: what one server is called.
        width_in: width of the figure; long series are binned to what it can show.

    >>> figure = load_against_capacity([0, 60], [900.0, 1500.0], [1, 2], [0, 3], chunk_tokens_per_s=980)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['tokens/s', 'requests refused, per 60 s']
    """
    with _style():
        wide = width_in >= WIDE_FROM_IN
        bins = _bins(
            _array(t_s),
            _array(offered_tokens_per_s),
            _array(ready_chunks) * chunk_tokens_per_s,
            _array(refused),
            most=400 if wide else 200,
        )
        if bins is None:
            return _empty("no timeline", width_in)
        any_refused = bool(np.nansum(bins.refused))
        figure = _figure(width_in, (3.9 if wide else 3.1) + (1.0 if any_refused else 0.0))
        if any_refused:
            load, refusals = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        else:
            load = refusals = figure.subplots()
        unit_s, unit, step = _time_unit(bins.edges_s[-1] - bins.edges_s[0], most=8 if wide else 4)
        edges = bins.edges_s / unit_s

        load.grid(visible=True, axis="y")
        _area(load, bins.capacity_high, edges, BLUE, alpha=0.10)
        _area(load, bins.load_mean, edges, INK, alpha=0.35)
        _edge(load, bins.load_mean, edges, INK, linewidth=1.0)
        ready, offered = (
            (f"ready {_plain(noun)}s, rated", "offered load") if wide else ("ready", "offered")
        )
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=BLUE, linewidth=1.6, label=ready),
            Patch(facecolor=(INK, 0.35), edgecolor=INK, label=offered),
        ]
        if np.nanmax(bins.load_high - bins.load_mean) > 0:
            _area(load, bins.load_high, edges, INK, alpha=0.18, above=bins.load_mean)
            handles.append(Patch(facecolor=(INK, 0.18), edgecolor="none", label="peaks"))
        _area(load, bins.capacity_high, edges, BLUE, alpha=0.25, above=bins.capacity_low)
        _edge(load, bins.capacity_high, edges, BLUE, linewidth=1.6)

        held = held_chunks[1] * chunk_tokens_per_s if held_chunks else 0.0
        ceiling = float(np.nanmax([*bins.capacity_high, *bins.load_high, held])) or 1.0
        load.set_ylim(0, ceiling * 1.06)
        load.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=ROUND))
        load.yaxis.set_major_formatter(_counts())
        _head(load, "tokens/s", handles, wide=wide)
        if held_chunks:
            _mark_range(load, held_chunks, chunk_tokens_per_s)

        if any_refused:
            load.tick_params(labelbottom=False)
            refusals.grid(visible=True, axis="y")
            _area(refusals, bins.refused, edges, VERMILION, linewidth=0.8)
            width = numbers.duration(float(bins.edges_s[1] - bins.edges_s[0]))
            refusals.set_title(f"{'requests ' if wide else ''}refused, per {width}")
            refusals.set_ylim(0, max(1.0, float(np.nanmax(bins.refused))) * 1.05)
            refusals.yaxis.set_major_locator(MaxNLocator(nbins=2, steps=ROUND, integer=True))
            refusals.yaxis.set_major_formatter(_counts())
        refusals.set_xlim(edges[0], edges[-1])
        refusals.xaxis.set_major_locator(MultipleLocator(step))
        refusals.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        refusals.set_xlabel(f"{unit} since the first request", loc="left")
        return figure


def latency_by_range(
    labels: Sequence[str],
    panels: Sequence[LatencyPanel],
    *,
    kept: Sequence[bool],
    chosen: int | None = None,
    caption: str = "chunks",
    width_in: float = WIDE_IN,
) -> Figure:
    """Return latency percentiles of ranges, a row each, with the limits promised as lines.

    Args:
        labels: a short name for each range, top first [n].
        panels: one for each kind of latency; those without any value are left out.
        kept: whether each range keeps the promise [n].
        chosen: index of the decision.
        caption: what the labels are.
        width_in: width of the figure; panels stand side by side where it is wide.

    >>> panel = LatencyPanel("TTFT", [50, 95], [[0.2, 1.1], [0.3, 3.9]], [(95, 2.0)])
    >>> figure = latency_by_range(["2-4", "1-4"], [panel], kept=[True, False], chosen=0)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['TTFT']
    """
    with _style():
        panels = [panel for panel in panels if np.isfinite(_matrix(panel)).any()]
        if not panels:
            return _empty("no range has latency percentiles", width_in)
        n, wide = len(labels), width_in >= WIDE_FROM_IN
        across, down = (len(panels), 1) if wide else (1, len(panels))
        figure = _figure(width_in, (0.24 * n + (1.05 if wide else 1.25)) * down)
        grid = figure.subplots(down, across, sharey=True, squeeze=False).flat
        with_legend = len(panels) - 1 if wide else 0
        for index, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
            axes.set_ylim(n - 0.4, -0.6)
            axes.set_yticks(range(n), [_plain(label) for label in labels])
            _draw_latencies(axes, panel, kept=kept, chosen=chosen)
            shapes = [_shape(p, color=INK, label=f"p{p:g}") for p in panel.percentiles]
            _head(
                axes, panel.title, shapes if index == with_legend else [], wide=wide, gap_points=22
            )
            if wide and index:
                axes.tick_params(labelleft=False)
                continue
            axes.annotate(
                _plain(caption),
                (0, 1),
                (-4, 5),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="right",
            )
            if chosen is not None:
                axes.get_yticklabels()[chosen].set_fontweight("bold")
        return figure


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
    with _style():
        cost, attained = _array(costs), np.clip(_array(attainment_fractions), 0, 1)
        known = np.flatnonzero(np.isfinite(cost) & np.isfinite(attained)).tolist()
        if not known:
            return _empty("no range has both a cost and an attainment", width_in)
        wide = width_in >= WIDE_FROM_IN
        figure = _figure(width_in, 4.2 if wide else 3.6)
        axes = figure.subplots()
        axes.grid(visible=True, axis="y")
        axes.set_xlabel(_plain(axis, most=60), loc="left")
        nines = _scale_nines(axes, attained[known], promised_fraction)
        height = np.full(len(cost), math.nan)
        height[known] = [nines(fraction) for fraction in attained[known]]
        _scale_cost(axes, cost[known], most=7 if wide else 4)

        best = _frontier(known, cost, attained)
        axes.step(cost[best], height[best], where="post", color=INK, alpha=0.55, linewidth=1.0)
        if promised_fraction is not None:
            _mark_limit(
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
        _head(
            axes, "requests within all limits" if wide else "within all limits", handles, wide=wide
        )
        _name_points(axes, [(cost[i], height[i], _plain(labels[i]), i == chosen) for i in named])
        return figure


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
    with _style():
        load, provisioned, by_token = (
            _array(values) for values in (tokens_per_s, provisioned_usd, by_token_usd)
        )
        if not np.isfinite(provisioned).any():
            return _empty("no cost is known at any volume", width_in)
        wide = width_in >= WIDE_FROM_IN
        figure = _figure(width_in, 3.6 if wide else 3.2)
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
            handles.append(Line2D([], [], **ring, markersize=9, label="this traffic"))
        axes.set_xticks(load.tolist()[:: 1 if wide else 2])
        axes.minorticks_off()
        amounts = FuncFormatter(lambda value, _: numbers.count(float(f"{value:.2g}")))
        axes.xaxis.set_major_formatter(amounts)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("mean load, tokens/s", loc="left")
        _head(axes, "USD a month", handles, wide=wide)
        return figure


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
    with _style():
        wide = width_in >= WIDE_FROM_IN
        start_s = _array(t_s)
        if not len(start_s):
            return _empty("too short for a rate over time", width_in)
        figure = _figure(width_in, 4.4 if wide else 3.9)
        panels: list[Axes] = list(figure.subplots(2, 1, sharex=True))
        first = np.arange(0, len(start_s), math.ceil(len(start_s) / (400 if wide else 200)))
        edges_s = np.append(start_s[first], start_s[-1] + width_s)
        unit_s, unit, step = _time_unit(edges_s[-1] - edges_s[0], most=8 if wide else 4)
        edges = edges_s / unit_s
        shown = (("requests/s", requests_per_s, INK), ("tokens/s", tokens_per_s, BLUE))
        for axes, (title, values, colour) in zip(panels, shown, strict=True):
            rate = _array(values)
            mean = np.add.reduceat(rate, first) / np.diff(np.append(first, len(rate)))
            high = np.maximum.reduceat(rate, first)
            axes.grid(visible=True, axis="y")
            _area(axes, mean, edges, colour, alpha=0.30)
            if (high > mean).any():
                _area(axes, high, edges, colour, alpha=0.14, above=mean)
            _edge(axes, mean, edges, colour, linewidth=1.0)
            axes.set_ylim(0, float(high.max()) * 1.06 or 1.0)
            axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=ROUND))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
            axes.set_title(title)
        panels[0].tick_params(labelbottom=False)
        panels[1].set_xlim(edges[0], edges[-1])
        panels[1].xaxis.set_major_locator(MultipleLocator(step))
        panels[1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        panels[1].set_xlabel(f"{unit} since the first request", loc="left")
        return figure


def load_by_hour_of_week(loads: Values, *, width_in: float = WIDE_IN) -> Figure:
    """Return a load for each hour of the week as a map: a row for each day, darker for more.

    Args:
        loads: from Monday 00:00 [168]; None for an hour never seen, which stays without colour.
        width_in: width of the figure.

    >>> figure = load_by_hour_of_week([*range(100), *[None] * 68])
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()][:2]
    ['Mon', 'Tue']
    """
    with _style():
        wide = width_in >= WIDE_FROM_IN
        load = _array(loads).reshape(len(DAYS), 24)
        figure = _figure(width_in, 2.9 if wide else 2.3)
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
                axes.add_patch(_squares(cells, alpha))
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
        _head(axes, "tokens/s", handles if highest else [], wide=wide)
        return figure


def token_lengths(panels: Sequence[LengthPanel], *, width_in: float = WIDE_IN) -> Figure:
    """Return histograms of token counts on a logarithmic scale, with percentiles as lines.

    Args:
        panels: side by side where it is wide, else one above the other.
        width_in: width of the figure.

    >>> figure = token_lengths([LengthPanel("input", [0, 1, 2, 3], [1, 0, 3], [(50, 2)])])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['input']
    """
    with _style():
        wide = width_in >= WIDE_FROM_IN
        across, down = (len(panels), 1) if wide else (1, len(panels))
        figure = _figure(width_in, 2.7 if wide else 2.4 * down)
        figure.set_layout_engine("constrained", hspace=0.0 if wide else 0.06)
        grid = figure.subplots(down, across, squeeze=False).flat
        for axes, panel in zip(grid, panels, strict=True):
            share = _array(panel.counts)
            share /= share.sum() or 1.0
            # 0 has no logarithm; its bin stands an octave wide to the left of 1.
            edges = np.maximum(_array(panel.edges), 0.5)
            axes.set_xscale("log")
            axes.grid(visible=True, axis="y")
            _area(axes, share, edges, BLUE, alpha=0.35)
            _edge(axes, share, edges, BLUE, linewidth=1.0)
            low, high = float(edges[0]), float(edges[-1])
            if high < 8 * low:
                # A few bins from edge to edge would be a wall and no histogram.
                low, high = low / 2, high * 2
            axes.set_xlim(low, high)
            ticks = _round_steps(max(1.0, low), high, most=6 if wide else 5)
            names = [numbers.count(tick) for tick in ticks]
            if panel.edges[0] == 0:
                ticks, names = [math.sqrt(0.5), *ticks], ["0", *names]
            axes.set_xticks(ticks, names)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_ylim(0, float(share.max()) * 1.08)
            axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=ROUND))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.share(value)))
            axes.set_title(_plain(panel.title, most=60), pad=22)
            _mark_percentiles(axes, panel.percentiles, across_in=width_in / across)
        return figure


def svg(figure: Figure) -> str:
    """Return a figure as an SVG document with real text: same figure, same document, to the byte.

    >>> svg(load_against_capacity([0], [5.0], [1], [0], chunk_tokens_per_s=980)).count("</svg>")
    1
    """
    with _style():
        FigureCanvasSVG(figure)
        document = io.BytesIO()
        figure.savefig(document, format="svg", metadata={"Date": None, "Creator": None})
    return document.getvalue().decode()


def _squares(corners: Sequence[Sequence[tuple[float, float]]], alpha: float) -> PathPatch:
    """Return polygons of five corners, the last one to close them, as one shape."""
    codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(corners)
    path = Path([corner for square in corners for corner in square], codes)
    return PathPatch(path, facecolor=BLUE, alpha=alpha, linewidth=0)


def _mark_percentiles(
    axes: Axes,
    percentiles: Sequence[tuple[float, float]],
    *,
    across_in: float,
) -> None:
    """Draw percentiles as lines with their names above, of those close together only the first."""
    # A name is 0.3 inches wide.
    low, high = axes.get_xlim()
    apart = 0.35 / across_in * math.log(high / low)
    named: float | None = None
    for percentile, tokens in percentiles:
        place = max(tokens, math.sqrt(0.5))
        axes.axvline(place, color=INK, linewidth=1.0, linestyle=(0, (4, 2)), alpha=0.8)
        if named is not None and math.log(place / named) < apart:
            continue
        named = place
        axes.annotate(
            f"p{percentile:g}",
            (place, 1),
            (0, 5),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
        )


def _counts() -> FuncFormatter:
    return FuncFormatter(lambda value, _: numbers.count(value))


def _figure(width_in: float, height_in: float) -> Figure:
    return Figure(figsize=(width_in, height_in), layout="constrained")


def _empty(text: str, width_in: float) -> Figure:
    figure = _figure(width_in, 1.2)
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _array(values: Values) -> Array:
    """Return numbers as an array, NaN where there is none: a gap, to matplotlib."""
    array = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.where(np.isfinite(array), array, math.nan)


def _matrix(panel: LatencyPanel) -> Array:
    rows = [_array(row) for row in panel.seconds]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(panel.percentiles))


def _plain(text: str, *, most: int = 20) -> str:
    """Return a label as one short line of characters that XML may hold."""
    line = "".join(" " if unicodedata.category(c) in UNPRINTABLE else c for c in text)
    return line if len(line) <= most else f"{line[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _head(
    axes: Axes, title: str, handles: Sequence[Line2D | Patch], *, wide: bool, gap_points: float = 9
) -> None:
    """Write a title and a legend above the plot, on one line where it is wide, else on two."""
    axes.set_title(
        _plain(title, most=60), pad=gap_points if wide or not handles else gap_points + 17
    )
    if handles:
        legend = axes.legend(
            handles=handles,
            ncols=len(handles),
            loc="lower right" if wide else "lower left",
            bbox_to_anchor=(1, 1) if wide else (0, 1),
            borderaxespad=(gap_points - 2) / 9,
            columnspacing=2.0 if wide else 1.2,
            handletextpad=0.5,
        )
        # Else a legend broader than the plot would squeeze it.
        legend.set_in_layout(False)


def _mark_limit(
    axes: Axes, text: str, *, x: float | None = None, y: float | None = None, ha: str = "right"
) -> None:
    """Draw what was promised as a line across the plot, with its name."""
    line: Look = {"color": GREEN, "linewidth": 1.3, "linestyle": (0, (4, 2)), "zorder": 1}
    word: Look = {"color": GREEN, "textcoords": "offset points", "ha": ha}
    if x is not None:
        axes.axvline(x, **line)
        axes.annotate(text, (x, 1), (0, 5), xycoords=axes.get_xaxis_transform(), **word)
    if y is not None:
        axes.axhline(y, **line)
        axes.annotate(text, (1, y), (-2, 5), xycoords=axes.get_yaxis_transform(), **word)


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


def _area(
    axes: Axes, values: Array, edges: Array, colour: str, *, above: Array | float = 0.0, **look: Any
) -> None:
    """Fill what lies between two step functions; unlike `Axes.stairs`, without walking every step."""
    look = {"alpha": 1.0, "linewidth": 0, "baseline": above} | look
    axes.add_artist(StepPatch(values, edges, color=colour, **look))


def _edge(axes: Axes, values: Array, edges: Array, colour: str, *, linewidth: float) -> None:
    look: Look = {"fill": False, "color": colour, "linewidth": linewidth, "baseline": None}
    axes.add_artist(StepPatch(values, edges, **look))


def _time_unit(span_s: float, *, most: int) -> tuple[float, str, float]:
    """Return the unit of a time axis in seconds, its name, and a tick step that gives at most so many.

    >>> _time_unit(86400, most=8), _time_unit(90, most=4), _time_unit(2, most=4)
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


def _draw_latencies(
    axes: Axes, panel: LatencyPanel, *, kept: Sequence[bool], chosen: int | None
) -> None:
    seconds = _matrix(panel)
    reach = [*seconds[np.isfinite(seconds)].tolist(), *(limit for _, limit in panel.limits)]
    _scale_seconds(axes, [value for value in reach if value > 0] or [1.0])
    axes.grid(visible=True, axis="x")
    if chosen is not None:
        colour = BLUE if kept[chosen] else VERMILION
        axes.axhspan(chosen - 0.5, chosen + 0.5, color=colour, alpha=0.10, linewidth=0)
    known = np.isfinite(seconds).any(axis=1)
    for keeps, colour in ((True, BLUE), (False, VERMILION)):
        rows = np.flatnonzero(known & (np.array(kept, dtype=bool) == keeps))
        low, high = np.nanmin(seconds[rows], axis=1), np.nanmax(seconds[rows], axis=1)
        axes.hlines(rows, low, high, color=colour, alpha=0.4, linewidth=2.0)
        for column, percentile in enumerate(panel.percentiles):
            axes.add_line(_shape(percentile, seconds[rows, column], rows, color=colour))
    for row in np.flatnonzero(~known).tolist():
        place = axes.get_yaxis_transform()
        axes.text(0.02, row, "no percentiles", transform=place, va="center", fontsize=8)
    for percentile, limit in sorted(panel.limits, key=lambda limit: limit[1]):
        if len(panel.limits) == 1:
            name, align = (
                f"p{percentile:g} \N{LESS-THAN OR EQUAL TO} {numbers.duration(limit)}",
                "center",
            )
        else:
            # Limits may lie close together: short names, and the last one to the right of its line.
            name, align = f"p{percentile:g}", "right"
            if limit == max(seconds for _, seconds in panel.limits):
                align = "left"
        _mark_limit(axes, name, x=limit, ha=align)


def _shape(percentile: float, x: npt.ArrayLike = (), y: npt.ArrayLike = (), **look: Any) -> Line2D:
    """Return a percentile as marks: rings for the middle, dots for most, bars for the tail."""
    look["marker"] = "o" if percentile < 99 else "|"
    look["fillstyle"] = "none" if percentile < 90 else "full"
    return Line2D(x, y, markersize=6.5, markeredgewidth=1.6, linestyle="none", **look)


def _scale_seconds(axes: Axes, seconds: Sequence[float]) -> None:
    """Show positive times from 0, or on a logarithmic scale where they span more than a decade."""
    low, high = min(seconds), max(seconds)
    if high > 12 * low:
        _scale_decades(axes, low / 1.4, high * 1.4, most=5)
    else:
        axes.set_xlim(0, high * 1.12)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=ROUND))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.axis_seconds(value)))


def _scale_cost(axes: Axes, cost: Array, *, most: int) -> None:
    """Show costs around what was tried, on a logarithmic scale where they span more than a decade."""
    low, high = float(cost.min()), float(cost.max())
    if low > 0 and high > 20 * low:
        _scale_decades(axes, low / 1.25, high * 1.35, most=most)
    else:
        margin = (high - low or abs(high) or 1.0) * 0.08
        axes.set_xlim(low - margin, high + 1.6 * margin)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=most, steps=ROUND))
    axes.xaxis.set_major_formatter(_counts())


def _scale_decades(axes: Axes, low: float, high: float, *, most: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_round_steps(low, high, most=most)))
    axes.xaxis.set_minor_locator(NullLocator())


def _round_steps(low: float, high: float, *, most: int) -> list[float]:
    """Return round numbers within a range that spans decades, at most so many.

    >>> _round_steps(0.1, 100, most=5), _round_steps(1, 30, most=5)
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

    ticks = [1 - step for step in _round_steps(min(fewest, most / 3), most, most=6)]
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
