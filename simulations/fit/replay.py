"""A measurement done again in the simulator: the same requests, a server that may be the one.

A run is replayed by its arrivals. A level of load is made anew: a rate as drawn arrivals, a number of users as a
closed loop, where each sends the next request when the last was answered. **A closed loop is the fixed point of
open ones**: the k-th answer to come sends request users + k, so arrivals that equal the sorted ends of their own
simulation are those of the closed loop. Repeating the simulation finds them: whatever is right up to some moment
is right beyond it the next time.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations import kernel
from simulations.capacity import TokenChunks
from simulations.errors import ScenarioError
from simulations.fit.measurement import FloatArray, MeasuredLevel, MeasuredRun
from simulations.fit.parameters import Candidate
from simulations.run import COMPLETED
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

MOST_PASSES = 200
"""Simulations to find a closed loop; after that the last one stands, right up to some request far in it."""

FEWEST_OF_LEVEL = 48
"""Requests that a level is simulated with, at least ..."""

ROUNDS_OF_LEVEL = 4
"""... and at least so many for each user; more than were measured are never simulated."""

REQUESTS_AT_RATE = 400


class Times(NamedTuple):
    """Seconds of each request, float[n]; NaN for one that was never served."""

    ttft_s: FloatArray
    e2e_s: FloatArray


def replay(run: MeasuredRun, candidate: Candidate) -> Times:
    """Return the times of a measured run's requests at a server.

    Raises:
        ScenarioError: the server would take longer than representable time.

    >>> run = MeasuredRun.build([0, 1], [100, 100], [3, 3], e2e_s=[1, 1])
    >>> replay(run, Candidate(0.01, routing_s=0.5)).ttft_s.tolist()
    [0.51, 0.51]
    """
    rows = _served(run.trace, candidate, run.chunks)
    return _times(rows, run.trace.arrival_ticks, candidate)


def replay_level(level: MeasuredLevel, candidate: Candidate) -> Times:
    """Return the times of the requests of a level at a server; `figures` has their means.

    Raises:
        ScenarioError: the server would take longer than representable time.
    """
    if level.users is not None:
        arrival, rows = closed_loop(level, candidate)
        return _times(rows, arrival, candidate)
    n = min(max(level.n or REQUESTS_AT_RATE, 100), 4 * REQUESTS_AT_RATE)
    assert level.rate_per_s is not None
    trace = _at_rate(
        n,
        level.rate_per_s,
        level.burstiness,
        level.shape.input_tokens,
        max(1, level.shape.output_tokens),
    )
    return _times(
        _served(trace, candidate, level.chunks), trace.arrival_ticks, candidate
    )


def closed_loop(
    level: MeasuredLevel, candidate: Candidate
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
    """Return arrivals in ticks and what became of each request, of users who wait for their answers.

    All users send their first request at once, as the load generators do.
    """
    users = level.users or 1
    n = max(FEWEST_OF_LEVEL, ROUNDS_OF_LEVEL * users)
    n = max(users, min(n, level.n or n))
    inputs = np.full(n, level.shape.input_tokens, np.int32)
    outputs = np.full(n, max(1, level.shape.output_tokens), np.int32)
    nothing = np.zeros(n, np.int32)
    arrival = np.zeros(n, np.int64)
    for _ in range(MOST_PASSES):
        trace = Trace(arrival, inputs, nothing, outputs, int(arrival[-1]))
        rows = _served(trace, candidate, level.chunks)
        answers = np.sort(rows["end_ticks"])
        following = np.concatenate([np.zeros(users, np.int64), answers[: n - users]])
        if np.array_equal(following, arrival):
            break
        arrival = following
    return arrival, rows


def figures(times: Times, output_tokens: int | npt.NDArray[np.int64]) -> dict[str, float]:
    """Return means and percentiles by `ttft_mean`, `tpot_p99` ...; seconds.

    >>> figures(Times(np.array([1.0]), np.array([3.0])), 5)["tpot_mean"]
    0.5
    """
    later = np.asarray(output_tokens) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot = np.where(later >= 1, (times.e2e_s - times.ttft_s) / later, np.nan)
    found = {}
    for name, column in (("ttft", times.ttft_s), ("tpot", tpot), ("e2e", times.e2e_s)):
        column = column[~np.isnan(column)]
        if len(column) == 0:
            continue
        found[f"{name}_mean"] = float(column.mean())
        for percent in (50, 90, 95, 99):
            found[f"{name}_p{percent}"] = float(np.percentile(column, percent))
    return found


def _served(trace: Trace, candidate: Candidate, chunks: int) -> npt.NDArray[np.void]:
    scenario = Scenario(
        candidate.service(),
        TokenChunks(1, chunks, chunks),
        Autoscaler(target=1.0),
        Admission(queue_limit="none"),
        Client(),
        Overflow("lose"),
        start_chunks=chunks,
    )
    trail = kernel.simulate(trace, scenario.rules(trace))
    if not trail.complete:
        raise ScenarioError("the server would take more than 1.46 years")
    rows: npt.NDArray[np.void] = trail.requests
    return rows


def _times(
    rows: npt.NDArray[np.void], arrival: npt.NDArray[np.int64], candidate: Candidate
) -> Times:
    served = rows["status"] == COMPLETED
    first = np.where(served, (rows["first_token_ticks"] - arrival) / TICKS_PER_S, math.nan)
    last = np.where(served, (rows["end_ticks"] - arrival) / TICKS_PER_S, math.nan)
    return Times(first + candidate.routing_s, last + candidate.routing_s)


@lru_cache(maxsize=256)
def _at_rate(n: int, rate_per_s: float, burstiness: float, inputs: int, outputs: int) -> Trace:
    """Return arrivals with gamma distributed gaps, the same ones every time."""
    shape = burstiness if math.isfinite(burstiness) and burstiness > 0 else 1.0
    gaps = np.random.default_rng(0).gamma(shape, 1.0, n)
    # Scaled to the rate exactly: a draw that is 5 % slower would be fitted as a server that is faster.
    arrival = np.concatenate([[0.0], np.cumsum(gaps[1:])])
    arrival *= (n - 1) / (rate_per_s * arrival[-1])
    return Trace.build(arrival, np.full(n, inputs), np.full(n, outputs))
