"""What happened: to each request, and to each chunk. Filled by an engine, read by everybody.

A `Trail` is what both engines write, number for number; a `Run` is a trail with the traffic and
the scenario it came from, in seconds and as tables.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulations.errors import ScenarioError
from simulations.scenario import Rules, Scenario
from simulations.ticks import NEVER, TICKS_PER_S, to_ticks
from simulations.trace import Trace

REQUEST = np.dtype(
    [
        ("accepted_ticks", np.int64),
        ("first_token_ticks", np.int64),
        ("end_ticks", np.int64),
        ("preemptions", np.int32),
        ("chunk", np.int16),
        ("attempts", np.int8),
        ("status", np.int8),
    ],
    align=True,
)
"""What happened to a request: 32 bytes. Times that never came are `NEVER`."""

LAUNCH = np.dtype(
    [
        ("chunk", np.int64),
        ("started_ticks", np.int64),
        ("ready_ticks", np.int64),
        ("draining_ticks", np.int64),
        ("released_ticks", np.int64),
        ("busy_ticks", np.int64),
    ],
    align=True,
)
"""The life of a chunk from its start to its release; `ready_ticks` is when it was due, so one that was
removed while it was starting has been released before. Times that never came are `NEVER`."""

COMPLETED, REFUSED_QUEUE, REFUSED_WINDOW, REFUSED_LENGTH, SPILLED = 1, 2, 3, 4, 5
STATUS_NAMES = {
    COMPLETED: "completed",
    REFUSED_QUEUE: "refused: queue full",
    REFUSED_WINDOW: "refused: token window full",
    REFUSED_LENGTH: "refused: too long",
    SPILLED: "spilled to pay-per-token",
}
NO_CHUNK = -1


class Trail(NamedTuple):
    """What an engine leaves behind: `requests` (REQUEST[n]), `launches` (LAUNCH[m]), and whether all
    work was done before the end of representable time."""

    requests: npt.NDArray[Any]
    launches: npt.NDArray[Any]
    complete: bool


@dataclass(frozen=True, eq=False)
class Conservation:
    """Where every request is at the horizon; the parts add up to `arrived`.

    Args:
        in_flight: accepted and unfinished, or with a client that will try again.
    """

    arrived: int
    completed: int
    refused: int
    spilled: int
    in_flight: int


@dataclass(frozen=True, eq=False)
class Run:
    """One simulated run: what happened, to which traffic, at which endpoint.

    Args:
        trace: the traffic.
        scenario: the settled scenario.
        rules: the same in ticks and counts.
        trail: what the engine left.
        engine: `kernel` or `reference`.

    Use `requests()`, `timeline()` and `chunks()` for tables, `outcome.summarise` for figures.
    """

    trace: Trace
    scenario: Scenario
    rules: Rules
    trail: Trail
    engine: str

    @property
    def end_ticks(self) -> int:
        """When everything was over: the horizon, or the last answer after it."""
        return max(self.rules.horizon_ticks, int(self.trail.requests["end_ticks"].max()))

    def requests(self) -> pd.DataFrame:
        """Return a row per request, times in seconds from the first arrival; what never came is NaN."""
        rows = self.trail.requests
        arrival = self.trace.arrival_ticks
        return pd.DataFrame(
            {
                "arrival_s": arrival / TICKS_PER_S,
                "input_tokens": self.trace.input_tokens,
                "cached_tokens": self.trace.cached_tokens,
                "output_tokens": self.trace.output_tokens,
                "status": pd.Categorical(
                    [STATUS_NAMES[int(code)] for code in rows["status"]],
                    categories=list(STATUS_NAMES.values()),
                ),
                "attempts": rows["attempts"],
                "chunk": rows["chunk"],
                "preemptions": rows["preemptions"],
                "accepted_s": _seconds_or_nan(rows["accepted_ticks"]),
                "first_token_s": _seconds_or_nan(rows["first_token_ticks"]),
                "end_s": rows["end_ticks"] / TICKS_PER_S,
                "ttft_s": _seconds_or_nan(ttft_ticks(self)),
                "tpot_s": _seconds_or_nan(tpot_ticks(self)),
                "e2e_s": _seconds_or_nan(e2e_ticks(self)),
            }
        )

    def chunks(self) -> pd.DataFrame:
        """Return a row per launched chunk; times in seconds, NaN for what never came."""
        rows = self.trail.launches
        table = {"chunk": rows["chunk"]}
        for name in ("started", "ready", "draining", "released", "busy"):
            table[f"{name}_s"] = _seconds_or_nan(rows[f"{name}_ticks"])
        return pd.DataFrame(table)

    def timeline(self, bin_s: float | None = None) -> pd.DataFrame:
        """Return load against capacity in bins of time over the horizon.

        Args:
            bin_s: width of a bin in seconds, > 0; None for about 300 round ones.

        Returns:
            Columns t_s (start of the bin), offered_tokens_per_s (first attempts), ready_chunks and
            starting_chunks (means over the bin), refused and spilled (requests, by first attempt).

        Raises:
            ScenarioError: the horizon is zero or the width is not > 0.
        """
        horizon = self.rules.horizon_ticks
        if horizon == 0:
            raise ScenarioError("the trace spans no time, so there is no timeline")
        width = to_ticks(
            _round_width(horizon / TICKS_PER_S) if bin_s is None else bin_s, name="bin_s"
        )
        if width < 1:
            raise ScenarioError(f"bin_s is {bin_s}; must be > 0")
        edges = np.arange(-(-horizon // width) + 1, dtype=np.int64) * width
        edges[-1] = horizon
        seconds = np.diff(edges) / TICKS_PER_S
        n = len(seconds)
        place = np.minimum(self.trace.arrival_ticks // width, n - 1)
        tokens = self.trace.input_tokens.astype(np.int64) + self.trace.output_tokens
        launches = self.trail.launches
        gone = np.minimum(launches["released_ticks"], horizon)
        ready = np.minimum(launches["ready_ticks"], gone)
        status = self.trail.requests["status"]
        return pd.DataFrame(
            {
                "t_s": edges[:-1] / TICKS_PER_S,
                "offered_tokens_per_s": np.bincount(place, tokens, n) / seconds,
                "ready_chunks": _mean_alive(ready, gone, edges),
                "starting_chunks": _mean_alive(launches["started_ticks"], ready, edges),
                "refused": np.bincount(place[is_refused(status)], minlength=n),
                "spilled": np.bincount(place[status == SPILLED], minlength=n),
            }
        )

    def conservation(self) -> Conservation:
        """Return where every request is at the horizon."""
        rows = self.trail.requests
        status, over = rows["status"], rows["end_ticks"] <= self.rules.horizon_ticks
        completed = int(((status == COMPLETED) & over).sum())
        refused = int((is_refused(status) & over).sum())
        spilled = int((status == SPILLED).sum())
        arrived = len(self.trace)
        return Conservation(
            arrived, completed, refused, spilled, arrived - completed - refused - spilled
        )

    def __repr__(self) -> str:
        status = self.trail.requests["status"]
        return (
            f"Run({self.scenario.capacity}: {len(self.trace):,} requests, "
            f"{int((status == COMPLETED).sum()):,} completed, {int(is_refused(status).sum()):,} refused)"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def is_refused(status: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Return which requests were refused for good."""
    return (status >= REFUSED_QUEUE) & (status <= REFUSED_LENGTH)


def ttft_ticks(run: Run) -> npt.NDArray[np.int64]:
    """Return the time from first attempt to first token, int64[n]; `NEVER` where none came."""
    first = run.trail.requests["first_token_ticks"]
    return np.where(first == NEVER, NEVER, first - run.trace.arrival_ticks)


def e2e_ticks(run: Run) -> npt.NDArray[np.int64]:
    """Return the time from first attempt to last token, int64[n]; `NEVER` for the refused."""
    rows = run.trail.requests
    return np.where(is_refused(rows["status"]), NEVER, rows["end_ticks"] - run.trace.arrival_ticks)


def tpot_ticks(run: Run) -> npt.NDArray[np.int64]:
    """Return the mean time per output token after the first, int64[n], rounded down to ticks.

    -1 where it is not defined (fewer than two output tokens), `NEVER` for the refused.
    """
    rows = run.trail.requests
    later = run.trace.output_tokens.astype(np.int64) - 1
    ticks = (rows["end_ticks"] - rows["first_token_ticks"]) // np.maximum(later, 1)
    return np.where(later < 1, -1, np.where(is_refused(rows["status"]), NEVER, ticks))


def _seconds_or_nan(ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where((ticks == NEVER) | (ticks < 0), np.nan, ticks / TICKS_PER_S)


def _round_width(span_s: float) -> float:
    """Return a width of 1, 2 or 5 times a power of ten, or whole minutes and hours, near a 300th of a span."""
    widths = [m * 10.0**e for e in range(-10, 1) for m in (1, 2, 5)]
    widths += [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]
    return min((w for w in widths if w >= span_s / 400), default=86400.0 * 7)


def _mean_alive(
    begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return how many of the intervals [begin, end) are alive, as a mean over each bin."""

    # The time lived up to t, summed over intervals, is piecewise linear; its differences are what we want.
    def lived(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        ordered = np.sort(times)
        sums = np.concatenate([[0.0], np.cumsum(ordered / TICKS_PER_S)])
        count = np.searchsorted(ordered, edges)
        total: npt.NDArray[np.float64] = count * (edges / TICKS_PER_S) - sums[count]
        return total

    area = lived(begin) - lived(np.maximum(begin, end))
    mean: npt.NDArray[np.float64] = np.diff(area) / (np.diff(edges) / TICKS_PER_S)
    return np.maximum(mean, 0.0)
