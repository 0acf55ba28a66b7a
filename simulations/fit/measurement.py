"""What was measured at a served model: requests one by one, or figures of a level of load.

A `MeasuredRun` holds the times of every request, a `MeasuredLevel` only means and percentiles at one
concurrency or rate. Times are seconds, from the moment the client sent the request. Knows no file and no
service: importers make these, the calibration reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulations.errors import MeasurementError
from simulations.trace import Shape, Trace

FloatArray = npt.NDArray[np.float64]

STATISTICS = ("mean", "p50", "p90", "p95", "p99")
METRICS = ("ttft", "tpot", "e2e")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known of the server without fitting it; None where it is not.

    Args:
        max_sequences: sequences that run at once (vLLM's max_num_seqs).
        token_budget: tokens of an iteration (max_num_batched_tokens).
        kv_tokens: tokens of KV memory.
    """

    max_sequences: int | None = None
    token_budget: int | None = None
    kv_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_sequences", "token_budget", "kv_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise MeasurementError(f"{name} is {value}; must be >= 1")

    def over(self, other: Limits) -> Limits:
        """Return these limits, and the other's where nothing is known here.

        >>> Limits(4).over(Limits(8, 512))
        Limits(max_sequences=4, token_budget=512, kv_tokens=None)
        """
        return Limits(
            self.max_sequences or other.max_sequences,
            self.token_budget or other.token_budget,
            self.kv_tokens or other.kv_tokens,
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a measurement came from.

    Args:
        path: the file as the user gave it.
        tool: what wrote it, such as `guidellm`.
        version: of the tool or its file; empty where the file does not say.
        sha256: of the file.
    """

    path: str = ""
    tool: str = ""
    version: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.tool} {self.version}".strip() or self.path


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """Requests that were served, one by one.

    Args:
        arrival_s: float[n], when each was sent, ascending, the first is 0.
        input_tokens, cached_tokens, output_tokens: int[n].
        ttft_s: float[n], to the first token; NaN where it was not measured.
        e2e_s: float[n], to the last token; NaN likewise.
        loop: `open` where the sender did not wait for answers, `closed` where each user sent the next
            request when the last was answered: its arrivals say nothing of an arrival process.
        users: of a closed loop, where known.
        chunks: servers that shared the load.
        limits: what is known of each of them.
        warm_s: what arrived before it is simulated and not compared, because the recording began in the middle.
        n_failed: requests left out because they failed.
        origin: where it came from.
        notes: sentences for the user.

    Raises:
        MeasurementError: there is nothing in it, or times or counts are impossible.
    """

    arrival_s: FloatArray
    input_tokens: npt.NDArray[np.int64]
    cached_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]
    ttft_s: FloatArray
    e2e_s: FloatArray
    loop: Literal["open", "closed"] = "open"
    users: int | None = None
    chunks: int = 1
    limits: Limits = field(default_factory=Limits)
    warm_s: float = 0.0
    n_failed: int = 0
    origin: Origin = field(default_factory=Origin)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.arrival_s)
        if n == 0:
            raise MeasurementError(f"{self.origin.path or 'the run'} holds no finished request")
        columns = {
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
            "ttft_s": self.ttft_s,
            "e2e_s": self.e2e_s,
        }
        for name, column in columns.items():
            if len(column) != n:
                raise MeasurementError(f"{name} has {len(column)} rows and arrival_s has {n}")
        if not np.isfinite(self.arrival_s).all() or (np.diff(self.arrival_s) < 0).any():
            raise MeasurementError("arrivals must be finite and ascending")
        for name in ("ttft_s", "e2e_s"):
            times = columns[name]
            bad = ~np.isnan(times) & ~((times > 0) & np.isfinite(times))
            if bad.any():
                row = int(np.argmax(bad))
                raise MeasurementError(f"request {row}: {name} is {times[row]:g}; must be > 0")
        late = self.ttft_s > self.e2e_s * (1 + 1e-9)
        if late.any():
            row = int(np.argmax(late))
            raise MeasurementError(
                f"request {row}: its first token came after {self.ttft_s[row]:g} s and its last after "
                f"{self.e2e_s[row]:g} s"
            )
        if self.chunks < 1:
            raise MeasurementError(f"chunks is {self.chunks}; must be >= 1")

    @classmethod
    def build(
        cls,
        arrival_s: npt.ArrayLike,
        input_tokens: npt.ArrayLike,
        output_tokens: npt.ArrayLike,
        *,
        ttft_s: npt.ArrayLike | None = None,
        e2e_s: npt.ArrayLike | None = None,
        cached_tokens: npt.ArrayLike | None = None,
        **more: object,
    ) -> MeasuredRun:
        """Return a run from columns in any order of arrival, on any clock.

        >>> MeasuredRun.build([7, 5], [10, 20], [2, 3], e2e_s=[1, 2]).input_tokens.tolist()
        [20, 10]
        """
        arrival = np.asarray(arrival_s, np.float64)
        order = np.argsort(arrival, kind="stable")
        nothing = np.full(len(arrival), np.nan)

        def floats(column: npt.ArrayLike | None) -> FloatArray:
            return nothing.copy() if column is None else np.asarray(column, np.float64)[order]

        def counts(column: npt.ArrayLike) -> npt.NDArray[np.int64]:
            return np.asarray(column, np.int64)[order]

        first = arrival.min() if len(arrival) else 0.0
        return cls(
            arrival[order] - first,
            counts(input_tokens),
            counts(np.zeros(len(arrival)) if cached_tokens is None else cached_tokens),
            counts(output_tokens),
            floats(ttft_s),
            floats(e2e_s),
            **more,  # type: ignore[arg-type]
        )

    def __len__(self) -> int:
        return len(self.arrival_s)

    @cached_property
    def trace(self) -> Trace:
        """The requests as traffic; one that was sent without a prompt counts as one token."""
        return Trace.build(
            self.arrival_s,
            np.maximum(1, self.input_tokens),
            self.output_tokens,
            cached_tokens=np.minimum(self.cached_tokens, self.input_tokens),
            name=self.origin.path or "run",
        )

    @property
    def tpot_s(self) -> FloatArray:
        """Mean time per output token after the first, float[n]; NaN below two output tokens."""
        later = self.output_tokens - 1
        spread = self.e2e_s - self.ttft_s
        return np.where(later >= 1, spread / np.maximum(later, 1), np.nan)

    @property
    def longest_tokens(self) -> int:
        """Input plus output of the longest request that was served."""
        return int((self.input_tokens + self.output_tokens).max())

    def compared(self) -> npt.NDArray[np.bool_]:
        """Return which requests a simulation is compared with, bool[n]."""
        return self.arrival_s >= self.warm_s

    def peaks(self, counts: npt.NDArray[np.bool_]) -> tuple[int, int]:
        """Return the most requests that were between first and last token at once on one server, and the most
        tokens that they held, as far as those that count show; 0 where it was not measured."""
        known = counts & ~np.isnan(self.ttft_s) & ~np.isnan(self.e2e_s)
        begin = (self.arrival_s + self.ttft_s)[known]
        end = (self.arrival_s + self.e2e_s)[known]
        times = np.concatenate([begin, end])
        steps = np.concatenate([np.ones(len(begin)), -np.ones(len(end))])
        # While it is answered a request holds its prompt and, in the mean, half of its answer.
        held = (self.input_tokens + self.output_tokens / 2)[known]
        tokens = np.concatenate([held, -held])
        order = np.lexsort((steps, times))  # at one instant the ends first
        running = float(np.cumsum(steps[order]).max(initial=0.0))
        most = float(np.cumsum(tokens[order]).max(initial=0.0))
        return math.ceil(running / self.chunks), math.ceil(most / self.chunks)

    def held_tokens(self, counts: npt.NDArray[np.bool_], at_s: FloatArray) -> FloatArray:
        """Return what those between first and last token held at some moments on one server, float[len(at_s)].

        Prompts and what had been answered of them, as if evenly; as far as those that count show.
        """
        known = counts & ~np.isnan(self.ttft_s) & ~np.isnan(self.e2e_s)
        begin = (self.arrival_s + self.ttft_s)[known]
        end = (self.arrival_s + self.e2e_s)[known]
        held = np.zeros(len(at_s))
        for place, moment in enumerate(at_s):
            here = (begin <= moment) & (moment < end)
            progress = (moment - begin[here]) / (end[here] - begin[here])
            held[place] = float(
                (self.input_tokens[known][here] + progress * self.output_tokens[known][here]).sum()
            )
        return held / self.chunks


@dataclass(frozen=True)
class MeasuredLevel:
    """Figures at one level of load: a point of a concurrency or rate sweep.

    Args:
        shape: tokens of the requests; means where they differ.
        figures: by `ttft_mean`, `tpot_p99` ...: seconds. Only those that were measured.
        users: of a closed loop; None where requests came at a rate.
        rate_per_s: of an open loop; None in a closed one.
        n: requests that were served; None where the file does not say.
        held_back: requests of the users that wait although a slot were free (see loading.py).
        burstiness: shape of the gamma distributed gaps of an open loop; 1 is Poisson.
        span_s: how long it took; None where unknown.
        output_tokens_per_s: of all requests together; None where unknown.

    Raises:
        MeasurementError: neither or both of users and rate, or a figure that is no time.
    """

    shape: Shape
    figures: dict[str, float]
    users: int | None = None
    rate_per_s: float | None = None
    n: int | None = None
    burstiness: float = 1.0
    span_s: float | None = None
    output_tokens_per_s: float | None = None
    held_back: int = 0
    chunks: int = 1
    limits: Limits = field(default_factory=Limits)
    origin: Origin = field(default_factory=Origin)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.users is None) == (self.rate_per_s is None):
            raise MeasurementError("a level has users or a rate, one of them")
        if self.users is not None and self.users < 1:
            raise MeasurementError(f"users is {self.users}; must be >= 1")
        if self.rate_per_s is not None and not 0 < self.rate_per_s < math.inf:
            raise MeasurementError(f"rate_per_s is {self.rate_per_s}; must be > 0")
        known = {f"{metric}_{statistic}" for metric in METRICS for statistic in STATISTICS}
        for name, value in self.figures.items():
            if name not in known:
                raise MeasurementError(f"{name} is not a figure of a level")
            if not 0 < value < math.inf:
                raise MeasurementError(f"{name} is {value}; must be > 0 s")
        if not self.figures:
            raise MeasurementError(f"{self.origin.path or 'a level'} has no figure of latency")

    @property
    def load(self) -> str:
        """How it was loaded, in words."""
        return f"{self.users} users" if self.users is not None else f"{self.rate_per_s:g}/s"


Measurement = MeasuredRun | MeasuredLevel


def known_limits(
    measurements: list[Measurement], limits: Limits, *, chunks: int | None
) -> list[Measurement]:
    """Return measurements with the limits and the number of chunks that the user knows better."""
    changed: list[Measurement] = []
    for one in measurements:
        changed.append(replace(one, limits=limits.over(one.limits), chunks=chunks or one.chunks))
    return changed
