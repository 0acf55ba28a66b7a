"""What a plan costs an hour and a month, before and after, at the minimum and at the maximum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.endpoint import images
from planner.endpoint.wish import HOURS_PER_MONTH, Wish
from simulations.capacity import TokenChunks


def cost_delta(wish: Wish, now: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what it costs an hour and a month at its minimum and at its maximum, before and after."""
    capacity = wish.capacity
    step = capacity.size_tokens_per_s if isinstance(capacity, TokenChunks) else capacity.step_units
    held = None if now is None else images.capacity_of(now)
    before = (
        (0.0, 0.0) if now is None else None if held is None else (held[0] / step, held[1] / step)
    )
    return _costs(
        before,
        (float(capacity.min_chunks), float(capacity.max_chunks)),
        usd=wish.usd_per_chunk_hour,
        step=step,
        source=wish.price_source
        or "no price was seen together with this chunk, and none was given",
    )


def returned_cost(
    made: Mapping[str, Any], now: Mapping[str, Any] | None, then: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what going back costs, at the price and by the step of the plan that is undone."""
    step = made["step"]

    def chunks(entity: Mapping[str, Any] | None) -> tuple[float, float] | None:
        held = None if entity is None else images.capacity_of(entity)
        return None if held is None else (held[0] / step, held[1] / step)

    return _costs(
        chunks(now),
        chunks(then),
        usd=made["usd_per_chunk_hour"],
        step=step,
        source=made["price_source"],
    )


def _costs(
    before: tuple[float, float] | None,
    after: tuple[float, float] | None,
    *,
    usd: float | None,
    step: float,
    source: str,
) -> dict[str, Any]:
    def amounts(chunks: tuple[float, float] | None) -> dict[str, Any]:
        known = chunks is not None and usd is not None
        at_min = chunks[0] * usd if known else None  # type: ignore[index,operator]
        at_max = chunks[1] * usd if known else None  # type: ignore[index,operator]
        return {
            "chunks_at_min": None if chunks is None else chunks[0],
            "chunks_at_max": None if chunks is None else chunks[1],
            "usd_per_hour_at_min": at_min,
            "usd_per_hour_at_max": at_max,
            "usd_per_month_at_min": None if at_min is None else at_min * HOURS_PER_MONTH,
            "usd_per_month_at_max": None if at_max is None else at_max * HOURS_PER_MONTH,
        }

    old, new = amounts(before), amounts(after)
    return {
        "before": old,
        "after": new,
        "delta": {
            key: None if old[key] is None or new[key] is None else new[key] - old[key]
            for key in old
        },
        "usd_per_chunk_hour": usd,
        "price_source": source,
        "step": step,
    }
