"""Where ranges are tried: the same futures for all, one endpoint but for its range, one promise.

A range is run in as many futures as it takes to know its verdict: first in a few that every range sees, then
in those where others failed, and no further once too many failed. Only in the first is it measured; in the
others it is judged alone, and a run stops once its verdict is certain. What was run is remembered, so that
asking again costs nothing and nothing depends on the order of asking or on the number of threads.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from planner.confidence import allowed_failures
from planner.evidence import Evidence, means
from planner.experiment import Experiment, Range
from planner.objective import Objective, Verdict
from planner.offer import Offer
from planner.search import Trial
from simulations.outcome import Outcome
from simulations.rating import saturated_tokens_per_s, served_shape, served_tokens_per_s
from simulations.scenario import Scenario
from simulations.sweeps import Mapper
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic.futures import RECORDED

Progress = Callable[[str, int], None]
"""Called with what is being tried and how many ranges were tried before."""

COMMON_FUTURES = 2
"""Futures in which every range is run; their mean cost ranks the ranges (assumed: on the same traffic costs
differ little from future to future)."""

REQUESTS_FOR_ALL = 10_000_000
"""Where all futures together are longer than this, what stands beside the answer is run in some (assumed)."""

BATCH = 2
CONFIRMED_AT_ONCE = 8
"""Futures run at the least between two looks at a verdict: while a range is searched for, and once it will
hardly fail any more. Fixed, so that what is run does not depend on threads; even, so that few of them wait."""


@dataclass
class Bench:
    """Where ranges are tried.

    Args:
        experiment: what is run.
        n_futures: how many futures a range is judged on; 1 means the recording itself.
        current: (min_chunks, max_chunks) of what runs now.
        mapper: runs many at once.
        progress: is told of every range before it is tried.
        only: with one future, which one.
    """

    experiment: Experiment
    n_futures: int
    current: Range | None = None
    mapper: Mapper = map
    progress: Progress | None = None
    only: int = RECORDED
    n_runs: int = 0
    _seen: dict[Range, dict[int, Outcome]] = field(default_factory=dict)
    _judged: dict[Range, dict[int, Verdict]] = field(default_factory=dict)
    _failed: dict[Range, set[int]] = field(default_factory=dict)
    _rejected: dict[Range, Evidence] = field(default_factory=dict)
    _facing: set[int] = field(default_factory=set)
    _ordered: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.experiment = self.experiment.settled()
        self._ordered.extend(self._by_load())

    @property
    def offer(self) -> Offer:
        """What is for sale."""
        return self.experiment.offer

    @property
    def objective(self) -> Objective:
        """The promise."""
        return self.experiment.objective

    @property
    def base(self) -> Scenario:
        """The endpoint but for its range."""
        return self.experiment.base

    @property
    def screening(self) -> Sequence[int]:
        """The futures of the search."""
        return (self.only,) if self.n_futures == 1 else range(self.n_futures)

    @property
    def common(self) -> Sequence[int]:
        """The futures that every range is run in."""
        return self.screening[:COMMON_FUTURES]

    @property
    def allowed(self) -> int:
        """How many futures may fail."""
        if self.n_futures == 1:
            return 0
        return allowed_failures(self.n_futures, self.objective.hold_in_fraction) or 0

    @property
    def fixed_only(self) -> bool:
        """Whether nothing scales here: model units, or an autoscaler that does not."""
        return self.offer.in_units or self.base.autoscaler.preset == "fixed"

    def attempt(self, min_chunks: int, max_chunks: int) -> Trial:
        """Try a range in the common futures and in those where others failed, until its verdict is clear."""
        if self.progress:
            self.progress(f"{min_chunks}..{max_chunks}", len(self._seen))
        size = (min_chunks, max_chunks)
        self.look(size, self._hardest, enough=self.allowed, measured=self.common)
        return self.trial(size)

    def tell(self) -> None:
        """Say that what stands beside the answer is being worked out; what this raises ends the whole."""
        if self.progress:
            self.progress("what would change the answer", len(self._seen))

    def confirm(self, size: Range) -> Trial:
        """Try a range in every future of the search; those where it fails are faced by every other range."""
        self.look(size, self._hardest, enough=self.allowed)
        self.look(size, self._ordered, enough=self.allowed, batch=CONFIRMED_AT_ONCE)
        trial = self.trial(size)
        self._facing.update(trial.evidence.failing)
        return trial

    def retest(self, size: Range, futures: Sequence[int]) -> Evidence:
        """Run a range in futures that had no part in choosing it, stopping where too many failed.

        A range that fails here is ruled out for the search.
        """
        seen: dict[int, Outcome] = {}
        while len(seen) < len(futures):
            failures = len(Evidence(seen, self.objective).failing)
            if failures > self.allowed:
                break
            n = max(self.allowed + 1 - failures, CONFIRMED_AT_ONCE)
            batch = futures[len(seen) : len(seen) + n]
            self.n_runs += len(batch)
            made = self.mapper(lambda future: self.experiment.outcome(size, future), batch)
            seen.update(zip(batch, made, strict=True))
        evidence = Evidence(seen, self.objective)
        if len(evidence.failing) > self.allowed:
            self._rejected[size] = evidence
        return evidence

    def look(
        self,
        size: Range,
        futures: Sequence[int],
        *,
        enough: int,
        batch: int = BATCH,
        measured: Sequence[int] = (),
    ) -> None:
        """Judge a range in some futures, as far as it was not; stop where more failed than are enough.

        Args:
            batch: futures run at the least between two looks at the verdict.
            measured: futures to be run to the end beside the first of them.
        """
        whole = self._unmeasured(size, measured)
        known = self._judged.setdefault(size, {}).keys() | set(whole)
        missing = [future for future in futures if future not in known]
        while whole or missing:
            # As many as it takes for the worst verdict: what is run does not depend on threads.
            n = enough + 1 - self._failures(size)
            if n <= 0 and not whole:
                break
            n = max(n - len(whole), batch)
            self._run(size, whole, missing[:n])
            whole, missing = [], missing[n:]
        self._tell_a_miss(size, enough)

    def measure(self, size: Range, futures: Sequence[int]) -> None:
        """Run a range in some futures to the end, as far as it was not."""
        self._run(size, self._unmeasured(size, futures), [])

    def _unmeasured(self, size: Range, futures: Sequence[int]) -> list[int]:
        seen = self._seen.setdefault(size, {})
        return [future for future in futures if future not in seen]

    def _run(self, size: Range, whole: Sequence[int], judged: Sequence[int]) -> None:
        """Run a range in some futures to the end, and in others until it is certain whether it holds; all at once."""
        self.n_runs += len(whole) + len(judged)

        def run(task: tuple[int, bool]) -> Outcome | Verdict:
            future, to_the_end = task
            if to_the_end:
                return self.experiment.outcome(size, future)
            return self.experiment.verdict(size, future, stop=True)

        tasks = [(future, True) for future in whole] + [(future, False) for future in judged]
        for (future, _), made in zip(tasks, self.mapper(run, tasks), strict=True):
            if isinstance(made, Outcome):
                self._seen[size][future] = made
                made = self.objective.judge(made)
            self._note(size, future, made)

    def _tell_a_miss(self, size: Range, enough: int) -> None:
        """Run a range that fails to the end where it does, if it is not known anywhere what it misses."""
        judged = self._judged[size]
        failing = [future for future, verdict in judged.items() if not verdict.holds]
        if len(failing) > enough and not any(judged[future].misses for future in failing):
            future = failing[0]
            self.n_runs += 1
            self._note(size, future, self.experiment.verdict(size, future, stop=False))

    def completed(self, trial: Trial) -> Trial:
        """Return a trial with the outcomes of all futures that its range was tried in."""
        size = (trial.min_chunks, trial.max_chunks)
        self.measure(size, sorted(self._judged[size]))
        return self.trial(size)

    def figures(self, size: Range, futures: Sequence[int]) -> Mapping[str, Any]:
        """Return the mean figures of a range in some futures, or in the first of them where they are long."""
        affordable = max(COMMON_FUTURES, REQUESTS_FOR_ALL // len(self.experiment.recorded))
        outcomes = self.mapper(
            lambda future: self.experiment.outcome(size, future), futures[:affordable]
        )
        return means([outcome.figures() for outcome in outcomes])

    def with_failures(self, trial: Trial) -> Trial:
        """Return a trial with the outcomes of all futures in which its range fails."""
        missing = sorted(set(trial.evidence.failing) - trial.evidence.outcomes.keys())
        if not missing:
            return trial
        size = (trial.min_chunks, trial.max_chunks)
        self.measure(size, missing)
        return self.trial(size)

    def trial(self, size: Range) -> Trial:
        """Return what is known of a range by now."""
        seen, judged = self._seen[size], self._judged[size]
        known = {future: seen[future] for future in self.screening if future in seen}
        rest = {f: judged[f] for f in self.screening if f in judged and f not in seen}
        evidence = Evidence(known, self.objective, tuple(self.common), rest)
        retested = self._rejected.get(size)
        verdict = (retested or evidence).verdict(self.allowed)
        return Trial(*size, self._cost(evidence), evidence, verdict, self.change(*size), retested)

    def change(self, min_chunks: int, max_chunks: int) -> int:
        """Return by how many chunks a range differs from what runs now."""
        if self.current is None:
            return 0
        return abs(min_chunks - self.current[0]) + abs(max_chunks - self.current[1])

    def floor_cost(self, min_chunks: int) -> float:
        """Return what any range with this minimum costs at the least: its minimum, all the time."""
        price = self.offer.price.usd_per_chunk_hour
        if self._costs_more_than_chunks() and price is not None:
            return min_chunks * price * (1 - 1e-12)
        spans = [self.experiment.futures.draw(future).span_ticks for future in self.common]
        return float(min_chunks * min(spans)) * (1 - 1e-12)

    def likely_chunks(self) -> int:
        """Return a guess at the fixed size that is enough, >= 1: what the busy minutes of the recording ask for."""
        service, trace = self.base.service, self.experiment.recorded
        busy = max(_busy_loads(trace, self._kept_shares)) / 60
        load = max(busy, served_tokens_per_s(trace, service))
        return max(
            1, math.ceil(load / saturated_tokens_per_s(service, served_shape(trace, service)))
        )

    def _by_load(self) -> list[int]:
        """Return the futures of the search, those first in which the load is highest where the promise is tightest.

        A guess that only decides what is run first: how busy is the minute beyond which the requests lie
        that each part of the promise leaves out. Those busiest for any part are faced by every range.
        """
        if self.n_futures <= COMMON_FUTURES + self.allowed:
            self._facing.update(self.screening)
            return list(self.screening)
        loads = list(
            self.mapper(
                lambda f: _busy_loads(self.experiment.futures.draw(f), self._kept_shares),
                self.screening,
            )
        )
        places = np.argsort(np.argsort(-np.array(loads), axis=0, kind="stable"), axis=0).min(axis=1)
        self._facing.update(np.flatnonzero(places <= self.allowed).tolist())
        return [int(future) for future in np.argsort(places, kind="stable")]

    @property
    def _kept_shares(self) -> list[float]:
        """The shares of requests for which parts of the promise must be kept."""
        kept = {limit.percentile / 100 for limit in self.objective.limits}
        return sorted(kept | {1 - self.objective.max_refused_fraction})

    @property
    def _hardest(self) -> list[int]:
        """The futures that every range must face, those first in which most ranges failed so far."""
        failed = Counter(future for futures in self._failed.values() for future in futures)
        return sorted(self._facing, key=lambda f: (-failed[f], self._ordered.index(f)))

    def _note(self, size: Range, future: int, verdict: Verdict) -> None:
        self._judged.setdefault(size, {})[future] = verdict
        if not verdict.holds:
            self._failed.setdefault(size, set()).add(future)

    def _failures(self, size: Range) -> int:
        return len(self._failed.get(size, ()))

    def _cost(self, evidence: Evidence) -> float:
        """Return what ranks a range: its mean cost over the futures that every range sees."""
        outcomes = [evidence.outcomes[future] for future in self.common]
        if self._costs_more_than_chunks():
            costs = [outcome.usd_per_hour or 0.0 for outcome in outcomes]
        else:
            # Chunk-ticks order ranges exactly as money does, unless spilled tokens or launches cost some too.
            costs = [float(outcome.bill.billed_ticks) for outcome in outcomes]
        return math.fsum(costs) / len(costs)

    def _costs_more_than_chunks(self) -> bool:
        """Whether there is more to pay than chunk-hours, and all of it is known."""
        price = self.offer.price
        tokens = (price.input_usd_per_million, price.output_usd_per_million)
        spills = self.base.overflow.policy == "spill"
        if price.usd_per_chunk_hour is None or (spills and None in tokens):
            return False
        return spills or price.launch_usd > 0


def _busy_loads(trace: Trace, shares: Sequence[float]) -> list[float]:
    """Return the tokens of the minute that each share of the requests came in no busier ones than."""
    minutes = trace.arrival_ticks // (60 * TICKS_PER_S)
    tokens = np.bincount(minutes, trace.input_tokens.astype(float) + trace.output_tokens)
    requests = np.bincount(minutes)
    order = np.argsort(tokens)
    passed = np.cumsum(requests[order])
    places = np.searchsorted(passed, [share * len(trace) for share in shares])
    return [float(tokens[order[min(place, len(order) - 1)]]) for place in places]
