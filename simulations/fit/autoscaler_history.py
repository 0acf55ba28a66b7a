"""An autoscaler's numbers out of its history: how many chunks there were, beside the load.

Without limits on single steps the law of `laws.wanted_chunks` has a short form. The chunks held are the largest of
the wishes ceil(mean load / target) within the down-window, and those that serve are the fewest held within the
start delay. So a history is met by three sliding windows and a division, and the four numbers are looked for one
after the other until nothing gets better. A number is told as far as others do worse by more than the places
of the scale events can be off at the history's resolution; where that is far, it is not told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from simulations.errors import MeasurementError
from simulations.fit.importers.document import read_document
from simulations.fit.importers.tables import history_columns
from simulations.fit.measurement import FloatArray

NAMES = ("target", "up_window_s", "down_window_s", "start_delay_s")
NOT_TOLD = 3.0
"""An interval whose ends are further apart than this factor tells nothing worth a number."""

FEWEST_EVENTS = 6
LONGEST_S = {"up_window_s": 1800.0, "down_window_s": 7200.0, "start_delay_s": 1800.0}


@dataclass(frozen=True, eq=False)
class History:
    """Chunks beside load, in bins of equal length.

    Args:
        bin_s: length of a bin, the resolution.
        load: float[n], mean over the bin of the metric.
        chunks: float[n], chunks that serve: mean over the bin, or at its end.
        metric: what the load is.
    """

    bin_s: float
    load: FloatArray
    chunks: FloatArray
    metric: Literal["in_flight", "offered_tokens"]

    @property
    def n_events(self) -> int:
        """Changes of the number of chunks."""
        whole = np.round(self.chunks)
        return int((np.diff(whole) != 0).sum())


@dataclass(frozen=True)
class Told:
    """What a history tells of one number: its best value and interval, and whether that is worth anything."""

    value: float
    low: float
    high: float
    told: bool


@dataclass(frozen=True)
class AutoscalerFit:
    """An autoscaler's numbers, and how well they give the history back.

    Args:
        numbers: by name of `Autoscaler`.
        metric: what the target is of.
        error_chunks: mean absolute difference of the chunks.
        bin_s, n_events: of the history.
    """

    numbers: dict[str, Told]
    metric: str
    error_chunks: float
    bin_s: float
    n_events: int


def load_history(path: str | Path) -> History:
    """Return the history of a table with a time, a number of chunks and a load.

    Columns: `time` (or `t`, `timestamp`, `date`; seconds or dates), `chunks` (or `ready_chunks`,
    `provisioned_concurrency`, `replicas`), and one of `in_flight` (or `concurrency`), `tokens_per_s`, or
    `requests_per_s` with `latency_s`, whose product is the requests in flight.

    Raises:
        MeasurementError: a column is missing, times do not ascend evenly, or there is nothing in it.
    """
    document = read_document(Path(path))
    time, chunks, load, metric = history_columns(document)
    order = np.argsort(time, kind="stable")
    time, chunks, load = time[order], chunks[order], load[order]
    known = ~(np.isnan(time) | np.isnan(chunks) | np.isnan(load))
    time, chunks, load = time[known], chunks[known], load[known]
    if len(time) < 10:
        raise document.error(
            f"has {len(time)} rows with time, chunks and load; at least 10 are needed"
        )
    gaps = np.diff(time)
    bin_s = float(np.median(gaps))
    if bin_s <= 0:
        raise document.error("several rows have the same time")
    # A gap is bridged by what was before it, as a gauge is read.
    grid = time[0] + bin_s * np.arange(round((time[-1] - time[0]) / bin_s) + 1)
    if len(grid) > 2_000_000:
        raise document.error(f"spans {len(grid):,} steps of {bin_s:g} s; cut it")
    place = np.clip(np.searchsorted(time, grid + 0.5 * bin_s) - 1, 0, len(time) - 1)
    return History(bin_s, load[place], chunks[place], metric)


def infer_autoscaler(history: History) -> AutoscalerFit:
    """Return an autoscaler's target, windows and start delay, as far as a history tells them.

    Raises:
        MeasurementError: the number of chunks never changed.
    """
    if history.n_events == 0:
        raise MeasurementError(
            "the number of chunks never changes in this history, so it tells nothing of the autoscaler; give one "
            "with scale-ups and scale-downs"
        )
    busy = history.chunks > 0
    ratio = float(np.median(history.load[busy] / history.chunks[busy])) or 1.0
    grids = _grids(history, ratio)
    best, point = math.inf, {}
    for delay in (0.0, 160.0):
        for window in (60.0, 300.0, 900.0):
            start = {
                "target": ratio,
                "up_window_s": grids["up_window_s"][0],
                "down_window_s": _nearest(grids["down_window_s"], window),
                "start_delay_s": _nearest(grids["start_delay_s"], delay),
            }
            cost, found = _descend(history, start, grids, NAMES)
            if cost < best:
                best, point = cost, found
    # Each event may be half a bin off, and the load within a bin is not known.
    slack = 0.5 * best + 0.75 * history.n_events / len(history.load) + 1e-9
    numbers = {name: _told(history, name, point, grids, limit=best + slack) for name in NAMES}
    return AutoscalerFit(numbers, history.metric, best, history.bin_s, history.n_events)


def _told(
    history: History,
    name: str,
    point: dict[str, float],
    grids: dict[str, FloatArray],
    *,
    limit: float,
) -> Told:
    grid = grids[name]
    others = tuple(other for other in NAMES if other != name)
    at = int(np.argmin(np.abs(grid - point[name])))
    ends = []
    for step in (-1, 1):
        place, here = at, dict(point)
        while 0 <= place + step < len(grid):
            here = {**here, name: float(grid[place + step])}
            cost, here = _descend(history, here, grids, others, rounds=2)
            if cost > limit:
                break
            place += step
        # The truth lies up to where it was refused, or anywhere beyond the grid.
        reached_end = not 0 <= place + step < len(grid)
        ends.append(float(grid[place]) if reached_end else float(grid[place + step]))
        if reached_end:
            ends[-1] = 0.0 if step < 0 else math.inf
    low, high = ends
    if name == "target" and history.metric == "in_flight":
        # Within a bin the requests in flight wander by about the root of their number, and the largest wish
        # of a window follows the peaks: with means alone a target seems lower than it is.
        load = max(1.0, float(np.median(history.load)))
        high *= 1.0 + 2.0 / math.sqrt(load) * min(1.0, history.bin_s / 60.0)
    if name != "target":
        low, high = max(0.0, low - history.bin_s), high + history.bin_s
    floor = max(low, 1e-12)
    told = high < math.inf and high / floor <= NOT_TOLD
    if name != "target" and not told and high <= 3 * history.bin_s and high < 60:
        told = True  # short beyond doubt: known as well as anybody needs
    return Told(point[name], low, high, told)


def _grids(history: History, ratio: float) -> dict[str, FloatArray]:
    grids: dict[str, FloatArray] = {
        "target": ratio * np.exp(np.linspace(math.log(0.25), math.log(4.0), 141))
    }
    for name, longest in LONGEST_S.items():
        steps = np.unique(
            np.round(np.geomspace(1, max(2.0, longest / history.bin_s), 40)).astype(int)
        )
        first = [] if name == "up_window_s" else [0]
        grids[name] = history.bin_s * np.concatenate([first, steps]).astype(np.float64)
    return grids


def _nearest(grid: FloatArray, value: float) -> float:
    return float(grid[np.argmin(np.abs(grid - value))])


def _descend(
    history: History,
    start: dict[str, float],
    grids: dict[str, FloatArray],
    free: tuple[str, ...],
    *,
    rounds: int = 6,
) -> tuple[float, dict[str, float]]:
    """Return the best cost and point, changing one number at a time."""
    point = dict(start)
    best = _cost(history, point)
    for _ in range(rounds):
        before = best
        for name in free:
            here = point[name]
            grid = grids[name]
            at = int(np.argmin(np.abs(grid - here)))
            reach = 12 if rounds < 6 else len(grid)
            for value in grid[max(0, at - reach) : at + reach + 1]:
                cost = _cost(history, {**point, name: float(value)})
                if cost < best:
                    best, here = cost, float(value)
            point[name] = here
        if best >= before - 1e-12:
            break
    return best, point


def _cost(history: History, point: dict[str, float]) -> float:
    return float(np.abs(predicted_chunks(history, **point) - history.chunks).mean())


def predicted_chunks(
    history: History,
    *,
    target: float,
    up_window_s: float,
    down_window_s: float,
    start_delay_s: float,
) -> FloatArray:
    """Return the chunks that would have served, float[n].

    >>> load = np.array([1.0, 1.0, 9.0, 9.0, 1.0, 1.0, 1.0])
    >>> history = History(10.0, load, np.array([1.0, 1, 1, 2, 2, 1, 1]), "in_flight")
    >>> predicted_chunks(
    ...     history, target=5.0, up_window_s=10.0, down_window_s=20.0, start_delay_s=10.0
    ... ).tolist()
    [1.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0]
    """
    up = max(1, round(up_window_s / history.bin_s))
    down = max(1, round(down_window_s / history.bin_s))
    delay = round(start_delay_s / history.bin_s)
    mean = _trailing_mean(history.load, up)
    low, high = float(np.floor(history.chunks.min())), float(np.ceil(history.chunks.max()))
    wishes = np.clip(np.ceil(mean / target - 1e-9), max(low, 0.0), high)
    # Windows that end at each bin: scipy's are centred, so they are moved to the right.
    held = maximum_filter1d(wishes, down, origin=(down - 1) // 2, mode="nearest")
    size = delay + 1
    serving: FloatArray = minimum_filter1d(held, size, origin=(size - 1) // 2, mode="nearest")
    return serving


def _trailing_mean(values: FloatArray, n: int) -> npt.NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - n, 0)
    return np.asarray((sums[ends] - sums[begins]) / (ends - begins))
