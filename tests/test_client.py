"""The way to the workspace: what is sent, and one line with a remedy for each way in which it fails."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from rehearsal import SALE, TOKENS_MODEL, Waiting, connect
from workspace import TOKEN, Clock, Running, running_workspace

from planner.endpoint import client
from planner.endpoint.client import (
    MOST_BYTES,
    NotFound,
    Rejected,
    Throttled,
    Unanswered,
    Workspace,
)
from planner.endpoint.eligibility import ask
from simulations.errors import InputError, WorkspaceError


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No profile of the machine is read."""
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/dev/null")
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running_workspace(clock=Clock(), models=SALE, token=TOKEN) as running:
        yield running


@pytest.fixture
def running(served):
    served.forget()
    return served


def complaint(call) -> str:
    """Return the one line in which a call fails."""
    with pytest.raises(WorkspaceError) as error:
        call()
    text = str(error.value)
    assert text.isprintable()
    assert len(text) < 700
    assert TOKEN not in text
    return text


def test_it_says_who_it_is_and_signs_in(running):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heard: list[bytes] = []
        thread = threading.Thread(target=answer, args=(listener, heard, b"{}", 2))
        thread.start()
        Workspace(host=f"http://127.0.0.1:{listener.getsockname()[1]}", token=TOKEN).get("chat")
        thread.join()
    assert re.search(
        rb"user-agent: ptplan/\d+\.\d+\.\d+ databricks-sdk-py/", heard[1], re.IGNORECASE
    )
    assert b"Bearer " + TOKEN.encode() in heard[1]


def answer(
    listener: socket.socket,
    heard: list[bytes],
    body: bytes,
    n: int,
    status: str = "200 OK",
    headers: str = "",
) -> None:
    """Take n requests and answer each."""
    for _ in range(n):
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65_536))
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
            connection.sendall(head.encode() + body)


def test_an_endpoint_comes_as_the_workspace_shows_it(running):
    workspace = connect(running)
    assert workspace.get("chat") is None
    config = {
        "served_entities": [
            {
                "name": "a",
                "entity_name": TOKENS_MODEL,
                "entity_version": "1",
                "min_provisioned_throughput": 0,
                "max_provisioned_throughput": 980,
                "unheard_of": {"x": [1, None]},
            }
        ]
    }
    running.workspace.create({"name": "chat", "config": config})
    live = workspace.get("chat")
    assert live is not None
    assert live["config"]["served_entities"][0]["unheard_of"] == {"x": [1, None]}


def test_the_chunk_is_asked_of_the_workspace(running):
    found = ask(connect(running), TOKENS_MODEL, "1")
    assert (found.kind, found.chunk_tokens_per_s, found.optimizable) == ("token_chunks", 980, True)
    with pytest.raises(NotFound):
        ask(connect(running), "ml.no.model", "1")


def test_a_wrong_token_says_so(running):
    text = complaint(lambda: Workspace(host=running.url, token="dapi-wrong").get("chat"))
    assert "401" in text
    assert "new token" in text
    assert "dapi-wrong" not in text


def test_a_missing_right_says_which(running):
    running.fault("status", status=403, path="/chat")
    assert "CAN_MANAGE" in complaint(lambda: connect(running).get("chat"))


def test_no_way_to_sign_in_says_how():
    text = complaint(lambda: Workspace(host="http://127.0.0.1:9"))
    assert "set DATABRICKS_HOST and DATABRICKS_TOKEN" in text
    assert "--profile NAME" in complaint(Workspace)
    assert "nowhere" in complaint(lambda: Workspace(profile="nowhere"))


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("html", {"status": 200}, "web page"),
        ("html", {"status": 502}, "between here and the workspace"),
        ("truncate", {}, "broke off|cut off"),
        ("huge", {}, f"more than {MOST_BYTES // 2**20} MB"),
        ("drop", {}, "no connection"),
        ("reset", {}, "no connection"),
        ("status", {"status": 500}, "the workspace failed"),
        ("status", {"status": 503}, "unavailable"),
        ("status", {"status": 504}, "the workspace failed"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_failure_is_one_line_with_its_remedy(kind, given, expected, method, running):
    workspace = connect(running)
    running.fault(kind, method=method, path="/serving-endpoints", **given)
    call = (
        (lambda: workspace.get("chat"))
        if method == "GET"
        else (lambda: workspace.send("POST", "/api/2.0/serving-endpoints", {}))
    )
    with pytest.raises(Unanswered):
        call()
    text = complaint(call)
    assert re.search(expected, text)
    assert re.search("try again|check --host", text)


def test_a_write_is_sent_once_whatever_happens_to_it(running):
    workspace = connect(running)
    for kind in ("drop", "reset", "status"):
        running.fault(kind, method="POST", times=1, retry_after="1")
        running.sandbox.wire.exchanges.clear()
        with pytest.raises(WorkspaceError):
            workspace.send("POST", "/api/2.0/serving-endpoints", {})
        assert len(running.exchanges("POST")) == 1


def test_a_read_is_tried_again_for_some_seconds(running):
    running.fault("status", method="GET", path="/chat", status=503, times=2)
    assert connect(running).get("chat") is None


def test_a_long_retry_after_is_told_and_not_slept(running):
    running.fault("status", method="GET", path="/chat", status=429, retry_after="3600")
    clock = Waiting(running.clock)
    began = clock.time()
    with pytest.raises(Throttled, match=r"try again in 3600 s") as error:
        connect(running, clock).get("chat")
    assert error.value.after_s == 3600
    assert clock.time() - began < 60


# --- hosts that are none --------------------------------------------------------------------


class Counting(Waiting):
    """A clock that adds up what it slept."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.slept_s = 0.0

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.slept_s += seconds


def test_a_host_that_refuses_fails_in_seconds():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    clock = Counting()
    text = complaint(
        lambda: Workspace(host=f"http://127.0.0.1:{port}", token=TOKEN, clock=clock).get("x")
    )
    assert "no connection" in text
    assert "VPN" in text
    assert clock.slept_s < 20


def test_a_name_that_is_not_known_is_not_tried_twice():
    clock = Counting()
    text = complaint(
        lambda: Workspace(host="https://no-such-host.invalid", token=TOKEN, clock=clock).get("x")
    )
    assert "the name of this host is not known" in text
    assert clock.slept_s == 0


@pytest.mark.slow
def test_a_host_that_never_answers_fails_within_half_a_minute():
    """Connections are taken and nothing is ever said. Each is waited for as long as is said, and no third is tried."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        text = complaint(lambda: Workspace(host=url, token=TOKEN).get("x"))
        listener.setblocking(False)
        tried = 0
        with suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                tried += 1
    assert re.search("no (whole )?answer within", text)
    assert tried == 2
    assert client.PROBE_S + client.ATTEMPT_S < client.PROBE_S + client.CALL_S <= 30


@contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """Serve TLS with a certificate that nobody signed."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "both.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def refuse() -> None:
            listener.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(5)
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def test_a_certificate_that_nobody_signed_is_not_tried_twice(tmp_path):
    clock = Counting()
    with untrusted(tmp_path) as url:
        text = complaint(lambda: Workspace(host=url, token=TOKEN, clock=clock).get("x"))
    assert "no trusted TLS connection" in text
    assert "REQUESTS_CA_BUNDLE" in text
    assert clock.slept_s == 0


@contextmanager
def answering(
    body: bytes, *, status: str = "200 OK", headers: str = "", n: int = 1
) -> Iterator[tuple[Workspace, list[bytes]]]:
    """Yield a workspace that answers n requests so, and what it hears; the SDK's own first question apart."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = threading.Thread(target=answer, args=(listener, heard, b"{}", 1))
        first.start()
        workspace = Workspace(
            host=f"http://127.0.0.1:{listener.getsockname()[1]}",
            token=TOKEN,
            clock=Waiting(Clock()),
        )
        first.join()
        heard.clear()
        thread = threading.Thread(target=answer, args=(listener, heard, body, n, status, headers))
        thread.start()
        yield workspace, heard
        thread.join()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 Again"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_redirect_is_told_and_neither_token_nor_configuration_follows_it(status, method):
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(0.2)
        target = f"http://localhost:{elsewhere.getsockname()[1]}/stolen"
        with (
            answering(b"", status=status, headers=f"Location: {target}\r\n") as (workspace, _),
            pytest.raises(Rejected, match=r"redirected to .*/stolen, which is not followed"),
        ):
            workspace.send(method, "/api/2.0/serving-endpoints/chat/config", {"a": "secret"})
        with pytest.raises(TimeoutError):
            elsewhere.accept()


@pytest.mark.parametrize("asked", ["-5", "9" * 400, "99999999999", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_strange_retry_after_is_no_traceback_and_no_wait_without_end(asked):
    body = b'{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"}'
    headers = f"Retry-After: {asked}\r\n"
    with (
        answering(body, status="429 Too Many", headers=headers) as (workspace, _),
        pytest.raises((Throttled, Unanswered)) as error,
    ):
        workspace.send("PUT", "/api/2.0/serving-endpoints/chat/config", {})
    assert str(error.value).isprintable()
    if isinstance(error.value, Throttled):
        assert 0 <= error.value.after_s <= 1e9


def test_an_empty_answer_is_no_endpoint_without_fields():
    with answering(b"") as (workspace, _):
        assert "not JSON, or was cut off (0 bytes" in complaint(lambda: workspace.get("chat"))


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_comes_byte_by_byte_ends_in_time(begin, monkeypatch):
    """Each byte comes within the limit of one attempt, and the whole never does."""
    monkeypatch.setattr(client, "CALL_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener, [], b"{}", 1))
        thread.start()
        workspace = Workspace(host=f"http://127.0.0.1:{listener.getsockname()[1]}", token=TOKEN)
        thread.join()
        with dripping(listener, begin):
            assert "no whole answer within 0.5 s" in complaint(lambda: workspace.get("chat"))


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_sign_in_that_is_answered_byte_by_byte_ends_in_time(begin, monkeypatch):
    """The SDK asks a host of its metadata first, and would wait for the last byte for ever."""
    monkeypatch.setattr(client, "SIGN_IN_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener, dripping(listener, begin):
        host = f"http://127.0.0.1:{listener.getsockname()[1]}"
        told = complaint(lambda: Workspace(host=host, token=TOKEN))
        assert told.startswith(f"{host}: signing in took longer than 0.5 s")


@contextmanager
def dripping(listener: socket.socket, begin: bytes) -> Iterator[None]:
    """Answer one request with a byte now and then until the block ends."""
    over = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(begin)
            while not over.wait(0.05):
                connection.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_address_is_not_asked_for(name, running):
    workspace = connect(running)
    with pytest.raises(InputError, match="is no name"):
        workspace.get(name)
    with pytest.raises(InputError, match="is no name"):
        workspace.optimization_info(name, "1")
    assert running.exchanges() == []
