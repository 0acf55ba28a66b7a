"""See how much of an answer hangs on one assumed number: how long a new chunk takes to start."""

from planner import Autoscaler, load_trace, make_offer, recommend

trace = load_trace("examples/office-day.csv.gz")
offer = make_offer("system.ai.meta_llama_v3_1_8b_instruct:3")

for start_delay_s in (10.0, 155.0, 480.0):
    scaler = Autoscaler(start_delay_s=start_delay_s)
    answer = recommend(trace, offer, autoscaler=scaler, sensitivity=False)
    usd_per_month = answer.figures["usd_per_month"].value
    print(f"{start_delay_s:3.0f} s to start: {answer.capacity}, {usd_per_month:,.0f} USD a month")
