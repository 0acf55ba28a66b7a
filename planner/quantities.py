"""Durations and shares as people write them: `500ms`, `2s`, `7d`, `0.1%`. Text in, numbers out."""

from __future__ import annotations

import math
import re

from simulations.errors import InputError

SECONDS = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
_NUMBER = r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*"


def parse_duration(text: str, *, name: str = "duration") -> float:
    """Return seconds from a number with its unit.

    Raises:
        InputError: there is no unit, or it is not one of ms, s, m, h, d, w.

    >>> parse_duration("500ms"), parse_duration("5m")
    (0.5, 300.0)
    """
    found = re.fullmatch(_NUMBER + "([a-z]+)\\s*", str(text))
    if not found or found[2] not in SECONDS:
        raise InputError(
            f"{name} is {text!r}; must be a number with a unit, such as 500ms, 2s, 5m, 1h, 7d"
        )
    return float(found[1]) * SECONDS[found[2]]


def parse_share(text: str, *, name: str = "share") -> float:
    """Return a fraction of 1 from a percentage or a fraction.

    Raises:
        InputError: it is neither, or outside 0..1.

    >>> parse_share("0.1%"), parse_share("0.9")
    (0.001, 0.9)
    """
    found = re.fullmatch(_NUMBER + "(%?)\\s*", str(text))
    # Through the digits rather than by division: 0.1% is to be the float nearest to 0.001.
    share = (
        float(f"{found[1]}e-2" if found[2] and "e" not in found[1].lower() else found[1])
        if found
        else math.nan
    )
    if not 0.0 <= share <= 1.0:
        raise InputError(
            f"{name} is {text!r}; must be a share such as 0.1% or 0.001, between 0 and 100%"
        )
    return share


def parse_budget(text: str, *, name: str = "--budget") -> float:
    """Return USD a month, with or without the unit written behind.

    Raises:
        InputError: it is no amount above 0.

    >>> parse_budget("5000usd/month"), parse_budget("5,000"), parse_budget("USD 1.5e4 / month")
    (5000.0, 5000.0, 15000.0)
    """
    bare = str(text).replace(",", "").replace("_", "").strip().lower().removeprefix("usd")
    found = re.fullmatch(_NUMBER + r"(?:usd)?\s*(?:/\s*(?:month|mo))?\s*", bare)
    amount = float(found[1]) if found else math.nan
    if not 0 < amount < math.inf:
        raise InputError(f"{name} is {text!r}; must be USD a month above 0, such as 5000")
    return amount
