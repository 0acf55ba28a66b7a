"""A resource of an Asset Bundle, as YAML: block style, every text in quotes.

Source of the fields: databricks/cli jsonschema, commit 7bbe285, 2026-08-21.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from planner.endpoint import images
from planner.endpoint.emit.order import Order
from planner.endpoint.emit.quoting import quoted

WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""What YAML reads as something else than text, in any case of letters (YAML 1.1)."""


def write(order: Order) -> str:
    """Return `resources`, to be put into databricks.yml or a file that it includes."""
    key = images.entities_key(order.config)
    beyond: list[str] = []
    config: dict[str, Any] = {}
    for name, value in order.config.items():
        if name == key:
            config[name] = [_entity(one, beyond) for one in value]
        elif name in images.KNOWN_CONFIG - {"name"}:
            config[name] = value
        else:
            beyond.append(json.dumps({name: value}))
    resource = {"name": order.endpoint, "config": config}
    document = {"resources": {"model_serving_endpoints": {order.label: resource}}}
    lines = [
        f"# Unknown to bundles, and lost if one replaces the configuration: {text}"
        for text in beyond
    ]
    if re.search(r"\$\{", json.dumps(document)):
        lines.append(
            "# Bundles put something else in the place of ${...}, and have no escape for it: check it."
        )
    if not order.creates:
        lines += [
            "# The endpoint exists: bind it before the first deployment, or that creates it anew:",
            f"# databricks bundle deployment bind {order.label} {order.endpoint}",
        ]
    return "\n".join([*lines, *_lines(document, 0)]) + "\n"


def _entity(entity: Mapping[str, Any], beyond: list[str]) -> dict[str, Any]:
    label = images.label_of(entity)
    beyond += [
        json.dumps({f"{label}.{key}": value})
        for key, value in entity.items()
        if key not in images.KNOWN_ENTITY
    ]
    return {key: value for key, value in entity.items() if key in images.KNOWN_ENTITY}


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Yield a mapping or a list in block style."""
    indent = "  " * depth
    if isinstance(value, Mapping):
        for key, part in value.items():
            plain = key.isidentifier() and key.lower() not in WORDS_OF_YAML
            shown = key if plain else quoted(key)
            if isinstance(part, Mapping | list) and part:
                yield f"{indent}{shown}:"
                yield from _lines(part, depth + 1)
            else:
                yield f"{indent}{shown}: {_scalar(part)}"
        return
    for part in value:
        if isinstance(part, Mapping | list) and part:
            first, *rest = _lines(part, depth + 1)
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {_scalar(part)}"


def _scalar(value: Any) -> str:
    """Return a scalar.

    >>> _scalar("3"), _scalar(True), _scalar({})
    ('"3"', 'true', '{}')
    """
    return quoted(value) if isinstance(value, str) else json.dumps(value)
