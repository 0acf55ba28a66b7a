"""The named rules that a change has to pass: what trips one is sent with --force only, and with the name typed.

Each rule looks at a change and returns a sentence or nothing. A stale or expired plan is no matter of rules:
that is never sent, forced or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from planner.endpoint.request import require_endpoint_name
from reports import numbers
from simulations.errors import InputError

MOST_COST_INCREASE = 0.5
"""Share by which the bill may rise unasked (assumed: half as much again is worth a second look)."""

LEAST_LEFT = 0.5
"""Share of a capacity that must be left unasked (assumed)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the rules look at.

    Args:
        endpoint: its name.
        in_units: whether capacity is in model units, else in tokens/s.
        before: (minimum, maximum) now; None where there is no endpoint yet.
        after: (minimum, maximum) to come.
        demand_tokens_per_s: the busiest stretch measured.
        rated_after_tokens_per_s: what the maximum is rated for.
        feasible: whether the promise is kept, in simulation.
        models: (now, to come).
        most_cost_increase: share by which the bill may rise.
        drifted: for a rollback: what somebody else changed since.
    """

    endpoint: str
    in_units: bool
    before: tuple[float, float] | None
    after: tuple[float, float]
    demand_tokens_per_s: float | None = None
    rated_after_tokens_per_s: float | None = None
    feasible: bool = True
    models: tuple[str | None, str | None] = (None, None)
    most_cost_increase: float = MOST_COST_INCREASE
    drifted: tuple[str, ...] = ()


def tripped(change: Change) -> list[dict[str, str]]:
    """Return the rules that a change trips, each with a sentence.

    >>> [one["rule"] for one in tripped(Change("chat", False, (1900, 3800), (0, 3800)))]
    ['min-to-zero', 'shrink']
    """
    found = []
    for rule, judge in RULES.items():
        text = judge(change)
        if text is not None:
            found.append({"rule": rule, "text": text})
    return found


def _name(change: Change) -> str | None:
    try:
        require_endpoint_name(change.endpoint)
    except InputError as error:
        return str(error)
    return None


def _cost(change: Change) -> str | None:
    if change.before is None:
        return None
    for what, now, then in zip(("minimum", "maximum"), change.before, change.after, strict=True):
        if now > 0 and then > now * (1 + change.most_cost_increase):
            return (
                f"the hourly cost at the {what} rises by {numbers.percent(then / now - 1)}, and "
                f"{numbers.percent(change.most_cost_increase)} is the most without a second look (--max-cost-increase)"
            )
    return None


def _demand(change: Change) -> str | None:
    if change.demand_tokens_per_s is None or change.rated_after_tokens_per_s is None:
        return None
    if change.rated_after_tokens_per_s >= change.demand_tokens_per_s:
        return None
    return (
        f"the maximum is rated {numbers.tokens_per_s(change.rated_after_tokens_per_s)}, and the busiest stretch "
        f"of the traffic offered {numbers.tokens_per_s(change.demand_tokens_per_s)}"
    )


def _promise(change: Change) -> str | None:
    if change.feasible:
        return None
    return "the recommendation itself says that this range misses the promise"


def _zero(change: Change) -> str | None:
    if change.after[0] > 0 or (change.before is not None and change.before[0] == 0):
        return None
    return "the minimum is 0: an idle endpoint stops, and its next request waits for a cold start of minutes"


def _shrink(change: Change) -> str | None:
    if change.before is None:
        return None
    unit = "model units" if change.in_units else "tokens/s"
    for what, now, then in zip(("minimum", "maximum"), change.before, change.after, strict=True):
        if then < now * LEAST_LEFT:
            return f"the {what} shrinks by more than half, from {numbers.count(now)} to {numbers.count(then)} {unit}"
    return None


def _model(change: Change) -> str | None:
    now, then = change.models
    if now is None or now == then:
        return None
    return f"the entity serves {now} now and would serve {then}"


def _drift(change: Change) -> str | None:
    if not change.drifted:
        return None
    return (
        f"somebody else changed the endpoint since, and rolling back would undo that too: "
        f"{', '.join(change.drifted)}"
    )


RULES: dict[str, Callable[[Change], str | None]] = {
    "name": _name,
    "cost-up": _cost,
    "below-demand": _demand,
    "promise-missed": _promise,
    "min-to-zero": _zero,
    "shrink": _shrink,
    "other-model": _model,
    "foreign-edit": _drift,
}
"""By name, in the order in which they are told."""


def describe_rules() -> list[str]:
    """Return the names of all rules."""
    return list(RULES)


def as_texts(rules: list[dict[str, Any]]) -> str:
    """Return tripped rules in one line."""
    return "; ".join(f"{one['rule']}: {one['text']}" for one in rules)
