"""What happened: to each request, and to each chunk. Filled by an engine, read by everybody.

A `Trail` is what both engines write, number for number; a `Run` is a trail with the traffic and
the scenario it came from, in seconds and as tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.scenario import Rules, Scenario
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import Trace

REQUEST = np.dtype(
    [
        ("accepted_ticks", np.int64),
        ("first_token_ticks", np.int64),
        ("end_ticks", np.int64),
        ("preemptions", np.int32),
        ("chunk", np.int16),
        ("attempts", np.int8),
        ("status", np.int8),
    ],
    align=True,
)
"""What happened to a request: 32 bytes. Times that never came are `NEVER`."""

LAUNCH = np.dtype(
    [
        ("chunk", np.int64),
        ("started_ticks", np.int64),
        ("ready_ticks", np.int64),
        ("draining_ticks", np.int64),
        ("released_ticks", np.int64),
        ("busy_ticks", np.int64),
    ],
    align=True,
)
"""The life of a chunk from its start to its release; `ready_ticks` is when it was due, so one that was
removed while it was starting has been released before. Times that never came are `NEVER`."""

COMPLETED, REFUSED_QUEUE, REFUSED_WINDOW, REFUSED_LENGTH, SPILLED = 1, 2, 3, 4, 5
STATUS_NAMES = {
    COMPLETED: "completed",
    REFUSED_QUEUE: "refused: queue full",
    REFUSED_WINDOW: "refused: token window full",
    REFUSED_LENGTH: "refused: too long",
    SPILLED: "spilled to pay-per-token",
}
NO_CHUNK = -1


class Trail(NamedTuple):
    """What an engine leaves behind: `requests` (REQUEST[n]), `launches` (LAUNCH[m]), and whether all
    work was done before the end of representable time."""

    requests: npt.NDArray[Any]
    launches: npt.NDArray[Any]
    complete: bool
