"""Time as a whole number: 1 tick is 10 ps. Knows nothing of requests or endpoints.

Sums of thousands of iterations stay exact, so an engine that jumps over them equals
one that steps through them with `==`. Everything a user sees is in seconds.
"""

from __future__ import annotations

import math

from simulations.errors import ScenarioError

TICKS_PER_S = 100_000_000_000
"""Ticks in a second (design decision, 2026-11-22)."""

NEVER = 1 << 62
"""The end of representable time, 1.46 years of ticks; also the word for 'not at all'."""


def to_ticks(seconds: float, *, name: str = "duration") -> int:
    """Return the whole number of ticks nearest to a duration.

    Args:
        seconds: duration in seconds, 0 <= seconds < 1.46 years.
        name: what the duration is, for the error.

    Raises:
        ScenarioError: the duration is negative, not a number, or too long.

    >>> to_ticks(0.5)
    50000000000
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ScenarioError(f"{name} is {seconds} s; must be a finite number >= 0")
    ticks = round(seconds * TICKS_PER_S)
    if ticks >= NEVER:
        raise ScenarioError(
            f"{name} is {seconds:.6g} s; must be below {NEVER // TICKS_PER_S} s (1.46 years)"
        )
    return ticks


def to_seconds(ticks: int) -> float:
    """Return ticks as seconds.

    >>> to_seconds(50_000_000_000)
    0.5
    """
    return ticks / TICKS_PER_S
