"""What guidellm, AIPerf and `vllm bench serve` replay: a time and two lengths, in no one unit.

Source: github.com/vllm-project/guidellm (seconds), github.com/ai-dynamo/aiperf (milliseconds),
github.com/vllm-project/vllm, docs/benchmarking/cli.md, "Replay Timed Traces" (times
`--timed-trace-sec-multiplier`, which is 0.001 for Mooncake's milliseconds), read 2026-11-22.
"""

from simulations.ingest.layout import Layout

REPLAY = Layout(
    "replay",
    "timestamp",
    "input_length",
    "output_length",
    unit_note="seconds for guidellm and vLLM but milliseconds for AIPerf",
)
