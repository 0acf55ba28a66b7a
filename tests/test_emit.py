"""What `emit` prints works: scripts and commands run as printed against a workspace, files are read back by their tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal import (
    OTHER_MODEL,
    SALE,
    TOKENS_MODEL,
    UNITS_MODEL,
    Waiting,
    chunks,
    connect,
    plan_of,
    recommendation,
    served,
    split,
    units,
)
from workspace import TOKEN, Clock, Running, running_workspace

from planner.endpoint.emit import FORMATS, Order, emit, from_plan, from_wish
from planner.endpoint.wish import wish_of
from simulations.errors import InputError, Refused

CREATE, UPDATE = "create", "update"


@pytest.fixture(scope="module")
def served_workspace() -> Iterator[Running]:
    with running_workspace(clock=Clock(), models=SALE, token=TOKEN) as running:
        yield running


@pytest.fixture
def running(served_workspace: Running) -> Running:
    served_workspace.forget()
    return served_workspace


def order_for(running: Running, action: str, family: str) -> Order:
    """Return the order of a plan that was made against the workspace."""
    if action == UPDATE:
        ours = served("ours", family, new_field=[1, "two", None, True])
        entities = [ours] if family == UNITS_MODEL else [ours, served("theirs", OTHER_MODEL)]
        names = [one["name"] for one in entities]
        running.workspace.create(
            {
                "name": "chat",
                "config": {"served_entities": entities, "traffic_config": split(*names)},
            }
        )
    capacity = chunks(2, 3) if family == TOKENS_MODEL else units(2)
    clock = Waiting(running.clock)
    said = {"": False} if family == UNITS_MODEL else {}
    plan = plan_of(connect(running), clock, capacity, burst=said)
    assert plan["action"] == action
    running.sandbox.wire.exchanges.clear()
    return from_plan(plan)


def run(running: Running, text: str, *command: str) -> str:
    """Run a script or a command as it was printed, with host and token in the environment."""
    done = subprocess.run(
        [*command, text],
        env={
            **os.environ,
            "DATABRICKS_HOST": running.url,
            "DATABRICKS_TOKEN": TOKEN,
            "DATABRICKS_CONFIG_FILE": os.devnull,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def received(running: Running) -> Any:
    (sent,) = [e for e in running.exchanges() if e.method in ("POST", "PUT")]
    assert sent.status == 200
    return sent


families = pytest.mark.parametrize("family", [TOKENS_MODEL, UNITS_MODEL])
actions = pytest.mark.parametrize("action", [CREATE, UPDATE])


@actions
@families
def test_the_curl_command_runs_as_printed(action, family, running):
    order = order_for(running, action, family)
    answer = json.loads(run(running, emit(order, "curl"), "sh", "-c"))
    assert answer["name"] == "chat"
    sent = received(running)
    assert (sent.method, sent.path, sent.body) == (order.method, order.path, order.body)


@actions
@families
def test_the_requests_script_runs_as_printed(action, family, running):
    order = order_for(running, action, family)
    answer = json.loads(run(running, emit(order, "requests"), sys.executable, "-c"))
    assert answer["name"] == "chat"
    sent = received(running)
    assert (sent.method, sent.path, sent.body) == (order.method, order.path, order.body)
    asked = [e for e in running.exchanges("GET") if "optimization-info" in e.path]
    assert len(asked) == (family == TOKENS_MODEL)


@actions
@families
def test_the_sdk_script_runs_as_printed(action, family, running):
    order = order_for(running, action, family)
    assert run(running, emit(order, "sdk"), sys.executable, "-c").startswith("chat ")
    sent = received(running)
    assert (sent.method, sent.path) == (order.method, order.path)
    body = dict(sent.body)
    if action == CREATE and family == TOKENS_MODEL:
        # The SDK's class insists on a name, which it sends.
        body["config"] = {k: v for k, v in body["config"].items() if k != "name"}
    assert body == order.body


@actions
def test_the_mlflow_script_runs_as_printed(action, running):
    order = order_for(running, action, TOKENS_MODEL)
    assert "chat" in run(running, emit(order, "mlflow"), sys.executable, "-c")
    sent = received(running)
    assert sent.method == order.method
    body = {key: value for key, value in sent.body.items() if key != "route_optimized"}
    assert body == order.body


def test_mlflow_has_no_call_for_model_units(running):
    with pytest.raises(InputError, match="no call for model units; take --format sdk"):
        emit(order_for(running, CREATE, UNITS_MODEL), "mlflow")


def test_the_requests_script_refuses_another_chunk(running):
    text = emit(order_for(running, CREATE, TOKENS_MODEL), "requests").replace("!= 980", "!= 970")
    with pytest.raises(AssertionError, match="recommend again"):
        run(running, text, sys.executable, "-c")
    assert running.exchanges("POST") == []


@actions
@families
def test_the_bundle_is_what_the_bundles_classes_read(action, family, running):
    serving = pytest.importorskip("databricks.bundles.model_serving_endpoints")
    yaml = pytest.importorskip("yaml")
    order = order_for(running, action, family)
    document = yaml.safe_load(emit(order, "bundle"))
    (resource,) = document["resources"]["model_serving_endpoints"].values()
    again = serving.ModelServingEndpoint.from_dict(resource).as_dict()
    assert again == resource
    wanted = [
        {k: v for k, v in one.items() if k != "new_field"}
        for one in order.config["served_entities"]
    ]
    assert resource["config"]["served_entities"] == wanted
    assert resource["name"] == "chat"


@actions
@families
def test_the_resource_is_read_back_as_written(action, family, running):
    hcl2 = pytest.importorskip("hcl2")
    order = order_for(running, action, family)
    text = emit(order, "terraform")
    document = plain(hcl2.loads(text))
    kind = "databricks_model_serving" + ("_provisioned_throughput" if family == UNITS_MODEL else "")
    (resource,) = [one[kind]["chat"] for one in document["resource"]]
    assert resource["name"] == "chat"
    assert resource["timeouts"] == [{"create": "60m", "update": "60m"}]
    (config,) = resource["config"]
    unsaid = {"new_field", "burst_scaling_enabled"}
    wanted = [
        {k: v for k, v in one.items() if k not in unsaid} for one in order.config["served_entities"]
    ]
    assert config["served_entities"] == wanted
    assert ("import" in document) == (action == UPDATE)
    if action == UPDATE:
        (traffic,) = config["traffic_config"]
        shares = [route["traffic_percentage"] for route in traffic["routes"]]
        assert shares == [
            route["traffic_percentage"] for route in order.config["traffic_config"]["routes"]
        ]
        assert (
            '# Unknown to this resource, and lost if Terraform replaces the configuration: {"new_field"'
            in text
        )
    if family == UNITS_MODEL:
        assert "left out it is on: burst_scaling_enabled = false" in text


def plain(value: Any) -> Any:
    """Return what python-hcl2 read, without its quotes and marks."""
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items() if not k.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


@actions
@families
def test_the_cli_command_holds_the_body(action, family, running):
    import shlex

    order = order_for(running, action, family)
    words = shlex.split(emit(order, "cli"))
    assert words[:2] == ["databricks", "serving-endpoints"]
    assert ("provisioned-throughput" in words[2]) == (family == UNITS_MODEL)
    assert json.loads(words[words.index("--json") + 1]) == order.body


@actions
def test_the_clicks_name_both_ends_of_the_range(action, running):
    text = emit(order_for(running, action, TOKENS_MODEL), "console")
    assert 'In the list "Up to" choose 2940 tokens per second.' in text
    assert 'Click "Modify" and set the minimum to 1960 tokens per second.' in text
    assert ('Click "Create serving endpoint"' in text) == (action == CREATE)


def test_the_rest_form_is_the_request(running):
    order = order_for(running, UPDATE, TOKENS_MODEL)
    assert json.loads(emit(order, "rest")) == {
        "method": order.method,
        "path": order.path,
        "body": order.body,
    }


# --- text that would break out --------------------------------------------------------------

hostile = st.text(min_size=1, max_size=12) | st.sampled_from(
    [
        "'; touch x; '",
        '"',
        "\\",
        "${HOME}",
        "%{x}",
        "$(id)",
        "`id`",
        "\n- a: b",
        "'''",
        "{{",
        "*/",
        "\u2028",
        "\U0001f600",
        "\x00",
    ]
)


def order_of(value: str) -> Order:
    config = {"served_entities": [served("ours", environment_vars={"A": value, value: "b"})]}
    return Order(
        False,
        "chat",
        "PUT",
        "/api/2.0/serving-endpoints/chat/config",
        config,
        config,
        False,
        0,
        980,
    )


@given(value=hostile)
def test_any_text_survives_every_form(value):
    shlex = __import__("shlex")
    if value.encode("utf-8", "replace").decode() != value:
        return
    order = order_of(value)
    body = json.loads(json.dumps(order.body))
    namespace: dict[str, Any] = {}
    script = emit(order, "sdk")
    exec(script[script.index("body = ") : script.index("\n\nw = ")], namespace)
    assert namespace["body"] == body
    if "\x00" not in value:
        words = shlex.split(emit(order, "cli"))
        assert json.loads(words[words.index("--json") + 1]) == body
    yaml = pytest.importorskip("yaml")
    (resource,) = yaml.safe_load(emit(order, "bundle"))["resources"][
        "model_serving_endpoints"
    ].values()
    assert resource["config"] == body


def test_interpolation_is_escaped_in_hcl():
    text = emit(order_of("${path.root} %{if}"), "terraform")
    assert '"$${path.root} %%{if}"' in text
    assert "\n# " not in text.replace("\n# The endpoint", "")


@pytest.mark.parametrize("form", FORMATS)
def test_no_form_holds_a_token(form, running, monkeypatch):
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    assert TOKEN not in emit(order_for(running, UPDATE, TOKENS_MODEL), form)


def test_what_cannot_be_emitted_says_why(running):
    with pytest.raises(InputError, match=r"--format is 'pulumi'; must be one of rest, curl"):
        emit(order_for(running, CREATE, TOKENS_MODEL), "pulumi")
    with pytest.raises(InputError, match=r"--burst on\|off"):
        from_wish(wish_of(recommendation(units(2))))
    with pytest.raises(InputError, match="give --model-version N"):
        from_wish(wish_of(recommendation(chunks(1, 2), version=None)))
    running.forget()
    running.workspace.create({"name": "chat", "config": {"served_entities": [served("ours")]}})
    plan = plan_of(connect(running), Waiting(running.clock), chunks(1, 1))
    with pytest.raises(InputError, match="leaves chat as it is"):
        from_plan(plan)
    with pytest.raises(Refused, match="blocked"):
        from_plan({**plan, "action": "blocked", "blocked": ["x"]})
