"""A measurement done again in the simulator: the same requests, a server that may be the one.

A run is replayed by its arrivals. A level of load is made anew: a rate as drawn arrivals, a number of users as a
closed loop, where each sends the next request when the last was answered.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations import kernel
from simulations.capacity import TokenChunks
from simulations.errors import ScenarioError
from simulations.fit.closed_loop import closed_loop, fixed_point, has_room_for_all
from simulations.fit.measurement import FloatArray, MeasuredLevel, MeasuredRun
from simulations.fit.parameters import Candidate
from simulations.run import COMPLETED
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

ROUNDS_OF_LEVEL = 8
"""Requests for each user that a level is simulated with. Where more were measured, the later ones are those of users
who did not begin together: after many rounds nothing is left of that."""

ROUNDS_USUAL = 10
"""Requests for each user where a file does not say: what published sweeps have (InferenceMAX sends
`--num-prompts` of ten times `--max-concurrency`; github.com/InferenceMAX/InferenceMAX, read 2026-11-22)."""

PAUSE_S = 0.003
"""Mean of what a user needs from an answer to the next request beyond `routing_s`, exponentially distributed; *assumed*."""

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
        return _of_users(level, level.users, candidate)
    n = min(max(level.n or REQUESTS_AT_RATE, 100), 4 * REQUESTS_AT_RATE)
    assert level.rate_per_s is not None
    trace = _at_rate(
        n,
        level.rate_per_s,
        level.burstiness,
        level.shape.input_tokens,
        max(1, level.shape.output_tokens),
    )
    return _times(_served(trace, candidate, level.chunks), trace.arrival_ticks, candidate)


def _of_users(level: MeasuredLevel, users: int, candidate: Candidate) -> Times:
    if level.held_back:
        slots = max(1, min(candidate.max_sequences, users - level.held_back))
        candidate = replace(candidate, max_sequences=slots)
    service, shape = candidate.service(), level.shape
    if shape.total_tokens > service.longest_tokens:
        return Times(np.full(1, math.nan), np.full(1, math.nan))
    measured = max(users, level.n or ROUNDS_USUAL * users)
    n = min(measured, ROUNDS_OF_LEVEL * users)
    ttft, e2e = _loop(level, users, candidate, n=n, begin_s=np.zeros(users))
    if n < measured:
        # As far apart as they are in the end: evenly over the time that each request takes.
        cycle_s = float(e2e[users:].mean()) + PAUSE_S
        later = _loop(
            level, users, candidate, n=5 * users, begin_s=cycle_s * np.arange(users) / users
        )
        more = measured - n
        ttft = np.concatenate([ttft, np.resize(later.ttft_s[users:], more)])
        e2e = np.concatenate([e2e, np.resize(later.e2e_s[users:], more)])
    return Times(ttft, e2e)


def _loop(
    level: MeasuredLevel, users: int, candidate: Candidate, *, n: int, begin_s: FloatArray
) -> Times:
    """Return the times of the first n requests of users who begin at some moments."""
    service, shape = candidate.service(), level.shape
    pause_s = candidate.routing_s + PAUSE_S * _pauses(n)
    pause_s[: len(begin_s)] += begin_s[:n]
    pause = np.rint(pause_s * TICKS_PER_S).astype(np.int64)
    if level.chunks == 1 and has_room_for_all(service, shape, users):
        arrival, first, end = closed_loop(service, shape, users=users, n=n, pause_ticks=pause)
    else:
        arrival, rows = fixed_point(
            lambda trace: _served(trace, candidate, level.chunks),
            shape,
            users=users,
            n=n,
            pause_ticks=pause,
        )
        first, end = rows["first_token_ticks"], rows["end_ticks"]
    return Times(
        (first - arrival) / TICKS_PER_S + candidate.routing_s,
        (end - arrival) / TICKS_PER_S + candidate.routing_s,
    )


@lru_cache(maxsize=64)
def _pauses(n: int) -> FloatArray:
    """Return exponential draws with mean 1, the same ones every time."""
    return np.asarray(np.random.default_rng(0).exponential(1.0, n))


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
