"""The plan: what an endpoint is configured to now, what it would be, field by field, and the one request between.

`plan_change` makes one from a wish and what GET shows; `plan_return` makes one that puts a before-image back.
Both look at data only and send nothing. What they return is the content of plan.json, checksum included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from planner import files
from planner.endpoint import bill, images, safety
from planner.endpoint.burst import said_burst, settle_burst
from planner.endpoint.clock import seconds_of, stamp
from planner.endpoint.eligibility import Eligibility
from planner.endpoint.images import BURST, Difference
from planner.endpoint.obstacles import chosen_entity, judge_model, judge_state
from planner.endpoint.request import CREATE_PATH, CREATE_UNITS_PATH, update_body, update_path
from planner.endpoint.terms import Terms
from planner.endpoint.wish import Wish, create_wish
from reports import numbers
from simulations.capacity import TokenChunks
from simulations.errors import InputError

SCHEMA_VERSION = 1

MOST_AHEAD_S = 300.0
"""By how much the clock that a plan was made by may be ahead of this one (assumed); a clock set back would give an expired
plan its life back."""

ACTIONS = ("create", "update", "no_op", "blocked")


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
    blocked, notes = judge_model(wish, model)
    if live is None:
        return _plan_create(wish, blocked, notes, terms)
    return _plan_update(wish, live, blocked, notes, terms)


def _plan_create(wish: Wish, blocked: list[str], notes: list[str], terms: Terms) -> dict[str, Any]:
    if terms.entity is not None:
        raise InputError(
            f"there is no endpoint {wish.endpoint} on {terms.host} yet, so it has no entity {terms.entity}; "
            "leave --entity away, or check --endpoint"
        )
    burst = said_burst(wish.model, terms, chosen=True) if wish.in_units else False
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
        cost_delta=bill.cost_delta(wish, None),
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
    blocked += judge_state(live)
    index = chosen_entity(after, wish, terms.entity)
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
    if images.in_units(entity) != wish.in_units and images.capacity_of(entity) is not None:
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
    burst, hidden = settle_burst(after, index, terms)
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
        cost_delta=bill.cost_delta(wish, now),
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
    blocked = judge_state(live)
    blocked += [
        f"{path} holds a secret that the before-image does not have; restore it in the console"
        for path in images.lost_secrets(after)
    ]
    entities = images.entities_of(after)
    units = any(map(images.in_units, entities))
    burst, hidden = settle_burst(after, None, terms, live=config)
    why = f"as it was before {receipt_plan['created_at']}"
    diff = _diff(images.sendable(config), after, hidden, lambda path: why)
    now = _named(images.entities_of(config), entity_name)
    then = _named(entities, entity_name)
    action = "blocked" if blocked else "update" if diff else "no_op"
    change = safety.Change(
        endpoint=endpoint,
        in_units=units,
        before=images.capacity_of(now) if now else None,
        after=(images.capacity_of(then) if then else None) or (0, 0),
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
        cost_delta=bill.returned_cost(receipt_plan["cost_delta"], now, then),
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
    try:
        _require_consistent(data, where)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where} has no usable {error}; plan again") from error
    return data


def _require_consistent(plan: Mapping[str, Any], where: str) -> None:
    """Refuse a plan whose checksum is right, and which would send something else than it shows.

    Raises:
        InputError: its request is not that of its endpoint and its configuration, or its diff is not their difference.
    """
    endpoint, after, units = plan["endpoint"], plan["after"], plan["family"] == "model_units"
    request, before, diff = None, None, []
    if plan["action"] == "create":
        path = CREATE_UNITS_PATH if units else CREATE_PATH
        request = {"method": "POST", "path": path, "body": {"name": endpoint, "config": after}}
        diff = [(path, value) for path, value in _flat(after)]
    elif plan["action"] == "update":
        path = update_path(endpoint, in_units=units)
        request = {"method": "PUT", "path": path, "body": update_body(after, in_units=units)}
        before = images.active_config(plan["before"])
        diff = [(one.path, one.after) for one in images.differences(before, after)]
    shown = [(one["path"], one["after"]) for one in plan["diff"]]
    # Burst scaling is shown where it changes or was not known, which the before-image cannot tell.
    hidden = [one for one in shown if one not in diff]
    if (
        plan["request"] == request
        and all(one in shown for one in diff)
        and all(path.endswith(BURST) for path, _ in hidden)
    ):
        return
    raise InputError(
        f"{where} contradicts itself: what it would send is not what it shows; plan again"
    )


def invalid(plan: Mapping[str, Any], now: float) -> str | None:
    """Return why it is too late to apply a plan, or too early, or None.

    >>> times = {"created_at": "1970-01-01T01:00:00+00:00", "expires_at": "1970-01-01T02:00:00+00:00"}
    >>> invalid(times, 7200.0)
    'expired at 1970-01-01T02:00:00+00:00'
    >>> invalid(times, 3600.0) is None
    True
    """
    if now >= seconds_of(plan["expires_at"]):
        return f"expired at {plan['expires_at']}"
    if now < seconds_of(plan["created_at"]) - MOST_AHEAD_S:
        return f"was made at {plan['created_at']}, which by the clock of this machine is to come"
    return None


# ------------------------------------------------------------------------------------------ the pieces


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
        before=None if now is None else images.capacity_of(now),
        after=after,
        demand_tokens_per_s=wish.demand_tokens_per_s,
        rated_after_tokens_per_s=capacity.max_chunks * capacity.rated_tokens_per_s,
        feasible=wish.feasible,
        models=(None if now is None else images.model_of(now), wish.model),
        most_cost_increase=terms.most_cost_increase,
    )


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
