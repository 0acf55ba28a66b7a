"""Making a plan against a live workspace: the two or three reads that it takes, and nothing that writes."""

from __future__ import annotations

from typing import Any

from planner.endpoint import images, plans
from planner.endpoint.client import Rejected, Workspace
from planner.endpoint.eligibility import ask
from planner.endpoint.terms import Terms
from planner.endpoint.wish import Wish


def plan_live(wish: Wish, workspace: Workspace, terms: Terms) -> dict[str, Any]:
    """Return the plan that brings the live endpoint to a wish.

    Raises:
        InputError: something must be said first.
        WorkspaceError: the workspace could not be asked, or has no such model.
    """
    live = workspace.get(wish.endpoint)
    version = wish.model_version
    if version is None and live is not None:
        serving = images.entities_of(images.active_config(live))
        version = next(
            (
                str(one["entity_version"])
                for one in serving
                if one.get("entity_name") == wish.model and one.get("entity_version")
            ),
            None,
        )
    model = None
    if version is not None:
        try:
            model = ask(workspace, wish.model, version)
        except Rejected:
            # Whoever may manage an endpoint need not be allowed to see the model; the plan says so.
            model = None
    return plans.plan_change(wish, live, model, terms)
