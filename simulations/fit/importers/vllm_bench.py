"""What `vllm bench serve --save-result` writes: with `--save-detailed` a run, without it a level.

Its time per output token leaves out the first, as ours does; of percentiles it writes p99 alone unless asked, and
end to end only if asked. In `ttfts` and `itls` every request stands, failed ones with zeros.
Source: vllm-project/vllm at 009e6d4, vllm/benchmarks/serve.py, read 2026-11-22.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from simulations.fit.importers.document import Document, number, numbers
from simulations.fit.importers.requests import run_of
from simulations.fit.measurement import MeasuredLevel, Measurement, Origin
from simulations.trace import Shape

_NAMES = {"mean": "mean", "median": "p50", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
BEHIND = 0.9
"""Sent at less than this share of the rate that was asked for, a client was the limit (assumed)."""


def matches(document: Document) -> bool:
    """Whether a file is of vLLM's benchmark."""
    first = document.first
    return "request_throughput" in first and "completed" in first and "mean_ttft_ms" in first


def read(document: Document) -> list[Measurement]:
    """Return a run or a level for each result in the file (`--append-result` adds lines).

    Raises:
        MeasurementError: nothing was completed, or counts are missing.
    """
    return [_result(document, one) for one in document.objects]


def _result(document: Document, one: Mapping[str, Any]) -> Measurement:
    if not ("request_throughput" in one and "completed" in one):
        raise document.error(
            "holds results of vLLM's benchmark and others beside them; take them apart"
        )
    origin = document.origin("vllm bench", one.get("vllm_version") or "")
    asked = one.get("request_rate")
    rate = math.inf if asked in ("inf", None) else number(asked)
    users = number(one.get("max_concurrency"))
    completed = number(one.get("completed"))
    if not completed > 0:
        raise document.error("completed is 0: no request was served")
    if isinstance(one.get("start_times"), list) and isinstance(one.get("input_lens"), list):
        return _detailed(document, one, origin, rate, users)
    return _summary(document, one, origin, rate, users, completed)


def _detailed(
    document: Document, one: Mapping[str, Any], origin: Origin, rate: float, users: float
) -> Measurement:
    n = len(one["input_lens"])
    start = numbers(one["start_times"], n)
    outputs = numbers(one.get("output_lens"), n)
    ttft = numbers(one.get("ttfts"), n)
    gaps = one.get("itls")
    if (
        np.isnan(start).all()
        or np.isnan(ttft).all()
        or not isinstance(gaps, list)
        or len(gaps) != n
    ):
        raise document.error(
            "start_times, input_lens, ttfts and itls must be lists of one length (vllm bench serve --save-detailed)"
        )
    later = np.array(
        [sum(number(gap) for gap in row) if isinstance(row, list) else np.nan for row in gaps]
    )
    errors = one.get("errors")
    failed = (
        np.array([bool(text) for text in errors])
        if isinstance(errors, list) and len(errors) == n
        else np.zeros(n, np.bool_)
    )
    failed |= ~(ttft > 0)
    notes = []
    closed = math.isinf(rate)
    span = float(np.nanmax(start) - np.nanmin(start))
    if not closed and span > 0 and n > 20 and (n - 1) / span < BEHIND * rate:
        notes.append(
            f"{document.path}: {(n - 1) / span:.3g} requests/s were sent where {rate:g} were asked for, so the client "
            "was the limit; its arrivals are taken as they were sent"
        )
        closed = True
    return run_of(
        document,
        origin,
        arrival_s=start,
        input_tokens=numbers(one["input_lens"], n),
        output_tokens=outputs,
        ttft_s=ttft,
        e2e_s=ttft + later,
        failed=failed,
        loop="closed" if closed else "open",
        users=None if math.isnan(users) else int(users),
        notes=notes,
    )


def _summary(
    document: Document,
    one: Mapping[str, Any],
    origin: Origin,
    rate: float,
    users: float,
    completed: float,
) -> Measurement:
    figures = {}
    for metric in ("ttft", "tpot", "e2el"):
        for theirs, ours in _NAMES.items():
            value = number(one.get(f"{theirs}_{metric}_ms"))
            if value > 0:
                figures[f"{metric[:4].rstrip('l')}_{ours}"] = value / 1e3
    inputs, outputs = number(one.get("total_input_tokens")), number(one.get("total_output_tokens"))
    if not (inputs > 0 and outputs >= 0):
        raise document.error("total_input_tokens and total_output_tokens are missing")
    shape = Shape(max(1, round(inputs / completed)), max(0, round(outputs / completed)))
    notes = [
        f"{document.path} holds figures alone, no requests: all are taken to have {shape} tokens; "
        "--save-detailed would tell more"
    ]
    failed = number(one.get("failed"))
    if failed > 0:
        notes.append(f"{document.path}: {int(failed)} requests failed and are in no figure")
    loop: dict[str, Any]
    achieved = number(one.get("request_throughput"))
    if not math.isnan(users) and (math.isinf(rate) or achieved < BEHIND * rate):
        loop = {"users": int(users)}
        if not math.isinf(rate):
            notes.append(
                f"{document.path}: {achieved:.3g} requests/s were answered where {rate:g} were asked for, so its "
                f"{int(users)} users were the limit; it is taken as a closed loop"
            )
    elif math.isinf(rate):
        # All at once: as many users as requests, none of whom sends a second.
        loop = {"users": int(completed)}
    else:
        if achieved < BEHIND * rate:
            notes.append(
                f"{document.path}: {achieved:.3g} requests/s were answered where {rate:g} were asked for: the server was "
                "overloaded or the client was the limit; without --save-detailed the two cannot be told apart"
            )
        loop = {"rate_per_s": rate}
    burstiness = number(one.get("burstiness"))
    return MeasuredLevel(
        shape,
        figures,
        n=int(completed),
        burstiness=burstiness if burstiness > 0 else 1.0,
        span_s=number(one.get("duration")) or None,
        origin=origin,
        notes=tuple(notes),
        **loop,
    )
