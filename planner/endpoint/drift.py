"""Drift: does an endpoint still equal what was applied? Data in, differences out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.endpoint import images
from planner.endpoint.condition import state_words
from planner.endpoint.images import Difference
from simulations.errors import InputError


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of what was applied.

    Args:
        differences: fields that are not as applied, `before` as applied and `after` as they are.
        notes: what else to know.
    """

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def drifted(self) -> bool:
        """Whether anything is not as applied."""
        return bool(self.differences)

    def as_dict(self) -> dict[str, Any]:
        """Return it as `ptplan verify --json` prints it."""
        return {
            "drifted": self.drifted,
            "differences": [one._asdict() for one in self.differences],
            "notes": list(self.notes),
        }


def drift(receipt: Mapping[str, Any], live: Mapping[str, Any] | None) -> Drift:
    """Return how an endpoint differs from what a receipt says was applied.

    Raises:
        InputError: nothing was applied by it.
    """
    if receipt["state"] != "applied":
        further = f"; first: {receipt['resume']}" if receipt["state"] == "in_progress" else ""
        raise InputError(
            f"the receipt is of an apply that is {receipt['state'].replace('_', ' ')}, so there is nothing to "
            f"compare with{further}"
        )
    applied = receipt["readback"]
    if live is None:
        return Drift((Difference("endpoint", receipt["endpoint"], None),), ("it is gone",))
    config, then = images.active_config(live), images.active_config(applied)
    found = images.differences(then, config)
    notes = []
    if live.get("id") != applied.get("id"):
        found.insert(0, Difference("id", applied.get("id"), live.get("id")))
        notes.append("it was deleted and created anew: its permissions may be gone too")
    update = (live.get("state") or {}).get("config_update")
    if update == "IN_PROGRESS":
        coming = images.coming_config(live)
        found += [
            Difference(f"pending: {one.path}", one.before, one.after)
            for one in images.differences(config, coming)
        ]
    if (live.get("state") or {}).get("ready") != "READY" or update != "NOT_UPDATING":
        notes.append(f"it is {state_words(live)}")
    versions = images.version_of(then), images.version_of(config)
    if versions[0] != versions[1]:
        notes.append(
            f"config_version was {versions[0]} and is {versions[1]}: somebody sent a configuration since"
            + ("" if found else ", with the same content")
        )
    if receipt["burst"]:
        notes.append("whether burst scaling is still as it was sent cannot be read back")
    return Drift(tuple(found), tuple(notes))
