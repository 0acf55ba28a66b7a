"""The request to create an endpoint: the right family's body, aligned, and honest about what is missing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.endpoint.request import create_request, require_endpoint_name
from simulations.capacity import ModelUnits, TokenChunks
from simulations.errors import InputError


def test_a_range_of_chunks_is_sent_as_tokens_per_second():
    request = create_request(
        TokenChunks(19_000, 1, 4),
        endpoint="chat",
        entity_name="system.ai.meta_llama_v3_1_8b_instruct",
        entity_version=3,
    )
    assert request.as_dict() == {
        "ready": True,
        "missing": [],
        "method": "POST",
        "path": "/api/2.0/serving-endpoints",
        "body": {
            "name": "chat",
            "config": {
                "served_entities": [
                    {
                        "entity_name": "system.ai.meta_llama_v3_1_8b_instruct",
                        "entity_version": "3",
                        "min_provisioned_throughput": 19_000,
                        "max_provisioned_throughput": 76_000,
                    }
                ]
            },
        },
    }


@pytest.mark.parametrize("burst", [False, True])
def test_model_units_go_to_their_own_path_and_always_say_whether_to_burst(burst):
    request = create_request(
        ModelUnits(50, 100, 3250, burst=burst),
        endpoint="chat",
        entity_name="system.ai.llama-4-maverick",
        entity_version="1",
        entity_alias="maverick",
    )
    assert request.as_dict() == {
        "ready": True,
        "missing": [],
        "method": "POST",
        "path": "/api/2.0/serving-endpoints/pt",
        "body": {
            "name": "chat",
            "config": {
                "served_entities": [
                    {
                        "name": "maverick",
                        "entity_name": "system.ai.llama-4-maverick",
                        "entity_version": "1",
                        "provisioned_model_units": 100,
                        "burst_scaling_enabled": burst,
                    }
                ]
            },
        },
    }


@pytest.mark.parametrize(
    ("given_", "missing", "body_keys", "entity_keys"),
    [
        ({}, ["endpoint", "entity_name", "entity_version"], {"config"}, set()),
        ({"endpoint": "e"}, ["entity_name", "entity_version"], {"name", "config"}, set()),
        ({"entity_name": "m", "entity_version": 1}, ["endpoint"], {"config"},
         {"entity_name", "entity_version"}),
        ({"endpoint": "e", "entity_name": "m"}, ["entity_version"], {"name", "config"}, {"entity_name"}),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_and_left_out_of_the_body(given_, missing, body_keys, entity_keys):
    request = create_request(TokenChunks(980, 0, 1), **given_)
    entity = request.body["config"]["served_entities"][0]
    assert not request.ready
    assert request.as_dict()["missing"] == missing
    assert set(request.body) == body_keys
    assert set(entity) == entity_keys | {"min_provisioned_throughput", "max_provisioned_throughput"}


@given(size=st.integers(1, 10**6), bounds=st.tuples(st.integers(0, 4096), st.integers(1, 4096)))
def test_any_range_is_aligned_when_read_back(size, bounds):
    capacity = TokenChunks(size, min(bounds), max(bounds))
    body = json.loads(json.dumps(create_request(capacity, endpoint="e").body))
    (entity,) = body["config"]["served_entities"]
    low, high = entity["min_provisioned_throughput"], entity["max_provisioned_throughput"]
    assert (low % size, high % size) == (0, 0)
    assert 0 <= low <= high
    assert high > 0
    assert (low // size, high // size) == (capacity.min_chunks, capacity.max_chunks)


@given(step=st.integers(1, 1000), steps=st.integers(1, 4096))
def test_any_units_are_a_multiple_of_the_step_when_read_back(step, steps):
    capacity = ModelUnits(step, step * steps, 1)
    body = json.loads(json.dumps(create_request(capacity, endpoint="e").body))
    (entity,) = body["config"]["served_entities"]
    assert entity["provisioned_model_units"] == step * steps
    assert entity["burst_scaling_enabled"] is False


@pytest.mark.parametrize(
    ("capacity", "entity_type"),
    [(TokenChunks(980, 2, 3), "ServedEntityInput"), (ModelUnits(50, 50, 1), "PtServedModel")],
)
def test_the_sdk_knows_every_field_that_is_sent(capacity, entity_type):
    serving = pytest.importorskip("databricks.sdk.service.serving")
    request = create_request(capacity, endpoint="e", entity_name="a.b.c", entity_version=1)
    (entity,) = request.body["config"]["served_entities"]
    assert getattr(serving, entity_type).from_dict(entity).as_dict() == entity


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 63, "my-databricks-endpoint"])
def test_a_name_within_the_rules_is_taken(name):
    require_endpoint_name(name)
    assert create_request(TokenChunks(980, 1, 1), endpoint=name).body["name"] == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 64, "a.b", "a b", "a/b", "e\u00e9", "a\n", "databricks-llama", "Databricks-llama"],
)
def test_a_name_against_the_rules_is_refused(name):
    with pytest.raises(InputError, match="endpoint name is"):
        create_request(TokenChunks(980, 1, 1), endpoint=name)


@pytest.mark.parametrize("version", [0, -1, "", "latest", "1.0", "\u00b2", True])
def test_a_version_that_is_not_a_whole_number_is_refused(version):
    with pytest.raises(InputError, match="model version is"):
        create_request(TokenChunks(980, 1, 1), entity_version=version)
