"""From a log to an endpoint, reviewed and checked; here against a workspace to rehearse in."""

from planner import (
    Limit,
    Objective,
    apply,
    load_trace,
    make_offer,
    plan,
    recommend,
    rehearse,
    verify,
)

trace = load_trace("examples/office-day.csv.gz")
offer = make_offer("system.ai.meta_llama_v3_1_8b_instruct:3")
answer = recommend(trace, offer, Objective((Limit("ttft", 95, 2.0),)), endpoint="chat")

with rehearse() as workspace:  # Workspace(profile="PROD") is the real one
    change = plan(answer, workspace)
    for one in change["diff"]:
        print(one["path"].rpartition(".")[2], one["after"], f"({one['reason']})")

    receipt = apply(change, workspace)  # writes receipt.json, as `ptplan apply` does
    print(receipt["state"], "drifted" if verify(receipt, workspace).drifted else "as applied")
    print("planned again:", plan(answer, workspace)["action"])
