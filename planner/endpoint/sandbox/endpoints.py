"""One endpoint: what was asked when, what has become of it by now, and how that is told. Changes nothing.

    create  -> IN_PROGRESS, NOT_READY  --after create_s-->  NOT_UPDATING, READY, config_version 1
    update  -> IN_PROGRESS, the old config serves  --after update_s-->  NOT_UPDATING, config_version + 1
            -> or UPDATE_FAILED / UPDATE_CANCELED, the old config and its version stay

*Source* of states and texts: databricks-sdk 0.156.0 and docs.databricks.com, read 2026-11-22; what they do not say
is *assumed*, and listed in docs/sandbox.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from planner.endpoint.sandbox.configurations import kind_of
from planner.endpoint.sandbox.offerings import Offerings

Json = dict[str, Any]
Ending = Literal["succeed", "capacity", "hang"]
ENDINGS: tuple[Ending, ...] = ("succeed", "capacity", "hang")
Status = Literal["IN_PROGRESS", "UPDATE_FAILED", "UPDATE_CANCELED"]

CREATOR = "sandbox@localhost"
NO_CAPACITY = "The deployment timed out: there is not enough GPU capacity. Contact your Databricks account team."
"""*Assumed* text. Source of the behaviour: docs.databricks.com, deploy provisioned throughput foundation model
APIs, limitations, 2026-06-18."""

_SUMMARY = ("name", "entity_name", "entity_version", "foundation_model", "external_model")
"""What a list tells of an entity. Source: databricks-sdk 0.156.0, ServedEntitySpec, read 2026-11-22."""


@dataclass(frozen=True, slots=True)
class Update:
    """What is being brought, or could not be.

    Args:
        config: what was asked.
        started_at_s: Unix time.
        done_at_s: when it ends; None for never.
        status: while it runs, and how it went where it did not succeed.
        message: why not.
        ends: what it comes to at `done_at_s`.
    """

    config: Json
    started_at_s: float
    done_at_s: float | None
    ends: Ending
    status: Status = "IN_PROGRESS"
    message: str = "Creating resources for served entity."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, as it was when it was last touched.

    Args:
        config: what serves, burst flags included; None until the first update succeeded.
        config_version: of `config`; 0 until then.
        update: the last one, unless it succeeded.
        details: the other fields of its creation: description, budget_policy_id, ai_gateway, unknown ones.
    """

    name: str
    id: str
    created_at_s: float
    updated_at_s: float
    config: Json | None = None
    config_version: int = 0
    update: Update | None = None
    tags: tuple[tuple[str, str], ...] = ()
    details: Json = field(default_factory=dict)

    @property
    def config_update(self) -> str:
        """NOT_UPDATING, or how the last update stands."""
        return self.update.status if self.update else "NOT_UPDATING"


def settled(endpoint: Endpoint, now_s: float) -> Endpoint:
    """Return the endpoint as it is at this time: an update that is due has ended."""
    update = endpoint.update
    if (
        update is None
        or update.status != "IN_PROGRESS"
        or update.done_at_s is None
        or now_s < update.done_at_s
    ):
        return endpoint
    if update.ends == "succeed":
        return replace(
            endpoint,
            config=update.config,
            config_version=endpoint.config_version + 1,
            updated_at_s=update.done_at_s,
            update=None,
        )
    failed = replace(update, status="UPDATE_FAILED", message=NO_CAPACITY)
    return replace(endpoint, update=failed, updated_at_s=update.done_at_s)


def endpoint_from(data: Mapping[str, Any]) -> Endpoint:
    """Return an endpoint from what `asdict` made of it."""
    update = Update(**data["update"]) if data["update"] else None
    tags = tuple((key, value) for key, value in data["tags"])
    return Endpoint(**{**data, "update": update, "tags": tags})


def detailed(endpoint: Endpoint, *, permission: str, offerings: Offerings) -> Json:
    """Return what GET tells of an endpoint, as JSON of the caller's own.

    Args:
        permission: of whoever asks.
        offerings: the models on sale, for the DBUs of a range.
    """
    told: Json = {
        **endpoint.details,
        "name": endpoint.name,
        "id": endpoint.id,
        "creator": CREATOR,
        "creation_timestamp": _ms(endpoint.created_at_s),
        "last_updated_timestamp": _ms(endpoint.updated_at_s),
        "state": _state(endpoint),
        "tags": told_tags(endpoint.tags),
        "permission_level": permission,
        "route_optimized": False,
    }
    if endpoint.config is not None:
        told["config"] = _told_config(
            offerings, endpoint.config, endpoint.config_version, "DEPLOYMENT_READY", "", endpoint
        )
    update = endpoint.update
    if update is not None:
        deployment = {
            "IN_PROGRESS": "DEPLOYMENT_CREATING",
            "UPDATE_FAILED": "DEPLOYMENT_FAILED",
            "UPDATE_CANCELED": "DEPLOYMENT_ABORTED",
        }[update.status]
        told["pending_config"] = {
            **_told_config(
                offerings,
                update.config,
                endpoint.config_version + 1,
                deployment,
                update.message,
                endpoint,
            ),
            "start_time": _ms(update.started_at_s),
        }
    return deepcopy(told)


def _told_config(
    offerings: Offerings,
    config: Json,
    version: int,
    deployment: str,
    message: str,
    endpoint: Endpoint,
) -> Json:
    return {
        **config,
        "served_entities": [
            {
                **_told_entity(entity, offerings),
                "creator": CREATOR,
                "creation_timestamp": _ms(endpoint.created_at_s),
                "state": {"deployment": deployment, "deployment_state_message": message},
            }
            for entity in config["served_entities"]
        ],
        "config_version": version,
    }


def _told_entity(entity: Json, offerings: Offerings) -> Json:
    """Return an entity without the burst flag, which the API does not tell, and with what it adds."""
    told = {key: value for key, value in entity.items() if key != "burst_scaling_enabled"}
    if kind_of(entity) != "provisioned":
        return told
    offering = offerings.find(entity["entity_name"], entity["entity_version"])
    told["foundation_model"] = {
        "name": entity["entity_name"],
        "display_name": entity["entity_name"].rpartition(".")[2],
    }
    if offering and offering.dbu_per_h is not None and offering.kind == "token_chunks":
        # Source: responses of 2024 and 2025 in public notebooks; databricks-sdk drops these fields.
        low = entity.get("min_provisioned_throughput", 0) / offering.size
        high = entity["max_provisioned_throughput"] / offering.size
        told["min_dbus"] = low * offering.dbu_per_h
        told["max_dbus"] = high * offering.dbu_per_h
    return told


def summary(endpoint: Endpoint, *, permission: str, offerings: Offerings) -> Json:
    """Return what a list tells of an endpoint: its entities are named, without their capacity."""
    told = detailed(endpoint, permission=permission, offerings=offerings)
    told.pop("pending_config", None)
    if "config" in told:
        entities = [
            {key: entity[key] for key in _SUMMARY if key in entity}
            for entity in told["config"]["served_entities"]
        ]
        told["config"] = {"served_entities": entities}
    return told


def _state(endpoint: Endpoint) -> Json:
    return {
        "ready": "NOT_READY" if endpoint.config is None else "READY",
        "config_update": endpoint.config_update,
        "suspend": "NOT_SUSPENDED",
    }


def told_tags(tags: tuple[tuple[str, str], ...]) -> list[Json]:
    """Return tags as JSON."""
    return [{"key": key, "value": value} for key, value in tags]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
