"""What is derived by simulating: a service fitted to its chunk, and what a scenario leaves open.

A chunk is sold by a number of tokens per second at a reference shape. `rate` finds the server that
does just that; `settle` fills in what depends on the traffic: the autoscaler's target and the chunks
at the start. Both ask the kernel, never a formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulations import kernel
from simulations.capacity import TokenChunks
from simulations.errors import ScenarioError
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario, Service
from simulations.ticks import TICKS_PER_S
from simulations.trace import REFERENCE_SHAPE, Shape, Trace

BACKLOG_REQUESTS = 4000
"""Reference requests that wait when saturated throughput is measured (design, 2026-11-22)."""

FIRST_MINUTES_S = 300.0
"""The chunks at t = 0 carry the mean load of this much of the trace (assumed)."""

E2E_SUSPICION = 3.0
"""Unloaded E2E further off 2304 / chunk seconds than this factor is warned about (design)."""


@dataclass(frozen=True, slots=True)
class UnloadedLatency:
    """What one request of the reference shape sees on an idle chunk.

    Args:
        documented_e2e_s: what the documentation's rule gives, tokens of the shape over the chunk's
            tokens/s. *Source:* docs.databricks.com prov-throughput-tokens (2304 tokens/s serve 2048 + 256
            in about 1 s), read 2026-11-22.
    """

    ttft_s: float
    tpot_s: float
    e2e_s: float
    documented_e2e_s: float

    @property
    def warning(self) -> str | None:
        """A sentence where the service is far off the documented time, else None."""
        factor = max(self.e2e_s / self.documented_e2e_s, self.documented_e2e_s / self.e2e_s)
        if factor <= E2E_SUSPICION:
            return None
        return (
            f"unloaded E2E is {self.e2e_s:.2f} s at the reference shape, {factor:.1f} times off the "
            f"{self.documented_e2e_s:.2f} s that the documentation's rule gives; a service measured on the endpoint (--service FILE) would settle it"
        )


def saturated_tokens_per_s(service: Service, shape: Shape = REFERENCE_SHAPE) -> float:
    """Return the throughput of one server that always has requests waiting.

    Input + output tokens per second between the 25 % and 75 % completions of a backlog of at least
    4,000 requests of one shape.

    Args:
        service: the server.
        shape: tokens of every request.

    Raises:
        ScenarioError: a request of this shape does not fit the server.

    >>> round(saturated_tokens_per_s(Service(1.0, max_sequences=1), Shape(7, 1)), 6)  # 8 tokens an iteration
    8.0
    """
    return _saturated(_timeless(service), shape)


@lru_cache(maxsize=4096)
def _saturated(service: Service, shape: Shape) -> float:
    if shape.total_tokens > service.longest_tokens:
        raise ScenarioError(
            f"a request of {shape} tokens does not fit a server with room for {service.longest_tokens}"
        )
    n = max(BACKLOG_REQUESTS, 16 * service.max_sequences)
    trace = Trace.build(
        np.zeros(n), np.full(n, shape.input_tokens), np.full(n, shape.output_tokens)
    )
    done = np.sort(_serve_alone(service, trace)["end_ticks"])
    quarter, three_quarters = n // 4, (3 * n) // 4
    ticks = int(done[three_quarters - 1] - done[quarter - 1])
    if ticks == 0:
        raise ScenarioError("the server takes no time at all; check the units of the service")
    return (three_quarters - quarter) * shape.total_tokens * TICKS_PER_S / ticks


def unloaded_latency(
    service: Service, tokens_per_s: int, shape: Shape = REFERENCE_SHAPE
) -> UnloadedLatency:
    """Return what a single request of a shape sees.

    >>> unloaded_latency(Service(0.01, prefill_s=1e-4), 2304).ttft_s  # 2048 tokens and one iteration
    0.2148
    """
    one = Trace.build([0.0], [shape.input_tokens], [shape.output_tokens])
    row = _serve_alone(replace(service, kv_tokens=None, context_limit_tokens=None), one)[0]
    ttft, e2e = int(row["first_token_ticks"]), int(row["end_ticks"])
    later = max(1, shape.output_tokens - 1)
    return UnloadedLatency(
        ttft / TICKS_PER_S,
        (e2e - ttft) / later / TICKS_PER_S,
        e2e / TICKS_PER_S,
        shape.total_tokens / tokens_per_s,
    )


def rate(
    service: Service,
    tokens_per_s: int,
    *,
    shape: Shape = REFERENCE_SHAPE,
    share: Literal["slots", "time"] = "slots",
) -> Service:
    """Return a service whose saturated throughput at a shape is what the chunk is sold as.

    With `slots`, iteration times stay physical and `max_sequences` falls to the smallest number whose
    throughput reaches the chunk; only the residual factor scales time. With `time`, all slots stay and
    time alone is scaled. A service that was measured on the chunk itself comes back as it is.

    Args:
        service: a server as measured on some hardware.
        tokens_per_s: the chunk, input + output tokens per second, >= 1.
        shape: the reference request.
        share: how a chunk shares a GPU; not published, so *assumed*.

    Raises:
        ScenarioError: the shape does not fit the server.

    >>> rated = rate(Service(0.00642, context_s=4.99e-8, prefill_s=1.96e-5), 19000)
    >>> round(saturated_tokens_per_s(rated))
    19000
    """
    if service.per_chunk:
        return service
    if share == "slots":
        slots = _smallest(
            1,
            service.max_sequences,
            lambda n: (
                saturated_tokens_per_s(replace(service, max_sequences=n), shape) >= tokens_per_s
            ),
        )
        service = replace(service, max_sequences=slots)
    elif share != "time":
        raise ScenarioError(f"share is {share!r}; must be slots or time")
    return service.scaled(saturated_tokens_per_s(service, shape) / tokens_per_s)


def settle(scenario: Scenario, trace: Trace) -> Scenario:
    """Return the scenario with everything derived that it left open, for this trace.

    The target becomes the in-flight at which a chunk reaches `target_utilisation` of its saturated
    throughput at the trace's mean shape; the start what the target would hold for the mean load of the
    first five minutes. Requests that no server can hold count for neither. A settled scenario comes back
    as it is.

    Raises:
        ScenarioError: no request of the trace fits the server.
    """
    scaler = scenario.autoscaler
    if scaler.target is not None and scenario.start_chunks is not None:
        return scenario
    service = scenario.service
    shape = served_shape(trace, service)
    target = scaler.target
    if target is None and scaler.metric == "offered_tokens":
        target = scaler.target_utilisation * saturated_tokens_per_s(service, shape)
    elif target is None:
        target = float(_target_in_flight(service, shape, scaler.target_utilisation))
    start = scenario.start_chunks
    if start is None:
        low, high = scenario.capacity.min_chunks, scenario.capacity.max_chunks
        load = served_tokens_per_s(trace, service, first_s=FIRST_MINUTES_S)
        held = math.ceil(load / _load_at_target(service, shape, scaler.metric, target))
        start = min(max(held, low), high)
    return replace(scenario, autoscaler=replace(scaler, target=target), start_chunks=start)


def served_shape(trace: Trace, service: Service) -> Shape:
    """Return the mean shape of the requests that fit a server, with at least one output token.

    Raises:
        ScenarioError: none fits.

    >>> served_shape(Trace.build([0, 1], [10, 900], [3, 9]), Service(1.0, kv_tokens=100))
    Shape(input_tokens=10, output_tokens=3)
    """
    fits = _fits(trace, service)
    if not fits.any():
        raise ScenarioError(
            f"none of the {len(trace):,} requests fits a server with room for {service.longest_tokens:,} tokens "
            "(input + output)"
        )
    return Shape(
        max(1, round(float(trace.input_tokens[fits].mean()))),
        max(1, round(float(trace.output_tokens[fits].mean()))),
    )


def served_tokens_per_s(trace: Trace, service: Service, *, first_s: float = math.inf) -> float:
    """Return the mean load of the requests that fit a server, over the trace or its first seconds.

    >>> served_tokens_per_s(Trace.build([0, 2], [10, 20], [5, 5]), Service(1.0))
    20.0
    """
    span_s = min(first_s, trace.span_s)
    if span_s == 0:
        return 0.0
    count = int(np.searchsorted(trace.arrival_ticks, round(span_s * TICKS_PER_S), side="right"))
    fits = _fits(trace, service)[:count]
    tokens = trace.input_tokens[:count].astype(np.int64) + trace.output_tokens[:count]
    return float(tokens[fits].sum()) / span_s


def _fits(trace: Trace, service: Service) -> npt.NDArray[np.bool_]:
    total = trace.input_tokens.astype(np.int64) + trace.output_tokens
    return np.asarray(total <= service.longest_tokens)


def _load_at_target(service: Service, shape: Shape, metric: str, target: float) -> float:
    """Return the tokens per second at which a chunk's metric is on target."""
    if metric == "offered_tokens":
        return target
    slots = max(1, min(int(target), service.max_sequences))
    full = saturated_tokens_per_s(replace(service, max_sequences=slots), shape)
    return full * min(1.0, target / slots)


def _target_in_flight(service: Service, shape: Shape, utilisation: float) -> int:
    full = saturated_tokens_per_s(service, shape)
    return _smallest(
        1,
        service.max_sequences,
        lambda n: (
            saturated_tokens_per_s(replace(service, max_sequences=n), shape) >= utilisation * full
        ),
    )


def _smallest(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """Return the smallest whole number in [low, high] that is enough, or high where none is."""
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _timeless(service: Service) -> Service:
    """Drop what does not change times, so that equal servers share one cached measurement."""
    return replace(service, name="", source="", assumed=True, per_chunk=False)


def _serve_alone(service: Service, trace: Trace) -> np.ndarray:
    scenario = Scenario(
        service,
        TokenChunks(1, 1, 1),
        Autoscaler(target=1.0),
        Admission(queue_limit="none"),
        Client(),
        Overflow("lose"),
        start_chunks=1,
    )
    trail = kernel.simulate(trace, scenario.rules(trace))
    if not trail.complete:
        raise ScenarioError(
            f"{len(trace)} requests of {trace.mean_shape} tokens would take one server more than 1.46 years; "
            "check the units of the service and the size of the chunk"
        )
    return trail.requests
