"""What everything of ours that listens shares: a socket, the names it goes by, a server that says nothing.

Used by the sandbox and by the app; knows neither.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

import uvicorn

from simulations.errors import InputError

LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""As they stand in a Host header."""


def bind(port: int, *, address: str = LOOPBACK) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        InputError: the port is taken or not allowed, or the address is none of this machine.
    """
    if not 0 <= port <= 65_535:
        raise InputError(f"--port is {port}; must be 0 to 65535")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it each answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        # From here on clients are kept waiting and not refused, though nobody serves them yet.
        listener.listen(128)
    except OSError as error:
        listener.close()
        where = f"--port is {port}" if address == LOOPBACK else f"{address} port {port}"
        raise InputError(
            f"{where}, which cannot be listened on: {error.strerror}; choose another, or 0 for a free one"
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of what is served on this socket."""
    address, port = listener.getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


def is_named(host: str, names: Iterable[str], port: int | None) -> bool:
    """Return whether a Host header, or the host of an Origin, is one of some names, with the port or without.

    >>> is_named("LOCALHOST:80", LOCAL_NAMES, 80), is_named("localhost.evil.example", LOCAL_NAMES, 80)
    (True, False)
    """
    return any(host.lower() in (name.lower(), f"{name.lower()}:{port}") for name in names)


def server_of(application: Any, *, http: Any = "h11") -> uvicorn.Server:
    """Return a server, not yet running: `run(sockets=[bind(port)])` serves until `should_exit`."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=http,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
