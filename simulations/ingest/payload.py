"""Token counts out of answers that were logged as text: SQL over one cell.

An answer is a JSON object; a stream is an array of them or text of server-sent events, in which
counts only grow, so the largest counts. Knows neither tables nor files.
"""

from __future__ import annotations

RESPONSE = "response"
"""The column that holds such answers."""

PROMPT_TOKENS = f"{RESPONSE}.usage.prompt_tokens"
COMPLETION_TOKENS = f"{RESPONSE}.usage.completion_tokens"
CACHED_TOKENS = f"{RESPONSE}.usage.cached_tokens"

_KEYS = {
    PROMPT_TOKENS: ("prompt_tokens", "input_tokens"),
    COMPLETION_TOKENS: ("completion_tokens", "output_tokens"),
    CACHED_TOKENS: ("prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens"),
}
"""Chat and text completions say one word, responses and messages the other."""


def counts_in(cell: str) -> dict[str, str]:
    """Return, by column name, SQL for what an answer says of tokens; NULL where it says nothing.

    >>> list(counts_in("c3"))
    ['response.usage.prompt_tokens', 'response.usage.completion_tokens', 'response.usage.cached_tokens']
    """
    found = {name: _largest(cell, keys) for name, keys in _KEYS.items()}
    # An answer with embeddings has a usage without output.
    embeddings = (
        f"CASE WHEN json_valid({cell}) AND starts_with(ltrim({cell}), '{{') "
        f"AND json_extract_string({cell}, '/object') = 'list' THEN '0' END"
    )
    found[COMPLETION_TOKENS] = f"coalesce({found[COMPLETION_TOKENS]}, {embeddings})"
    return found


def _largest(cell: str, keys: tuple[str, ...]) -> str:
    one = ", ".join(f"json_extract_string({cell}, '$.usage.{key}')" for key in keys)
    many = ", ".join(_max(f"json_extract_string({cell}, '$[*].usage.{key}')") for key in keys)
    words = "|".join(sorted({key.rpartition(".")[2] for key in keys}))
    events = _max(f"regexp_extract_all({cell}, '\"({words})\"\\s*:\\s*(\\d+)', 2)")
    return (
        f"CASE WHEN json_valid({cell}) THEN CASE json_type({cell}) "
        f"WHEN 'OBJECT' THEN coalesce({one}) WHEN 'ARRAY' THEN coalesce({many}) END "
        f"WHEN regexp_matches({cell}, '^\\s*(data|event):') THEN {events} END"
    )


def _max(texts: str) -> str:
    return f"CAST(list_max(TRY_CAST({texts} AS HUGEINT[])) AS VARCHAR)"
