"""Requests out of sums: how many arrived in a minute, and what they brought together.

The law: arrivals are uniform in their bucket and independent (a Poisson process, given its
count), and tokens are shared equally, in whole tokens, so that every sum is kept exactly. Both
are the mildest traffic with these sums: what was real was burstier and less equal. *Assumed.*
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulations.trace import IntArray, TokenArray
from simulations.traffic.streams import Purpose, stream


def spread(
    start_ticks: IntArray,
    requests: IntArray,
    sums: Mapping[str, IntArray],
    *,
    bucket_ticks: int,
    seed: int = 0,
) -> tuple[IntArray, dict[str, TokenArray]]:
    """Return arrivals, in order within a bucket, and the tokens of each request.

    Args:
        start_ticks: int64[m], when each bucket begins.
        requests: int64[m], >= 0.
        sums: int64[m] each, tokens of a bucket.
        bucket_ticks: how long a bucket is.

    >>> start, n = np.array([0, 100]), np.array([3, 1])
    >>> ticks, tokens = spread(start, n, {"input_tokens": np.array([11, 5])}, bucket_ticks=100)
    >>> tokens["input_tokens"].tolist(), bool((ticks[:3] < 100).all()), bool(ticks[3] >= 100)
    ([4, 4, 3, 5], True, True)
    """
    bucket = np.repeat(np.arange(len(requests)), requests)
    place = np.arange(len(bucket)) - np.repeat(np.cumsum(requests) - requests, requests)
    within = stream(seed, 0, Purpose.WITHIN_BUCKET).integers(0, bucket_ticks, len(bucket))
    ticks = start_ticks[bucket] + within[np.lexsort((within, bucket))]
    tokens = {}
    for name, total in sums.items():
        each, rest = np.divmod(total, np.maximum(requests, 1))
        tokens[name] = (each[bucket] + (place < rest[bucket])).astype(np.int32)
    return ticks, tokens
