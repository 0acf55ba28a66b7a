"""Between the socket and the handlers: who may ask, how much, how often, and the faults. Knows no endpoints.

An ASGI application around another. It reads a request whole, asks the application for the whole answer, and only
then sends it, so that a fault can strike before or after the handler and every request is noted with its outcome.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from uvicorn.protocols.http.h11_impl import H11Protocol

from planner.endpoint.sandbox.faults import HOST_METADATA, Fault, Faults
from planner.endpoint.sandbox.refusals import Refusal
from planner.endpoint.sandbox.throttle import Throttle
from planner.line import one_line
from planner.listening import LOCAL_NAMES, is_named

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 1 << 20
HUGE_BYTES = 10 * 1000 * 1000
MOST_EXCHANGES = 5_000
MOST_NOTED_BYTES = 32_768
"""Of a body; a longer one is not noted, so that the notes cannot fill the memory."""
CONTROL = "/sandbox"
PUBLIC = (HOST_METADATA, "/openapi.json")
"""Answered without a token: clients ask the first before they have one."""

HTML = (
    "<!DOCTYPE html><html><head><title>Bad Gateway</title></head>"
    "<body><h1>Bad Gateway</h1><p>The sandbox was told to answer so.</p></body></html>"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, as it was taken and answered.

    Args:
        at_s: Unix time of the workspace.
        body: its JSON; None where there is none or it is too long to note.
        status: what the client was sent; None where it was sent nothing or not all.
        handled: whether the handler ran, and so whether it had an effect.
        handler_status: what the handler answered.
        fault: what struck it, as KIND:MOMENT.
        retry: what the client says about its retries, as openai's clients do.
    """

    at_s: float
    method: str
    path: str
    body: Any
    status: int | None
    handled: bool
    handler_status: int | None
    fault: str | None
    retry: str | None = None


class Protocol(H11Protocol):
    """HTTP whose requests can reach their connection, to end it as a broken network would."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport where the application finds it: `scope["state"]["transport"]`."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Wire:
    """The application that a server serves.

    Args:
        application: the handlers.
        faults: what goes wrong on purpose; the control routes are never struck.
        throttle: how many requests a second.
        token: the bearer token that is asked for; None takes any.
        now_s: the time of the workspace.
        tell: takes a line for each request.
        rival: carries out the edit of a `rival` fault.
    """

    def __init__(
        self,
        application: Application,
        *,
        faults: Faults,
        throttle: Throttle,
        token: str | None,
        now_s: Callable[[], float],
        tell: Callable[[str], None],
        rival: Callable[[dict[str, Any]], object],
    ) -> None:
        self._application = application
        self._faults = faults
        self._throttle = throttle
        self._token = token
        self._now_s = now_s
        self._tell = tell
        self._rival = rival
        self.exchanges: deque[Exchange] = deque(maxlen=MOST_EXCHANGES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request."""
        # One and the same with and without a slash at the end: mlflow sends it, databricks-sdk does not.
        path = str(scope["path"])
        if len(path) > 1 and path.endswith("/"):
            path = path.rstrip("/") or "/"
            scope["path"] = path
            scope["raw_path"] = scope["raw_path"].rstrip(b"/") or b"/"
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            _require_local(headers, _port(scope))
            self._require_token(headers, path)
            body = await _read(receive, headers)
        except Refusal as refusal:
            self._note(scope, b"", _refused(refusal), None, None, headers)
            # The body may not have been read, so the connection cannot be used again.
            await _send(send, _refused(refusal, close=True))
            return
        except ConnectionError:
            return
        if path.startswith(CONTROL):
            await _send(send, await self._handled(scope, body))
            return
        wait_s = 0 if path in PUBLIC else self._throttle.wait_s(self._now_s())
        if wait_s:
            too_many = Refusal(429, f"Too many requests; retry after {wait_s} s")
            answer = _refused(too_many, retry_after=str(wait_s))
            self._note(scope, body, answer, None, None, headers)
            await _send(send, answer)
            return
        fault = self._faults.strike(str(scope["method"]), path)
        if fault is None:
            answer = await self._handled(scope, body)
            # Noted before it is sent: who has the answer may at once ask what was noted.
            self._note(scope, body, answer, answer, None, headers)
            await _send(send, answer)
            return
        await self._struck(fault, scope, body, headers, receive, send)

    async def _struck(
        self,
        fault: Fault,
        scope: Scope,
        body: bytes,
        headers: dict[str, str],
        receive: Receive,
        send: Send,
    ) -> None:
        """Carry out a fault, and note it before the client can know."""
        if fault.kind == "slow" and fault.moment == "before":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "rival" and fault.moment == "before":
            self._let_rival(fault)
        # Slow and rival let the request through; every other fault before the handler is instead of it.
        passes = fault.kind in ("slow", "rival")
        answer = await self._handled(scope, body) if passes or fault.moment == "after" else None
        if fault.kind == "rival" and fault.moment == "after":
            self._let_rival(fault)
        replaced = answer if passes and answer else _spoilt(fault, answer)
        silent = fault.kind in ("drop", "reset", "truncate")
        self._note(scope, body, None if silent else replaced, answer, fault, headers)
        if fault.kind == "slow" and fault.moment == "after":
            await asyncio.sleep(fault.seconds)
        transport: asyncio.Transport = scope["state"]["transport"]
        if fault.kind == "truncate":
            # The length is that of the whole, half of it is sent, and the connection is closed.
            await _send(send, replaced, only_bytes=len(replaced.body) // 2)
            transport.close()
        elif silent:
            if fault.kind == "reset":
                linger = struct.pack("ii", 1, 0)
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            transport.abort()
        else:
            await _send(send, replaced)
        if silent:
            # Until the server has seen that the connection is gone, it would answer 500 for us.
            while (await receive())["type"] != "http.disconnect":
                pass

    def _let_rival(self, fault: Fault) -> None:
        try:
            self._rival(fault.edit)
        except Refusal as refusal:
            self._tell(one_line(f"! the rival was refused: {refusal.message}"))

    async def _handled(self, scope: Scope, body: bytes) -> Answer:
        """Return what the handlers answer."""
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        try:
            await self._application(scope, receive, send)
        except Exception as error:
            # Whoever rehearses is told what broke; the client gets what a workspace would send.
            self._tell(one_line(f"! {type(error).__name__}: {error}"))
            return _refused(Refusal(500, "The sandbox has failed; see its terminal"))
        start = sent[0]
        return Answer(
            start["status"],
            tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in start["headers"]),
            b"".join(message.get("body", b"") for message in sent[1:]),
        )

    def _note(
        self,
        scope: Scope,
        body: bytes,
        sent: Answer | None,
        handled: Answer | None,
        fault: Fault | None,
        headers: dict[str, str],
    ) -> None:
        path = str(scope["path"])
        if path == HOST_METADATA or path.startswith(CONTROL):
            return
        try:
            data = json.loads(body) if 0 < len(body) <= MOST_NOTED_BYTES else None
        except (ValueError, RecursionError):
            data = None
        struck = f"{fault.kind}:{fault.moment}" if fault else None
        method = str(scope["method"])
        self.exchanges.append(
            Exchange(
                self._now_s(),
                method,
                path,
                data,
                sent.status if sent else None,
                handled is not None,
                handled.status if handled else None,
                struck,
                headers.get("x-stainless-retry-count"),
            )
        )
        words = [one_line(f"{method} {path}"), str(sent.status) if sent else "no answer"]
        if struck:
            words.append(f"fault {struck}")
            words.append(f"the handler answered {handled.status}" if handled else "not handled")
        gist = _gist(handled or sent)
        self._tell("  ".join([*words, gist] if gist else words))

    def _require_token(self, headers: dict[str, str], path: str) -> None:
        if path in PUBLIC:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if path.startswith(CONTROL) and self._token is None:
            return
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(401, "Credential was not sent or was of an unsupported type for this API")
        if self._token is not None and not hmac.compare_digest(
            token.strip().encode(), self._token.encode()
        ):
            raise Refusal(401, "Invalid access token")


def exchange_dicts(exchanges: deque[Exchange]) -> list[dict[str, Any]]:
    """Return what was noted, oldest first."""
    return [asdict(exchange) for exchange in exchanges]


def _gist(answer: Answer | None) -> str:
    """Return the state of the endpoint that an answer tells of, or why it refuses."""
    try:
        told = json.loads(answer.body) if answer else None
    except ValueError:
        return ""
    match told:
        case {"message": str(message)}:
            return one_line(message)[:300]
        case {"state": {"ready": str(ready), "config_update": str(config_update)}}:
            return f"{ready}, {config_update}"
    return ""


def _require_local(headers: dict[str, str], port: int | None) -> None:
    """Refuse what a page of the web could send: a name that was made to point here, or another origin."""
    if not is_named(headers.get("host", ""), LOCAL_NAMES, port):
        raise Refusal(403, "The Host header must be 127.0.0.1, localhost or [::1] and the port")
    origin = headers.get("origin")
    foreign = origin is not None and not is_named(urlsplit(origin).netloc, LOCAL_NAMES, port)
    if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refusal(403, "Requests from pages of other sites are refused")


def _port(scope: Scope) -> int | None:
    server = scope.get("server")
    return server[1] if server else None


async def _read(receive: Receive, headers: dict[str, str]) -> bytes:
    """Return the body.

    Raises:
        Refusal: it is too long.
        ConnectionError: the client has left.
    """
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > MAX_BODY_BYTES:
        raise Refusal(413, f"The body has {length[:20]} bytes; at most {MAX_BODY_BYTES} are taken")
    parts: list[bytes] = []
    n_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        part = message.get("body", b"")
        n_bytes += len(part)
        if n_bytes > MAX_BODY_BYTES:
            raise Refusal(413, f"The body is too long; at most {MAX_BODY_BYTES} bytes are taken")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Send, answer: Answer, *, only_bytes: int | None = None) -> None:
    headers = {name.lower(): value for name, value in answer.headers}
    headers["content-length"] = str(len(answer.body))
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers.items()],
        }
    )
    body = answer.body if only_bytes is None else answer.body[:only_bytes]
    await send({"type": "http.response.body", "body": body, "more_body": only_bytes is not None})


def _refused(refusal: Refusal, *, retry_after: str = "", close: bool = False) -> Answer:
    headers = [("content-type", "application/json")]
    headers += [("retry-after", retry_after)] if retry_after else []
    headers += [("connection", "close")] if close else []
    headers += [("www-authenticate", "Bearer")] if refusal.status == 401 else []
    return Answer(refusal.status, tuple(headers), json.dumps(refusal.as_dict()).encode())


def _spoilt(fault: Fault, answer: Answer | None) -> Answer:
    """Return what is sent instead of an answer; for a connection that is closed it does not matter."""
    json_type = (("content-type", "application/json"),)
    match fault.kind:
        case "status":
            return _refused(
                Refusal(fault.status, "The sandbox was told to answer so"),
                retry_after=fault.retry_after,
            )
        case "html":
            return Answer(fault.status, (("content-type", "text/html"),), HTML.encode())
        case "huge":
            filler = "x" * (HUGE_BYTES - len('{"name": ""}'))
            return Answer(200, json_type, json.dumps({"name": filler}).encode())
        case _:
            return answer or Answer(200, json_type, b'{"name": "this answer has no end"}')
