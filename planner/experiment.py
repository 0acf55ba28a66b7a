"""Everything that one run is made of but its range and its future: traffic, offer, endpoint, promise.

A function of (range, future) as plain data; `replace` gives the same experiment with something varied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from planner.objective import Objective, Verdict
from planner.offer import Offer
from simulations.engine import count, simulate
from simulations.outcome import Outcome, summarise
from simulations.rating import settle
from simulations.run import Run
from simulations.scenario import Scenario
from simulations.trace import Trace
from simulations.traffic.futures import RECORDED, Futures

Range = tuple[int, int]
"""Minimum and maximum, in chunks or in steps of units."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """What is run.

    Args:
        futures: the traffic.
        offer: what is for sale.
        base: the endpoint but for its range, with the autoscaler's target settled.
        objective: the promise.
        start_chunks: chunks at t = 0 where the range allows it; None for what the load asks for.
    """

    futures: Futures
    offer: Offer
    base: Scenario
    objective: Objective
    start_chunks: int | None = None

    def settled(self) -> Experiment:
        """Return the same with the target derived from the recording, where it is left open.

        The target is the endpoint's, so it is one for all futures.
        """
        return replace(
            self,
            base=replace(self.base, autoscaler=settle(self.base, self.recorded).autoscaler),
        )

    @property
    def recorded(self) -> Trace:
        """The recording, without its holes and with what is to change."""
        return self.futures.draw(RECORDED)

    def run(self, size: Range, future: int = RECORDED) -> Run:
        """Simulate a range in a future."""
        return simulate(self.futures.draw(future), self._scenario(size, future))

    def outcome(self, size: Range, future: int = RECORDED) -> Outcome:
        """Simulate a range in a future and return its numbers alone."""
        run = self.run(size, future)
        return summarise(run, self.objective.limits, price=self.offer.price)

    def verdict(self, size: Range, future: int = RECORDED, *, stop: bool) -> Verdict:
        """Return whether a range keeps the promise in a future: what its outcome would say, for less.

        Args:
            stop: not to go on where it is certain that it does not; then it is not known what it misses.
        """
        trace = self.futures.draw(future)
        allowed = self.objective.allowance(trace)
        scenario = self._scenario(size, future)
        counted = count(trace, scenario, allowed if stop else allowed.unlimited)
        return self.objective.judge_count(counted, trace, allowed)

    def keeps(self, size: Range, future: int = RECORDED) -> bool:
        """Return whether a range keeps the promise in a future, at the least cost."""
        return self.verdict(size, future, stop=True).holds

    def _scenario(self, size: Range, future: int) -> Scenario:
        low, high = size
        start = self.start_chunks
        return replace(
            self.base,
            capacity=self.offer.capacity(low, high),
            start_chunks=None if start is None else min(max(start, low), high),
            seed=self.futures.endpoint_seed(future),
        )
