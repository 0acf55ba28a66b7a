"""Qwen-Bailian traces: Mooncake's keys in seconds, beside the conversation of a request.

Source: github.com/alibaba-edu/qwen-bailian-usagetraces-anon, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

BAILIAN = Layout(
    "bailian",
    "timestamp",
    "input_length",
    "output_length",
    unit="s",
    marks=("chat_id",),
    unit_note="'timestamp' read as seconds, as 'chat_id' marks a Qwen-Bailian trace",
)
