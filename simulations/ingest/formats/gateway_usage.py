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
    no_output_is_none=True,
    note="'event_time' is taken as the arrival: no other column says when a request came; if it is "
    "when the answer was done, bursts are smeared by what answers took",
    served_by="endpoint_name",
)
