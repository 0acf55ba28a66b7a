"""The plan: what an endpoint is configured to now, what it would be, field by field, and the one request between.

`plan_change` makes one from a wish and what GET shows; `plan_return` makes one that puts a before-image back.
Both look at data only and send nothing. What they return is the content of plan.json, checksum included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner import files
from planner.endpoint import images, safety
from planner.endpoint.clock import seconds_of, stamp
from planner.endpoint.eligibility import Eligibility
from planner.endpoint.images import BURST, Difference
from planner.endpoint.request import update_body, update_path
from planner.endpoint.wish import HOURS_PER_MONTH, Wish, create_wish
from reports import numbers
from simulations.capacity import ModelUnits, TokenChunks
from simulations.errors import InputError

SCHEMA_VERSION = 1

VALID_S = 24 * 3600.0
"""How long a plan may be applied (assumed: a review takes a day; it is stale before if the endpoint moves)."""

ACTIONS = ("create", "update", "no_op", "blocked")

Burst = Mapping[str, bool]
"""Whether burst scaling is on, by entity; the key "" stands for the entity that is planned."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a plan is made.

    Args:
        host: of the workspace.
        now: seconds since 1970.
        version: of ptplan.
        entity: which served entity to change, by name, where it is not plain.
        burst: said by the user, for model units.
        known_burst: stated by a receipt.
        valid_s: how long the plan may be applied, in seconds.
        most_cost_increase: share by which the bill may rise without a second look.
    """

    host: str
    now: float
    version: str
    entity: str | None = None
    burst: Burst = field(default_factory=dict)
    known_burst: Burst = field(default_factory=dict)
    valid_s: float = VALID_S
    most_cost_increase: float = safety.MOST_COST_INCREASE


def plan_change(
    wish: Wish, live: Mapping[str, Any] | None, model: Eligibility | None, terms: Terms
) -> dict[str, Any]:
    """Return the plan that brings an endpoint to a wish.

    Args:
        wish: what it ought to have.
        live: what GET shows; None if there is no such endpoint.
        model: what the workspace says of the model; None if it may not be asked.
        terms: how the plan is made.

    Raises:
        InputError: something must be said first: the version, or burst scaling.
    """
    blocked, notes = _judge_model(wish, model)
    if live is None:
        return _plan_create(wish, blocked, notes, terms)
    return _plan_update(wish, live, blocked, notes, terms)


def _plan_create(wish: Wish, blocked: list[str], notes: list[str], terms: Terms) -> dict[str, Any]:
    if terms.entity is not None:
        raise InputError(
            f"there is no endpoint {wish.endpoint} on {terms.host} yet, so it has no entity {terms.entity}; "
            "leave --entity away, or check --endpoint"
        )
    burst = _said_burst(wish.model, terms, chosen=True) if wish.in_units else False
    request = create_wish(wish, burst=bool(burst))
    config = request.body["config"]
    (entity,) = images.entities_of(config)
    diff = [
        {**Difference(path, None, value)._asdict(), "reason": _reason(path, wish)}
        for path, value in _flat(config)
    ]
    change = _change(wish, None, terms)
    return _sealed(
        terms,
        wish.endpoint,
        action="blocked" if blocked else "create",
        blocked=blocked,
        entity=images.label_of(entity),
        in_units=wish.in_units,
        after=None if blocked else config,
        diff=[] if blocked else diff,
        burst={images.label_of(entity): bool(burst)} if wish.in_units else {},
        cost_delta=_cost_delta(wish, None),
        predicted=dict(wish.predicted),
        safety=safety.tripped(change),
        notes=notes,
        request={"method": request.method, "path": request.path, "body": request.body},
        source=dict(wish.source),
    )


def _plan_update(
    wish: Wish, live: Mapping[str, Any], blocked: list[str], notes: list[str], terms: Terms
) -> dict[str, Any]:
    config = images.active_config(live)
    after = images.sendable(config)
    blocked += _judge_state(live)
    index = _chosen(after, wish, terms)
    if isinstance(index, str):
        blocked.append(index)
    blocked += [
        f"{path} holds a secret that the workspace does not show, and a replacement would lose it; "
        "put it into a secret scope, or change this endpoint in the console"
        for path in images.lost_secrets(after)
    ]
    notes += _notes_of(after)
    common: dict[str, Any] = {"live": live, "notes": notes, "source": dict(wish.source)}
    if isinstance(index, str):
        return _sealed(
            terms,
            wish.endpoint,
            action="blocked",
            blocked=blocked,
            in_units=wish.in_units,
            **common,
        )
    entity = images.entities_of(after)[index]
    if images.in_units(entity) != wish.in_units and _capacity_of(entity) is not None:
        blocked.append(
            f"{images.label_of(entity, index)} is provisioned in "
            f"{'model units' if images.in_units(entity) else 'tokens/s'} and the recommendation is in "
            f"{'model units' if wish.in_units else 'tokens/s'}; one endpoint cannot change its kind"
        )
    now = deepcopy(entity)
    _set_capacity(entity, wish)
    images_list = images.entities_of(after)
    images_list[index] = entity
    after[images.entities_key(after)] = images_list
    burst, hidden = _settle_burst(after, index, terms)
    diff = _diff(images.sendable(config), after, hidden, lambda path: _reason(path, wish))
    change = _change(wish, now, terms)
    action = "blocked" if blocked else "update" if diff else "no_op"
    units = wish.in_units
    return _sealed(
        terms,
        wish.endpoint,
        action=action,
        blocked=blocked,
        entity=images.label_of(entity, index),
        in_units=units,
        after=None if blocked else after,
        diff=[] if blocked else diff,
        burst=burst,
        cost_delta=_cost_delta(wish, now),
        predicted=dict(wish.predicted),
        safety=safety.tripped(change) if action == "update" else [],
        request={
            "method": "PUT",
            "path": update_path(wish.endpoint, in_units=units),
            "body": update_body(after, in_units=units),
        },
        **common,
    )


def plan_return(
    receipt_plan: Mapping[str, Any],
    image: Mapping[str, Any],
    live: Mapping[str, Any],
    terms: Terms,
    *,
    drifted: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the plan that puts a before-image back.

    Args:
        receipt_plan: the plan whose doing is undone.
        image: what GET showed before it.
        live: what GET shows now.
        terms: how the plan is made; `known_burst` is what was so before.
        drifted: what somebody else changed since, by path.

    Raises:
        InputError: burst scaling of an entity in model units was not known before, and is not said.
    """
    endpoint, entity_name = receipt_plan["endpoint"], receipt_plan["entity"]
    after = images.sendable(images.active_config(image))
    config = images.active_config(live)
    blocked = _judge_state(live)
    blocked += [
        f"{path} holds a secret that the before-image does not have; restore it in the console"
        for path in images.lost_secrets(after)
    ]
    entities = images.entities_of(after)
    units = any(map(images.in_units, entities))
    burst, hidden = _settle_burst(after, None, terms, live=config)
    why = f"as it was before {receipt_plan['created_at']}"
    diff = _diff(images.sendable(config), after, hidden, lambda path: why)
    now = _named(images.entities_of(config), entity_name)
    then = _named(entities, entity_name)
    action = "blocked" if blocked else "update" if diff else "no_op"
    change = safety.Change(
        endpoint=endpoint,
        in_units=units,
        before=_capacity_of(now) if now else None,
        after=(_capacity_of(then) if then else None) or (0, 0),
        models=(images.model_of(now) if now else None, images.model_of(then) if then else None),
        most_cost_increase=terms.most_cost_increase,
        drifted=tuple(drifted),
    )
    return _sealed(
        terms,
        endpoint,
        action=action,
        blocked=blocked,
        live=live,
        entity=entity_name,
        in_units=units,
        after=None if blocked else after,
        diff=[] if blocked else diff,
        burst=burst,
        cost_delta=_returned_cost(receipt_plan["cost_delta"], now, then),
        predicted={},
        safety=safety.tripped(change) if action == "update" else [],
        notes=_notes_of(after),
        request={
            "method": "PUT",
            "path": update_path(endpoint, in_units=units),
            "body": update_body(after, in_units=units),
        },
        source={"kind": "rollback", "plan_sha256": receipt_plan["sha256"]},
    )


def read(path: Path) -> dict[str, Any]:
    """Return a plan from its file.

    Raises:
        InputError: it is no plan, was changed after it was made, or is of a newer version.
    """
    return require_plan(files.read(path, what="the plan.json of `ptplan plan`"), str(path))


def require_plan(data: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the data of a plan, or refuse it."""
    if data.get("action") not in ACTIONS or "expires_at" not in data:
        raise InputError(f"{where} is no plan; give the plan.json of `ptplan plan`")
    if data["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{where} has schema version {data['schema_version']!r}, and this ptplan reads {SCHEMA_VERSION}; "
            "make it anew"
        )
    return data


def expired(plan: Mapping[str, Any], now: float) -> bool:
    """Return whether it is too late to apply a plan."""
    return now >= seconds_of(plan["expires_at"])


# ------------------------------------------------------------------------------------------ the pieces


def _judge_model(wish: Wish, model: Eligibility | None) -> tuple[list[str], list[str]]:
    """Return what forbids this capacity on this model, and what to know of it."""
    if model is None:
        return [], [f"the workspace was not asked for the chunk of {wish.model}: not permitted"]
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


def _judge_state(live: Mapping[str, Any]) -> list[str]:
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


def _chosen(after: Mapping[str, Any], wish: Wish, terms: Terms) -> int | str:
    """Return the place of the entity to change, or why there is none."""
    entities = images.entities_of(after)
    labels = [images.label_of(entity, index) for index, entity in enumerate(entities)]
    listed = ", ".join(
        f"{label} ({images.model_of(entity)})"
        for label, entity in zip(labels, entities, strict=True)
    )
    if terms.entity is not None:
        places = [index for index, label in enumerate(labels) if label == terms.entity]
        if len(places) == 1:
            return places[0]
        return f"it serves no entity {terms.entity}: it serves {listed or 'nothing'}"
    places = [i for i, entity in enumerate(entities) if images.model_of(entity) == wish.model]
    if len(places) == 1:
        return places[0]
    if not places:
        return f"it does not serve {wish.model}: it serves {listed or 'nothing'}; say which to change with --entity NAME"
    return f"it serves {wish.model} {len(places)} times: {listed}; say which to change with --entity NAME"


def _set_capacity(entity: dict[str, Any], wish: Wish) -> None:
    """Change our fields of an entity, and nothing else."""
    legacy = "model_name" in entity and "entity_name" not in entity
    entity["model_name" if legacy else "entity_name"] = wish.model
    key = "model_version" if legacy else "entity_version"
    if wish.model_version is not None and str(entity.get(key)) != wish.model_version:
        entity[key] = wish.model_version
    if isinstance(wish.capacity, TokenChunks):
        entity["min_provisioned_throughput"] = wish.capacity.min_tokens_per_s
        entity["max_provisioned_throughput"] = wish.capacity.max_tokens_per_s
        if "scale_to_zero_enabled" in entity:
            entity["scale_to_zero_enabled"] = wish.capacity.min_chunks == 0
    else:
        entity["provisioned_model_units"] = wish.capacity.units


def _settle_burst(
    after: dict[str, Any],
    chosen: int | None,
    terms: Terms,
    *,
    live: Mapping[str, Any] | None = None,
) -> tuple[dict[str, bool], list[Difference]]:
    """State burst scaling of every entity in model units; return it, and what of it GET cannot show.

    Left out of a replacement it would mean on, for the entities of others too.

    Raises:
        InputError: nobody said it.
    """
    settled: dict[str, bool] = {}
    hidden: list[Difference] = []
    shown = {
        images.label_of(entity, index): entity.get(BURST)
        for index, entity in enumerate(images.entities_of(live or after))
    }
    for index, entity in enumerate(images.entities_of(after)):
        if not images.in_units(entity):
            continue
        label = images.label_of(entity, index)
        was = shown.get(label)
        known = was if was is not None else terms.known_burst.get(label)
        said = _said_burst(label, terms, chosen=index == chosen, kept=entity.get(BURST))
        settled[label] = entity[BURST] = said
        if known != said:
            path = f"{images.entities_key(after)}[{label}].{BURST}"
            hidden.append(Difference(path, known, said))
    return settled, hidden


def _said_burst(label: str, terms: Terms, *, chosen: bool, kept: bool | None = None) -> bool:
    said = terms.burst.get(label)
    if said is None and (chosen or terms.entity == label):
        said = terms.burst.get("")
    if said is None:
        said = kept if kept is not None else terms.known_burst.get(label)
    if said is None:
        how = "on|off" if chosen else f"{label}=on|off"
        raise InputError(
            f"{label} is sold in model units: say whether it may burst beyond them with --burst {how} (the workspace "
            "does not show it, and left out it would be on), or give the --receipt that states it"
        )
    return said


def _diff(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    hidden: list[Difference],
    reason: Any,
) -> list[dict[str, Any]]:
    hidden_paths = {one.path for one in hidden}
    shown = [one for one in images.differences(before, after) if one.path not in hidden_paths]
    return [{**one._asdict(), "reason": reason(one.path)} for one in [*shown, *hidden]]


def _reason(path: str, wish: Wish) -> str:
    """Return why a field is what it will be."""
    last = path.rpartition(".")[2]
    if last.endswith(("_provisioned_throughput", "provisioned_model_units")):
        size = (
            f" of {numbers.tokens_per_s(wish.capacity.size_tokens_per_s)}"
            if isinstance(wish.capacity, TokenChunks)
            else ""
        )
        return f"recommended: {numbers.amount(wish.capacity)}{size}"
    return {
        "entity_version": "the version the recommendation was made for",
        "model_version": "the version the recommendation was made for",
        "entity_name": "the model the recommendation was made for",
        "model_name": "the model the recommendation was made for",
        BURST: "as you said; always sent, since left out it means on",
        "scale_to_zero_enabled": "as the recommended minimum says",
    }.get(last, "recommended")


def _flat(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    (entity,) = images.entities_of(config)
    where = f"{images.entities_key(config)}[{images.label_of(entity)}]"
    return [(f"{where}.{key}", value) for key, value in entity.items()]


def _named(entities: list[dict[str, Any]], label: str) -> dict[str, Any] | None:
    return next(
        (one for index, one in enumerate(entities) if images.label_of(one, index) == label), None
    )


def _capacity_of(entity: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return minimum and maximum of an entity, in its own unit; None if it is not provisioned."""
    if images.in_units(entity):
        units = entity["provisioned_model_units"]
        return units, units
    most = entity.get("max_provisioned_throughput")
    return None if most is None else (entity.get("min_provisioned_throughput") or 0, most)


def _change(wish: Wish, now: Mapping[str, Any] | None, terms: Terms) -> safety.Change:
    capacity = wish.capacity
    after = (
        (capacity.min_tokens_per_s, capacity.max_tokens_per_s)
        if isinstance(capacity, TokenChunks)
        else (capacity.units, capacity.units)
    )
    return safety.Change(
        endpoint=wish.endpoint,
        in_units=wish.in_units,
        before=None if now is None else _capacity_of(now),
        after=after,
        demand_tokens_per_s=wish.demand_tokens_per_s,
        rated_after_tokens_per_s=capacity.max_chunks * capacity.rated_tokens_per_s,
        feasible=wish.feasible,
        models=(None if now is None else images.model_of(now), wish.model),
        most_cost_increase=terms.most_cost_increase,
    )


def _cost_delta(wish: Wish, now: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what it costs an hour and a month at its minimum and at its maximum, before and after."""
    capacity = wish.capacity
    step = capacity.size_tokens_per_s if isinstance(capacity, TokenChunks) else capacity.step_units
    held = None if now is None else _capacity_of(now)
    before = (
        (0.0, 0.0) if now is None else None if held is None else (held[0] / step, held[1] / step)
    )
    return _costs(
        before,
        (float(capacity.min_chunks), float(capacity.max_chunks)),
        usd=wish.usd_per_chunk_hour,
        step=step,
        source=wish.price_source
        or "no price was seen together with this chunk, and none was given",
    )


def _returned_cost(
    made: Mapping[str, Any], now: Mapping[str, Any] | None, then: Mapping[str, Any] | None
) -> dict[str, Any]:
    step = made["step"]

    def chunks(entity: Mapping[str, Any] | None) -> tuple[float, float] | None:
        held = None if entity is None else _capacity_of(entity)
        return None if held is None else (held[0] / step, held[1] / step)

    return _costs(
        chunks(now),
        chunks(then),
        usd=made["usd_per_chunk_hour"],
        step=step,
        source=made["price_source"],
    )


def _costs(
    before: tuple[float, float] | None,
    after: tuple[float, float] | None,
    *,
    usd: float | None,
    step: float,
    source: str,
) -> dict[str, Any]:
    def amounts(chunks: tuple[float, float] | None) -> dict[str, Any]:
        known = chunks is not None and usd is not None
        at_min = chunks[0] * usd if known else None  # type: ignore[index,operator]
        at_max = chunks[1] * usd if known else None  # type: ignore[index,operator]
        return {
            "chunks_at_min": None if chunks is None else chunks[0],
            "chunks_at_max": None if chunks is None else chunks[1],
            "usd_per_hour_at_min": at_min,
            "usd_per_hour_at_max": at_max,
            "usd_per_month_at_min": None if at_min is None else at_min * HOURS_PER_MONTH,
            "usd_per_month_at_max": None if at_max is None else at_max * HOURS_PER_MONTH,
        }

    old, new = amounts(before), amounts(after)
    return {
        "before": old,
        "after": new,
        "delta": {
            key: None if old[key] is None or new[key] is None else new[key] - old[key]
            for key in old
        },
        "usd_per_chunk_hour": usd,
        "price_source": source,
        "step": step,
    }


def _notes_of(after: Mapping[str, Any]) -> list[str]:
    secrets = images.plain_secrets(after)
    if not secrets:
        return []
    return [
        f"{', '.join(secrets)}: plain text in the endpoint, and therefore in this plan and in its receipt; keep "
        "them as you keep a secret, or move it into a secret scope"
    ]


def _sealed(
    terms: Terms,
    endpoint: str,
    *,
    action: str,
    blocked: list[str],
    in_units: bool,
    live: Mapping[str, Any] | None = None,
    entity: str | None = None,
    after: dict[str, Any] | None = None,
    diff: list[dict[str, Any]] | None = None,
    burst: dict[str, bool] | None = None,
    cost_delta: dict[str, Any] | None = None,
    predicted: dict[str, Any] | None = None,
    safety: list[dict[str, str]] | None = None,
    notes: list[str] | None = None,
    request: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the content of plan.json with its checksum."""
    config = {} if live is None else images.active_config(live)
    entities = images.entities_of(config)
    kept = [images.label_of(one, index) for index, one in enumerate(entities)]
    plan = {
        "schema_version": SCHEMA_VERSION,
        "ptplan_version": terms.version,
        "created_at": stamp(terms.now),
        "expires_at": stamp(terms.now + terms.valid_s),
        "action": action,
        "blocked": blocked,
        "endpoint": endpoint,
        "host": terms.host,
        "entity": entity,
        "family": "model_units" if in_units else "token_chunks",
        "before": None if live is None else deepcopy(dict(live)),
        "config_version": images.version_of(config),
        "fingerprint": None if live is None else images.fingerprint(live),
        "after": after,
        "diff": diff or [],
        "kept_entities": [label for label in kept if label != entity],
        "unknown_keys": images.unknown_keys(config),
        "burst": burst or {},
        "cost_delta": cost_delta,
        "predicted": predicted or {},
        "safety": safety or [],
        "notes": notes or [],
        "request": request if action in ("create", "update") else None,
        "source": source or {},
    }
    return {**plan, "sha256": files.checksum(plan)}
