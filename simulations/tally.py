"""The counts of a run, compiled: requests within limits, and exact percentiles without sorting them all.

A first pass over the requests counts, and sorts latencies into logarithmic buckets; the few buckets that
hold a wanted rank are then collected by a second pass and sorted alone. Knows neither shares nor money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from simulations.run import COMPLETED, REFUSED_LENGTH, REFUSED_QUEUE, SPILLED, Run
from simulations.ticks import NEVER

TTFT, TPOT, E2E = 0, 1, 2
METRIC_CODES = {"ttft": TTFT, "tpot": TPOT, "e2e": E2E}

_PER_OCTAVE_BITS = 7
_BUCKETS = 64 << _PER_OCTAVE_BITS
_UNDEFINED = -1

_pass: Any = numba.njit(nogil=True, cache=True, error_model="numpy")
_part: Any = numba.njit(nogil=True, error_model="numpy", forceinline=True)


class Tally(NamedTuple):
    """What was counted.

    `within[limit]`, `within_unspilled[limit]` and `applies[limit]` are requests; the last entry is for all
    limits at once. `histogram[metric, bucket]` counts latencies of the served, `never[metric]` the rest.
    """

    within: npt.NDArray[np.int64]
    within_unspilled: npt.NDArray[np.int64]
    applies: npt.NDArray[np.int64]
    histogram: npt.NDArray[np.int64]
    never: npt.NDArray[np.int64]
    by_status: npt.NDArray[np.int64]
    retried: int
    preemptions: int


def tally(run: Run, metrics: Sequence[str], limit_ticks: Sequence[int]) -> Tally:
    """Return the counts of a run.

    Args:
        run: a finished run.
        metrics: of each limit, `ttft`, `tpot` or `e2e`.
        limit_ticks: of each limit.
    """
    n_limits = len(limit_ticks)
    counted = Tally(
        within=np.zeros(n_limits + 1, np.int64),
        within_unspilled=np.zeros(n_limits + 1, np.int64),
        applies=np.zeros(n_limits + 1, np.int64),
        histogram=np.zeros((3, _BUCKETS), np.int64),
        never=np.zeros(3, np.int64),
        by_status=np.zeros(SPILLED + 1, np.int64),
        retried=0,
        preemptions=0,
    )
    retried, preemptions = _count(
        run.trail.requests,
        run.trace.arrival_ticks,
        run.trace.output_tokens,
        np.array([METRIC_CODES[metric] for metric in metrics], np.int64),
        np.array(limit_ticks, np.int64),
        *counted[:6],
    )
    return counted._replace(retried=int(retried), preemptions=int(preemptions))


def percentile_ticks(
    run: Run, counted: Tally, ranks: Mapping[str, Sequence[int]]
) -> dict[str, list[int | None]]:
    """Return the latencies at some ranks, exact; None for a rank beyond the served.

    Args:
        counted: the tally of the same run.
        ranks: by metric, places in the order of latency, from 0.
    """
    wanted = np.zeros((len(METRIC_CODES), _BUCKETS), np.bool_)
    places: dict[str, tuple[list[int], npt.NDArray[np.int64]]] = {}
    for metric, asked in ranks.items():
        code = METRIC_CODES[metric]
        upto = np.cumsum(counted.histogram[code])
        reachable = [rank for rank in asked if rank < upto[-1]]
        buckets = np.searchsorted(upto, reachable, side="right")
        wanted[code, buckets] = True
        places[metric] = reachable, buckets
    sizes = np.where(wanted, counted.histogram, 0).sum(axis=1)
    values = [np.empty(int(size), np.int64) for size in sizes]
    _collect(run.trail.requests, run.trace.arrival_ticks, run.trace.output_tokens, wanted, *values)
    found = {}
    for metric, (reachable, buckets) in places.items():
        code = METRIC_CODES[metric]
        values[code].sort()
        # Values are in order of bucket, so a rank moves down by all that lie in buckets left out.
        left_out = np.cumsum(np.where(wanted[code], 0, counted.histogram[code]))
        at = {
            rank: int(values[code][rank - left_out[bucket]])
            for rank, bucket in zip(reachable, buckets, strict=True)
        }
        found[metric] = [at.get(rank) for rank in ranks[metric]]
    return found


@_part
def _latency(row: Any, arrival: Any, output: Any, code: Any) -> Any:
    """Return a latency in ticks: NEVER for the refused, _UNDEFINED for TPOT of fewer than two tokens."""
    if code == TPOT and output < 2:
        return _UNDEFINED
    if REFUSED_QUEUE <= row.status <= REFUSED_LENGTH:
        return NEVER
    if code == TTFT:
        return row.first_token_ticks - arrival
    if code == E2E:
        return row.end_ticks - arrival
    return (row.end_ticks - row.first_token_ticks) // (output - 1)


@_part
def _bucket(ticks: Any) -> Any:
    """Return the logarithmic bucket of a latency: 128 to a doubling, in order of latency.

    The leading bits of a float are its exponent and the first places of its fraction.
    """
    bits = np.float64(ticks).view(np.int64)
    return max(0, (bits >> (52 - _PER_OCTAVE_BITS)) - (1023 << _PER_OCTAVE_BITS))


@_pass
def _count(
    requests: Any,
    arrival: Any,
    output: Any,
    metrics: Any,
    limits: Any,
    within: Any,
    within_unspilled: Any,
    applies: Any,
    histogram: Any,
    never: Any,
    by_status: Any,
) -> Any:
    retried = 0
    preemptions = 0
    latency = np.zeros(3, np.int64)
    for i in range(len(requests)):
        row = requests[i]
        by_status[row.status] += 1
        retried += row.attempts > 1
        preemptions += row.preemptions
        for code in range(3):
            ticks = _latency(row, arrival[i], output[i], code)
            latency[code] = ticks
            if ticks == NEVER:
                never[code] += 1
            elif ticks != _UNDEFINED:
                histogram[code, _bucket(ticks)] += 1
        served = row.status == COMPLETED or row.status == SPILLED
        every = served
        for k in range(len(limits)):
            ticks = latency[metrics[k]]
            kept = ticks <= limits[k]
            every &= kept
            if ticks != _UNDEFINED:
                applies[k] += 1
                within[k] += kept
                within_unspilled[k] += kept and row.status != SPILLED
        last = len(limits)
        applies[last] += 1
        within[last] += every
        within_unspilled[last] += every and row.status != SPILLED
    return retried, preemptions


@_pass
def _collect(
    requests: Any, arrival: Any, output: Any, wanted: Any, ttft: Any, tpot: Any, e2e: Any
) -> None:
    """Gather the latencies that lie in wanted buckets[metric, bucket], of each metric apart."""
    places = np.zeros(3, np.int64)
    for i in range(len(requests)):
        for code in range(3):
            ticks = _latency(requests[i], arrival[i], output[i], code)
            if ticks != _UNDEFINED and ticks != NEVER and wanted[code, _bucket(ticks)]:
                values = ttft if code == TTFT else tpot if code == TPOT else e2e
                values[places[code]] = ticks
                places[code] += 1
