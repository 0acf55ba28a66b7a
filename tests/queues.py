"""The endpoint reduced to the queues of textbooks: servers that serve one request after the other.

With one slot per chunk, one output token and no cost but prefill, a request's input tokens are its
service time, whatever distribution they were drawn from.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from simulations import kernel
from simulations.capacity import TokenChunks
from simulations.run import Trail
from simulations.scenario import Admission, Autoscaler, Overflow, Scenario, Service
from simulations.ticks import TICKS_PER_S
from simulations.trace import MAX_REQUEST_TOKENS, Trace

TOKENS_PER_S = 1_000_000
"""Service times are whole microseconds, at most 16.7 s."""

EMPTY_ITERATION_S = 1e-11
"""What an iteration costs beyond its tokens: the least there is, a tick."""


def servers(n: int, *, waiting: int | Literal["none"] = "none") -> Scenario:
    """Return n servers behind one queue, first come first served.

    Args:
        waiting: places to wait per server; who finds them taken is lost.
    """
    return Scenario(
        Service(
            EMPTY_ITERATION_S,
            prefill_s=1 / TOKENS_PER_S,
            token_budget=MAX_REQUEST_TOKENS,
            max_sequences=1,
        ),
        TokenChunks(1, n, n),
        Autoscaler(target=1.0, preset="fixed"),
        Admission(queue_limit=waiting),
        overflow=Overflow("lose"),
        start_chunks=n,
    )


def customers(arrival_s: npt.NDArray[np.float64], service_s: npt.NDArray[np.float64]) -> Trace:
    """Return requests that need these times of a server, rounded to microseconds."""
    tokens = np.clip(np.rint(service_s * TOKENS_PER_S), 1, MAX_REQUEST_TOKENS - 1)
    return Trace.build(arrival_s, tokens.astype(np.int32), np.ones(len(tokens), np.int32))


def service_ticks(trace: Trace) -> npt.NDArray[np.int64]:
    """Return the time of a server that each request takes, int64[n]."""
    return trace.input_tokens * np.int64(TICKS_PER_S // TOKENS_PER_S) + 1


def served(trace: Trace, scenario: Scenario) -> Trail:
    """Return the run of the compiled engine."""
    return kernel.simulate(trace, scenario.rules(trace))


def waits_s(trace: Trace, trail: Trail) -> npt.NDArray[np.float64]:
    """Return how long each request waited for its server, float64[n]; all must have been served."""
    sojourn = trail.requests["end_ticks"] - trace.arrival_ticks
    return (sojourn - service_ticks(trace)) / TICKS_PER_S
