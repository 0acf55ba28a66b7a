"""The kernel equals the reference, on everything that can be drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from strategies import scenarios, traces

from simulations import kernel, reference
from simulations.run import COMPLETED, SPILLED, Trail


def assert_equal(expected: Trail, computed: Trail) -> None:
    """Every array, every launch."""
    for name in expected.requests.dtype.names:
        np.testing.assert_array_equal(
            computed.requests[name], expected.requests[name], err_msg=name
        )
    np.testing.assert_array_equal(computed.launches, expected.launches)
    assert computed.complete == expected.complete


def check(trace, scenario) -> None:
    rules = scenario.rules(trace)
    expected = reference.simulate(trace, rules)
    assert_equal(expected, kernel.simulate(trace, rules))
    status = expected.requests["status"]
    event(f"preempts: {bool(expected.requests['preemptions'].any())}")
    event(f"refuses: {bool((status != COMPLETED).any())}")
    event(f"spills: {bool((status == SPILLED).any())}")
    event(f"scales up: {len(expected.launches) > rules.start_chunks}")


@settings(max_examples=800)
@given(traces(), scenarios())
def test_kernel_equals_reference(trace, scenario):
    """800 endpoints with every policy on and off, ties everywhere."""
    check(trace, scenario)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
@settings(max_examples=1000)
@given(data=st.data())
def test_kernel_equals_reference_at_length(part, data):
    """Ten times as many, three times as long; in parts, so that they share the cores."""
    check(data.draw(traces(max_requests=120)), data.draw(scenarios()))
