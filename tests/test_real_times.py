"""The kernel equals the reference with the times of real servers, which lie on no grid.

Coefficients of nine and ten digits, prompts of thousands of tokens and jumps of hundreds of iterations, where a
float root lands beside the boundary; each case shows what it is there for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from test_equality import assert_equal

from simulations import kernel, reference
from simulations.capacity import TokenChunks
from simulations.rating import rate, settle
from simulations.run import REFUSED_QUEUE, SPILLED, Trail
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario
from simulations.services import named_service
from simulations.traffic import Description, LogNormal, SeasonalRate, generate

CHUNK = 9500
SERVICE = rate(named_service("llama-3-1-70b-fp8-h100-tp4-vllm"), CHUNK)
NARROW = replace(named_service("llama-3-1-8b-bf16-h100-tp1-trtllm"), kv_tokens=18_000)
BRISK = Autoscaler(start_delay_s=20.0, start_spread_s=7.0, down_window_s=30.0)

CASES: dict[str, tuple[float, Scenario, Callable[[Trail], bool]]] = {
    "clients come back": (
        25.0,
        Scenario(
            SERVICE,
            TokenChunks(CHUNK, 1, 2),
            BRISK,
            Admission(queue_limit=5),
            Client(retries=3, deadline_s=4.0),
        ),
        lambda trail: (
            (trail.requests["attempts"] > 2).any()
            and (trail.requests["status"] == REFUSED_QUEUE).any()
        ),
    ),
    "memory runs full": (
        15.0,
        Scenario(NARROW, TokenChunks(19_000, 1, 3), BRISK),
        lambda trail: (trail.requests["preemptions"] > 0).sum() > 10,
    ),
    "a token window": (
        15.0,
        Scenario(
            SERVICE,
            TokenChunks(CHUNK, 1, 4),
            BRISK,
            Admission("chunk", window_s=10.0, retry_after_s=3.0),
        ),
        lambda trail: (trail.requests["attempts"] > 1).any(),
    ),
    "nights at zero": (
        0.05,
        Scenario(
            SERVICE,
            TokenChunks(CHUNK, 0, 2),
            replace(BRISK, idle_to_zero_s=10.0),
            Admission(queue_limit=1),
            overflow=Overflow("spill"),
        ),
        lambda trail: len(trail.launches) > 20 and (trail.requests["status"] == SPILLED).any(),
    ),
    "prompts in many parts, with attention": (
        20.0,
        Scenario(
            replace(SERVICE, attention_s=3e-10, token_budget=512), TokenChunks(CHUNK, 2, 4), BRISK
        ),
        lambda trail: len(trail.launches) > 2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_kernel_equals_reference_with_real_times(case):
    """About a thousand requests each."""
    per_s, scenario, shows = CASES[case]
    trace = generate(
        Description(
            duration_s=1000 / per_s,
            rate=SeasonalRate(per_s),
            input=LogNormal.from_mean(1200, 1.0, max_tokens=16_000),
            output=LogNormal.from_mean(150, 0.9, min_tokens=0, max_tokens=2000),
            cached_fraction=0.3,
        )
    )
    rules = settle(scenario, trace).rules(trace)
    expected = reference.simulate(trace, rules)
    assert_equal(expected, kernel.simulate(trace, rules))
    assert shows(expected)
