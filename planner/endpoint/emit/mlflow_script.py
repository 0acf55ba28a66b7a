"""A script on the MLflow Deployments client, which has no call for model units."""

from __future__ import annotations

from planner.endpoint.emit.order import Order
from planner.endpoint.emit.python_literal import literal
from simulations.errors import InputError

_HEAD = """\
from mlflow.deployments import get_deploy_client

# Signs in by DATABRICKS_HOST and DATABRICKS_TOKEN; does not wait until the endpoint is ready.
client = get_deploy_client("databricks")
"""


def write(order: Order) -> str:
    """Return a script that creates or updates.

    Raises:
        InputError: model units. Source: mlflow-skinny 3.17.2 mlflow/deployments/databricks, read 2026-11-22.
    """
    if order.in_units:
        raise InputError(
            "the MLflow client has no call for model units; take --format sdk, requests, curl or cli"
        )
    if order.creates:
        return f"{_HEAD}endpoint = client.create_endpoint(\n    config={literal(order.body, 4)}\n)\nprint(endpoint)\n"
    return (
        f"{_HEAD}# The whole configuration: whatever is not in here is gone afterwards.\n"
        f"endpoint = client.update_endpoint_config(\n    endpoint={literal(order.endpoint)},\n"
        f"    config={literal(order.body, 4)},\n)\nprint(endpoint)\n"
    )
