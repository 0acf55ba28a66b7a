"""What goes wrong on purpose does so as it says, over real sockets; and what the sandbox refuses to anybody."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from workspace import TOKEN, Clock, Timings, running_workspace, workspace_process

from planner import listening
from planner.cli import run
from planner.endpoint.sandbox.faults import KINDS, Fault, Faults, parse_fault
from planner.endpoint.sandbox.wire import MAX_BODY_BYTES
from simulations.errors import InputError

PATH = "/api/2.0/serving-endpoints"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CHUNK = 19_000


def config(high: int = CHUNK) -> dict[str, Any]:
    one = {"entity_name": "system.ai.meta_llama_v3_1_8b_instruct", "entity_version": "3"}
    return {
        "served_entities": [
            {**one, "min_provisioned_throughput": 0, "max_provisioned_throughput": high}
        ]
    }


@pytest.fixture(scope="module")
def serving_workspace():
    with running_workspace() as running:
        yield running


@pytest.fixture
def workspace(serving_workspace):
    """A workspace with nothing in it."""
    serving_workspace.forget()
    yield serving_workspace
    serving_workspace.forget()


def call(url: str, method: str, path: str, **given: Any) -> requests.Response:
    """Send one request on a connection of its own."""
    headers = {**BEARER, "Connection": "close", **given.pop("headers", {})}
    return requests.request(method, url + path, headers=headers, timeout=given.pop("timeout", 120), **given)  # fmt: skip


def create(url: str, name: str = "chat", **given: Any) -> requests.Response:
    return call(url, "POST", PATH, json={"name": name, "config": config()}, **given)


def names(workspace) -> list[str]:
    return [one["name"] for one in workspace.workspace.list()["endpoints"]]


# Each fault


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("slow", "rival")])
def test_a_fault_before_the_handler_has_no_effect_and_one_after_it_has_all(kind, moment, workspace):
    workspace.fault(kind, moment, times=1)
    answer = None
    try:
        answer = create(workspace.url)
    except requests.RequestException:
        assert kind in ("drop", "reset", "truncate")
    assert (answer is None) == (kind in ("drop", "reset", "truncate"))
    assert names(workspace) == (["chat"] if moment == "after" else [])
    (noted,) = workspace.exchanges()
    assert (noted.handled, noted.handler_status) == ((True, 200) if moment == "after" else (False, None))  # fmt: skip
    sent = None if answer is None else answer.status_code
    assert (noted.fault, noted.status) == (f"{kind}:{moment}", sent)
    assert noted.body["name"] == "chat"
    # Only once: the next request is as ever.
    assert call(workspace.url, "GET", PATH).status_code == 200


@pytest.mark.parametrize(("moment", "there"), [("before", []), ("after", ["chat"])])
def test_slow_is_slow_on_its_side_of_the_handler(moment, there):
    body = json.dumps({"name": "chat", "config": config()}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{key}: {value}\r\n" for key, value in BEARER.items())
    with running_workspace() as own:
        own.fault("slow", moment, times=1, seconds=600.0)
        port = int(own.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
            deadline = time.monotonic() + 120
            while not own.sandbox.faults.listed()[0]["seen"] or len(own.exchanges()) < len(there):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        assert names(own) == there
        assert [e.fault for e in own.exchanges()] == ["slow:after"] * len(there)


def test_slow_still_answers(workspace):
    workspace.fault("slow", "after", times=1, seconds=0.05)
    assert create(workspace.url).json()["name"] == "chat"


def raw(workspace, method: str = "GET") -> tuple[socket.socket, http.client.HTTPResponse]:
    host, port = workspace.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    lines = [f"{method} {PATH} HTTP/1.1", f"Host: {host}:{port}", f"Authorization: Bearer {TOKEN}", "", ""]  # fmt: skip
    connection.sendall("\r\n".join(lines).encode())
    return connection, http.client.HTTPResponse(connection, method=method)


def test_drop_closes_and_reset_resets(workspace):
    workspace.fault("drop", times=1)
    workspace.fault("reset", times=1)
    connection, _ = raw(workspace)
    with connection:
        assert connection.recv(100) == b""
    connection, _ = raw(workspace)
    with connection, pytest.raises(ConnectionResetError):
        connection.recv(100)


def test_truncate_promises_more_than_it_sends(workspace):
    whole = len(call(workspace.url, "GET", PATH).content)
    workspace.fault("truncate", "after", times=1)
    connection, answer = raw(workspace)
    with connection, answer:
        answer.begin()
        assert (answer.status, answer.length) == (200, whole)
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
        assert len(caught.value.partial) == whole // 2


def test_status_says_its_status_and_when_to_come_again(workspace):
    workspace.fault("status", status=503, retry_after="7")
    answer = call(workspace.url, "GET", PATH)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    workspace.clear_faults()
    workspace.fault("status", status=418)
    answer = call(workspace.url, "GET", PATH)
    assert (answer.status_code, answer.json()["error_code"]) == (418, "UNKNOWN")
    assert "Retry-After" not in answer.headers


def test_html_and_huge_are_what_they_say(workspace):
    workspace.fault("html", times=1, status=502)
    workspace.fault("huge", times=1)
    page = call(workspace.url, "GET", PATH)
    assert (page.status_code, page.headers["Content-Type"]) == (502, "text/html")
    assert "<title>Bad Gateway</title>" in page.text
    big = call(workspace.url, "GET", PATH)
    assert (big.status_code, len(big.content)) == (200, 10_000_000)
    assert set(big.json()) == {"name"}


def test_a_rivals_edit_lands_between_the_last_look_and_the_write(workspace):
    create(workspace.url)
    seen = call(workspace.url, "GET", f"{PATH}/chat").json()["config"]["config_version"]
    edit = {"name": "chat", "action": "edit", "config": config(3 * CHUNK)}
    workspace.fault("rival", method="PUT", times=1, edit=edit)
    assert call(workspace.url, "PUT", f"{PATH}/chat/config", json=config(2 * CHUNK)).ok
    told = call(workspace.url, "GET", f"{PATH}/chat").json()["config"]
    assert told["config_version"] == seen + 2
    assert told["served_entities"][0]["max_provisioned_throughput"] == 2 * CHUNK


def test_a_rival_may_come_after_the_write_and_may_be_refused(workspace):
    create(workspace.url)
    gone = {"name": "chat", "action": "delete"}
    workspace.fault("rival", "after", method="GET", edit=gone)
    assert call(workspace.url, "GET", f"{PATH}/chat").status_code == 200
    assert call(workspace.url, "GET", f"{PATH}/chat").status_code == 404
    assert "! the rival was refused: Serving endpoint with name chat not found" in workspace.told


def test_a_fault_strikes_only_what_it_names(workspace):
    workspace.fault("status", method="PUT", path="/config", status=500, skip=1, times=2)
    create(workspace.url)
    answers = [
        call(workspace.url, "PUT", f"{PATH}/chat/config", json=config()).status_code
        for _ in range(4)
    ]
    assert answers == [200, 500, 500, 200]
    assert call(workspace.url, "PUT", f"{PATH}/chat/ai-gateway", json={}).status_code == 200
    assert call(workspace.url, "GET", f"{PATH}/chat").status_code == 200


def test_host_metadata_is_struck_only_by_its_name(workspace):
    workspace.fault("status", status=500, times=1)
    assert call(workspace.url, "GET", "/.well-known/databricks-config").status_code == 200
    assert call(workspace.url, "GET", PATH).status_code == 500
    workspace.fault("status", status=500, path="/.well-known")
    assert call(workspace.url, "GET", "/.well-known/databricks-config").status_code == 500


def test_faults_are_set_by_the_control_route_which_they_do_not_strike(workspace):
    control = f"{workspace.url}/sandbox"
    told = requests.post(f"{control}/faults", json={"kind": "status", "status": 500}, timeout=30)
    assert told.json()["faults"][0]["kind"] == "status"
    assert call(workspace.url, "GET", PATH).status_code == 500
    assert requests.get(control, timeout=30).json()["faults"][0]["seen"] == 1
    assert requests.delete(f"{control}/faults", timeout=30).json()["faults"] == []
    assert call(workspace.url, "GET", PATH).status_code == 200
    for wrong in ({"kind": "storm"}, {"kind": "drop", "when": 1}, {}, {"kind": "drop", "times": 0}, {"kind": "drop", "times": "x"}, {"kind": ["drop"]}, {"kind": "drop", "path": 5}, {"kind": "drop", "method": None}, {"kind": "status", "retry_after": 2}, {"kind": "rival", "edit": []}, {"kind": "drop", "times": True}):  # fmt: skip
        assert requests.post(f"{control}/faults", json=wrong, timeout=30).status_code == 400


def test_what_the_control_routes_set():
    clock = Clock()
    with running_workspace(clock=clock, timings=Timings(20, 10, 30)) as running:
        control = f"{running.url}/sandbox"

        def post(path: str, **body: Any) -> requests.Response:
            return requests.post(f"{control}/{path}", json=body, timeout=30)

        create(running.url)
        assert post("advance", seconds=20).json()["now_s"] == clock.now_s + 20
        assert running.workspace.get("chat")["state"]["ready"] == "READY"
        assert post("endings", next=["hang"]).json()["next_endings"] == ["hang"]
        call(running.url, "PUT", f"{PATH}/chat/config", json=config())
        assert post("cancel", name="chat").json()["state"]["config_update"] == "UPDATE_CANCELED"
        assert post("timings", update_s=0).json()["timings"] == {"create_s": 20.0, "update_s": 0.0, "capacity_s": 30.0}  # fmt: skip
        assert post("rival", name="chat", action="edit", config=config(2 * CHUNK)).json()["config"]["config_version"] == 2  # fmt: skip
        assert post("models", model="ml.own.model=7").status_code == 200
        info = call(running.url, "GET", f"{PATH}/get-model-optimization-info/ml.own.model/1")
        assert info.json()["throughput_chunk_size"] == 7
        burst = requests.get(f"{control}/burst/chat", timeout=30).json()
        assert burst == {"burst_scaling_enabled": {"meta_llama_v3_1_8b_instruct-3": None}}
        assert post("permission", permission="CAN_VIEW").json()["permission"] == "CAN_VIEW"
        assert call(running.url, "DELETE", f"{PATH}/chat").status_code == 403
        received = requests.get(f"{control}/requests", timeout=30).json()["requests"]
        assert [one["method"] for one in received] == ["POST", "PUT", "GET", "DELETE"]
        assert received[0]["body"]["config"] == config()
        assert requests.delete(f"{control}/requests", timeout=30).json() == {}
        for path, body in (
            ("advance", {"seconds": -1}),
            ("advance", {"seconds": "1"}),
            ("timings", {"update": 1}),
            ("endings", {"ending": "explode"}),
            ("endings", {"next": "hang"}),
            ("endings", {"next": None}),
            ("endings", {"ending": None}),
            ("endings", {"next": [["hang"]]}),
            ("permission", {"permission": "ALL"}),
            ("models", {"model": "x"}),
            ("models", {}),
            ("rival", {"name": "chat", "action": "steal"}),
            ("rival", {"name": "chat", "config": 5}),
        ):
            answer = post(path, **body)
            assert (answer.status_code, set(answer.json())) == (400, {"error_code", "message", "details"}), (path, body)  # fmt: skip
        for path in ("cancel", "rival"):
            assert post(path).status_code == 404


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--fault is empty"),
        ("storm", "fault is 'storm'; must be one of drop, reset"),
        ("drop:during", "must be before or after"),
        ("drop PUT config", "'config' is not understood"),
        ("drop put", "'put' is not understood"),
        ("drop times=x", "times is 'x'; must be a number"),
        ("drop times=0", "times of the fault is 0; must be >= 1"),
        ("drop skip=-1", "skip of the fault is -1"),
        ("slow seconds=nan", "seconds of the fault is nan"),
        ("status status=99", "status of the fault is 99"),
        ("status retry_after=ä", "must be ASCII"),
        ("drop when=1", "'when=1' is not understood"),
        ("drop 'x", "No closing quotation"),
        ("rival", "POST it to /sandbox/faults"),
    ],
)
def test_a_fault_that_does_not_read_is_refused(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_fault(text)


def test_the_first_fault_that_is_not_spent_strikes():
    faults = Faults([Fault("drop", times=1), Fault("reset", times=1)])
    struck = [faults.strike("GET", "/") for _ in range(3)]
    assert [fault and fault.kind for fault in struck] == ["drop", "reset", None]


# Who may ask, how much, how often


def test_a_host_of_another_name_is_refused(workspace):
    port = workspace.url.rpartition(":")[2]
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1:1",
        "",
        "127.0.0.1.evil.example",
    ):
        for path in (PATH, "/sandbox", "/openapi.json", "/.well-known/databricks-config"):
            answer = call(workspace.url, "GET", path, headers={"Host": host})
            assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert call(workspace.url, "GET", PATH, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_cannot_set_anything(headers, workspace):
    body = {"kind": "status", "status": 500}
    answer = call(workspace.url, "POST", "/sandbox/faults", json=body, headers=headers)
    assert answer.status_code == 403
    assert create(workspace.url, headers=headers).status_code == 403
    assert call(workspace.url, "GET", PATH).json() == {"endpoints": []}
    own = {"Origin": workspace.url, "Sec-Fetch-Site": "same-origin"}
    assert call(workspace.url, "GET", PATH, headers=own).status_code == 200


def test_no_token_is_401_and_any_will_do_unless_one_is_asked_for(workspace):
    for wrong in ("", "Basic eDp5", "Bearer", "Bearer "):
        answer = call(workspace.url, "GET", PATH, headers={"Authorization": wrong})
        assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
    with running_workspace(token="right") as running:
        for path in (PATH, "/sandbox", "/api/2.0/none"):
            for wrong in ("Bearer wrong", "Bearer RIGHT", "Bearer right2", "Bearer \xe9"):
                answer = call(running.url, "GET", path, headers={"Authorization": wrong.encode("latin-1")})  # fmt: skip
                assert answer.status_code == 401
                assert "right" not in answer.text
            answer = call(running.url, "GET", path, headers={"Authorization": "Bearer right"})
            assert answer.status_code in (200, 404)
        assert call(running.url, "GET", "/.well-known/databricks-config", headers={"Authorization": ""}).ok  # fmt: skip


def test_more_requests_than_allowed_are_told_when_to_come_again():
    clock = Clock()
    with running_workspace(clock=clock, requests_per_s=0.5) as running:
        assert call(running.url, "GET", PATH).status_code == 200
        answer = call(running.url, "GET", PATH)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
        assert answer.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
        assert call(running.url, "GET", "/.well-known/databricks-config").status_code == 200
        assert call(running.url, "GET", "/sandbox").status_code == 200
        clock.advance(2)
        assert call(running.url, "GET", PATH).status_code == 200
        assert [e.handled for e in running.exchanges()] == [True, False, True]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": 1e999}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 10_000 + b"}",
        b"\xff\xfe\x00",
        b'{"name": "\\ud800", "config": {"served_entities": [{}]}}',
        b'{"name": "chat", "config": {"served_entities": [{}]}, "x": "\\ud800"}',
        b'{"name": "chat\\u0000"}',
    ],
)
def test_a_body_that_is_no_request_is_400(data, workspace):
    for method, path in (("POST", PATH), ("POST", f"{PATH}/pt"), ("POST", "/sandbox/faults")):
        answer = call(workspace.url, method, path, data=data, headers={"Content-Type": "application/json"})  # fmt: skip
        assert answer.status_code == 400, path
        assert set(answer.json()) == {"error_code", "message", "details"}
    assert names(workspace) == []


def test_text_of_any_kind_comes_back(workspace):
    odd = "ä 模 \ud800 \x00 </script> 😀"
    body = {"name": "chat", "config": config(), "odd": odd, "tags": [{"key": "模", "value": "😀"}]}
    data = json.dumps(body).encode()
    assert call(workspace.url, "POST", PATH, data=data).status_code == 200
    told = call(workspace.url, "GET", f"{PATH}/chat").json()
    assert (told["odd"], told["tags"]) == (odd, body["tags"])


def test_a_body_too_long_is_413(workspace):
    long = b'{"name": "' + b"x" * MAX_BODY_BYTES + b'"}'

    def parts():
        for start in range(0, len(long), 65_536):
            yield long[start : start + 65_536]

    for data in (long, parts()):
        try:
            answer = call(workspace.url, "POST", PATH, data=data)
        except requests.ConnectionError:
            continue  # closed while we were still sending, which is as good
        assert answer.status_code == 413
    assert {e.status for e in workspace.exchanges()} == {413}
    assert call(workspace.url, "GET", PATH).status_code == 200


def test_who_leaves_in_the_middle_has_no_effect(workspace):
    host, port = workspace.url.removeprefix("http://").split(":")
    body = json.dumps({"name": "chat", "config": config()}).encode()
    lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}:{port}", f"Authorization: Bearer {TOKEN}", f"Content-Length: {len(body) + 1}", "", ""]  # fmt: skip
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
    assert call(workspace.url, "GET", PATH).json() == {"endpoints": []}


def test_an_unknown_path_or_method_is_refused_in_the_same_shape(workspace):
    for method, path, status in (
        ("GET", "/", 404),
        ("GET", "/api/2.0/clusters/list", 404),
        ("GET", f"{PATH}/a%2Fb", 404),
        ("GET", f"{PATH}/%00%1b[2J", 404),
        ("PUT", PATH, 405),
        ("TRACE", PATH, 405),
    ):
        answer = call(workspace.url, method, path)
        assert answer.status_code == status
        assert set(answer.json()) == {"error_code", "message", "details"}
    assert all(line.isprintable() for line in workspace.told)


def test_answers_are_sent_without_delay():
    """asyncio sets TCP_NODELAY where the protocol is named; without it, 40 ms were lost with every answer."""
    with listening.bind(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert listener.getsockname()[0] == "127.0.0.1"


def test_only_this_machine_can_connect(workspace):
    port = int(workspace.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=2)


def test_a_token_is_in_nothing_that_is_kept_or_told(workspace):
    create(workspace.url)
    call(workspace.url, "GET", PATH)
    told = requests.get(f"{workspace.url}/sandbox/requests", timeout=30).text
    assert TOKEN not in told + "".join(workspace.told)


def test_many_at_once_are_each_answered(workspace):
    """One of them creates; the others are told that it exists."""
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(create(workspace.url).status_code)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 11


# A process of its own


def test_what_was_answered_survives_a_kill(tmp_path):
    state = ("--state", str(tmp_path / "w.db"), "--create-time", "0s", "--update-time", "1h")
    with workspace_process(*state) as process:
        for name in ("a", "b", "c"):
            create(process.url, name)
        call(process.url, "DELETE", f"{PATH}/b")
        call(process.url, "PATCH", f"{PATH}/a/tags", json={"add_tags": [{"key": "k"}]})
        assert call(process.url, "PUT", f"{PATH}/c/config", json=config(2 * CHUNK)).ok
        before = call(process.url, "GET", f"{PATH}/c").json()
        assert before["state"]["config_update"] == "IN_PROGRESS"
        process.kill()
    with workspace_process(*state) as process:
        assert "(2 endpoints)" in process.printed[0]
        listed = call(process.url, "GET", PATH).json()["endpoints"]
        assert [one["name"] for one in listed] == ["a", "c"]
        assert listed[0]["tags"] == [{"key": "k", "value": ""}]
        assert call(process.url, "GET", f"{PATH}/c").json() == before
        requests.post(f"{process.url}/sandbox/advance", json={"seconds": 3600}, timeout=30)
        process.kill()
    with workspace_process(*state) as process:
        after = call(process.url, "GET", f"{PATH}/c").json()
        assert (after["config"]["config_version"], after["state"]["config_update"]) == (2, "NOT_UPDATING")  # fmt: skip
        assert create(process.url, "d").json()["id"] == f"{4:032x}"
    assert TOKEN.encode() not in (tmp_path / "w.db").read_bytes()


@pytest.mark.slow
def test_whenever_it_is_killed_nothing_that_was_answered_is_lost(tmp_path):
    state = ("--state", str(tmp_path / "w.db"), "--quiet")
    answered: set[str] = set()
    asked: set[str] = set()
    for round_ in range(4):
        with workspace_process(*state) as process:
            there = {one["name"] for one in call(process.url, "GET", PATH).json()["endpoints"]}
            assert answered <= there <= asked
            # At any moment, but not before some were answered.
            kill = (process.process.pid, signal.SIGKILL)
            timer = threading.Timer(0.01 + 0.05 * round_, os.kill, kill)
            for i in range(10_000):
                asked.add(f"e{round_}-{i}")
                try:
                    if create(process.url, f"e{round_}-{i}").ok:
                        answered.add(f"e{round_}-{i}")
                except requests.RequestException:
                    break
                if i == 3:
                    timer.start()
            timer.join()
            process.process.wait()
    assert len(answered) >= 16


def test_its_terminal_says_what_happened_and_ends_with_ctrl_c(tmp_path):
    flags = ("--fault", "drop:after POST times=1", "--sell", "ml.own.model=980", "--token", TOKEN)
    with workspace_process(*flags) as process:
        assert process.printed[0].startswith("a workspace to rehearse in, forgotten when it ends")
        with pytest.raises(requests.ConnectionError):
            create(process.url)
        call(process.url, "GET", f"{PATH}/chat")
        call(process.url, "GET", PATH, headers={"Authorization": "Bearer wrong"})
        printed = process.stop()
    assert process.process.returncode == 130
    assert process.complained == "ptplan: stopped\n"
    assert (
        f"POST {PATH}  no answer  fault drop:after  the handler answered 200  NOT_READY, IN_PROGRESS\n"
        in printed
    )
    assert f"GET {PATH}/chat  200  NOT_READY, IN_PROGRESS\n" in printed
    assert f"GET {PATH}  401  Invalid access token\n" in printed
    assert TOKEN not in printed + "".join(process.printed)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--port", "70000"), "--port is 70000; must be 0 to 65535"),
        (("--fault", "storm"), "fault is 'storm'; must be one of"),
        (("--sell", "x"), "--sell is 'x'; must be NAME[:VERSION]=SIZE"),
        (("--ending", "explode"), "--ending is 'explode'; must be succeed or capacity or hang"),
        (("--permission", "ALL"), "--permission is 'ALL'; must be CAN_MANAGE or"),
        (("--create-time", "5"), "--create-time is '5'; must be a number with a unit"),
        (("--requests-per-s", "0"), "--requests-per-s is 0.0; must be a number above 0"),
        (("--requests-per-s", "nan"), "--requests-per-s is nan; must be a number above 0"),
        (("--state", "no/such/folder/x.db"), "--state no/such/folder/x.db cannot be opened"),
        (("--token", " "), "--token is empty or no printable ASCII"),
    ],
)
def test_a_flag_that_cannot_be_used_is_refused_in_one_line(flags, complaint, tmp_path, monkeypatch, capsys):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(["sandbox", *flags]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"ptplan: {complaint}")
    assert printed.err.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_a_flag_that_may_be_repeated_may_stand_once_in_a_config_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("ptplan.toml").write_text('model = "m"\n[sandbox]\nsell = "ml.own.model"\n')
    assert run(["sandbox"]) == 1
    assert "--sell is 'ml.own.model'; must be NAME" in capsys.readouterr().err


def test_a_port_that_is_taken_is_refused(workspace, capsys):
    port = workspace.url.rpartition(":")[2]
    assert run(["sandbox", "--port", port]) == 1
    assert f"--port is {port}, which cannot be listened on" in capsys.readouterr().err
