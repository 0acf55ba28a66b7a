"""Simulate one range and look at single requests and at hours."""

from planner import Autoscaler, Scenario, load_trace, make_offer, simulate

trace = load_trace("examples/office-day.csv.gz")
offer = make_offer("system.ai.meta_llama_v3_1_8b_instruct:3", chunk_tokens_per_s=19_000)
scenario = Scenario(offer.service, offer.capacity(1, 2), Autoscaler(start_delay_s=300.0))

run = simulate(trace, scenario)
print(run)

requests = run.requests()
late = requests[requests["ttft_s"] > 2.0]
print(f"{len(late)} of {len(requests)} waited longer than 2 s for their first token; the worst:")
columns = ["arrival_s", "input_tokens", "attempts", "accepted_s", "ttft_s", "e2e_s"]
print(late.nlargest(3, "ttft_s")[columns].round(2).to_string())
print(run.timeline(bin_s=7200.0).round(2).to_string(index=False))
