"""The command with which a load generator sends the requests of a trace to an endpoint: plan, measure, calibrate.

AIPerf replays a Mooncake trace, request by request; guidellm replays timestamps with token counts; vLLM's benchmark
draws alike ones at the trace's rate. Each is printed with the file that it reads and what to give to `calibrate`.
Source: aiperf 0.13.0 (--input-file with --custom-dataset-type mooncake_trace --fixed-schedule), guidellm 0.8.1
(replay profile over trace_synthetic), vllm-project/vllm at 009e6d4, read 2026-11-22.

Of the two replays only guidellm's was run end to end as it is printed. AIPerf's failed while it loaded a local
tokenizer, so it is unverified end to end.
"""

from __future__ import annotations

import json
import shlex

import numpy as np

from simulations.errors import MeasurementError
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

TOOLS = ("aiperf", "guidellm", "vllm")

MOST_REQUESTS = 100_000


def replay_lines(trace: Trace, tool: str = "aiperf") -> str:
    """Return a trace as JSON lines with moments and the two token counts.

    Moments are Mooncake's milliseconds, for guidellm seconds.

    >>> replay_lines(Trace.build([0, 1.5], [10, 20], [3, 4])).splitlines()[1]
    '{"timestamp": 1500, "input_length": 20, "output_length": 4}'
    """
    ms = (trace.arrival_ticks // (TICKS_PER_S // 1000)).tolist()
    rows = zip(
        [at / 1000 for at in ms] if tool == "guidellm" else ms,
        trace.input_tokens.tolist(),
        np.maximum(trace.output_tokens, 1).tolist(),
        strict=True,
    )
    return "".join(
        json.dumps({"timestamp": at, "input_length": inputs, "output_length": outputs}) + "\n"
        for at, inputs, outputs in rows
    )


def command(trace: Trace, tool: str, *, replay_file: str) -> tuple[str, str]:
    """Return the command that measures an endpoint with a trace, and the file that it leaves for `calibrate`.

    `$URL`, `$MODEL` and `$TOKENIZER` are left to the shell: they are not in a trace.

    Args:
        trace: what to send.
        tool: `aiperf`, `guidellm` or `vllm`.
        replay_file: where the trace stands as `replay_lines` (AIPerf and guidellm read it).

    Raises:
        MeasurementError: no such tool, or too long a trace.
    """
    if len(trace) > MOST_REQUESTS:
        raise MeasurementError(
            f"the trace has {len(trace):,} requests; measure with at most {MOST_REQUESTS:,}: cut an hour out of it"
        )
    shape = trace.mean_shape
    file = shlex.quote(replay_file)
    if tool == "aiperf":
        return (
            "aiperf profile --endpoint-type chat --streaming --url $URL --model $MODEL --tokenizer $TOKENIZER "
            f"--input-file {file} --custom-dataset-type mooncake_trace --fixed-schedule "
            "--extra-inputs ignore_eos:true --output-artifact-dir measured",
            "measured/profile_export.jsonl",
        )
    if tool == "guidellm":
        return (
            "guidellm run --backend kind=openai_http,target=$URL,model=$MODEL --tokenizer "
            "kind=huggingface_auto,model=$TOKENIZER --profile kind=replay,schedule_turn=timestamp --data "
            f"kind=trace_synthetic,source.kind=json_file,source.path={file},timestamp_column=timestamp,"
            "prompt_tokens_column=input_length,output_tokens_column=output_length --output kind=json,path=measured.json",
            "measured.json",
        )
    if tool == "vllm":
        rate = (
            (len(trace) - 1) / (int(trace.arrival_ticks[-1]) / TICKS_PER_S)
            if len(trace) > 1 and trace.arrival_ticks[-1]
            else 1.0
        )
        spread = float(np.std(trace.input_tokens) / max(1.0, float(np.mean(trace.input_tokens))))
        return (
            "vllm bench serve --backend openai-chat --endpoint /v1/chat/completions --base-url $URL --model $MODEL "
            f"--tokenizer $TOKENIZER --dataset-name random --random-input-len {shape.input_tokens} "
            f"--random-output-len {max(1, shape.output_tokens)} --random-range-ratio {min(0.9, spread):.2g} "
            f"--request-rate {rate:.4g} --num-prompts {len(trace)} --ignore-eos --save-result --save-detailed "
            "--result-filename measured.json",
            "measured.json",
        )
    raise MeasurementError(f"--measure-with is {tool!r}; must be {', '.join(TOOLS)}")
