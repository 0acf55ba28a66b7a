"""The numbers that a calibration looks for, how far each may go, and what is expected of it beforehand.

A search works with one coordinate per free number: the logarithm of its ratio to what is expected, in units of
the spread expected. So 0 is the published servers' middle and 1 is one spread above it, for a time as for a
count. Iteration time and limits are numbers of their own; the other times are ratios, since a server twice as
fast is so in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from simulations.fit.measurement import Limits
from simulations.scenario import Service

Vector = npt.NDArray[np.float64]

WIDEST = 5.0
"""A search stays within so many spreads of what is expected."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that may have been the measured one.

    Args:
        iteration_s, sequence_s, context_s, prefill_s, attention_s: as in `Service`.
        routing_s: what a request takes beyond the server: routing, tokens to text, the way there and back.
        max_sequences, token_budget: as in `Service`.
        kv_tokens: as in `Service`; None means without limit.
    """

    iteration_s: float
    sequence_s: float = 0.0
    context_s: float = 0.0
    prefill_s: float = 0.0
    attention_s: float = 0.0
    routing_s: float = 0.0
    max_sequences: int = 256
    token_budget: int = 8192
    kv_tokens: int | None = None

    def service(self) -> Service:
        """Return it as a service, without what is outside of the server."""
        return Service(
            self.iteration_s,
            self.sequence_s,
            self.context_s,
            self.prefill_s,
            self.attention_s,
            token_budget=max(self.token_budget, self.max_sequences),
            max_sequences=self.max_sequences,
            kv_tokens=self.kv_tokens,
        )


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that may be searched for.

    Args:
        name: of `Candidate`.
        expected: its middle before anything is measured.
        spread: standard deviation of its logarithm, likewise.
        per: what it is a ratio to, or None.
        low, high: it stays within.
        count: whether it is a whole number.
    """

    name: str
    expected: float
    spread: float
    per: str | None = None
    low: float = 0.0
    high: float = math.inf
    count: bool = False


PARAMETERS: dict[str, Parameter] = {
    p.name: p
    for p in (
        Parameter("iteration_s", 0.010, 1.0, low=1e-5, high=2.0),
        Parameter("sequence_s", 5e-3, 1.0, per="iteration_s"),
        Parameter("context_s", 3e-6, 1.0, per="iteration_s"),
        Parameter("prefill_s", 3.5e-3, 1.0, per="iteration_s"),
        Parameter("attention_s", 3e-5, 1.0, per="prefill_s"),
        Parameter("routing_s", 0.005, 1.5, high=10.0),
        Parameter("max_sequences", 256, 1.0, low=1, high=8192, count=True),
        Parameter("token_budget", 8192, 0.8, low=16, high=1 << 20, count=True),
        Parameter("kv_tokens", 400_000, 1.5, low=1, high=1 << 28, count=True),
    )
}
"""What is expected: middle and spread over the published services of services.toml, the spread widened by a
quarter and more, since those were measured on few kinds of hardware. Attention: 4 x layers x width operations a
pair against 2 x parameters a token, for models of 8B to 70B. Limits: vLLM's defaults. Routing is *assumed*."""

TIMES = ("iteration_s", "sequence_s", "context_s", "prefill_s", "attention_s", "routing_s")
LIMITS = ("max_sequences", "token_budget", "kv_tokens")


@dataclass(frozen=True)
class Space:
    """The free numbers of a search, in order, and the values of the others.

    Args:
        free: names of what is searched for.
        fixed: values of all others that are not 0 (None for a limit means without).
        lowest: values that a free one cannot go below, since the measurement would be impossible.
    """

    free: tuple[str, ...]
    fixed: Mapping[str, float | int | None]
    lowest: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.free)

    def candidate(self, x: Vector) -> Candidate:
        """Return the server at a point."""
        defaults: dict[str, Any] = {field.name: field.default for field in fields(Candidate)}
        values: dict[str, Any] = defaults | dict(self.fixed)
        place = dict(zip(self.free, x, strict=True))
        for name, parameter in PARAMETERS.items():
            if name not in place:
                continue
            value = parameter.expected * math.exp(parameter.spread * float(place[name]))
            if parameter.per is not None:
                value *= float(values[parameter.per] or 0.0)
            low = max(parameter.low, self.lowest.get(name, 0.0))
            value = min(max(value, low), parameter.high)
            values[name] = round(value) if parameter.count else value
        return Candidate(**values)

    def point(self, candidate: Candidate) -> Vector:
        """Return where a server is, within the widest bounds."""
        x = np.empty(len(self.free))
        for at, name in enumerate(self.free):
            parameter = PARAMETERS[name]
            value = float(getattr(candidate, name) or 0.0)
            if parameter.per is not None:
                value /= getattr(candidate, parameter.per) or math.inf
            x[at] = (
                math.log(value / parameter.expected) / parameter.spread if value > 0 else -WIDEST
            )
        return np.clip(x, -WIDEST, WIDEST)

    def with_fixed(self, **values: float | int | None) -> Space:
        """Return the same search with some numbers no longer free."""
        return Space(
            tuple(name for name in self.free if name not in values),
            {**self.fixed, **values},
            self.lowest,
        )


def space_of(names: Iterable[str], known: Limits, *, longest_tokens: int) -> Space:
    """Return a search for some numbers beside what is known.

    Args:
        names: what is to be found; known limits are left out.
        known: limits that need not be found.
        longest_tokens: of one request that was served.
    """
    given = {name: getattr(known, name) for name in LIMITS if getattr(known, name) is not None}
    free = tuple(name for name in PARAMETERS if name in set(names) and name not in given)
    return Space(free, given, {"kv_tokens": float(longest_tokens)})
