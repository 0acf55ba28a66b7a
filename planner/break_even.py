"""From how much traffic on provisioned capacity is cheaper than paying by the token.

At each volume of the same traffic the cheapest range is searched for in the future that decides; paying by
the token goes straight with the volume.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from planner.bench import Bench
from planner.experiment import Experiment, Range
from planner.jury import Jury
from planner.search import search
from simulations.cost import HOURS_PER_MONTH, pay_per_token_usd
from simulations.errors import PtplanError

VOLUMES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""Of the traffic, each twice the one before."""

TRIALS = 24
REQUESTS_TO_SIMULATE = 30_000_000
"""Simulated requests that may be spent (assumed: some seconds)."""

LEAST_USD = 1e-9
"""A month that costs nothing has no logarithm."""


@dataclass(frozen=True, slots=True)
class Volume:
    """What a volume of the traffic costs either way.

    Args:
        volume: as a multiple of the traffic.
        tokens_per_s: mean load.
        capacity: the cheapest range that keeps the promise, None where none was found.
        usd_per_month: what that costs.
        pay_per_token_usd_per_month: what the tokens cost.
    """

    volume: float
    tokens_per_s: float
    capacity: Range | None
    usd_per_month: float | None
    pay_per_token_usd_per_month: float


def break_even(
    bench: Bench, jury: Jury, chosen: Range, usd_per_month: float | None
) -> Iterator[Volume]:
    """Begin to find the cost of provisioned capacity and of paying by the token at several volumes.

    The bench's threads begin at once; what comes out is waited for. Nothing where a price is not known.

    Args:
        bench: what was recommended on.
        jury: the futures that decide on the recommended range.
        chosen: that range; what it costs is known at the volume of 1.
        usd_per_month: its cost.
    """
    experiment = bench.experiment
    trace, price = experiment.recorded, bench.offer.price
    usd = pay_per_token_usd(
        int(trace.input_tokens.sum(dtype="int64")),
        int(trace.output_tokens.sum(dtype="int64")),
        price=price,
    )
    if usd is None or usd_per_month is None or price.usd_per_chunk_hour is None:
        return iter(())
    by_token = usd / (trace.span_s / 3600) * HOURS_PER_MONTH
    load = trace.total_tokens / trace.span_s
    affordable = REQUESTS_TO_SIMULATE / (len(trace) * TRIALS / 2)
    others = [volume for volume in VOLUMES if volume != 1.0]
    spent = accumulate(others)
    tried = [v for v, so_far in zip(others, spent, strict=True) if so_far <= affordable]
    # The largest first, so that no thread is left alone with it.
    volumes = sorted([1.0, *tried], reverse=True)

    def cheapest(volume: float) -> Volume:
        size, cost = (
            (chosen, usd_per_month)
            if volume == 1.0
            else _cheapest(experiment, jury.futures[-1], volume, bench, chosen)
        )
        return Volume(volume, load * volume, size, cost, by_token * volume)

    return iter(bench.mapper(cheapest, volumes))


def _cheapest(
    experiment: Experiment, future: int, volume: float, bench: Bench, chosen: Range
) -> tuple[Range | None, float | None]:
    futures = experiment.futures
    changed = futures.changed(replace(futures.change, growth=futures.change.growth * volume))
    try:
        one = Bench(
            replace(experiment, futures=changed),
            1,
            progress=lambda range_tried, n_tried: bench.tell(),
            only=future,
        )
        found = search(
            one.attempt,
            floor_cost=one.floor_cost,
            first_guess=max(1, math.ceil(sum(chosen) / 2 * volume)),
            fixed_only=bench.fixed_only,
            max_trials=TRIALS,
        )
    except PtplanError:  # so little traffic that a future is empty
        return None, None
    if found.best is None:
        return None, None
    return (found.best.min_chunks, found.best.max_chunks), found.best.usd_per_month


def crossing(rows: Sequence[Volume]) -> float | None:
    """Return the volume from which on provisioned capacity is the cheaper way; None where it never is.

    Between two volumes both costs are straight lines where both axes go by factors, as the figure draws them:
    exact for paying by the token, and for a range that stays.

    >>> rows = [Volume(v, v, (1, 1), 100.0, 30.0 * v) for v in (1.0, 2.0, 4.0)]
    >>> round(crossing(rows), 6)
    3.333333
    """
    known = [row for row in rows if row.usd_per_month is not None]
    if not known or _advantage(known[-1]) < 0:
        return None
    for earlier, later in zip(reversed(known[:-1]), reversed(known[1:]), strict=True):
        before = _advantage(earlier)
        if before < 0:
            share = -before / (_advantage(later) - before)
            return earlier.volume * math.exp(share * math.log(later.volume / earlier.volume))
    return known[0].volume


def _advantage(row: Volume) -> float:
    """Return the logarithm of the factor by which paying by the token costs more."""
    provisioned = max(row.usd_per_month or 0.0, LEAST_USD)
    return math.log(max(row.pay_per_token_usd_per_month, LEAST_USD) / provisioned)
