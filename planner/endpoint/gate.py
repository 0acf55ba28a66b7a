"""The gate before anything is sent: is a plan still for the endpoint that is there, in time, and safe?

Looks at a plan and an image, and sends nothing. What is stale or late no flag lets through; what is unsafe `--force` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.endpoint import images, plans, safety
from planner.endpoint.condition import in_progress
from planner.endpoint.images import Difference
from planner.line import one_line
from simulations.errors import Refused


def require_current(plan: Mapping[str, Any], live: Mapping[str, Any] | None, now: float) -> bool:
    """Refuse a plan that must not be applied; return whether the endpoint already is as planned.

    No flag overrides this.

    Raises:
        Refused: it is blocked or expired, or the endpoint is not what the plan was made for.
    """
    endpoint = plan["endpoint"]
    if plan["action"] == "blocked":
        raise Refused(f"the plan for {endpoint} is blocked: {'; '.join(plan['blocked'])}")
    if already(plan, live):
        return True
    late = plans.invalid(plan, now)
    if late:
        raise Refused(f"the plan for {endpoint} {late}; nothing was sent; plan again")
    reason = stale(plan, live)
    if reason:
        raise Refused(f"the plan for {endpoint} is stale: {reason}; nothing was sent; plan again")
    return bool(plan["action"] == "no_op")


def require_safe(plan: Mapping[str, Any], *, force: bool) -> None:
    """Refuse a plan that trips a safety rule, unless it is forced.

    Raises:
        Refused: naming each rule.
    """
    if plan["safety"] and not force:
        raise Refused(
            f"{plan['endpoint']} is not changed, for safety: {safety.as_texts(plan['safety'])}; nothing was sent; "
            "--force overrides these rules"
        )


def already(plan: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Return whether an endpoint is as planned, and was not when the plan was made.

    Burst scaling cannot be seen, so that where it is to be changed only a receipt can tell.
    """
    if live is None or plan["after"] is None or in_progress(live):
        return False
    config = images.active_config(live)
    if plan["action"] == "create":
        return not images.unmet(plan["after"], config)
    if live.get("id") != before_id(plan) or images.differences(plan["after"], config):
        return False
    return plan["action"] == "no_op" or not (
        plan["burst"] or images.fingerprint(live) == plan["fingerprint"]
    )


def stale(plan: Mapping[str, Any], live: Mapping[str, Any] | None) -> str | None:
    """Return how an endpoint moved since a plan was made for it, or None."""
    if plan["action"] == "create":
        if live is None:
            return None
        if in_progress(live):
            return "an endpoint of this name is being created"
        apart = told(images.unmet(plan["after"], images.active_config(live)))
        return f"an endpoint of this name exists now, and is not as planned: {apart}"
    if live is None:
        return "the endpoint is gone"
    if live.get("id") != before_id(plan):
        return "the endpoint was deleted and created anew"
    if in_progress(live):
        return "an update is in progress"
    config = images.active_config(live)
    found, expected = images.version_of(config), plan["config_version"]
    apart = told(images.differences(images.active_config(plan["before"]), config))
    if found != expected:
        return f"its config_version is {found}, and the plan was made at {expected}" + (
            f" ({apart})" if apart else ""
        )
    if images.fingerprint(live) != plan["fingerprint"]:
        return f"its configuration changed ({apart or 'the fingerprint moved'})"
    return None


def before_id(plan: Mapping[str, Any]) -> Any:
    """Return which endpoint a plan was made for; None if there was none."""
    return (plan["before"] or {}).get("id")


def told(apart: list[Difference]) -> str:
    """Return differences in one line."""
    return ", ".join(
        f"{one.path} {_shown(one.before)} \N{RIGHTWARDS ARROW} {_shown(one.after)}" for one in apart
    )


def _shown(value: Any) -> str:
    return "absent" if value is None else one_line(value)
