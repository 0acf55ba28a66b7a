"""Time the simulator and print a Markdown table, a row as soon as it is measured.

`python -m benchmarks reading` measures the parts that are named and no others.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numba
import numpy as np

from benchmarks.reading import reading
from benchmarks.rivals import ciw_queue, simpy_queue, touch
from benchmarks.timing import Timing, machine, timed
from benchmarks.workloads import (
    CHUNK_TOKENS_PER_S,
    MAX_CHUNKS,
    N_SERVERS,
    customers,
    endpoint,
    queue,
    steady,
    week,
)
from simulations import kernel, reference
from simulations.engine import simulate
from simulations.outcome import Limit, summarise
from simulations.run import REQUEST
from simulations.scenario import Scenario
from simulations.trace import Trace

Row = tuple[str, str, str]
"""What was measured, its best, its median."""

HOUR_S = 3600.0


def main() -> None:
    """Print the table."""
    print(
        f"{machine()}; Python {platform.python_version()}, numba {numba.__version__}, "
        f"numpy {np.__version__}; {datetime.now(UTC):%Y-%m-%d}. Best and median of repeats.\n"
    )
    print("| measured | best | median |\n|---|---:|---:|", flush=True)
    chosen = [measure for measure in MEASURES if measure.__name__ in sys.argv[1:]]
    for measure in chosen or MEASURES:
        for row in measure():
            print(f"| {' | '.join(row)} |", flush=True)


def requests_per_s(what: str, n: int, timing: Timing) -> Row:
    """Return a row of a throughput."""
    return (f"{what}, requests/s", f"{n / timing.best_s:,.0f}", f"{n / timing.median_s:,.0f}")


def compiled(trace: Trace, scenario: Scenario) -> Callable[[], object]:
    """Return the bare engine on a trace, once run."""
    rules = scenario.rules(trace)
    kernel.simulate(trace, rules)
    return lambda: kernel.simulate(trace, rules)


# --- the endpoint ---------------------------------------------------------------------------------


def a_week() -> Iterator[Row]:
    """The main case; beside it the reference on one hour of it, fixed chunks, and the limit."""
    trace = week()
    scenario = endpoint(trace)
    run = simulate(trace, scenario)
    offered = run.timeline(bin_s=HOUR_S)["offered_tokens_per_s"]
    peak = offered.max() / (MAX_CHUNKS * CHUNK_TOKENS_PER_S)
    yield requests_per_s(
        f"kernel, one core: a week, {len(trace):,} requests, 1 to {MAX_CHUNKS} chunks, retries, "
        f"peak hour at {peak:.0%} of the rating",
        len(trace),
        timed(compiled(trace, scenario)),
    )
    busiest = int(offered.argmax()) * HOUR_S
    yield from against_the_reference(trace.between(busiest, busiest + HOUR_S / 4), scenario)
    yield requests_per_s(
        f"kernel: the same on {MAX_CHUNKS} fixed chunks without KV limit",
        len(trace),
        timed(compiled(trace, endpoint(trace, min_chunks=MAX_CHUNKS, kv_limit=False))),
    )
    rows = np.zeros(len(trace), REQUEST)
    columns = (trace.arrival_ticks, trace.input_tokens, trace.cached_tokens, trace.output_tokens)
    touch(*columns, rows)
    yield requests_per_s(
        "the limit: one compiled pass that reads and writes the same arrays",
        len(trace),
        timed(lambda: touch(*columns, np.zeros(len(trace), REQUEST))),
    )
    yield bytes_per_request(trace, scenario)
    yield two_threads(trace, scenario)


def against_the_reference(trace: Trace, scenario: Scenario) -> Iterator[Row]:
    rules = scenario.rules(trace)
    slow = timed(lambda: reference.simulate(trace, rules), repeats=3)
    fast = timed(compiled(trace, scenario), repeats=50)
    yield requests_per_s(
        f"reference (SimPy): {len(trace):,} requests of the peak", len(trace), slow
    )
    yield requests_per_s("kernel: the same requests", len(trace), fast)
    ratios = (slow.best_s / fast.best_s, slow.median_s / fast.median_s)
    yield ("kernel, times as fast as the reference", *(f"{ratio:,.0f}" for ratio in ratios))


def bytes_per_request(trace: Trace, scenario: Scenario) -> Row:
    """Return the memory taken at the most, beyond the trace, when only an outcome is kept."""
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        summarise(simulate(trace, scenario), [Limit("ttft", 95, 2.0)])
        peaks.append(tracemalloc.get_traced_memory()[1] / len(trace))
        tracemalloc.stop()
    return (
        "memory beyond the trace when only an outcome is kept, bytes/request",
        f"{min(peaks):.0f}",
        f"{sorted(peaks)[1]:.0f}",
    )


def two_threads(trace: Trace, scenario: Scenario) -> Row:
    """Return how much longer two runs on two threads take than one: 1 without a lock, 2 with one."""
    run = compiled(trace, scenario)
    with ThreadPoolExecutor(2) as threads:
        one = timed(run)
        two = timed(lambda: [done.result() for done in [threads.submit(run), threads.submit(run)]])
    return (
        "two runs on two threads, times as long as one",
        f"{two.best_s / one.best_s:.2f}",
        f"{two.median_s / one.median_s:.2f}",
    )


def sizes() -> Iterator[Row]:
    """From ten thousand requests to ten million, at the same load: the rate should not fall."""
    for exponent in range(4, 8):
        trace = steady(10**exponent)
        timing = timed(compiled(trace, endpoint(trace)), repeats=3 if exponent == 7 else 5)
        yield requests_per_s(f"kernel: about 10^{exponent} requests", len(trace), timing)


# --- a queue that others know ---------------------------------------------------------------------


def queues() -> Iterator[Row]:
    """M/M/4 at 80 %."""
    name = f"M/M/{N_SERVERS} queue"
    n = 20_000
    times = customers(n)
    yield requests_per_s(f"{name}: Ciw", n, timed(lambda: ciw_queue(*times, N_SERVERS), repeats=3))
    yield requests_per_s(f"{name}: SimPy", n, timed(lambda: simpy_queue(*times, N_SERVERS)))
    n = 1_000_000
    trace, scenario = queue(*customers(n))
    yield requests_per_s(f"{name}: kernel", n, timed(compiled(trace, scenario)))


# --- the command ----------------------------------------------------------------------------------

FIRST_RUN = """
from time import perf_counter
from benchmarks.workloads import customers, queue
from simulations import kernel
trace, scenario = queue(*customers(10))
start = perf_counter()
kernel.simulate(trace, scenario.rules(trace))
print(perf_counter() - start)
"""


def command() -> Iterator[Row]:
    """What a user waits for besides the simulation."""
    ptplan = Path(sys.executable).with_name("ptplan")
    if ptplan.exists():
        timing = timed(lambda: subprocess.run([ptplan, "--help"], check=True, capture_output=True))
        yield ("`ptplan --help`, s", f"{timing.best_s:.2f}", f"{timing.median_s:.2f}")
    with tempfile.TemporaryDirectory() as cache:
        cold_s = first_run_s(cache)
        warm_s = sorted(first_run_s(cache) for _ in range(3))
    yield ("first simulation: compiling, s", f"{cold_s:.1f}", "")
    yield ("first simulation: compiled before, s", f"{warm_s[0]:.2f}", f"{warm_s[1]:.2f}")


def first_run_s(cache: str) -> float:
    """Return how long the first simulation of a process takes, compiled code being kept in a folder."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_RUN],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return float(done.stdout)


MEASURES = (a_week, sizes, queues, reading, command)

if __name__ == "__main__":
    main()
