"""Mooncake traces: JSON lines with milliseconds, two lengths and the hashes of prompt blocks.

Tools that replay them take the same keys in other units: AIPerf and Dynamo in milliseconds,
guidellm and `vllm bench serve` in seconds unless told otherwise. So the unit is always said.
Source: github.com/kvcache-ai/Mooncake, FAST25-release, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

MOONCAKE = Layout(
    "mooncake",
    "timestamp",
    "input_length",
    "output_length",
    unit="ms",
    marks=("hash_ids",),
    unit_note="'timestamp' read as milliseconds, as Mooncake, AIPerf and Dynamo write it; where it "
    "was made for guidellm or vLLM it may be seconds: then give --time-unit s",
)
