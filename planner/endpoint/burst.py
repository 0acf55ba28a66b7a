"""Burst scaling of model units: never shown by GET, on where it is left out, and therefore always sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.endpoint import images
from planner.endpoint.images import BURST, Difference
from planner.endpoint.terms import Terms
from simulations.errors import InputError


def settle_burst(
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
        said = said_burst(label, terms, chosen=index == chosen, kept=entity.get(BURST))
        settled[label] = entity[BURST] = said
        if known != said:
            path = f"{images.entities_key(after)}[{label}].{BURST}"
            hidden.append(Difference(path, known, said))
    return settled, hidden


def said_burst(label: str, terms: Terms, *, chosen: bool, kept: bool | None = None) -> bool:
    """Return whether an entity may burst, as it was said, shown or known.

    Args:
        label: of the entity.
        terms: what was said, and what a receipt states.
        chosen: whether it is the entity that is planned.
        kept: what the image shows, where it does.

    Raises:
        InputError: nobody said it.
    """
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
