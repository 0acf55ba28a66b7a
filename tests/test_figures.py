"""Every figure beside a stored picture of itself; `python tests/test_figures.py` makes the pictures anew.

After a change of what is drawn: look at the new pictures before they are committed.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from reports import figures

STORED = Path(__file__).parent / "figures"
DPI = 50
"""Enough to see a point out of place, and a few kilobytes a picture."""

TOLERANCE = 3.0
"""Root mean square of the difference, of 255: fonts are hinted differently, points do not move."""

CHUNK = 980


def load(width_in: float, *, extra_chunk: int = 0) -> figures.Figure:
    t = np.arange(120) * 60.0
    offered = 2500 + 1500 * np.sin(t / 900)
    ready = np.ceil(offered / CHUNK)
    ready[40:50] += extra_chunk
    refused = np.where((t > 2000) & (t < 2600), 3, 0)
    return figures.load_against_capacity(
        t,
        offered,
        ready,
        refused,
        chunk_tokens_per_s=CHUNK,
        held_chunks=(1, 5),
        started_s=[300, 320, 2500],
        released_s=[4000, 5000],
        width_in=width_in,
    )


def attainment(width_in: float) -> figures.Figure:
    return figures.cost_against_attainment(
        [100, 150, 200, 260, 300],
        [0.5, 0.9, 0.97, 0.999, 1.0],
        labels=["1", "1-2", "2", "2-3", "3"],
        kept=[False, False, True, True, True],
        chosen=2,
        promised_fraction=0.95,
        width_in=width_in,
    )


def latency(width_in: float) -> figures.Figure:
    seconds = [[0.1, 4.0, None], [0.1, 1.5, 4.0], [0.09, 0.5, 0.9]]
    panel = figures.LatencyPanel("Time to first token", (50, 95, 99), seconds, [(95, 2.0)])
    return figures.latency_by_range(
        ["1", "1-2", "2"], [panel, panel], kept=[False, True, True], chosen=1, width_in=width_in
    )


def spread(width_in: float, *, slower_s: float = 0.0) -> figures.Figure:
    panel = figures.SpreadPanel(
        "Time to first token",
        (50, 90, 95, 99),
        (0.2, 0.8, 1.2 + slower_s, None),
        (0.19, 0.7, 1.1, None),
        (0.21, 0.9, 1.3, None),
        (0.15, 0.5, 0.8, None),
        (0.25, 1.2, 1.9, None),
        [(95, 2.0)],
    )
    return figures.latency_spread([panel, panel], width_in=width_in)


def ranges(width_in: float, *, last_kept: bool = True) -> figures.Figure:
    pairs = [
        (low, high) for high in range(1, 6) for low in range(1, high + 1) if low > 1 or high < 5
    ]
    kept = [low >= 3 for low, _ in pairs]
    kept[-1] = last_kept
    return figures.map_of_ranges(
        [low for low, _ in pairs],
        [high for _, high in pairs],
        kept,
        [None if (low, high) == (1, 1) else 3000.0 * low + 400 * high for low, high in pairs],
        chosen=pairs.index((3, 3)),
        width_in=width_in,
    )


def sizes(width_in: float) -> figures.Figure:
    return figures.cost_by_size(
        [50, 100, 150, 200],
        [False, False, True, True],
        [4e3, 8e3, 12e3, 16e3],
        chosen=2,
        width_in=width_in,
    )


def turns(width_in: float) -> figures.Figure:
    rows = [
        figures.TurnRow("growth", 0.5, 2, 0.97, 1.2, False, True, 0.4),
        figures.TurnRow("autoscaler.start_delay_s", 0.06, 3.1, None, 1.6, True, True, 0.02),
        figures.TurnRow("service.kv_tokens", 0.5, 2),
    ]
    return figures.flip_distances(rows, width_in=width_in)


def volume(width_in: float) -> figures.Figure:
    return figures.cost_by_volume(
        [500, 1000, 2000, 4000],
        [3600, 3600, 5400, 9000],
        [700, 1400, 2800, 5600],
        here=1,
        width_in=width_in,
    )


def week(width_in: float) -> figures.Figure:
    hours = np.arange(168)
    loads = [float(1000 * (1 + np.sin(hour / 24 * 6.28))) for hour in hours]
    return figures.load_by_hour_of_week([*loads[:150], *[None] * 18], width_in=width_in)


CASES: dict[str, Callable[[float], figures.Figure]] = {
    "attainment": attainment,
    "latency": latency,
    "load": load,
    "ranges": ranges,
    "sizes": sizes,
    "spread": spread,
    "turns": turns,
    "volume": volume,
    "week": week,
}
WIDTHS = {"wide": figures.WIDE_IN, "narrow": figures.NARROW_IN}
ALL = [(name, size) for name in CASES for size in WIDTHS]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(image.imread(io.BytesIO(png), format="png"))[..., :3] * 255


def distance(first: bytes, second: bytes) -> float:
    """Return the root mean square difference of two pictures; infinite where they differ in size."""
    one, other = pixels(first), pixels(second)
    if one.shape != other.shape:
        return float("inf")
    return float(np.sqrt(np.mean((one - other) ** 2)))


@pytest.mark.parametrize(("name", "size"), ALL)
def test_a_figure_looks_like_its_picture(name, size):
    drawn = figures.png(CASES[name](WIDTHS[size]), dpi=DPI)
    stored = (STORED / f"{name}-{size}.png").read_bytes()
    assert distance(drawn, stored) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "altered"),
    [
        ("load", lambda width_in: load(width_in, extra_chunk=1)),
        ("spread", lambda width_in: spread(width_in, slower_s=0.4)),
        ("ranges", lambda width_in: ranges(width_in, last_kept=False)),
    ],
)
def test_the_tolerance_sees_one_value_changed(name, altered):
    drawn = figures.png(altered(figures.WIDE_IN), dpi=DPI)
    assert distance(drawn, (STORED / f"{name}-wide.png").read_bytes()) > TOLERANCE


def test_every_picture_has_its_figure():
    assert {path.stem for path in STORED.glob("*.png")} == {f"{name}-{size}" for name, size in ALL}


@pytest.mark.parametrize(("name", "size"), ALL)
def test_no_label_leaves_the_figure(name, size):
    """What is cut off at the edge says nothing; legends are placed outside the layout, so they are looked at."""
    figure = CASES[name](WIDTHS[size])
    figures.png(figure, dpi=round(figure.dpi))  # laid out as it is measured
    shown, (width_in, height_in) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(shown.x0, shown.y0) > -0.02
    assert shown.x1 < width_in + 0.02
    assert shown.y1 < height_in + 0.02
    for legend in filter(None, (axes.get_legend() for axes in figure.axes)):
        for text in legend.get_texts():
            assert text.get_window_extent().x1 < figure.bbox.x1, text


def write_anew() -> None:
    """Make every picture anew."""
    STORED.mkdir(exist_ok=True)
    for name, size in ALL:
        (STORED / f"{name}-{size}.png").write_bytes(figures.png(CASES[name](WIDTHS[size]), dpi=DPI))


if __name__ == "__main__":
    write_anew()
