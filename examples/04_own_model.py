"""A model of one's own: its chunk from the workspace, its speed from the model it was tuned from."""

import json

from planner import load_trace, make_offer, recommend

offer = make_offer(
    "ml.llm-catalog.foundation-model:3",
    base_model="system.ai.meta_llama_v3_1_8b",
    chunk_tokens_per_s=980,
)
morning = load_trace("examples/office-day.csv.gz").between(8 * 3600, 12 * 3600)
answer = recommend(morning, offer, endpoint="prov-throughput-endpoint")
print(answer)
print(answer.request.method, answer.request.path)
print(json.dumps(answer.request.body, indent=4))
