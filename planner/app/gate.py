"""Who may ask the app: by which name, from which page, with which token, and how many bytes.

An ASGI application around another. Nothing behind it is reached by a request that came by another name, from a
page of another site, without the cookie, or with a body beyond the limit of its path.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from planner.listening import is_named

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD_PATH = "/traces"
MOST_UPLOAD_BYTES = 256 * 2**20
"""Of one upload (assumed: a week of five million requests as gzipped CSV has some 100 MB)."""

MOST_FORM_BYTES = 64 * 2**10
"""Of any other request."""

MOST_IDLE_S = 30.0
MOST_SENDING_S = 900.0
"""How long a body may pause, and take (assumed: 256 MiB at 3 Mbit/s take twelve minutes)."""

STYLES = "'self' 'unsafe-inline'"
"""Figures carry their colours in style attributes; scripts come from this server alone."""

HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src 'self'; style-src {STYLES}; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Not no-referrer: forms of our own pages would then be posted with the origin "null".
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

USER_HEADER = "x-forwarded-user"
TOKEN_HEADER = "x-forwarded-access-token"
HOST_HEADER = "x-forwarded-host"
SAID_ONCE = (b"host", USER_HEADER.encode(), TOKEN_HEADER.encode(), HOST_HEADER.encode())
"""Headers that decide who asks and by which name; twice, one of them is forged."""


class TooLarge(Exception):
    """A body went beyond its limit while it was read."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(
            f"the request is larger than {_size(most_bytes)}, the most that is taken; "
            "use ptplan recommend in a terminal for a larger trace"
        )


class TooSlow(Exception):
    """A body paused or took too long."""

    def __init__(self) -> None:
        super().__init__("the request stopped half way, or took too long to send; send it again")


@dataclass(frozen=True, slots=True)
class Door:
    """How the app is reached.

    Args:
        names: as which, without the port; of a name that begins with a dot, any that ends so.
        port: of this server; None behind a proxy, which has a port of its own.
        proxied: whether a proxy signs its users in and says who they are.
        url_token: what the first address carries; None behind a proxy.
        most_upload_bytes: of a trace.
        most_idle_s: that a body may pause.
    """

    names: tuple[str, ...]
    port: int | None
    proxied: bool = False
    url_token: str | None = field(default=None, repr=False)
    most_upload_bytes: int = MOST_UPLOAD_BYTES
    most_idle_s: float = MOST_IDLE_S

    def knows(self, host: str) -> bool:
        """Return whether a host is one of ours."""
        if is_named(host, [name for name in self.names if not name.startswith(".")], self.port):
            return True
        suffixes = tuple(name for name in self.names if name.startswith("."))
        return self.proxied and bool(suffixes) and host.lower().endswith(suffixes)


class Gate:
    """What stands before the app.

    Args:
        application: the app.
        door: how it is reached.
        site: what the app shares, for whoever serves it.
    """

    def __init__(
        self,
        application: Application,
        door: Door,
        *,
        site: Any = None,
    ) -> None:
        self.site = site
        self._application = application
        self._door = door
        self._session = secrets.token_urlsafe(32)
        # Cookies know no ports: two apps on one machine must not overwrite each other's.
        self._cookie = f"ptplan-{door.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        guarded = _with_headers(send)
        host = self._host(headers)
        if host is None or any(len(_all(scope, name)) > 1 for name in SAID_ONCE):
            await _refuse(guarded, 403, "This address is not one that the app goes by.")
            return
        if scope["method"] not in ("GET", "HEAD") and not _is_own_page(headers, host):
            await _refuse(guarded, 403, "Requests from pages of other sites are refused.")
            return
        who = self._who(scope, headers)
        if who is None and self._opens(scope):
            await _send(
                guarded,
                303,
                "",
                {"location": "/", "set-cookie": self._set_cookie(), "cache-control": "no-store"},
            )
            return
        if who is None:
            text = (
                "Nobody is signed in: the proxy sent no user."
                if self._door.proxied
                else "Open the address that `ptplan app` printed in the terminal; it lets this browser in."
            )
            await _refuse(guarded, 401, text)
            return
        most_bytes = (
            self._door.most_upload_bytes if scope["path"] == UPLOAD_PATH else MOST_FORM_BYTES
        )
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > most_bytes:
            await _refuse(guarded, 413, _sentence(TooLarge(most_bytes)))
            return
        scope["state"] = {
            **scope.get("state", {}),
            "who": who,
            "token": headers.get(TOKEN_HEADER) if self._door.proxied else None,
        }
        await self._application(
            scope, _limited(receive, most_bytes, self._door.most_idle_s), guarded
        )

    def _host(self, headers: Mapping[str, str]) -> str | None:
        """Return the name by which the browser reached the app, if it is one of ours."""
        if not self._door.proxied:
            host = headers.get("host", "")
            return host if self._door.knows(host) else None
        host = headers.get(HOST_HEADER, headers.get("host", ""))
        return host if self._door.knows(host) else None

    def _who(self, scope: Scope, headers: Mapping[str, str]) -> str | None:
        """Return whose request this is, or None."""
        if self._door.proxied:
            return headers.get(USER_HEADER) or None
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return None
        found = cookies.get(self._cookie)
        if found is None or not _same(found.value, self._session):
            return None
        return "local"

    def _opens(self, scope: Scope) -> bool:
        """Return whether this is the first address, with its token."""
        wanted = self._door.url_token
        if wanted is None or scope["method"] != "GET" or scope["path"] != "/":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        return _same(given[-1], wanted)

    def _set_cookie(self) -> str:
        return f"{self._cookie}={self._session}; Path=/; HttpOnly; SameSite=Strict"


def _is_own_page(headers: Mapping[str, str], host: str) -> bool:
    """Return whether a request that changes something comes from a page of the app itself.

    Every browser says one of the two; what says neither is none of our pages.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site not in (None, "same-origin"):
        return False
    if origin is not None:
        return urlsplit(origin).netloc.lower() == host.lower()
    return site == "same-origin"


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _limited(receive: Receive, most_bytes: int, most_idle_s: float) -> Receive:
    """Return what receives a body and stops where it is too long, or does not come."""
    n_bytes = 0
    complete = False
    began_s = time.monotonic()

    async def limited() -> MutableMapping[str, Any]:
        nonlocal n_bytes, complete
        if complete:  # what is waited for now is that the browser goes away
            return await receive()
        left_s = min(most_idle_s, began_s + MOST_SENDING_S - time.monotonic())
        try:
            message = await asyncio.wait_for(receive(), max(left_s, 0.001))
        except TimeoutError:
            raise TooSlow from None
        complete = not message.get("more_body", False)
        n_bytes += len(message.get("body", b""))
        if n_bytes > most_bytes:
            raise TooLarge(most_bytes)
        return message

    return limited


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _all(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == wanted]


def _with_headers(send: Send) -> Send:
    """Return what sends an answer with the headers of every answer."""

    async def guarded(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            there = {name for name, _ in message["headers"]}
            further = {"cache-control": "no-store", **HEADERS}
            message["headers"] = [
                *message["headers"],
                *((n.encode(), v.encode()) for n, v in further.items() if n.encode() not in there),
            ]
        await send(message)

    return guarded


async def _refuse(send: Send, status: int, text: str) -> None:
    # The body may not have been read, so the connection cannot be used again.
    await _send(send, status, f"{text}\n", {"connection": "close"})


async def _send(send: Send, status: int, text: str, headers: Mapping[str, str]) -> None:
    body = text.encode()
    sent = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        **headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."


def _size(n_bytes: int) -> str:
    return f"{n_bytes >> 20} MiB" if n_bytes >= 2**20 else f"{n_bytes >> 10} KiB"
