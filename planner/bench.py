"""Where ranges are tried: one trace, one endpoint but for its range, one promise. The same range always
gives the same trial."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from planner.objective import Objective
from planner.offer import Offer
from planner.search import Trial
from simulations.engine import simulate
from simulations.outcome import summarise
from simulations.rating import (
    saturated_tokens_per_s,
    served_shape,
    served_tokens_per_s,
    settle,
)
from simulations.run import Run
from simulations.scenario import Scenario
from simulations.trace import Trace

Progress = Callable[[str, int], None]
"""Called with what is being tried and how many ranges were tried before."""


@dataclass
class Bench:
    """Where ranges are tried: one trace, one endpoint but for its range, one promise."""

    trace: Trace
    offer: Offer
    base: Scenario
    objective: Objective
    start_chunks: int | None = None
    progress: Progress | None = None
    n_tried: int = 0

    def __post_init__(self) -> None:
        # The target depends on the traffic alone, so it is found once.
        settled = settle(self.base, self.trace)
        self.base = replace(self.base, autoscaler=settled.autoscaler)

    @property
    def fixed_only(self) -> bool:
        """Whether nothing scales here: model units, or an autoscaler that does not."""
        return self.offer.in_units or self.base.autoscaler.preset == "fixed"

    def run(self, min_chunks: int, max_chunks: int) -> Run:
        """Simulate one range."""
        scenario = replace(
            self.base, capacity=self.offer.capacity(min_chunks, max_chunks), start_chunks=None
        )
        if self.start_chunks is not None:
            start = min(max(self.start_chunks, min_chunks), max_chunks)
            scenario = replace(scenario, start_chunks=start)
        return simulate(self.trace, scenario)

    def attempt(self, min_chunks: int, max_chunks: int) -> Trial:
        """Simulate one range and judge it."""
        if self.progress:
            self.progress(f"{min_chunks}..{max_chunks}", self.n_tried)
        self.n_tried += 1
        run = self.run(min_chunks, max_chunks)
        outcome = summarise(run, self.objective.limits, price=self.offer.price)
        cost = outcome.usd_per_hour if self._costs_more_than_chunks() else None
        return Trial(
            min_chunks,
            max_chunks,
            # Chunk-ticks order ranges exactly as money does, unless spilled tokens or launches cost some too.
            float(outcome.bill.billed_ticks) if cost is None else cost,
            outcome,
            self.objective.judge(outcome),
        )

    def floor_cost(self, min_chunks: int) -> float:
        """Return what any range with this minimum costs at the least: its minimum, all the time."""
        price = self.offer.price.usd_per_chunk_hour
        if self._costs_more_than_chunks() and price is not None:
            return min_chunks * price * (1 - 1e-12)
        return float(min_chunks * self.trace.span_ticks)

    def _costs_more_than_chunks(self) -> bool:
        """Whether there is more to pay than chunk-hours, and all of it is known."""
        price = self.offer.price
        tokens = (price.input_usd_per_million, price.output_usd_per_million)
        spills = self.base.overflow.policy == "spill"
        if price.usd_per_chunk_hour is None or (spills and None in tokens):
            return False
        return spills or price.launch_usd > 0

    def offered_chunks(self) -> int:
        """Return the chunks that the mean load asks for, at what one can do at the trace's mean shape."""
        service = self.base.service
        load = served_tokens_per_s(self.trace, service)
        return max(
            1, math.ceil(load / saturated_tokens_per_s(service, served_shape(self.trace, service)))
        )
