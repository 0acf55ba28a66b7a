"""DECIDE AND ACT: the cheapest range that keeps a promise, from a trace, an offer and the promise.

In a notebook:

    from planner import Limit, Objective, load_trace, make_offer, recommend
    recommend(load_trace("log.csv"), make_offer("system.ai.llama_v3_3_70b_instruct"))

From there to the workspace, or to one to rehearse in: `plan`, `apply`, `verify`, `rollback`, `emit` (see planner/verbs.py).
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Admission": "simulations.scenario",
    "Autoscaler": "simulations.scenario",
    "Client": "simulations.scenario",
    "Limit": "simulations.outcome",
    "ModelUnits": "simulations.capacity",
    "Objective": "planner.objective",
    "Offer": "planner.offer",
    "Outcome": "simulations.outcome",
    "Overflow": "simulations.scenario",
    "Price": "simulations.cost",
    "Recommendation": "planner.recommendation",
    "Run": "simulations.run",
    "Scenario": "simulations.scenario",
    "Service": "simulations.scenario",
    "Shape": "simulations.trace",
    "Tariff": "planner.offer",
    "TokenChunks": "simulations.capacity",
    "Trace": "simulations.trace",
    "Workspace": "planner.endpoint.client",
    "apply": "planner.verbs",
    "backtest": "planner.backtesting",
    "chunk": "planner.verbs",
    "emit": "planner.verbs",
    "load_trace": "simulations.ingest",
    "make_offer": "planner.offer",
    "plan": "planner.verbs",
    "recommend": "planner.recommendation",
    "rehearse": "planner.endpoint.sandbox.rehearsing",
    "rollback": "planner.verbs",
    "simulate": "simulations.engine",
    "summarise": "simulations.outcome",
    "verify": "planner.verbs",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, so that the command line answers at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
