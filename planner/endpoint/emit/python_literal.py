"""JSON as Python source."""

from __future__ import annotations

import pprint
from typing import Any


class Name:
    """A variable where a value would stand."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def literal(value: Any) -> str:
    """Return JSON as an expression, wide values over several lines.

    >>> literal({"a": [True, None, "x"], "b": Name("low")})
    "{'a': [True, None, 'x'], 'b': low}"
    """
    return pprint.pformat(value, width=88, sort_dicts=False)
