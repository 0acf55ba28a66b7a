"""From a description to a trace: the streams are drawn and put together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.ticks import TICKS_PER_S
from simulations.trace import TokenArray, Trace
from simulations.traffic import arrivals
from simulations.traffic.arrivals import Arrivals
from simulations.traffic.dependence import joined
from simulations.traffic.description import Description
from simulations.traffic.lengths import rounded
from simulations.traffic.streams import Purpose, stream

_TICKS_PER_NS = TICKS_PER_S // 10**9
_BLOCK = 1 << 19


def generate(
    description: Description, *, replication: int = 0, from_first_request: bool = True
) -> Trace:
    """Return requests as described; the span is the described duration, so that a day generated is a day billed.

    Args:
        replication: >= 0; others of the same description are independent of each other.
        from_first_request: put the first one at tick 0, as in every recording; else tick 0 is the described start.

    Raises:
        TraceError: nothing arrived, or far too much would.

    >>> from simulations.traffic import LogNormal, SeasonalRate
    >>> calm = Description(3600.0, SeasonalRate(0.5), LogNormal(500, 1.0), LogNormal(100, 1.0))
    >>> generate(calm)
    Trace('generated': 1,808 requests in 3,600.0 s, mean shape 824:165 tokens)
    """
    if replication < 0:
        raise TraceError(f"replication is {replication}; must be >= 0")
    arrived = arrivals.draw(description, replication=replication)
    ticks = arrived.ticks
    if len(ticks) == 0:
        raise TraceError(
            f"nothing arrived in {description.duration_s:g} s; raise the rate or the duration"
        )
    input_tokens, output_tokens = _lengths(description, arrived, replication)
    cached_tokens = (input_tokens * description.cached_fraction).astype(np.int32)
    first = int(ticks[0]) if from_first_request else 0
    ticks -= first
    epoch_ns = description.epoch_ns
    return Trace(
        ticks,
        input_tokens,
        cached_tokens,
        output_tokens,
        round(description.duration_s * TICKS_PER_S),
        None if epoch_ns is None else epoch_ns + first // _TICKS_PER_NS,
        description.name,
    )


def _lengths(
    description: Description, arrived: Arrivals, replication: int
) -> tuple[TokenArray, TokenArray]:
    """Return input and output tokens [n], drawn in blocks so that no column of scores is held whole."""
    n = len(arrived.ticks)
    sides = (description.input, description.output)
    streams = [
        stream(description.seed, replication, purpose)
        for purpose in (Purpose.INPUT, Purpose.OUTPUT)
    ]
    factors: list[npt.NDArray[np.float64]] = [
        np.array([client.input_factor for client in arrived.clients]),
        np.array([client.output_factor for client in arrived.clients]),
    ]
    columns = np.empty(n, np.int32), np.empty(n, np.int32)
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        given, own = (random.standard_normal(rows.stop - start) for random in streams)
        scores = given, joined(given, own, description.rank_correlation)
        for side, column, score, factor in zip(sides, columns, scores, factors, strict=True):
            tokens = side.at(score)
            if arrived.senders is not None:
                tokens *= factor[arrived.senders[rows]]
            column[rows] = rounded(tokens, min_tokens=side.min_tokens, max_tokens=side.max_tokens)
    return columns
