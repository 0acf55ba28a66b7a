"""The sandbox's OpenAPI document, tried by schemathesis, and its page, run as printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import requests
from workspace import TOKEN, running_workspace, workspace_process

from planner.endpoint.sandbox.faults import KINDS, Fault
from planner.endpoint.sandbox.wire import CONTROL

PAGE = Path(__file__).parents[1] / "docs/sandbox.md"


def schemathesis(url: str, folder: Path, *flags: str) -> None:
    """Let schemathesis send what the document allows and what it forbids, and judge every answer.

    All its checks but one: a body of the right form may well be refused, since a form cannot say that a
    number is a multiple of a chunk.
    """
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"]
    done = subprocess.run(
        [*command, "--header", f"Authorization: Bearer {TOKEN}", "--exclude-checks", "positive_data_acceptance", "--no-color", *flags],
        capture_output=True,
        text=True,
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 14" in done.stdout


# Sizes of one, so that ranges and units that are drawn are often sold.
SOLD = ("ml.own.model=1", "ml.own.units=1units")


def test_schemathesis_finds_no_fault_in_a_few_requests(tmp_path):
    with running_workspace(token=TOKEN, models=SOLD) as running:
        schemathesis(running.url, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "3", "--seed", "1")  # fmt: skip
        answered = {(e.method, e.status) for e in running.exchanges()}
        assert {("POST", 200), ("POST", 400), ("GET", 200)} <= answered
        assert not any((e.status or 500) >= 500 for e in running.exchanges())


@pytest.mark.slow
def test_schemathesis_finds_no_fault_in_thousands_of_requests(tmp_path):
    with running_workspace(token=TOKEN, models=SOLD) as running:
        schemathesis(
            running.url, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "25"
        )
        assert len(running.exchanges()) > 1000
        assert not any((e.status or 500) >= 500 for e in running.exchanges())


def test_the_document_holds_the_api_and_no_control_route():
    with running_workspace() as running:
        document = requests.get(f"{running.url}/openapi.json", timeout=120).json()
    page = PAGE.read_text(encoding="utf-8")
    assert not any(path.startswith(CONTROL) for path in document["paths"])
    for path in document["paths"]:
        last = re.sub(r"\{\w+\}", "{", path).rpartition("/")[2]
        assert last in page, path
    body = document["paths"]["/api/2.0/serving-endpoints/pt"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"]["$ref"].endswith(
        "/CreatePtEndpointRequest"
    )


def test_every_fault_and_every_control_route_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in page] == []
    assert [field.name for field in fields(Fault) if f"`{field.name}`" not in page and f'"{field.name}"' not in page] == []  # fmt: skip
    with running_workspace() as running:
        api = running.sandbox.wire._application
        routes = {
            (method, route.path)
            for route in api.routes
            if route.path.startswith(CONTROL)
            for method in route.methods
        }
    for method, path in routes:
        assert f"`{method} {path}`" in page or f"`GET {path}`, `{method}`" in page


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_rehearsal_of_the_page_runs_as_printed(tmp_path):
    serve, rehearse = re.findall(
        r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    assert serve == "ptplan sandbox --port 8123\n"
    with workspace_process(cwd=tmp_path) as process:
        port = process.url.rpartition(":")[2]
        done = subprocess.run(
            ["bash", "-euc", rehearse.replace("8123", port)],
            capture_output=True,
            text=True,
            check=True,
        )
    decoder, text, answers = json.JSONDecoder(), done.stdout, []
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:]
    info, made, _, told = answers
    assert info == {"optimizable": True, "model_type": "llama", "throughput_chunk_size": 980}
    assert made["state"]["config_update"] == "IN_PROGRESS"
    assert told["state"]["ready"] == "READY"
