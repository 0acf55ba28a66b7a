"""What a calibration leaves behind, as text: service.toml and autoscaler.toml.

Beside the numbers that are simulated stand their intervals, where they come from, and how far they were measured,
so that whoever reads the file can judge it and a prediction beyond it can warn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from simulations.fit.autoscaler_history import AutoscalerFit
from simulations.fit.calibration import COVERAGE, Calibration
from simulations.fit.measurement import MeasuredRun
from simulations.fit.parameters import TIMES

DEFAULT_MAX_SEQUENCES, DEFAULT_TOKEN_BUDGET = 256, 8192


def service_toml(
    made: Calibration, *, name: str, per_chunk: bool, created_at: str, version: str, command: str
) -> str:
    """Return a calibration as service.toml.

    Args:
        made: the calibration.
        name: of the service.
        per_chunk: measured on one chunk of the endpoint itself, so that it is never rated.
        created_at: ISO 8601; a clock is the caller's affair.
        version: of ptplan.
        command: what gives it again.
    """
    candidate, reach = made.candidate, made.reach
    lines = [
        f"# Fitted by ptplan calibrate, {created_at}; docs/calibrate.md says how.",
        "",
        "[service]",
        f"name = {_text(name)}",
        f"source = {_text(_source(made, created_at))}",
        f"assumed = {_flag(not per_chunk)}",
        f"per_chunk = {_flag(per_chunk)}",
    ]
    for key in TIMES:
        value = getattr(candidate, key)
        if value > 0 and key != "routing_s":
            lines.append(f"{key} = {value:.6g}" if key != "iteration_s" else f"{key} = {value!r}")
    sequences, budget, kv = limits_written(made)
    lines += [f"max_sequences = {sequences}", f"token_budget = {budget}"]
    lines += [f"kv_tokens = {kv}"] if kv is not None else []
    lines += [
        "# Beyond the server: in every measured time, and not in what is simulated.",
        f"routing_s = {candidate.routing_s:.6g}",
    ]
    if made.intervals:
        lines += ["", f"# Each holds the true value in {COVERAGE:.0%} of cases.", "[intervals]"]
        lines += [
            f"{key} = [{_number(one.low)}, {_number(one.high)}]"
            for key, one in made.intervals.items()
        ]
    lines += [
        "",
        "# What was measured; beyond it a prediction warns.",
        "[range]",
        f"input_tokens = [{reach.input_tokens[0]}, {reach.input_tokens[1]}]",
        f"output_tokens = [{reach.output_tokens[0]}, {reach.output_tokens[1]}]",
        f"sequences = [1, {reach.sequences}]",
        f"context_tokens = [1, {reach.context_tokens}]",
        "",
        "[provenance]",
        f"created_at = {_text(created_at)}",
        f"ptplan_version = {_text(version)}",
        f"command = {_text(command)}",
        f"not_told = [{', '.join(_text(key) for key in made.untold)}]",
    ]
    errors = [score.e2e_error for score in made.held_out if score.e2e_error is not None]
    if errors:
        lines.append(f"held_out_e2e_error = [{', '.join(f'{error:.4g}' for error in errors)}]")
    for one in made.measurements:
        origin = one.origin
        size = (
            f"{len(one)} requests" if isinstance(one, MeasuredRun) else f"{one.shape}, {one.load}"
        )
        lines += [
            "",
            "[[provenance.measurement]]",
            f"path = {_text(origin.path)}",
            f"sha256 = {_text(origin.sha256)}",
            f"tool = {_text(str(origin))}",
            f"what = {_text(size)}",
            f"chunks = {one.chunks}",
        ]
    return "\n".join(lines) + "\n"


def limits_written(made: Calibration) -> tuple[int, int, int | None]:
    """Return sequences, budget and KV room as they go into the file.

    A limit that was never met is not what the search left it at: vLLM's default stands for sequences and budget
    (at least what was seen), and no limit for memory.
    """
    candidate = made.candidate

    sequences = candidate.max_sequences
    if "max_sequences" in made.unmet:
        sequences = max(DEFAULT_MAX_SEQUENCES, made.reach.sequences)
    budget = DEFAULT_TOKEN_BUDGET if "token_budget" in made.unmet else candidate.token_budget
    kv = None if "kv_tokens" in made.unmet else candidate.kv_tokens
    return sequences, max(budget, sequences), kv


def autoscaler_toml(fit: AutoscalerFit, *, source: str, date: str) -> str:
    """Return what a history told as autoscaler.toml; what it did not tell stands as a comment.

    Windows are whole multiples of `decide_every_s`, so they are rounded to it.
    """
    every = _decide_every(fit)
    lines = [
        "[autoscaler]",
        'preset = "databricks"',
        f"source = {_text(source)}",
        f"date = {_text(date)}",
        f"metric = {_text(fit.metric)}",
    ]
    windows = [key for key in ("up_window_s", "down_window_s") if fit.numbers[key].told]
    if windows:
        lines.append(f"decide_every_s = {every:g} # assumed")
    for key, told in fit.numbers.items():
        span = f"{told.low:.4g} to {told.high:.4g}"
        if not told.told:
            lines.append(
                f"# {key}: not identifiable at this resolution ({fit.bin_s:g} s): {span}; the default stands"
            )
            continue
        value = told.value
        if key.endswith("window_s"):
            value = max(every, every * round(value / every))
        elif key == "start_delay_s":
            value = max(value, 0.1)
        lines.append(f"{key} = {value:.6g} # {span}")
    return "\n".join(lines) + "\n"


def _decide_every(fit: AutoscalerFit) -> float:
    return min(5.0, fit.bin_s)


def _source(made: Calibration, created_at: str) -> str:
    files = list(dict.fromkeys(f"{one.origin.path} ({one.origin})" for one in made.measurements))
    errors = [score.e2e_error for score in made.held_out if score.e2e_error is not None]
    held = f"; held-out requests {errors[0]:.1%} off end to end" if errors else ""
    some = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return f"fitted to {some}, {created_at[:10]}{held}"


def _text(value: str) -> str:
    return json.dumps(value.encode("utf-8", "backslashreplace").decode(), ensure_ascii=True)


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _number(value: float) -> str:
    if math.isinf(value):
        return "inf"
    return str(int(value)) if isinstance(value, int) else f"{value:.4g}"


def not_told_sentences(untold: Sequence[str]) -> list[str]:
    """Return what to measure next for each number that the data did not tell, a sentence and a command each.

    >>> not_told_sentences(["iteration_s"])[0].split(":")[0]
    'iteration_s (time of an empty iteration)'
    """
    return [_NEXT[name] for name in untold if name in _NEXT]


_BENCH = "vllm bench serve --save-result --save-detailed --dataset-name random"
_NEXT = {
    "iteration_s": "iteration_s (time of an empty iteration): a run of one user tells it: "
    f"{_BENCH} --random-input-len 128 --random-output-len 512 --max-concurrency 1 --num-prompts 20",
    "sequence_s": "sequence_s (time per sequence): many short requests at once tell it from context: "
    f"{_BENCH} --random-input-len 64 --random-output-len 256 --max-concurrency 128 --num-prompts 512",
    "context_s": "context_s (time per token of context): the same number of users with long prompts tells it from "
    f"sequences: {_BENCH} --random-input-len 8192 --random-output-len 256 --max-concurrency 32 --num-prompts 128",
    "prefill_s": "prefill_s (time per prompt token): long prompts and short answers tell it: "
    f"{_BENCH} --random-input-len 4096 --random-output-len 8 --max-concurrency 4 --num-prompts 64",
    "attention_s": "attention_s (time per pair of prompt tokens): prompts of several lengths tell it: "
    f"{_BENCH} --random-input-len 16384 --random-output-len 8 --max-concurrency 1 --num-prompts 16",
    "routing_s": "routing_s (beyond the server): single short requests tell it: "
    f"{_BENCH} --random-input-len 16 --random-output-len 2 --max-concurrency 1 --num-prompts 50",
    "max_sequences": "max_sequences: the server was never full; all requests at once tell it: "
    f"{_BENCH} --random-input-len 64 --random-output-len 256 --request-rate inf --num-prompts 1024",
    "token_budget": "token_budget: several long prompts at once tell it, or --token-budget if you know it: "
    f"{_BENCH} --random-input-len 8192 --random-output-len 64 --max-concurrency 8 --num-prompts 64",
    "kv_tokens": "kv_tokens: its memory was never full; long requests at once tell it, or --kv-tokens if you know it: "
    f"{_BENCH} --random-input-len 8192 --random-output-len 1024 --request-rate inf --num-prompts 256",
}
