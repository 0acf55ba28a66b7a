"""The app for tests: served by a thread of this process on 127.0.0.1, and asked over real sockets."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from rehearsal import TOKENS_MODEL
from workspace import TOKEN

from planner import listening
from planner.app import serving
from planner.app.gate import Door, Gate
from planner.endpoint.client import Workspace

URL_TOKEN = "first-address"
HEADER = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
QUESTION = {
    "model": f"{TOKENS_MODEL}:1",
    "base_model": "system.ai.meta_llama_v3_1_8b_instruct",
    "chunk_tokens_per_s": "980",
    "usd_per_chunk_hour": "2",
    "ttft_percentile": "95",
    "ttft_s": "5",
    "max_refused": "1%",
    "hold_in": "90%",
    "futures": "1",
}


def log_of(seconds: int = 600, *, seed: int = 1) -> str:
    """Return a log with a request a second, of some hundred tokens."""
    chance = random.Random(seed)
    return HEADER + "".join(
        f"{t + chance.random():.3f},{chance.randint(200, 900)},{chance.randint(20, 200)}\n"
        for t in range(seconds)
    )


@dataclass
class Running:
    """An app that is being served."""

    url: str
    gate: Gate
    folder: Path
    port: int

    @property
    def first_url(self) -> str:
        """The address that lets a browser in."""
        return f"{self.url}/?token={URL_TOKEN}"

    def client(self) -> requests.Session:
        """Return a client that was let in, and says of itself what a browser on our pages says."""
        session = requests.Session()
        session.headers["origin"] = self.url
        assert session.get(self.first_url, timeout=30).status_code == 200
        return session

    def exchange(self, request: bytes) -> bytes:
        """Send bytes, and return all that comes back."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=120)) as wire:
            wire.sendall(request)
            parts = []
            while part := wire.recv(65_536):
                parts.append(part)
            return b"".join(parts)


@contextmanager
def running_app(
    folder: Path, workspace_url: str | None = None, **of_door: Any
) -> Iterator[Running]:
    """Serve the app until the block ends.

    Args:
        folder: for plans and receipts.
        workspace_url: of a sandbox.
        of_door: what the door has other than by default.
    """
    listener = listening.bind(0)
    port = listener.getsockname()[1]
    door = Door(listening.LOCAL_NAMES, port, url_token=URL_TOKEN)
    gate = serving.build(
        replace(door, **of_door),
        folder=folder,
        connect=lambda token: Workspace(host=workspace_url, token=token or TOKEN),
        where=lambda: workspace_url,
    )
    server = listening.server_of(gate)
    # A connection that a stalled test comes back to is still there.
    server.config.timeout_keep_alive = 3600
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        yield Running(listening.url_of(listener), gate, folder, port)
    finally:
        server.should_exit = True
        thread.join(timeout=120)
        listener.close()
        assert not thread.is_alive()


def bring(client: requests.Session, url: str, text: str | bytes, name: str = "log.csv") -> Any:
    """Upload a file and return the answer, redirects followed."""
    return client.post(f"{url}/traces", files={"file": (name, text)}, timeout=120)


def ask(client: requests.Session, url: str, trace_url: str, **given: str) -> str:
    """Ask a question of a trace, wait for its answer, and return the address of the run."""
    asked = client.post(f"{trace_url}/runs", data=QUESTION | given, timeout=120)
    assert asked.status_code == 200, asked.text
    deadline = time.monotonic() + 180
    while 'id="act"' not in (page := client.get(asked.url, timeout=60).text):
        assert "Looking for" in page, page
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(asked.url)


def planned(client: requests.Session, run_url: str, endpoint: str = "chat") -> str:
    """Plan for an endpoint, and return the address of the plan."""
    made = client.post(f"{run_url}/plans", data={"endpoint": endpoint}, timeout=60)
    assert "/plans/" in made.url, made.text
    return str(made.url)


def ended(client: requests.Session, apply_url: str) -> dict[str, Any]:
    """Wait until an apply has ended, and return its receipt."""
    deadline = time.monotonic() + 180
    while 'id="state"' not in (page := client.get(apply_url, timeout=30).text):
        assert time.monotonic() < deadline, page
        time.sleep(0.05)
    return dict(client.get(f"{apply_url}/receipt.json", timeout=30).json())
