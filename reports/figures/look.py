"""How every figure looks: the house style, an empty figure, titles and limits, a figure as SVG."""

from __future__ import annotations

import io
import math
import threading
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from reports import numbers
from reports.colours import GREEN, INK

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


PNG_DPI = 150
"""Dots an inch of a PNG: sharp at the width of a page on most screens."""


ROUND = (1, 2, 2.5, 5, 10)
"""What ticks are multiples of."""


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
def styled() -> Iterator[None]:
    """Draw in the house style. Its settings are global to matplotlib, hence the lock."""
    with _style_lock, matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        # Text is laid out with one font and shown with the page's, which may have more glyphs.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def svg(figure: Figure) -> str:
    """Return a figure as an SVG document with real text: same figure, same document, to the byte.

    >>> svg(empty("nothing", WIDE_IN)).count("</svg>")
    1
    """
    with styled():
        FigureCanvasSVG(figure)
        layout = figure.get_layout_engine()
        if layout is not None and figure.axes:
            # Once is enough: saving a figure with a layout draws it all beforehand as well.
            layout.execute(figure)
            figure.set_layout_engine(None)
        document = io.BytesIO()
        figure.savefig(document, format="svg", metadata={"Date": None, "Creator": None})
    return document.getvalue().decode()


def png(figure: Figure, *, dpi: int = PNG_DPI) -> bytes:
    """Return a figure as a PNG on white, for where SVG is not shown: same figure, same bytes.

    >>> png(empty("nothing", NARROW_IN))[1:4]
    b'PNG'
    """
    with styled():
        FigureCanvasAgg(figure)
        picture = io.BytesIO()
        figure.savefig(
            picture, format="png", dpi=dpi, facecolor="white", metadata={"Software": None}
        )
    return picture.getvalue()


def new_figure(width_in: float, height_in: float) -> Figure:
    return Figure(figsize=(width_in, height_in), layout="constrained")


def empty(text: str, width_in: float) -> Figure:
    figure = new_figure(width_in, 1.2)
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def array_of(values: Values) -> Array:
    """Return numbers as an array, NaN where there is none: a gap, to matplotlib."""
    array = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.where(np.isfinite(array), array, math.nan)


def plain(text: str, *, most: int = 20) -> str:
    """Return a label as one short line of characters that XML may hold."""
    line = "".join(" " if unicodedata.category(c) in UNPRINTABLE else c for c in text)
    return line if len(line) <= most else f"{line[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def counts() -> FuncFormatter:
    return FuncFormatter(lambda value, _: numbers.axis_count(value))


def write_head(
    axes: Axes, title: str, handles: Sequence[Line2D | Patch], *, wide: bool, gap_points: float = 9
) -> None:
    """Write a title and a legend above the plot, on one line where it is wide, else on two."""
    axes.set_title(
        plain(title, most=60), pad=gap_points if wide or not handles else gap_points + 17
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


def mark_limit(
    axes: Axes, text: str, *, x: float | None = None, y: float | None = None, ha: str = "right"
) -> None:
    """Draw what was promised as a line across the plot, with its name."""
    line: Look = {"color": GREEN, "linewidth": 1.3, "linestyle": (0, (4, 2)), "zorder": 1}
    word: Look = {"color": GREEN, "textcoords": "offset points", "ha": ha}
    if x is not None:
        axes.axvline(x, **line)
        if ha == "center":
            # A name at either end of the axis would run into what stands beside it.
            place = axes.transLimits.transform(axes.transScale.transform((x, 1)))[0]
            word["ha"] = "left" if place < 0.12 else "right" if place > 0.88 else "center"
        axes.annotate(text, (x, 1), (0, 5), xycoords=axes.get_xaxis_transform(), **word)
    if y is not None:
        axes.axhline(y, **line)
        axes.annotate(text, (1, y), (-2, 5), xycoords=axes.get_yaxis_transform(), **word)
