"""Images of an endpoint's configuration: what of a GET can be sent back, and how two of them differ.

A PUT replaces the whole configuration, so everything that GET shows goes back as it came, fields that nobody
here has heard of included, except for a listed set that the workspace itself writes. Plain data in and out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from planner.files import checksum

OUTPUT_ONLY_CONFIG = frozenset({"config_version", "start_time"})
"""Written by the workspace beside the entities. Source: databricks-sdk 0.156.0 EndpointCoreConfigOutput, EndpointPendingConfig."""

OUTPUT_ONLY_ENTITY = frozenset(
    {
        "creation_timestamp",
        "creator",
        "creator_display_name",
        "creator_kind",
        "dbus",
        "foundation_model",
        "last_updated_timestamp",
        "max_dbus",
        "min_dbus",
        "state",
    }
)
"""Written by the workspace into each entity. Source: databricks-sdk 0.156.0 ServedEntityOutput; raw answers published in 2024 and
2025 (qiita.com/taka_yayoi) for the DBU figures."""

OUTPUT_ONLY_CAPTURE = frozenset({"state"})
"""Of `auto_capture_config`. Source: databricks-sdk 0.156.0 AutoCaptureConfigOutput."""

KNOWN_CONFIG = frozenset(
    {"auto_capture_config", "name", "served_entities", "served_models", "traffic_config"}
)
"""Source: databricks-sdk 0.156.0 EndpointCoreConfigInput."""

KNOWN_ENTITY = frozenset(
    {
        "burst_scaling_enabled",
        "entity_name",
        "entity_version",
        "environment_vars",
        "external_model",
        "instance_profile_arn",
        "max_provisioned_concurrency",
        "max_provisioned_throughput",
        "min_provisioned_concurrency",
        "min_provisioned_throughput",
        "model_name",
        "model_version",
        "name",
        "provisioned_model_units",
        "scale_to_zero_enabled",
        "workload_size",
        "workload_type",
    }
)
"""Source: databricks-sdk 0.156.0 ServedEntityInput, and ServedModelInput for model_name and model_version."""

SET_BY_WORKSPACE = frozenset({"name", "scale_to_zero_enabled", "workload_size", "workload_type"})
"""Fields of an entity that a workspace fills in where they were left out. Source: as OUTPUT_ONLY_ENTITY."""

BURST = "burst_scaling_enabled"
"""Never shown by GET. Source: databricks/cli libs/testserver/serving_endpoints.go, 2026-08-21."""

_REDACTED = re.compile(r"\*{3,}|\W*redacted\W*", re.IGNORECASE)
_SECRET_KEYS = re.compile(r"(?:_key|_token|_password|_secret|private_key)$")


class Difference(NamedTuple):
    """One field that is not the same in two images; None where it is absent."""

    path: str
    before: Any
    after: Any


def entities_key(config: Mapping[str, Any]) -> str:
    """Return under which of its two names a configuration lists what it serves."""
    if "served_entities" not in config and "served_models" in config:
        return "served_models"
    return "served_entities"


def entities_of(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a configuration serves."""
    return list(config.get(entities_key(config)) or [])


def model_of(entity: Mapping[str, Any]) -> str | None:
    """Return the model's name in Unity Catalog."""
    return entity.get("entity_name") or entity.get("model_name")


def label_of(entity: Mapping[str, Any], index: int = 0) -> str:
    """Return what to call an entity: its name, else its model, else its place."""
    return str(entity.get("name") or model_of(entity) or index)


def in_units(entity: Mapping[str, Any]) -> bool:
    """Return whether an entity is sold in model units."""
    return entity.get("provisioned_model_units") is not None


def capacity_of(entity: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return minimum and maximum of an entity, in its own unit; None if it is not provisioned."""
    if in_units(entity):
        units = entity["provisioned_model_units"]
        return units, units
    most = entity.get("max_provisioned_throughput")
    return None if most is None else (entity.get("min_provisioned_throughput") or 0, most)


def sendable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration of GET without what the workspace writes itself.

    `served_models`, the deprecated mirror, goes where `served_entities` stands beside it.

    >>> sendable({"config_version": 3, "served_entities": [{"name": "a", "state": {}, "new_field": 1}]})
    {'served_entities': [{'name': 'a', 'new_field': 1}]}
    """
    key = entities_key(config)
    kept: dict[str, Any] = {
        name: deepcopy(value)
        for name, value in config.items()
        if name not in OUTPUT_ONLY_CONFIG and (name != "served_models" or key == name)
    }
    if isinstance(kept.get(key), list):
        kept[key] = [
            {name: value for name, value in entity.items() if name not in OUTPUT_ONLY_ENTITY}
            for entity in kept[key]
        ]
    capture = kept.get("auto_capture_config")
    if isinstance(capture, dict):
        kept["auto_capture_config"] = {
            name: value for name, value in capture.items() if name not in OUTPUT_ONLY_CAPTURE
        }
    return kept


def active_config(live: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that serves, empty while the first one is being put up."""
    return dict(live.get("config") or {})


def coming_config(live: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that will serve once the update in progress is through."""
    return dict(live.get("pending_config") or live.get("config") or {})


def version_of(config: Mapping[str, Any]) -> int | None:
    """Return the count of configurations, where it is shown."""
    version = config.get("config_version")
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def fingerprint(live: Mapping[str, Any]) -> str:
    """Return a checksum of which endpoint this is and what it is configured to."""
    return checksum(
        {
            "id": live.get("id"),
            "created": live.get("creation_timestamp"),
            "config": sendable(active_config(live)),
        }
    )


def unknown_keys(config: Mapping[str, Any]) -> list[str]:
    """Return the paths of fields that nobody here has heard of; they are kept and sent back."""
    found = [key for key in config if key not in KNOWN_CONFIG | OUTPUT_ONLY_CONFIG]
    for index, entity in enumerate(entities_of(config)):
        where = f"{entities_key(config)}[{label_of(entity, index)}]"
        found += [
            f"{where}.{key}" for key in entity if key not in KNOWN_ENTITY | OUTPUT_ONLY_ENTITY
        ]
    return found


def lost_secrets(config: Mapping[str, Any]) -> list[str]:
    """Return the paths of secrets that GET does not show and a PUT would therefore lose."""
    found = [path for path, value in _leaves(config) if _is_redacted(value)]
    for index, entity in enumerate(entities_of(config)):
        external = entity.get("external_model")
        if not isinstance(external, dict):
            continue
        where = f"{entities_key(config)}[{label_of(entity, index)}].external_model"
        for key, part in external.items():
            if (
                key.endswith("_config")
                and isinstance(part, dict)
                and not any(_SECRET_KEYS.search(name) for name in part)
            ):
                found.append(f"{where}.{key}")
    return found


def plain_secrets(config: Mapping[str, Any]) -> list[str]:
    """Return the paths of environment variables that hold text and no reference to a secret."""
    return [
        f"{entities_key(config)}[{label_of(entity, index)}].environment_vars.{key}"
        for index, entity in enumerate(entities_of(config))
        for key, value in (entity.get("environment_vars") or {}).items()
        if isinstance(value, str) and not value.startswith("{{secrets/")
    ]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return every field in which two configurations differ, as sent or as read; names stand for places.

    A version is the same as number and as text. Burst scaling counts only where both show it.

    >>> differences({"served_entities": [{"name": "a", "max_provisioned_throughput": 970}]},
    ...             {"served_entities": [{"name": "a", "max_provisioned_throughput": 1940}]})
    [Difference(path='served_entities[a].max_provisioned_throughput', before=970, after=1940)]
    """
    old, new = dict(_leaves(sendable(before))), dict(_leaves(sendable(after)))
    found = []
    for path in [*old, *(path for path in new if path not in old)]:
        one, other = old.get(path), new.get(path)
        if path.endswith(BURST) and (path not in old or path not in new):
            continue
        if path.endswith("_version") and None not in (one, other):
            one, other = str(one), str(other)
        if one != other or (path in old) != (path in new):
            found.append(Difference(path, old.get(path), new.get(path)))
    return found


def unmet(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[Difference]:
    """Return the fields in which what is live is not what was asked for when the endpoint was created.

    What the workspace fills in where it was left out does not count: names, workload size and type, and a
    traffic split that sends everything to the one entity there is.
    """
    asked, found = entities_of(wanted), entities_of(live)
    if len(asked) != len(found):
        return [Difference(entities_key(wanted), len(asked), len(found))]
    # Both get the same names, so that an entity without one is compared with its counterpart.
    named = {**wanted, entities_key(wanted): _named_alike(asked, found)}
    answered = {**live, entities_key(live): _named_alike(found, asked)}
    if "traffic_config" not in wanted and len(found) == 1:
        routes = (live.get("traffic_config") or {}).get("routes") or []
        if [route.get("traffic_percentage") for route in routes] in ([], [100]):
            answered.pop("traffic_config", None)
    left_out = {
        f"{entities_key(live)}[{label_of(entity, index)}].{key}"
        for index, entity in enumerate(named[entities_key(wanted)])
        for key in SET_BY_WORKSPACE
        if key not in asked[index]
    }
    return [one for one in differences(named, answered) if one.path not in left_out]


def _named_alike(
    entities: list[dict[str, Any]], others: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [
        {**entity, "name": entity.get("name") or other.get("name") or str(index)}
        for index, (entity, other) in enumerate(zip(entities, others, strict=True))
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its path; items of a list go by their name where each has one of its own."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        names = [_item_name(item) for item in value]
        own = None not in names and len(set(names)) == len(names)
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{names[index] if own else index}]")
    else:
        yield path, value


def _item_name(item: Any) -> str | None:
    if not isinstance(item, Mapping):
        return None
    for key in ("name", "served_entity_name", "served_model_name", "entity_name", "model_name"):
        if isinstance(item.get(key), str):
            return str(item[key])
    return None


def _is_redacted(value: Any) -> bool:
    return isinstance(value, str) and bool(_REDACTED.fullmatch(value.strip()))
