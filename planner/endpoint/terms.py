"""On which terms a plan is made: for which workspace, when, and what its user said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planner.endpoint.safety import MOST_COST_INCREASE

VALID_S = 24 * 3600.0
"""How long a plan may be applied (assumed: a review takes a day; it is stale before if the endpoint moves)."""

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
    most_cost_increase: float = MOST_COST_INCREASE
