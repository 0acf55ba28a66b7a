"""The catalogue of measured services, the one assumed for other models, and a user's own file."""

import tomllib
from importlib import resources

import pytest

from simulations.errors import CatalogueError
from simulations.scenario import Service
from simulations.services import default_service, load_service, named_service, services

ROWS = tomllib.loads(resources.files("simulations").joinpath("services.toml").read_text())[
    "service"
]

# Milliseconds as published in the fit: base, per sequence, per token of context, per prefill token.
PUBLISHED_MS = {
    "llama-3-1-8b-bf16-h100-tp1-trtllm": (6.42, 0, 4.99e-5, 0.0196),
    "llama-3-1-8b-bf16-h100-tp2-trtllm": (4.42, 0.0040, 2.46e-5, 0.0121),
    "llama-3-1-8b-bf16-h100-tp8-trtllm": (2.45, 0.0461, 0, 0.0056),
    "llama-3-1-70b-fp8-h100-tp2-vllm": (17.33, 0.0734, 5.26e-5, 0.0229),
    "llama-3-1-70b-fp8-h100-tp4-vllm": (11.02, 0.0547, 2.79e-5, 0.0446),
    "llama-3-1-70b-fp8-h100-tp8-vllm": (8.82, 0.0630, 1.15e-5, 0.0298),
    "llama-3-1-70b-fp8-h200-tp1-vllm": (20.73, 0.0770, 6.66e-5, 0.1061),
    "llama-3-1-70b-fp8-h200-tp4-vllm": (9.18, 0.0455, 2.08e-5, 0.0424),
    "llama-3-1-70b-fp8-h200-tp2-trtllm": (11.41, 0.0231, 2.13e-5, 0.0657),
    "qwen3-32b-bf16-h100-tp4-vllm": (9.26, 0.0608, 2.53e-5, 0.0288),
    "qwen3-32b-fp8-h100-tp1-trtllm": (13.59, 0.0797, 2.96e-5, 0.0693),
}
MEMORY_GIB = {"H100": 80, "H200": 140}
BYTES_PER_S = {"H100": 3.35e12, "H200": 4.8e12}
OPERATIONS_PER_S = {"bf16": 0.99e15, "fp8": 1.98e15}


def test_every_published_row_is_there_with_its_times_in_seconds():
    found = {
        name: (s.iteration_s, s.sequence_s, s.context_s, s.prefill_s)
        for name, s in ((name, measured.service) for name, measured in services().items())
    }
    assert found == {
        name: pytest.approx([value / 1000 for value in row], rel=1e-12)
        for name, row in PUBLISHED_MS.items()
    }


@pytest.mark.parametrize("name", ROWS)
def test_kv_room_is_what_the_weights_leave_of_nine_tenths_of_memory(name):
    row = ROWS[name]
    room = 0.9 * MEMORY_GIB[row["gpu"]] * row["n_gpus"] * 2**30 - row["weights_bytes"]
    assert row["kv_tokens"] == room // row["kv_bytes_per_token"] // 1000 * 1000


@pytest.mark.parametrize("name", ROWS)
def test_an_iteration_reads_the_weights_no_faster_than_memory_allows(name):
    row = ROWS[name]
    assert row["weights_bytes"] / row["iteration_s"] / row["n_gpus"] < BYTES_PER_S[row["gpu"]]


@pytest.mark.parametrize("name", [name for name in ROWS if ROWS[name].get("default")])
def test_a_default_prefills_no_faster_than_its_gpus_multiply(name):
    row = ROWS[name]
    rate = 2e9 * row["active_parameters_b"] / row["prefill_s"] / row["n_gpus"]
    assert rate < OPERATIONS_PER_S[row["precision"]]


def test_every_service_is_assumed_and_names_commit_and_date():
    for measured in services().values():
        assert measured.service.assumed
        assert "095f58a5" in measured.service.source
        assert "2026-11-22" in measured.service.source


def test_changing_the_returned_catalogue_changes_nothing():
    services().clear()
    assert len(services()) == len(ROWS)


@pytest.mark.parametrize(
    ("active_parameters_b", "name"),
    [
        (8.0, "llama-3-1-8b-bf16-h100-tp1-trtllm"),
        (8.03, "llama-3-1-8b-bf16-h100-tp1-trtllm"),
        (70.0, "llama-3-1-70b-fp8-h100-tp4-vllm"),
        (70.6, "llama-3-1-70b-fp8-h100-tp4-vllm"),
    ],
)
def test_a_model_of_a_measured_size_gets_the_measurement_itself(active_parameters_b, name):
    assert default_service(active_parameters_b) == (named_service(name), [])


def test_another_size_scales_iteration_and_prefill_of_the_nearest_and_warns():
    measured = named_service("llama-3-1-8b-bf16-h100-tp1-trtllm")
    service, warnings = default_service(8.03 * 1.5)
    assert service.iteration_s == pytest.approx(measured.iteration_s * 1.5)
    assert service.prefill_s == pytest.approx(measured.prefill_s * 1.5)
    assert (service.sequence_s, service.context_s) == (measured.sequence_s, measured.context_s)
    assert (service.kv_tokens, service.max_sequences) == (467_000, measured.max_sequences)
    assert service.assumed
    assert "scaled by 1.5" in service.source
    assert len(warnings) == 1
    assert "12.045B" in warnings[0]
    assert "KV room of 467000 tokens kept" in warnings[0]


@pytest.mark.parametrize(
    ("active_parameters_b", "model"),
    [(0.3, "Llama-3.1-8B"), (20.0, "Qwen3-32B"), (45.0, "Qwen3-32B"), (405.0, "Llama-3.1-70B")],
)
def test_nearest_is_judged_by_ratio(active_parameters_b, model):
    assert model in default_service(active_parameters_b)[1][0]


def test_a_mixture_of_experts_is_warned_to_read_more_than_its_active_weights():
    _, warnings = default_service(70.6, total_parameters_b=400.0)
    assert len(warnings) == 1
    assert "70.6B of 400B" in warnings[0]
    assert default_service(70.6, total_parameters_b=70.6)[1] == []


@pytest.mark.parametrize("size", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_a_size_that_is_not_known_is_refused(size):
    with pytest.raises(CatalogueError):
        default_service(size)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(CatalogueError, match="llama-3-1-8b-bf16-h100-tp1-trtllm"):
        named_service("llama-3-1-8b-h100-tp1")


def test_a_users_file_becomes_the_service_it_describes(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        """
        [service]
        model = "Llama-3.1-8B"
        iteration_s = 0.006
        sequence_s = 0
        prefill_s = 2e-5
        kv_tokens = 400_000
        max_sequences = 128
        source = "calibrated on 2026-11-20"
        assumed = false
        per_chunk = true
        """
    )
    assert load_service(file) == Service(
        iteration_s=0.006,
        prefill_s=2e-5,
        kv_tokens=400_000,
        max_sequences=128,
        name="mine",
        source="calibrated on 2026-11-20",
        assumed=False,
        per_chunk=True,
    )


def test_a_row_of_the_catalogue_is_a_users_file_as_it_stands(tmp_path):
    name = "qwen3-32b-bf16-h100-tp4-vllm"
    text = resources.files("simulations").joinpath("services.toml").read_text()
    table = text.split(f"[service.{name}]")[1].split("[service.")[0]
    file = tmp_path / f"{name}.toml"
    file.write_text("[service]" + table)
    loaded, catalogued = load_service(file), named_service(name)
    assert loaded.iteration_s == catalogued.iteration_s
    assert (loaded.kv_tokens, loaded.name) == (catalogued.kv_tokens, name)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no table [service]"),
        ("service = 3", "there is no table [service]"),
        ("[service]", "iteration_s is missing"),
        ("[service.a]\niteration_s = 1\n[service.b]\niteration_s = 1", "2 tables"),
        ("[service]\niteration_s = 0", "iteration_s is 0.0; must be at least 1e-11 s"),
        ("[service]\niteration_s = -1.0", "iteration_s is -1.0"),
        ("[service]\niteration_s = '6 ms'", "iteration_s is '6 ms'; must be a number of seconds"),
        ("[service]\niteration_s = true", "iteration_s is True"),
        ("[service]\niteration_s = nan", "iteration_s is nan"),
        ("[service]\niteration_s = 1\nkv_tokens = 1.5", "kv_tokens is 1.5; must be a whole number"),
        ("[service]\niteration_s = 1\nassumed = 1", "assumed is 1; must be true or false"),
        ("[service]\niteration_s = 1\nsource = 7", "source is 7; must be text"),
        ("[service]\niteration_s = 1\nprefil_s = 1", "did you mean prefill_s?"),
        ("[service]\niteration_s = 1\niteration_s = 2", "is not TOML"),
        ("[service\n", "is not TOML"),
        ("[service]\niteration_s = 1\ntoken_budget = 8\nmax_sequences = 9", "token_budget is 8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line_that_names_it(tmp_path, text, told):
    file = tmp_path / "service.toml"
    file.write_text(text)
    with pytest.raises(CatalogueError) as refusal:
        load_service(file)
    assert told in str(refusal.value)
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    with pytest.raises(CatalogueError, match=r"nowhere\.toml: cannot be read"):
        load_service(tmp_path / "nowhere.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogueError, match="is not TOML"):
        load_service(binary)
