"""What forbids a change whatever its user says: the model, the state of the endpoint, or no one entity to change.

Each judge returns sentences, which stand in a plan that is blocked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.endpoint import images
from planner.endpoint.eligibility import Eligibility
from planner.endpoint.wish import Wish
from reports import numbers
from simulations.capacity import ModelUnits


def judge_model(wish: Wish, model: Eligibility | None) -> tuple[list[str], list[str]]:
    """Return what forbids this capacity on this model, and what to know of it."""
    if model is None:
        why = "its version is not known" if wish.model_version is None else "not permitted"
        return [], [f"the workspace was not asked for the chunk of {wish.model}: {why}"]
    named = f"{model.model} version {model.version}"
    capacity = wish.capacity
    if isinstance(capacity, ModelUnits):
        if model.kind == "token_chunks":
            return [
                f"{named} is sold in chunks of {numbers.tokens_per_s(model.chunk_tokens_per_s)} here and not in "
                "model units: recommend again with --chunk-tokens-per-s "
                f"{model.chunk_tokens_per_s}"
            ], []
        if model.kind == "not_eligible":
            return [], [
                f"the workspace does not call {named} optimizable, which says little of model units"
            ]
        return [], []
    if model.kind == "model_units":
        return [
            f"{named} is sold in model units here; asked for tokens/s, the workspace would answer that it is not "
            "eligible for Provisioned Throughput, although it is: recommend again with --unit-step N and "
            "--tokens-per-s-per-step X"
        ], []
    if model.kind == "not_eligible":
        return [
            f"{named} is not eligible for provisioned throughput here: choose another model or version"
        ], []
    chunk = model.chunk_tokens_per_s
    notes = [] if model.dbus is None else [f"the workspace says {model.dbus:g} DBU/h per chunk"]
    if chunk is None or chunk == capacity.size_tokens_per_s:
        return [], notes
    text = (
        f"the chunk of {named} is {numbers.tokens_per_s(chunk)} here, and the recommendation was made for "
        f"{numbers.tokens_per_s(capacity.size_tokens_per_s)}: recommend again with --chunk-tokens-per-s {chunk}"
    )
    if capacity.min_tokens_per_s % chunk or capacity.max_tokens_per_s % chunk:
        return [text], notes
    return [], [*notes, text]


def judge_state(live: Mapping[str, Any]) -> list[str]:
    """Return what in the state of an endpoint forbids a change now."""
    state = live.get("state") or {}
    update = state.get("config_update")
    if update == "IN_PROGRESS":
        return [
            "an update is in progress, and the workspace takes no other until it is done: wait, then plan again"
        ]
    if not images.entities_of(images.active_config(live)):
        return [
            f"it serves nothing now (state {update or 'unknown'}): its creation failed or is not finished; wait, or "
            "delete it and plan again"
        ]
    return []


def chosen_entity(after: Mapping[str, Any], wish: Wish, name: str | None) -> int | str:
    """Return the place of the entity to change, or why there is none."""
    entities = images.entities_of(after)
    labels = [images.label_of(entity, index) for index, entity in enumerate(entities)]
    listed = ", ".join(
        f"{label} ({images.model_of(entity)})"
        for label, entity in zip(labels, entities, strict=True)
    )
    if name is not None:
        places = [index for index, label in enumerate(labels) if label == name]
        if len(places) == 1:
            return places[0]
        return f"it serves no entity {name}: it serves {listed or 'nothing'}"
    places = [i for i, entity in enumerate(entities) if images.model_of(entity) == wish.model]
    if len(places) == 1:
        return places[0]
    if not places:
        return f"it does not serve {wish.model}: it serves {listed or 'nothing'}; say which to change with --entity NAME"
    return f"it serves {wish.model} {len(places)} times: {listed}; say which to change with --entity NAME"
