"""The kernel equals the reference where jumps are hardest: memory that runs full, nights, closed doors.

The drawings of test_equality.py come here now and then; these come every other time, which is
counted.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from strategies import pressed, sleepy, turned_away
from test_equality import assert_equal

from simulations import kernel, reference
from simulations.run import REFUSED_WINDOW, Trail
from simulations.scenario import Scenario
from simulations.trace import Trace

Case = tuple[Trace, Scenario]

# Hypothesis repeats itself: over seeds the share of one strategy moves between 0.44 and 0.88.
MANY = 0.2


def both(case: Case) -> Trail:
    """Return the run of either engine, once they are seen to be equal."""
    trace, scenario = case
    rules = scenario.rules(trace)
    expected = reference.simulate(trace, rules)
    assert_equal(expected, kernel.simulate(trace, rules))
    return expected


def share(cases: st.SearchStrategy[Case], reaches: Callable[[Trail], bool]) -> float:
    """Return the share of 100 cases, the same ones each time, whose run is of a kind."""
    seen = []

    @settings(max_examples=100, derandomize=True, database=None)
    @given(cases)
    def look(case: Case) -> None:
        trace, scenario = case
        seen.append(reaches(kernel.simulate(trace, scenario.rules(trace))))

    look()
    return sum(seen) / len(seen)


def preempts(trail: Trail) -> bool:
    return bool(trail.requests["preemptions"].any())


def wakes_up(trail: Trail) -> bool:
    """A chunk was started after the last one had gone."""
    gone, started = trail.launches["released_ticks"], trail.launches["started_ticks"]
    return any((gone[:i] <= started[i]).all() for i in range(1, len(started)))


def finds_the_window_full(trail: Trail) -> bool:
    """A request came back and was served, or gave up at the window."""
    rows = trail.requests
    return bool((rows["attempts"] > 1).any() or (rows["status"] == REFUSED_WINDOW).any())


# --- memory runs full ----------------------------------------------------------------------------


def test_many_drawings_under_pressure_preempt():
    assert share(pressed(), preempts) > MANY


@settings(max_examples=300)
@given(pressed())
def test_kernel_equals_reference_under_memory_pressure(case):
    trail = both(case)
    event(f"preempts: {preempts(trail)}")


@pytest.mark.slow
@settings(max_examples=10_000)
@given(pressed())
def test_kernel_equals_reference_under_memory_pressure_at_length(case):
    both(case)


# --- scale to zero -------------------------------------------------------------------------------


def test_many_sleepy_endpoints_wake_up():
    assert share(sleepy(), wakes_up) > MANY


@settings(max_examples=150)
@given(sleepy())
def test_kernel_equals_reference_when_the_last_chunk_goes(case):
    trail = both(case)
    event(f"wakes up: {wakes_up(trail)}")


@pytest.mark.slow
@settings(max_examples=6000)
@given(sleepy())
def test_kernel_equals_reference_when_the_last_chunk_goes_at_length(case):
    both(case)


# --- retries at the token window -----------------------------------------------------------------


def test_many_windows_are_full_for_some():
    assert share(turned_away(), finds_the_window_full) > MANY


@settings(max_examples=150)
@given(turned_away())
def test_kernel_equals_reference_when_clients_come_back_to_the_window(case):
    trail = both(case)
    event(f"finds the window full: {finds_the_window_full(trail)}")


@pytest.mark.slow
@settings(max_examples=6000)
@given(turned_away())
def test_kernel_equals_reference_when_clients_come_back_to_the_window_at_length(case):
    both(case)
