"""The request that creates an endpoint, as data: method, path, body, and what is still missing.

Turns a capacity into the one of two bodies that its family needs. Sends nothing and reads nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from simulations.capacity import Capacity, TokenChunks
from simulations.errors import InputError

CREATE_PATH = "/api/2.0/serving-endpoints"
"""For ranges of tokens/s. Source: docs.databricks.com, REST API 2.0, and databricks-sdk 0.156.0, read 2026-11-22."""

CREATE_UNITS_PATH = "/api/2.0/serving-endpoints/pt"
"""For model units: the call that clients have for them. Source: databricks-sdk 0.156.0 create_provisioned_throughput_endpoint, read
2026-11-22. CREATE_PATH has the field too, and Asset Bundles send units there: databricks/cli, commit 7bbe285, 2026-08-21."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the workspace.

    Args:
        missing: what must be known before it can be sent: `endpoint`, `entity_name`, `entity_version`; these
            are absent from the body.
        method, path: HTTP.
        body: JSON.
    """

    missing: tuple[str, ...]
    method: str
    path: str
    body: dict[str, Any]

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in recommendation.json.

        >>> list(create_request(TokenChunks(980, 2, 3)).as_dict())
        ['ready', 'missing', 'method', 'path', 'body']
        """
        return {
            "ready": self.ready,
            "missing": list(self.missing),
            "method": self.method,
            "path": self.path,
            "body": self.body,
        }


def create_request(
    capacity: Capacity,
    *,
    endpoint: str | None = None,
    entity_name: str | None = None,
    entity_version: str | int | None = None,
    entity_alias: str | None = None,
) -> Request:
    """Return the request that creates an endpoint of this capacity.

    Args:
        capacity: a range of chunks, or model units.
        endpoint: its name.
        entity_name: the model's name in Unity Catalog.
        entity_version: the model's version, a whole number >= 1; sent as text.
        entity_alias: the name of the served entity; the workspace makes one where it is absent.

    Raises:
        InputError: a name or version that the workspace would refuse.

    >>> request = create_request(TokenChunks(980, 2, 3), endpoint="chat", entity_name="ml.own.model", entity_version=3)
    >>> request.ready, request.body["config"]["served_entities"][0]["max_provisioned_throughput"]
    (True, 2940)
    """
    if endpoint is not None:
        require_endpoint_name(endpoint)
    version = None if entity_version is None else _version_text(entity_version)
    given = {"name": entity_alias, "entity_name": entity_name, "entity_version": version}
    entity: dict[str, Any] = {key: value for key, value in given.items() if value}
    if isinstance(capacity, TokenChunks):
        path = CREATE_PATH
        entity["min_provisioned_throughput"] = capacity.min_tokens_per_s
        entity["max_provisioned_throughput"] = capacity.max_tokens_per_s
    else:
        path = CREATE_UNITS_PATH
        entity["provisioned_model_units"] = capacity.units
        # Always sent: left out, it means true, and the endpoint may bill beyond what was planned.
        entity["burst_scaling_enabled"] = capacity.burst
    body: dict[str, Any] = {"name": endpoint} if endpoint is not None else {}
    body["config"] = {"served_entities": [entity]}
    needed = {"endpoint": endpoint, "entity_name": entity_name, "entity_version": version}
    missing = tuple(name for name, value in needed.items() if not value)
    return Request(missing, "POST", path, body)


def require_endpoint_name(name: str) -> None:
    """Refuse a name that an endpoint cannot have.

    Raises:
        InputError: it is not 1 to 63 letters, digits, - and _, or has the reserved prefix `databricks-`.

    Source: docs.databricks.com, REST API, create a serving endpoint, read 2026-11-22.

    >>> require_endpoint_name("chat-pt_1")
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"endpoint name is {name!r}; must be 1 to 63 letters, digits, hyphens and underscores"
        )
    if name.lower().startswith("databricks-"):
        raise InputError(
            f"endpoint name is {name!r}; names that start with databricks- are reserved"
        )


def _version_text(version: str | int) -> str:
    text = str(version)
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise InputError(
            f"model version is {version!r}; must be a whole number >= 1, as in NAME:VERSION"
        )
    return text


def update_path(endpoint: str, *, in_units: bool) -> str:
    """Return where a configuration is replaced.

    >>> update_path("chat", in_units=True)
    '/api/2.0/serving-endpoints/pt/chat/config'
    """
    return f"{CREATE_UNITS_PATH if in_units else CREATE_PATH}/{quote(endpoint, safe='')}/config"


def update_body(config: dict[str, Any], *, in_units: bool) -> dict[str, Any]:
    """Return the body that replaces a configuration; only that of model units is wrapped.

    Source: databricks-sdk 0.156.0, `update_config` and `update_provisioned_throughput_endpoint_config`, 2026-11-22.
    """
    return {"config": config} if in_units else config
