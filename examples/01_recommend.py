"""Recommend a range for a day of traffic, and see why."""

from planner import Limit, Objective, Tariff, load_trace, make_offer, recommend

trace = load_trace("examples/office-day.csv.gz")
offer = make_offer("system.ai.llama_v3_3_70b_instruct:1", tariff=Tariff(usd_per_chunk_hour=24.0))
promise = Objective((Limit("ttft", 95, 10.0),))

answer = recommend(trace, offer, promise, endpoint="chat")
print(answer)
print(*answer.reasons, sep="\n")

tried = answer.alternatives()
columns = ["min_chunks", "max_chunks", "ttft_p95_s", "mean_chunks", "usd_per_month"]
print(tried.loc[tried["feasible"], columns].head().round(2).to_string(index=False))
