"""Inference tables: requests and answers as text, in three generations of columns.

Token counts are in the answer. `sampling_fraction` is the share of requests that was logged; an
answer above the size limit is logged as null; rejected requests may be missing.
Source: docs.databricks.com, ai-gateway/inference-tables (`request_time`),
ai-gateway/inference-tables-beta (`event_time`), machine-learning/model-serving/inference-tables
(`timestamp_ms`), read 2026-11-22.
"""

from simulations.ingest.layout import Layout
from simulations.ingest.payload import CACHED_TOKENS, COMPLETION_TOKENS, PROMPT_TOKENS, RESPONSE


def _layout(arrival: str, unit: str | None, why: str) -> Layout:
    return Layout(
        "inference_table",
        arrival,
        PROMPT_TOKENS,
        COMPLETION_TOKENS,
        CACHED_TOKENS,
        unit=unit,
        since_1970=unit is not None,
        status="status_code",
        note=f"{arrival!r} is taken as the arrival{why}",
        served_by="served_entity_id",
        blank_is_none=True,
        payload=RESPONSE,
        sampled="sampling_fraction",
    )


INFERENCE_TABLE = _layout(
    "request_time",
    None,
    ", as it is when a request was received; token counts are those of 'response'",
)
GATEWAY_TABLE = _layout(
    "event_time",
    None,
    ": no other column says when a request came; token counts are those of 'response'",
)
LEGACY_TABLE = _layout(
    "timestamp_ms",
    "ms",
    ", as it is when a request was received, in milliseconds; token counts are those of 'response'",
)
