"""From a description to a trace: the streams are drawn and put together."""

from __future__ import annotations

import numpy as np

from simulations.errors import TraceError
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic.description import Description
from simulations.traffic.seasonal import draw_arrivals
from simulations.traffic.streams import Purpose, stream

_TICKS_PER_NS = TICKS_PER_S // 10**9


def generate(description: Description, *, replication: int = 0) -> Trace:
    """Return requests as described.

    The first one is at tick 0, as in every trace; the span stays the described duration, so that
    a day generated is a day billed.

    Args:
        replication: >= 0; others of the same description are independent of each other.

    Raises:
        TraceError: nothing arrived, or far too much would.

    >>> from simulations.traffic import LogNormal, SeasonalRate
    >>> calm = Description(3600.0, SeasonalRate(0.5), LogNormal(500, 1.0), LogNormal(100, 1.0))
    >>> generate(calm)
    Trace('generated': 1,808 requests in 3,600.0 s, mean shape 824:165 tokens)
    """
    if replication < 0:
        raise TraceError(f"replication is {replication}; must be >= 0")
    seed = description.seed
    ticks = draw_arrivals(
        description.rate,
        stream(seed, replication, Purpose.ARRIVALS),
        start_week_s=description.start_week_s,
        duration_s=description.duration_s,
    )
    if len(ticks) == 0:
        raise TraceError(
            f"nothing arrived in {description.duration_s:g} s; raise the rate or the duration"
        )
    input_tokens = description.input.draw(len(ticks), stream(seed, replication, Purpose.INPUT))
    output_tokens = description.output.draw(len(ticks), stream(seed, replication, Purpose.OUTPUT))
    cached_tokens = (input_tokens * description.cached_fraction).astype(np.int32)
    first = int(ticks[0])
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
