"""Exports of `system.ai_gateway.usage`: one row a request of an AI gateway, with token counts.

Source: docs.databricks.com, ai-gateway/usage-tracking-beta, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

GATEWAY_USAGE = Layout(
    "gateway_usage",
    "event_time",
    "input_tokens",
    "output_tokens",
    status="status_code",
    served_by="endpoint_name",
)
