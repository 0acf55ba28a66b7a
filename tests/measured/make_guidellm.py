"""Write guidellm-v2.json with guidellm's own record classes: python make_guidellm.py < aiperf-rate6.jsonl.

guidellm 0.8.1 itself was not run: its data loader needs PyTorch, which is too large to install here. The times are
those that AIPerf measured; each request is a `GenerativeRequestStats` of guidellm, dumped as its report dumps it,
and the frame around them has the keys of `GenerativeBenchmarksReport`, metrics left out.
"""

import json
import platform
import sys
from importlib.metadata import version

from guidellm.schemas import GenerativeRequestStats, RequestInfo, UsageMetrics
from guidellm.schemas.base.info import RequestTimings

done = []
for line in sys.stdin:
    row = json.loads(line)
    start = row["metadata"]["request_start_ns"] / 1e9
    metrics = row["metrics"]
    first = start + metrics["time_to_first_token"]["value"] / 1e3
    end = start + metrics["request_latency"]["value"] / 1e3
    n = metrics["output_sequence_length"]["value"]
    timings = RequestTimings(
        queued=start, dequeued=start, scheduled_at=start, resolve_start=start, request_start=start,
        first_request_iteration=first, first_token_iteration=first, last_token_iteration=end,
        last_request_iteration=end, request_iterations=n, token_iterations=n, request_end=end,
        resolve_end=end, finalized=end,
    )  # fmt: skip
    info = RequestInfo(
        request_id=row["metadata"]["x_request_id"], status="completed", timings=timings
    )
    done.append(
        GenerativeRequestStats(
            request_id=info.request_id,
            info=info,
            input_metrics=UsageMetrics(text_tokens=metrics["input_sequence_length"]["value"]),
            output_metrics=UsageMetrics(text_tokens=n),
        ).model_dump(mode="json")
    )
report = {
    "metadata": {
        "version": 2,
        "guidellm_version": version("guidellm"),
        "python_version": platform.python_version(),
        "platform": platform.system(),
    },
    "config": {},
    "benchmarks": [
        {
            "type_": "generative_benchmark",
            "config": {"strategy": {"type_": "poisson", "rate": 6.0}},
            "scheduler_metrics": {
                "strategy_type": "poisson",
                "request_targeted_start_delay_avg": 0.001,
            },
            "requests": {"successful": done, "incomplete": [], "errored": []},
        }
    ],
    "conclusions": [],
}
json.dump(report, sys.stdout)
