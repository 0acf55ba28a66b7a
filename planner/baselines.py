"""What other ways of choosing give, judged on the same traffic: the arithmetic and the samples in use today."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.bench import Bench
from planner.offer import Offer
from reports import numbers
from simulations.capacity import MAX_CHUNKS, Capacity
from simulations.cost import HOURS_PER_MONTH, pay_per_token_usd
from simulations.cost import usd_per_hour as hourly
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

MINUTE_TICKS = 60 * TICKS_PER_S
DOCUMENTED_SAMPLE = (2, 3)
"""min and max in chunks. Source: docs.databricks.com, provisioned throughput, the create sample
(`2 * chunk_size`, `3 * chunk_size`), read 2026-11-22."""


REQUESTS_FOR_ALL = 40_000_000
"""Where all futures together are longer than this, a way of choosing is tried in some of them (assumed)."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Another way of choosing and what it comes to.

    Args:
        name: the way, in words.
        capacity: what it would buy, None where nothing is provisioned.
        figures: its mean figures on the same futures, None where nothing was simulated.
        holds: whether it keeps the promise, None where nothing was simulated.
        usd_per_month: its cost, None where unknown.
        note: how it was arrived at.
    """

    name: str
    capacity: Capacity | None
    figures: Mapping[str, Any] | None
    holds: bool | None
    usd_per_month: float | None
    note: str = ""


def peak_minute_tokens_per_s(trace: Trace) -> float:
    """Return the largest mean load of any full minute (of the whole, where it is shorter than one).

    >>> round(peak_minute_tokens_per_s(Trace.build([0, 1, 90], [600, 600, 1], [0, 0, 0])), 1)
    20.0
    """
    minutes = trace.span_ticks // MINUTE_TICKS
    if minutes == 0:
        return trace.total_tokens / max(trace.span_s, 1.0)
    tokens = trace.input_tokens.astype(np.int64) + trace.output_tokens
    place = trace.arrival_ticks // MINUTE_TICKS
    return float(np.bincount(place, tokens, minutes)[:minutes].max()) / 60


def compare(trace: Trace, offer: Offer, bench: Bench) -> tuple[Baseline, ...]:
    """Return the baselines: peak-minute arithmetic, the documentation's sample, what runs now, pay-per-token."""
    peak = peak_minute_tokens_per_s(trace)
    chunks = max(1, math.ceil(peak / offer.step.rated_tokens_per_s))
    rows = [
        _simulated(
            bench,
            "peak-minute arithmetic",
            (chunks, chunks),
            f"the busiest minute's {peak:,.0f} tokens/s, rounded up to whole chunks and held at all times",
        )
    ]
    if not bench.fixed_only:
        rows.append(
            _simulated(
                bench,
                "documentation's sample",
                DOCUMENTED_SAMPLE,
                "min = 2 chunks and max = 3 chunks, as the create sample has it",
            )
        )
    if bench.current is not None:
        rows.append(_simulated(bench, "current configuration", bench.current, "as it runs now"))
    rows.append(_pay_per_token(trace, offer))
    return tuple(rows)


def _simulated(bench: Bench, name: str, size: tuple[int, int], note: str) -> Baseline:
    if size[1] > MAX_CHUNKS:
        return Baseline(name, None, None, None, None, f"{size[1]:,} chunks, too many to simulate")
    bench.attempt(*size)
    if bench.n_futures * len(bench.experiment.recorded) <= REQUESTS_FOR_ALL:
        bench.look(size, bench.screening, enough=bench.allowed)
    trial = bench.trial(size)
    return Baseline(
        name,
        bench.offer.capacity(*size),
        trial.figures,
        trial.verdict.holds,
        trial.usd_per_month,
        note
        if trial.tried == 1
        else f"{note}; kept in {trial.evidence.successes} of {numbers.counted(trial.tried, 'future')} tried",
    )


def _pay_per_token(trace: Trace, offer: Offer) -> Baseline:
    usd = pay_per_token_usd(
        int(trace.input_tokens.sum(dtype=np.int64)),
        int(trace.output_tokens.sum(dtype=np.int64)),
        price=offer.price,
    )
    per_hour = hourly(usd, span_ticks=trace.span_ticks)
    return Baseline(
        "pay-per-token",
        None,
        None,
        None,
        None if per_hour is None else per_hour * HOURS_PER_MONTH,
        "no promise of latency; its rate limits are not simulated"
        if per_hour is not None
        else "no pay-per-token price is known for this model; give --input-price and --output-price",
    )
