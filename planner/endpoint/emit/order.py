"""What every writer writes: one request, and what is worth saying beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.endpoint import images
from planner.endpoint.wish import Wish, create_wish
from simulations.capacity import TokenChunks
from simulations.errors import InputError, Refused


@dataclass(frozen=True, slots=True)
class Order:
    """A request to create an endpoint or to replace its configuration.

    Args:
        creates: whether there is no endpoint yet.
        endpoint: its name.
        method, path, body: HTTP.
        config: the configuration in the body, which is wrapped in some and not in others.
        in_units: whether it is sold in model units.
        entity: the place of the entity that ptplan planned.
        chunk_tokens_per_s: the chunk it was planned for; None for model units and where not known.
    """

    creates: bool
    endpoint: str
    method: str
    path: str
    body: Mapping[str, Any]
    config: Mapping[str, Any]
    in_units: bool
    entity: int
    chunk_tokens_per_s: int | None

    @property
    def planned(self) -> dict[str, Any]:
        """The entity that ptplan planned."""
        return images.entities_of(self.config)[self.entity]

    @property
    def label(self) -> str:
        """A name for files and resources: letters, digits and underscores.

        >>> Order(True, "9-chat.pt", "", "", {}, {}, False, 0, None).label
        'endpoint_9_chat_pt'
        """
        safe = re.sub(r"\W", "_", self.endpoint, flags=re.ASCII).lower()
        return safe if safe[:1].isalpha() else f"endpoint_{safe.lstrip('_')}"


def from_wish(wish: Wish, *, burst: bool | None = None) -> Order:
    """Return the order that creates what a recommendation asks for.

    Raises:
        InputError: the version is missing, or for model units whether they may burst.
    """
    if wish.in_units and burst is None:
        raise InputError(
            f"{wish.model} is sold in model units: say whether it may burst beyond them with --burst on|off"
        )
    request = create_wish(wish, burst=bool(burst))
    size = wish.capacity.size_tokens_per_s if isinstance(wish.capacity, TokenChunks) else None
    return Order(
        creates=True,
        endpoint=wish.endpoint,
        method=request.method,
        path=request.path,
        body=request.body,
        config=request.body["config"],
        in_units=wish.in_units,
        entity=0,
        chunk_tokens_per_s=size,
    )


def from_plan(plan: Mapping[str, Any]) -> Order:
    """Return the order of a plan.

    Raises:
        Refused: it is blocked.
        InputError: it changes nothing.
    """
    if plan["action"] == "blocked":
        raise Refused(f"the plan is blocked: {'; '.join(plan['blocked'])}")
    if plan["request"] is None:
        raise InputError(
            f"the plan leaves {plan['endpoint']} as it is, so there is no request to write"
        )
    labels = [images.label_of(one, i) for i, one in enumerate(images.entities_of(plan["after"]))]
    in_units = plan["family"] == "model_units"
    step = (plan["cost_delta"] or {}).get("step")
    return Order(
        creates=plan["action"] == "create",
        endpoint=plan["endpoint"],
        method=plan["request"]["method"],
        path=plan["request"]["path"],
        body=plan["request"]["body"],
        config=plan["after"],
        in_units=in_units,
        entity=labels.index(plan["entity"]) if plan["entity"] in labels else 0,
        chunk_tokens_per_s=None if in_units or step is None else int(step),
    )
