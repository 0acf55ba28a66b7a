"""A command of the Databricks CLI. Source: databricks/cli, commit 7bbe285, 2026-08-21."""

from __future__ import annotations

import json
import shlex

from planner.endpoint.emit.order import Order


def write(order: Order) -> str:
    """Return a command that waits up to an hour."""
    body = json.dumps(order.body, indent=2, allow_nan=False)
    if order.creates:
        verb = "create-provisioned-throughput-endpoint" if order.in_units else "create"
        words = ["databricks", "serving-endpoints", verb]
    else:
        verb = (
            "update-provisioned-throughput-endpoint-config" if order.in_units else "update-config"
        )
        words = ["databricks", "serving-endpoints", verb, order.endpoint]
    return f"{shlex.join(words)} --timeout 60m --json {shlex.quote(body)}\n"
