"""What the tests of plan and apply share: recommendations made by hand, a workspace, and a clock that never waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workspace import TOKEN, Clock, Running

from planner import files
from planner.artifacts import capacity_data
from planner.endpoint import receipts
from planner.endpoint.client import Workspace
from planner.endpoint.planning import plan_live
from planner.endpoint.receipts import Journal
from planner.endpoint.rollout import carry_out
from planner.endpoint.terms import Terms
from planner.endpoint.wish import wish_of
from simulations.capacity import Capacity, ModelUnits, TokenChunks

TOKENS_MODEL = "ml.own.tokens"
UNITS_MODEL = "ml.own.units"
OTHER_MODEL = "ml.own.other"
CHUNK, STEP = 980, 50
SALE = (f"{TOKENS_MODEL}={CHUNK}", f"{UNITS_MODEL}={STEP}units", f"{OTHER_MODEL}=500")


class Waiting:
    """The workspace's clock, for the client and the rollout: sleeping lets its time pass at once."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def time(self) -> float:
        return self.clock.now_s

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)


def recommendation(
    capacity: Capacity,
    *,
    endpoint: str | None = "chat",
    version: str | None = "1",
    feasible: bool = True,
    demand: float = 100.0,
    usd_per_chunk_hour: float | None = 7.0,
) -> dict[str, Any]:
    """Return the keys of recommendation.json that plans read."""
    model = TOKENS_MODEL if isinstance(capacity, TokenChunks) else UNITS_MODEL
    figures = {"value": 1.0, "low": None, "high": None, "p05": None, "p95": None}
    data = {
        "schema_version": 1,
        "created_at": "2026-11-22T00:00:00+00:00",
        "command": "ptplan recommend log.csv",
        "inputs": {"model": model, "model_version": version},
        "objective": {"definition": "a promise"},
        "price": {"usd_per_chunk_hour": usd_per_chunk_hour, "source": "the test"},
        "feasible": feasible,
        "endpoint": endpoint,
        "capacity": capacity_data(capacity, "the test"),
        "outcome": {
            "attainment": {"all": figures},
            "usd_per_hour": figures,
            "usd_per_month": figures,
        },
        "timeline": {"offered_tokens_per_s": [demand / 2, demand]},
        "confidence": "one future, no interval",
    }
    return {**data, "sha256": files.checksum(data)}


def chunks(low: int, high: int) -> TokenChunks:
    return TokenChunks(CHUNK, low, high)


def units(steps: int) -> ModelUnits:
    return ModelUnits(STEP, STEP * steps, 3250)


def served(name: str, model: str = TOKENS_MODEL, **fields: Any) -> dict[str, Any]:
    """Return an entity as a request has it; one chunk, or one step, unless told otherwise."""
    size = 500 if model == OTHER_MODEL else CHUNK
    capacity: dict[str, Any] = (
        {"provisioned_model_units": STEP, "burst_scaling_enabled": False}
        if model == UNITS_MODEL
        else {"min_provisioned_throughput": size, "max_provisioned_throughput": size}
    )
    return {"name": name, "entity_name": model, "entity_version": "1", **capacity, **fields}


def split(*names: str) -> dict[str, Any]:
    """Return a traffic split: all but a little of it to the first."""
    shares = [100 - 10 * (len(names) - 1)] + [10] * (len(names) - 1)
    return {
        "routes": [
            {"served_entity_name": name, "served_model_name": name, "traffic_percentage": share}
            for name, share in zip(names, shares, strict=True)
        ]
    }


def connect(running: Running, clock: Any = None) -> Workspace:
    return Workspace(host=running.url, token=TOKEN, clock=clock or Waiting(running.clock))


def terms(workspace: Workspace, clock: Any, **given: Any) -> Terms:
    return Terms(host=workspace.host, now=clock.time(), version="0.0.0", **given)


def plan_of(
    workspace: Workspace,
    clock: Any,
    capacity: Capacity,
    *,
    wish: Mapping[str, Any] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Return the plan for a capacity, made over the wire."""
    data = recommendation(capacity, **(wish or {}))
    return plan_live(wish_of(data), workspace, terms(workspace, clock, **given))


def apply(
    workspace: Workspace, clock: Any, plan: dict[str, Any], path: Path, **given: Any
) -> dict[str, Any]:
    """Carry a plan out from its beginning, and return the receipt."""
    journal = Journal(path, receipts.begun(plan, version="0.0.0"), clock, verb="apply")
    return carry_out(workspace, journal, clock=clock, **given)


def resume(workspace: Workspace, clock: Any, path: Path, **given: Any) -> dict[str, Any]:
    """Go on from the receipt on disk."""
    journal = Journal(path, receipts.read(path), clock, verb="apply")
    return carry_out(workspace, journal, clock=clock, **given)
