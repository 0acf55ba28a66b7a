"""Tables: a row for each request, a row for each level of load, an inference table, or locust's statistics.

Columns are found by their names and the units in them (`_s`, `_ms`, `_us`, `_ns`). Times of a row are moments or
durations: a first token "at" is a moment on the arrival's clock, a `ttft` is a duration.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from simulations.fit.importers import locust
from simulations.fit.importers.document import Document, number
from simulations.fit.importers.requests import run_of
from simulations.fit.measurement import FloatArray, MeasuredLevel, Measurement
from simulations.ingest.payload import CACHED_TOKENS, COMPLETION_TOKENS, PROMPT_TOKENS
from simulations.trace import Shape

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

_NAMES = {
    "arrival": ("arrival", "arrival_time", "arrived_at", "start", "start_time", "queued", "queued_ts",
                "timestamp", "request_time", "time", "ts"),
    "input": ("input", "input_tokens", "prompt_tokens", "input_toks", "input_length", "isl", "num_prefill_tokens"),
    "output": ("output", "output_tokens", "completion_tokens", "output_toks", "output_length", "osl",
               "num_decode_tokens"),
    "cached": ("cached", "cached_tokens"),
    "ttft": ("ttft", "time_to_first_token"),
    "e2e": ("e2e", "latency", "e2e_latency", "request_latency", "duration", "total_time"),
    "first": ("first_token", "first_token_at", "first_token_time", "first_token_ts"),
    "last": ("last_token", "last_token_at", "last_token_time", "last_token_ts", "end", "end_time", "finished_at"),
    "status": ("status", "status_code"),
    "users": ("users", "concurrency", "batch_size", "max_concurrency"),
    "rate": ("rate_per_s", "request_rate", "rate"),
    "count": ("n", "requests", "n_requests", "num_prompts", "completed"),
    "mean_ttft": ("ttft_mean", "mean_ttft", "silicon_ttft", "ttft"),
    "mean_tpot": ("tpot_mean", "mean_tpot", "silicon_tpot", "tpot", "itl_mean", "mean_itl"),
    "mean_e2e": ("e2e_mean", "mean_e2e", "mean_e2el", "e2e"),
}  # fmt: skip

_DURATION = ("execution_duration_ms", "execution_time_ms")
_NOT_A_CONFIGURATION = ("id", "source", "silicon_data_source", "n", "requests", "comment", "date")


def matches(document: Document) -> bool:
    """Whether a file is a table at all, or JSON lines with such columns."""
    columns = _columns(document)
    return columns is not None and (
        locust.matches(columns)
        or _is_inference_table(columns)
        or _is_levels(columns)
        or _is_requests(columns)
    )


def read(
    document: Document,
    where: dict[str, str] | None = None,
    *,
    shape: Shape | None = None,
    users: int | None = None,
) -> list[Measurement]:
    """Return what a table holds.

    Args:
        document: the table.
        where: column and value that rows must have, for a table of several configurations.
        shape, users: of what a table does not say it of (locust's statistics).

    Raises:
        MeasurementError: columns are missing, configurations are mixed, nothing was served.
    """
    columns = _columns(document)
    assert columns is not None
    for name, value in (where or {}).items():
        if name.lower() not in columns:
            raise document.error(f"there is no column {name!r}; found {', '.join(columns)}")
        keep = [(cell or "").strip() == value for cell in columns[name.lower()]]
        columns = {
            key: [cell for cell, kept in zip(cells, keep, strict=True) if kept]
            for key, cells in columns.items()
        }
        if not any(keep):
            raise document.error(f"no row has {name} = {value}")
    if locust.matches(columns):
        return locust.read(document, columns, shape=shape, users=users)
    if _is_inference_table(columns):
        return [_inference_table(document, columns)]
    if _is_levels(columns):
        return _levels(document, columns)
    return [_requests(document, columns)]


def _columns(document: Document) -> dict[str, list[str | None]] | None:
    if document.columns is not None:
        return dict(document.columns)
    if not document.is_lines:
        return None
    names = dict.fromkeys(name for row in document.objects[:1000] for name in row)
    return {
        name.lower(): [
            None if row.get(name) is None else str(row[name]) for row in document.objects
        ]
        for name in names
    }


def _find(columns: Any, role: str) -> tuple[str, float] | None:
    """Return the column of a role and the seconds of its unit."""
    for wanted in _NAMES[role]:
        for name in columns:
            plain = re.sub(r"[^a-z0-9]+", "_", name).strip("_")
            if plain == wanted:
                return name, 1.0
            stem, _, unit = plain.rpartition("_")
            if stem == wanted and unit in _UNITS:
                return name, _UNITS[unit]
    return None


def _is_inference_table(columns: Any) -> bool:
    return any(name in columns for name in _DURATION) and PROMPT_TOKENS in columns


def _is_levels(columns: Any) -> bool:
    loaded = _find(columns, "users") or _find(columns, "rate")
    figures = [_find(columns, f"mean_{metric}") for metric in ("ttft", "tpot", "e2e")]
    return bool(
        loaded and any(figures) and _find(columns, "input") and not _find(columns, "arrival")
    )


def _is_requests(columns: Any) -> bool:
    return all(_find(columns, role) for role in ("arrival", "input", "output")) and any(
        _find(columns, role) for role in ("ttft", "e2e", "first", "last")
    )


def _numbers(columns: Any, role: str, n: int) -> FloatArray:
    found = _find(columns, role)
    if found is None:
        return np.full(n, np.nan)
    name, unit = found
    return np.array([number(cell) for cell in columns[name]]) * unit


def _moments(columns: Any, role: str, n: int) -> FloatArray:
    """Return moments in seconds, from numbers or dates."""
    found = _find(columns, role)
    if found is None:
        return np.full(n, np.nan)
    name, unit = found
    return np.array([_moment(cell, unit) for cell in columns[name]])


def _moment(cell: str | None, unit: float) -> float:
    value = number(cell)
    if not np.isnan(value) or not cell:
        return value * unit
    try:
        read_date = datetime.fromisoformat(cell.strip())
    except ValueError:
        return float("nan")
    if read_date.tzinfo is None:
        read_date = read_date.replace(tzinfo=UTC)
    return read_date.timestamp()


def _failed(columns: Any, n: int) -> Any:
    found = _find(columns, "status")
    if found is None:
        return np.zeros(n, np.bool_)
    codes = np.array([number(cell) for cell in columns[found[0]]])
    return ~np.isnan(codes) & ((codes < 200) | (codes >= 300)) & (codes >= 100)


def _requests(document: Document, columns: Any) -> Measurement:
    n = len(next(iter(columns.values())))
    arrival = _moments(columns, "arrival", n)
    first, last = _moments(columns, "first", n), _moments(columns, "last", n)
    ttft, e2e = _numbers(columns, "ttft", n), _numbers(columns, "e2e", n)
    return run_of(
        document,
        document.origin("table"),
        arrival_s=arrival - np.nanmin(arrival) if not np.isnan(arrival).all() else arrival,
        input_tokens=_numbers(columns, "input", n),
        output_tokens=_numbers(columns, "output", n),
        ttft_s=np.where(np.isnan(ttft), first - arrival, ttft),
        e2e_s=np.where(np.isnan(e2e), last - arrival, e2e),
        cached_tokens=_numbers(columns, "cached", n),
        failed=_failed(columns, n),
    )


def _inference_table(document: Document, columns: Any) -> Measurement:
    n = len(next(iter(columns.values())))
    duration = next(name for name in _DURATION if name in columns)
    clock, unit = next(
        (
            (name, unit)
            for name, unit in (("request_time", 1.0), ("event_time", 1.0), ("timestamp_ms", 1e-3))
            if name in columns
        ),
        ("", 1.0),
    )
    if not clock:
        raise document.error("has no request_time, event_time or timestamp_ms")
    logged = np.array([_moment(cell, unit) for cell in columns[clock]])
    e2e = np.array([number(cell) for cell in columns[duration]]) * 1e-3
    sampled = [number(cell) for cell in columns.get("sampling_fraction", [])]
    notes = [
        f"{document.path} holds no times to first token, so waiting and prompts cannot be told apart; "
        "its durations are the model's, without the network"
    ]
    if any(0 < share < 1 for share in sampled):
        raise document.error(
            f"holds a sample of the requests ({min(s for s in sampled if s > 0):.0%}): the load that they met is not "
            "in it; log all of them (sampling_fraction 1) and give that"
        )
    known = logged[~np.isnan(logged)]
    warm = float(np.nanquantile(e2e, 0.95)) if not np.isnan(e2e).all() else 0.0
    span = float(known.max() - known.min()) if len(known) else 0.0
    return run_of(
        document,
        document.origin("inference_table"),
        arrival_s=logged - known.min() if len(known) else logged,
        input_tokens=np.array([number(cell) for cell in columns[PROMPT_TOKENS]]),
        output_tokens=np.array([number(cell) for cell in columns[COMPLETION_TOKENS]]),
        ttft_s=np.full(n, np.nan),
        e2e_s=np.where(e2e > 0, e2e, np.nan),
        cached_tokens=np.array([number(cell) for cell in columns[CACHED_TOKENS]]),
        failed=_failed(columns, n),
        # A log begins with requests in flight that are not in it.
        warm_s=min(warm, span / 4),
        notes=notes,
    )


def _levels(document: Document, columns: Any) -> list[Measurement]:
    roles = ("users", "rate", "input", "output", "count", "mean_ttft", "mean_tpot", "mean_e2e")
    used = {found[0] for role in roles if (found := _find(columns, role))}
    mixed = [
        name
        for name, cells in columns.items()
        if name not in used
        and name not in _NOT_A_CONFIGURATION
        and len({(cell or "").strip() for cell in cells}) > 1
    ]
    if mixed:
        some = sorted({(cell or "").strip() for cell in columns[mixed[0]]})[:4]
        raise document.error(
            f"rows differ in {', '.join(mixed)}, so they are of several servers; choose with "
            f"--where {mixed[0]}={some[0]} (found {', '.join(some)})"
        )
    n = len(next(iter(columns.values())))
    held = {role: _numbers(columns, role, n) for role in roles}
    groups: dict[tuple[Any, ...], list[dict[str, float]]] = {}
    counts: dict[tuple[Any, ...], list[float]] = {}
    for row in range(n):
        users, rate = held["users"][row], held["rate"][row]
        inputs, outputs = held["input"][row], held["output"][row]
        figures = {
            f"{metric}_mean": held[f"mean_{metric}"][row]
            for metric in ("ttft", "tpot", "e2e")
            if held[f"mean_{metric}"][row] > 0
        }
        if not (inputs >= 1 and outputs >= 0 and figures and (users >= 1 or rate > 0)):
            raise document.error(f"row {row + 1} lacks a load, a shape or a time")
        key = ((int(users), None) if users >= 1 else (None, float(rate))) + (
            int(inputs),
            int(outputs),
        )
        groups.setdefault(key, []).append(figures)
        if held["count"][row] >= 1:
            counts.setdefault(key, []).append(held["count"][row])
    levels: list[Measurement] = []
    for (users, rate, inputs, outputs), rows in groups.items():
        counted = counts.get((users, rate, inputs, outputs))
        names = dict.fromkeys(name for one in rows for name in one)
        # A level that was measured several times counts by its medians.
        figures = {
            name: float(np.median([one[name] for one in rows if name in one])) for name in names
        }
        levels.append(
            MeasuredLevel(
                Shape(inputs, outputs),
                figures,
                users=users,
                rate_per_s=rate,
                n=int(np.median(counted)) if counted else None,
                origin=document.origin("table"),
            )
        )
    return levels


_HISTORY = {
    "time": ("time", "t", "timestamp", "date", "ts"),
    "chunks": ("chunks", "ready_chunks", "provisioned_concurrency", "replicas", "capacity_chunks"),
    "in_flight": ("in_flight", "concurrency", "concurrent_requests"),
    "tokens_per_s": ("tokens_per_s", "offered_tokens_per_s", "tokens_per_second"),
    "requests_per_s": ("requests_per_s", "requests_per_second", "rps"),
    "latency": ("latency_s", "latency_ms", "e2e_s", "mean_latency_s"),
}


def history_columns(
    document: Document,
) -> tuple[FloatArray, FloatArray, FloatArray, Literal["in_flight", "offered_tokens"]]:
    """Return time in seconds, chunks and load of a history, and what the load is.

    Raises:
        MeasurementError: a column is missing.
    """
    columns = _columns(document)
    if columns is None:
        raise document.error("is no table; a history has columns such as time, chunks, in_flight")

    def find(role: str) -> str | None:
        wanted = _HISTORY[role]
        for name in columns or {}:
            plain = name.removesuffix("_s") if role == "time" else name
            if plain in wanted or name in wanted:
                return name
        return None

    def values(name: str) -> FloatArray:
        return np.array([number(cell) for cell in (columns or {})[name]])

    time, chunks = find("time"), find("chunks")
    if time is None or chunks is None:
        missing = "time" if time is None else "chunks"
        raise document.error(
            f"has no column for {missing} ({', '.join(_HISTORY[missing])}); found {', '.join(columns)}"
        )
    moments = np.array([_moment(cell, 1.0) for cell in columns[time]])
    in_flight, tokens = find("in_flight"), find("tokens_per_s")
    if in_flight is not None:
        return moments, values(chunks), values(in_flight), "in_flight"
    requests, latency = find("requests_per_s"), find("latency")
    if requests is not None and latency is not None:
        unit = 1e-3 if latency.endswith("_ms") else 1.0
        return moments, values(chunks), values(requests) * values(latency) * unit, "in_flight"
    if tokens is not None:
        return moments, values(chunks), values(tokens), "offered_tokens"
    raise document.error(
        "has no load: in_flight, tokens_per_s, or requests_per_s with latency_s; found "
        f"{', '.join(columns)}"
    )
