"""Long experiments behind the statements of confidence; each prints what it found and keeps it in docs/validation.

`python -m benchmarks.validate` runs all of them, `python -m benchmarks.validate coverage` one. Asserts nothing.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import scipy

from benchmarks.timing import machine
from planner.confidence import DEFAULT_FUTURES, share_interval, spread
from planner.evidence import Evidence
from planner.objective import Objective
from planner.offer import make_offer
from planner.recommendation import Recommendation, recommend
from simulations.capacity import TokenChunks
from simulations.engine import simulate
from simulations.outcome import Limit, Outcome, summarise
from simulations.rating import saturated_tokens_per_s
from simulations.scenario import Admission, Autoscaler, Overflow, Scenario, Service
from simulations.sweeps import Mapper, threads
from simulations.ticks import TICKS_PER_S
from simulations.trace import Shape, Trace
from simulations.traffic import Bootstrap, Change, Description, LogNormal, SeasonalRate
from simulations.traffic.futures import Futures

FOLDER = Path(__file__).parents[1] / "docs" / "validation"
FAR = 1_000_000
"""No search or test comes to a replication of this number."""

SERVICE = Service(0.02, prefill_s=2e-5, max_sequences=4, per_chunk=True)
"""Four requests at a time: about two a second of 500 tokens in and 100 out."""

SHAPE = Shape(500, 100)
INPUT = LogNormal.from_mean(SHAPE.input_tokens, 0.8, max_tokens=4000)
OUTPUT = LogNormal.from_mean(SHAPE.output_tokens, 0.8, max_tokens=1000)


def main() -> None:
    """Run the experiments that are named, or all."""
    for name in sys.argv[1:] or EXPERIMENTS:
        if name not in EXPERIMENTS:
            sys.exit(f"{name} is no experiment; there are {', '.join(EXPERIMENTS)}")
        start = perf_counter()
        text = [EXPERIMENTS[name].__doc__ or "", "", *_told(EXPERIMENTS[name]())]
        text += [
            "",
            f"{machine()}; Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}; "
            f"{datetime.now(UTC):%Y-%m-%d}; {perf_counter() - start:.0f} s, beside other work.",
            f"Made by `python -m benchmarks.validate {name}`.",
        ]
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


def _told(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        print(line, flush=True)
        yield line


# --- coverage -------------------------------------------------------------------------------------

LOADS = (0.5, 0.8, 0.9)
FIGURES = ("mean within limits", "mean TTFT p95")


def one_chunk(load: float) -> tuple[Description, Scenario]:
    """Return five minutes of Poisson traffic at a load of one chunk, and that chunk without any limit."""
    rate_per_s = load * saturated_tokens_per_s(SERVICE, SHAPE) / SHAPE.total_tokens
    scenario = Scenario(
        SERVICE,
        TokenChunks(1200, 1, 1),
        Autoscaler(target=2.0),
        Admission(queue_limit="none"),
        overflow=Overflow("lose"),
        start_chunks=1,
    )
    return Description(300.0, SeasonalRate(rate_per_s), INPUT, OUTPUT), scenario


def figures(load: float, replications: Sequence[int], mapper: Mapper = map) -> np.ndarray:
    """Return attainment and TTFT p95 of every replication at a load, [n, 2]."""
    described, scenario = one_chunk(load)
    limits = (Limit("ttft", 95, 2.0),)

    def figures_of(replication: int) -> tuple[float, float]:
        # A law of its own each time: remembering all traffic would only fill the memory.
        trace = Futures(described).draw(replication)
        outcome = summarise(simulate(trace, scenario), limits)
        ttft = outcome.latency_s["ttft_p95_s"]
        assert ttft is not None  # nothing is refused
        return outcome.attainment["all"].fraction, ttft

    return np.array(list(mapper(figures_of, replications)))


def covered(seen: np.ndarray, truth: np.ndarray, n_futures: int) -> tuple[np.ndarray, int]:
    """Return how often the stated interval of each figure holds the truth, and of how many repetitions.

    Args:
        seen: figures by future, [n, k]; every `n_futures` of them are one repetition.
        truth: [k].
    """
    n = len(seen) // n_futures
    hits = np.zeros(len(truth), int)
    for part in seen[: n * n_futures].reshape(n, n_futures, -1):
        for k, true in enumerate(truth):
            one = spread(part[:, k].tolist())
            assert one.low is not None
            assert one.high is not None
            hits[k] += one.low <= true <= one.high
    return hits, n


def coverage(repetitions: int = 1000, truth_of: int = 10_000) -> Iterator[str]:
    """How often do the stated 95 % intervals of a figure over futures hold its true value?"""
    yield (
        f"One chunk, 5 min of Poisson traffic, from empty; truth: {truth_of:,} futures; a repetition: "
        f"{DEFAULT_FUTURES} other futures."
    )
    yield ""
    yield f"{'load':>4}  {'futures':>7}  {'repetitions':>11}  {'figure':<18}  {'truth':>8}  covered (95 % interval of that share)"
    with threads(1) as mapper:  # such short runs are held up by each other's Python
        for load in LOADS:
            truth = figures(load, range(FAR, FAR + truth_of), mapper).mean(axis=0)
            seen = figures(load, range(repetitions * DEFAULT_FUTURES), mapper)
            for n_futures in (10, 20, 40, DEFAULT_FUTURES, 122):
                hits, n = covered(seen, truth, n_futures)
                n_shown = min(n, repetitions)
                if n > repetitions:
                    hits, n = covered(seen[: repetitions * n_futures], truth, n_futures)
                for name, hit, true in zip(FIGURES, hits, truth, strict=True):
                    low, high = share_interval(int(hit), n)
                    yield (
                        f"{load:>4}  {n_futures:>7}  {n_shown:>11,}  {name:<18}  {true:>8.4f}  "
                        f"{100 * hit / n:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
                    )


# --- promise --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """Traffic and a promise, drawn at random."""

    description: Description
    objective: Objective


def question(number: int) -> Question:
    """Return four minutes of traffic of 0.2 to 5 chunks, and a promise from easy to hard."""
    random = np.random.default_rng((2026, number))
    rate = SeasonalRate(float(random.uniform(0.5, 5.0)))
    mean_input, mean_output = float(random.uniform(200, 800)), float(random.uniform(40, 160))
    described = Description(
        240.0,
        rate,
        LogNormal.from_mean(mean_input, float(random.uniform(0.3, 1.0)), max_tokens=8000),
        LogNormal.from_mean(mean_output, float(random.uniform(0.3, 1.0)), max_tokens=2000),
        seed=number,
    )
    limit = Limit("ttft", int(random.choice([90, 95, 99])), float(np.exp(random.uniform(-1.5, 2))))
    return Question(described, Objective((limit,), float(random.choice([0.001, 0.01]))))


def answer(number: int, futures: int = DEFAULT_FUTURES) -> Recommendation:
    """Return what is recommended for a question."""
    asked = question(number)
    return recommend(
        asked.description,
        make_offer("ml.own.model", chunk_tokens_per_s=1200, service=SERVICE),
        asked.objective,
        autoscaler=Autoscaler(start_delay_s=30.0),
        futures=futures,
        limit_chunks=12,
        sensitivity=False,
        seed=number,
    )


def unseen(made: Recommendation, n: int, mapper: Mapper = map) -> Evidence:
    """Return the outcomes of the recommended range in futures that no search or test came to."""
    futures = Futures(made.futures.law, made.futures.change, made.futures.seed)

    def outcome(number: int) -> Outcome:
        scenario = replace(made.scenario, start_chunks=None, seed=futures.endpoint_seed(number))
        return summarise(simulate(futures.draw(number), scenario), made.objective.limits)

    numbers = range(FAR, FAR + n)
    return Evidence(dict(zip(numbers, mapper(outcome, numbers), strict=True)), made.objective)


def promise(repetitions: int = 100, n_unseen: int = 1000) -> Iterator[str]:
    """Does a range that is promised for 90 % of futures keep the promise in 90 % of unseen ones?"""
    yield (
        f"{repetitions} descriptions of 4 min of Poisson traffic with promises from easy to hard, searched and tested on "
        f"{DEFAULT_FUTURES} futures each, judged on {n_unseen:,} unseen ones."
    )
    yield ""
    promised, kept, shares = 0, 0, []
    with threads() as mapper:
        number = -1
        while promised < repetitions:
            number += 1
            made = answer(number)
            if not made.feasible:
                yield f"{number:>4}  no range up to 12 chunks is promised"
                continue
            seen = unseen(made, n_unseen, mapper)
            share = seen.successes / n_unseen
            shares.append(share)
            promised += 1
            kept += share >= made.objective.hold_in_fraction
            tested = len(made.evidence.outcomes)
            yield (
                f"{number:>4}  {made.objective.limits[0].key} {made.objective.limits[0].seconds:5.2f} s  "
                f"{made.capacity!s:<32}  tested {made.evidence.successes} of {tested}  unseen {100 * share:5.1f} %"
            )
    near = sum(0.85 <= share < 0.98 for share in shares)
    yield ""
    yield f"kept in at least 90 % of {n_unseen:,} unseen futures: {kept} of {promised} repetitions"
    yield f"near the edge (85 to 98 % of unseen futures): {near}; lowest {100 * min(shares):.1f} %"


# --- bootstrap ------------------------------------------------------------------------------------


def poisson(rate_per_s: float = 2.0, span_s: float = 6 * 3600.0) -> Trace:
    """Return requests at random."""
    random = np.random.default_rng(1)
    return _recorded(
        np.sort(random.uniform(0, span_s, random.poisson(rate_per_s * span_s))), span_s
    )


def on_off(rate_per_s: float = 4.0, span_s: float = 6 * 3600.0, phase_s: float = 30.0) -> Trace:
    """Return requests at random in phases with and without any, each exponential of mean `phase_s`."""
    random = np.random.default_rng(2)
    edges = np.cumsum(random.exponential(phase_s, round(4 * span_s / phase_s)))
    arrival = np.sort(random.uniform(0, span_s, random.poisson(rate_per_s * span_s)))
    return _recorded(arrival[np.searchsorted(edges, arrival) % 2 == 0], span_s)


def _recorded(arrival_s: np.ndarray, span_s: float) -> Trace:
    random = np.random.default_rng(3)
    n = len(arrival_s)
    tokens = (np.rint(law.at(random.standard_normal(n))).astype(int) for law in (INPUT, OUTPUT))
    return Trace.build(arrival_s, *tokens, span_s=span_s)


def dispersion(trace: Trace, width_s: float) -> float:
    """Return variance over mean of the requests in bins of a width: 1 for requests at random."""
    width = round(width_s * TICKS_PER_S)
    counts = np.bincount(trace.arrival_ticks // width, minlength=trace.span_ticks // width)
    counts = counts[: trace.span_ticks // width]
    return float(counts.var(ddof=1) / counts.mean())


def bootstrap(n_futures: int = 200) -> Iterator[str]:
    """Does a resampled recording stay as bursty as it was, and growth leave it so?"""
    yield f"Six hours, {n_futures} futures; index of dispersion of counts: mean over futures (5 % to 95 % of futures)."
    yield (
        "Theory: 1 at random, at any growth. On/off with mean phases of 30 s and 4/s: 1 + 2 * 4 * 15 * 0.5 * "
        "(1 - (1 - exp(-T/15)) * 15/T), at growth 2 the same: two independent streams."
    )
    yield ""
    yield f"{'recording':<10}  {'growth':>6}  {'bin':>5}  {'theory':>7}  {'recorded':>8}  futures"
    for name, trace in (("at random", poisson()), ("on/off", on_off())):
        for growth in (1.0, 2.0):
            futures = Futures(Bootstrap(trace), Change(growth=growth))
            drawn = [futures.draw(number) for number in range(n_futures)]
            for width_s in (1.0, 60.0):
                one = spread([dispersion(future, width_s) for future in drawn])
                theory = 1.0 if name == "at random" else on_off_dispersion(width_s)
                yield (
                    f"{name:<10}  {growth:>6g}  {width_s:>3g} s  {theory:>7.2f}  {dispersion(trace, width_s):>8.2f}  "
                    f"{one.value:.2f} ({one.p05:.2f} to {one.p95:.2f})"
                )


def on_off_dispersion(width_s: float, rate_per_s: float = 4.0, phase_s: float = 30.0) -> float:
    """Return the index of dispersion of `on_off`, from the autocorrelation exp(-2 t / phase) of its phases.

    >>> round(on_off_dispersion(1e-9), 6), round(on_off_dispersion(1e9), 3)
    (1.0, 61.0)
    """
    tau = phase_s / 2
    kept = 1 + np.expm1(-width_s / tau) * tau / width_s
    return float(1 + 2 * rate_per_s * tau * 0.5 * kept)


# --- growth of time -------------------------------------------------------------------------------


def effort(span_s: float = 3600.0) -> Iterator[str]:
    """How does the time of a recommendation grow, and what does stopping early save?"""
    yield (
        "A recording with a swing, TTFT p95 2 s; all threads, the best of two. Runs: one range in one future; full table: every range of "
        "the space in every future, and the test."
    )
    yield ""
    yield (
        f"{'varied':<10}  {'requests':>8}  {'futures':>7}  {'ranges':>6}  {'seconds':>7}  {'runs':>6}  "
        f"{'full table':>10}  made"
    )
    usual = {"hours": 0.5, "futures": DEFAULT_FUTURES, "limit_chunks": 6}
    for varied, values in (
        ("requests", (0.25, 0.5, 1.0, 2.0)),
        ("futures", (1, 15, 30, 61, 122)),
        ("ranges", (4, 6, 9, 13)),
    ):
        key = {"requests": "hours", "futures": "futures", "ranges": "limit_chunks"}[varied]
        for value in values:
            given = usual | {key: value}
            yield _effort_row(
                varied, span_s * given["hours"], int(given["futures"]), int(given["limit_chunks"])
            )


def _effort_row(varied: str, span_s: float, futures: int, limit_chunks: int) -> str:
    hour = span_s / 3600
    rate = SeasonalRate(4.0, daily_amplitude=0.5, peak_hour=hour / 2)
    trace = Futures(Description(span_s, rate, INPUT, OUTPUT)).draw(0)
    offer = make_offer("ml.own.model", chunk_tokens_per_s=1200, service=SERVICE)

    def made() -> Recommendation:
        return recommend(
            trace, offer, futures=futures, limit_chunks=limit_chunks, sensitivity=False
        )

    seconds = []
    for _ in range(2):
        start = perf_counter()
        answered = made()
        seconds.append(perf_counter() - start)
    n_ranges = limit_chunks * (limit_chunks + 1) // 2
    full = n_ranges * futures + (futures if futures > 1 else 0)
    return (
        f"{varied:<10}  {len(trace):>8,}  {futures:>7}  {n_ranges:>6}  {min(seconds):>7.2f}  {answered.n_runs:>6,}  "
        f"{full:>10,}  {100 * answered.n_runs / full:.1f} %"
    )


EXPERIMENTS: dict[str, Callable[[], Iterator[str]]] = {
    "coverage": coverage,
    "promise": promise,
    "bootstrap": bootstrap,
    "effort": effort,
}

if __name__ == "__main__":
    main()
