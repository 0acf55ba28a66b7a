"""`ptplan sandbox`: from flags to a server that runs until it is interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, get_args

from planner import listening
from planner.endpoint.sandbox import server
from planner.endpoint.sandbox.endpoints import Ending
from planner.endpoint.sandbox.faults import Faults, parse_fault
from planner.endpoint.sandbox.offerings import Offerings
from planner.endpoint.sandbox.store import SqliteStore
from planner.endpoint.sandbox.throttle import Throttle
from planner.endpoint.sandbox.workspace import Permission, Timings, Workspace
from simulations.errors import InputError


def serve(
    *,
    port: int,
    state: Path | None,
    token: str | None,
    permission: str,
    models: Sequence[str],
    create_s: float,
    update_s: float,
    capacity_s: float,
    ending: str,
    requests_per_s: float | None,
    faults: Sequence[str],
    tell: Callable[[str], None],
    quiet: bool = False,
) -> None:
    """Serve a workspace on 127.0.0.1 until it is interrupted.

    Args:
        tell: takes a line: where it listens, and one for each request unless `quiet`.

    Raises:
        InputError: a flag cannot be used; nothing was served.
    """
    require_one_of("--permission", permission, get_args(Permission))
    require_one_of("--ending", ending, get_args(Ending))
    if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
        # The value is not repeated: it is a secret.
        raise InputError("--token is empty or no printable ASCII; give another, or leave it out")
    offerings, rules = Offerings(models), Faults([parse_fault(text) for text in faults])
    throttle = Throttle(requests_per_s)
    store = SqliteStore(state) if state is not None else None
    with closing(listening.bind(port)) as listener, closing(store) if store else nullcontext():
        workspace = Workspace(
            clock=time.time,
            timings=Timings(create_s, update_s, capacity_s),
            offerings=offerings,
            permission=permission,  # type: ignore[arg-type]
            ending=ending,  # type: ignore[arg-type]
            store=store,
        )
        sandbox = server.build(
            workspace,
            faults=rules,
            throttle=throttle,
            token=token,
            tell=(lambda line: None) if quiet else tell,
        )
        for line in _opening(listening.url_of(listener), state, workspace, token is not None):
            tell(line)
        server.server_of(sandbox).run(sockets=[listener])


def require_one_of(flag: str, value: str, allowed: Sequence[Any]) -> None:
    """Refuse a value that is none of those allowed.

    Raises:
        InputError: it is not.
    """
    if value not in allowed:
        raise InputError(f"{flag} is {value!r}; must be {' or '.join(map(str, allowed))}")


def _opening(url: str, state: Path | None, workspace: Workspace, asks_token: bool) -> list[str]:
    n_endpoints = len(workspace.list()["endpoints"])
    kept = f"kept in {state} ({n_endpoints} endpoints)" if state else "forgotten when it ends"
    token = "the token of --token" if asks_token else "any token"
    return [
        f"a workspace to rehearse in, {kept}: {url}",
        f"  export DATABRICKS_HOST={url} DATABRICKS_TOKEN={'...' if asks_token else 'sandbox'}   # takes {token}",
        f"  control: {url}/sandbox   API: {url}/openapi.json   Ctrl-C ends it",
    ]
