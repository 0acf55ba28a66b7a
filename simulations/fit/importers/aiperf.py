"""AIPerf's files: `profile_export.jsonl` with a line for each request, and the summary JSON beside it.

Its inter-token latency is (latency - TTFT) / (output - 1), our time per output token; its percentiles leave failed
requests out, and its `adj_` ones count them as never. Times have their unit beside them.
Source: aiperf 0.13.0, aiperf/common/models/record_models.py and export_models.py, read 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulations.fit.importers.document import Document, at, number
from simulations.fit.importers.requests import run_of
from simulations.fit.measurement import MeasuredLevel, Measurement
from simulations.trace import Shape

UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0}
_METRICS = {"ttft": "time_to_first_token", "tpot": "inter_token_latency", "e2e": "request_latency"}
_STATISTICS = {"avg": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
SCHEMA_MAJOR = "1"
LATE_FRACTION = 0.05


def matches(document: Document) -> bool:
    """Whether a file is one of AIPerf's two."""
    first = document.first
    if isinstance(first.get("metadata"), dict) and "request_start_ns" in first["metadata"]:
        return True
    return (
        isinstance(at(first, "request_latency", "unit"), str) and "avg" in first["request_latency"]
    )


def read(document: Document) -> list[Measurement]:
    """Return the run of a records file, or the level of a summary.

    Raises:
        MeasurementError: another version, mixed lines, or nothing that was served.
    """
    if isinstance(document.first.get("metadata"), dict):
        return [_run(document)]
    return [_level(document)]


def _run(document: Document) -> Measurement:
    rows = [row for row in document.objects if at(row, "metadata", "benchmark_phase") != "warmup"]
    for at_line, row in enumerate(document.objects, start=1):
        if not isinstance(row.get("metadata"), dict):
            raise document.error(f"line {at_line} is no record of AIPerf; the file is a mixture")
    if not rows:
        raise document.error("holds warm-up requests alone")

    def seconds(name: str) -> Any:
        return np.array([_seconds(at(row, "metrics", name)) for row in rows])

    def count(*names: str) -> Any:
        found = np.full(len(rows), np.nan)
        for name in names:
            values = np.array([number(at(row, "metrics", name, "value")) for row in rows])
            found = np.where(np.isnan(found), values, found)
        return found

    start = np.array([number(at(row, "metadata", "request_start_ns")) for row in rows]) * 1e-9
    issued = np.array([number(at(row, "metadata", "credit_issued_ns")) for row in rows]) * 1e-9
    latency = seconds("request_latency")
    notes = []
    late = start - issued
    if not np.isnan(late).all() and not np.isnan(latency).all():
        mean = float(np.nanmean(late))
        if mean > LATE_FRACTION * float(np.nanmean(latency)) and mean > 0.05:
            notes.append(
                f"{document.path}: requests were sent {mean:.2g} s late in the mean, so the client was the limit; its "
                "arrivals are taken as they were sent"
            )
    return run_of(
        document,
        document.origin("aiperf", ""),
        arrival_s=start - np.nanmin(start) if not np.isnan(start).all() else start,
        input_tokens=count("input_sequence_length"),
        output_tokens=count("output_sequence_length", "output_token_count"),
        ttft_s=seconds("time_to_first_token"),
        e2e_s=latency,
        failed=np.array(
            [bool(row.get("error")) or at(row, "metadata", "was_cancelled") is True for row in rows]
        ),
        # The records do not say whether the client waited for answers.
        loop="open",
        notes=notes,
    )


def _level(document: Document) -> Measurement:
    first = document.first
    version = str(first.get("schema_version", ""))
    if version and version.split(".")[0] != SCHEMA_MAJOR:
        raise document.error(f"has AIPerf's schema {version}; {SCHEMA_MAJOR}.x is read")
    figures = {}
    for ours, theirs in _METRICS.items():
        unit = UNITS_S.get(str(at(first, theirs, "unit")))
        for statistic, name in _STATISTICS.items():
            value = number(at(first, theirs, statistic))
            if value > 0:
                if unit is None:
                    raise document.error(f"{theirs} has the unit {at(first, theirs, 'unit')!r}")
                figures[f"{ours}_{name}"] = value * unit
    inputs = number(at(first, "input_sequence_length", "avg"))
    outputs = number(at(first, "output_sequence_length", "avg"))
    if not (inputs >= 1 and outputs >= 0):
        raise document.error("has no mean input_sequence_length and output_sequence_length")
    users, rate = _load(first)
    if users is None and rate is None:
        raise document.error(
            "does not say with which concurrency or rate it was measured (input_config); give profile_export.jsonl"
        )
    shape = Shape(max(1, round(inputs)), max(0, round(outputs)))
    n = number(at(first, "request_count", "avg"))
    return MeasuredLevel(
        shape,
        figures,
        users=users,
        rate_per_s=rate,
        n=int(n) if n > 0 else None,
        origin=document.origin("aiperf", first.get("aiperf_version", version)),
        notes=(
            f"{document.path} holds figures alone, no requests: all are taken to have {shape} tokens; "
            "profile_export.jsonl would tell more",
        ),
    )


def _load(first: Any) -> tuple[int | None, float | None]:
    """Return users or rate, wherever the configuration that was written along says it."""
    users, rate = np.nan, np.nan
    stack: list[Any] = [first.get("input_config") or first.get("config") or {}]
    looked_at = 0
    while stack and looked_at < 10_000:
        one = stack.pop()
        looked_at += 1
        if isinstance(one, list):
            stack.extend(one)
        if not isinstance(one, dict):
            continue
        for key, value in one.items():
            if key == "concurrency" and number(value) > 0:
                users = number(value)
            elif key in ("request_rate", "rate") and number(value) > 0:
                rate = number(value)
            elif isinstance(value, dict | list):
                stack.append(value)
    if rate > 0:
        return None, float(rate)
    return (int(users), None) if users >= 1 else (None, None)


def _seconds(metric: Any) -> float:
    unit = UNITS_S.get(str(at(metric, "unit")))
    value = number(at(metric, "value"))
    return value * unit if unit is not None else np.nan
