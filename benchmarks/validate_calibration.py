"""How well a calibration predicts, and whether its intervals hold: `python -m benchmarks.validate_calibration`.

Four experiments, printed as Markdown: a measured run whose later part is held out, measured tables of which two
token shapes are fitted, drawn servers whose noisy runs are fitted, drawn autoscalers whose histories are read.
The first two need the public measurements in ../shared (PTPLAN_SHARED names another folder).
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from simulations.capacity import TokenChunks
from simulations.engine import simulate
from simulations.errors import InputError
from simulations.fit import Calibration, Limits, MeasuredRun, calibrate, load_measurements
from simulations.fit.autoscaler_history import NAMES, History, infer_autoscaler
from simulations.fit.measurement import MeasuredLevel
from simulations.fit.parameters import PARAMETERS, Candidate
from simulations.fit.replay import replay
from simulations.rating import saturated_tokens_per_s
from simulations.scenario import Admission, Autoscaler, Scenario, Service
from simulations.trace import Shape, Trace

SHARED = Path(os.environ.get("PTPLAN_SHARED", Path(__file__).parents[2] / "shared"))
TIMES = ("iteration_s", "sequence_s", "context_s", "prefill_s")
FIGURES = ("tpot", "e2e", "ttft", "output_tokens_per_s")


def main(arguments: list[str] | None = None) -> None:
    """Print the experiments that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", choices=("run", "tables", "round-trip", "memory", "timing", "autoscaler")
    )
    parser.add_argument("--draws", type=int, default=12, help="servers of the round trip")
    parser.add_argument("--first", type=int, default=100, help="seed of the first of them")
    asked = parser.parse_args([] if arguments is None else arguments)
    for name, experiment in (
        ("run", held_out_run),
        ("tables", held_out_shapes),
        ("round-trip", lambda: round_trip(asked.draws, first=asked.first)),
        ("memory", lambda: memory(asked.draws, first=asked.first)),
        ("timing", timing),
        ("autoscaler", autoscalers),
    ):
        if asked.only in (None, name):
            for line in experiment():
                print(line, flush=True)
            print(flush=True)


def held_out_run() -> Iterator[str]:
    """Yield a table of a measured run, fitted on its first part."""
    yield "## A measured run, its later part held out"
    yield ""
    file = SHARED / "latency" / "vllm_rtxpro6000_llama-3.1-8b.requests.jsonl"
    if not file.is_file():
        yield f"not done: there is no {file.name} in ../shared/latency"
        return
    yield "| fitted | limits | held out, n | each request, E2E | mean TTFT | p90 TTFT | p99 E2E | CPU of the fit |"
    yield "|---|---|---|---|---|---|---|---|"
    (run,) = load_measurements(file)
    for known, word in ((run.limits, "known"), (Limits(), "fitted")):
        for fraction in (0.4, 0.5, 0.6):
            begun = time.process_time()
            made = calibrate([replace(run, limits=known)], fit_fraction=fraction, replicates=0)
            (score,) = made.held_out
            yield (
                f"| {fraction:.0%} | {word} | {score.n} | {score.e2e_error:.2%} | {score.errors['ttft_mean']:+.1%} | "
                f"{score.errors['ttft_p90']:+.1%} | {score.errors['e2e_p99']:+.1%} | {time.process_time() - begun:.0f} s |"
            )


def held_out_shapes() -> Iterator[str]:
    """Yield a table of measured sweeps, fitted on two token shapes each."""
    yield "## Measured sweeps, two token shapes fitted, the others predicted"
    yield ""
    file = SHARED / "latency" / "measured_concurrency_h100_h200.csv"
    if not file.is_file():
        yield f"not done: there is no {file.name} in ../shared/latency"
        return
    yield "Median of |predicted - measured| / measured over the figures of all other shapes."
    yield ""
    yield (
        "| model | GPUs | engine | shapes | held-out levels, n | TPOT | E2E | TTFT | all three, n | output tokens/s | CPU of the fit |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    keys = (
        "model_path",
        "system",
        "precision",
        "backend",
        "backend_version",
        "tp_size",
        "moe_ep_size",
        "gemm_quant_mode",
        "moe_quant_mode",
    )
    with file.open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    together: dict[str, list[float]] = {name: [] for name in FIGURES}
    several: dict[str, list[float]] = {name: [] for name in FIGURES}
    for configuration in sorted({tuple(row[key] for key in keys) for row in rows}):
        where = dict(zip(keys, configuration, strict=True))
        levels = [
            one for one in load_measurements(file, where=where) if isinstance(one, MeasuredLevel)
        ]
        shapes = {level.shape for level in levels}
        if len(shapes) < 3:
            continue
        begun = time.process_time()
        try:
            made = calibrate(list(levels), replicates=0)
        except InputError as error:
            yield f"| {where['model_path']} | {where['tp_size']} {where['system']} | | {len(shapes)} | {error} | | | | | | |"
            continue
        cpu_s = time.process_time() - begun
        errors = _errors_of_shapes(made, levels)
        per_shape = len(levels) / len(shapes)
        for name, values in errors.items():
            together[name] += values
            several[name] += values if per_shape >= 3 else []
        yield (
            f"| {where['model_path']} | {where['tp_size']} {where['system']} | {where['backend']} | {len(shapes)} | "
            f"{_medians(errors)} | {cpu_s:.0f} s |"
        )
    for word, found in (
        ("all", together),
        ("of these, sweeps with three loads a shape and more", several),
    ):
        yield f"| **{word}** | | | | {_medians(found)} | |"


def _medians(errors: dict[str, list[float]]) -> str:
    """Return cells: how many levels, the median of each figure, and of the three times together with their number."""
    times = [error for name in ("tpot", "e2e", "ttft") for error in errors[name]]
    each = " | ".join(f"{np.median(errors[name]):.1%}" for name in ("tpot", "e2e", "ttft"))
    rate = f"{np.median(errors['output_tokens_per_s']):.1%}"
    return f"{len(errors['tpot'])} | {each} | {np.median(times):.1%}, {len(times)} | {rate}"


def _errors_of_shapes(made: Calibration, levels: list[MeasuredLevel]) -> dict[str, list[float]]:
    from simulations.fit.calibration import fitted_shapes
    from simulations.fit.replay import figures, replay_level

    fitted = fitted_shapes(levels)
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for level in levels:
        if level.shape in fitted:
            continue
        loaded = made.loading.of(level)
        assert isinstance(loaded, MeasuredLevel)
        simulated = figures(replay_level(loaded, made.candidate), level.shape.output_tokens)
        measured = dict(level.figures)
        measured["e2e_mean"] = measured["ttft_mean"] + measured["tpot_mean"] * (
            level.shape.output_tokens - 1
        )
        for name in ("tpot", "e2e", "ttft"):
            key = f"{name}_mean"
            found[name].append(abs(simulated[key] / measured[key] - 1.0))
        # The table has none: users x tokens over the mean time to the last of them, by Little's law.
        found["output_tokens_per_s"].append(abs(measured["e2e_mean"] / simulated["e2e_mean"] - 1.0))
    return found


def drawn_run(seed: int, *, n: int = 250, noise: float = 0.01) -> tuple[Candidate, MeasuredRun]:
    """Return a server drawn from what is expected, and its run with noise; every third is short of memory."""
    chance = np.random.default_rng(seed)
    value = {
        name: PARAMETERS[name].expected * np.exp(0.7 * PARAMETERS[name].spread * chance.normal())
        for name in (*TIMES, "routing_s")
    }
    inputs = np.clip(chance.lognormal(np.log(500), 1.0, n), 4, 6000).astype(int)
    outputs = np.clip(chance.lognormal(np.log(200), 0.7, n), 2, 1500).astype(int)
    sequences = int(chance.choice([24, 48, 96, 128]))
    tight = seed % 3 == 0
    kv = int(0.5 * sequences * (inputs + outputs).mean()) if tight else None
    truth = Candidate(
        float(value["iteration_s"]),
        float(value["sequence_s"] * value["iteration_s"]),
        float(value["context_s"] * value["iteration_s"]),
        float(value["prefill_s"] * value["iteration_s"]),
        0.0,
        float(value["routing_s"]),
        sequences,
        int(chance.choice([2048, 4096, 8192])),
        None if kv is None else max(kv, int((inputs + outputs).max()) + 1),
    )
    shape = Shape(int(inputs.mean()), int(outputs.mean()))
    rate = 0.95 * saturated_tokens_per_s(truth.service(), shape) / shape.total_tokens
    arrival = np.concatenate([[0.0], np.cumsum(chance.exponential(1 / rate, n - 1))])
    run = MeasuredRun.build(arrival, inputs, outputs, e2e_s=np.ones(n))
    times = replay(run, truth)
    ttft = times.ttft_s * np.exp(3 * noise * chance.normal(size=n))
    e2e = ttft + (times.e2e_s - times.ttft_s) * np.exp(noise * chance.normal(size=n))
    limits = Limits(token_budget=truth.token_budget)
    return truth, replace(run, ttft_s=ttft, e2e_s=np.fmax(e2e, ttft), limits=limits)


def round_trip(draws: int, *, first: int) -> Iterator[str]:
    """Yield how often the intervals of drawn servers hold their numbers."""
    yield f"## {draws} drawn servers, their noisy runs fitted"
    yield ""
    yield (
        "Per request 1 % of noise on the answer and 3 % on the time to first token; 250 requests at 95 % of what the "
        "server can, the first 60 % fitted; every third server is short of KV memory. 90 % intervals, 30 refits. "
        f"Seeds {first} to {first + draws - 1}; `calibration.WIDENED` was chosen on seeds 0 to 5."
    )
    yield ""
    yield "| server | held out, each request E2E | inside its interval | not told |"
    yield "|---|---|---|---|"
    inside: dict[str, list[bool]] = {}
    for seed in range(first, first + draws):
        truth, run = drawn_run(seed)
        made = calibrate([run], n_starts=2, seed=seed)
        found = []
        for name, interval in made.intervals.items():
            true = getattr(truth, name)
            if true is None:
                true = float("inf")  # no limit at all
            holds = interval.low * (1 - 1e-9) <= true <= interval.high * (1 + 1e-9)
            inside.setdefault(name, []).append(holds)
            found.append(holds)
        (score,) = made.held_out
        word = f"{seed}, KV {truth.kv_tokens:,}" if truth.kv_tokens else f"{seed}"
        yield f"| {word} | {score.e2e_error:.2%} | {sum(found)} of {len(found)} | {', '.join(made.untold) or '-'} |"
    yield ""
    yield "| number | inside | of |"
    yield "|---|---|---|"
    for name, holds in inside.items():
        yield f"| {name} | {sum(holds)} | {len(holds)} |"
    every = [one for holds in inside.values() for one in holds]
    yield f"| **all** | **{sum(every)} ({np.mean(every):.0%})** | {len(every)} |"


def short_of_memory(seed: int, *, n: int = 300) -> tuple[Candidate, MeasuredRun]:
    """Return a drawn server that has memory for a part of its slots alone, and its overloaded run with 3 % of noise."""
    chance = np.random.default_rng(1000 + seed)
    value = {
        name: PARAMETERS[name].expected * np.exp(0.6 * PARAMETERS[name].spread * chance.normal())
        for name in (*TIMES, "routing_s")
    }
    inputs = np.clip(chance.lognormal(np.log(500), 1.0, n), 4, 6000).astype(int)
    outputs = np.clip(chance.lognormal(np.log(250), 0.8, n), 2, 1500).astype(int)
    slots = int(chance.choice([64, 128, 256]))
    share = chance.uniform(0.15, 0.5)
    memory = max(share * slots * (inputs + outputs).mean(), (inputs + outputs).max() + 1)
    iteration_s = float(value["iteration_s"])
    truth = Candidate(
        iteration_s,
        float(value["sequence_s"] * iteration_s),
        float(value["context_s"] * iteration_s),
        float(value["prefill_s"] * iteration_s),
        0.0,
        float(value["routing_s"]),
        slots,
        int(chance.choice([2048, 8192])),
        int(memory),
    )
    shape = Shape(int(inputs.mean()), int(outputs.mean()))
    most = saturated_tokens_per_s(truth.service(), shape) / (inputs + outputs).mean()
    rate = chance.uniform(0.8, 2.5) * most
    arrival = np.concatenate([[0.0], np.cumsum(chance.exponential(1 / rate, n - 1))])
    run = MeasuredRun.build(arrival, inputs, outputs, e2e_s=np.ones(n))
    times = replay(run, truth)
    ttft = times.ttft_s * np.exp(0.03 * chance.normal(size=n))
    e2e = ttft + (times.e2e_s - times.ttft_s) * np.exp(0.03 * chance.normal(size=n))
    limits = Limits(max_sequences=slots, token_budget=truth.token_budget)
    return truth, replace(run, ttft_s=ttft, e2e_s=np.fmax(e2e, ttft), limits=limits)


def memory(draws: int, *, first: int) -> Iterator[str]:
    """Yield a table of drawn servers whose memory is short, the first half of their runs fitted."""
    yield f"## {draws} servers short of memory"
    yield ""
    yield "Preempted counts requests of the fitted half; truth is the error of the true server on the same requests."
    yield ""
    yield "| server | memory | preempted | found | held out, each request E2E | truth | CPU of the fit |"
    yield "|---|---|---|---|---|---|---|"
    for seed in range(first, first + draws):
        truth, run = short_of_memory(seed)
        begun = time.process_time()
        made = calibrate([run], fit_fraction=0.5, replicates=0)
        cpu_s = time.process_time() - begun
        later = np.arange(len(run)) >= round(0.5 * len(run))
        errors = np.abs(replay(run, truth).e2e_s[later] / run.e2e_s[later] - 1.0)
        found = "never met" if "kv_tokens" in made.unmet else f"{made.candidate.kv_tokens:,}"
        yield (
            f"| {seed} | {truth.kv_tokens:,} | {_preempted(run, truth)} | {found} | {made.held_out[0].e2e_error:.2%} | "
            f"{errors.mean():.2%} | {cpu_s:.0f} s |"
        )


def _preempted(run: MeasuredRun, truth: Candidate) -> int:
    """Return how many of the first half of the requests are preempted at a server."""
    scenario = Scenario(
        truth.service(),
        TokenChunks(1, 1, 1),
        Autoscaler(target=1.0),
        Admission(queue_limit="none"),
        start_chunks=1,
    )
    preempted = simulate(run.trace, scenario).requests()["preemptions"].to_numpy()
    return int((preempted[: len(run) // 2] > 0).sum())


def timing() -> Iterator[str]:
    """Yield the CPU time of fits and of their intervals."""
    yield "## How long a fit takes"
    yield ""
    yield "| requests | limits | a fit | with 30 refits for the intervals |"
    yield "|---|---|---|---|"
    for n in (300, 1000):
        for short in (False, True):
            _, run = short_of_memory(50, n=n) if short else drawn_run(100, n=n)
            spent = []
            for replicates in (0, 30):
                begun = time.process_time()
                calibrate([run], replicates=replicates)
                spent.append(time.process_time() - begun)
            word = "memory short" if short else "memory for all"
            yield f"| {n:,} | {word} | {spent[0]:.0f} s | {spent[1]:.0f} s |"


def drawn_history(
    scaler: Autoscaler, bin_s: float, *, days: float, seed: int, max_chunks: int = 12
) -> History:
    """Return requests in flight and chunks of a simulated endpoint, in bins, as a monitor would show them."""
    chance = np.random.default_rng(seed)
    minutes = np.arange(0, days * 86400, 60.0)
    walk = np.cumsum(chance.normal(0, 1, len(minutes)))
    walk -= np.linspace(0, walk[-1], len(minutes))
    swing = 0.7 * np.sin(2 * np.pi * minutes / 86400) + 0.5 * np.sin(2 * np.pi * minutes / 2100)
    rate = 2.0 * np.exp(swing + 0.25 * walk / (walk.std() + 1e-9))
    n = chance.poisson(rate * 60)
    arrival = np.repeat(minutes, n) + chance.uniform(0, 60, int(n.sum()))
    trace = Trace.build(
        arrival,
        np.full(len(arrival), 800),
        chance.integers(50, 400, len(arrival)),
        span_s=days * 86400,
    )
    run = simulate(
        trace,
        Scenario(
            Service(0.02, 1e-4, 3e-8, 5e-5),
            TokenChunks(1000, 1, max_chunks),
            scaler,
            Admission(queue_limit="none"),
            start_chunks=3,
        ),
    )
    chunks = run.timeline(bin_s)["ready_chunks"].to_numpy()
    table = run.requests()
    edges = bin_s * np.arange(len(chunks) + 1)

    def lived(moments: np.ndarray) -> np.ndarray:
        ordered = np.sort(moments)
        sums = np.concatenate([[0.0], np.cumsum(ordered)])
        count = np.searchsorted(ordered, edges)
        return count * edges - sums[count]

    area = lived(table["accepted_s"].to_numpy()) - lived(table["end_s"].to_numpy())
    return History(bin_s, np.diff(area) / bin_s, chunks, "in_flight")


def autoscalers() -> Iterator[str]:
    """Yield what histories of drawn autoscalers tell at three resolutions."""
    yield "## Autoscalers out of their histories"
    yield ""
    yield "In brackets the interval; *not told* where it is wider than a factor of 3."
    yield ""
    yield f"| truth | every | {' | '.join(NAMES)} |"
    yield f"|---|---|{'---|' * len(NAMES)}"
    outside = total = 0
    for seed, truth in enumerate(
        (
            Autoscaler(target=8.0),
            Autoscaler(target=12.0, start_delay_s=60.0, down_window_s=600.0, up_window_s=60.0),
            Autoscaler(target=5.0, start_delay_s=300.0, down_window_s=900.0),
        )
    ):
        for bin_s, days in ((10.0, 2.0), (60.0, 2.0), (3600.0, 7.0)):
            fit = infer_autoscaler(drawn_history(truth, bin_s, days=days, seed=seed))
            cells = []
            for name in NAMES:
                told, true = fit.numbers[name], getattr(truth, name)
                holds = told.low <= true <= told.high
                outside += not holds
                total += 1
                span = f"[{told.low:.3g}, {'any' if told.high == float('inf') else f'{told.high:.3g}'}]"
                said = f"{told.value:.3g}" if told.told else "*not told*"
                cells.append(f"{said} {span}{'' if holds else ' **outside**'}")
            true_text = ", ".join(f"{getattr(truth, name):g}" for name in NAMES)
            yield f"| {true_text} | {bin_s:g} s | {' | '.join(cells)} |"
    yield ""
    yield f"{total - outside} of {total} true values lie inside their intervals."


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
