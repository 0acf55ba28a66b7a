"""Method, path and body as JSON."""

from __future__ import annotations

import json

from planner.endpoint.emit.order import Order


def write(order: Order) -> str:
    """Return the request as one JSON object."""
    request = {"method": order.method, "path": order.path, "body": order.body}
    return json.dumps(request, indent=2, allow_nan=False) + "\n"
