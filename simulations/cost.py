"""What a run costs: chunk-hours, launches and tokens, in US dollars.

Takes arrays of ticks and gives exact sums of ticks; a dollar is a float only at the very end. Knows
neither models nor tariffs (a `Price` is given) nor what the chunks were doing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulations.errors import CatalogueError
from simulations.ticks import TICKS_PER_S, to_ticks

HOURS_PER_MONTH = 730
"""Hours in a month, 8760 / 12 (assumed; the usual convention of cloud price lists)."""

HOUR_S = 3600.0
_TICKS_PER_HOUR = 3600 * TICKS_PER_S

Ticks = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Price:
    """What is charged. An amount that is not known is None, and so is every sum that needs it.

    Args:
        usd_per_chunk_hour: for one chunk (or one step of model units) for one hour.
        launch_usd: for one start of a chunk.
        input_usd_per_million, output_usd_per_million: for a million tokens at pay-per-token.
        bill_from: whether a chunk bills from its `start` or from being `ready`.
        granularity_s: the time of each launch is rounded up to a multiple of this.
        source: where the amounts come from, in words.
        date: when they were true, ISO 8601; empty where unknown.
        assumed: whether the amount per chunk-hour is not one that the user gave.
        billing_assumed: whether `bill_from`, `granularity_s` and `launch_usd` are not known to be so.

    Raises:
        CatalogueError: an amount is negative or not finite, the granularity is below a tick.

    Source: *assumed*. Databricks bills "for the actual compute used" and quotes by the hour
    (docs.databricks.com, provisioned throughput, read 2026-11-22); how a part of an hour bills, and whether
    launches of provisioned throughput cost anything, is not published.
    """

    usd_per_chunk_hour: float | None = None
    launch_usd: float = 0.0
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None
    bill_from: Literal["ready", "start"] = "ready"
    granularity_s: float = 1.0
    source: str = "not known"
    date: str = ""
    assumed: bool = True
    billing_assumed: bool = True

    def __post_init__(self) -> None:
        for name in (
            "usd_per_chunk_hour",
            "launch_usd",
            "input_usd_per_million",
            "output_usd_per_million",
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise CatalogueError(f"{name} is {value}; must be a number >= 0")
        if self.bill_from not in ("ready", "start"):
            raise CatalogueError(f"bill_from is {self.bill_from!r}; must be ready or start")
        _granularity_ticks(self.granularity_s)


@dataclass(frozen=True, slots=True)
class Bill:
    """What the chunks of a run cost over its horizon.

    Args:
        billed_ticks: chunk-time after rounding, exact.
        billed_at_1h_ticks: the same if every launch were rounded up to whole hours.
        n_launches: chunks that were started within the horizon (those there at t = 0 were not).
        usd, usd_at_1h: both in dollars, launches included; None where the price is not known.
    """

    billed_ticks: int
    billed_at_1h_ticks: int
    n_launches: int
    usd: float | None
    usd_at_1h: float | None

    @property
    def chunk_hours(self) -> float:
        """Hours billed."""
        return self.billed_ticks / _TICKS_PER_HOUR


def billed_chunk_ticks(
    started_ticks: Ticks,
    ready_ticks: Ticks,
    released_ticks: Ticks,
    *,
    horizon_ticks: int,
    bill_from: Literal["ready", "start"] = "ready",
    granularity_s: float = 1.0,
) -> int:
    """Return the chunk-time that is billed, in ticks, exact beyond 64 bits.

    Each launch bills from its start or from being ready until its release, as far as that lies within the
    horizon, rounded up to the granularity. One that is released before it is ready bills nothing from ready.

    Args:
        started_ticks, ready_ticks, released_ticks: int64[m]; `NEVER` for what did not happen.
        horizon_ticks: the end of what is billed, >= 0.

    Raises:
        CatalogueError: the granularity is below a tick.

    >>> second, never = TICKS_PER_S, 1 << 62
    >>> started, ready, released = (np.array([tick], np.int64) for tick in (0, 3 * second, never))
    >>> billed_chunk_ticks(started, ready, released, horizon_ticks=10 * second) // second
    7
    """
    granularity = _granularity_ticks(granularity_s)
    begin = started_ticks if bill_from == "start" else ready_ticks
    ticks = np.maximum(np.minimum(released_ticks, horizon_ticks) - begin, 0)
    rounded = -(-ticks // granularity) * granularity
    # 100 chunks for a year are 3e20 ticks: whole seconds and the rest are summed apart.
    seconds, rest = np.divmod(rounded, TICKS_PER_S)
    return int(seconds.sum()) * TICKS_PER_S + int(rest.sum())


def bill(
    started_ticks: Ticks,
    ready_ticks: Ticks,
    released_ticks: Ticks,
    *,
    horizon_ticks: int,
    price: Price,
) -> Bill:
    """Return what the launches of a run cost, and what they would at a granularity of one hour.

    Args: as for `billed_chunk_ticks`.

    >>> half_hour, never = 1800 * TICKS_PER_S, 1 << 62
    >>> at_zero, alive = np.array([0], np.int64), np.array([never], np.int64)
    >>> made = bill(at_zero, at_zero, alive, horizon_ticks=half_hour, price=Price(7.42))
    >>> made.chunk_hours, made.usd, made.usd_at_1h
    (0.5, 3.71, 7.42)
    """
    times = (started_ticks, ready_ticks, released_ticks)
    billed, at_1h = (
        billed_chunk_ticks(
            *times,
            horizon_ticks=horizon_ticks,
            bill_from=price.bill_from,
            granularity_s=granularity_s,
        )
        for granularity_s in (price.granularity_s, HOUR_S)
    )
    # A start takes time, so a chunk that was ready when it started was there before.
    n_launches = int(((ready_ticks > started_ticks) & (started_ticks < horizon_ticks)).sum())
    return Bill(
        billed_ticks=billed,
        billed_at_1h_ticks=at_1h,
        n_launches=n_launches,
        usd=_chunks_usd(billed, n_launches, price),
        usd_at_1h=_chunks_usd(at_1h, n_launches, price),
    )


def pay_per_token_usd(input_tokens: int, output_tokens: int, *, price: Price) -> float | None:
    """Return what these tokens cost at pay-per-token, or None where a price that they need is not known.

    >>> pay_per_token_usd(2_000_000, 0, price=Price(input_usd_per_million=0.15))
    0.3
    >>> pay_per_token_usd(2_000_000, 1, price=Price(input_usd_per_million=0.15)) is None
    True
    """
    total = 0.0
    for tokens, usd in (
        (input_tokens, price.input_usd_per_million),
        (output_tokens, price.output_usd_per_million),
    ):
        if tokens:
            if usd is None:
                return None
            total += tokens / 1_000_000 * usd
    return total


def usd_per_hour(usd: float | None, *, span_ticks: int) -> float | None:
    """Return an amount over a span as an hourly rate; None where either is not known or the span is 0.

    >>> usd_per_hour(1.0, span_ticks=1800 * TICKS_PER_S)
    2.0
    """
    return None if usd is None or span_ticks <= 0 else usd * (_TICKS_PER_HOUR / span_ticks)


def usd_per_month(usd: float | None, *, span_ticks: int) -> float | None:
    """Return what a month costs if every hour is like the mean hour of the span; None where not known.

    Source: a month is 730 h (assumed).

    >>> usd_per_month(1.0, span_ticks=3600 * TICKS_PER_S)
    730.0
    """
    hourly = usd_per_hour(usd, span_ticks=span_ticks)
    return None if hourly is None else hourly * HOURS_PER_MONTH


def usd_per_million_tokens(usd: float | None, *, tokens: int) -> float | None:
    """Return an amount per million tokens (input and output); None where not known or there are none.

    >>> usd_per_million_tokens(3.0, tokens=6_000_000)
    0.5
    """
    return None if usd is None or tokens <= 0 else usd / (tokens / 1_000_000)


def _granularity_ticks(granularity_s: float) -> int:
    if not (math.isfinite(granularity_s) and granularity_s > 0):
        raise CatalogueError(f"granularity_s is {granularity_s}; must be > 0")
    ticks = to_ticks(granularity_s, name="granularity_s")
    if ticks < 1:
        raise CatalogueError(f"granularity_s is {granularity_s}; must be at least 1e-11")
    return ticks


def _chunks_usd(billed_ticks: int, n_launches: int, price: Price) -> float | None:
    if price.usd_per_chunk_hour is None:
        return None
    return billed_ticks / _TICKS_PER_HOUR * price.usd_per_chunk_hour + n_launches * price.launch_usd
