"""What is known of models, what is refused, and that no price is joined to a chunk by guess."""

import re
from datetime import date

import pytest

from planner.catalogue import (
    ChunkChoice,
    Model,
    ModelName,
    StepChoice,
    chunk_of,
    find_model,
    model_for,
    model_warnings,
    models,
    parse_model_name,
    query_rate_warning,
    service_of,
    step_of,
)
from planner.prices import dbu_price, pairings, price_of
from simulations.errors import CatalogueError
from simulations.services import named_service

LLAMA_70B = "system.ai.llama_v3_3_70b_instruct"
LLAMA_8B = "system.ai.meta_llama_v3_1_8b_instruct"
MAVERICK = "system.ai.llama-4-maverick"
OWN = "ml.llm-catalog.foundation-model"


# --- the file


def test_no_two_models_share_a_name():
    names = [name.lower() for model in models().values() for name in (model.name, *model.aliases)]
    assert len(names) == len(set(names))


def test_every_instruct_variant_that_is_pointed_to_can_be_bought():
    targets = [model.instruct for model in models().values() if model.instruct]
    assert targets
    for target in targets:
        assert find_model(target).name == target


def test_every_number_on_sale_has_a_sensible_size_and_date():
    for model in models().values():
        for sighting in model.chunks:
            assert sighting.tokens_per_s >= 1
            assert sighting.source
            assert re.fullmatch(r"(\d{4}-\d{2}(-\d{2})?)?", sighting.date)
        assert all(dbu > 0 for dbu in model.dbu_per_h.values())
        if model.retired_on:
            assert model.retired
            assert date.fromisoformat(model.retired_on) < date(2026, 11, 22)
        if model.total_parameters_b is not None:
            assert model.active_parameters_b is not None
            assert model.total_parameters_b > model.active_parameters_b


def test_an_embedding_model_has_no_price_of_output():
    embedding = [model for model in models().values() if model.embedding]
    assert len(embedding) == 3
    assert all(model.output_dbu_per_million is None for model in embedding)


# --- finding a model


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (LLAMA_70B, ModelName(LLAMA_70B, None)),
        (f" {LLAMA_70B}:12 ", ModelName(LLAMA_70B, "12")),
    ],
)
def test_a_version_stands_behind_a_colon(text, parsed):
    assert parse_model_name(text) == parsed


@pytest.mark.parametrize("text", ["", ":1", "a:", "a:x", "a:0", "a:1:2", "a:1.5", "a:\u00b2"])
def test_a_name_or_version_that_is_none_is_refused(text):
    with pytest.raises(CatalogueError):
        parse_model_name(text)


@pytest.mark.parametrize(
    "name",
    [
        LLAMA_70B,
        f"{LLAMA_70B}:1",
        LLAMA_70B.upper(),
        "system.ai.meta_llama_v3_3_70b_instruct",
        "databricks-meta-llama-3-3-70b-instruct",
    ],
)
def test_a_model_is_found_by_any_of_its_names(name):
    assert find_model(name) is models()[LLAMA_70B]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("system.ai.llama_v3_3_70b", f"not in the catalogue (near: {LLAMA_70B}"),
        ("system.ai.lama_v3_3_70b_instruct", LLAMA_70B),
        ("lama33", "near: system.ai.llama_v3_3_70b_instruct"),
        ("llama", "more); for a model of your own"),
        ("Llama 3.3 70B", "near: system.ai.llama_v3_3_70b_instruct)"),
        ("system.ai.meta_llama_v3_1_405b", "retired since 2026-05-15"),
        ("system.ai.dbrx_instruct", "DBRX) is retired (since when is not known)"),
        ("system.ai.meta_llama_v3_1_8b", f"only the Instruct variant of a Llama can be served from "
         f"system.ai (docs.databricks.com/aws/en/machine-learning/foundation-model-apis/"
         f"deploy-prov-throughput-foundation-model-apis, 2026-06-18); use {LLAMA_8B}"),
        ("system.ai.kimi-k3", "pay-per-token only"),
    ],
)  # fmt: skip
def test_what_cannot_be_bought_is_refused_in_one_line_with_the_reason(name, told):
    with pytest.raises(CatalogueError) as refusal:
        find_model(name)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


# --- models of one's own


def test_a_fine_tune_takes_size_and_context_from_its_base_and_no_chunk_or_price():
    own = model_for(f"{OWN}:3", base_model=LLAMA_70B, chunk_tokens_per_s=980)
    assert own == Model(
        name=OWN,
        family="based on Meta Llama 3.3 70B",
        kind="token_chunks",
        active_parameters_b=70.6,
        context_limit_tokens=128_000,
    )


def test_a_fine_tune_may_be_based_on_a_base_model_but_not_on_a_retired_one():
    base = "system.ai.meta_llama_v3_1_8b"
    own = model_for(OWN, base_model=base, chunk_tokens_per_s=980)
    assert own.active_parameters_b == 8.03
    with pytest.raises(CatalogueError, match="retired"):
        model_for(OWN, base_model="system.ai.dbrx_base", chunk_tokens_per_s=980)


def test_a_service_stands_in_for_a_base_model():
    own = model_for(OWN, chunk_tokens_per_s=980, has_service=True)
    assert (own.kind, own.active_parameters_b) == ("token_chunks", None)
    with pytest.raises(CatalogueError, match="--base-model NAME or --service FILE"):
        service_of(own)


def test_a_fine_tune_of_a_model_in_units_is_sold_in_units():
    own = model_for(OWN, base_model=MAVERICK, unit_step=50, tokens_per_s_per_step=3000)
    assert own.kind == "model_units"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ["--chunk-tokens-per-s N", "--base-model NAME or --service FILE"]),
        ({"base_model": LLAMA_8B}, ["--chunk-tokens-per-s N"]),
        ({"has_service": True}, ["--chunk-tokens-per-s N"]),
        ({"chunk_tokens_per_s": 980}, ["--base-model NAME or --service FILE"]),
        ({"base_model": MAVERICK}, ["--unit-step N", "--tokens-per-s-per-step X"]),
        ({"base_model": MAVERICK, "chunk_tokens_per_s": 980}, ["--unit-step N", "--tokens-per-s-per-step X"]),
        ({"unit_step": 50}, ["--tokens-per-s-per-step X", "--base-model NAME or --service FILE"]),
    ],
)  # fmt: skip
def test_everything_that_is_missing_is_named_at_once(given, missing):
    with pytest.raises(CatalogueError) as refusal:
        model_for(OWN, **given)
    wanted = re.sub(r" \(the throughput_chunk_size.*?\)", "", str(refusal.value))
    assert wanted.endswith(f"still missing: {', and '.join(missing)}")


def test_a_catalogue_model_needs_nothing_more():
    assert model_for(LLAMA_8B) is find_model(LLAMA_8B)
    with pytest.raises(CatalogueError, match="retired"):
        model_for("system.ai.dbrx_base", chunk_tokens_per_s=980, base_model=LLAMA_8B)


def test_a_base_model_that_is_unknown_is_refused():
    with pytest.raises(CatalogueError, match="base model nonsense is not in the catalogue"):
        model_for(OWN, base_model="nonsense", chunk_tokens_per_s=980)


# --- services


def test_a_models_service_keeps_its_context_limit_and_warnings():
    service, warnings = service_of(find_model(LLAMA_70B))
    assert (service.context_limit_tokens, warnings) == (128_000, [])
    measured = named_service("llama-3-1-70b-fp8-h100-tp4-vllm")
    assert service.iteration_s == measured.iteration_s
    _, warnings = service_of(find_model(MAVERICK))
    assert len(warnings) == 2  # another size, and a mixture of experts


# --- sizes


def test_the_latest_chunk_that_was_seen_is_taken_and_the_others_named():
    choice = chunk_of(find_model(LLAMA_70B))
    assert (choice.tokens_per_s, choice.date, choice.overridden) == (1580, "2026-02-12", False)
    (warning,) = choice.warnings
    assert "9500 tokens/s (as a maximum, version 1, 2025-03)" in warning
    assert "get-model-optimization-info" in warning


def test_a_maximum_is_never_taken_for_a_chunk():
    """The latest sighting of the 8B model is a maximum of 1240; the chunk is older."""
    assert chunk_of(find_model(LLAMA_8B)).tokens_per_s == 19_000
    with pytest.raises(CatalogueError, match=r"not known; seen: 2400 tokens/s \(as a maximum"):
        chunk_of(find_model("system.ai.meta_llama_v3_1_70b_instruct"))


def test_a_sighting_of_the_asked_version_is_preferred_and_another_is_warned_about():
    model = find_model(LLAMA_8B)
    assert chunk_of(model, version="2").tokens_per_s == 970
    assert len(chunk_of(model, version="2").warnings) == 1
    choice = chunk_of(model, version="4")
    assert choice.tokens_per_s == 19_000
    assert "seen on version 3" in choice.warnings[0]


def test_the_users_chunk_ends_the_search():
    choice = chunk_of(find_model(LLAMA_8B), tokens_per_s=19_000)
    assert choice == ChunkChoice(19_000, source="given by the user", overridden=True)
    with pytest.raises(CatalogueError, match="--chunk-tokens-per-s is 0"):
        chunk_of(find_model(LLAMA_8B), tokens_per_s=0)


def test_the_two_families_are_not_mixed_up():
    with pytest.raises(CatalogueError, match="is sold in model units"):
        chunk_of(find_model(MAVERICK), tokens_per_s=980)
    with pytest.raises(CatalogueError, match="is sold in tokens/s"):
        step_of(find_model(LLAMA_8B), unit_step=50, tokens_per_s_per_step=1)


def test_what_a_step_serves_is_known_for_maverick_only():
    step = step_of(find_model(MAVERICK))
    assert (step.step_units, step.tokens_per_s, step.overridden) == (50, 3250, False)
    assert "3500:300" in step.warnings[0]
    known = []
    for model in models().values():
        if model.kind == "model_units":
            try:
                step_of(model)
            except CatalogueError:
                continue
            known.append(model.name)
    assert known == [MAVERICK]


@pytest.mark.parametrize(
    ("name", "given", "missing"),
    [
        ("system.ai.gpt-oss-120b", {}, "--tokens-per-s-per-step X"),
        ("system.ai.glm-5-2", {}, "--unit-step N and --tokens-per-s-per-step X"),
        ("system.ai.glm-5-2", {"tokens_per_s_per_step": 9}, "--unit-step N"),
        (MAVERICK, {"unit_step": 25}, "--tokens-per-s-per-step X"),
    ],
)
def test_what_is_not_known_of_units_must_be_given(name, given, missing):
    with pytest.raises(CatalogueError) as refusal:
        step_of(find_model(name), **given)
    assert str(refusal.value).endswith(f"give {missing}")


def test_given_units_are_taken_as_given():
    step = step_of(find_model("system.ai.gpt-oss-120b"), tokens_per_s_per_step=4000)
    assert step == StepChoice(50, 4000, source="given by the user", overridden=True)
    with pytest.raises(CatalogueError, match="--unit-step is 0"):
        step_of(find_model(MAVERICK), unit_step=0)


# --- money


def test_a_dbu_costs_what_its_region_asks():
    assert dbu_price("AWS", "sa-east-1") == 0.112
    assert dbu_price("azure", "westeurope") == 0.084
    with pytest.raises(CatalogueError, match=r"us-east-1.*--usd-per-dbu"):
        dbu_price("aws", "us-east-9")
    with pytest.raises(CatalogueError, match="must be one of aws, azure, gcp"):
        dbu_price("oracle", "us-east-1")


def test_both_candidates_of_the_70b_model_are_listed_and_none_was_seen_together():
    found = [
        (p.size, p.tier, p.dbu_per_h, p.usd_per_chunk_hour, p.seen_together)
        for p in pairings(find_model(LLAMA_70B))
    ]
    assert found == [
        (1580, "scaling", 342.857, 23.99999, False),
        (1580, "entry", 85.714, 5.99998, False),
        (9500, "scaling", 342.857, 23.99999, False),
        (9500, "entry", 85.714, 5.99998, False),
    ]


def test_one_pairing_of_all_was_seen_together():
    seen = [
        (model.name, p.size, p.tier, p.dbu_per_h)
        for model in models().values()
        for p in pairings(model)
        if p.seen_together
    ]
    assert seen == [(LLAMA_8B, 19_000, "scaling", 106.0)]


def test_entry_capacity_is_not_offered_on_gcp():
    found = pairings(find_model(LLAMA_70B), cloud="gcp", region="us-central1")
    assert {p.tier for p in found} == {"scaling"}


def test_a_pair_seen_together_is_priced_at_the_regions_rate():
    model = find_model(LLAMA_8B)
    price, notes = price_of(model, chunk_of(model), region="eu-central-1")
    assert price.usd_per_chunk_hour == pytest.approx(106 * 0.084)
    assert price.input_usd_per_million == pytest.approx(2.143 * 0.084)
    assert price.output_usd_per_million == pytest.approx(6.429 * 0.084)
    assert (price.date, price.assumed, notes) == ("2026-04-10", True, [])
    assert "106 DBU/h seen with 19000 tokens/s" in price.source


def test_no_catalogue_price_is_attached_to_anything_else():
    """Every model that can be sized, both tiers, and every chunk given by hand."""
    for model in models().values():
        sizes = []
        if model.kind == "token_chunks":
            sizes += [chunk_of(model, tokens_per_s=s.tokens_per_s) for s in model.chunks]
            if any(s.seen_as == "chunk" for s in model.chunks):
                sizes.append(chunk_of(model))
        elif model.kind == "model_units":
            sizes.append(step_of(model, unit_step=50, tokens_per_s_per_step=1000))
        for size in sizes:
            for tier in ("scaling", "entry"):
                seen = (model.name, size.overridden, tier) == (LLAMA_8B, False, "scaling")
                seen |= model.family == "Meta Llama 2 7B" and not size.overridden
                price, notes = price_of(model, size, tier=tier)
                assert (price.usd_per_chunk_hour is not None) == seen
                assert len(notes) == (0 if seen else 1)


def test_a_note_lists_what_the_candidates_would_cost():
    model = find_model(LLAMA_70B)
    price, (note,) = price_of(model, chunk_of(model))
    assert price.usd_per_chunk_hour is None
    assert price.input_usd_per_million == pytest.approx(0.5, rel=1e-3)
    assert "342.857 DBU/h (scaling) = 24.00 USD/h, 85.714 DBU/h (entry) = 6.00 USD/h" in note
    assert "--usd-per-chunk-hour" in note


@pytest.mark.parametrize(
    ("given", "usd", "assumed", "date_"),
    [
        ({"usd_per_chunk_hour": 24.0}, 24.0, False, ""),
        ({"dbu_per_chunk_hour": 342.857}, 23.99999, True, "2026-04-10"),
        ({"dbu_per_chunk_hour": 100.0, "usd_per_dbu": 0.05}, 5.0, False, ""),
        ({"usd_per_chunk_hour": 0.0}, 0.0, False, ""),
    ],
)
def test_a_given_rate_is_the_price(given, usd, assumed, date_):
    model = find_model(LLAMA_70B)
    price, notes = price_of(model, chunk_of(model, tokens_per_s=9500), **given)
    assert (price.usd_per_chunk_hour, price.assumed, price.date, notes) == (usd, assumed, date_, [])
    assert "given by the user" in price.source


def test_a_given_price_of_a_dbu_needs_no_region():
    model = find_model(LLAMA_8B)
    price, _ = price_of(model, chunk_of(model), region="moon", usd_per_dbu=0.05)
    assert (price.usd_per_chunk_hour, price.input_usd_per_million) == (5.3, 0.10715)


def test_given_prices_of_tokens_are_taken():
    own = model_for(OWN, base_model=LLAMA_70B, chunk_tokens_per_s=980)
    price, _ = price_of(own, chunk_of(own, tokens_per_s=980), input_price=1.0, output_price=2.0)
    assert (price.input_usd_per_million, price.output_usd_per_million) == (1.0, 2.0)
    price, (note,) = price_of(own, chunk_of(own, tokens_per_s=980))
    assert (price.input_usd_per_million, price.output_usd_per_million) == (None, None)
    assert "candidates" not in note


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dbu_per_chunk_hour": 1.0, "usd_per_chunk_hour": 1.0}, "not both"),
        ({"usd_per_chunk_hour": -1.0}, "is -1.0"),
        ({"dbu_per_chunk_hour": -1.0}, "--dbu-per-chunk-hour is -1.0"),
        ({"usd_per_dbu": float("nan")}, "--usd-per-dbu is nan"),
        ({"tier": "best"}, "must be scaling or entry"),
        ({"region": "moon"}, "no price of a DBU is known for aws moon"),
    ],
)
def test_a_price_that_cannot_be_is_refused(given, told):
    model = find_model(LLAMA_8B)
    with pytest.raises(CatalogueError, match=told):
        price_of(model, chunk_of(model), **given)


# --- warnings


def test_the_legacy_workflow_is_warned_about_and_model_units_are_not():
    (warning,) = model_warnings(find_model(LLAMA_70B))
    assert "legacy" in warning
    assert model_warnings(find_model(MAVERICK)) == []


@pytest.mark.parametrize(("peak", "warned"), [(0.0, False), (200.0, False), (200.5, True)])
def test_more_than_200_queries_a_second_are_warned_about(peak, warned):
    assert (query_rate_warning(peak) is not None) == warned
