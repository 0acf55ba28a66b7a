"""guidellm's `benchmarks.json`, version 2: a run for each benchmark in it.

Its time per output token includes the time to the first, unlike everybody else's, so neither it nor any summary is
read: the requests hold their times. Token metrics are milliseconds, latencies seconds, clocks the epoch's.
Source: guidellm 0.8.1, guidellm/schemas/base/request_stats.py and benchmark/schemas/report.py, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from simulations.fit.importers.document import Document, at, number
from simulations.fit.importers.requests import run_of
from simulations.fit.measurement import Measurement

VERSION = 2
CLOSED = ("synchronous", "concurrent", "throughput")
LATE_FRACTION = 0.05
"""A client that sends this share of the latency too late, in the mean, was at its limit (assumed)."""


def matches(document: Document) -> bool:
    """Whether a file is guidellm's."""
    first = document.first
    return isinstance(first.get("benchmarks"), list) and (
        at(first, "metadata", "guidellm_version") is not None
        or any("type_" in one for one in first["benchmarks"] if isinstance(one, dict))
        or "args" in first
    )


def read(document: Document) -> list[Measurement]:
    """Return a run for each benchmark.

    Raises:
        MeasurementError: another version, or no request with its times.
    """
    first = document.first
    version = at(first, "metadata", "version")
    if version != VERSION:
        raise document.error(
            f"is guidellm's report of version {version if version is not None else 'before 2'}; version {VERSION} "
            "is read (guidellm 0.5 and later write it): measure again with one of these"
        )
    origin = document.origin("guidellm", at(first, "metadata", "guidellm_version") or "")
    found: list[Measurement] = []
    for benchmark in first["benchmarks"]:
        if not isinstance(benchmark, dict):
            raise document.error("one of its benchmarks is no object")
        rows = at(benchmark, "requests", "successful")
        if not isinstance(rows, list):
            raise document.error("a benchmark has no list requests.successful")
        if not rows:
            continue
        failed = at(benchmark, "requests", "errored") or []
        kind, users = _strategy(benchmark)
        loop: Literal["open", "closed"] = "closed" if kind in CLOSED else "open"

        def column(*keys: str, rows: list[Any] = rows, factor: float = 1.0) -> Any:
            return np.array([factor * number(at(row, *keys)) for row in rows])

        start = column("request_start_time")
        start = np.where(np.isnan(start), column("info", "timings", "request_start"), start)
        inputs = column("prompt_tokens")
        outputs = column("output_tokens")
        # To the last token, as everywhere else: its request_latency is to the end of the stream.
        last = column("info", "timings", "last_token_iteration") - start
        latency = column("request_latency")
        notes = _client_notes(document, benchmark, latency)
        found.append(
            run_of(
                document,
                origin,
                arrival_s=start,
                input_tokens=np.where(
                    np.isnan(inputs), column("input_metrics", "text_tokens"), inputs
                ),
                output_tokens=np.where(
                    np.isnan(outputs), column("output_metrics", "text_tokens"), outputs
                ),
                ttft_s=column("time_to_first_token_ms", factor=1e-3),
                e2e_s=np.where(last > 0, np.fmin(last, latency), latency),
                cached_tokens=column("cached_tokens"),
                n_failed_elsewhere=len(failed) if isinstance(failed, list) else 0,
                loop=loop,
                users=users,
                notes=notes,
            )
        )
    if not found:
        raise document.error("holds no benchmark with a served request")
    return found


def _strategy(benchmark: dict[str, Any]) -> tuple[str, int | None]:
    """Return how requests were sent, and by how many users where they waited for answers."""
    for where in (
        at(benchmark, "config", "strategy"),
        at(benchmark, "scheduler", "strategy"),
        at(benchmark, "args", "strategy"),
    ):
        if isinstance(where, dict) and isinstance(where.get("type_"), str):
            streams = number(where.get("streams"))
            return where["type_"], 1 if where["type_"] == "synchronous" else (
                None if np.isnan(streams) else max(1, round(streams))
            )
    said = at(benchmark, "scheduler_metrics", "strategy_type")
    return (said if isinstance(said, str) else "unknown"), None


def _client_notes(document: Document, benchmark: dict[str, Any], latency_s: Any) -> list[str]:
    late = number(at(benchmark, "scheduler_metrics", "request_targeted_start_delay_avg"))
    mean = float(np.nanmean(latency_s)) if not np.isnan(latency_s).all() else 0.0
    if late > LATE_FRACTION * mean and late > 0.05:
        return [
            f"{document.path}: requests were sent {late:.2g} s late in the mean, so the client was the limit; its "
            "arrivals are taken as they were sent, and its rate is not the one that was asked for"
        ]
    return []
