"""Recommend a range for a day of traffic, and see why."""

from planner import Limit, Objective, load_trace, make_offer, recommend

trace = load_trace("examples/office-day.csv.gz")
offer = make_offer("system.ai.meta_llama_v3_1_8b_instruct:3")
promise = Objective((Limit("ttft", 95, 2.0),))

answer = recommend(trace, offer, promise, endpoint="chat")
print(answer)
print(*answer.reasons, sep="\n")

tried = answer.alternatives()
columns = ["min_chunks", "max_chunks", "feasible", "attainment_all", "mean_chunks", "usd_per_month"]
print(tried[columns].round(3).to_string(index=False))
