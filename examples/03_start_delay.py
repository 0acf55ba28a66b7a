"""See how much of an answer hangs on one assumed number: how long a new chunk takes to start."""

from planner import Autoscaler, Limit, Objective, Tariff, load_trace, make_offer, recommend

morning = load_trace("examples/office-day.csv.gz").between(8 * 3600, 12 * 3600)
offer = make_offer("system.ai.llama_v3_3_70b_instruct:1", tariff=Tariff(usd_per_chunk_hour=24.0))
promise = Objective((Limit("ttft", 95, 10.0),))

for start_delay_s in (10.0, 155.0, 480.0):
    scaler = Autoscaler(start_delay_s=start_delay_s)
    answer = recommend(morning, offer, promise, autoscaler=scaler)
    usd_per_hour = answer.chosen.outcome.usd_per_hour
    print(f"{start_delay_s:3.0f} s to start: {answer.capacity}, {usd_per_hour:.0f} USD an hour")
