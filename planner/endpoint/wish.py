"""What a recommendation asks for: which endpoint, which model, which capacity, on what evidence.

Plain data of recommendation.json in, one frozen record out; what the file leaves open is named, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.endpoint.request import Request, create_request, require_endpoint_name
from simulations.capacity import Capacity, ModelUnits, TokenChunks
from simulations.errors import InputError

HOURS_PER_MONTH = 730
"""Convention; see docs/design.md."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A capacity that an endpoint ought to have.

    Args:
        endpoint: its name.
        model: in Unity Catalog.
        model_version: None if the recommendation was made for none in particular.
        capacity: what to provision.
        feasible: whether it keeps the promise, in simulation.
        demand_tokens_per_s: the busiest stretch of the measured traffic; None if not known.
        usd_per_chunk_hour: price of a chunk or step; None if not known.
        price_source: where it comes from, or why it is not known.
        predicted: figures carried from the recommendation into the plan.
        source: what it comes from, for the record.
    """

    endpoint: str
    model: str
    model_version: str | None
    capacity: Capacity
    feasible: bool
    demand_tokens_per_s: float | None
    usd_per_chunk_hour: float | None
    price_source: str
    predicted: Mapping[str, Any]
    source: Mapping[str, Any]

    @property
    def in_units(self) -> bool:
        """Whether it is sold in model units."""
        return isinstance(self.capacity, ModelUnits)


def wish_of(
    data: Mapping[str, Any], *, endpoint: str | None = None, model_version: str | None = None
) -> Wish:
    """Return what a recommendation asks for.

    Args:
        data: of recommendation.json.
        endpoint: overrides the name in it.
        model_version: overrides the version in it.

    Raises:
        InputError: there is no name, or it is no recommendation.
    """
    # Given and empty is a mistake, such as a variable of the shell that is not set.
    name = data.get("endpoint") if endpoint is None else endpoint
    if not name:
        raise InputError(
            "the recommendation names no endpoint; give --endpoint NAME, or recommend with it"
        )
    try:
        inputs, figures = data["inputs"], data["outcome"]
        version = inputs.get("model_version") if model_version is None else model_version
        return Wish(
            endpoint=str(name),
            model=inputs["model"],
            model_version=None if version is None else str(version),
            capacity=capacity_of(data["capacity"]),
            feasible=bool(data.get("feasible", True)),
            demand_tokens_per_s=max(data["timeline"]["offered_tokens_per_s"], default=None),
            usd_per_chunk_hour=(data.get("price") or {}).get("usd_per_chunk_hour"),
            price_source=(data.get("price") or {}).get("source") or "",
            predicted=_predicted(data, figures),
            source={
                "kind": "recommendation",
                "sha256": data.get("sha256"),
                "created_at": data.get("created_at"),
                "command": data.get("command"),
            },
        )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise InputError(
            f"the recommendation has no usable {error}; make it anew with this ptplan"
        ) from error


def capacity_of(data: Mapping[str, Any]) -> Capacity:
    """Return the capacity of a recommendation.

    >>> capacity_of({"kind": "token_chunks", "chunk_tokens_per_s": 980, "min_chunks": 2, "max_chunks": 3}).max_tokens_per_s
    2940
    """
    if data["kind"] == "token_chunks":
        return TokenChunks(data["chunk_tokens_per_s"], data["min_chunks"], data["max_chunks"])
    return ModelUnits(
        data["unit_step"], data["provisioned_model_units"], data["tokens_per_s_per_step"]
    )


def create_wish(wish: Wish, *, burst: bool) -> Request:
    """Return the request that creates an endpoint of this wish.

    Raises:
        InputError: the version is missing, or a name is not allowed.
    """
    require_endpoint_name(wish.endpoint)
    if wish.model_version is None:
        raise InputError(
            f"the recommendation was made for no version of {wish.model}; give --model-version N"
        )
    capacity = wish.capacity
    if isinstance(capacity, ModelUnits):
        capacity = ModelUnits(
            capacity.step_units, capacity.units, capacity.tokens_per_s_per_step, burst=burst
        )
    return create_request(
        capacity,
        endpoint=wish.endpoint,
        entity_name=wish.model,
        entity_version=wish.model_version,
    )


def _predicted(data: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the few figures that a reviewer asks for, by their key in recommendation.json."""

    def value(key: str) -> Any:
        return (figures.get(key) or {}).get("value")

    attainment = {key: part.get("value") for key, part in (figures.get("attainment") or {}).items()}
    return {
        "promise": data["objective"]["definition"],
        "feasible": bool(data.get("feasible", True)),
        "attainment": attainment,
        **{
            key: value(key)
            for key in (
                "refused_fraction",
                "ttft_p95_s",
                "e2e_p95_s",
                "utilisation",
                "mean_chunks",
                "usd_per_hour",
                "usd_per_month",
            )
        },
        "confidence": data.get("confidence"),
    }
