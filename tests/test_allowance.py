"""Runs that are only judged: stopping where nothing can be saved changes no verdict."""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from planner.objective import Objective
from simulations.capacity import TokenChunks
from simulations.engine import count, simulate
from simulations.errors import ScenarioError
from simulations.outcome import METRICS, Limit, summarise
from simulations.scenario import Admission, Autoscaler, Scenario, Service
from simulations.trace import Trace
from tests.strategies import GRID_S, on_grid, pressed, scenarios, traces


@st.composite
def promises(draw: st.DrawFn) -> Objective:
    """Up to three limits, tight and loose, and refusals from none to all."""
    limits = {
        (metric, percentile): Limit(metric, percentile, seconds)
        for metric, percentile, seconds in draw(
            st.lists(
                st.tuples(
                    st.sampled_from(METRICS),
                    st.sampled_from([1, 50, 67, 90, 95, 99, 100]) | st.integers(1, 100),
                    on_grid(1, 60) | st.sampled_from([GRID_S, 1.0]),
                ),
                max_size=3,
            )
        )
    }
    refused = draw(st.sampled_from([0.0, 0.001, 0.05, 0.1, 1 / 3, 0.5, 1.0]))
    return Objective(tuple(limits.values()), refused)


@settings(max_examples=300)
@given(st.tuples(traces(), scenarios()) | pressed(), promises())
def test_stopping_early_changes_no_verdict(drawn, objective):
    trace, scenario = drawn
    outcome = summarise(simulate(trace, scenario), objective.limits)
    verdict, allowed = objective.judge(outcome), objective.allowance(trace)
    event(f"keeps the promise: {verdict.holds}")
    assert count(trace, scenario, allowed).stopped == (not verdict.holds)
    counted = count(trace, scenario, allowed.unlimited)
    assert not counted.stopped
    assert objective.judge_count(counted, trace, allowed) == verdict


def test_a_hopeless_run_stops():
    """Twelve answers of two months each would pass the end of time; the first of them breaks the promise."""
    trace = Trace.build([0.0] * 12, [10] * 12, [10] * 12)
    scenario = Scenario(
        Service(5e5, max_sequences=1),
        TokenChunks(10, 1, 1),
        Autoscaler(target=1.0),
        Admission(queue_limit="none"),
        start_chunks=1,
    )
    with pytest.raises(ScenarioError, match=r"1\.46 years"):
        simulate(trace, scenario)
    with pytest.raises(ScenarioError, match=r"1\.46 years"):
        count(trace, scenario, Objective(()).allowance(trace))
    assert count(trace, scenario, Objective.default().allowance(trace)).stopped
