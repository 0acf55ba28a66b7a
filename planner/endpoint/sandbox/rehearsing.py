"""A sandbox for the length of a `with` block, in a thread of this process: for notebooks and examples."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from planner import listening
from planner.endpoint import client
from planner.endpoint.sandbox import server
from planner.endpoint.sandbox.workspace import Timings, Workspace


@contextmanager
def rehearse(*, create_s: float = 0.0, update_s: float = 0.0) -> Iterator[client.Workspace]:
    """Yield a workspace to rehearse in, which forgets everything when the block ends.

    Args:
        create_s, update_s: until a create or an update has ended; >= 0.

    >>> with rehearse() as workspace:
    ...     workspace.get("chat") is None
    True
    """
    kept = Workspace(clock=time.time, timings=Timings(create_s, update_s))
    serving = server.server_of(server.build(kept))
    with closing(listening.bind(0)) as listener:
        thread = threading.Thread(
            target=serving.run, kwargs={"sockets": [listener]}, daemon=True, name="ptplan-sandbox"
        )
        thread.start()
        try:
            yield client.Workspace(host=listening.url_of(listener), token="rehearsal")
        finally:
            serving.should_exit = True
            thread.join(timeout=10)
