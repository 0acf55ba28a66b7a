"""Apply, step by step, on cases made by hand: what is refused, what is waited for, what is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rehearsal import (
    OTHER_MODEL,
    SALE,
    TOKENS_MODEL,
    UNITS_MODEL,
    Waiting,
    apply,
    chunks,
    connect,
    plan_of,
    resume,
    served,
    split,
    terms,
    units,
)
from workspace import Clock, Running, Timings, running_workspace

from planner import files
from planner.endpoint import images, plans, receipts
from planner.endpoint.drift import drift
from planner.endpoint.gate import require_current, require_safe
from planner.endpoint.receipts import Journal, make_room
from planner.endpoint.rollback import plan_rollback
from planner.endpoint.rollout import carry_out
from simulations.errors import InputError, Refused, WorkspaceError


@pytest.fixture(scope="module")
def served_workspace() -> Iterator[Running]:
    with running_workspace(
        clock=Clock(), timings=Timings(create_s=30, update_s=20, capacity_s=40), models=SALE
    ) as running:
        yield running


@pytest.fixture
def running(served_workspace: Running) -> Running:
    served_workspace.forget()
    return served_workspace


@pytest.fixture
def clock(running: Running) -> Waiting:
    return Waiting(running.clock)


@pytest.fixture
def workspace(running: Running) -> Any:
    return connect(running)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "receipt.json"


def put_up(running: Running, *entities: dict[str, Any], **config: Any) -> None:
    """Let somebody have an endpoint with these entities."""
    names = [one["name"] for one in entities]
    running.workspace.create(
        {
            "name": "chat",
            "config": {
                "served_entities": list(entities),
                "traffic_config": split(*names),
                **config,
            },
        }
    )
    running.clock.advance(100)


def writes(running: Running) -> list[tuple[str, str]]:
    return [(e.method, e.path) for e in running.exchanges() if e.method != "GET"]


def steps(receipt: dict[str, Any]) -> list[str]:
    return [step["what"] for step in receipt["steps"]]


# --- what goes well -------------------------------------------------------------------------


def test_a_create_is_sent_once_waited_for_and_read_back(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    done = apply(workspace, clock, plan, path)
    assert done["state"] == "applied"
    assert done == receipts.read(path)
    assert steps(done) == ["begin", "check", "send", "send", "wait", "read back"]
    assert writes(running) == [("POST", "/api/2.0/serving-endpoints")]
    (entity,) = images.entities_of(done["readback"]["config"])
    assert (entity["min_provisioned_throughput"], entity["max_provisioned_throughput"]) == (
        980,
        1960,
    )


def test_model_units_go_by_their_own_route_and_always_say_burst(running, workspace, clock, path):
    plan = plan_of(workspace, clock, units(2), burst={"": False})
    apply(workspace, clock, plan, path)
    plan = plan_of(workspace, clock, units(3), known_burst=receipts.read(path)["burst"])
    label = plan["entity"]
    apply(workspace, clock, plan, path)
    assert writes(running) == [
        ("POST", "/api/2.0/serving-endpoints/pt"),
        ("PUT", "/api/2.0/serving-endpoints/pt/chat/config"),
    ]
    assert running.workspace.burst_flags("chat") == {label: False}


def test_an_update_keeps_every_foreign_field(running, workspace, clock, path):
    ours = served(
        "ours",
        new_field={"deep": [1, {"er": None, "x": 0.1}]},
        environment_vars={"A": "{{secrets/a/b}}"},
    )
    theirs = served("theirs", OTHER_MODEL, scale_to_zero_enabled=False, another_field="y")
    put_up(running, ours, theirs, future_setting={"b": 1})
    before = workspace.get("chat")
    plan = plan_of(workspace, clock, chunks(2, 3))
    assert plan["unknown_keys"] == [
        "future_setting",
        "served_entities[ours].new_field",
        "served_entities[theirs].another_field",
    ]
    assert plan["kept_entities"] == ["theirs"]
    apply(workspace, clock, plan, path)
    after = workspace.get("chat")
    expected = images.sendable(before["config"])
    expected["served_entities"][0] |= {
        "min_provisioned_throughput": 1960,
        "max_provisioned_throughput": 2940,
    }
    assert images.sendable(after["config"]) == expected
    (sent,) = running.exchanges("PUT")
    assert json.dumps(sent.body["served_entities"][1]) == json.dumps(
        images.sendable(before["config"])["served_entities"][1]
    )


def test_a_second_apply_sends_nothing(running, workspace, clock, path, tmp_path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    apply(workspace, clock, plan, path)
    n = len(writes(running))
    assert resume(workspace, clock, path)["state"] == "applied"
    assert apply(workspace, clock, plan, tmp_path / "other.json")["state"] == "applied"
    again = plan_of(workspace, clock, chunks(1, 2))
    assert again["action"] == "no_op"
    assert apply(workspace, clock, again, tmp_path / "third.json")["state"] == "applied"
    assert len(writes(running)) == n


def test_a_create_that_finds_an_equal_endpoint_is_done(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    running.workspace.create(plan["request"]["body"])
    running.clock.advance(100)
    assert apply(workspace, clock, plan, path)["state"] == "applied"
    assert writes(running) == []


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "html", "huge"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_lost_answer_is_looked_after_and_never_sent_blindly_again(
    kind, moment, exists, running, workspace, clock, path
):
    if exists:
        put_up(running, served("ours"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    running.fault(kind, moment, method="PUT" if exists else "POST", times=1)
    done = apply(workspace, clock, plan, path)
    assert done["state"] == "applied"
    handled = [e for e in running.exchanges() if e.method != "GET" and e.handled]
    assert len(handled) == 1
    assert len(writes(running)) == (1 if moment == "after" else 2)


def test_a_throttled_request_waits_as_long_as_it_is_told(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    running.fault("status", method="POST", status=429, retry_after="40", times=1)
    began = clock.time()
    assert apply(workspace, clock, plan, path)["state"] == "applied"
    assert clock.time() - began >= 40


def test_reads_that_fail_while_it_waits_do_not_end_it(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    running.fault("status", method="GET", path="/chat", status=500, skip=2, times=3)
    assert apply(workspace, clock, plan, path)["state"] == "applied"


# --- what is refused ------------------------------------------------------------------------


def test_a_stale_plan_is_refused_and_nothing_overrides_it(running, workspace, clock, path):
    put_up(running, served("ours"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    edited = {"served_entities": [served("ours", max_provisioned_throughput=1960)]}
    running.workspace.rival("chat", "edit", edited)
    with pytest.raises(
        Refused, match=r"stale: its config_version is 2, and the plan was made at 1 .*980 → 1960"
    ):
        require_current(plan, workspace.get("chat"), clock.time())
    with pytest.raises(Refused, match=r"stale"):
        apply(workspace, clock, plan, path)
    assert writes(running) == []


def test_an_equal_version_with_another_content_is_stale(running, workspace, clock):
    put_up(running, served("ours"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    live = workspace.get("chat")
    live["config"]["served_entities"][0]["max_provisioned_throughput"] = 1960
    with pytest.raises(Refused, match=r"stale: its configuration changed"):
        require_current(plan, live, clock.time())


def test_an_endpoint_of_the_same_name_and_content_is_another_one(running, workspace, clock, path):
    put_up(running, served("ours"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    running.workspace.rival("chat", "recreate", {"served_entities": [served("ours")]})
    with pytest.raises(Refused, match=r"stale: the endpoint was deleted and created anew"):
        apply(workspace, clock, plan, path)


def test_an_expired_plan_is_refused(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2), valid_s=60)
    clock.sleep(60)
    with pytest.raises(Refused, match=r"expired at .*; nothing was sent; plan again"):
        apply(workspace, clock, plan, path)
    assert writes(running) == []


def test_a_clock_that_was_set_back_gives_a_plan_no_second_life(running, workspace, clock, path):
    clock.sleep(3 * 24 * 3600)
    plan = plan_of(workspace, clock, chunks(1, 2))
    clock.clock.now_s -= 2 * 24 * 3600
    with pytest.raises(Refused, match=r"which by the clock of this machine is to come"):
        apply(workspace, clock, plan, path)
    assert writes(running) == []


SPOILT = {
    "method": lambda plan: plan["request"].update(method="DELETE"),
    "path": lambda plan: plan["request"].update(path="/api/2.0/serving-endpoints/other/config"),
    "body": lambda plan: plan["request"]["body"]["served_entities"][0].update(
        max_provisioned_throughput=98000
    ),
    "entities": lambda plan: plan["request"]["body"]["served_entities"].pop(),
    "diff": lambda plan: plan["diff"].pop(),
    "shown": lambda plan: plan["diff"][0].update(after=1),
    "endpoint": lambda plan: plan.update(endpoint="other"),
    "after": lambda plan: plan.update(after=None),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("kind", ["plan", "receipt"])
def test_a_plan_whose_checksum_was_made_anew_must_still_send_what_it_shows(
    spoil, kind, running, workspace, clock, tmp_path
):
    put_up(running, served("ours"))
    plan = json.loads(files.to_json(plan_of(workspace, clock, chunks(2, 3))))
    del plan["sha256"]
    spoil(plan)
    plan = {**plan, "sha256": files.checksum(plan)}
    data = plan if kind == "plan" else receipts.begun(plan, version="0")
    data = {key: value for key, value in data.items() if key != "sha256"}
    files.write(tmp_path / "x.json", files.to_json({**data, "sha256": files.checksum(data)}))
    with pytest.raises(InputError, match=r"contradicts itself|has no usable"):
        (plans if kind == "plan" else receipts).read(tmp_path / "x.json")


def test_a_plan_for_another_host_is_refused(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    plan |= {"host": "https://elsewhere.example"}
    with pytest.raises(Refused, match=r"for https://elsewhere\.example, and this is"):
        apply(workspace, clock, plan, path)


def test_a_plan_changed_by_hand_is_refused(workspace, clock, tmp_path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    plan["request"]["body"]["config"]["served_entities"][0]["max_provisioned_throughput"] = 98000
    files.write(tmp_path / "plan.json", files.to_json(plan))
    with pytest.raises(InputError, match=r"changed after it was written"):
        plans.read(tmp_path / "plan.json")


def test_an_update_in_progress_blocks(running, workspace, clock, path):
    put_up(running, served("ours"))
    running.workspace.rival("chat", "edit", {"served_entities": [served("ours")]}, finished=False)
    plan = plan_of(workspace, clock, chunks(2, 3))
    assert plan["action"] == "blocked"
    assert plan["request"] is None
    with pytest.raises(Refused, match=r"blocked: an update is in progress"):
        require_current(plan, workspace.get("chat"), clock.time())


def test_a_tripped_rule_is_named_and_can_be_forced(workspace, clock):
    plan = plan_of(workspace, clock, chunks(0, 2))
    with pytest.raises(Refused, match=r"min-to-zero: the minimum is 0"):
        require_safe(plan, force=False)
    require_safe(plan, force=True)


# --- who came between -----------------------------------------------------------------------


def test_an_edit_between_the_last_look_and_the_request_is_named(running, workspace, clock, path):
    put_up(running, served("ours"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    theirs = {"served_entities": [served("ours", max_provisioned_throughput=9800)]}
    running.fault(
        "rival",
        "before",
        method="PUT",
        times=1,
        edit={"name": "chat", "action": "edit", "config": theirs},
    )
    with pytest.raises(
        Refused,
        match=r"somebody else's edit came between .*its config_version is 3, and 2 was expected",
    ):
        apply(workspace, clock, plan, path)
    done = receipts.read(path)
    assert (done["state"], done["conflict"]["kind"]) == ("failed", "overwritten")
    assert done["conflict"]["recoverable"] == {
        "before": True,
        "planned": True,
        "edit_between": False,
    }
    # And the way back that it names works.
    back = plan_rollback(done, workspace.get("chat"), terms(workspace, clock))
    assert apply(workspace, clock, back, path.with_name("back.json"))["state"] == "applied"
    assert images.differences(done["before"]["config"], workspace.get("chat")["config"]) == []


def test_an_edit_after_the_update_is_named_with_what_it_changed(running, workspace, clock, path):
    put_up(running, served("ours"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    running.workspace.timings = Timings(create_s=0, update_s=0)
    theirs = {"served_entities": [served("ours", max_provisioned_throughput=9800)]}
    running.fault(
        "rival",
        "before",
        method="GET",
        path="/chat",
        skip=1,
        times=1,
        edit={"name": "chat", "action": "edit", "config": theirs},
    )
    with pytest.raises(
        Refused,
        match=r"does not read back as planned: .*2940 → 9800.*somebody else changed it since",
    ):
        apply(workspace, clock, plan, path)
    done = receipts.read(path)
    assert done["conflict"]["kind"] == "edited"
    # Going back would undo the other's edit too, which is a rule of its own.
    back = plan_rollback(done, workspace.get("chat"), terms(workspace, clock))
    assert "foreign-edit" in {one["rule"] for one in back["safety"]}
    running.workspace.timings = Timings(create_s=30, update_s=20, capacity_s=40)


def test_an_endpoint_that_is_deleted_while_it_is_waited_for_is_not_created_again(
    running, workspace, clock, path
):
    plan = plan_of(workspace, clock, chunks(1, 2))
    running.fault(
        "rival",
        "before",
        method="GET",
        path="/chat",
        skip=2,
        times=1,
        edit={"name": "chat", "action": "delete"},
    )
    with pytest.raises(Refused, match=r"somebody deleted the endpoint while it was waited for"):
        apply(workspace, clock, plan, path)
    assert writes(running) == [("POST", "/api/2.0/serving-endpoints")]


# --- what takes too long, or fails ----------------------------------------------------------


def test_a_time_out_deletes_nothing_names_the_state_and_can_be_resumed(
    running, workspace, clock, path
):
    plan = plan_of(workspace, clock, chunks(1, 2))
    with pytest.raises(WorkspaceError) as error:
        apply(workspace, clock, plan, path, timeout_s=10)
    text = str(error.value)
    assert (
        "chat is not ready after 10 s: not ready, updating: Creating resources for served entity"
        in text
    )
    assert "nothing was deleted" in text
    assert "contact your Databricks account team" in text
    assert text.endswith(f"to wait on: ptplan apply {path}")
    assert receipts.read(path)["state"] == "in_progress"
    clock.sleep(24 * 3600 * 2)  # Past the plan's end: what was sent in time may be waited for.
    assert resume(workspace, clock, path)["state"] == "applied"
    assert writes(running) == [("POST", "/api/2.0/serving-endpoints")]


def test_a_shortage_of_capacity_leaves_the_old_configuration_and_can_be_tried_again(
    running, workspace, clock, path
):
    put_up(running, served("ours"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    running.workspace.next_endings = ["capacity"]
    with pytest.raises(
        WorkspaceError,
        match=r"not enough GPU capacity.*configuration from before still serves, nothing was deleted",
    ):
        apply(workspace, clock, plan, path)
    assert receipts.read(path)["state"] == "failed"
    assert resume(workspace, clock, path)["state"] == "applied"


def test_a_create_without_capacity_is_left_as_it_is(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    running.workspace.next_endings = ["capacity"]
    with pytest.raises(
        WorkspaceError, match=r"creating chat failed.*the endpoint exists and serves nothing"
    ):
        apply(workspace, clock, plan, path)
    with pytest.raises(WorkspaceError, match=r"creating chat failed"):
        resume(workspace, clock, path)
    assert len(writes(running)) == 1


def test_a_refusal_of_the_workspace_is_told_and_ends_it(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    running.workspace.permission = "CAN_VIEW"
    try:
        with pytest.raises(WorkspaceError, match=r"not permitted .*CAN_MANAGE"):
            apply(workspace, clock, plan, path)
    finally:
        running.workspace.permission = "CAN_MANAGE"
    assert receipts.read(path)["state"] == "failed"
    assert resume(workspace, clock, path)["state"] == "applied"


# --- going back, and looking later ----------------------------------------------------------


def test_rolling_back_restores_the_configuration_from_before(running, workspace, clock, path):
    put_up(running, served("ours", kept=1), served("theirs", OTHER_MODEL))
    before = workspace.get("chat")
    done = apply(workspace, clock, plan_of(workspace, clock, chunks(2, 3)), path)
    back = plan_rollback(done, workspace.get("chat"), terms(workspace, clock))
    undone = apply(workspace, clock, back, path.with_name("back.json"))
    assert images.sendable(workspace.get("chat")["config"]) == images.sendable(before["config"])
    # And forth again, by rolling back the rollback.
    forth = plan_rollback(undone, workspace.get("chat"), terms(workspace, clock))
    apply(workspace, clock, forth, path.with_name("forth.json"))
    assert images.differences(done["readback"]["config"], workspace.get("chat")["config"]) == []


def test_rolling_back_a_create_is_refused_with_the_command_and_the_cost(
    running, workspace, clock, path
):
    done = apply(workspace, clock, plan_of(workspace, clock, chunks(1, 2)), path)
    with pytest.raises(Refused) as error:
        plan_rollback(done, workspace.get("chat"), terms(workspace, clock))
    text = str(error.value)
    assert "databricks serving-endpoints delete chat" in text
    assert "USD 7.00 an hour at its minimum and USD 14.00 at its maximum" in text
    assert running.exchanges("DELETE") == []


def test_rolling_back_model_units_needs_to_know_what_burst_was(running, workspace, clock, path):
    put_up(running, served("ours", UNITS_MODEL))
    done = apply(workspace, clock, plan_of(workspace, clock, units(2), burst={"": False}), path)
    with pytest.raises(Refused, match=r"whether ours could burst before is not known"):
        plan_rollback(done, workspace.get("chat"), terms(workspace, clock))
    back = plan_rollback(done, workspace.get("chat"), terms(workspace, clock, burst={"": True}))
    apply(workspace, clock, back, path.with_name("back.json"))
    assert running.workspace.burst_flags("chat") == {"ours": True}


def test_drift_names_what_changed_and_nothing_else(running, workspace, clock, path):
    put_up(running, served("ours"))
    done = apply(workspace, clock, plan_of(workspace, clock, chunks(2, 3)), path)
    assert not drift(done, workspace.get("chat")).drifted
    edited = images.sendable(workspace.get("chat")["config"])
    edited["served_entities"][0]["max_provisioned_throughput"] = 9800
    running.workspace.rival("chat", "edit", edited)
    found = drift(done, workspace.get("chat"))
    assert [tuple(one) for one in found.differences] == [
        ("served_entities[ours].max_provisioned_throughput", 2940, 9800)
    ]
    assert drift(done, None).drifted


# --- the receipt ----------------------------------------------------------------------------


def test_the_audit_file_only_grows(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))
    apply(workspace, clock, plan, path)
    first = (path.parent / "audit.jsonl").read_text()
    resume(workspace, clock, path)
    second = (path.parent / "audit.jsonl").read_text()
    assert second.startswith(first)
    lines = [json.loads(line) for line in second.splitlines()]
    assert [line["state"] for line in lines] == ["applied", "applied"]
    assert {line["plan_sha256"] for line in lines} == {plan["sha256"]}


def test_a_receipt_that_may_be_wanted_is_moved_aside_and_one_in_progress_is_not(
    running, workspace, clock, path
):
    apply(workspace, clock, plan_of(workspace, clock, chunks(1, 2)), path)
    aside = make_room(path, "other")
    assert aside is not None
    assert receipts.read(aside)["state"] == "applied"
    running.forget()
    with pytest.raises(WorkspaceError):
        apply(workspace, clock, plan_of(workspace, clock, chunks(1, 2)), path, timeout_s=5)
    with pytest.raises(InputError, match=r"not finished; resume it"):
        make_room(path, "other")


class Meanwhile(Waiting):
    """A clock on which something else is done while the first apply waits."""

    def __init__(self, clock: Clock, what: Any) -> None:
        super().__init__(clock)
        self.what = what

    def sleep(self, seconds: float) -> None:
        what, self.what = self.what, lambda: None
        what()
        super().sleep(seconds)


def test_a_receipt_is_carried_out_by_one_at_a_time(running, workspace, clock, path):
    plan = plan_of(workspace, clock, chunks(1, 2))

    def again() -> None:
        for by in (
            lambda: apply(workspace, clock, plan, path),
            lambda: resume(workspace, clock, path),
        ):
            with pytest.raises(
                Refused, match=r"being carried out by another ptplan; nothing was sent by this"
            ):
                by()

    done = apply(workspace, Meanwhile(running.clock, again), plan, path)
    assert done == receipts.read(path)
    assert done["state"] == "applied"
    assert len(writes(running)) == 1


def test_what_another_wrote_after_a_receipt_was_read_is_taken_up(running, workspace, clock, path):
    """Two began at once; the second finds the receipt as the first left it, and sends nothing."""
    plan = plan_of(workspace, clock, chunks(1, 2))
    late = Journal(path, receipts.begun(plan, version="0.0.0"), clock, verb="apply")
    first = apply(workspace, clock, plan, path)
    second = carry_out(workspace, late, clock=clock)
    assert second["steps"][: len(first["steps"])] == first["steps"]
    assert second["steps"][-1]["result"] == "already applied; nothing to do"
    assert len(writes(running)) == 1


def test_the_unfinished_receipt_of_another_plan_is_not_written_over(
    running, workspace, clock, path
):
    other = Journal(
        path,
        receipts.begun(plan_of(workspace, clock, chunks(2, 3)), version="0.0.0"),
        clock,
        verb="apply",
    )
    with pytest.raises(WorkspaceError):
        apply(workspace, clock, plan_of(workspace, clock, chunks(1, 2)), path, timeout_s=5)
    kept = path.read_bytes()
    with pytest.raises(InputError, match=r"not finished; resume it"):
        carry_out(workspace, other, clock=clock)
    assert path.read_bytes() == kept
    assert len(writes(running)) == 1


def test_the_entity_that_is_meant_can_be_said(running, workspace, clock):
    put_up(running, served("a"), served("b"))
    plan = plan_of(workspace, clock, chunks(2, 3))
    assert plan["action"] == "blocked"
    assert (
        f"it serves {TOKENS_MODEL} 2 times: a ({TOKENS_MODEL}), b ({TOKENS_MODEL})"
        in plan["blocked"][0]
    )
    plan = plan_of(workspace, clock, chunks(2, 3), entity="b")
    assert {one["path"].partition(".")[0] for one in plan["diff"]} == {"served_entities[b]"}
