"""The plan: what it keeps, what it changes, what it says, what it refuses; and that whatever is sent is aligned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    recommendation,
    served,
    split,
    terms,
    units,
)
from workspace import Clock, Running, running_workspace

from planner.endpoint import images, safety
from planner.endpoint.eligibility import eligibility
from planner.endpoint.planning import plan_live
from planner.endpoint.plans import plan_change
from planner.endpoint.safety import Change, tripped
from planner.endpoint.terms import Terms
from planner.endpoint.wish import wish_of
from simulations.capacity import ModelUnits, TokenChunks
from simulations.errors import InputError

TERMS = Terms(host="http://host", now=0.0, version="0.0.0")


@pytest.fixture(scope="module")
def served_workspace() -> Iterator[Running]:
    with running_workspace(clock=Clock(), models=SALE) as running:
        yield running


@pytest.fixture
def running(served_workspace: Running) -> Running:
    served_workspace.forget()
    return served_workspace


def live_of(*entities: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Return what GET shows of an endpoint, without a workspace."""
    return {
        "name": "chat",
        "id": "1",
        "creation_timestamp": 1,
        "state": {"ready": "READY", "config_update": "NOT_UPDATING"},
        "config": {
            "served_entities": list(entities),
            "traffic_config": split(*[one["name"] for one in entities]),
            "config_version": 3,
            **config,
        },
    }


def planned(
    capacity: Any, live: Any, model: Any = None, wish: dict[str, Any] | None = None, **given_: Any
) -> Any:
    made = wish_of(recommendation(capacity, **(wish or {})))
    return plan_change(made, live, model, Terms(host="http://host", now=0.0, version="0", **given_))


# --- the property from outside --------------------------------------------------------------

sizes = st.integers(1, 40_000)


@given(size=sizes, bounds=st.tuples(st.integers(0, 50), st.integers(1, 50)), exists=st.booleans())
@settings(max_examples=25)
def test_what_the_workspace_receives_is_whole_chunks(
    served_workspace, tmp_path_factory, size, bounds, exists
):
    capacity = TokenChunks(size, min(bounds), max(bounds))
    entity = send(
        served_workspace,
        tmp_path_factory,
        capacity,
        f"ml.drawn.tokens={size}",
        "ml.drawn.tokens",
        exists,
    )
    low, high = entity["min_provisioned_throughput"], entity["max_provisioned_throughput"]
    assert (low % size, high % size) == (0, 0)
    assert (low // size, high // size) == (capacity.min_chunks, capacity.max_chunks)


@given(
    step=st.integers(1, 500), steps=st.integers(1, 50), exists=st.booleans(), burst=st.booleans()
)
@settings(max_examples=25)
def test_what_the_workspace_receives_is_whole_steps_of_units(
    served_workspace, tmp_path_factory, step, steps, exists, burst
):
    capacity = ModelUnits(step, step * steps, 100)
    entity = send(
        served_workspace,
        tmp_path_factory,
        capacity,
        f"ml.drawn.units={step}units",
        "ml.drawn.units",
        exists,
        burst,
    )
    assert entity["provisioned_model_units"] == step * steps
    assert entity["burst_scaling_enabled"] is burst
    assert "min_provisioned_throughput" not in entity


def send(
    running: Running,
    folders: Any,
    capacity: Any,
    sale: str,
    model: str,
    exists: bool,
    burst: bool | None = None,
) -> dict[str, Any]:
    """Plan and apply over the wire; return the entity that the workspace received."""
    running.forget()
    running.workspace.offerings.add(sale)
    clock = Waiting(running.clock)
    workspace = connect(running)
    if exists:
        size = capacity.rated_tokens_per_s if burst is None else capacity.step_units
        first = (
            {"min_provisioned_throughput": 51 * size, "max_provisioned_throughput": 51 * size}
            if burst is None
            else {"provisioned_model_units": 51 * size}
        )
        entity = {"name": "a", "entity_name": model, "entity_version": "1", **first}
        running.workspace.create({"name": "chat", "config": {"served_entities": [entity]}})
        running.clock.advance(1)
    data = recommendation(capacity)
    data["inputs"]["model"] = model
    said = {} if burst is None else {"": burst}
    plan = plan_live(wish_of(data), workspace, terms(workspace, clock, burst=said))
    apply(workspace, clock, plan, folders.mktemp("r") / "receipt.json")
    (sent,) = [e for e in running.exchanges() if e.method != "GET"]
    assert sent.status == 200
    assert sent.method == ("PUT" if exists else "POST")
    assert ("/pt" in sent.path) == (burst is not None)
    (entity,) = sent.body.get("config", sent.body)["served_entities"]
    return dict(entity)


# --- what is kept ---------------------------------------------------------------------------

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
unheard_of = st.dictionaries(
    st.text(min_size=1, max_size=8).map(lambda t: f"x_{t}"), values, max_size=3
)


@given(of_config=unheard_of, of_ours=unheard_of, of_theirs=unheard_of)
def test_whatever_is_not_ours_goes_back_byte_for_byte(of_config, of_ours, of_theirs):
    live = live_of(
        served("ours", **of_ours), served("theirs", OTHER_MODEL, **of_theirs), **of_config
    )
    live["config"]["served_entities"][0] |= {
        "creator": "a",
        "state": {"deployment": "x"},
        "dbus": 1.0,
    }
    plan = planned(chunks(2, 3), live)
    ours, theirs = plan["after"]["served_entities"]
    as_text = json.dumps
    assert as_text(theirs) == as_text(served("theirs", OTHER_MODEL, **of_theirs))
    assert as_text({k: v for k, v in ours.items() if k.startswith("x_")}) == as_text(of_ours)
    assert as_text({k: v for k, v in plan["after"].items() if k.startswith("x_")}) == as_text(
        of_config
    )
    assert plan["request"]["body"] == plan["after"]
    named = len(of_config) + len(of_ours) + len(of_theirs)
    assert len(plan["unknown_keys"]) == named
    assert {"creator", "state", "dbus"}.isdisjoint(ours)
    assert "config_version" not in plan["after"]
    assert {one["path"].rpartition(".")[2] for one in plan["diff"]} == {
        "min_provisioned_throughput",
        "max_provisioned_throughput",
    }


def test_the_deprecated_mirror_is_not_sent_beside_what_it_mirrors():
    live = live_of(served("ours"))
    live["config"]["served_models"] = [{"name": "ours", "model_name": TOKENS_MODEL}]
    assert "served_models" not in planned(chunks(2, 3), live)["after"]


def test_an_endpoint_of_the_old_form_is_updated_in_it():
    live = live_of(served("ours"))
    (entity,) = live["config"].pop("served_entities")
    entity = {
        "model_name": entity.pop("entity_name"),
        "model_version": entity.pop("entity_version"),
        **entity,
    }
    live["config"]["served_models"] = [entity]
    plan = planned(chunks(2, 3), live)
    assert plan["after"]["served_models"][0]["max_provisioned_throughput"] == 2940
    assert "entity_name" not in plan["after"]["served_models"][0]


# --- what is planned ------------------------------------------------------------------------


def test_a_diff_says_before_after_and_why():
    plan = planned(chunks(2, 3), live_of(served("ours")), wish={"version": "2"})
    assert plan["diff"] == [
        {
            "path": "served_entities[ours].entity_version",
            "before": "1",
            "after": "2",
            "reason": "the version the recommendation was made for",
        },
        {
            "path": "served_entities[ours].min_provisioned_throughput",
            "before": 980,
            "after": 1960,
            "reason": "recommended: 2 to 3 chunks of 980 tokens/s",
        },
        {
            "path": "served_entities[ours].max_provisioned_throughput",
            "before": 980,
            "after": 2940,
            "reason": "recommended: 2 to 3 chunks of 980 tokens/s",
        },
    ]


def test_a_cost_delta_is_by_the_hour_and_by_the_month():
    cost = planned(chunks(2, 3), live_of(served("ours")))["cost_delta"]
    assert (cost["before"]["usd_per_hour_at_min"], cost["before"]["usd_per_hour_at_max"]) == (
        7.0,
        7.0,
    )
    assert (cost["after"]["usd_per_hour_at_min"], cost["after"]["usd_per_hour_at_max"]) == (
        14.0,
        21.0,
    )
    assert cost["delta"]["usd_per_month_at_max"] == pytest.approx(14 * 730)


def test_a_cost_that_is_not_known_is_null_and_says_why():
    plan = planned(chunks(2, 3), live_of(served("ours")), wish={"usd_per_chunk_hour": None})
    assert plan["cost_delta"]["delta"]["usd_per_hour_at_max"] is None
    assert plan["cost_delta"]["delta"]["chunks_at_max"] == 2


def test_no_version_keeps_the_one_that_serves_and_a_create_asks_for_it():
    plan = planned(
        chunks(2, 3), live_of(served("ours", entity_version="7")), wish={"version": None}
    )
    assert plan["after"]["served_entities"][0]["entity_version"] == "7"
    with pytest.raises(InputError, match=r"no version of ml.own.tokens; give --model-version"):
        planned(chunks(2, 3), None, wish={"version": None})
    with pytest.raises(InputError, match="names no endpoint; give --endpoint"):
        planned(chunks(2, 3), None, wish={"endpoint": None})


def test_scale_to_zero_follows_the_minimum_where_it_is_shown():
    live = live_of(served("ours", scale_to_zero_enabled=True))
    assert (
        planned(chunks(1, 2), live)["after"]["served_entities"][0]["scale_to_zero_enabled"] is False
    )
    assert (
        "scale_to_zero_enabled"
        not in planned(chunks(1, 2), live_of(served("ours")))["after"]["served_entities"][0]
    )


@pytest.mark.parametrize(
    ("capacity", "raw", "expected"),
    [
        (chunks(1, 2), {"optimizable": True, "throughput_chunk_size": 980}, None),
        (chunks(1, 2), {"optimizable": True, "throughput_chunk_size": 970}, "chunk of .* is 970 tokens/s here"),
        (chunks(1, 2), {"optimizable": True, "throughput_chunk_size": 490}, None),
        (chunks(1, 2), {"optimizable": False}, "not eligible for provisioned throughput here"),
        (chunks(1, 2), {}, "not eligible"),
        (chunks(1, 2), {"optimizable": True}, "sold in model units here; .* not eligible for Provisioned Throughput, although"),
        (units(2), {"optimizable": True, "throughput_chunk_size": 980}, "chunks of 980 tokens/s here and not in model units"),
        (units(2), {"optimizable": True}, None),
        (units(2), {}, None),
    ],
)  # fmt: skip
def test_the_wrong_kind_or_chunk_is_caught_before_it_is_sent(capacity, raw, expected):
    plan = planned(capacity, None, eligibility("m", "1", raw), burst={"": False})
    if expected is None:
        assert plan["action"] == "create"
    else:
        assert plan["action"] == "blocked"
        assert plan["request"] is None
        with pytest.raises(AssertionError, match=expected):
            raise AssertionError(plan["blocked"][0])


@pytest.mark.parametrize(
    "entity",
    [
        served("ours", environment_vars={"HF_TOKEN": "********"}),
        served("ours", environment_vars={"HF_TOKEN": "[REDACTED]"}),
        served("ours", external_model={"name": "gpt", "openai_config": {"openai_api_base": "x"}}),
    ],
)
def test_a_secret_that_a_replacement_would_lose_blocks(entity):
    plan = planned(chunks(2, 3), live_of(entity))
    assert plan["action"] == "blocked"
    assert "holds a secret" in plan["blocked"][0]


def test_plain_text_in_the_environment_is_pointed_out():
    plan = planned(
        chunks(2, 3), live_of(served("ours", environment_vars={"A": "b", "C": "{{secrets/a/b}}"}))
    )
    assert plan["notes"][-1].startswith("served_entities[ours].environment_vars.A: plain text")


def test_another_model_is_blocked_until_it_is_named():
    live = live_of(served("theirs", OTHER_MODEL))
    plan = planned(chunks(2, 3), live)
    assert (
        f"it does not serve {TOKENS_MODEL}: it serves theirs ({OTHER_MODEL})" in plan["blocked"][0]
    )
    plan = planned(chunks(2, 3), live, entity="theirs")
    assert "other-model" in {one["rule"] for one in plan["safety"]}
    assert "serves no entity nobody" in planned(chunks(2, 3), live, entity="nobody")["blocked"][0]


# --- burst ----------------------------------------------------------------------------------


def test_burst_must_be_said_and_is_always_sent():
    shown = served("ours", UNITS_MODEL)
    del shown["burst_scaling_enabled"]
    with pytest.raises(InputError, match=r"say whether it may burst .*--burst on\|off"):
        planned(units(2), live_of(shown))
    with pytest.raises(InputError, match="--burst"):
        planned(units(2), None)
    plan = planned(units(2), live_of(shown), burst={"": True})
    assert plan["after"]["served_entities"][0]["burst_scaling_enabled"] is True
    plan = planned(units(2), live_of(shown), known_burst={"ours": False})
    assert plan["after"]["served_entities"][0]["burst_scaling_enabled"] is False
    assert [one["path"] for one in plan["diff"]] == [
        "served_entities[ours].provisioned_model_units"
    ]


def test_burst_alone_is_a_change_unless_a_receipt_states_it():
    shown = served("ours", UNITS_MODEL)
    del shown["burst_scaling_enabled"]
    plan = planned(units(1), live_of(shown), burst={"": False})
    assert (plan["action"], plan["diff"][0]["before"]) == ("update", None)
    assert (
        planned(units(1), live_of(shown), burst={"": False}, known_burst={"ours": False})["action"]
        == "no_op"
    )
    assert (
        planned(units(1), live_of(shown), burst={"": False}, known_burst={"ours": True})["diff"][0][
            "before"
        ]
        is True
    )


def test_burst_of_other_entities_must_be_said_too():
    ours, theirs = (
        served("ours", UNITS_MODEL),
        served("theirs", "ml.own.units2", provisioned_model_units=50),
    )
    for one in (ours, theirs):
        one.pop("burst_scaling_enabled", None)
        one.pop("min_provisioned_throughput", None)
        one.pop("max_provisioned_throughput", None)
    with pytest.raises(InputError, match=r"--burst theirs=on\|off"):
        planned(units(2), live_of(ours, theirs), burst={"": False})
    plan = planned(units(2), live_of(ours, theirs), burst={"": False, "theirs": True})
    assert [one["burst_scaling_enabled"] for one in plan["after"]["served_entities"]] == [
        False,
        True,
    ]


# --- the rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (Change("chat", False, (1900, 3800), (1900, 3800)), []),
        (Change("chat", False, (1900, 3800), (2850, 3800)), []),
        (Change("chat", False, (1900, 3800), (2851, 3800)), ["cost-up"]),
        (Change("chat", False, (1900, 3800), (1900, 9500)), ["cost-up"]),
        (Change("chat", False, (1900, 3800), (1900, 9500), most_cost_increase=2.0), []),
        (Change("chat", False, None, (1900, 9500)), []),
        (Change("chat", False, (1900, 3800), (950, 1900)), []),
        (Change("chat", False, (1900, 3800), (950, 1899)), ["shrink"]),
        (Change("chat", False, (1900, 3800), (0, 3800)), ["min-to-zero", "shrink"]),
        (Change("chat", False, (0, 3800), (0, 3800)), []),
        (Change("chat", False, None, (0, 3800)), ["min-to-zero"]),
        (Change("chat", False, None, (1, 2), demand_tokens_per_s=3, rated_after_tokens_per_s=2), ["below-demand"]),
        (Change("chat", False, None, (1, 2), demand_tokens_per_s=2, rated_after_tokens_per_s=2), []),
        (Change("chat", False, None, (1, 2), feasible=False), ["promise-missed"]),
        (Change("databricks-chat", False, (1, 2), (1, 2)), ["name"]),
        (Change("chat", False, (1, 2), (1, 2), models=("a", "b")), ["other-model"]),
        (Change("chat", False, (1, 2), (1, 2), drifted=("x",)), ["foreign-edit"]),
    ],
)  # fmt: skip
def test_each_rule_trips_where_it_says(change, rules):
    assert [one["rule"] for one in tripped(change)] == rules


def test_every_rule_is_tested():
    names = {
        "name",
        "cost-up",
        "below-demand",
        "promise-missed",
        "min-to-zero",
        "shrink",
        "other-model",
        "foreign-edit",
    }
    assert set(safety.RULES) == names


def test_plan_over_the_wire_equals_plan_of_the_image(running):
    """What plans are made of is what GET shows, and nothing else."""
    running.workspace.create({"name": "chat", "config": {"served_entities": [served("ours")]}})
    clock, workspace = Waiting(running.clock), connect(running)
    live = workspace.get("chat")
    assert live is not None
    model = eligibility(TOKENS_MODEL, "1", workspace.optimization_info(TOKENS_MODEL, "1"))
    made = plan_of(workspace, clock, chunks(2, 3))
    assert made == plan_change(
        wish_of(recommendation(chunks(2, 3))), live, model, terms(workspace, clock)
    )
    assert made["fingerprint"] == images.fingerprint(live)
