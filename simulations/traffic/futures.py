"""Futures: the traffic that a range is judged on, by number. Number r is the same for every candidate.

A law (a `Bootstrap` of a recording, its `Continuation` by a forecast, or a `Description`) makes the traffic of a replication; growth and
factors on token lengths change it. Knows neither endpoints nor promises.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np

from simulations.errors import TraceError
from simulations.statistics import Hole, close_holes
from simulations.ticks import TICKS_PER_S
from simulations.trace import MAX_REQUEST_TOKENS, TokenArray, Trace
from simulations.traffic.bootstrap import Bootstrap
from simulations.traffic.continuation import Continuation
from simulations.traffic.description import Description
from simulations.traffic.generator import generate
from simulations.traffic.streams import Purpose, stream

RECORDED = -1
"""The number of the recording itself: what happened, as far as it was recorded."""

KEPT_BYTES = 1_000_000_000
"""Traffic kept in memory between uses (assumed); what does not fit is drawn again."""

BYTES_PER_REQUEST = 20
MAX_FACTOR = 1000.0


@dataclass(frozen=True, slots=True)
class Change:
    """What is different from the recording.

    Args:
        growth: requests, as a multiple, above 0. Beyond 1 further copies of the same days are laid over,
            drawn on their own, so that a Poisson stream stays one; below 1 requests are left out by chance.
        input_factor, output_factor: tokens of every request, as a multiple, above 0; cached tokens go with
            the input.

    Raises:
        TraceError: a factor is not above 0, or absurd.
    """

    growth: float = 1.0
    input_factor: float = 1.0
    output_factor: float = 1.0

    def __post_init__(self) -> None:
        for name in ("growth", "input_factor", "output_factor"):
            value = getattr(self, name)
            if not 0 < value <= MAX_FACTOR:
                raise TraceError(f"{name} is {value}; must be above 0 and at most {MAX_FACTOR:g}")


@dataclass(frozen=True, eq=False)
class Futures:
    """Traffic by the number of its replication.

    Args:
        law: what makes it.
        change: what is different from the law.
        seed: >= 0; of all draws.

    >>> from simulations.traffic.bootstrap import Bootstrap
    >>> hour = Trace.build(range(3600), [100] * 3600, [10] * 3600)
    >>> futures = Futures(Bootstrap(hour), Change(growth=2.5))
    >>> futures.draw(0) is futures.draw(0), futures.draw(RECORDED).span_s
    (True, 3599.0)
    """

    law: Bootstrap | Continuation | Description
    change: Change = Change()
    seed: int = 0
    _kept: OrderedDict[int, Trace] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def draw(self, replication: int) -> Trace:
        """Return the traffic of a replication; `RECORDED` for the recording without its holes.

        Without a recording, `RECORDED` is one more future of the description.
        """
        with self._lock:
            if replication in self._kept:
                self._kept.move_to_end(replication)
                return self._kept[replication]
        trace = self._changed(replication)
        with self._lock:
            self._kept[replication] = trace
            total = sum(map(len, self._kept.values()))
            while len(self._kept) > 1 and total * BYTES_PER_REQUEST > KEPT_BYTES:
                _, dropped = self._kept.popitem(last=False)
                total -= len(dropped)
        return trace

    def endpoint_seed(self, replication: int) -> int:
        """Return the seed of what chance does at the endpoint and its clients in a replication."""
        if replication == RECORDED:
            return self.seed % 2**32
        return int(stream(self.seed, replication, Purpose.ENDPOINT).integers(0, 2**32))

    def changed(self, change: Change) -> Futures:
        """Return the same futures with another change."""
        return Futures(self.law, change, self.seed)

    def _changed(self, replication: int) -> Trace:
        change = self.change
        whole = int(change.growth)
        parts = [self._copy(replication, copy) for copy in range(whole)]
        rest = change.growth - whole
        if rest > 0:
            last = self._copy(replication, whole)
            random = stream(self.seed, max(replication, 0), Purpose.THINNING)
            keep = random.random(len(last)) < rest
            if keep.any():
                parts.append(_rows(last, keep))
        if not parts:
            raise TraceError(
                f"growth is {change.growth}, which leaves no request; use a larger one"
            )
        trace = parts[0] if len(parts) == 1 else _laid_over(parts)
        past = self._past
        if replication == RECORDED and past is not None and past.holes:
            trace = close_holes(trace)  # after laying over, so that every hour meets its own
        if (change.input_factor, change.output_factor) == (1.0, 1.0):
            return trace
        return _lengthened(trace, change)

    @property
    def _past(self) -> Bootstrap | None:
        """The recording, where there is one."""
        if isinstance(self.law, Continuation):
            return self.law.past
        return self.law if isinstance(self.law, Bootstrap) else None

    def _copy(self, replication: int, copy: int) -> Trace:
        law, past = self.law, self._past
        if isinstance(law, Description):
            described = replace(law, seed=self.seed)
            return generate(
                described, replication=replication + 1 + (copy << 32), from_first_request=False
            )
        if replication == RECORDED and past is not None:
            # More of what was recorded than was recorded has to be drawn, but for when nothing was.
            if copy == 0:
                return past.trace
            return _outside(past.draw(seed=self.seed, replication=0, copy=copy), past.holes)
        return law.draw(seed=self.seed, replication=replication, copy=copy)


def _outside(trace: Trace, holes: tuple[Hole, ...]) -> Trace:
    """Return the requests that arrived in none of the holes."""
    keep = np.ones(len(trace), bool)
    for hole in holes:
        start, end = (round(s * TICKS_PER_S) for s in (hole.start_s, hole.start_s + hole.length_s))
        keep &= (trace.arrival_ticks < start) | (trace.arrival_ticks >= end)
    return _rows(trace, keep)


def _rows(trace: Trace, keep: np.ndarray) -> Trace:
    return replace(
        trace,
        arrival_ticks=trace.arrival_ticks[keep],
        input_tokens=trace.input_tokens[keep],
        cached_tokens=trace.cached_tokens[keep],
        output_tokens=trace.output_tokens[keep],
    )


def _laid_over(parts: list[Trace]) -> Trace:
    arrival = np.concatenate([part.arrival_ticks for part in parts])
    order = np.argsort(arrival, kind="stable")
    first = parts[0]
    return Trace(
        arrival[order],
        np.concatenate([part.input_tokens for part in parts])[order],
        np.concatenate([part.cached_tokens for part in parts])[order],
        np.concatenate([part.output_tokens for part in parts])[order],
        max(max(part.span_ticks for part in parts), int(arrival[order[-1]])),
        first.epoch_ns,
        first.name,
    )


def _lengthened(trace: Trace, change: Change) -> Trace:
    inputs = _scaled(trace.input_tokens, change.input_factor, at_least=1)
    outputs = _scaled(trace.output_tokens, change.output_factor, at_least=0)
    longest = int((inputs.astype(np.int64) + outputs).max())
    if longest > MAX_REQUEST_TOKENS:
        raise TraceError(
            f"input_factor {change.input_factor:g} and output_factor {change.output_factor:g} make a request of "
            f"{longest:,} tokens; must stay at most {MAX_REQUEST_TOKENS:,}"
        )
    cached = np.minimum(_scaled(trace.cached_tokens, change.input_factor, at_least=0), inputs)
    return replace(trace, input_tokens=inputs, cached_tokens=cached, output_tokens=outputs)


def _scaled(tokens: TokenArray, factor: float, *, at_least: int) -> TokenArray:
    """Return token counts times a factor; an output of none stays none."""
    scaled: TokenArray = np.minimum(np.rint(tokens * factor), 2.0 * MAX_REQUEST_TOKENS).astype(
        np.int32
    )
    least = np.minimum(tokens, 1) if at_least == 0 else np.ones_like(tokens)
    return np.maximum(scaled, least, out=scaled)
