"""Real clients drive the sandbox over real sockets: databricks-sdk, mlflow, requests, curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import timedelta
from typing import Any

import pytest
import requests
from databricks.sdk import errors
from databricks.sdk.errors import OperationFailed
from databricks.sdk.service import serving
from workspace import TOKEN, Clock, Timings, running_workspace, sdk_client

from planner.endpoint.sandbox.offerings import SAMPLE_MODEL

TOKENS, UNITS = "system.ai.meta_llama_v3_1_8b_instruct", "system.ai.gpt-oss-120b"
CHUNK = 19_000


@pytest.fixture(scope="module")
def serving_workspace():
    with running_workspace() as running:
        yield running


@pytest.fixture
def workspace(serving_workspace, monkeypatch):
    """A workspace with nothing in it."""
    serving_workspace.forget()
    for name, value in {
        "DATABRICKS_HOST": serving_workspace.url,
        "DATABRICKS_TOKEN": TOKEN,
        "DATABRICKS_CONFIG_FILE": "/dev/null",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
        "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "60",
    }.items():
        monkeypatch.setenv(name, value)
    yield serving_workspace
    serving_workspace.forget()


@pytest.fixture
def sdk(workspace):
    with sdk_client(workspace.url) as client:
        yield client.serving_endpoints


def entity(low: int = 0, high: int = CHUNK, **given: Any) -> serving.ServedEntityInput:
    return serving.ServedEntityInput(
        entity_name=TOKENS,
        entity_version="3",
        min_provisioned_throughput=low,
        max_provisioned_throughput=high,
        **given,
    )


def config(*entities: serving.ServedEntityInput) -> serving.EndpointCoreConfigInput:
    return serving.EndpointCoreConfigInput(name="chat", served_entities=[*entities])


def pt_config(n: int) -> serving.PtEndpointCoreConfig:
    model = serving.PtServedModel(UNITS, n, entity_version="1", burst_scaling_enabled=False)
    return serving.PtEndpointCoreConfig(served_entities=[model])


def body_of(low: int = 0, high: int = CHUNK, name: str = "chat") -> dict[str, Any]:
    range_ = {"min_provisioned_throughput": low, "max_provisioned_throughput": high}
    one = {"entity_name": TOKENS, "entity_version": "3", **range_}
    return {"name": name, "config": {"served_entities": [one]}}


# databricks-sdk


def test_sdk_creates_updates_lists_and_deletes_a_range(sdk, workspace):
    made = sdk.create_and_wait(
        "chat", config=config(entity()), tags=[serving.EndpointTag("a", "b")]
    )
    assert made.state.ready is serving.EndpointStateReady.READY
    assert made.config.config_version == 1
    (served,) = made.config.served_entities
    assert (served.min_provisioned_throughput, served.max_provisioned_throughput) == (0, CHUNK)
    assert served.state.deployment is serving.ServedModelStateDeployment.DEPLOYMENT_READY

    updated = sdk.update_config_and_wait("chat", served_entities=[entity(CHUNK, 2 * CHUNK)])
    assert updated.config.config_version == 2
    assert updated.config.served_entities[0].max_provisioned_throughput == 2 * CHUNK
    assert updated.pending_config is None
    assert updated.tags[0].as_dict() == {"key": "a", "value": "b"}

    assert sdk.get("chat").as_dict() == updated.as_dict()
    assert [listed.name for listed in sdk.list()] == ["chat"]
    assert sdk.delete("chat") is None
    assert list(sdk.list()) == []
    sent = [e.body for e in workspace.exchanges("POST")]
    assert sent[0]["config"]["served_entities"][0]["max_provisioned_throughput"] == CHUNK


def test_sdk_creates_and_updates_model_units(sdk, workspace):
    made = sdk.create_provisioned_throughput_endpoint_and_wait("chat", pt_config(50))
    assert made.config.served_entities[0].provisioned_model_units == 50
    assert made.config.served_entities[0].burst_scaling_enabled is None
    updated = sdk.update_provisioned_throughput_endpoint_config_and_wait("chat", pt_config(150))
    assert updated.config.served_entities[0].provisioned_model_units == 150
    assert workspace.workspace.burst_flags("chat") == {"gpt-oss-120b-1": False}
    assert [e.path for e in workspace.exchanges() if e.method in ("POST", "PUT")] == [
        "/api/2.0/serving-endpoints/pt",
        "/api/2.0/serving-endpoints/pt/chat/config",
    ]


def test_sdk_need_not_wait(sdk):
    assert sdk.create("chat", config=config(entity())).response.name == "chat"
    assert sdk.update_config("chat", served_entities=[entity()]).response.name == "chat"
    made = sdk.create_provisioned_throughput_endpoint("units", pt_config(50))
    assert made.response.state.config_update is serving.EndpointStateConfigUpdate.IN_PROGRESS
    again = sdk.update_provisioned_throughput_endpoint_config("units", pt_config(100))
    assert again.response.pending_config.served_entities[0].provisioned_model_units == 100


def test_sdk_changes_tags_gateway_and_limits(sdk):
    sdk.create_and_wait("chat", config=config(entity()))
    tags = sdk.patch("chat", add_tags=[serving.EndpointTag("team", "ai")])
    assert [tag.key for tag in tags.tags] == ["team"]
    limit = serving.AiGatewayRateLimit(
        renewal_period=serving.AiGatewayRateLimitRenewalPeriod.MINUTE,
        calls=5,
        key=serving.AiGatewayRateLimitKey.USER,
    )
    usage = serving.AiGatewayUsageTrackingConfig(enabled=True)
    gateway = sdk.put_ai_gateway("chat", rate_limits=[limit], usage_tracking_config=usage)
    assert gateway.rate_limits[0].calls == 5
    assert sdk.get("chat").ai_gateway.usage_tracking_config.enabled is True
    plain = serving.RateLimit(calls=7, renewal_period=serving.RateLimitRenewalPeriod.MINUTE)
    assert sdk.put("chat", rate_limits=[plain]).rate_limits[0].calls == 7


def test_sdk_reads_permissions_by_id(sdk):
    made = sdk.create_and_wait("chat", config=config(entity()))
    assert sdk.get_permissions(made.id).access_control_list[0].user_name == made.creator
    levels = sdk.get_permission_levels(made.id).permission_levels
    assert [level.permission_level.value for level in levels] == ["CAN_MANAGE", "CAN_QUERY", "CAN_VIEW"]  # fmt: skip
    with pytest.raises(errors.ResourceDoesNotExist):
        sdk.get_permissions("chat")


def test_sdk_asks_for_optimization_info(workspace):
    with sdk_client(workspace.url) as client:
        path = "/api/2.0/serving-endpoints/get-model-optimization-info"
        info = client.api_client.do("GET", f"{path}/{TOKENS}/3")
        assert info == {
            "optimizable": True,
            "model_type": "llama",
            "throughput_chunk_size": CHUNK,
            "dbus": 106.0,
        }
        assert "throughput_chunk_size" not in client.api_client.do("GET", f"{path}/{UNITS}/1")
        base = client.api_client.do("GET", f"{path}/system.ai.meta_llama_v3_1_8b/1")
        assert base == {"optimizable": False}
        with pytest.raises(errors.ResourceDoesNotExist, match=r"ml\.no\.such version 1"):
            client.api_client.do("GET", f"{path}/ml.no.such/1")


def test_sdk_names_what_was_refused(sdk, workspace):
    with pytest.raises(errors.ResourceDoesNotExist, match="with name chat not found"):
        sdk.get("chat")
    with pytest.raises(errors.InvalidParameterValue, match="multiple of 19000"):
        sdk.create("chat", config=config(entity(0, CHUNK + 1)))
    with pytest.raises(
        errors.InvalidParameterValue, match="not eligible for Provisioned Throughput"
    ):
        sdk.create("chat", config=config(serving.ServedEntityInput(entity_name=UNITS, entity_version="1", max_provisioned_throughput=100)))  # fmt: skip
    sdk.create_and_wait("chat", config=config(entity()))
    with pytest.raises(errors.ResourceAlreadyExists, match="already exists"):
        sdk.create("chat", config=config(entity()))
    workspace.workspace.next_endings = ["hang"]
    sdk.update_config("chat", served_entities=[entity()])
    with pytest.raises(errors.ResourceConflict, match="is being updated"):
        sdk.update_config("chat", served_entities=[entity()])
    workspace.workspace.permission = "CAN_VIEW"
    try:
        with pytest.raises(errors.PermissionDenied, match="CAN_VIEW and not CAN_MANAGE"):
            sdk.delete("chat")
    finally:
        workspace.workspace.permission = "CAN_MANAGE"


def test_sdk_waits_until_the_time_is_over():
    clock = Clock()
    with (
        running_workspace(clock=clock, timings=Timings(create_s=20)) as running,
        sdk_client(running.url) as client,
    ):
        wait = client.serving_endpoints.create("chat", config=config(entity()))

        def advance(told):
            assert told.state.config_update is serving.EndpointStateConfigUpdate.IN_PROGRESS
            requests.post(f"{running.url}/sandbox/advance", json={"seconds": 20}, timeout=30)

        made = wait.result(callback=advance)
        assert made.state.ready is serving.EndpointStateReady.READY
        assert len(running.exchanges("GET")) == 2


def test_sdk_learns_that_there_is_no_capacity(sdk, workspace):
    sdk.create_and_wait("chat", config=config(entity()))
    workspace.workspace.next_endings = ["capacity"]
    with pytest.raises(OperationFailed, match="UPDATE_FAILED"):
        sdk.update_config_and_wait("chat", served_entities=[entity(0, 2 * CHUNK)])
    failed = sdk.get("chat")
    assert failed.state.ready is serving.EndpointStateReady.READY
    assert failed.config.served_entities[0].max_provisioned_throughput == CHUNK
    (pending,) = failed.pending_config.served_entities
    assert "not enough GPU capacity" in pending.state.deployment_state_message


def test_sdk_gives_up_on_what_hangs(sdk, workspace):
    workspace.workspace.next_endings = ["hang"]
    with pytest.raises(TimeoutError, match="timed out"):
        sdk.create_and_wait("chat", config=config(entity()), timeout=timedelta(seconds=0.1))
    assert sdk.get("chat").state.config_update is serving.EndpointStateConfigUpdate.IN_PROGRESS


def test_sdk_retries_a_create_whose_answer_was_lost_and_finds_its_own_endpoint(sdk, workspace):
    workspace.fault("drop", "after", method="POST", times=1)
    with pytest.raises(errors.ResourceAlreadyExists):
        sdk.create("chat", config=config(entity()))
    assert sdk.get("chat").config.served_entities[0].max_provisioned_throughput == CHUNK
    assert [(e.status, e.handler_status, e.fault) for e in workspace.exchanges("POST")] == [
        (None, 200, "drop:after"),
        (409, 409, None),
    ]


def test_sdk_waits_as_long_as_it_is_told_to(sdk, workspace):
    workspace.fault("status", method="POST", times=1, status=429, retry_after="1")
    assert sdk.create("chat", config=config(entity())).response.name == "chat"
    assert [(e.status, e.handled) for e in workspace.exchanges("POST")] == [
        (429, False),
        (200, True),
    ]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "status", "status": 500}, errors.InternalError),
        ({"kind": "status", "status": 401}, errors.Unauthenticated),
        ({"kind": "status", "status": 403}, errors.PermissionDenied),
        ({"kind": "status", "status": 400}, errors.InvalidParameterValue),
        ({"kind": "status", "status": 409}, errors.ResourceConflict),
        ({"kind": "status", "status": 504}, errors.DeadlineExceeded),
        ({"kind": "html", "status": 502}, errors.DatabricksError),
        ({"kind": "html", "status": 200}, requests.exceptions.JSONDecodeError),
        ({"kind": "truncate"}, requests.exceptions.ChunkedEncodingError),
    ],
)
def test_sdk_meets_each_fault_as_it_would_in_production(fault, error, sdk, workspace):
    workspace.fault(**fault)
    with pytest.raises(error):
        sdk.get("chat")
    assert len(workspace.exchanges("GET")) == 1


# mlflow


@pytest.fixture
def mlflow(workspace):
    from mlflow.deployments import get_deploy_client

    return get_deploy_client("databricks")


def test_mlflow_creates_updates_gets_lists_and_deletes(mlflow, workspace):
    made = mlflow.create_endpoint(config={**body_of(), "tags": [{"key": "a", "value": "b"}]})
    assert made["state"]["config_update"] == "IN_PROGRESS"
    assert mlflow.get_endpoint("chat")["state"]["ready"] == "READY"
    wanted = body_of(CHUNK, 2 * CHUNK)["config"]
    mlflow.update_endpoint_config("chat", config=wanted)
    told = mlflow.get_endpoint("chat")["config"]
    assert told["config_version"] == 2
    assert told["served_entities"][0]["max_provisioned_throughput"] == 2 * CHUNK
    mlflow.update_endpoint_tags("chat", config={"add_tags": [{"key": "c", "value": "d"}]})
    mlflow.update_endpoint_ai_gateway("chat", config={"usage_tracking_config": {"enabled": True}})
    mlflow.update_endpoint_rate_limits(
        "chat", config={"rate_limits": [{"calls": 1, "renewal_period": "minute"}]}
    )
    told = mlflow.get_endpoint("chat")
    assert [tag["key"] for tag in told["tags"]] == ["a", "c"]
    assert told["ai_gateway"]["usage_tracking_config"] == {"enabled": True}
    assert [one["name"] for one in mlflow.list_endpoints()] == ["chat"]
    mlflow.delete_endpoint("chat")
    assert mlflow.list_endpoints() == []


def test_mlflow_shows_the_status_that_fits(mlflow, workspace):
    """It makes the status from the error code, so each refusal must have one that it knows."""
    for call, status in (
        (lambda: mlflow.get_endpoint("chat"), 404),
        (lambda: mlflow.create_endpoint(config=body_of(0, 1)), 400),
    ):
        with pytest.raises(requests.HTTPError) as caught:
            call()
        assert caught.value.response.status_code == status


# As printed in the documentation


def test_the_documented_script_runs(workspace):
    """But for its two slips: a header that is misspelt, and a line that begins with `.json()`."""
    headers = {"Content-Type": "text/json", "Authorization": f"Bearer {TOKEN}"}
    path = f"api/2.0/serving-endpoints/get-model-optimization-info/{SAMPLE_MODEL}/3"
    info = requests.get(url=f"{workspace.url}/{path}", headers=headers, timeout=30).json()
    assert info["optimizable"]
    chunk_size = info["throughput_chunk_size"]
    data = {
        "name": "prov-throughput-endpoint",
        "config": {
            "served_entities": [
                {
                    "entity_name": SAMPLE_MODEL,
                    "entity_version": 3,
                    "min_provisioned_throughput": 2 * chunk_size,
                    "max_provisioned_throughput": 3 * chunk_size,
                }
            ]
        },
    }
    answer = requests.post(
        url=f"{workspace.url}/api/2.0/serving-endpoints", json=data, headers=headers, timeout=30
    )
    assert answer.status_code == 200
    told = workspace.workspace.get("prov-throughput-endpoint")["config"]["served_entities"][0]
    assert (told["min_provisioned_throughput"], told["max_provisioned_throughput"]) == (1960, 2940)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_creates(workspace):
    done = subprocess.run(
        ["curl", "-sS", "-X", "POST", "-H", f"Authorization: Bearer {TOKEN}", "-d", json.dumps(body_of()), f"{workspace.url}/api/2.0/serving-endpoints"],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["state"]["config_update"] == "IN_PROGRESS"
    assert workspace.workspace.get("chat")["state"]["ready"] == "READY"


def test_a_slash_at_the_end_changes_nothing(workspace):
    url, headers = f"{workspace.url}/api/2.0/serving-endpoints", {"Authorization": "Bearer x"}
    made = requests.post(
        f"{url}/", json=body_of(), headers=headers, timeout=30, allow_redirects=False
    )
    assert made.status_code == 200
    for path in ("", "/", "/chat", "/chat/"):
        told = requests.get(url + path, headers=headers, timeout=30, allow_redirects=False)
        assert told.status_code == 200
