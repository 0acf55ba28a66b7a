"""Alignment, from outside: whatever is asked, what is read back from the file is whole chunks or whole steps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from planner.cli import run

OWN_MODEL = ["--model", "ml.own.model", "--base-model"]
EMBEDDING = "system.ai.gte_large_en_v1_5"
CHUNK_MODELS = [
    "system.ai.llama_v3_3_70b_instruct",
    "system.ai.meta_llama_v3_1_8b_instruct:3",
    "system.ai.llama_v3_2_3b_instruct",
    EMBEDDING,
]
UNITS_MODEL = "system.ai.llama-4-maverick"
LATENCIES = [f"--{metric}-p{p}" for metric in ("ttft", "tpot", "e2e") for p in (50, 90, 95, 99)]


def log_of(rows: list[tuple[int, int, int]], *, embeds: bool) -> str:
    """Return requests as a log in the vidur layout; an embedding model gives no tokens back."""
    lines = [
        f"{at_ms / 1000},{tokens_in},{0 if embeds else tokens_out}"
        for at_ms, tokens_in, tokens_out in rows
    ]
    return "\n".join(["arrived_at,num_prefill_tokens,num_decode_tokens", *lines]) + "\n"


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """2 to 12 requests, not all at once, or as many small bursts: milliseconds, tokens in and out."""
    first, second = draw(st.lists(st.integers(0, 600_000), min_size=2, max_size=2, unique=True))
    more = draw(st.lists(st.integers(0, 600_000), max_size=10))
    tokens = st.tuples(st.integers(1, 6000), st.integers(0, 900))
    rows = [(at_ms, *draw(tokens)) for at_ms in (first, second, *more)]
    n_copies = draw(st.sampled_from([1, 10, 60]))
    return [(at_ms + 100 * i, *counts) for at_ms, *counts in rows for i in range(n_copies)]


@st.composite
def models(draw: st.DrawFn) -> tuple[list[str], int, bool]:
    """Flags that name a model, the step in which it must be bought, and whether that is of units."""
    chunk = draw(st.integers(1, 50_000))
    kind = draw(st.sampled_from(["own", "catalogue", "units", "own units"]))
    if kind == "own":
        base = draw(st.sampled_from(CHUNK_MODELS[:-1]))
        return [*OWN_MODEL, base, "--chunk-tokens-per-s", str(chunk)], chunk, False
    if kind == "catalogue":
        name = draw(st.sampled_from(CHUNK_MODELS))
        return ["--model", name, "--chunk-tokens-per-s", str(chunk)], chunk, False
    if kind == "units":
        return ["--model", UNITS_MODEL], 50, True
    step = draw(st.integers(1, 500))
    flags = ["--unit-step", str(step), "--tokens-per-s-per-step", str(chunk)]
    return [*OWN_MODEL, UNITS_MODEL, *flags], step, True


@st.composite
def promises(draw: st.DrawFn) -> list[str]:
    """Up to two latencies, from hopeless to trivial, and a share of refusals; or nothing at all."""
    flags = draw(st.lists(st.sampled_from(LATENCIES), max_size=2, unique=True))
    durations = st.sampled_from(["0.1ms", "20ms", "200ms", "2s", "20s", "5m", "1d"])
    promise = [part for flag in flags for part in (flag, draw(durations))]
    if draw(st.booleans()):
        promise += ["--max-refused", f"{draw(st.integers(0, 100))}%"]
    return promise


@st.composite
def behaviours(draw: st.DrawFn) -> list[str]:
    """How it scales and what becomes of the refused."""
    flags = ["--overflow", draw(st.sampled_from(["retry", "spill", "lose"]))]
    flags += ["--autoscaler", draw(st.sampled_from(["databricks", "hpa", "fixed"]))]
    if draw(st.booleans()):
        flags.append("--allow-zero")
    if draw(st.booleans()):
        flags += ["--start-chunks", str(draw(st.integers(1, 5)))]
    return flags


def check_what_is_read_back(rows, model, promise: list[str], behaviour: list[str]) -> None:
    flags, step, in_units = model
    with tempfile.TemporaryDirectory() as folder:
        trace, out = Path(folder, "log.csv"), Path(folder, "out")
        trace.write_text(log_of(rows, embeds=EMBEDDING in flags), encoding="utf-8")
        given = [str(trace), *flags, *promise, *behaviour, "--out", str(out), "--endpoint", "chat"]
        # The page takes longer to draw than all the rest, and says nothing that is asked here.
        with patch("reports.html.render_html", lambda report: ""):
            code = run(["recommend", *given, "--json", "--quiet"])
        assert code in (0, 3)
        data = json.loads((out / "recommendation.json").read_text(encoding="utf-8"))
    event(f"exit code {code}")
    (entity,) = data["request"]["body"]["config"]["served_entities"]
    if in_units:
        units = entity["provisioned_model_units"]
        assert isinstance(units, int)
        assert units % step == 0
        assert units > 0
        event(f"steps: {units // step}")
    else:
        low, high = entity["min_provisioned_throughput"], entity["max_provisioned_throughput"]
        assert isinstance(low, int)
        assert isinstance(high, int)
        assert low % step == 0
        assert high % step == 0
        assert 0 <= low <= high
        assert high > 0
        assert low > 0 or "--allow-zero" in behaviour
        event("scales" if low < high else "fixed")


@settings(max_examples=30)
@given(requests(), models(), promises(), behaviours())
def test_what_is_asked_for_is_whole_chunks(rows, model, promise, behaviour):
    """60 logs, models, promises and endpoints, through the command and back from the file."""
    check_what_is_read_back(rows, model, promise, behaviour)


@pytest.mark.slow
@settings(max_examples=600)
@given(requests(), models(), promises(), behaviours())
def test_what_is_asked_for_is_whole_chunks_at_length(rows, model, promise, behaviour):
    """Ten times as many."""
    check_what_is_read_back(rows, model, promise, behaviour)
