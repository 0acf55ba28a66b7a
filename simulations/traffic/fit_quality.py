"""How good a fit is: the trace beside what its description generates, number by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulations.errors import TraceError
from simulations.statistics import PERCENTILES, WINDOWS_S, Hole, find_holes
from simulations.trace import Trace
from simulations.traffic import arrivals
from simulations.traffic.description import Description
from simulations.traffic.fit_lengths import cached_fraction, rank_correlation
from simulations.traffic.generator import generate
from simulations.traffic.windows import gaps_cv, seen_s, windows

REPLICATIONS = 10
MOST_REQUESTS = 10_000_000
"""Drawn for a comparison, about; of longer traffic there are fewer replications, two at least."""

WINDOW_WORDS = {"1s": "1 s", "1m": "1 min", "5m": "5 min"}


@dataclass(frozen=True, slots=True)
class Row:
    """One number of the trace, and of the traffic generated for it.

    Args:
        name: what it is.
        trace: of the trace.
        generated: mean over replications.
        low, high: least and most over replications.
        allowed: how far the mean may be off, in the same unit.
        relative: whether that is said as a share of the trace's.
    """

    name: str
    trace: float
    generated: float
    low: float
    high: float
    allowed: float
    relative: bool

    @property
    def is_off(self) -> bool:
        """Whether it is further off than allowed."""
        return abs(self.generated - self.trace) > self.allowed

    @property
    def words(self) -> str:
        """How far off it is, empty where it is not."""
        if not self.is_off:
            return ""
        apart = self.generated - self.trace
        spread = ", within the spread" if self.low <= self.trace <= self.high else ""
        if not self.relative or not self.trace:
            return f"{abs(apart):.3g} too {'high' if apart > 0 else 'low'}{spread}"
        direction = "too high" if apart > 0 else "too low"
        return f"{round(100 * abs(apart / self.trace))} % {direction}{spread}"


def measure(trace: Trace, *, holes: Sequence[Hole] = ()) -> dict[str, float]:
    """Return what is compared, by name, in the order in which it is shown; what is unknown is left out.

    Args:
        holes: times that were not recorded.
    """
    recorded_s = float(seen_s(np.array([trace.span_s]), holes)[0])
    found: dict[str, float | None] = {"requests/s": len(trace) / recorded_s}
    counted = {
        WINDOW_WORDS[name]: windows(trace.arrival_ticks, trace.span_s, width_s, holes)
        for name, width_s in WINDOWS_S.items()
    }
    found |= {f"dispersion at {name}": one.dispersion for name, one in counted.items()}
    found |= {f"peak-to-mean at {name}": one.peak_to_mean for name, one in counted.items()}
    found["CV of gaps"] = gaps_cv(trace.arrival_ticks, holes)
    percents = list(PERCENTILES.values())
    for side, tokens in (("input", trace.input_tokens), ("output", trace.output_tokens)):
        values = np.percentile(tokens, percents, method="inverted_cdf")
        found |= {
            f"{side} tokens, {name}": float(value)
            for name, value in zip(PERCENTILES, values, strict=True)
        }
        found[f"{side} tokens, mean"] = float(tokens.mean())
    found["rank correlation"] = rank_correlation(trace)
    found["cached share"] = cached_fraction(trace)
    return {name: value for name, value in found.items() if value is not None}


ALLOWED_SHARE = {"requests/s": 0.05, "dispersion": 0.25, "peak-to-mean": 0.25, "CV": 0.25}
ALLOWED_TOKENS_SHARE = 0.1
ALLOWED_CORRELATION, ALLOWED_CACHED = 0.05, 0.01
"""How far off is said: shares of the trace's number, and two that are shares themselves. A convention."""


def compare(
    trace: Trace, description: Description, *, replications: int | None = None
) -> tuple[tuple[Row, ...], int]:
    """Return a trace beside the mean over several replications of its description, and how many.

    Args:
        replications: 10 unless told otherwise, fewer of a long trace; those without requests are left out.

    Raises:
        TraceError: none has requests.

    >>> from simulations.traffic import LogNormal, SeasonalRate
    >>> lengths = LogNormal(500, 1.0)
    >>> described = Description(3600.0, SeasonalRate(5.0), lengths, lengths)
    >>> rows, n = compare(generate(described, replication=99), described)
    >>> rows[0].name, rows[0].is_off, n
    ('requests/s', False, 10)
    """
    n = replications or max(2, min(REPLICATIONS, MOST_REQUESTS // len(trace)))
    seen = measure(trace, holes=find_holes(trace))
    made = [
        measure(generate(description, replication=i))
        for i in range(n)
        if len(arrivals.draw(description, replication=i).ticks)
    ]
    if not made:
        raise TraceError(
            f"nothing arrives in {n} replications of what was fitted: the requests come all at once, "
            "and such a trace has no description"
        )
    rows = []
    for name, value in seen.items():
        values = [one[name] for one in made if name in one]
        if not values:
            continue
        allowed, relative = _allowed(name, value)
        mean = float(np.mean(values))
        rows.append(Row(name, value, mean, min(values), max(values), allowed, relative))
    return tuple(rows), n


def _allowed(name: str, value: float) -> tuple[float, bool]:
    if name == "rank correlation":
        return ALLOWED_CORRELATION, False
    if name == "cached share":
        return ALLOWED_CACHED, False
    if "tokens" in name:
        # Lengths are whole: one token off is none.
        return max(1.0, ALLOWED_TOKENS_SHARE * value), True
    share = next(share for key, share in ALLOWED_SHARE.items() if name.startswith(key))
    return share * value, True
