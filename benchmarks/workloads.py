"""What is timed: a week on an autoscaled endpoint, and a queue that other simulators know as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from simulations.capacity import TokenChunks
from simulations.rating import rate, settle
from simulations.scenario import Admission, Autoscaler, Overflow, Scenario, Service
from simulations.services import named_service
from simulations.trace import MAX_REQUEST_TOKENS, Trace
from simulations.traffic import Description, LogNormal, SeasonalRate, generate

CHUNK_TOKENS_PER_S = 1580
MAX_CHUNKS = 4
DAY_S = 86_400.0

INPUT = LogNormal.from_mean(1200, 1.0, max_tokens=16_000)
OUTPUT = LogNormal.from_mean(150, 0.9, max_tokens=2000)


def week() -> Trace:
    """A million requests: quiet nights, weekends at 60 %, 64 % of four chunks at the peak of a weekday."""
    rate = SeasonalRate(1.867, daily_amplitude=0.6, peak_hour=15.0, weekend_factor=0.6)
    return generate(Description(7 * DAY_S, rate, INPUT, OUTPUT))


def steady(n: int) -> Trace:
    """About n requests at half of four chunks' rating."""
    per_s = 0.5 * MAX_CHUNKS * CHUNK_TOKENS_PER_S / (1200 + 150)
    return generate(Description(n / per_s, SeasonalRate(per_s), INPUT, OUTPUT))


def endpoint(trace: Trace, *, min_chunks: int = 1, kv_limit: bool = True) -> Scenario:
    """A 70B model on up to four chunks, every policy at its default: clients retry, KV memory is bounded."""
    service = rate(named_service("llama-3-1-70b-fp8-h100-tp4-vllm"), CHUNK_TOKENS_PER_S)
    if not kv_limit:
        service = replace(service, kv_tokens=None)
    return settle(Scenario(service, TokenChunks(CHUNK_TOKENS_PER_S, min_chunks, MAX_CHUNKS)), trace)


# --- a queue --------------------------------------------------------------------------------------

N_SERVERS = 4
TOKENS_PER_S = 1_000_000


def customers(n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Arrival and service times of M/M/4 at 80 %, in seconds."""
    rng = np.random.default_rng(0)
    service_s = np.clip(np.rint(rng.exponential(0.8 * N_SERVERS, n) * TOKENS_PER_S), 1, 1 << 23)
    return np.cumsum(rng.exponential(1.0, n)), service_s / TOKENS_PER_S


def queue(
    arrival_s: npt.NDArray[np.float64], service_s: npt.NDArray[np.float64]
) -> tuple[Trace, Scenario]:
    """The same queue as traffic and an endpoint: one slot per chunk, and prompts that take the service time."""
    tokens = np.rint(service_s * TOKENS_PER_S).astype(np.int32)
    trace = Trace.build(arrival_s, tokens, np.ones(len(tokens), np.int32))
    service = Service(
        1e-11, prefill_s=1 / TOKENS_PER_S, token_budget=MAX_REQUEST_TOKENS, max_sequences=1
    )
    return trace, Scenario(
        service,
        TokenChunks(1, N_SERVERS, N_SERVERS),
        Autoscaler(target=1.0),
        Admission(queue_limit="none"),
        overflow=Overflow("lose"),
        start_chunks=N_SERVERS,
    )
