"""What a row must be to be a request, judged on columns of numbers.

A row breaks at most one rule, the first. It knows neither files nor SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulations.trace import MAX_REQUEST_TOKENS

MISSING = -float(np.finfo(np.float64).max)
"""Stands for an empty cell in a column of token counts; NaN for one that is no number."""

ARRIVAL_FAULTS = ("arrival missing", "arrival unreadable", "arrival too far from the first")
"""What `arrival_fault` counts from 1; 0 is a good arrival."""

BROKEN_LINE = 1 + len(ARRIVAL_FAULTS)
"""`arrival_fault` of a line that has no cells."""

LINE = "line"
"""Subject of the rule that a line must have cells."""

MOST_REQUESTS = 100_000_000
"""Requests that a row, or all rows of sums, may stand for: what fits into memory."""

MOST_TOKENS = 2**53
"""Of a row of sums: whole numbers beyond are not exact in 64-bit floats."""

FAILED = "failed request "
"""How the reasons of failures begin."""

NO_OUTPUT = f"{FAILED}(no output)"
ELSEWHERE = "served by another"

Kind = Literal["bad", "failure", "elsewhere"]

LEAST = {"input_tokens": 1, "output_tokens": 0, "cached_tokens": 0, "thinking_tokens": 0}
"""The fewest tokens a request may have."""

Batch = Mapping[str, npt.NDArray[Any]]
"""Columns [n]: arrival_fault uint8, token counts and status float64 as they stand in the file."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a row must be.

    Args:
        subject: the field it is about.
        broken: from a batch to the rows that break it, where all rules before it hold.
        reason: under which those rows are counted.
        must: how the error says what would be right.
        kind: a bad row is to be mended. The others are sound, and left out and counted: a
            failure tells of a request that was not served, one elsewhere of another endpoint's.
    """

    subject: str
    broken: Callable[[Batch], Mask]
    reason: str
    must: str
    kind: Kind = "bad"


def rules(
    tokens: Sequence[str],
    *,
    arrival_must_be: str,
    has_status: bool = False,
    zero_means_failed: Sequence[str] = (),
    has_choice: bool = False,
    has_sums: bool = False,
) -> list[Rule]:
    """Return the rules of a row, in the order in which they are tried.

    Args:
        tokens: the fields that count tokens, of `LEAST`.
        arrival_must_be: what a good arrival looks like.
        has_status: whether rows have a `status`.
        zero_means_failed: the counts of tokens that are all 0 where a request failed.
        has_choice: whether rows say in `served_by` if they are among those asked for (1, else 0).
        has_sums: whether rows are sums over `requests`.
    """
    # What became of a request comes early: the counts of one that failed may be anything.
    not_json = _equals("arrival_fault", BROKEN_LINE)
    found = [Rule(LINE, not_json, "no JSON object", "must be one JSON object")]
    if has_choice:
        found.append(
            Rule(
                "served_by",
                _equals("served_by", 0),
                ELSEWHERE,
                "must be what --served-by asks for",
                kind="elsewhere",
            )
        )
    if has_status:
        found += _status_rules()
    if zero_means_failed:
        found.append(
            Rule(
                "output_tokens",
                lambda batch: np.all([batch[name] == 0 for name in zero_means_failed], axis=0),
                NO_OUTPUT if [*zero_means_failed] == ["output_tokens"] else f"{FAILED}(no tokens)",
                "must be above 0",
                kind="failure",
            )
        )
    for fault, reason in enumerate(ARRIVAL_FAULTS, start=1):
        must = f"must be {arrival_must_be}"
        if reason == ARRIVAL_FAULTS[-1]:
            must = "must be within 1.46 years of the first rows'"
            if arrival_must_be.startswith("a number"):
                must += f", read as {arrival_must_be} (--time-unit says another unit)"
        found.append(Rule("arrival", _equals("arrival_fault", fault), reason, must))
    if has_sums:
        return found + _sum_rules(tokens)
    for name in tokens:
        found += _token_rules(name)
    if "cached_tokens" in tokens:
        found.append(
            Rule(
                "cached_tokens",
                lambda batch: batch["cached_tokens"] > batch["input_tokens"],
                "cached_tokens above input_tokens",
                "must not be above input_tokens",
            )
        )
    found.append(
        Rule(
            "input_tokens",
            lambda batch: (
                batch["input_tokens"] + batch["output_tokens"] + batch.get("thinking_tokens", 0)
                > MAX_REQUEST_TOKENS
            ),
            "input + output too large",
            f"must with its output be at most {MAX_REQUEST_TOKENS}",
        )
    )
    return found


def is_plain(batch: Batch, tokens: Sequence[str]) -> bool:
    """Return whether all rows of requests are certain to keep all rules, in fewer passes than `judge`.

    >>> batch = {"arrival_fault": np.zeros(2), "input_tokens": np.array([5.0, 2.0])}
    >>> is_plain(batch, ["input_tokens"]), is_plain(batch | {"input_tokens": np.ones(2) / 2}, ["input_tokens"])
    (True, False)
    """
    if len(batch["arrival_fault"]) == 0 or batch["arrival_fault"].max():
        return False
    for name in tokens:
        column = batch[name]
        # What is no number fails every comparison. Three counts of this size are no absurd sum.
        if not (LEAST[name] <= column.min() and column.max() <= MAX_REQUEST_TOKENS // 4):
            return False
        if (column != np.floor(column)).any():
            return False
    cached = batch.get("cached_tokens")
    return cached is None or bool((cached <= batch["input_tokens"]).all())


def judge(batch: Batch, judged_by: Sequence[Rule]) -> npt.NDArray[np.uint8]:
    """Return the first rule that each row breaks: 0 for none, else its place counted from 1.

    >>> tokens = {"input_tokens": np.array([5.0, 0.5]), "output_tokens": np.array([1.0, 1.0])}
    >>> batch = {"arrival_fault": np.zeros(2, np.uint8), **tokens}
    >>> judged_by = rules(list(tokens), arrival_must_be="a number")
    >>> [judged_by[place - 1].reason for place in judge(batch, judged_by) if place]
    ['input_tokens not a whole number']
    """
    verdict = np.zeros(len(batch["arrival_fault"]), np.uint8)
    with np.errstate(invalid="ignore", over="ignore"):
        for place in range(len(judged_by), 0, -1):
            broken = judged_by[place - 1].broken(batch)
            if broken.any():
                verdict[broken] = place
    return verdict


def _sum_rules(tokens: Sequence[str]) -> list[Rule]:
    found = _token_rules("requests", least=0, most=MOST_REQUESTS)
    for name in tokens:
        found += _token_rules(name, least=0, most=MOST_TOKENS)
    return [
        *found,
        Rule(
            "input_tokens",
            lambda batch: batch["input_tokens"] < batch["requests"],
            "input_tokens below requests",
            "must be at least 1 for each request",
        ),
        Rule(
            "requests",
            lambda batch: (
                (batch["requests"] == 0) & (batch["input_tokens"] + batch["output_tokens"] > 0)
            ),
            "tokens without requests",
            "must be above 0 where there are tokens",
        ),
        Rule(
            "cached_tokens",
            lambda batch: batch.get("cached_tokens", 0) > batch["input_tokens"],
            "cached_tokens above input_tokens",
            "must not be above input_tokens",
        ),
        Rule(
            "input_tokens",
            lambda batch: (
                batch["input_tokens"] + batch["output_tokens"]
                > batch["requests"] * (MAX_REQUEST_TOKENS - 2)
            ),
            "input + output too large",
            f"must with its output be at most {MAX_REQUEST_TOKENS} for each request",
        ),
    ]


def _token_rules(
    name: str, *, least: int | None = None, most: int = MAX_REQUEST_TOKENS
) -> list[Rule]:
    least = LEAST[name] if least is None else least

    def rule(reason: str, broken: Callable[[npt.NDArray[np.float64]], Mask]) -> Rule:
        must = f"must be a whole number from {least} to {most}"
        return Rule(name, lambda batch: broken(batch[name]), f"{name} {reason}", must)

    found = [
        rule("missing", lambda tokens: tokens == MISSING),
        rule("not a whole number", lambda tokens: (tokens != np.floor(tokens)) | np.isinf(tokens)),
        rule("unknown (-1)", lambda tokens: tokens == -1),
        rule("below 0", lambda tokens: tokens < 0),
        rule("too large", lambda tokens: tokens > most),
    ]
    if least:
        found.append(rule("is 0", lambda tokens: tokens == 0))
    return found


def _status_rules() -> list[Rule]:
    must = "must be an HTTP status code, 100 to 599"

    def failure(reason: str, low: int, high: int) -> Rule:
        def broken(batch: Batch) -> Mask:
            return (batch["status"] >= low) & (batch["status"] <= high)

        return Rule("status", broken, f"{FAILED}(status {reason})", must, kind="failure")

    return [
        Rule("status", _equals("status", MISSING), "status missing", must),
        Rule(
            "status",
            lambda batch: ~((batch["status"] >= 100) & (batch["status"] <= 599)),
            "status unreadable",
            must,
        ),
        failure("429", 429, 429),
        failure("4xx", 400, 499),
        failure("5xx", 500, 599),
        failure("1xx", 100, 199),
        failure("3xx", 300, 399),
    ]


def _equals(name: str, value: float) -> Callable[[Batch], Mask]:
    return lambda batch: batch[name] == value
