"""Plan, apply, resume, verify and roll back in any order, against a rival and every fault at every step.

Over real sockets: databricks-sdk below `ptplan`, the sandbox in a thread, time that passes when somebody waits.
Whatever happens, what the workspace was sent is what was reviewed, nobody's edit is lost unless that is said,
nothing is deleted, and every run ends in a receipt or in one line.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from rehearsal import (
    OTHER_MODEL,
    SALE,
    TOKENS_MODEL,
    UNITS_MODEL,
    Waiting,
    chunks,
    connect,
    plan_of,
    served,
    split,
    terms,
    units,
)
from workspace import Clock, Running, Timings, running_workspace

from planner.endpoint import images, receipts
from planner.endpoint.client import Workspace
from planner.endpoint.drift import drift
from planner.endpoint.receipts import Journal
from planner.endpoint.rollback import plan_rollback
from planner.endpoint.rollout import carry_out
from planner.endpoint.sandbox.endpoints import settled
from simulations.errors import InputError, PtplanError, Refused, WorkspaceError

NAME = "chat"
TIMINGS = Timings(create_s=4.0, update_s=3.0, capacity_s=5.0)


class Killed(BaseException):
    """The process ends here: nothing after it runs, what is on disk stays."""


class Deadly(Journal):
    """A journal of a process that ends right after, or right before, one of its writes."""

    left = 0
    before = False

    def write(self) -> None:
        self.left -= 1
        if self.left == 0 and self.before:
            raise Killed
        super().write()
        if self.left == 0:
            raise Killed


@pytest.fixture(scope="module", autouse=True)
def sandbox() -> Iterator[None]:
    clock = Clock()
    with running_workspace(timings=TIMINGS, clock=clock, models=SALE) as running:
        Machine.running = running
        Machine.wait = Waiting(clock)
        Machine.workspace = connect(running)
        yield


writes = st.sampled_from(["PUT", "POST"])
moments = st.sampled_from(["before", "after"])
broken = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["drop", "reset", "truncate", "html", "huge", "status"]),
        "moment": moments,
        "method": writes | st.just("GET"),
        "times": st.integers(1, 3),
        "skip": st.integers(0, 3),
        "status": st.sampled_from([200, 400, 403, 404, 409, 429, 500, 502, 503]),
        "retry_after": st.sampled_from(["", "2", "40"]),
    }
)
between = st.fixed_dictionaries(
    {
        "kind": st.just("rival"),
        "action": st.sampled_from(["edit", "edit", "same", "delete", "recreate"]),
        "moment": moments,
        "method": writes | st.just("GET"),
        "skip": st.integers(0, 3),
        "finished": st.sampled_from([True, True, False]),
    }
)
window = st.fixed_dictionaries(
    {
        "kind": st.just("rival"),
        "action": st.sampled_from(["edit", "same"]),
        "moment": st.just("before"),
        "method": st.just("PUT"),
        "skip": st.just(0),
        "finished": st.just(True),
    }
)
endings = st.fixed_dictionaries(
    {"kind": st.just("ending"), "ending": st.sampled_from(["capacity", "hang"])}
)
troubles = st.lists(broken | window | between | endings, max_size=3)
deaths = st.none() | st.tuples(st.integers(1, 9), st.booleans())


OURS = {"min_provisioned_throughput", "max_provisioned_throughput", "provisioned_model_units"}


def foreign(config: dict[str, Any]) -> str:
    """Return all of a configuration that is not ptplan's to change, as the bytes that travel."""
    entities = [
        {
            key: value
            for key, value in entity.items()
            if entity["name"] != "ours" or key not in OURS | {images.BURST}
        }
        for entity in config["served_entities"]
    ]
    return json.dumps({**config, "served_entities": entities})


def require_one_line(error: Exception) -> None:
    """Every failure is one line that can be printed, and no novel."""
    assert str(error).isprintable()
    assert 20 < len(str(error)) < 4000


class Machine(RuleBasedStateMachine):
    """One endpoint, its owner with ptplan, and a rival."""

    running: Running
    wait: Waiting
    workspace: Workspace

    def __init__(self) -> None:
        super().__init__()
        self.running.forget()
        self.folder = tempfile.TemporaryDirectory()
        self.n_receipts = 0
        self.sent_by_rival: list[dict[str, Any]] = []
        self.images: dict[str, dict[str, Any] | None] = {}
        self.n_judged = 0
        self.plan: dict[str, Any] | None = None
        self.receipt: Path | None = None
        self.reviewed: list[Any] = []
        self.n_rival_deletes = 0
        self.lost_is_told = False
        self.family = TOKENS_MODEL

    def teardown(self) -> None:
        self.folder.cleanup()

    # ---------------------------------------------------------------------------- the world

    @initialize(family=st.sampled_from([TOKENS_MODEL, UNITS_MODEL]), exists=st.booleans())
    def begin(self, family: str, exists: bool) -> None:
        self.family = family
        if exists:
            self.rival_creates()

    def rival_config(self) -> dict[str, Any]:
        """What a rival sends: an entity of his own beside ours, and fields that nobody here has heard of."""
        mark = len(self.sent_by_rival)
        note = {"é": [mark, 0.1, {"deep": True}], "b": "", "a": {}}
        entities = [served("ours", self.family, note_of_rival=note)]
        names = ["ours"]
        if self.family == TOKENS_MODEL:
            theirs = served("theirs", OTHER_MODEL, environment_vars={"A": str(mark)}, x_new=note)
            entities.append(theirs)
            names.append("theirs")
        config = {
            "served_entities": entities,
            "traffic_config": split(*names),
            "mark_of_rival": mark,
        }
        self.sent_by_rival.append(deepcopy(config))
        return config

    @property
    def held(self) -> Any:
        """What the workspace holds by now, looked at from inside."""
        endpoint = self.running.workspace._endpoints.get(NAME)
        return None if endpoint is None else settled(endpoint, self.running.workspace.now_s())

    def rival_creates(self) -> None:
        self.running.workspace.create({"name": NAME, "config": self.rival_config()})
        self.wait.sleep(10)

    def rival_acts(self, what: str, finished: bool) -> None:
        """Let a rival do something to the endpoint that is there; `same` leaves every value as it was."""
        workspace, held = self.running.workspace, self.held
        if held is None:
            return
        config = deepcopy(held.config)
        if what in ("delete", "recreate", "recreate same"):
            again = config if what == "recreate same" and config else self.rival_config()
            action, edit = what.partition(" ")[0], None if what == "delete" else again
            self.n_rival_deletes += 1
            workspace.rival(NAME, action, edit, finished=finished)
        elif held.config_update != "IN_PROGRESS" and config:
            edit = config if what == "same" else self.rival_config()
            workspace.rival(NAME, "edit", edit, finished=finished)

    @rule(
        what=st.sampled_from(
            ["edit", "same", "delete", "recreate", "recreate same", "create", "create", "wait"]
        ),
        finished=st.booleans(),
        hours=st.sampled_from([0.002, 0.1, 25.0]),
    )
    def the_world_goes_on(self, what: str, finished: bool, hours: float) -> None:
        if what == "wait":
            self.wait.sleep(hours * 3600)
        elif what == "create" and self.held is None:
            self.rival_creates()
        else:
            self.rival_acts(what, finished)

    def let_go_wrong(self, troubles: list[dict[str, Any]]) -> None:
        """Put trouble in the way of the requests to come."""
        self.running.clear_faults()
        self.running.workspace.next_endings.clear()
        for trouble in troubles:
            given = dict(trouble)
            kind = given.pop("kind")
            if kind == "ending":
                self.running.workspace.next_endings = [given["ending"]]
            elif kind == "rival":
                action, finished = given.pop("action"), given.pop("finished")
                same = action == "same" and self.held is not None and self.held.config
                action = "edit" if action == "same" else action
                edit: dict[str, Any] = {"name": NAME, "action": action, "finished": finished}
                if action != "delete":
                    edit["config"] = deepcopy(same) if same else self.rival_config()
                if action != "edit":
                    self.n_rival_deletes += 1
                self.running.fault("rival", times=1, edit=edit, **given)
            else:
                self.running.fault(kind, **given)

    # ---------------------------------------------------------------------------- ptplan

    def capacity_of(self, low: int, high: int) -> Any:
        return chunks(low, low + high) if self.family == TOKENS_MODEL else units(max(low, 1))

    @rule(
        low=st.integers(0, 3),
        more=st.integers(1, 3),
        burst=st.booleans(),
        clear=st.sampled_from([True, True, True, False]),
    )
    def plan_it(self, low: int, more: int, burst: bool, clear: bool) -> None:
        if clear:
            self.let_go_wrong([])
        said = {"": burst} if self.family == UNITS_MODEL else {}
        try:
            self.plan = plan_of(self.workspace, self.wait, self.capacity_of(low, more), burst=said)
        except (InputError, WorkspaceError) as error:
            require_one_line(error)
            return
        if self.plan["action"] == "blocked":
            assert self.plan["blocked"]
            assert self.plan["request"] is None

    @rule(
        low=st.integers(0, 3),
        more=st.integers(1, 3),
        burst=st.booleans(),
        given=troubles,
        dies_at=deaths,
    )
    def plan_and_apply(
        self,
        low: int,
        more: int,
        burst: bool,
        given: list[dict[str, Any]],
        dies_at: tuple[int, bool] | None,
    ) -> None:
        self.plan_it(low, more, burst, True)
        if self.plan is not None:
            self.apply_it(given, dies_at)

    @rule(
        low=st.integers(0, 3),
        more=st.integers(1, 3),
        burst=st.booleans(),
        what=st.sampled_from(["same", "same", "edit", "recreate same"]),
    )
    def plan_and_apply_too_late(self, low: int, more: int, burst: bool, what: str) -> None:
        """Somebody was there between the review and the apply, and what he left may look the same."""
        if self.held is None:
            self.rival_creates()
        self.wait.sleep(10)
        self.plan_it(low, more, burst, True)
        self.rival_acts(what, True)
        if self.plan is not None:
            self.apply_it([], None)

    @precondition(lambda self: self.plan is not None)
    @rule(given=troubles, dies_at=deaths)
    def apply_it(self, given: list[dict[str, Any]], dies_at: tuple[int, bool] | None) -> None:
        self.let_go_wrong(given)
        plan = self.plan
        assert plan is not None
        self.n_receipts += 1
        self.receipt = Path(self.folder.name, f"receipt-{self.n_receipts}.json")
        self.carry_out(receipts.begun(plan, version="0"), dies_at)

    @precondition(lambda self: self.receipt is not None and self.receipt.exists())
    @rule(given=troubles, dies_at=deaths)
    def resume_it(self, given: list[dict[str, Any]], dies_at: tuple[int, bool] | None) -> None:
        self.let_go_wrong(given)
        assert self.receipt is not None
        self.carry_out(receipts.read(self.receipt), dies_at)

    @precondition(lambda self: self.receipt is not None and self.receipt.exists())
    @rule(burst=st.booleans(), forced=st.booleans(), given=troubles)
    def roll_back(self, burst: bool, forced: bool, given: list[dict[str, Any]]) -> None:
        self.let_go_wrong([])
        assert self.receipt is not None
        receipt = receipts.read(self.receipt)
        said = {"": burst} if self.family == UNITS_MODEL else {}
        try:
            live = self.workspace.get(NAME)
            plan = plan_rollback(receipt, live, terms(self.workspace, self.wait, burst=said))
        except PtplanError as error:
            require_one_line(error)
            return
        assert receipt["plan"]["action"] != "create"
        rules = {one["rule"] for one in plan["safety"]}
        if "foreign-edit" in rules and not forced:
            return
        if "foreign-edit" in rules:
            self.lost_is_told = True
        self.let_go_wrong(given)
        self.n_receipts += 1
        self.receipt = Path(self.folder.name, f"receipt-{self.n_receipts}.json")
        self.carry_out(receipts.begun(plan, version="0"), None, receipt["before"])

    @precondition(lambda self: self.receipt is not None and self.receipt.exists())
    @rule()
    def verify_it(self) -> None:
        assert self.receipt is not None
        receipt = receipts.read(self.receipt)
        try:
            live = self.workspace.get(NAME)
            found = drift(receipt, live)
        except PtplanError as error:
            require_one_line(error)
            return
        assert receipt["state"] == "applied"
        same = (
            live is not None
            and live["id"] == receipt["readback"]["id"]
            and images.fingerprint(live) == images.fingerprint(receipt["readback"])
        )
        if not found.drifted:
            assert same
        elif same:
            assert live is not None
            assert live["state"]["config_update"] == "IN_PROGRESS"

    def carry_out(
        self,
        data: dict[str, Any],
        dies_at: tuple[int, bool] | None,
        image: dict[str, Any] | None = None,
    ) -> None:
        """Run the steps, and judge how they ended."""
        try:
            self.run_steps(data, dies_at, image)
        finally:
            self.require_foreign_fields_in(self.writes()[self.n_judged :], data["plan"])
            self.n_judged = len(self.writes())

    def require_foreign_fields_in(self, sent: list[Any], plan: dict[str, Any]) -> None:
        """Whatever became of a replacement, it took along what the rival had sent, byte for byte."""
        for exchange in sent:
            if exchange.method == "PUT":
                config = images.active_config(self.images[plan["sha256"]])
                theirs = config.get("mark_of_rival")
                if theirs is not None:
                    body = exchange.body.get("config", exchange.body)
                    assert foreign(body) == foreign(self.sent_by_rival[theirs])

    def run_steps(
        self,
        data: dict[str, Any],
        dies_at: tuple[int, bool] | None,
        image: dict[str, Any] | None,
    ) -> None:
        assert self.receipt is not None
        plan = data["plan"]
        if plan["request"] is not None:
            self.reviewed.append(
                (plan["request"]["method"], plan["request"]["path"], plan["request"]["body"])
            )
        # Which image the request is made of: what was there, or for a return what was there before that.
        image = self.images.setdefault(plan["sha256"], image or plan["before"])
        journal = Deadly(self.receipt, data, self.wait, verb="apply")
        if dies_at is not None:
            journal.left, journal.before = dies_at
        n_before = len(self.writes())
        moved = data["phase"] == receipts.NEW and self.moved_since(plan)
        told = False
        try:
            done = carry_out(self.workspace, journal, clock=self.wait, timeout_s=120)
        except Killed:
            assert not moved or len(self.writes()) == n_before
            return
        except (Refused, WorkspaceError) as error:
            told = True
            require_one_line(error)
            done = receipts.read(self.receipt)
        assert not moved or len(self.writes()) == n_before
        assert done == receipts.read(self.receipt)
        assert done["state"] in ("applied", "in_progress", "failed")
        if data["state"] == "applied":
            assert len(self.writes()) == n_before
            return
        if done["state"] == "applied":
            assert not told
            config = images.active_config(done["readback"])
            if plan["action"] == "create":
                assert images.unmet(plan["after"], config) == []
            else:
                assert images.differences(plan["after"], config) == []
        else:
            assert told
        if done["conflict"]:
            self.lost_is_told = True

    def moved_since(self, plan: dict[str, Any]) -> bool:
        """Whether an endpoint is for good another than a plan was made for, so that nothing may be sent.

        Where there was none, a rival's deletion on the way makes a plan to create one current again.
        """
        if plan["before"] is None:
            return False
        if self.held is None:
            return True
        live = self.running.workspace.get(NAME)
        return (
            live["id"] != plan["before"]["id"]
            or images.version_of(images.active_config(live)) != plan["config_version"]
        )

    # ---------------------------------------------------------------------------- what must hold

    def writes(self) -> list[Any]:
        return [
            e for e in self.running.exchanges() if e.method in ("POST", "PUT", "PATCH", "DELETE")
        ]

    @invariant()
    def nothing_is_sent_that_was_not_reviewed(self) -> None:
        for exchange in self.writes():
            assert (exchange.method, exchange.path, exchange.body) in self.reviewed

    @invariant()
    def nobody_writes_twice_without_a_look(self) -> None:
        methods = [exchange.method for exchange in self.running.exchanges()]
        assert ("PUT", "PUT") not in pairwise(methods)
        assert ("POST", "POST") not in pairwise(methods)

    @invariant()
    def nothing_is_ever_deleted(self) -> None:
        assert self.running.exchanges("DELETE") == []

    @invariant()
    def no_second_create_happens(self) -> None:
        created = [e for e in self.running.exchanges("POST") if e.handler_status == 200]
        assert len(created) <= 1 + self.n_rival_deletes

    @invariant()
    def burst_is_always_said(self) -> None:
        for exchange in self.writes():
            config = exchange.body.get("config", exchange.body)
            for entity in config["served_entities"]:
                if "provisioned_model_units" in entity:
                    assert isinstance(entity["burst_scaling_enabled"], bool)

    @invariant()
    def no_edit_of_the_rival_is_lost_in_silence(self) -> None:
        """What serves carries the rival's last mark, or it was said that it does not."""
        endpoint = self.held
        if endpoint is None or endpoint.config is None or self.receipt is None:
            return
        if self.lost_is_told or not self.receipt.exists():
            return
        done = receipts.read(self.receipt)
        if done["state"] != "applied" or done["plan"]["action"] != "update" or not done["sends"]:
            return
        before = images.active_config(done["plan"]["before"])
        readback = images.active_config(done["readback"])
        assert readback.get("mark_of_rival") == done["plan"]["after"].get("mark_of_rival")
        if (done["plan"]["source"] or {}).get("kind") != "rollback":
            assert readback.get("mark_of_rival") == before.get("mark_of_rival")
        # One step of the count between the before-image and what was read back: nobody came between.
        assert images.version_of(readback) == done["plan"]["config_version"] + 1


def run(n_runs: int) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=n_runs,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_order_of_doings_faults_and_rivals_is_safe():
    run(100)


@pytest.mark.slow
def test_any_order_of_doings_faults_and_rivals_is_safe_a_thousand_times():
    run(int(os.environ.get("PTPLAN_RUNS", "1000")))
