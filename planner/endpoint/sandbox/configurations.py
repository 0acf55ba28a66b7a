"""What an endpoint may serve: a configuration as it was asked for goes in, as it is kept comes out, or a refusal.

Chunks, steps, names, kinds and traffic are checked here; the form of the JSON was checked before, by `bodies`. Knows no
endpoints and no time.
"""

from __future__ import annotations

import re
from typing import Any

from planner.endpoint.sandbox import bodies
from planner.endpoint.sandbox.offerings import Offering, Offerings
from planner.endpoint.sandbox.refusals import Refusal

Json = dict[str, Any]

_RANGE = ("min_provisioned_throughput", "max_provisioned_throughput")


def checked(config: Json, before: Json | None, offerings: Offerings) -> Json:
    """Return a configuration with what the workspace fills in.

    Raises:
        Refusal: it cannot be served.
    """
    entities = config["served_entities"]
    if len(entities) > bodies.MAX_ENTITIES:
        raise Refusal(
            400,
            f"There are {len(entities)} served entities; at most {bodies.MAX_ENTITIES} are allowed",
        )
    entities = [_checked_entity(entity, offerings) for entity in entities]
    names = [entity["name"] for entity in entities]
    if len(set(names)) < len(names):
        raise Refusal(400, f"Served entity names must be unique; they are {', '.join(names)}")
    kinds = {kind_of(entity) for entity in entities}
    if len(kinds) > 1:
        raise Refusal(
            400, f"One endpoint cannot serve {' and '.join(sorted(kinds))} models together"
        )
    if before is not None:
        external = "external" in {kind_of(entity) for entity in before["served_entities"]}
        if external != ("external" in kinds):
            raise Refusal(400, "An external model cannot be added to or removed from an endpoint")
    traffic = _traffic(config.get("traffic_config"), names)
    return {**config, "served_entities": entities, "traffic_config": traffic}


def _checked_entity(given: Json, offerings: Offerings) -> Json:
    entity = dict(given)
    kind = kind_of(entity)
    if kind == "external":
        taken = [key for key in ("entity_name", "entity_version", *_RANGE) if key in entity]
        if taken:
            raise Refusal(400, f"{', '.join(taken)} cannot be given together with external_model")
        # Nothing here calls the model, so its keys are neither told nor kept.
        entity["external_model"] = _without_secrets(entity["external_model"])
        default_name = str(entity["external_model"].get("name", "external"))
    else:
        for key in ("entity_name", "entity_version"):
            if key not in entity:
                raise Refusal(400, f"Served entity has no {key}")
        version = str(entity["entity_version"])
        if not (version.isascii() and version.isdigit() and int(version[:9]) >= 1):
            raise Refusal(400, f"entity_version is {version!r}; must be a whole number >= 1")
        entity["entity_version"] = version
        default_name = f"{entity['entity_name'].rpartition('.')[2]}-{version}"
    if "name" not in entity:
        entity["name"] = re.sub(r"[^A-Za-z0-9_]+", "-", default_name)[-63:] or "entity"
    if kind == "provisioned":
        _require_on_sale(entity, offerings)
    return entity


def _require_on_sale(entity: Json, offerings: Offerings) -> None:
    name, version = entity["entity_name"], entity["entity_version"]
    offering = offerings.find(name, version)
    if offering is None:
        raise Refusal(
            400,
            f"Registered model {name} version {version} does not exist; "
            "the sandbox sells the models of ptplan's catalogue and those given by --sell",
        )
    in_tokens = [key for key in _RANGE if key in entity]
    if in_tokens and "provisioned_model_units" in entity:
        raise Refusal(
            400, f"provisioned_model_units cannot be given together with {', '.join(in_tokens)}"
        )
    # Source of the text: databricks-sdk-py#1081, 2025-10.
    if offering.kind == "not_eligible" or (offering.kind == "model_units") != (not in_tokens):
        raise Refusal(400, f"Served entity {name} is not eligible for Provisioned Throughput.")
    if in_tokens:
        _require_range(entity, offering)
    else:
        _require_units(entity, offering)


def without_nulls(value: Any) -> Any:
    """Return JSON without its nulls: to the API a null is a field left out.

    >>> without_nulls({"a": None, "b": [{"c": None, "d": 0}]})
    {'b': [{'d': 0}]}
    """
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value


def kind_of(entity: Json) -> str:
    if "external_model" in entity:
        return "external"
    if "provisioned_model_units" in entity or any(key in entity for key in _RANGE):
        return "provisioned"
    return "custom"


def _require_range(entity: Json, offering: Offering) -> None:
    name, chunk = entity["entity_name"], offering.size
    low, high = entity.get(_RANGE[0], 0), entity.get(_RANGE[1])
    if not high:
        raise Refusal(
            400, f"Served entity {name}: max_provisioned_throughput must be a positive number"
        )
    for key, value in zip(_RANGE, (low, high), strict=True):
        if value % chunk:
            raise Refusal(
                400,
                f"Served entity {name}: {key} is {value}; must be a multiple of {chunk}, "
                "the throughput_chunk_size of the model",
            )
    if low > high:
        raise Refusal(
            400,
            f"Served entity {name}: min_provisioned_throughput {low} is above "
            f"max_provisioned_throughput {high}",
        )


def _require_units(entity: Json, offering: Offering) -> None:
    units, step = entity["provisioned_model_units"], offering.size
    if units < 1 or units % step:
        raise Refusal(
            400,
            f"Served entity {entity['entity_name']}: provisioned_model_units is {units}; "
            f"must be a positive multiple of {step}",
        )


def _traffic(given: Json | None, names: list[str]) -> Json:
    """Return the traffic config, each route with both of its names; all traffic goes to a sole entity."""
    routes = (given or {}).get("routes") or []
    if not routes:
        if len(names) > 1:
            raise Refusal(400, f"traffic_config must divide the traffic of {', '.join(names)}")
        routes = [{"served_entity_name": names[0], "traffic_percentage": 100}]
    told = []
    for route in routes:
        name = route.get("served_entity_name", route.get("served_model_name"))
        if name not in names:
            raise Refusal(
                400,
                f"traffic_config names {name}, which is not among the served entities "
                f"({', '.join(names)})",
            )
        if route.get("served_model_name", name) != name:
            raise Refusal(400, f"a route names both {name} and {route['served_model_name']}")
        told.append({**route, "served_entity_name": name, "served_model_name": name})
    total = sum(route["traffic_percentage"] for route in told)
    if total != 100:
        raise Refusal(400, f"traffic_percentage adds up to {total}; must be 100")
    if len({route["served_entity_name"] for route in told}) < len(told):
        raise Refusal(400, "traffic_config has two routes to one served entity")
    return {**(given or {}), "routes": told}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_secrets(one)
            for key, one in value.items()
            if not key.endswith("_plaintext")
        }
    return value
