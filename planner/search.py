"""The search for the cheapest range that keeps a promise, given something that tries one range.

First the smallest fixed size, by doubling and bisection; then larger maxima with smaller minima, down a
staircase; then every range that is left and not ruled out by its cost, or, where those are too many, the
neighbours of the best. Autoscaling, retries and preemption are not monotone, so the answer counts as
*proved* only where nothing was left. Knows nothing of traffic or of what a promise is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from planner.evidence import Evidence
from planner.objective import Verdict

LARGEST_FIXED = 1024
"""No larger fixed size is tried (assumed: an order of magnitude above what anybody is known to buy)."""


Preference = tuple[float, int, int, int]
"""Cost, change, maximum, minus the minimum: the smaller, the better."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A range that was tried.

    Args:
        min_chunks, max_chunks: the range (steps, for model units).
        cost: what ranks it: money where known, else billed chunk-ticks.
        evidence: the numbers of its runs, by future.
        verdict: whether it keeps the promise.
        change: chunks by which the range differs from what runs now, 0 where nothing does.
        retested: its runs in fresh futures, where they ruled it out.
    """

    min_chunks: int
    max_chunks: int
    cost: float
    evidence: Evidence
    verdict: Verdict
    change: int = 0
    retested: Evidence | None = None

    @property
    def deciding(self) -> Evidence:
        """What the verdict stands on: the fresh futures where they ruled the range out, else the search's."""
        return self.retested or self.evidence

    @property
    def key(self) -> Preference:
        """The order of preference: cheaper, then the smaller change from what runs now, then the smaller
        maximum, then the larger minimum.

        At equal cost the run never went below the larger minimum, so it says nothing of a smaller one.
        """
        return (self.cost, self.change, self.max_chunks, -self.min_chunks)

    @property
    def tried(self) -> int:
        """How many futures it was run in."""
        return self.evidence.tried

    @property
    def figures(self) -> dict[str, Any]:
        """Its figures: means over the futures that every range was run in."""
        return self.evidence.mean

    @property
    def attainment_fraction(self) -> float:
        """Requests within all limits at once, the same mean."""
        return float(self.figures["attainment"]["all"])

    @property
    def chunk_hours(self) -> float:
        """Chunk-hours billed, the same mean."""
        return float(self.figures["chunk_hours"])

    @property
    def usd_per_month(self) -> float | None:
        """Its cost, the same mean; None where a price is not known."""
        usd = self.figures["usd_per_month"]
        return None if usd is None else float(usd)

    @property
    def shortfall(self) -> float:
        """By which share of requests the worst part of the promise is missed; 0 where it is kept."""
        return self.verdict.worst.by if self.verdict.worst else 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Args:
        best: the cheapest range that keeps the promise, None where none does.
        trials: every range tried, in order of preference.
        proved: every other range in the space was tried, or costs more whatever it does.
        space: largest maximum considered.
        note: how far the search went, in words.
    """

    best: Trial | None
    trials: tuple[Trial, ...]
    proved: bool
    space: int
    note: str

    def with_trial(self, trial: Trial) -> Found:
        """Return the same with more known of one of the ranges."""
        size = (trial.min_chunks, trial.max_chunks)
        trials = [trial if (t.min_chunks, t.max_chunks) == size else t for t in self.trials]
        return replace(self, trials=tuple(trials))

    @property
    def nearest_miss(self) -> Trial:
        """The range whose worst part comes nearest to the promise, then the rest of it, then the cheapest."""
        return min(
            self.trials, key=lambda t: (t.shortfall, sum(m.by for m in t.verdict.misses), t.key)
        )


def search(
    attempt: Callable[[int, int], Trial],
    *,
    floor_cost: Callable[[int], float],
    change: Callable[[int, int], int] = lambda low, high: 0,
    first_guess: int = 1,
    limit_chunks: int | None = None,
    largest_useful: int = LARGEST_FIXED,
    allow_zero: bool = False,
    fixed_only: bool = False,
    max_trials: int = 300,
) -> Found:
    """Return the cheapest range that keeps the promise.

    Args:
        attempt: tries a range (min_chunks, max_chunks); the same range always gives the same trial.
        floor_cost: what a range with this minimum costs at the least, whatever it does.
        change: by how many chunks a range differs from what runs now; its trial says the same.
        first_guess: a fixed size to begin with, >= 1.
        limit_chunks: consider no larger maximum; None means half as much again as the fixed answer.
        largest_useful: a size beyond which more chunks cannot help, such as one for each request.
        allow_zero: consider min = 0.
        fixed_only: consider min = max alone (model units).
        max_trials: beyond this many the neighbours are checked rather than every range.
    """
    hunt = _Hunt(attempt, floor_cost, change, 0 if allow_zero else 1)
    largest = limit_chunks or min(largest_useful, LARGEST_FIXED)
    fixed = _smallest_fixed(hunt, min(first_guess, largest), largest)
    tried = max(high for _, high in hunt.trials)
    space = limit_chunks or (tried if fixed is None else fixed + max(2, fixed // 2))
    if fixed_only:
        open_ranges = [(n, n) for n in range(1, space + 1)]
    else:
        if fixed is not None:
            _walk_staircase(hunt, fixed, space, max_trials)
        open_ranges = [
            (low, high) for high in range(1, space + 1) for low in range(hunt.lowest, high + 1)
        ]
    hunt.close(open_ranges, max_trials)
    improved = (
        hunt.check_neighbours(space, fixed_only)
        if hunt.best and not hunt.is_closed(open_ranges)
        else False
    )
    proved = hunt.is_closed(open_ranges)
    option, step = ("size", "steps") if fixed_only else ("range", "chunks")
    note = (
        f"every {option} up to {space} {step} was tried or costs more"
        if proved
        else (
            f"{len(hunt.trials)} {option}s up to {space} {step} were tried"
            + (
                ""
                if hunt.best is None
                else ", and a neighbour of the first answer was better"
                if improved
                else ", and all neighbours of the answer"
            )
        )
    )
    return Found(
        hunt.best, tuple(sorted(hunt.trials.values(), key=lambda t: t.key)), proved, space, note
    )


@dataclass
class _Hunt:
    """The ranges tried so far and the best of them."""

    attempt: Callable[[int, int], Trial]
    floor_cost: Callable[[int], float]
    change: Callable[[int, int], int]
    lowest: int
    trials: dict[tuple[int, int], Trial] = field(default_factory=dict)
    best: Trial | None = None

    def holds(self, low: int, high: int) -> bool:
        """Try a range once; remember the best."""
        trial = self.trials.get((low, high))
        if trial is None:
            trial = self.trials[low, high] = self.attempt(low, high)
            if trial.verdict.holds and (self.best is None or trial.key < self.best.key):
                self.best = trial
        return trial.verdict.holds

    def ruled_out(self, low: int, high: int) -> bool:
        """Whether a range cannot be preferred to the best, whatever it does."""
        if self.best is None:
            return False
        return (self.floor_cost(low), self.change(low, high), high, -low) >= self.best.key

    def is_open(self, low: int, high: int) -> bool:
        """Whether a range might still be the answer."""
        return (low, high) not in self.trials and not self.ruled_out(low, high)

    def is_closed(self, ranges: list[tuple[int, int]]) -> bool:
        """Whether none of these might still be the answer."""
        return not any(self.is_open(*one) for one in ranges)

    def close(self, ranges: list[tuple[int, int]], max_trials: int) -> None:
        """Try all that might still be the answer, unless they are too many."""
        if len(self.trials) + sum(self.is_open(*one) for one in ranges) <= max_trials:
            for one in ranges:
                if self.is_open(*one):
                    self.holds(*one)

    def check_neighbours(self, space: int, fixed_only: bool) -> bool:
        """Try what is next to the best until nothing there is better; returns whether anything was."""
        improved = False
        while True:
            best = self.best
            assert best is not None
            for low, high in _neighbours(best, fixed_only):
                if self.lowest <= low <= high <= space and high >= 1 and self.is_open(low, high):
                    self.holds(low, high)
            if self.best is best:
                return improved
            improved = True


def _neighbours(trial: Trial, fixed_only: bool) -> Iterator[tuple[int, int]]:
    low, high = trial.min_chunks, trial.max_chunks
    if fixed_only:
        yield from ((low - 1, high - 1), (low + 1, high + 1))
        return
    for low_step in (-1, 0, 1):
        for high_step in (-1, 0, 1):
            yield low + low_step, high + high_step


def _smallest_fixed(hunt: _Hunt, first: int, largest: int) -> int | None:
    """Return the smallest fixed size that holds, as far as bisection can tell."""
    size = first
    while not hunt.holds(size, size):
        # No sign that more would not help either is sure: a burst may have to be spread wide first.
        if size >= largest:
            return None
        size = min(2 * size, largest)
    low = max((n for n, m in hunt.trials if n == m and n < size), default=0)
    while size - low > 1:
        middle = (low + size) // 2
        if hunt.holds(middle, middle):
            size = middle
        else:
            low = middle
    return size


def _walk_staircase(hunt: _Hunt, fixed: int, space: int, max_trials: int) -> None:
    """Go down in the minimum as far as the promise holds, then up in the maximum, and so on."""
    low = fixed
    for high in range(fixed, space + 1):
        # A larger maximum seldom needs a larger minimum, so the search goes on from the last one.
        if (
            low == hunt.lowest
            or len(hunt.trials) >= max_trials
            or hunt.ruled_out(hunt.lowest, high)
        ):
            return
        if not hunt.holds(low - 1, high):
            continue
        low -= 1
        # A step in the maximum seldom buys many in the minimum, so the next few are tried first.
        step, failing = 1, hunt.lowest - 1
        while low > hunt.lowest:
            lower = max(hunt.lowest, low - step)
            if not hunt.holds(lower, high):
                failing = lower
                break
            low, step = lower, 2 * step
        while low - failing > 1:
            middle = (low + failing) // 2
            if hunt.holds(middle, high):
                low = middle
            else:
                failing = middle
