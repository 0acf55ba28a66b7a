"""JSON as Python source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.endpoint.emit.quoting import quoted

WIDTH = 88


class Name:
    """A variable where a value would stand."""

    def __init__(self, text: str) -> None:
        self.text = text


def literal(value: Any, indent: int = 0) -> str:
    """Return JSON as an expression, on one line if it fits.

    >>> literal({"a": [True, None, "x"], "b": Name("low")})
    '{"a": [True, None, "x"], "b": low}'
    """
    flat = _flat(value)
    if indent + len(flat) <= WIDTH or not isinstance(value, Mapping | list) or not value:
        return flat
    inner = indent + 4
    if isinstance(value, Mapping):
        lines = [f"{quoted(str(key))}: {literal(part, inner)}" for key, part in value.items()]
        return _block("{", lines, "}", indent)
    return _block("[", [literal(part, inner) for part in value], "]", indent)


def _block(begin: str, lines: list[str], end: str, indent: int) -> str:
    space = " " * (indent + 4)
    return "\n".join([begin, *(f"{space}{line}," for line in lines), f"{' ' * indent}{end}"])


def _flat(value: Any) -> str:
    match value:
        case Name():
            return value.text
        case str():
            return quoted(value)
        case Mapping():
            return "{" + ", ".join(f"{quoted(str(k))}: {_flat(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flat, value)) + "]"
        case _:
            return repr(value)
