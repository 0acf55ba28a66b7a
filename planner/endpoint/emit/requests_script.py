"""The documentation's script on `requests`, with this endpoint's numbers.

Two things in the printed one are mended: its `.json()` stands on a line of its own, which is a syntax error, and its header
is spelt Context-Type. Source: docs.databricks.com, deploy provisioned throughput foundation model APIs, read
2026-11-22.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from planner.endpoint import images
from planner.endpoint.emit.order import Order
from planner.endpoint.emit.python_literal import Name, literal

_HEAD = """\
import json
import os

import requests

# Set the name of the endpoint
endpoint_name = {endpoint}

# Name and version of the registered model
model_name = {model}
model_version = {version}

# The API endpoint and token
API_ROOT = os.environ["DATABRICKS_HOST"].rstrip("/")
API_TOKEN = os.environ["DATABRICKS_TOKEN"]

headers = {{"Content-Type": "application/json", "Authorization": f"Bearer {{API_TOKEN}}"}}
"""

_CHUNK = """
optimizable_info = requests.get(
    url=f"{{API_ROOT}}/api/2.0/serving-endpoints/get-model-optimization-info/{{model_name}}/{{model_version}}",
    headers=headers,
    timeout=60,
).json()

if "optimizable" not in optimizable_info or not optimizable_info["optimizable"]:
    raise ValueError("Model is not eligible for provisioned throughput")

chunk_size = optimizable_info["throughput_chunk_size"]
if chunk_size != {chunk}:
    raise ValueError(f"The chunk is {{chunk_size}} tokens/s and not {chunk}: recommend again")

# Minimum provisioned throughput
min_provisioned_throughput = {low} * chunk_size

# Maximum provisioned throughput
max_provisioned_throughput = {high} * chunk_size
"""

_TAIL = """
# {what}
data = {data}

response = requests.{verb}(
    url=f"{{API_ROOT}}{path}", json=data, headers=headers, timeout=60
)

print(json.dumps(response.json(), indent=4))
response.raise_for_status()
"""


def write(order: Order) -> str:
    """Return a script that needs `requests`, DATABRICKS_HOST and DATABRICKS_TOKEN."""
    entity = order.planned
    body: dict[str, Any] = deepcopy(dict(order.body))
    text = _HEAD.format(
        endpoint=literal(order.endpoint),
        model=literal(images.model_of(entity)),
        version=literal(entity.get("entity_version") or entity.get("model_version")),
    )
    config = body.get("config", body)
    planned = config[images.entities_key(config)][order.entity]
    chunk = order.chunk_tokens_per_s
    low, high = (entity.get(f"{end}_provisioned_throughput") for end in ("min", "max"))
    if chunk and low is not None and high is not None and not (low % chunk or high % chunk):
        text += _CHUNK.format(chunk=chunk, low=low // chunk, high=high // chunk)
        planned["min_provisioned_throughput"] = Name("min_provisioned_throughput")
        planned["max_provisioned_throughput"] = Name("max_provisioned_throughput")
    if order.creates:
        body["name"] = Name("endpoint_name")
    return text + _TAIL.format(
        what=(
            "Send the POST request to create the serving endpoint"
            if order.creates
            else "Send the PUT request, which replaces the whole configuration"
        ),
        data=literal(body),
        verb=order.method.lower(),
        path=order.path.replace("{", "{{").replace("}", "}}"),
    )
