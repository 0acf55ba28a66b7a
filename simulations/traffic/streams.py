"""Random numbers by purpose: one stream for each use, so that none moves another's draws.

More requests, or longer ones, leave the other draws of a seed and replication as they were.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. A number is never given to another purpose: seeds would change."""

    ARRIVALS = 0
    INPUT = 1
    OUTPUT = 2
    PHASES = 3
    CLIENTS = 4
    FORECAST = 5
    RESAMPLING = 6
    WITHIN_BUCKET = 10
    BLOCKS = 20
    THINNING = 21
    ENDPOINT = 22


def stream(seed: int, replication: int, purpose: Purpose, *which: int) -> np.random.Generator:
    """Return the random numbers of one purpose.

    Args:
        which: of several that have the purpose, such as the client.

    >>> a = stream(1, 0, Purpose.INPUT).random()
    >>> a == stream(1, 0, Purpose.INPUT).random(), a == stream(1, 1, Purpose.INPUT).random()
    (True, False)
    """
    key = (replication, int(purpose), *which)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
