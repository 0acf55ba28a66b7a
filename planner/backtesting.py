"""The promise checked against what came after: recommend on the past, judge on what followed, walk on.

A window is a stretch of the recording to learn from and the stretch right after it. What was recommended
from the first is run on the second, starting with the chunks that the autoscaler would hold by then. Beside
it stands what the futures of the first had foretold for a stretch as long as the second. Knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from planner.artifacts import capacity_data, figure
from planner.confidence import fewest_futures, share_interval
from planner.evidence import Evidence
from planner.objective import Objective, Verdict
from planner.offer import Offer
from planner.recommendation import Recommendation, recommend
from simulations.capacity import Capacity
from simulations.engine import simulate
from simulations.errors import ObjectiveError, PtplanError
from simulations.outcome import Outcome, summarise
from simulations.rating import FIRST_MINUTES_S, served_tokens_per_s, settle
from simulations.scenario import Scenario
from simulations.statistics import close_holes, find_holes
from simulations.sweeps import threads
from simulations.ticks import TICKS_PER_S, to_ticks
from simulations.trace import Trace

DAY_S = 86_400.0
FRESH = 1 << 20
"""From this number on futures foretell: no search or test comes so far."""

WHOLE_FRACTION = 0.9
"""Of a stretch to judge on that the recording must still reach (assumed)."""

MOST_WINDOWS = 1000

COST_KEYS = ("usd_per_hour", "mean_chunks")
"""What stands for cost: money where the price is known, else chunks."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a recording.

    Args:
        start_s, end_s: seconds from the beginning of the recording.
        requests: that arrived in it.
    """

    start_s: float
    end_s: float
    requests: int


@dataclass(frozen=True, eq=False)
class Window:
    """One step of the walk.

    Args:
        train, test: what was learned from, and what came next.
        feasible: whether a range was promised; None where nothing could be recommended.
        capacity: that range; where nothing keeps the promise, what came nearest.
        confidence: how sure the recommendation was, in words.
        foretold: its outcomes in fresh futures of `train`, each as long as `test`; with one future, its
            outcome in `train`.
        realised: its outcome in `test`; None where nothing arrived there.
        verdict: whether `realised` keeps the promise.
        why: what hindered a judgement, None where nothing did.
    """

    train: Stretch
    test: Stretch
    feasible: bool | None = None
    capacity: Capacity | None = None
    confidence: str | None = None
    foretold: Evidence | None = None
    realised: Outcome | None = None
    verdict: Verdict | None = None
    why: str | None = None

    @property
    def promised(self) -> bool:
        """Whether a range was promised, and something came to judge it on."""
        return self.feasible is True and self.verdict is not None

    @property
    def kept(self) -> bool | None:
        """Whether the promise was kept; None where there is no judgement."""
        return None if self.verdict is None else self.verdict.holds

    def within(self) -> dict[str, bool]:
        """Return for each figure foretold whether the realised one lies from its p05 to its p95.

        >>> Window(Stretch(0, 1, 0), Stretch(1, 2, 0)).within()
        {}
        """
        if self.foretold is None or self.realised is None:
            return {}
        spreads, figures = _flat(self.foretold.spreads()), _flat(self.realised.figures())
        return {
            key: spread.p05 <= figures[key] <= spread.p95
            for key, spread in spreads.items()
            if spread.p05 is not None and spread.p95 is not None and figures[key] is not None
        }


@dataclass(frozen=True, eq=False)
class Backtest:
    """How often a promise was kept by what came after it was made.

    Args:
        windows: in order of time.
        objective: the promise.
        train_s, test_s: the lengths of the two parts of a window.
        left_s: of the recording, at its end, that no window reaches.
        chunk_source: where the size of a chunk is from.

    >>> from planner import Objective
    >>> Backtest((), Objective.default(), 60.0, 30.0, 0.0, "given").calibration
    (0, 0, None)
    """

    windows: tuple[Window, ...]
    objective: Objective
    train_s: float
    test_s: float
    left_s: float
    chunk_source: str

    @property
    def calibration(self) -> tuple[int, int, tuple[float, float] | None]:
        """How many promises could be judged, how many were kept, and between which shares that leaves the
        truth with 95 % confidence (Clopper and Pearson, as if windows were independent)."""
        promised = [window for window in self.windows if window.promised]
        kept = sum(bool(window.kept) for window in promised)
        return len(promised), kept, share_interval(kept, len(promised)) if promised else None

    @property
    def latency_key(self) -> str:
        """The latency shown: the first that is promised, else the p95 of TTFT."""
        return self.objective.limits[0].key if self.objective.limits else "ttft_p95_s"

    def shares_within(self) -> dict[str, tuple[int, int]]:
        """Return by figure in how many windows it lay within what was foretold, and in how many it could."""
        counts: dict[str, tuple[int, int]] = {}
        for window in self.windows:
            for key, inside in window.within().items():
                inner, of = counts.get(key, (0, 0))
                counts[key] = (inner + inside, of + 1)
        return counts

    def sentences(self) -> list[str]:
        """Return what it comes to, in words."""
        promised, kept, interval = self.calibration
        share = f"{100 * self.objective.hold_in_fraction:g} %"
        n = len(self.windows)
        words = []
        none = sum(one.feasible is False for one in self.windows)
        unjudged = sum(one.why is not None for one in self.windows)
        if none:
            words.append(
                f"In {none} of {n} windows no range was found that keeps the promise; they are judged but not counted."
            )
        if unjudged:
            words.append(f"{unjudged} of {n} windows could not be judged.")
        if self.train_s < DAY_S:
            words.append(
                "Less than a day is learned from, so other hours of the day are judged than were seen."
            )
        if interval is None:
            words.append(
                "Nothing was promised that could be judged, so nothing is said of calibration."
            )
            return words
        words.append(
            f"It promised {share} of futures {promised} {'time' if promised == 1 else 'times'} and kept it {kept}: "
            f"{100 * kept / promised:.1f} %, which leaves {100 * interval[0]:.1f} to {100 * interval[1]:.1f} % with "
            "95 % confidence, if windows were independent."
        )
        fewest = fewest_futures(self.objective.hold_in_fraction)
        if fewest is None or promised < fewest:
            needed = (
                "no number of windows can show it"
                if fewest is None
                else f"it takes {fewest} that are all kept"
            )
            words.append(
                f"{promised} {'window is' if promised == 1 else 'windows are'} too few to show {share}: {needed}."
            )
        return words


def default_lengths(span_s: float) -> tuple[float, float]:
    """Return the lengths to learn from and to judge on for a recording of some length, in seconds.

    Whole days where there are three or more, a day to judge on; else a third and a sixth of the recording,
    which make four windows (assumed).

    >>> default_lengths(7 * 86_400.0), default_lengths(3600.0)
    ((172800.0, 86400.0), (1200.0, 600.0))
    """
    days = int(span_s / DAY_S + 1 - WHOLE_FRACTION)
    if days >= 3:
        return max(1, days // 3) * DAY_S, DAY_S
    return span_s / 3, span_s / 6


def backtest(
    trace: Trace,
    offer: Offer,
    objective: Objective | None = None,
    *,
    train_s: float | None = None,
    test_s: float | None = None,
    workers: int | None = None,
    progress: Callable[[str], None] | None = None,
    **how: Any,
) -> Backtest:
    """Return how the promises made on each stretch of a recording were kept on the next.

    Args:
        trace: the recording.
        offer, objective: as for `recommend`.
        train_s, test_s: lengths of a window's parts; the walk goes on by the second. None for
            `default_lengths`.
        workers: threads; None means one a core. The answer does not depend on it.
        progress: is told what is being done.
        how: what else `recommend` takes but `sensitivity`. A `change` is made to what is learned from, not to what it is
            judged on: growth is a forecast here.

    Raises:
        ObjectiveError: a length is out of its range, or no window fits.
        ScenarioError: the endpoint cannot be simulated.

    >>> from planner import make_offer
    >>> steady = Trace.build(range(1200), [100] * 1200, [10] * 1200)
    >>> offer = make_offer("system.ai.llama_v3_3_70b_instruct")
    >>> backtest(steady, offer, futures=5, train_s=600, test_s=300).calibration[:2]
    (2, 2)
    """
    objective = objective or Objective.default()
    usual = default_lengths(trace.span_s)
    train_s = usual[0] if train_s is None else train_s
    test_s = usual[1] if test_s is None else test_s
    for name, length_s in (("train", train_s), ("test", test_s)):
        if not 0.001 <= length_s < trace.span_s:
            raise ObjectiveError(
                f"{name} is {length_s:g} s; must be from 1 ms to less than the recording's {trace.span_s:g} s"
            )
    train, test = to_ticks(train_s, name="train"), to_ticks(test_s, name="test")
    n = (trace.span_ticks - train + round((1 - WHOLE_FRACTION) * test)) // test
    if n < 1:
        raise ObjectiveError(
            f"no window fits: train {train_s:g} s and test {test_s:g} s are longer together than the recording's "
            f"{trace.span_s:g} s; take shorter ones"
        )
    if n > MOST_WINDOWS:
        raise ObjectiveError(
            f"test is {test_s:g} s, which makes {n:,} windows; at most {MOST_WINDOWS:,}: take a longer one"
        )
    windows: list[Window] = []
    for number in range(n):
        start = number * test
        cuts = (start, start + train, min(start + train + test, trace.span_ticks))
        if progress:
            progress(f"window {number + 1} of {n}")
        try:
            windows.append(_judged(trace, cuts, offer, objective, workers, how))
        except PtplanError as error:
            # One stretch may be too poor to learn from. What is wrong in all of them is wrong with the question.
            if number == n - 1 and all(window.feasible is None for window in windows):
                raise
            windows.append(Window(*_parts(trace, cuts), why=str(error)))
    left = max(0, trace.span_ticks - (train + n * test))
    return Backtest(
        tuple(windows), objective, train_s, test_s, left / TICKS_PER_S, offer.size_source
    )


def _judged(
    trace: Trace,
    cuts: tuple[int, int, int],
    offer: Offer,
    objective: Objective,
    workers: int | None,
    how: dict[str, Any],
) -> Window:
    """Return one window, from its three cuts in ticks."""
    start, now, end = cuts
    past, coming = _parts(trace, cuts)
    known, came = _recorded(trace, start, now), _recorded(trace, now, end)
    if known is None:
        return Window(past, coming, why="nothing arrived in the stretch to learn from")
    made = recommend(known, offer, objective, workers=workers, sensitivity=False, **how)
    start_chunks = how.get("start_chunks")
    foretold = _foretold(made, end - now, start_chunks, workers) or made.evidence
    window = Window(past, coming, made.feasible, made.capacity, made.held.confidence, foretold)
    if came is None:
        return replace(window, why="nothing arrived in the stretch to judge on")
    scenario = carried(made.scenario, known, start_chunks)
    run = simulate(close_holes(came), scenario)
    realised = summarise(run, objective.limits, price=offer.price)
    return replace(window, realised=realised, verdict=objective.judge(realised))


def carried(scenario: Scenario, before: Trace | None, start_chunks: int | None = None) -> Scenario:
    """Return the scenario that starts with the chunks which the last five minutes before would hold.

    Args:
        scenario: settled, so its target is known.
        before: the traffic until now, None where there was none.
        start_chunks: instead, where the range allows it.
    """
    low, high = scenario.capacity.min_chunks, scenario.capacity.max_chunks
    if start_chunks is not None:
        return replace(scenario, start_chunks=min(max(start_chunks, low), high))
    last = None
    if before is not None:
        closed = close_holes(before)
        end = closed.span_ticks
        last = cut(closed, end - round(FIRST_MINUTES_S * TICKS_PER_S), end)
    if last is None or not served_tokens_per_s(last, scenario.service):
        return replace(scenario, start_chunks=low)
    return settle(replace(scenario, start_chunks=None), last)


def _recorded(trace: Trace, start: int, end: int) -> Trace | None:
    """Return what arrived in [start, end), from when it was recorded: a hole at the start is no idle time."""
    for hole in find_holes(trace):
        if hole.start_s * TICKS_PER_S <= start < (hole.start_s + hole.length_s) * TICKS_PER_S:
            start = round((hole.start_s + hole.length_s) * TICKS_PER_S)
    return cut(trace, start, end) if start < end else None


def cut(trace: Trace, start: int, end: int) -> Trace | None:
    """Return what arrived in [start, end) ticks, on a clock that starts with it; None where nothing did.

    >>> cut(Trace.build([0, 3, 9], [1, 2, 3], [1, 1, 1]), 2 * TICKS_PER_S, 5 * TICKS_PER_S).arrival_ticks.tolist()
    [100000000000]
    """
    start = max(0, start)
    low = int(np.searchsorted(trace.arrival_ticks, start))
    high = int(np.searchsorted(trace.arrival_ticks, end))
    if end >= trace.span_ticks:
        high = len(trace)  # the last arrival may be at the very end, and is part of it
    if low >= high:
        return None
    return Trace(
        trace.arrival_ticks[low:high] - start,
        trace.input_tokens[low:high].copy(),
        trace.cached_tokens[low:high].copy(),
        trace.output_tokens[low:high].copy(),
        end - start,
        None if trace.epoch_ns is None else trace.epoch_ns + start // (TICKS_PER_S // 10**9),
        trace.name,
    )


def _parts(trace: Trace, cuts: tuple[int, int, int]) -> tuple[Stretch, Stretch]:
    start, now, end = cuts
    return _stretch(trace, start, now), _stretch(trace, now, end)


def _stretch(trace: Trace, start: int, end: int) -> Stretch:
    part = cut(trace, start, end)
    return Stretch(start / TICKS_PER_S, end / TICKS_PER_S, 0 if part is None else len(part))


def _foretold(
    made: Recommendation, length: int, start_chunks: int | None, workers: int | None
) -> Evidence | None:
    """Return the outcomes of the recommended range in the last `length` ticks of fresh futures.

    The end of a future is nearest to what comes next, also in the time of day where whole days are taken;
    and it must be as long as that, since a figure of a shorter stretch varies more.
    """
    if made.n_futures == 1:
        return None

    def outcome(number: int) -> Outcome | None:
        future = made.futures.draw(number)
        at = max(0, future.span_ticks - length)
        last = cut(future, at, future.span_ticks)
        if last is None:
            return None
        scenario = replace(made.scenario, seed=made.futures.endpoint_seed(number))
        scenario = carried(scenario, cut(future, 0, at) if at else last, start_chunks)
        run = simulate(last, scenario)
        return summarise(run, made.objective.limits, price=made.offer.price)

    numbers = range(FRESH, FRESH + made.n_futures)
    with threads(workers) as mapper:
        outcomes = list(mapper(outcome, numbers))
    seen = {n: one for n, one in zip(numbers, outcomes, strict=True) if one is not None}
    return Evidence(seen, made.objective) if seen else None


def _flat(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures without the nesting of attainment: `attainment_all` and so on."""
    flat: dict[str, Any] = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            flat.update({f"{key}_{part}": one for part, one in value.items()})
        else:
            flat[key] = value
    return flat


def backtest_data(made: Backtest) -> dict[str, Any]:
    """Return a back-test as the plain data of backtest.json."""
    promised, kept, interval = made.calibration
    return {
        "train_s": made.train_s,
        "test_s": made.test_s,
        "left_s": made.left_s,
        "objective": {
            **{limit.key: limit.seconds for limit in made.objective.limits},
            "max_refused_fraction": made.objective.max_refused_fraction,
            "hold_in_fraction": made.objective.hold_in_fraction,
            "definition": made.objective.definition,
        },
        "windows": [_window_data(window, made.chunk_source) for window in made.windows],
        "promised": promised,
        "kept": kept,
        "calibration": {
            "promised_fraction": made.objective.hold_in_fraction,
            "kept_fraction": kept / promised if promised else None,
            "low": interval[0] if interval else None,
            "high": interval[1] if interval else None,
        },
        "within": {
            key: {"windows": of, "within": inside}
            for key, (inside, of) in made.shares_within().items()
        },
        "sentences": made.sentences(),
    }


def _window_data(window: Window, chunk_source: str) -> dict[str, Any]:
    foretold, realised, capacity = window.foretold, window.realised, window.capacity
    return {
        "train": asdict(window.train),
        "test": asdict(window.test),
        "capacity": None if capacity is None else capacity_data(capacity, chunk_source),
        "feasible": window.feasible,
        "confidence": window.confidence,
        "predicted": None if foretold is None else _figures(foretold),
        "predicted_held_in": None
        if foretold is None
        else {"successes": foretold.successes, "futures": len(foretold.outcomes)},
        "realised": None if realised is None else realised.figures(),
        "within": window.within(),
        "kept": window.kept,
        "missed": [asdict(miss) for miss in (window.verdict.misses if window.verdict else ())],
        "why": window.why,
    }


def _figures(evidence: Evidence) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in evidence.spreads().items():
        nested = isinstance(value, dict)
        data[key] = {part: figure(of) for part, of in value.items()} if nested else figure(value)
    return data


def cost_key(windows: Sequence[Window]) -> str:
    """Return what stands for cost in all of these windows: money if every one knows it, else chunks."""
    known = all(
        window.realised is None or window.realised.usd_per_hour is not None for window in windows
    )
    return COST_KEYS[0] if known else COST_KEYS[1]
