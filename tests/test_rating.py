"""A service fitted to its chunk, and what a scenario leaves open: each found again by other means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulations.capacity import TokenChunks
from simulations.errors import ScenarioError
from simulations.rating import rate, saturated_tokens_per_s, settle, unloaded_latency
from simulations.scenario import Autoscaler, Scenario, Service
from simulations.services import named_service
from simulations.trace import REFERENCE_SHAPE, Shape, Trace

SMALL = named_service("llama-3-1-8b-bf16-h100-tp1-trtllm")
LARGE = named_service("llama-3-1-70b-fp8-h100-tp4-vllm")

models = pytest.mark.parametrize("service", [SMALL, LARGE], ids=["8B", "70B"])
chunk_sizes = pytest.mark.parametrize("tokens_per_s", [970, 980, 1580, 9500, 19_000])

# --- saturated throughput --------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 3, 16])
@pytest.mark.parametrize("output_tokens", [1, 2, 50])
def test_saturated_throughput_of_full_iterations(slots, output_tokens):
    """Each slot turns over a request in as many iterations of 0.1 s as it has output tokens."""
    service = Service(0.1, token_budget=1000, max_sequences=slots)
    shape = Shape(30, output_tokens)
    expected = slots * shape.total_tokens / (0.1 * output_tokens)
    assert saturated_tokens_per_s(service, shape) == pytest.approx(expected, rel=0.005)


def test_saturated_throughput_of_one_slot_is_the_inverse_of_its_time():
    """Prompts of 30 tokens in 3 iterations, then 4 decode iterations with 30 to 33 tokens of context."""
    service = Service(0.1, 0.01, 0.001, 0.002, token_budget=10, max_sequences=1)
    seconds = 3 * 0.1 + 30 * 0.002 + 4 * (0.1 + 0.01) + 0.001 * (30 + 31 + 32 + 33)
    assert saturated_tokens_per_s(service, Shape(30, 5)) == pytest.approx(35 / seconds, rel=1e-6)


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ScenarioError, match=r"2048:256 tokens does not fit .* room for 2000"):
        saturated_tokens_per_s(Service(0.1, kv_tokens=2000))


# --- rating ----------------------------------------------------------------------------------------


@chunk_sizes
@models
@pytest.mark.parametrize("share", ["slots", "time"])
def test_a_rated_service_reaches_its_chunk(service, tokens_per_s, share):
    """Within 0.5 %, at the reference shape, by either way of sharing a GPU."""
    rated = rate(service, tokens_per_s, share=share)
    assert saturated_tokens_per_s(rated) == pytest.approx(tokens_per_s, rel=0.005)


@chunk_sizes
@models
def test_slots_are_as_few_as_reach_the_chunk(service, tokens_per_s):
    """One less is too slow; times stay what they were but for a residual that only slows down."""
    rated = rate(service, tokens_per_s)
    slots = rated.max_sequences
    enough = saturated_tokens_per_s(replace(service, max_sequences=slots))
    factor = rated.iteration_s / service.iteration_s
    if slots < service.max_sequences:
        assert factor >= 1
    if factor >= 1:
        assert enough >= tokens_per_s
        assert slots == 1 or tokens_per_s > saturated_tokens_per_s(
            replace(service, max_sequences=slots - 1)
        )
    assert factor == pytest.approx(enough / tokens_per_s)
    for name in ("context_s", "prefill_s"):
        assert getattr(rated, name) == pytest.approx(factor * getattr(service, name))


def test_a_chunk_beyond_all_slots_speeds_time_up():
    service = Service(0.1, token_budget=8192, max_sequences=2)
    rated = rate(service, 1_000_000)
    assert rated.max_sequences == 2
    assert rated.iteration_s < service.iteration_s


@models
def test_sharing_time_keeps_every_slot(service):
    assert rate(service, 980, share="time").max_sequences == service.max_sequences


def test_another_shape_is_rated_at_that_shape():
    shape = Shape(500, 100)
    rated = rate(SMALL, 1580, shape=shape)
    assert saturated_tokens_per_s(rated, shape) == pytest.approx(1580, rel=0.005)


def test_a_service_measured_per_chunk_is_left_alone():
    service = replace(SMALL, per_chunk=True)
    assert rate(service, 980) is service


def test_an_unknown_way_of_sharing_is_refused():
    with pytest.raises(ScenarioError, match="slots or time"):
        rate(SMALL, 980, share="both")


# --- one request on an idle chunk ------------------------------------------------------------------


def test_unloaded_latency_is_the_closed_form():
    """48 prompt tokens in two iterations; then 3 tokens, each with one more of context."""
    service = Service(0.1, 0.01, 0.001, 0.002, token_budget=30, max_sequences=4)
    latency = unloaded_latency(service, 52, Shape(48, 4))
    assert latency.ttft_s == pytest.approx(2 * 0.1 + 48 * 0.002)
    assert latency.tpot_s == pytest.approx(0.11 + 0.001 * 49)
    assert latency.e2e_s == pytest.approx(latency.ttft_s + 3 * latency.tpot_s)
    assert latency.documented_e2e_s == 1.0


@pytest.mark.parametrize(
    ("e2e_s", "warns"), [(0.34, False), (2.9, False), (0.3, True), (3.1, True)]
)
def test_a_service_three_times_off_the_documented_time_is_warned_about(e2e_s, warns):
    """The documentation serves 2304 tokens in about 1 s on a chunk of 2304 tokens/s."""
    service = Service(e2e_s / REFERENCE_SHAPE.output_tokens)
    warning = unloaded_latency(service, 2304).warning
    assert (warning is not None) == warns
    assert warning is None or f"{e2e_s:.2f} s" in warning


# --- what depends on the traffic -------------------------------------------------------------------

SERVICE = rate(LARGE, 1580)
"""70B on a chunk of 1580 tokens/s."""


def steady(requests_per_s: float, output_tokens: int = 200) -> Trace:
    """Ten minutes of requests with 1000 tokens, evenly spaced."""
    n = round(requests_per_s * 600)
    return Trace.build(
        [i / requests_per_s for i in range(n)], [1000] * n, [output_tokens] * n, span_s=600
    )


def left_open(service: Service = SERVICE, low: int = 1, high: int = 8, **scaler) -> Scenario:
    return Scenario(service, TokenChunks(1580, low, high), Autoscaler(**scaler))


@pytest.mark.parametrize("utilisation", [0.5, 0.8, 1.0])
def test_target_is_the_least_in_flight_that_reaches_the_utilisation(utilisation):
    """At the trace's mean shape; found by trying one number after the other."""
    service = replace(SMALL, max_sequences=24)
    settled = settle(left_open(service, target_utilisation=utilisation), steady(1.0))
    shape = Shape(1000, 200)
    reached = [
        saturated_tokens_per_s(replace(service, max_sequences=n), shape) for n in range(1, 25)
    ]
    enough = [n for n, rate in enumerate(reached, start=1) if rate >= utilisation * reached[-1]]
    assert settled.autoscaler.target == enough[0]


def test_target_in_offered_tokens_is_a_share_of_the_throughput():
    settled = settle(left_open(metric="offered_tokens", target_utilisation=0.5), steady(1.0))
    full = saturated_tokens_per_s(SERVICE, Shape(1000, 200))
    assert settled.autoscaler.target == pytest.approx(0.5 * full)


@pytest.mark.parametrize(
    ("requests_per_s", "low", "high", "chunks"),
    [
        (0.7, 1, 8, 1),
        (1.0, 1, 8, 2),
        (3.0, 1, 8, 4),
        (3.0, 1, 2, 2),
        (3.0, 5, 8, 5),
        (0.1, 0, 8, 1),
    ],
)
def test_start_holds_the_mean_load_of_the_first_minutes(requests_per_s, low, high, chunks):
    """A chunk that serves a request a second carries 0.8 of it; kept within the range."""
    service = Service(1.0, token_budget=8192, max_sequences=1)
    trace = steady(requests_per_s, output_tokens=1)
    assert settle(left_open(service, low, high), trace).start_chunks == chunks


def test_start_looks_at_five_minutes_and_no_further():
    """Nothing but the first request comes within them, and 20 a second after."""
    quiet = Trace.build(
        [0.0, *(300 + i / 20 for i in range(6000))], [1000] * 6001, [200] * 6001, span_s=600
    )
    assert settle(left_open(), quiet).start_chunks == 1


def test_what_was_given_is_kept():
    scenario = replace(left_open(target=7.5), start_chunks=3)
    assert settle(scenario, steady(1.0)) is scenario
    assert settle(left_open(target=7.5), steady(1.0)).autoscaler.target == 7.5
    assert settle(replace(left_open(), start_chunks=3), steady(1.0)).start_chunks == 3


def test_a_trace_of_no_length_starts_with_the_least():
    assert settle(left_open(low=2), Trace.build([0.0], [1000], [200])).start_chunks == 2
