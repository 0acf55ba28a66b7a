"""Requests as arrays: when each arrived and how many tokens it brought and got.

A `Trace` is immutable and sorted by arrival; when its tick 0 was is kept apart. It knows neither files
(see `ingest`) nor what serves it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.ticks import NEVER, TICKS_PER_S

MAX_REQUEST_TOKENS = 1 << 24
"""Input plus output of one request beyond this is refused as absurd (16.8 million tokens)."""

MAX_REQUESTS = 1 << 31

IntArray = npt.NDArray[np.int64]
TokenArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Shape:
    """Tokens of a typical request: input and output, means over a trace or a stated reference.

    >>> Shape(2048, 256).total_tokens
    2304
    """

    input_tokens: int
    output_tokens: int

    def __post_init__(self) -> None:
        if self.input_tokens < 1 or self.output_tokens < 0:
            raise TraceError(
                f"shape is {self.input_tokens}:{self.output_tokens}; input must be >= 1 and output >= 0"
            )
        if self.total_tokens > MAX_REQUEST_TOKENS:
            raise TraceError(f"shape {self} has more than {MAX_REQUEST_TOKENS} tokens a request")

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens

    def __str__(self) -> str:
        return f"{self.input_tokens}:{self.output_tokens}"


REFERENCE_SHAPE = Shape(2048, 256)
"""The request at which tokens/s are rated. Source: docs.databricks.com, prov-throughput-tokens
(2048 in + 256 out), read 2026-11-22."""


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in order of arrival.

    Args:
        arrival_ticks: int64[n], non-decreasing, >= 0, none beyond `span_ticks`. A recording starts with its
            first request, so at 0; a future starts when its horizon does.
        input_tokens: int32[n], >= 1.
        cached_tokens: int32[n], 0 <= cached <= input; what needs no prefill.
        output_tokens: int32[n], >= 0.
        span_ticks: length of the recording, >= the last arrival; the horizon of money and rates.
        epoch_ns: nanoseconds since 1970-01-01 UTC of tick 0, or None where the log has no date.

    Raises:
        TraceError: an array breaks one of these rules; the text names the first row that does.

    Use `Trace.build` for anything that is not sorted integers already.
    """

    arrival_ticks: IntArray
    input_tokens: TokenArray
    cached_tokens: TokenArray
    output_tokens: TokenArray
    span_ticks: int
    epoch_ns: int | None = None
    name: str = field(default="trace", compare=False)

    def __post_init__(self) -> None:
        n = len(self.arrival_ticks)
        columns: dict[str, tuple[npt.NDArray[Any], type[np.generic]]] = {
            "arrival_ticks": (self.arrival_ticks, np.int64),
            "input_tokens": (self.input_tokens, np.int32),
            "cached_tokens": (self.cached_tokens, np.int32),
            "output_tokens": (self.output_tokens, np.int32),
        }
        for name, (column, dtype) in columns.items():
            if column.dtype != dtype or column.ndim != 1 or len(column) != n:
                raise TraceError(
                    f"{name} must be {np.dtype(dtype)}[{n}], not {column.dtype}{column.shape}"
                )
        if n == 0:
            raise TraceError("the trace is empty; it must hold at least one request")
        if n >= MAX_REQUESTS:
            raise TraceError(f"the trace holds {n} requests; must be below {MAX_REQUESTS}")
        if self.arrival_ticks[0] < 0:
            raise TraceError(
                f"the first arrival is at tick {self.arrival_ticks[0]}; must be >= 0: use Trace.build to shift it there"
            )
        _refuse_rows(
            self.arrival_ticks[1:] < self.arrival_ticks[:-1],
            "arrives before the row above it",
            self.arrival_ticks[1:],
        )
        _refuse_rows(self.input_tokens < 1, "input_tokens must be >= 1", self.input_tokens)
        _refuse_rows(self.output_tokens < 0, "output_tokens must be >= 0", self.output_tokens)
        _refuse_rows(
            (self.cached_tokens < 0) | (self.cached_tokens > self.input_tokens),
            "cached_tokens must be between 0 and input_tokens",
            self.cached_tokens,
        )
        # Seldom needed, and as large as the arrivals.
        if int(self.input_tokens.max()) + int(self.output_tokens.max()) > MAX_REQUEST_TOKENS:
            total = self.input_tokens.astype(np.int64) + self.output_tokens
            _refuse_rows(
                total > MAX_REQUEST_TOKENS, f"input + output must be <= {MAX_REQUEST_TOKENS}", total
            )
        if not int(self.arrival_ticks[-1]) <= self.span_ticks < NEVER:
            raise TraceError(
                f"span is {self.span_ticks / TICKS_PER_S:.6g} s; must reach the last arrival and stay "
                f"below {NEVER // TICKS_PER_S} s (1.46 years)"
            )
        for column, _ in columns.values():
            column.setflags(write=False)

    @classmethod
    def build(
        cls,
        arrival_s: Iterable[float],
        input_tokens: Iterable[int],
        output_tokens: Iterable[int],
        *,
        cached_tokens: Iterable[int] | None = None,
        span_s: float | None = None,
        epoch_ns: int | None = None,
        name: str = "trace",
    ) -> Trace:
        """Return a trace from arrival times in seconds, in any order.

        Args:
            arrival_s: [n] seconds on any clock; the first becomes 0.
            input_tokens, output_tokens, cached_tokens: [n] whole numbers.
            span_s: length of the recording in seconds; the last arrival unless told otherwise.

        Raises:
            TraceError: a column has the wrong length or a value out of range.

        >>> Trace.build([3.0, 1.0], [10, 20], [1, 2]).input_tokens.tolist()
        [20, 10]
        """
        arrival = np.asarray(
            list(arrival_s) if not isinstance(arrival_s, np.ndarray) else arrival_s,
            dtype=np.float64,
        )
        if len(arrival) == 0:
            raise TraceError("the trace is empty; it must hold at least one request")
        _refuse_rows(~np.isfinite(arrival), "arrival must be a finite number of seconds", arrival)
        arrival = arrival - arrival.min()
        limit_s = NEVER // TICKS_PER_S
        _refuse_rows(
            arrival >= limit_s,
            f"arrival must be below {limit_s} s (1.46 years) after the first",
            arrival,
        )
        # Whole seconds and the rest apart: a float64 product would lose ticks after a day.
        whole = np.floor(arrival)
        ticks = whole.astype(np.int64) * TICKS_PER_S + np.rint(
            (arrival - whole) * TICKS_PER_S
        ).astype(np.int64)
        order = np.argsort(ticks, kind="stable")
        columns = [
            _tokens(values, name=label)[order]
            for values, label in (
                (input_tokens, "input_tokens"),
                (
                    np.zeros(len(ticks), np.int32) if cached_tokens is None else cached_tokens,
                    "cached_tokens",
                ),
                (output_tokens, "output_tokens"),
            )
            if _same_length(values, len(ticks), label)
        ]
        span_ticks = int(ticks.max())
        if span_s is not None:
            span_ticks = max(span_ticks, round(span_s * TICKS_PER_S))
        return cls(ticks[order], columns[0], columns[1], columns[2], span_ticks, epoch_ns, name)

    def __len__(self) -> int:
        return len(self.arrival_ticks)

    @property
    def span_s(self) -> float:
        """Length of the recording in seconds."""
        return self.span_ticks / TICKS_PER_S

    @property
    def total_tokens(self) -> int:
        """Input plus output over all requests."""
        return int(self.input_tokens.sum(dtype=np.int64)) + int(
            self.output_tokens.sum(dtype=np.int64)
        )

    @property
    def mean_shape(self) -> Shape:
        """Mean input and output of a request, rounded to whole tokens."""
        return Shape(
            max(1, round(float(self.input_tokens.mean()))),
            max(0, round(float(self.output_tokens.mean()))),
        )

    @cached_property
    def sha256(self) -> str:
        """Checksum of the requests, independent of file and format."""
        digest = hashlib.sha256()
        for column in (
            self.arrival_ticks,
            self.input_tokens,
            self.cached_tokens,
            self.output_tokens,
        ):
            digest.update(
                np.ascontiguousarray(column).astype(column.dtype.newbyteorder("<")).tobytes()
            )
        digest.update(str(self.span_ticks).encode())
        return digest.hexdigest()

    def between(self, start_s: float, end_s: float) -> Trace:
        """Return the requests of [start, end) seconds, shifted so that the first is at tick 0.

        Raises:
            TraceError: nothing arrived in between.

        >>> len(Trace.build([0, 5, 9], [1, 1, 1], [1, 1, 1]).between(4, 10))
        2
        """
        low, high = np.searchsorted(
            self.arrival_ticks, [round(start_s * TICKS_PER_S), round(end_s * TICKS_PER_S)]
        )
        if low >= high:
            raise TraceError(
                f"nothing arrived between {start_s:g} s and {end_s:g} s; widen the interval"
            )
        part = slice(int(low), int(high))
        first = int(self.arrival_ticks[low])
        end = min(round(end_s * TICKS_PER_S), self.span_ticks)
        epoch = (
            None
            if self.epoch_ns is None
            else self.epoch_ns + first // (TICKS_PER_S // 1_000_000_000)
        )
        return Trace(
            self.arrival_ticks[part] - first,
            self.input_tokens[part].copy(),
            self.cached_tokens[part].copy(),
            self.output_tokens[part].copy(),
            end - first,
            epoch,
            self.name,
        )

    def __repr__(self) -> str:
        return (
            f"Trace({self.name!r}: {len(self):,} requests in {self.span_s:,.1f} s, "
            f"mean shape {self.mean_shape} tokens)"
        )


def _same_length(values: Any, n: int, label: str) -> bool:
    if hasattr(values, "__len__") and len(values) != n:
        raise TraceError(
            f"{label} has {len(values)} rows and arrival_s has {n}; they must be equal"
        )
    return True


def _tokens(values: Any, *, name: str) -> TokenArray:
    """Return a column as int32, refusing what is not a whole number in range."""
    column = np.asarray(values if hasattr(values, "__len__") else list(values))
    if column.dtype.kind not in "iu":
        column = column.astype(np.float64)
        _refuse_rows(
            ~(np.isfinite(column) & (column == np.floor(column))),
            f"{name} must be a whole number",
            column,
        )
    _refuse_rows(
        (column < 0) | (column > MAX_REQUEST_TOKENS),
        f"{name} must be between 0 and {MAX_REQUEST_TOKENS}",
        column,
    )
    return column.astype(np.int32)


def _refuse_rows(bad: npt.NDArray[np.bool_], rule: str, values: npt.NDArray[Any]) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise TraceError(
            f"request {row}: {values[row]} breaks the rule: {rule} ({int(bad.sum())} such rows)"
        )
