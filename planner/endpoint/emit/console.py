"""The clicks in the workspace. Source: docs.databricks.com, create your provisioned throughput endpoint using the
UI, read 2026-11-22."""

from __future__ import annotations

from planner.endpoint import images
from planner.endpoint.emit.order import Order
from planner.line import one_line


def write(order: Order) -> str:
    """Return the clicks, numbered."""
    entity = order.planned
    model = one_line(images.model_of(entity))
    version = one_line(entity.get("entity_version") or entity.get("model_version"))
    if order.creates:
        steps = [
            'Go to "Serving" in the workspace.',
            'Click "Create serving endpoint".',
            f"Name: {order.endpoint}",
            f'In the field "Entity" choose {model} from Unity Catalog, version {version}.',
        ]
    else:
        steps = [
            'Go to "Serving" in the workspace.',
            f'Open {order.endpoint} and click "Edit".',
            f"Go to the served entity {one_line(images.label_of(entity))} ({model}); choose version {version}.",
        ]
    if order.in_units:
        burst = "on" if entity.get(images.BURST) else "off"
        steps += [
            f"Model units: {entity['provisioned_model_units']}",
            f"Burst scaling: {burst}",
        ]
    else:
        low, high = (entity[f"{end}_provisioned_throughput"] for end in ("min", "max"))
        steps += [
            f'In the list "Up to" choose {high} tokens per second.',
            f'Click "Modify" and set the minimum to {low} tokens per second.',
        ]
    steps.append(f'Click "{"Create" if order.creates else "Update"}" and wait until it is Ready.')
    return "".join(f"{number}. {step}\n" for number, step in enumerate(steps, start=1))
