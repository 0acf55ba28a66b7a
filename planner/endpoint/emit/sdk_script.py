"""A script on databricks-sdk. A create is typed; a replacement goes as raw JSON, since typed classes drop fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.endpoint import images
from planner.endpoint.emit.order import Order
from planner.endpoint.emit.python_literal import literal

_CREATE = """\
from datetime import timedelta

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import {config_class}, {entity_class}

w = WorkspaceClient()  # signs in by DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile
endpoint = w.serving_endpoints.{call}(
    name={name},
    config={config_class}(
{config_name}        served_entities=[
            {entity_class}(
{fields}
            )
        ],
    ),
    timeout=timedelta(minutes=60),
)
print(endpoint.name, endpoint.state.as_dict())
"""

_UPDATE = """\
from datetime import timedelta

from databricks.sdk import WorkspaceClient

# The whole configuration: whatever is not in here is gone afterwards.
body = {body}

w = WorkspaceClient()  # signs in by DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile
w.api_client.do({method}, {path}, body=body)
endpoint = w.serving_endpoints.wait_get_serving_endpoint_not_updating(
    {name}, timeout=timedelta(minutes=60)
)
print(endpoint.name, endpoint.state.as_dict())
"""


def write(order: Order) -> str:
    """Return a script that creates or updates and waits."""
    if not order.creates:
        return _UPDATE.format(
            body=literal(order.body),
            method=literal(order.method),
            path=literal(order.path),
            name=literal(order.endpoint),
        )
    (entity,) = images.entities_of(order.config)
    units = order.in_units
    return _CREATE.format(
        config_class="PtEndpointCoreConfig" if units else "EndpointCoreConfigInput",
        entity_class="PtServedModel" if units else "ServedEntityInput",
        call="create_provisioned_throughput_endpoint_and_wait" if units else "create_and_wait",
        name=literal(order.endpoint),
        # Of the two classes one insists on a name.
        config_name="" if units else f"        name={literal(order.endpoint)},\n",
        fields=_fields(entity),
    )


def _fields(entity: Mapping[str, Any]) -> str:
    return "\n".join(f"{' ' * 16}{key}={literal(value)}," for key, value in entity.items())
