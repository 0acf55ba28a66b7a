"""A local workspace for tests: `ptplan sandbox` on a free port of 127.0.0.1, in a thread or in a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from planner import listening
from planner.endpoint.sandbox import server
from planner.endpoint.sandbox.faults import Fault, Faults
from planner.endpoint.sandbox.offerings import Offerings
from planner.endpoint.sandbox.throttle import Throttle
from planner.endpoint.sandbox.workspace import Timings, Workspace

TOKEN = "dapi-not-a-secret"
INSTANT = Timings(create_s=0.0, update_s=0.0, capacity_s=0.0)


class Clock:
    """Time that passes only when told to."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class Running:
    """A sandbox that is being served by a thread of this process; what it holds may be looked at directly."""

    url: str
    sandbox: server.Sandbox
    clock: Any
    told: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return self.sandbox.workspace

    def fault(self, kind: str, moment: str = "before", **given: Any) -> None:
        self.sandbox.faults.add(Fault(kind, moment, **given))

    def clear_faults(self) -> None:
        self.sandbox.faults.clear()

    def exchanges(self, method: str = "") -> list[Any]:
        return [e for e in self.sandbox.wire.exchanges if method in ("", e.method)]

    def forget(self) -> None:
        """Be as new: no endpoints, no faults, nothing received."""
        self.clear_faults()
        self.sandbox.wire.exchanges.clear()
        self.workspace.next_endings.clear()
        self.workspace.ending = "succeed"
        self.workspace.permission = "CAN_MANAGE"
        for endpoint in self.workspace.list()["endpoints"]:
            self.workspace.delete(endpoint["name"])


@contextmanager
def running_workspace(
    *,
    timings: Timings = INSTANT,
    clock: Any = None,
    models: tuple[str, ...] = (),
    token: str | None = None,
    requests_per_s: float | None = None,
    workspace: Workspace | None = None,
    **given: Any,
) -> Iterator[Running]:
    """Serve a workspace in a thread; every update ends at once unless `timings` say otherwise.

    Args:
        clock: `Clock()` for time that passes only when told; the real one where absent.
        models: further models on sale, as NAME[:VERSION]=SIZE.
        given: to `Workspace`: permission, ending, store.
    """
    clock = clock or time.time
    workspace = workspace or Workspace(
        clock=clock, timings=timings, offerings=Offerings(models), **given
    )
    told: list[str] = []
    sandbox = server.build(
        workspace,
        faults=Faults(),
        throttle=Throttle(requests_per_s),
        token=token,
        tell=told.append,
    )
    listener = listening.bind(0)
    serving = server.server_of(sandbox)
    # A connection that a stalled test comes back to is still there.
    serving.config.timeout_keep_alive = 3600
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not serving.started and thread.is_alive():
            time.sleep(0.005)
        yield Running(listening.url_of(listener), sandbox, clock, told)
    finally:
        serving.should_exit = True
        thread.join(timeout=120)
        listener.close()
        assert not thread.is_alive()


class Process:
    """`ptplan sandbox` in a process of its own, which can be killed."""

    def __init__(self, *flags: str, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "planner.cli", "sandbox", "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.printed: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found[0]
                break
        else:
            raise AssertionError(self.process.communicate()[1])
        deadline = time.monotonic() + 120
        while True:
            try:
                requests.get(f"{self.url}/sandbox", timeout=120)
                return
            except requests.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self._end(signal.SIGKILL)

    def stop(self) -> str:
        """End it as Ctrl-C does, and return what it printed since it was up."""
        return self._end(signal.SIGINT)

    def _end(self, number: int) -> str:
        self.process.send_signal(number)
        printed, complained = self.process.communicate(timeout=180)
        self.complained = complained
        return printed


@contextmanager
def workspace_process(*flags: str, cwd: Path | None = None) -> Iterator[Process]:
    """Run `ptplan sandbox` in a process until the block ends."""
    process = Process(*flags, cwd=cwd)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()
        for pipe in (process.process.stdout, process.process.stderr):
            pipe.close()


@contextmanager
def sdk_client(url: str, token: str = TOKEN, **given: Any) -> Iterator[Any]:
    """Yield a WorkspaceClient that has patience with a busy machine, and close its connections."""
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.core import Config

    given = {"retry_timeout_seconds": 300, "http_timeout_seconds": 60, **given}
    client = WorkspaceClient(config=Config(host=url, token=token, **given))
    try:
        yield client
    finally:
        # The SDK has no way to close; what it leaves open would be a ResourceWarning later.
        client.api_client._api_client._session.close()
