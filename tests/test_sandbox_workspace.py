"""The workspace of the sandbox without sockets: what it refuses, and its update state machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)
from workspace import Clock

from planner.catalogue import models
from planner.endpoint.request import create_request
from planner.endpoint.sandbox import bodies
from planner.endpoint.sandbox.bodies import INT64, MAX_ENTITIES
from planner.endpoint.sandbox.endpoints import NO_CAPACITY, Endpoint, settled
from planner.endpoint.sandbox.offerings import SAMPLE_MODEL, Offerings, parse_offering
from planner.endpoint.sandbox.refusals import Refusal
from planner.endpoint.sandbox.store import SqliteStore
from planner.endpoint.sandbox.workspace import Timings, Workspace
from simulations.capacity import ModelUnits, TokenChunks
from simulations.errors import InputError

OWN, UNITS, CHUNK, STEP = "ml.own.model", "ml.own.units", 980, 50
SOLD = Offerings([f"{OWN}={CHUNK}", f"{UNITS}={STEP}units", "ml.own.base=none"])


def new(clock: Clock | None = None, **given: Any) -> Workspace:
    return Workspace(clock=clock or Clock(), **{"offerings": SOLD, **given})


def tokens(low: int, high: int, **given: Any) -> dict[str, Any]:
    """Return a configuration in chunks of OWN."""
    entity = {
        "entity_name": OWN,
        "entity_version": "1",
        "min_provisioned_throughput": low,
        "max_provisioned_throughput": high,
    }
    return {"served_entities": [{**entity, **given}]}


def units(n: int, **given: Any) -> dict[str, Any]:
    entity = {"entity_name": UNITS, "entity_version": "1", "provisioned_model_units": n}
    return {"served_entities": [{**entity, **given}]}


def created(config: dict[str, Any] | None = None, **given: Any) -> tuple[Workspace, Clock]:
    """Return a workspace in which `chat` serves, and its clock."""
    clock = Clock()
    workspace = new(clock, **given)
    workspace.create({"name": "chat", "config": config or tokens(CHUNK, 2 * CHUNK)})
    clock.advance(workspace.timings.create_s)
    return workspace, clock


def refusal_of(call: Any, *given: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*given)
    return caught.value


def state_of(workspace: Workspace, name: str = "chat") -> tuple[str, str, int, int]:
    """Return ready, config_update, and the versions that serve and that are brought; 0 for none."""
    told = workspace.get(name)
    versions = [told.get(key, {}).get("config_version", 0) for key in ("config", "pending_config")]
    return told["state"]["ready"], told["state"]["config_update"], versions[0], versions[1]


# Chunks and steps


@given(
    chunk=st.integers(1, 50_000), low=st.integers(0, 20), more=st.integers(0, 20), data=st.data()
)
def test_every_aligned_range_is_taken_and_every_other_refused(chunk, low, more, data):
    workspace = new(offerings=Offerings([f"{OWN}={chunk}"]), timings=Timings(0, 0, 0))
    high = max(1, low + more)
    aligned = create_request(
        TokenChunks(chunk, low, high), endpoint="chat", entity_name=OWN, entity_version=1
    ).body
    workspace.create(aligned)
    workspace.update("chat", aligned["config"])
    key = data.draw(st.sampled_from(["min_provisioned_throughput", "max_provisioned_throughput"]))
    off = data.draw(st.integers(0, 40 * chunk).filter(lambda n: n % chunk)) if chunk > 1 else None
    if off is None:
        return
    entity = {**aligned["config"]["served_entities"][0], key: off}
    wrong = {"served_entities": [entity]}
    for refused in (
        refusal_of(workspace.create, {"name": "other", "config": wrong}),
        refusal_of(workspace.update, "chat", wrong),
    ):
        assert (refused.status, refused.error_code) == (400, "INVALID_PARAMETER_VALUE")
        assert f"{key} is {off}" in refused.message
        assert f"multiple of {chunk}" in refused.message


@given(
    step=st.integers(1, 500), n=st.integers(1, 20), off=st.integers(0, 5000), burst=st.booleans()
)
def test_every_whole_step_of_units_is_taken_and_every_other_refused(step, n, off, burst):
    workspace = new(offerings=Offerings([f"{UNITS}={step}units"]), timings=Timings(0, 0, 0))
    aligned = create_request(
        ModelUnits(step, n * step, 1000, burst=burst),
        endpoint="chat",
        entity_name=UNITS,
        entity_version=1,
    ).body
    workspace.create_pt(aligned)
    workspace.update_pt("chat", {"config": aligned["config"]})
    workspace.update("chat", aligned["config"])
    if off % step == 0 and off > 0:
        return
    wrong = units(off)
    for call, *given_ in (
        (workspace.create, {"name": "other", "config": wrong}),
        (workspace.create_pt, {"name": "other", "config": wrong}),
        (workspace.update, "chat", wrong),
        (workspace.update_pt, "chat", {"config": wrong}),
    ):
        refused = refusal_of(call, *given_)
        assert (refused.status, refused.error_code) == (400, "INVALID_PARAMETER_VALUE")
        assert f"provisioned_model_units is {off}" in refused.message


def test_every_model_of_the_catalogue_is_sold_by_its_kind():
    offerings = Offerings()
    for model in models().values():
        offering = offerings.find(model.name)
        assert offering is not None
        gone = model.retired or model.instruct or model.kind == "pay_per_token"
        assert offering.kind == ("not_eligible" if gone else model.kind)
        assert offering.optimization_info()["optimizable"] is not bool(gone)


def test_the_chunk_seen_on_a_version_is_that_versions_chunk():
    offerings, name = Offerings(), "system.ai.meta_llama_v3_1_8b_instruct"
    assert [offerings.find(name, version).size for version in ("2", "3", "9", None)] == [
        970,
        19_000,
        19_000,
        19_000,
    ]


@pytest.mark.parametrize(
    "text", ["", "a", "a=", "a=0", "a=-1", "a=x", "a=5nones", "a:0=5", "=5", "a b=5", "a=none5"]
)
def test_an_offering_that_does_not_read_is_refused(text):
    with pytest.raises(InputError, match="must be NAME"):
        parse_offering(text)


# What cannot be served


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (tokens(2 * CHUNK, CHUNK), "min_provisioned_throughput 1960 is above max_provisioned_throughput 980"),
        (tokens(0, 0), "max_provisioned_throughput must be a positive number"),
        (units(0), "must be a positive multiple of 50"),
        (tokens(0, CHUNK, entity_name=UNITS), f"{UNITS} is not eligible for Provisioned Throughput."),
        (units(50, entity_name=OWN), f"{OWN} is not eligible for Provisioned Throughput."),
        (tokens(0, CHUNK, entity_name="ml.own.base"), "ml.own.base is not eligible"),
        (tokens(0, CHUNK, entity_name="ml.no.such"), "Registered model ml.no.such version 1 does not exist"),
        (tokens(0, CHUNK, provisioned_model_units=50), "cannot be given together"),
        (tokens(0, CHUNK, entity_name=None), "has no entity_name"),
        (tokens(0, CHUNK, entity_version=None), "has no entity_version"),
        (tokens(0, CHUNK, entity_version="one"), "entity_version is 'one'"),
        (tokens(0, CHUNK, min_provisioned_throughput=-980), "min_provisioned_throughput"),
        (tokens(0, CHUNK, min_provisioned_throughput="980"), "min_provisioned_throughput"),
        (tokens(0, CHUNK, min_provisioned_throughput=True), "min_provisioned_throughput"),
        (tokens(0, CHUNK, min_provisioned_throughput=980.0), "min_provisioned_throughput"),
        (tokens(0, CHUNK, max_provisioned_throughput=INT64 + 1), "max_provisioned_throughput"),
        (tokens(0, CHUNK, external_model={"name": "m"}), "cannot be given together with external_model"),
        (tokens(0, CHUNK, name="no spaces"), "served_entities.0.name"),
        ({"served_entities": []}, "served_entities"),
        ({}, "served_entities"),
        ([], "valid dictionary"),
        ({"served_entities": [*tokens(0, CHUNK)["served_entities"] * 2]}, "must be unique"),
        (
            {"served_entities": [tokens(0, CHUNK, name=f"e{i}")["served_entities"][0] for i in range(MAX_ENTITIES + 1)]},
            "at most 15",
        ),
        (
            {"served_entities": [*tokens(0, CHUNK)["served_entities"], {"external_model": {"name": "m"}}]},
            "cannot serve external and provisioned models together",
        ),
        (
            {"served_entities": [tokens(0, CHUNK, name=name)["served_entities"][0] for name in "ab"]},
            "must divide the traffic of a, b",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_in_create_and_in_update(config, message):
    workspace, clock = created()
    before = workspace.get("chat")
    for refused in (
        refusal_of(workspace.create, {"name": "other", "config": config}),
        refusal_of(workspace.update, "chat", config),
    ):
        assert refused.status == 400
        assert message in refused.message
    clock.advance(1000)
    assert workspace.get("chat") == before
    assert len(workspace.list()["endpoints"]) == 1


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([("a", 50), ("b", 49)], "adds up to 99"),
        ([("a", 100), ("c", 0)], "names c, which is not among the served entities"),
        ([("a", 50), ("a", 50)], "two routes to one"),
        ([("a", 101), ("b", 0)], "traffic_percentage"),
    ],
)
def test_traffic_that_does_not_add_up_is_refused(routes, message):
    entities = [tokens(0, CHUNK, name=name)["served_entities"][0] for name in "ab"]
    traffic = {
        "routes": [
            {"served_model_name": name, "traffic_percentage": share} for name, share in routes
        ]
    }
    body = {"name": "x", "config": {"served_entities": entities, "traffic_config": traffic}}
    assert message in refusal_of(new().create, body).message


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 64, "databricks-own", "a/b", None, 5])
def test_a_name_that_no_endpoint_can_have_is_refused(name):
    assert refusal_of(new().create, {"name": name, "config": tokens(0, CHUNK)}).status == 400


def test_an_external_model_is_neither_added_nor_removed():
    workspace, _ = created()
    external = {"served_entities": [{"external_model": {"name": "m", "openai_config": {}}}]}
    assert "external model" in refusal_of(workspace.update, "chat", external).message
    workspace, _ = created(external)
    assert "external model" in refusal_of(workspace.update, "chat", tokens(0, CHUNK)).message


@pytest.mark.parametrize("permission", ["CAN_VIEW", "CAN_QUERY"])
def test_who_may_not_manage_may_only_look(permission):
    workspace, _ = created()
    workspace.permission = permission
    assert workspace.get("chat")["permission_level"] == permission
    for call, *given_ in (
        (workspace.create, {"name": "other", "config": tokens(0, CHUNK)}),
        (workspace.create_pt, {"name": "other", "config": units(50)}),
        (workspace.update, "chat", tokens(0, CHUNK)),
        (workspace.update_pt, "chat", {"config": units(50)}),
        (workspace.patch_tags, "chat", {}),
        (workspace.put_ai_gateway, "chat", {}),
        (workspace.put_rate_limits, "chat", {}),
        (workspace.delete, "chat"),
    ):
        refused = refusal_of(call, *given_)
        assert (refused.status, refused.error_code) == (403, "PERMISSION_DENIED")
    assert len(workspace.list()["endpoints"]) == 1


# The state machine


def test_a_create_serves_after_its_time():
    clock = Clock()
    workspace = new(clock, timings=Timings(create_s=20))
    told = workspace.create({"name": "chat", "config": tokens(0, CHUNK)})
    assert told["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS", "suspend": "NOT_SUSPENDED"}  # fmt: skip
    assert "config" not in told
    clock.advance(19.9)
    assert state_of(workspace) == ("NOT_READY", "IN_PROGRESS", 0, 1)
    clock.advance(0.1)
    assert state_of(workspace) == ("READY", "NOT_UPDATING", 1, 0)


def test_the_old_configuration_serves_until_the_update_has_ended():
    workspace, clock = created()
    workspace.update("chat", tokens(CHUNK, 3 * CHUNK))
    assert state_of(workspace) == ("READY", "IN_PROGRESS", 1, 2)
    told = workspace.get("chat")
    highs = [told[key]["served_entities"][0]["max_provisioned_throughput"] for key in ("config", "pending_config")]  # fmt: skip
    assert highs == [2 * CHUNK, 3 * CHUNK]
    refused = refusal_of(workspace.update, "chat", tokens(0, CHUNK))
    assert (refused.status, refused.error_code) == (409, "RESOURCE_CONFLICT")
    clock.advance(workspace.timings.update_s)
    assert state_of(workspace) == ("READY", "NOT_UPDATING", 2, 0)


def test_without_capacity_an_update_fails_and_the_old_configuration_stays():
    workspace, clock = created()
    workspace.next_endings = ["capacity"]
    workspace.update("chat", tokens(CHUNK, 3 * CHUNK))
    clock.advance(workspace.timings.capacity_s)
    assert state_of(workspace) == ("READY", "UPDATE_FAILED", 1, 2)
    entity = workspace.get("chat")["pending_config"]["served_entities"][0]
    assert entity["state"] == {"deployment": "DEPLOYMENT_FAILED", "deployment_state_message": NO_CAPACITY}  # fmt: skip
    workspace.update("chat", tokens(CHUNK, 3 * CHUNK))
    clock.advance(workspace.timings.update_s)
    assert state_of(workspace) == ("READY", "NOT_UPDATING", 2, 0)


def test_without_capacity_a_create_is_never_ready_and_is_not_deleted():
    workspace, clock = created(ending="capacity")
    clock.advance(1e6)
    assert state_of(workspace) == ("NOT_READY", "UPDATE_FAILED", 0, 1)
    assert refusal_of(workspace.create, {"name": "chat", "config": tokens(0, CHUNK)}).status == 409


def test_what_hangs_goes_on_until_it_is_canceled():
    workspace, clock = created()
    workspace.next_endings = ["hang"]
    workspace.update("chat", tokens(CHUNK, 3 * CHUNK))
    clock.advance(1e6)
    assert state_of(workspace) == ("READY", "IN_PROGRESS", 1, 2)
    workspace.cancel("chat")
    assert state_of(workspace) == ("READY", "UPDATE_CANCELED", 1, 2)
    assert refusal_of(workspace.cancel, "chat").status == 409


def test_an_endpoint_made_anew_under_an_old_name_is_another():
    workspace, _ = created()
    first = workspace.get("chat")["id"]
    workspace.rival("chat", "recreate", tokens(0, CHUNK))
    assert workspace.get("chat")["id"] != first
    assert state_of(workspace) == ("READY", "NOT_UPDATING", 1, 0)
    assert workspace.rival("chat", "delete") is None
    assert refusal_of(workspace.get, "chat").status == 404


def test_a_rivals_edit_is_one_more_version_or_takes_its_time():
    workspace, _ = created()
    workspace.rival("chat", "edit", tokens(0, CHUNK))
    assert state_of(workspace) == ("READY", "NOT_UPDATING", 2, 0)
    workspace.rival("chat", "edit", tokens(0, CHUNK), finished=False)
    assert state_of(workspace) == ("READY", "IN_PROGRESS", 2, 3)
    assert refusal_of(workspace.rival, "chat", "edit", tokens(0, CHUNK)).status == 409
    assert refusal_of(workspace.rival, "chat", "recreate", tokens(0, 1)).status == 400
    assert refusal_of(workspace.rival, "chat", "steal").status == 400
    nulls = dict.fromkeys(("external_model", "provisioned_model_units", "name"))
    assert workspace.rival("chat", "recreate", tokens(0, CHUNK, **nulls)) is not None
    assert workspace.get("chat")["name"] == "chat"


# What is told


def test_the_burst_flag_is_kept_and_not_told():
    workspace, _ = created(units(50, burst_scaling_enabled=False, name="u"))
    entity = workspace.get("chat")["config"]["served_entities"][0]
    assert entity["provisioned_model_units"] == 50
    assert "burst_scaling_enabled" not in entity
    assert workspace.burst_flags("chat") == {"u": False}


def test_fields_that_are_not_known_here_are_kept():
    config = {
        **tokens(0, CHUNK, from_the_future={"a": [1]}),
        "auto_capture_config": {"enabled": True},
    }
    workspace = new(timings=Timings(0))
    workspace.create({"name": "chat", "config": config, "description": "d", "new_field": 1})
    told = workspace.get("chat")
    assert (told["description"], told["new_field"]) == ("d", 1)
    assert told["config"]["auto_capture_config"] == {"enabled": True}
    assert told["config"]["served_entities"][0]["from_the_future"] == {"a": [1]}


def test_what_is_sent_cannot_pass_for_what_is_told():
    """A client that sends back all it read must not forge the state, nor the id."""
    forged = {"id": "x", "state": {}, "creator": "x", "permission_level": "x", "pending_config": {}}
    config = {**tokens(0, CHUNK, state={}, creator="x"), "config_version": 9, "start_time": 9}
    workspace = new(clock := Clock())
    workspace.create({**forged, "name": "chat", "config": config})
    told = workspace.get("chat")
    assert {key for key, value in forged.items() if told[key] == value} == set()
    assert told["pending_config"]["start_time"] == clock.now_s * 1000
    clock.advance(20)
    told = workspace.get("chat")
    assert "pending_config" not in told
    assert told["config"]["config_version"] == 1
    assert told["config"]["served_entities"][0]["state"]["deployment"] == "DEPLOYMENT_READY"


def test_an_update_replaces_all_of_the_configuration():
    workspace, clock = created(
        {**tokens(0, CHUNK, workload_size="Small"), "auto_capture_config": {}}
    )
    workspace.update("chat", tokens(0, CHUNK))
    clock.advance(workspace.timings.update_s)
    config = workspace.get("chat")["config"]
    assert "auto_capture_config" not in config
    assert "workload_size" not in config["served_entities"][0]


def test_what_was_told_can_be_sent_back():
    """As a careful client does: read, change one number, write all."""
    workspace, clock = created()
    config = workspace.get("chat")["config"]
    config["served_entities"][0]["max_provisioned_throughput"] = 5 * CHUNK
    workspace.update("chat", config)
    clock.advance(workspace.timings.update_s)
    told = workspace.get("chat")["config"]
    assert told["config_version"] == 2
    assert told["served_entities"][0]["max_provisioned_throughput"] == 5 * CHUNK
    assert told["traffic_config"] == config["traffic_config"]


def test_keys_of_an_external_model_are_not_told():
    config = {"openai_api_key_plaintext": "sk", "openai_api_key": "{{secrets/a/b}}"}
    external = {"name": "gpt", "provider": "openai", "openai_config": config}
    workspace, _ = created({"served_entities": [{"name": "e", "external_model": external}]})
    told = workspace.get("chat")["config"]["served_entities"][0]["external_model"]
    assert told["openai_config"] == {"openai_api_key": "{{secrets/a/b}}"}


def test_a_list_tells_no_capacity():
    workspace, _ = created()
    (listed,) = workspace.list()["endpoints"]
    assert listed["config"] == {
        "served_entities": [
            {
                "name": "model-1",
                "entity_name": OWN,
                "entity_version": "1",
                "foundation_model": {"name": OWN, "display_name": "model"},
            }
        ]
    }


def test_dbus_of_the_range_are_told_as_the_api_does():
    name = "system.ai.meta_llama_v3_1_8b_instruct"
    workspace, _ = created(tokens(0, 38_000, entity_name=name, entity_version="3"))
    entity = workspace.get("chat")["config"]["served_entities"][0]
    assert (entity["min_dbus"], entity["max_dbus"]) == (0.0, 212.0)


def test_tags_gateway_limits_and_permissions():
    workspace, _ = created()
    added = workspace.patch_tags("chat", {"add_tags": [{"key": "a", "value": "1"}, {"key": "b"}]})
    assert added == {"tags": [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]}
    changed = {"add_tags": [{"key": "b", "value": "2"}], "delete_tags": ["a"]}
    assert workspace.patch_tags("chat", changed) == {"tags": [{"key": "b", "value": "2"}]}
    gateway = {"usage_tracking_config": {"enabled": True}}
    assert workspace.put_ai_gateway("chat", gateway) == gateway
    limits = {"rate_limits": [{"calls": 5, "renewal_period": "minute"}]}
    assert workspace.put_rate_limits("chat", limits) == limits
    told = workspace.get("chat")
    assert (told["tags"], told["ai_gateway"]) == ([{"key": "b", "value": "2"}], gateway)
    access = workspace.permissions(told["id"])["access_control_list"]
    assert access[0]["all_permissions"][0]["permission_level"] == "CAN_MANAGE"
    assert len(workspace.permission_levels(told["id"])["permission_levels"]) == 3
    assert refusal_of(workspace.permissions, "chat").status == 404


def test_what_is_told_can_be_changed_without_harm():
    workspace, _ = created()
    told = workspace.get("chat")
    told["config"]["served_entities"][0]["max_provisioned_throughput"] = 1
    told["config"]["traffic_config"]["routes"].clear()
    told["tags"].append({})
    assert workspace.get("chat")["config"]["served_entities"][0]["max_provisioned_throughput"] != 1
    assert workspace.get("chat")["config"]["traffic_config"]["routes"] != []


# On disk


def test_a_file_that_is_no_workspace_is_refused(tmp_path):
    import sqlite3
    from contextlib import closing

    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("not a database, and long enough that nobody could think so " * 20)
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE endpoints (a)")
    for path in (text, other, tmp_path / "none" / "x.db", tmp_path):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(InputError, match="--state"):
            SqliteStore(path)
        assert (path.read_bytes() if path.is_file() else None) == before


def test_two_workspaces_do_not_share_a_file(tmp_path):
    store = SqliteStore(tmp_path / "w.db")
    workspace = new(store=store)
    workspace.create({"name": "chat", "config": tokens(0, CHUNK)})
    with pytest.raises(InputError, match="in use by another sandbox"):
        SqliteStore(tmp_path / "w.db")
    store.close()
    again = SqliteStore(tmp_path / "w.db")
    assert new(store=again).get("chat")["name"] == "chat"
    again.close()


# Against a plain account of it


@dataclass
class Expected:
    """What an endpoint must be, kept by other means than the workspace's."""

    high: int | None
    version: int
    status: str
    pending: int | None = None
    due_s: float | None = None
    ending: str = "succeed"

    def at(self, now_s: float) -> None:
        if self.status != "IN_PROGRESS" or self.due_s is None or now_s < self.due_s:
            return
        if self.ending == "succeed":
            self.high, self.version, self.status = self.pending, self.version + 1, "NOT_UPDATING"
            self.pending = None
        else:
            self.status = "UPDATE_FAILED"


class WorkspaceMachine(RuleBasedStateMachine):
    """Any order of creates, updates, cancels, rivals, deletes, restarts and waiting."""

    names = Bundle("names")

    @initialize()
    def start(self):
        self.clock = Clock()
        self.advanced_s = 0.0
        self.store = SqliteStore(":memory:")
        self.workspace = new(self.clock, store=self.store)
        self.expected: dict[str, Expected] = {}
        self.ids: set[str] = set()

    @property
    def now_s(self) -> float:
        return self.clock.now_s + self.advanced_s

    def started(self, takes_s: float, ending: str) -> float | None:
        seconds = {"succeed": takes_s, "capacity": self.workspace.timings.capacity_s, "hang": None}[
            ending
        ]
        return None if seconds is None else self.now_s + seconds

    @rule(
        target=names,
        name=st.sampled_from(["a", "b", "c"]),
        chunks=st.integers(1, 9),
        ending=st.sampled_from(["succeed", "succeed", "capacity", "hang"]),
    )
    def create(self, name, chunks, ending):
        body = {"name": name, "config": tokens(0, chunks * CHUNK)}
        if name in self.expected:
            refused = refusal_of(self.workspace.create, body)
            assert (refused.status, refused.error_code) == (409, "RESOURCE_ALREADY_EXISTS")
            return name
        self.workspace.next_endings = [ending]
        told = self.workspace.create(body)
        assert told["id"] not in self.ids
        self.ids.add(told["id"])
        due_s = self.started(self.workspace.timings.create_s, ending)
        self.expected[name] = Expected(None, 0, "IN_PROGRESS", chunks * CHUNK, due_s, ending)
        return name

    @rule(name=names, chunks=st.integers(1, 9), ending=st.sampled_from(["succeed", "capacity", "hang"]), rival=st.booleans())  # fmt: skip
    def update(self, name, chunks, ending, rival):
        config = tokens(0, chunks * CHUNK)
        self.workspace.next_endings = [] if rival else [ending]
        call = (lambda: self.workspace.rival(name, "edit", config)) if rival else (lambda: self.workspace.update(name, config))  # fmt: skip
        expected = self.expected.get(name)
        if expected is None:
            assert refusal_of(call).status == 404
        elif expected.status == "IN_PROGRESS":
            assert refusal_of(call).status == 409
        else:
            call()
            expected.status, expected.pending = "IN_PROGRESS", chunks * CHUNK
            expected.ending = "succeed" if rival else ending
            expected.due_s = self.now_s if rival else self.started(self.workspace.timings.update_s, ending)  # fmt: skip
            expected.at(self.now_s)
        self.workspace.next_endings = []

    @rule(name=names, off=st.integers(1, CHUNK - 1))
    def misaligned_update(self, name, off):
        refused = refusal_of(self.workspace.update, name, tokens(0, CHUNK + off))
        expected = self.expected.get(name)
        if expected is None:
            assert refused.status == 404
        else:
            assert refused.status == (409 if expected.status == "IN_PROGRESS" else 400)

    @rule(name=names)
    def cancel(self, name):
        expected = self.expected.get(name)
        if expected is not None and expected.status == "IN_PROGRESS":
            self.workspace.cancel(name)
            expected.status = "UPDATE_CANCELED"
        else:
            assert refusal_of(self.workspace.cancel, name).status in (404, 409)

    @rule(name=consumes(names))
    def delete(self, name):
        if name in self.expected:
            assert self.workspace.delete(name) == {}
            del self.expected[name]
        else:
            assert refusal_of(self.workspace.delete, name).status == 404

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 10.0, 11.0, 100.0]), by_route=st.booleans())
    def wait(self, seconds, by_route):
        if by_route:
            self.workspace.advance(seconds)
            self.advanced_s += seconds
        else:
            self.clock.advance(seconds)
        for expected in self.expected.values():
            expected.at(self.now_s)

    @rule()
    def restart(self):
        """What was kept is all that is needed."""
        self.workspace = new(self.clock, store=self.store)

    @invariant()
    def it_is_as_expected(self):
        if not hasattr(self, "expected"):
            return
        listed = {e["name"]: e["state"] for e in self.workspace.list()["endpoints"]}
        assert set(listed) == set(self.expected)
        for name, expected in self.expected.items():
            told = self.workspace.get(name)
            assert told["state"] == listed[name]
            assert told["state"]["config_update"] == expected.status
            assert (told["state"]["ready"] == "READY") == (expected.version > 0)
            assert told.get("config", {}).get("config_version", 0) == expected.version
            for key, high in (("config", expected.high), ("pending_config", expected.pending)):
                if high is None:
                    assert key not in told
                else:
                    (entity,) = told[key]["served_entities"]
                    assert entity["max_provisioned_throughput"] == high

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()


class TestWorkspaceMachine(WorkspaceMachine.TestCase):
    settings = settings(max_examples=25, stateful_step_count=25)


@pytest.mark.slow
class TestWorkspaceMachineAtLength(WorkspaceMachine.TestCase):
    settings = settings(max_examples=300, stateful_step_count=50)


def test_settling_twice_is_settling_once():
    workspace, clock = created()
    workspace.update("chat", tokens(0, CHUNK))
    endpoint: Endpoint = workspace._endpoint("chat")
    later = clock.now_s + 100
    assert settled(settled(endpoint, later), later) == settled(endpoint, later)


@pytest.mark.parametrize("shape", bodies.EXAMPLES, ids=lambda shape: shape.__name__)
def test_every_example_of_the_document_is_taken(shape):
    range_, in_units = (bodies.EXAMPLES[s] for s in (bodies.CreateServingEndpoint, bodies.CreatePtEndpointRequest))  # fmt: skip
    workspace = new(timings=Timings(0, 0, 0))
    workspace.create(range_)
    workspace.create_pt(in_units)
    calls = {
        bodies.EndpointCoreConfigInput: workspace.update,
        bodies.UpdatePtEndpointConfigRequest: workspace.update_pt,
        bodies.PatchServingEndpointTags: workspace.patch_tags,
        bodies.AiGatewayConfig: workspace.put_ai_gateway,
        bodies.PutRequest: workspace.put_rate_limits,
    }
    if shape in calls:
        calls[shape]("chat", bodies.EXAMPLES[shape])
    assert {e["state"]["ready"] for e in workspace.list()["endpoints"]} == {"READY"}


def test_the_sample_of_the_documentation_is_taken():
    workspace = new()
    chunk = workspace.optimization_info(SAMPLE_MODEL, "3")["throughput_chunk_size"]
    entity = {"entity_name": SAMPLE_MODEL, "entity_version": 3, "min_provisioned_throughput": 2 * chunk, "max_provisioned_throughput": 3 * chunk}  # fmt: skip
    workspace.create({"name": "prov-throughput-endpoint", "config": {"served_entities": [entity]}})
    told = workspace.get("prov-throughput-endpoint")["pending_config"]["served_entities"][0]
    assert (told["entity_version"], told["max_provisioned_throughput"]) == ("3", 2940)
