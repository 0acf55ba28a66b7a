"""Writing a trace in a public format, and saying what that format cannot hold.

What is lost is counted from the requests at hand; a trace that loses nothing has an empty list.
The rows keep the order of the trace, so that requests that arrive together stay in theirs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.ingest.database import literal, private_database
from simulations.ingest.shown import shown
from simulations.ingest.whole import whole
from simulations.ingest.writing import exact_seconds, write_trace
from simulations.ticks import TICKS_PER_S
from simulations.trace import IntArray, Trace

BLOCK_TOKENS = 512
"""Tokens of a prompt that share one hash in Mooncake's files. Source: github.com/kvcache-ai/Mooncake,
FAST25-release, read 2026-11-22; AIPerf and guidellm take the same by default."""

_TICKS_PER_NS = TICKS_PER_S // 10**9
_MS = TICKS_PER_S // 10**3
_100_NS = 100 * _TICKS_PER_NS
_LAST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of a trace in another format.

    Args:
        format: as `export_trace` was asked for it.
        requests: rows written.
        lost: what the file does not hold, a sentence each.
        notes: what was filled in, as the format asks for it, a sentence each.
    """

    format: str
    requests: int
    lost: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """A format that can be written.

    Args:
        grain_ticks: step of its clock.
        grain: the same in words.
        columns: from a trace and its rounded arrivals to what the query reads besides them.
        query: SQL over `requests`, from the trace.
        how: DuckDB's options.
        has_date: whether arrivals are dates.
        zero_output_fails: whether a request without output is a failed one.
        notes: what is filled in, from a trace.
    """

    grain_ticks: int
    grain: str
    columns: Callable[[Trace], dict[str, npt.NDArray[Any]]]
    query: Callable[[Trace], str]
    how: str = "FORMAT csv, HEADER true"
    has_date: bool = False
    zero_output_fails: bool = False
    notes: Callable[[Trace], tuple[str, ...]] = lambda trace: ()


def export_trace(trace: Trace, path: str | Path, *, to: str) -> Exported:
    """Write a trace in another format and return what that format does not hold.

    Args:
        path: any name; one that ends in .gz is gzipped (not Parquet, which packs itself). An
            existing file is replaced.
        to: one of `EXPORTS`. Parquet is our own layout and holds all.

    Raises:
        TraceError: another format, or the file cannot be written.

    >>> import tempfile
    >>> trace = Trace.build([0, 0.0004, 1], [10, 600, 30], [1, 2, 3], cached_tokens=[0, 5, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "trace.jsonl")
    ...     done = export_trace(trace, file, to="mooncake")
    ...     print(file.read_text())
    {"timestamp":0,"input_length":10,"output_length":1,"hash_ids":[0]}
    {"timestamp":0,"input_length":600,"output_length":2,"hash_ids":[1,2]}
    {"timestamp":1000,"input_length":30,"output_length":3,"hash_ids":[3]}
    <BLANKLINE>
    >>> for sentence in done.lost: print(sentence)
    arrivals are rounded to whole milliseconds: 1 of 3 requests moves, by up to 400 us; 1 arrives together with the one before where it did not
    cached tokens: 5, of 1 request
    """
    path = Path(path)
    if to == "parquet":
        if path.name.endswith(".gz"):
            raise TraceError(f"{shown(path)}: Parquet packs itself; leave .gz out of the name")
        write_trace(trace, path, container="parquet")
        return Exported(to, len(trace), (), ())
    if to not in _TARGETS:
        raise TraceError(f"--to is {shown(to)!r}; must be one of {', '.join(EXPORTS)}")
    target = _TARGETS[to]
    rounded = _rounded(trace.arrival_ticks, target.grain_ticks)
    if target.has_date:
        _refuse_far_dates(trace)
    requests: dict[str, npt.NDArray[Any]] = {
        "arrival_ticks": rounded,
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
        **target.columns(trace),
    }
    with private_database([None]) as (database, (rows,)):
        database.register("requests", requests)
        try:
            database.execute(f"COPY ({target.query(trace)}) TO {literal(rows)} ({target.how})")
        except duckdb.Error as error:
            raise TraceError(f"{shown(path)} cannot be written: {shown(error)}") from None
        with rows.open("rb") as written, whole(path) as file:
            shutil.copyfileobj(written, file, 1 << 20)
    lost = tuple(_lost(trace, rounded, target))
    return Exported(to, len(trace), lost, target.notes(trace))


# --- the formats ----------------------------------------------------------------------------------


def _mooncake_columns(trace: Trace) -> dict[str, npt.NDArray[Any]]:
    blocks = _blocks(trace)
    return {"first_id": np.cumsum(blocks) - blocks, "n_ids": blocks}


def _mooncake_query(trace: Trace) -> str:
    return (
        f"SELECT arrival_ticks // {_MS} AS timestamp, input_tokens AS input_length, "
        "output_tokens AS output_length, range(first_id, first_id + n_ids) AS hash_ids "
        "FROM requests"
    )


def _mooncake_notes(trace: Trace) -> tuple[str, ...]:
    return (
        f"hash_ids are made up: {int(_blocks(trace).sum()):,} of them, one for each {BLOCK_TOKENS} "
        "tokens of input and none twice, so that no request shares its beginning with another",
    )


def _blocks(trace: Trace) -> IntArray:
    return (trace.input_tokens.astype(np.int64) + BLOCK_TOKENS - 1) // BLOCK_TOKENS


def _azure_query(trace: Trace) -> str:
    at = f"make_timestamp_ns({_epoch_100_ns(trace) * 100} + arrival_ticks // {_TICKS_PER_NS})"
    return (
        # Seven digits, as in 2023; never none, as inference-perf leaves such rows out.
        f"SELECT left(strftime({at}, '%Y-%m-%d %H:%M:%S.%n'), -2) AS \"TIMESTAMP\", "
        'input_tokens AS "ContextTokens", output_tokens AS "GeneratedTokens" FROM requests'
    )


def _azure_notes(trace: Trace) -> tuple[str, ...]:
    if trace.epoch_ns is not None:
        return ("TIMESTAMP is UTC and does not say so, as in the traces of 2023",)
    return ("the trace has no date: second 0 is written as 1970-01-01 00:00:00",)


def _vidur_query(trace: Trace) -> str:
    return (
        f"SELECT {exact_seconds(trace)} AS arrived_at, input_tokens AS num_prefill_tokens, "
        "output_tokens AS num_decode_tokens FROM requests"
    )


def _burstgpt_query(trace: Trace) -> str:
    return (
        f'SELECT {exact_seconds(trace)} AS "Timestamp", \'GPT-4\' AS "Model", '
        'input_tokens AS "Request tokens", output_tokens AS "Response tokens", '
        'input_tokens + output_tokens AS "Total tokens", \'API log\' AS "Log Type" FROM requests'
    )


def _burstgpt_notes(trace: Trace) -> tuple[str, ...]:
    # It keeps the rows with Model GPT-4 and Response tokens above 0.
    # Source: github.com/vllm-project/vllm, vllm/benchmarks/datasets.py, `BurstGPTDataset`, read
    # 2026-11-22.
    return ("Model is GPT-4 in every row, as `vllm bench serve` passes over any other",)


def _nothing(trace: Trace) -> dict[str, npt.NDArray[Any]]:
    return {}


_TARGETS = {
    "mooncake": _Target(
        _MS,
        "whole milliseconds",
        _mooncake_columns,
        _mooncake_query,
        how="FORMAT json",
        notes=_mooncake_notes,
    ),
    "azure": _Target(
        _100_NS,
        "multiples of 100 ns",
        _nothing,
        _azure_query,
        has_date=True,
        notes=_azure_notes,
    ),
    "burstgpt": _Target(
        1, "", _nothing, _burstgpt_query, zero_output_fails=True, notes=_burstgpt_notes
    ),
    "vidur": _Target(1, "", _nothing, _vidur_query),
}

EXPORTS = (*_TARGETS, "parquet")
"""Formats that can be written."""


# --- what is lost ---------------------------------------------------------------------------------


def _lost(trace: Trace, rounded: IntArray, target: _Target) -> Iterator[str]:
    """Yield what a format does not hold of a trace, a sentence each."""
    moved = np.abs(rounded - trace.arrival_ticks)
    n_moved = int(np.count_nonzero(moved))
    if n_moved:
        text = (
            f"arrivals are rounded to {target.grain}: {n_moved:,} of {_requests(len(trace))} "
            f"{'moves' if n_moved == 1 else 'move'}, by up to {_duration(int(moved.max()))}"
        )
        n_tied = int(np.count_nonzero((np.diff(rounded) == 0) & (np.diff(trace.arrival_ticks) > 0)))
        if n_tied:
            arrives = (
                "arrives together with the one before where it did"
                if n_tied == 1
                else "arrive together with the one before where they did"
            )
            text += f"; {n_tied:,} {arrives} not"
        yield text
    n_cached = int(np.count_nonzero(trace.cached_tokens))
    if n_cached:
        total = int(trace.cached_tokens.sum(dtype=np.int64))
        yield f"cached tokens: {total:,}, of {_requests(n_cached)}"
    if target.zero_output_fails:
        n_zero = int(np.count_nonzero(trace.output_tokens == 0))
        if n_zero:
            yield (
                f"{_requests(n_zero)} without output: in this format they are failures, which are "
                "left out where it is read"
            )
    if trace.epoch_ns is not None:
        date = f"{np.datetime64(trace.epoch_ns, 'ns')}Z"
        if not target.has_date:
            yield f"the date of the first request, {date}"
        elif trace.epoch_ns % 100:
            yield f"the last {trace.epoch_ns % 100} ns of the date of the first request, {date}"
    rest = trace.span_ticks - int(trace.arrival_ticks[-1])
    if rest:
        yield f"the end of the recording, {_duration(rest)} after its last request"


def _rounded(ticks: IntArray, grain: int) -> IntArray:
    """Return the nearest multiples; the order stays, and so does tick 0."""
    return ticks if grain == 1 else (ticks + grain // 2) // grain * grain


def _epoch_100_ns(trace: Trace) -> int:
    return (trace.epoch_ns or 0) // 100


def _refuse_far_dates(trace: Trace) -> None:
    last = _epoch_100_ns(trace) * 100 + trace.span_ticks // _TICKS_PER_NS
    if last > _LAST_NS - 10**9:
        raise TraceError("the last arrivals are after 2262-04-11, beyond what dates can hold")


def _requests(n: int) -> str:
    return f"{n:,} request" if n == 1 else f"{n:,} requests"


def _duration(ticks: int) -> str:
    for unit, per_unit in (("s", TICKS_PER_S), ("ms", _MS), ("us", _MS // 1000)):
        if ticks >= per_unit:
            return (
                f"{ticks / per_unit:,.3g} {unit}"
                if ticks < 1000 * per_unit
                else f"{ticks / per_unit:,.0f} {unit}"
            )
    return f"{ticks / _TICKS_PER_NS:,.3g} ns"
