"""The condition of an endpoint, as GET shows it: whether it is ready, what its update does, and in which words to say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.endpoint import images
from planner.line import one_line


def state_words(live: Mapping[str, Any]) -> str:
    """Return the state of an endpoint in words.

    >>> state_words({"state": {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}})
    'not ready, updating'
    """
    state = live.get("state") or {}
    ready = {"READY": "ready", "NOT_READY": "not ready"}.get(
        str(state.get("ready")), "readiness unknown"
    )
    update = {
        "NOT_UPDATING": "",
        "IN_PROGRESS": "updating",
        "UPDATE_FAILED": "update failed",
        "UPDATE_CANCELED": "update cancelled",
    }.get(str(state.get("config_update")), str(state.get("config_update")))
    words = f"{ready}, {update}" if update else ready
    messages = deployment_messages(live) if update else []
    return f"{words}: {'; '.join(messages)}" if messages else words


def deployment_messages(live: Mapping[str, Any]) -> list[str]:
    """Return what the workspace says of the deployment of each entity."""
    found: dict[str, None] = {}
    for key in ("pending_config", "config"):
        for entity in images.entities_of(live.get(key) or {}):
            state = entity.get("state") or {}
            message = one_line(state.get("deployment_state_message") or "")
            if message and state.get("deployment") != "DEPLOYMENT_READY":
                found[message] = None
    return list(found)


def update_state(live: Mapping[str, Any]) -> str | None:
    """Return what the endpoint says of its update."""
    return (live.get("state") or {}).get("config_update")


def in_progress(live: Mapping[str, Any]) -> bool:
    """Return whether an update is in progress."""
    return update_state(live) == "IN_PROGRESS"
