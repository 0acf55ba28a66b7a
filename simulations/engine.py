"""One run: traffic and an endpoint in, what happened out, by either engine."""

from __future__ import annotations

from typing import Literal

from simulations.allowance import Allowance, Count
from simulations.errors import ScenarioError
from simulations.rating import settle
from simulations.run import Run
from simulations.scenario import Scenario
from simulations.trace import Trace

ENDLESS = "the run passes 1.46 years, the end of representable time: the endpoint cannot keep up"


def simulate(
    trace: Trace, scenario: Scenario, *, engine: Literal["kernel", "reference"] = "kernel"
) -> Run:
    """Return the run of a trace through an endpoint.

    Args:
        trace: the traffic.
        scenario: the endpoint; what it leaves open is derived first (`rating.settle`).
        engine: `kernel` is compiled, `reference` steps every iteration; they give the same.

    Raises:
        ScenarioError: the scenario cannot be simulated, or passes 1.46 years.

    >>> from simulations.capacity import TokenChunks
    >>> from simulations.scenario import Service
    >>> trace = Trace.build([0.0, 1.0], [100, 200], [10, 20])
    >>> simulate(trace, Scenario(Service(0.01), TokenChunks(980, 1, 2)))
    Run(1..2 chunks (980..1,960 tokens/s): 2 requests, 2 completed, 0 refused)
    """
    settled = settle(scenario, trace)
    rules = settled.rules(trace)
    if engine == "kernel":
        from simulations import kernel

        trail = kernel.simulate(trace, rules)
    elif engine == "reference":
        from simulations import reference

        trail = reference.simulate(trace, rules)
    else:
        raise ScenarioError(f"engine is {engine!r}; must be kernel or reference")
    if not trail.complete:
        raise ScenarioError(ENDLESS)
    return Run(trace, settled, rules, trail, engine)


def count(trace: Trace, scenario: Scenario, allowed: Allowance) -> Count:
    """Return how many requests of a trace are late and refused, at less cost than a run that is kept.

    Args:
        trace: the traffic.
        scenario: the endpoint.
        allowed: what the promise allows on this trace; where there is more, the run stops.

    Raises:
        ScenarioError: the scenario cannot be simulated, or passes 1.46 years without being stopped.

    >>> from simulations.allowance import allowance
    >>> from simulations.capacity import TokenChunks
    >>> from simulations.outcome import Limit
    >>> from simulations.scenario import Service
    >>> trace = Trace.build([0.0, 1.0], [100, 200], [10, 20])
    >>> scenario = Scenario(Service(0.01), TokenChunks(980, 1, 2))
    >>> count(trace, scenario, allowance(trace, [Limit("e2e", 95, 0.15)]).unlimited)
    Count(late=(1,), refused=0, stopped=False)
    """
    from simulations import kernel

    settled = settle(scenario, trace)
    counted = kernel.count(trace, settled.rules(trace), allowed)
    if counted is None:
        raise ScenarioError(ENDLESS)
    return counted
