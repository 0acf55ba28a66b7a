"""Exports of `system.serving.endpoint_usage`: one row a request, with its status code.

Rows are written only while usage tracking is on; requests that were throttled may be absent.
Source: docs.databricks.com, ai-gateway/configure-ai-gateway-endpoints, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

ENDPOINT_USAGE = Layout(
    "endpoint_usage",
    "request_time",
    "input_token_count",
    "output_token_count",
    status="status_code",
    no_output_is_none=True,
    note="'request_time' is taken as the arrival, as it is when a request was received",
    served_by="served_entity_id",
)
