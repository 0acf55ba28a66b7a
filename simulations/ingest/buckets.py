"""Rows that are sums of a second, a minute or an hour, turned into the requests they stand for.

`simulations.traffic.spreading` has the law. What such data hide is said here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulations.errors import TraceError
from simulations.ingest.rows import Rows
from simulations.ingest.rules import MOST_REQUESTS
from simulations.ingest.shown import shown
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import IntArray
from simulations.traffic import spread

SECONDS = {"second": 1, "minute": 60, "hour": 3600}
"""The words of `--aggregate`."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The time that a row is the sum of."""

    name: str

    @property
    def ticks(self) -> int:
        """How long it is."""
        return SECONDS[self.name] * TICKS_PER_S


def bucket_named(name: str) -> Bucket:
    """Return the bucket of that name.

    Raises:
        TraceError: there is none.

    >>> bucket_named("minute").ticks // TICKS_PER_S
    60
    """
    if name not in SECONDS:
        raise TraceError(f"--aggregate is {shown(name)!r}; must be one of {', '.join(SECONDS)}")
    return Bucket(name)


def bucket_notes(start_ticks: IntArray, bucket: Bucket, seed: int) -> list[str]:
    """Return what sums do not tell, and what is odd about when their buckets begin.

    Args:
        start_ticks: int64[m], in the order of the file.

    Raises:
        TraceError: buckets begin closer to each other than they are long.
    """
    starts = np.unique(start_ticks)
    n_same = len(start_ticks) - len(starts)
    gaps = np.diff(starts)
    name = bucket.name
    notes = [
        f"each row is the sum of {_one(name)}: its requests were spread over it at random (uniform, seed "
        f"{seed}) and share its tokens equally. Bursts within {_one(name)}, and long requests beside "
        f"short ones, are not in such data: peaks below {_one(name)} and percentiles of tokens are made "
        "up, and the real load asks for more than this trace says"
    ]
    n_back = int(np.count_nonzero(np.diff(start_ticks) < 0))
    if n_back:
        notes.append(f"steps back in time: {n_back:,}; the rows were sorted by arrival")
    if n_same:
        begin = "row begins" if n_same == 1 else "rows begin"
        notes.append(f"{n_same:,} {begin} with another's {name}; added to it")
    if len(gaps):
        gap_s = int(gaps.min()) / TICKS_PER_S
        if gap_s < SECONDS[name]:
            shorter = [word for word, seconds in SECONDS.items() if seconds <= gap_s]
            hint = f"; give --aggregate {shorter[-1]}" if shorter else ""
            raise TraceError(
                f"rows begin {gap_s:g} s apart, less than the {name} each is said to last{hint}"
            )
        if gap_s > SECONDS[name]:
            notes.append(
                f"rows begin at least {gap_s:g} s apart: if one lasts longer than {_one(name)}, its "
                "requests were put into too short a time, and peaks are too high"
            )
    return notes


def _one(name: str) -> str:
    return f"an {name}" if name == "hour" else f"a {name}"


def requests_of(rows: Rows, bucket: Bucket, *, seed: int) -> tuple[Rows, int]:
    """Return the requests that sums stand for, and where the last bucket ends.

    Raises:
        TraceError: there are none, or far too many.
    """
    assert rows.requests is not None
    n_requests = int(rows.requests.sum())
    if n_requests == 0:
        raise TraceError("no requests: every row counts 0")
    if n_requests > MOST_REQUESTS:
        raise TraceError(
            f"the rows stand for {n_requests:,} requests; at most {MOST_REQUESTS:,} can be drawn"
        )
    if int(rows.arrival_ticks.max()) - int(rows.arrival_ticks.min()) >= NEVER - bucket.ticks:
        raise TraceError("the first and the last arrival are more than 1.46 years apart")
    sums = {"input_tokens": rows.input_tokens, "output_tokens": rows.output_tokens}
    if rows.cached_tokens is not None:
        sums["cached_tokens"] = rows.cached_tokens
    ticks, tokens = spread(
        rows.arrival_ticks,
        rows.requests,
        sums,  # type: ignore[arg-type]
        bucket_ticks=bucket.ticks,
        seed=seed,
    )
    order = np.argsort(ticks, kind="stable")
    end_ticks = int(rows.arrival_ticks.max()) + bucket.ticks
    drawn = replace(
        rows,
        arrival_ticks=ticks[order],
        input_tokens=tokens["input_tokens"][order],
        output_tokens=tokens["output_tokens"][order],
        cached_tokens=tokens["cached_tokens"][order] if "cached_tokens" in tokens else None,
        requests=None,
    )
    return drawn, end_ticks
