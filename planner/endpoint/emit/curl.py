"""One curl command. The token is read from the environment and comes in by stdin, so that no list of
processes shows it."""

from __future__ import annotations

import json
import shlex

from planner.endpoint.emit.order import Order


def write(order: Order) -> str:
    """Return a command for a shell with printf; needs curl 7.76."""
    body = json.dumps(order.body, indent=2, allow_nan=False)
    return (
        "# DATABRICKS_HOST is https://..., DATABRICKS_TOKEN a token\n"
        "printf 'Authorization: Bearer %s\\n' \"$DATABRICKS_TOKEN\" |\n"
        f"curl --fail-with-body --silent --show-error --request {order.method} \\\n"
        f'  "${{DATABRICKS_HOST%/}}"{shlex.quote(order.path)} \\\n'
        "  --header @- --header 'Content-Type: application/json' \\\n"
        f"  --data-raw {shlex.quote(body)}\n"
    )
