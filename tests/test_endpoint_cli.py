"""The commands that act, from outside: exit codes, prompts, files, what survives a kill, and where no token is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rehearsal import OTHER_MODEL, SALE, TOKENS_MODEL, chunks, recommendation, served, units
from workspace import INSTANT, Running, Timings, running_workspace

from planner import files
from planner.cli import run
from planner.endpoint import receipts
from planner.endpoint.emit import FORMATS
from planner.endpoint.sandbox import wire

SECRET = "dapi0123456789abcdef-never-written"


@pytest.fixture(scope="module")
def served_workspace() -> Iterator[Running]:
    with running_workspace(models=SALE, token=SECRET) as running:
        yield running


@pytest.fixture
def running(served_workspace, tmp_path, monkeypatch) -> Running:
    """A workspace, named by the environment; the working directory is empty but for a recommendation."""
    served_workspace.forget()
    served_workspace.workspace.timings = INSTANT
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABRICKS_HOST", served_workspace.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", SECRET)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", os.devnull)
    recommend(chunks(1, 2))
    return served_workspace


def recommend(capacity, **given) -> None:
    files.write(Path("recommendation.json"), files.to_json(recommendation(capacity, **given)))


def writes(running: Running) -> int:
    return len([e for e in running.exchanges() if e.method != "GET"])


def answer(monkeypatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO(text))


# --- the whole way --------------------------------------------------------------------------


def test_the_whole_story_by_its_exit_codes(running, capsys):
    assert run(["plan", "recommendation.json", "--detailed-exitcode"]) == 2
    assert run(["apply", "plan.json", "--auto-approve"]) == 0
    assert run(["apply", "plan.json", "--auto-approve"]) == 0
    assert writes(running) == 1
    assert run(["verify", "receipt.json"]) == 0
    assert run(["plan", "recommendation.json", "--detailed-exitcode", "--out", "again.json"]) == 0
    edit = {"served_entities": [served("ours", max_provisioned_throughput=9800)]}
    running.workspace.rival("chat", "edit", edit)
    assert run(["verify", "receipt.json"]) == 2
    assert run(["apply", "again.json", "--auto-approve", "--force"]) == 4
    assert "stale" in capsys.readouterr().err
    assert run(["rollback", "receipt.json"]) == 4
    assert "databricks serving-endpoints delete chat" in capsys.readouterr().err
    assert run(["plan", "recommendation.json"]) == 0
    assert run(["apply", "plan.json", "--auto-approve"]) == 4
    assert "shrink: the maximum shrinks by more than half" in capsys.readouterr().err
    assert run(["apply", "plan.json", "--auto-approve", "--force"]) == 0
    assert run(["rollback", "receipt.json", "--auto-approve", "--force"]) == 0
    told = running.workspace.get("chat")["config"]["served_entities"][0]
    assert told["max_provisioned_throughput"] == 9800
    assert run(["verify", "rollback.json"]) == 0
    assert len(Path("audit.jsonl").read_text().splitlines()) >= 4
    assert running.exchanges("DELETE") == []


def test_apply_takes_a_recommendation_and_makes_the_plan_itself(running, capsys):
    assert run(["apply", "recommendation.json", "--auto-approve"]) == 0
    shown = capsys.readouterr().out
    assert "Plan: 1 endpoint to create" in shown
    assert "applied: the endpoint is ready" in shown
    assert receipts.read(Path("receipt.json"))["state"] == "applied"


def test_json_is_all_that_is_on_stdout(running, capsys):
    assert run(["plan", "recommendation.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == "create"
    assert run(["apply", "plan.json", "--auto-approve", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "applied"
    assert run(["verify", "receipt.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drifted"] is False
    assert run(["chunk", TOKENS_MODEL, "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chunk_tokens_per_s"] == 980


def test_a_block_for_a_pull_request_names_every_change(running, capsys):
    running.workspace.create({"name": "chat", "config": {"served_entities": [served("ours")]}})
    assert run(["plan", "recommendation.json", "-o", "markdown"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("### ptplan: change `chat`\n")
    assert (
        "| `served_entities[ours].max_provisioned_throughput` | 980 | 1960 | recommended: 1 to 2 chunks of 980 tokens/s |"
        in shown
    )


def test_units_need_burst_said_once_and_then_a_receipt_says_it(running, capsys):
    recommend(units(2))
    assert run(["plan", "recommendation.json"]) == 1
    assert "--burst on|off" in capsys.readouterr().err
    assert run(["apply", "recommendation.json", "--burst", "off", "--auto-approve"]) == 0
    recommend(units(3))
    assert run(["plan", "recommendation.json", "--receipt", "receipt.json"]) == 0
    assert run(["apply", "plan.json", "--auto-approve"]) == 0
    assert list(running.workspace.burst_flags("chat").values()) == [False]
    assert (
        run(["plan", "recommendation.json", "--receipt", "receipt.json", "--detailed-exitcode"])
        == 0
    )


# --- asking ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "code"), [("yes\n", 0), ("no\n", 1), ("y\n", 1), ("", 1)])
def test_apply_asks(said, code, running, monkeypatch, capsys):
    answer(monkeypatch, said)
    assert run(["apply", "recommendation.json"]) == code
    printed = capsys.readouterr()
    assert "Type yes to go on" in printed.err
    assert writes(running) == (code == 0)


def test_where_a_rule_trips_the_name_is_typed(running, monkeypatch, capsys):
    recommend(chunks(0, 2))
    assert run(["apply", "recommendation.json"]) == 4
    assert "min-to-zero" in capsys.readouterr().err
    answer(monkeypatch, "yes\n")
    assert run(["apply", "recommendation.json", "--force"]) == 1
    assert "Type the endpoint's name, chat," in capsys.readouterr().err
    answer(monkeypatch, "chat\n")
    assert run(["apply", "recommendation.json", "--force"]) == 0


def test_what_was_reviewed_takes_no_further_flags(running, capsys):
    assert run(["plan", "recommendation.json"]) == 0
    assert run(["apply", "plan.json", "--entity", "other", "--auto-approve"]) == 1
    assert "taken as it was reviewed; leave --entity away" in capsys.readouterr().err


def test_defaults_in_a_file_do_not_stand_in_the_way_of_a_plan_and_never_force(running, capsys):
    Path("ptplan.toml").write_text('endpoint = "chat"\nentity = "x"\n', encoding="utf-8")
    assert run(["emit", "recommendation.json"]) == 0
    Path("ptplan.toml").write_text('endpoint = "chat"\n', encoding="utf-8")
    assert run(["plan", "recommendation.json"]) == 0
    assert run(["apply", "plan.json", "--auto-approve"]) == 0
    Path("ptplan.toml").write_text("force = true\n", encoding="utf-8")
    assert run(["apply", "plan.json"]) == 1
    assert "'force' is no flag of any command" in capsys.readouterr().err


def test_a_recommendation_without_names_says_what_is_missing(running, capsys):
    recommend(chunks(1, 2), endpoint=None, version=None)
    assert run(["plan", "recommendation.json"]) == 1
    assert "names no endpoint; give --endpoint NAME" in capsys.readouterr().err
    assert run(["plan", "recommendation.json", "--endpoint", "chat"]) == 1
    assert "give --model-version N" in capsys.readouterr().err
    assert run(["emit", "recommendation.json", "--endpoint", "chat"]) == 1
    assert "give --model-version N" in capsys.readouterr().err
    assert run(["plan", "recommendation.json", "--endpoint", "chat", "--model-version", "1"]) == 0


def test_a_blocked_plan_is_written_and_exits_with_4(running, capsys):
    running.workspace.create(
        {"name": "chat", "config": {"served_entities": [served("x", OTHER_MODEL)]}}
    )
    assert run(["plan", "recommendation.json"]) == 4
    assert "it does not serve" in capsys.readouterr().out
    assert run(["apply", "plan.json", "--auto-approve", "--force"]) == 4


def audited() -> list[tuple[str, str, str]]:
    lines = map(json.loads, Path("audit.jsonl").read_text().splitlines())
    return [(one["what"], one["state"], one["outcome"]) for one in lines]


def test_a_plan_that_is_refused_before_its_receipt_leaves_a_line_in_the_audit(running, monkeypatch):
    recommend(chunks(0, 2))
    assert run(["plan", "recommendation.json"]) == 0
    assert run(["apply", "plan.json", "--auto-approve"]) == 4
    answer(monkeypatch, "no\n")
    assert run(["apply", "plan.json", "--force"]) == 1
    running.workspace.create({"name": "chat", "config": {"served_entities": [served("x")]}})
    assert run(["apply", "plan.json", "--auto-approve", "--force"]) == 4
    unsafe, unapproved, stale = audited()
    assert unsafe[:2] == unapproved[:2] == stale[:2] == ("apply", "refused")
    assert "min-to-zero" in unsafe[2]
    assert unapproved[2] == "not approved; nothing was sent"
    assert "stale" in stale[2]
    assert not Path("receipt.json").exists()
    assert writes(running) == 0


def test_a_create_that_is_not_rolled_back_leaves_a_line_in_the_audit(running):
    assert run(["apply", "recommendation.json", "--auto-approve"]) == 0
    assert run(["rollback", "receipt.json"]) == 4
    what, state, outcome = audited()[-1]
    assert (what, state) == ("rollback", "refused")
    assert "ptplan deletes nothing" in outcome


def test_nobody_approves_what_he_is_not_shown(running, monkeypatch, capsys):
    answer(monkeypatch, "yes\n")
    assert run(["apply", "recommendation.json", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["state"] == "applied"
    assert "max_provisioned_throughput: 1960" in printed.err.partition("Type yes")[0]


def test_an_empty_flag_is_a_mistake_and_not_the_default(running, capsys):
    for flag in ("--endpoint", "--model-version"):
        assert run(["plan", "recommendation.json", flag, ""]) == 1
    assert not Path("plan.json").exists()


@pytest.mark.parametrize("command", ["apply", "verify", "rollback", "emit", "plan"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1}', "\x00"])
def test_a_file_that_is_something_else_is_refused_in_one_line(command, content, running, capsys):
    Path("wrong.json").write_text(content)
    assert run([command, "wrong.json"]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "wrong.json" in printed.err
    assert running.exchanges() == [] or command == "plan"


# --- a kill ---------------------------------------------------------------------------------


def until(true: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    """Wait for something, which a process must live to see."""
    deadline = time.monotonic() + 180
    while not true():
        assert process is None or process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("phase", "method"),
    [
        ("sending", "POST"),
        ("sent", ""),
        pytest.param("new", "GET", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_a_killed_apply_is_resumed_and_creates_nothing_twice(
    phase, method, moment, running, monkeypatch
):
    """The sandbox answers no sooner than the apply is dead."""
    running.workspace.timings = Timings(create_s=3600.0, update_s=3600.0)
    assert run(["plan", "recommendation.json"]) == 0
    dead = threading.Event()

    async def held(_: float) -> None:
        while not dead.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(wire, "asyncio", SimpleNamespace(sleep=held))
    # The look before the prompt is the first question; the one in the phase is the second.
    skip = 1 if method == "GET" else 0
    if method:
        running.fault(
            "slow", moment, method=method, path="/serving-endpoints", skip=skip, times=1, seconds=1
        )
    process = subprocess.Popen(
        [sys.executable, "-m", "planner.cli", "apply", "plan.json", "--auto-approve", "--quiet"]
    )
    path = Path("receipt.json")
    try:
        until(
            lambda: (
                path.exists()
                and receipts.read(path)["phase"] == phase
                and (not method or running.sandbox.faults.listed()[0]["seen"] > skip)
            ),
            process,
        )
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=180) == -signal.SIGKILL
    finally:
        dead.set()
    if method:
        # What was under way on the wire has arrived.
        until(lambda: any(e.fault and e.handled for e in running.exchanges(method)))
    running.workspace.timings = INSTANT
    running.workspace.advance(3601)
    running.clear_faults()
    assert receipts.read(path)["state"] == "in_progress"
    assert run(["apply", "receipt.json", "--auto-approve", "--quiet"]) == 0
    done = receipts.read(path)
    assert done["state"] == "applied"
    created = [e for e in running.exchanges("POST") if e.handler_status == 200]
    assert len(created) == 1
    (entity,) = running.workspace.get("chat")["config"]["served_entities"]
    assert (entity["min_provisioned_throughput"], entity["max_provisioned_throughput"]) == (
        980,
        1960,
    )
    assert [p.name for p in Path().glob(".*")] == [".receipt.json.lock"]


def test_ctrl_c_leaves_a_receipt_and_says_how_to_go_on(running):
    running.workspace.timings = Timings(create_s=60.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "planner.cli", "apply", "recommendation.json", "--auto-approve"],
        stderr=subprocess.PIPE,
        text=True,
    )
    path = Path("receipt.json")
    until(lambda: path.exists() and receipts.read(path)["phase"] == "sent", process)
    process.send_signal(signal.SIGINT)
    _, complained = process.communicate(timeout=180)
    assert process.returncode == 130
    assert complained.endswith("ptplan: stopped; to go on: ptplan apply receipt.json\n")
    assert receipts.read(path)["state"] == "in_progress"
    running.workspace.advance(61)
    assert run(["apply", "receipt.json"]) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGTERM"), reason="no such signal")
def test_a_batch_system_that_ends_it_is_told_how_to_go_on(running):
    running.workspace.timings = Timings(create_s=60.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "planner.cli", "apply", "recommendation.json", "--auto-approve"],
        stderr=subprocess.PIPE,
        text=True,
    )
    path = Path("receipt.json")
    until(lambda: path.exists() and receipts.read(path)["phase"] == "sent", process)
    process.terminate()
    _, complained = process.communicate(timeout=180)
    assert process.returncode == 130
    assert complained.endswith("ptplan: stopped; to go on: ptplan apply receipt.json\n")
    assert '"outcome": "interrupted"' in Path("audit.jsonl").read_text()


def test_a_full_disk_says_whether_something_was_sent_and_the_receipt_goes_on(running):
    """The limit on the size of files stands for the disk: the receipt grows with every step, and one is too many."""
    program = (
        "import resource, sys\n"
        "from planner.cli import run\n"
        "size = int(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "sys.exit(run(['apply', 'plan.json', '--auto-approve']))\n"
    )
    assert run(["plan", "recommendation.json"]) == 0
    assert run(["apply", "plan.json", "--auto-approve", "--out", "elsewhere.json"]) == 0
    running.workspace.delete("chat")
    steps = receipts.read(Path("elsewhere.json"))["steps"]
    begun = receipts.begun(files.read(Path("plan.json"), what="a plan"), version="0.1.0")
    size = len(files.to_json({**begun, "steps": steps[:3], "sends": 1})) + 120
    for limit, sent in ((1500, 0), (size, 1)):
        n_before = writes(running)
        done = subprocess.run(
            [sys.executable, "-c", program, str(limit)], capture_output=True, text=True
        )
        assert done.returncode == 1
        assert "receipt.json cannot be written" in done.stderr
        assert done.stderr.count("\n") == 1
        assert writes(running) - n_before == sent
        assert ("nothing was sent" in done.stderr) is not bool(sent)
    assert "a request was sent or may have been; make room there" in done.stderr
    assert receipts.read(Path("receipt.json"))["phase"] == "sending"
    assert run(["apply", "receipt.json"]) == 0
    assert len([e for e in running.exchanges("POST") if e.handler_status == 200]) == 2


# --- secrets --------------------------------------------------------------------------------


def test_the_token_is_in_nothing_that_is_written_or_shown(running, capsys, caplog):
    """Also where the workspace sends it back in its errors."""
    caplog.set_level("DEBUG")
    assert run(["plan", "recommendation.json"]) == 0
    assert run(["apply", "plan.json", "--auto-approve"]) == 0
    assert run(["verify", "receipt.json"]) == 0
    for form in FORMATS:
        assert run(["emit", "recommendation.json", "--format", form]) == 0
        assert run(["emit", "plan.json", "--format", form, "--out", f"emitted.{form}"]) == 0
    for status in (400, 401, 403, 404, 409, 429, 500, 502, 503):
        running.clear_faults()
        running.fault("status", status=status, retry_after="60", path="/serving-endpoints")
        assert run(["plan", "recommendation.json", "--out", "failed.json"]) in (1, 4)
    running.clear_faults()
    running.fault("status", method="POST", status=403)
    recommend(chunks(1, 2), endpoint="other")
    assert run(["apply", "recommendation.json", "--auto-approve"]) == 1
    written = [path for path in Path().rglob("*") if path.is_file()]
    assert len(written) >= 14
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("asyncio")]
    assert [text for text in ours if SECRET in text] == []
    headers = [str(e) for e in running.exchanges()]
    assert [text for text in headers if SECRET in text] == []


def test_an_error_that_repeats_the_token_is_told_without_it(running, monkeypatch, capsys):
    from planner.endpoint.sandbox.refusals import Refusal

    def repeat(name: str) -> None:
        raise Refusal(400, f"cannot use Bearer {SECRET} here")

    monkeypatch.setattr(running.workspace, "get", repeat)
    assert run(["plan", "recommendation.json"]) == 1
    told = capsys.readouterr().err
    assert "cannot use Bearer *** here" in told
