"""Back to the configuration from before: the plan that restores a receipt's before-image, or why there is none.

The plan is made against what is live now, so that it is reviewed like any other and carried out by the same steps.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.endpoint import images, plans
from planner.endpoint.images import BURST
from planner.endpoint.receipts import NEW
from planner.endpoint.rollout import SET_BY_WORKSPACE
from planner.endpoint.terms import Terms
from reports import numbers
from simulations.errors import InputError, Refused


def plan_rollback(
    receipt: Mapping[str, Any], live: Mapping[str, Any] | None, terms: Terms
) -> dict[str, Any]:
    """Return the plan that undoes what a receipt tells.

    Raises:
        InputError: nothing was done, or it is not finished.
        Refused: a create, which only a deletion would undo; the endpoint is gone; or what burst scaling was before
            is not known.
    """
    plan, endpoint = receipt["plan"], receipt["endpoint"]
    if plan["host"] != terms.host:
        raise Refused(
            f"the receipt is for {plan['host']}, and this is {terms.host}; check --host and --profile"
        )
    if plan["action"] == "create":
        raise Refused(create_text(plan))
    if receipt["phase"] == NEW and receipt["state"] != "applied":
        raise InputError(f"nothing was changed on {endpoint} by this receipt; nothing to roll back")
    if receipt["state"] == "in_progress":
        raise InputError(f"this apply is not finished; first: {receipt['resume']}")
    if live is None:
        raise Refused(
            f"{endpoint} is gone; rolling back restores a configuration and creates no endpoint"
        )
    known = {**burst_before(plan), **terms.known_burst}
    drifted = [
        f"{one.path} {one.before} \N{RIGHTWARDS ARROW} {one.after}"
        for one in images.differences(plan["after"], images.active_config(live))
        if not one.path.endswith(SET_BY_WORKSPACE)
    ]
    if live.get("id") != (plan["before"] or {}).get("id"):
        drifted.insert(0, "the endpoint was deleted and created anew")
    restored = images.sendable(images.active_config(plan["before"]))
    if not drifted and not images.differences(restored, images.active_config(live)):
        # Where the only change was to burst scaling, the two images look alike.
        drifted = []
    for index, entity in enumerate(images.entities_of(restored)):
        label = images.label_of(entity, index)
        said = terms.burst.get(label, terms.burst.get("") if label == plan["entity"] else None)
        if (
            images.in_units(entity)
            and entity.get(BURST) is None
            and said is None
            and label not in known
        ):
            raise Refused(
                f"whether {label} could burst before is not known (the workspace does not show it, and left out it "
                "would be on); say it with --burst on|off"
            )
    return plans.plan_return(
        plan,
        plan["before"],
        live,
        replace(terms, entity=plan["entity"], known_burst=known),
        drifted=drifted if images.differences(restored, images.active_config(live)) else [],
    )


def burst_before(plan: Mapping[str, Any]) -> dict[str, bool]:
    """Return what burst scaling was before a plan, by entity, as far as the plan knows."""
    changed = {one["path"]: one["before"] for one in plan["diff"] if one["path"].endswith(BURST)}
    found: dict[str, bool] = {}
    for label, said in plan["burst"].items():
        before = next(
            (value for path, value in changed.items() if path.endswith(f"[{label}].{BURST}")), said
        )
        if before is not None:
            found[label] = before
    return found


def create_text(plan: Mapping[str, Any]) -> str:
    """Return why a create is not rolled back, how to do it oneself, and what leaving it costs."""
    after = plan["cost_delta"]["after"]
    low, high = after["usd_per_hour_at_min"], after["usd_per_hour_at_max"]
    cost = (
        f"{numbers.usd(low)} an hour"
        if low is not None and low == high
        else f"{numbers.usd(low)} an hour at its minimum and {numbers.usd(high)} at its maximum"
        if low is not None
        else f"{numbers.counted(after['chunks_at_min'], 'chunk')} an hour at its minimum and "
        f"{numbers.counted(after['chunks_at_max'], 'chunk')} at its maximum (no price is known)"
    )
    command = shlex.join(["databricks", "serving-endpoints", "delete", plan["endpoint"]])
    return (
        f"{plan['endpoint']} did not exist before, and ptplan deletes nothing. To delete it: {command}. Leaving it costs "
        f"{cost}"
    )
