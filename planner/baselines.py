"""What other ways of choosing give, judged on the same traffic: the arithmetic and the samples in use today."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from planner.bench import REQUESTS_FOR_ALL, Bench
from planner.evidence import means
from planner.experiment import Range
from planner.offer import Offer
from reports import numbers
from reports.comparison import CURRENT
from simulations.capacity import MAX_CHUNKS, Capacity
from simulations.cost import HOURS_PER_MONTH, pay_per_token_usd
from simulations.cost import usd_per_hour as hourly
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

MINUTE_TICKS = 60 * TICKS_PER_S
DOCUMENTED_SAMPLE = (2, 3)
"""min and max in chunks. Source: docs.databricks.com, provisioned throughput, the create sample
(`2 * chunk_size`, `3 * chunk_size`), read 2026-11-22."""


HYBRID_PARTS = (0.25, 0.5, 0.75, 1.0)
"""Of the recommended maximum, tried as the maximum of a range that spills (assumed)."""


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


def compare(trace: Trace, offer: Offer, bench: Bench, chosen: Range) -> tuple[Baseline, ...]:
    """Return the baselines: peak-minute arithmetic, the documentation's sample, what runs now, the chosen
    maximum all the time, a smaller range that spills the rest, pay-per-token."""
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
        rows.append(_simulated(bench, CURRENT, bench.current, "as it runs now"))
    if chosen[0] < chosen[1]:
        rows.append(
            _simulated(bench, "fixed at the maximum", (chosen[1], chosen[1]), "never scaled down")
        )
    rows += [_hybrid(bench, chosen), _pay_per_token(trace, offer)]
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


def _hybrid(bench: Bench, chosen: Range) -> Baseline:
    """Return the cheapest smaller range that keeps the promise if what it refuses goes to pay-per-token."""
    name, price = "hybrid with spill", bench.offer.price
    if None in (price.input_usd_per_million, price.output_usd_per_million):
        return Baseline(name, None, None, None, None, "no pay-per-token price is known")
    if price.usd_per_chunk_hour is None:
        return Baseline(name, None, None, None, None, "no price of a chunk is known")
    base = replace(bench.base, overflow=replace(bench.base.overflow, policy="spill"))
    spilling = replace(bench.experiment, base=base)
    sizes = sorted({max(1, round(chosen[1] * part)) for part in HYBRID_PARTS})
    best: tuple[float, Range, Mapping[str, Any]] | None = None
    for high in sizes:
        for low in {high} if bench.fixed_only else {1, high}:
            outcomes = list(bench.mapper(partial(spilling.outcome, (low, high)), bench.common))
            figures = means([outcome.figures() for outcome in outcomes])
            cost = figures["usd_per_month"]
            kept = all(bench.objective.judge(outcome).holds for outcome in outcomes)
            if kept and cost is not None and (best is None or cost < best[0]):
                best = (cost, (low, high), figures)
    tried = numbers.counted(len(bench.common), "future")
    if best is None:
        return Baseline(
            name, None, None, False, None, f"no smaller range keeps the promise in {tried}"
        )
    cost, size, seen = best
    spilled = numbers.percent(seen["spilled"] / seen["arrived"])
    overflow = base.overflow
    return Baseline(
        name,
        bench.offer.capacity(*size),
        seen,
        True,
        cost,
        f"what is refused is paid by the token ({spilled} of requests, first token assumed after "
        f"{numbers.duration(overflow.spill_ttft_s)}); kept in {tried} tried",
    )
