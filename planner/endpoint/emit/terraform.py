"""A Terraform resource: `databricks_model_serving` for tokens/s, `..._provisioned_throughput` for model units.

Source of attributes and time-outs: databricks/terraform-provider-databricks docs, commit 684f442, 2026-08-22.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from planner.endpoint import images
from planner.endpoint.emit.order import Order
from planner.endpoint.emit.quoting import quoted

TOKENS, UNITS = "databricks_model_serving", "databricks_model_serving_provisioned_throughput"

_UNIT_FIELDS = frozenset({"name", "entity_name", "entity_version", "provisioned_model_units"})
_MAPS = frozenset({"environment_vars", "custom_attributes", "labels"})
_WAIT = "60m"
"""The resource for model units waits 10 minutes by default, and deletes what is not up by then."""


def write(order: Order) -> str:
    """Return the resource, and for an endpoint that exists the import that must come first."""
    kind = UNITS if order.in_units else TOKENS
    lines = []
    if not order.creates:
        lines += [
            "# The endpoint exists: Terraform must know it before it may change it.",
            "import {",
            f"  to = {kind}.{order.label}",
            f"  id = {_text(order.endpoint)}",
            "}",
            "",
        ]
    lines += [
        f"resource {_text(kind)} {_text(order.label)} {{",
        f"  name = {_text(order.endpoint)}",
        "",
        "  config {",
        *_config(order),
        "  }",
        "",
        "  timeouts {",
        f"    create = {_text(_WAIT)}",
        f"    update = {_text(_WAIT)}",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _config(order: Order) -> Iterator[str]:
    indent = " " * 4
    for key, value in order.config.items():
        if key == images.entities_key(order.config):
            for entity in value:
                yield f"{indent}{key} {{"
                yield from _entity(entity, order.in_units, indent + "  ")
                yield f"{indent}}}"
        elif key == "traffic_config":
            yield f"{indent}traffic_config {{"
            for route in value.get("routes") or []:
                yield f"{indent}  routes {{"
                yield from _attributes(_route(route, order.in_units), indent + " " * 4)
                yield f"{indent}  }}"
            yield f"{indent}}}"
        elif key == "auto_capture_config" and not order.in_units:
            yield f"{indent}{key} {{"
            yield from _attributes(value, indent + "  ")
            yield f"{indent}}}"
        elif key != "name":
            yield _beyond(key, value, indent)


def _entity(entity: Mapping[str, Any], in_units: bool, indent: str) -> Iterator[str]:
    known = {
        key: value
        for key, value in entity.items()
        if key in (_UNIT_FIELDS if in_units else images.KNOWN_ENTITY) and key != "external_model"
    }
    yield from _attributes(known, indent)
    for key, value in entity.items():
        if key in known:
            continue
        if key == "external_model" and not in_units:
            yield from _block(key, value, indent)
        elif key == images.BURST:
            yield f"{indent}# Not an attribute of this resource, and left out it is on: {key} = {_value(value)}."
        else:
            yield _beyond(key, value, indent)


def _route(route: Mapping[str, Any], in_units: bool) -> dict[str, Any]:
    """Return a route with the one of its two names that the resource knows."""
    name = route.get("served_entity_name") or route.get("served_model_name")
    return {
        "served_entity_name" if in_units else "served_model_name": name,
        "traffic_percentage": route.get("traffic_percentage"),
    }


def _block(key: str, value: Mapping[str, Any], indent: str) -> Iterator[str]:
    yield f"{indent}{key} {{"
    plain = {k: v for k, v in value.items() if not isinstance(v, Mapping)}
    yield from _attributes(plain, indent + "  ")
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _block(name, inner, indent + "  ")
    yield f"{indent}}}"


def _attributes(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    width = max((len(key) for key in values), default=0)
    for key, value in values.items():
        if re.fullmatch(r"[A-Za-z_][\w-]*", key, re.ASCII):
            yield f"{indent}{key:<{width}} = {_value(value)}"
        else:
            yield _beyond(key, value, indent)


def _beyond(key: str, value: Any, indent: str) -> str:
    text = json.dumps({key: value}, ensure_ascii=True)
    return f"{indent}# Unknown to this resource, and lost if Terraform replaces the configuration: {text}"


def _value(value: Any) -> str:
    """Return a value as HCL.

    >>> _value({"A": "${x}"}), _value([1, True])
    ('{ "A" = "$${x}" }', '[1, true]')
    """
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_text(str(key))} = {_value(part)}" for key, part in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def _text(text: str) -> str:
    """Return a quoted string in which nothing is interpolated.

    >>> _text('a "b" ${c} %{d}')
    '"a \\\\"b\\\\" $${c} %%{d}"'
    """
    return re.sub(r"([$%])\{", r"\1\1{", quoted(text))
