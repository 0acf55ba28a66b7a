"""A plan in words: what stands beside its diff, for the terminal, a pull request and the app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from planner.line import one_line
from reports import numbers

TITLES = {
    "create": "create",
    "update": "change",
    "no_op": "leave as it is",
    "blocked": "blocked",
}
SUMMARIES = {
    "create": "Plan: 1 endpoint to create, 0 to change.",
    "update": "Plan: 0 endpoints to create, 1 to change.",
    "no_op": "No changes: the endpoint already is as recommended.",
    "blocked": "Blocked: nothing can be applied.",
}


def facts(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what stands below the diff, each with its label."""
    if plan["kept_entities"]:
        names = ", ".join(plan["kept_entities"])
        yield (
            "kept",
            f"other served entities, as they are: {names}",
        )
    if plan["unknown_keys"]:
        yield (
            "kept",
            f"fields unknown to ptplan, sent back as they came: {', '.join(plan['unknown_keys'])}",
        )
    if plan["cost_delta"]:
        noun = "step" if plan["family"] == "model_units" else "chunk"
        yield from _cost_facts(plan["cost_delta"], plan["action"], noun)
    if plan["predicted"]:
        yield from _predicted_facts(plan["predicted"])
    if plan["request"]:
        yield "request", f"{plan['request']['method']} {plan['request']['path']}"
        moved = (
            ""
            if plan["config_version"] is None
            else f", while config_version is {plan['config_version']}"
        )
        yield "valid", f"until {numbers.moment(plan['expires_at'])}{moved}"


def _cost_facts(cost: Mapping[str, Any], action: str, noun: str) -> Iterator[tuple[str, str]]:
    before, after, delta = cost["before"], cost["after"], cost["delta"]
    if after["chunks_at_max"] is None:
        return
    if after["usd_per_hour_at_min"] is None:
        yield (
            "cost",
            f"unknown: {cost['price_source']}; {held_text(after, noun)}"
            + (
                ""
                if action == "create" or before["chunks_at_max"] is None
                else f", {held_text(before, noun)} now"
            ),
        )
        return
    yield (
        "cost",
        f"{_money(after['usd_per_hour_at_min'], after['usd_per_hour_at_max'])} an hour, "
        f"{_money(after['usd_per_month_at_min'], after['usd_per_month_at_max'])} a month (minimum to maximum)",
    )
    if action != "create" and delta["usd_per_hour_at_min"] is not None:
        yield (
            "",
            f"now {_money(before['usd_per_hour_at_min'], before['usd_per_hour_at_max'])} an hour; the minimum costs "
            f"{_apart(delta['usd_per_hour_at_min'], delta['usd_per_month_at_min'])}, the maximum "
            f"{_apart(delta['usd_per_hour_at_max'], delta['usd_per_month_at_max'])}",
        )


def _predicted_facts(predicted: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    reached = (predicted.get("attainment") or {}).get("all")
    parts = []
    if reached is not None:
        parts.append(f"{numbers.percent(reached)} of requests within every limit")
    if predicted.get("refused_fraction") is not None:
        parts.append(f"{numbers.percent(predicted['refused_fraction'])} refused")
    if predicted.get("usd_per_hour") is not None:
        parts.append(
            f"{numbers.usd(predicted['usd_per_hour'])} an hour, {numbers.usd(predicted['usd_per_month'])} a month"
        )
    if parts:
        yield "predicted", f"{', '.join(parts)} ({predicted.get('confidence')})"


def held_text(amounts: Mapping[str, Any], noun: str) -> str:
    """Return how much is billed, where no price is known.

    Args:
        amounts: of a plan's `cost_delta`, before or after.
        noun: chunk, or step where it is sold in model units.

    >>> held_text({"chunks_at_min": 4, "chunks_at_max": 4}, "step")
    '4 steps'
    """
    low, high = amounts["chunks_at_min"], amounts["chunks_at_max"]
    most = numbers.counted(high, noun)
    return most if low == high else f"{numbers.count(low)} to {most}"


def _money(low: float, high: float) -> str:
    return numbers.usd(low) if low == high else f"{numbers.usd(low)} to {numbers.usd(high)}"


def _apart(usd_per_hour: float, usd_per_month: float) -> str:
    """Return how much more or less something costs."""
    if usd_per_hour == 0:
        return "the same"
    word = "more" if usd_per_hour > 0 else "less"
    return f"{numbers.usd(abs(usd_per_hour))} an hour {word} ({numbers.usd(abs(usd_per_month))} a month)"


def value_text(value: Any) -> str:
    """Return a value of a configuration as a reviewer reads it."""
    if value is None:
        return "(absent)"
    if isinstance(value, bool):
        return str(value).lower()
    return one_line(value)
