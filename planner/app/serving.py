"""Where the app runs: on this machine alone, on another address when told to, or behind the proxy of a workspace."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from planner import files, listening
from planner.app.applying import Register
from planner.app.desk import Desk
from planner.app.gate import MOST_UPLOAD_BYTES, Door, Gate
from planner.app.pages import Site, application
from planner.endpoint.client import Workspace
from simulations.errors import InputError

PORT_VARIABLE = "DATABRICKS_APP_PORT"
"""Set where Databricks runs the app: docs.databricks.com, dev-tools/databricks-apps/system-env, read 2026-11-22."""

ALLOWED_VARIABLE = "PTPLAN_APP_HOSTS"
APP_NAMES = (".databricksapps.com",)
"""What addresses of Databricks Apps end in; *assumed* for clouds that publish none, and more are allowed by
PTPLAN_APP_HOSTS."""

PORT = 8321
ANYWHERE = ("0.0.0.0", "::")


def build(
    door: Door,
    *,
    folder: Path,
    connect: Callable[[str | None], Workspace],
    where: Callable[[], str | None],
) -> Gate:
    """Return the app behind its gate, not yet served.

    Args:
        door: how it is reached.
        folder: for plans and receipts.
        connect: signs in to the workspace, given the token that a proxy forwarded.
        where: says which workspace that is, or None.
    """
    version = metadata.version("ptplan")
    site = Site(
        Desk(version=version),
        Register(folder, version=version),
        connect=connect,
        where=where,
        most_upload=f"{door.most_upload_bytes >> 20} MiB",
        proxied=door.proxied,
    )
    return Gate(application(site), door, site=site)


def serve(
    *,
    port: int | None,
    listen: str | None,
    folder: Path,
    host: str | None,
    profile: str | None,
    tell: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Serve the app until it is interrupted.

    Args:
        port: to listen on; None for the one that the place has.
        listen: another address than 127.0.0.1.
        folder: for plans and receipts.
        host, profile: of the workspace.
        tell: takes a line.
        environment: of the process.

    Raises:
        InputError: a flag cannot be used; nothing was served.
    """
    files.require_writable(folder)
    place = place_of(environment, port=port, listen=listen, host=host, profile=profile)
    with closing(listening.bind(place.port, address=place.address)) as listener:
        door = place.door
        if not door.proxied:
            door = replace(door, port=listener.getsockname()[1])
        gate = build(door, folder=folder, connect=place.connect, where=place.where)
        for line in _opening(door, listener, place.address, folder):
            tell(line)
        try:
            listening.server_of(gate).run(sockets=[listener])
        finally:
            for path in gate.site.register.unfinished():
                tell(f"an apply was under way; to go on: ptplan apply {path}")


@dataclass(frozen=True)
class Place:
    """Where the app runs.

    Args:
        address, port: to listen on.
        door: how it is reached.
        connect: signs in to the workspace, given the token that a proxy forwarded.
        where: says which workspace that is, or None.
    """

    address: str
    port: int
    door: Door
    connect: Callable[[str | None], Workspace]
    where: Callable[[], str | None]


def place_of(
    environment: Mapping[str, str],
    *,
    port: int | None = None,
    listen: str | None = None,
    host: str | None = None,
    profile: str | None = None,
) -> Place:
    """Return where the app runs: behind the proxy where the environment says so, else on this machine.

    Raises:
        InputError: a flag or variable cannot be used.

    >>> place_of({}).address, place_of({"DATABRICKS_APP_PORT": "8000"}).address
    ('127.0.0.1', '0.0.0.0')
    """
    hosted = environment.get(PORT_VARIABLE)
    if hosted is None:
        return Place(
            listen or listening.LOOPBACK,
            PORT if port is None else port,
            Door(_names(listen or listening.LOOPBACK), None, url_token=secrets.token_urlsafe(24)),
            lambda token: Workspace(host=host, profile=profile),
            lambda: _named(host, profile, environment),
        )
    if any(flag is not None for flag in (port, listen, host, profile)):
        raise InputError(
            f"{PORT_VARIABLE} is set, so this runs as a Databricks App, which has a port, an address and a workspace of "
            "its own; leave --port, --listen, --host and --profile away"
        )
    if not hosted.isdecimal():
        raise InputError(f"{PORT_VARIABLE} is {hosted!r}; must be a port")
    own = environment.get("DATABRICKS_HOST", "")
    url = own if "://" in own or not own else f"https://{own}"
    # The token is the user's: the app's own sign-in could show or change what the user may not.
    return Place(
        ANYWHERE[0],
        int(hosted),
        proxied_door(environment),
        lambda token: Workspace(host=url, token=token or ""),
        lambda: url or None,
    )


def proxied_door(environment: Mapping[str, str]) -> Door:
    """Return the door behind the proxy of Databricks Apps."""
    further = [name.strip().lower() for name in environment.get(ALLOWED_VARIABLE, "").split(",")]
    url = environment.get("DATABRICKS_APP_URL", "").partition("://")[2].partition("/")[0]
    names = [name for name in (*further, url.lower()) if name]
    return Door((*names, *APP_NAMES), None, proxied=True, most_upload_bytes=MOST_UPLOAD_BYTES)


def _names(address: str) -> tuple[str, ...]:
    """Return the names by which a browser may reach an address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise InputError(
            f"--listen is {address!r}; must be an IP address of this machine, such as 192.0.2.7"
        ) from None
    own = f"[{ip}]" if ip.version == 6 else str(ip)
    if ip.is_loopback or not ip.is_unspecified:
        return (*listening.LOCAL_NAMES, own)
    name = socket.gethostname().lower()
    found = {info[4][0] for info in _addresses(name)}
    return (*listening.LOCAL_NAMES, name, *(str(one) for one in sorted(found)))


def _addresses(name: str) -> list[Any]:
    try:
        return list(socket.getaddrinfo(name, None, family=socket.AF_INET))
    except OSError:
        return []


def _named(host: str | None, profile: str | None, environment: Mapping[str, str]) -> str | None:
    """Return which workspace would be asked, without asking it."""
    profile = profile or (None if host else environment.get("DATABRICKS_CONFIG_PROFILE"))
    return host or (f"profile {profile}" if profile else environment.get("DATABRICKS_HOST"))


def _opening(door: Door, listener: socket.socket, address: str, folder: Path) -> list[str]:
    kept = f"plans and receipts are kept in {folder}"
    if door.proxied:
        return [
            f"ptplan app behind the proxy of Databricks Apps, port {listener.getsockname()[1]}; {kept}"
        ]
    url = listening.url_of(listener)
    if address in ANYWHERE:
        url = f"http://{socket.gethostname()}:{door.port}"
    lines = [f"open {url}/?token={door.url_token}", f"  {kept}; Ctrl-C ends it"]
    if not ipaddress.ip_address(address).is_loopback:
        lines.append(
            f"! listening on {address}: whoever reaches it and has the address above can act with your sign-in, and what "
            "is sent can be read on the way, since this is HTTP; a tunnel (ssh -L) to 127.0.0.1 is safer"
        )
    return lines
