"""Request traces of the slosizer package: seconds, token counts, and a class for each request.

`thinking_tokens` are generated besides `output_tokens`; cached ones are part of the input.
Source: github.com/gojiplus/slosizer, docs/data-requirements.md, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

SLOSIZER = Layout(
    "slosizer",
    "arrival_s",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    unit="s",
    thinking_tokens="thinking_tokens",
    marks=("class_name",),
    blank_is_none=True,
)
