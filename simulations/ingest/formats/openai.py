"""Logs of OpenAI-style answers, one object a line: when they were made and their usage.

`created` is when the answer was made, in whole seconds since 1970. Cached tokens are part of the prompt.
Source: github.com/openai/openai-openapi, CompletionUsage and ResponseUsage, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

_WHOLE_SECONDS = (
    "is when an answer was made, in whole seconds: bursts within a second are not to be seen"
)

OPENAI_CHAT = Layout(
    "openai",
    "created",
    "usage.prompt_tokens",
    "usage.completion_tokens",
    "usage.prompt_tokens_details.cached_tokens",
    unit="s",
    since_1970=True,
    blank_is_none=True,
    note=f"'created' {_WHOLE_SECONDS}",
)

OPENAI_RESPONSES = Layout(
    "openai",
    "created_at",
    "usage.input_tokens",
    "usage.output_tokens",
    "usage.input_tokens_details.cached_tokens",
    unit="s",
    since_1970=True,
    blank_is_none=True,
    note=f"'created_at' {_WHOLE_SECONDS}",
)
