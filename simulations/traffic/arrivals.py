"""When requests arrive: the rate, the bursts and the clients of a description put together.

Each client draws its gaps and its phases from streams of its own, so that one more client, or other
bursts of one, leave the others' draws as they were.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.ticks import TICKS_PER_S
from simulations.trace import MAX_REQUESTS, IntArray
from simulations.traffic.bursts import Bursts
from simulations.traffic.clients import Client, Clients
from simulations.traffic.description import Description
from simulations.traffic.operational import Clock
from simulations.traffic.seasonal import SeasonalRate, draw_arrivals
from simulations.traffic.streams import Purpose, stream

_US_PER_S = 1_000_000


class Arrivals(NamedTuple):
    """Requests in order of time.

    Args:
        ticks: since the beginning, on whole microseconds as in logs [n].
        senders: which client sent each [n]; None where there are no clients.
        clients: those there are.
    """

    ticks: IntArray
    senders: npt.NDArray[np.int16] | None
    clients: tuple[Client, ...]


def draw(description: Description, *, replication: int) -> Arrivals:
    """Return the arrivals of a description.

    Raises:
        TraceError: far too many would arrive.
    """
    seed = description.seed
    if description.is_plain and isinstance(description.rate, SeasonalRate):
        ticks = draw_arrivals(
            description.rate,
            stream(seed, replication, Purpose.ARRIVALS),
            start_week_s=description.start_week_s,
            duration_s=description.duration_s,
        )
        return Arrivals(ticks, None, ())
    clock = description.clock()
    if clock.total > MAX_REQUESTS / 2:
        raise TraceError(
            f"about {clock.total:.3g} requests are described; must stay below {MAX_REQUESTS // 2:,}: "
            "lower the rate or the duration"
        )
    clients = _clients(description)
    if not clients:
        alone = Client(1.0, description.bursts)
        return Arrivals(_of_client(alone, clock, seed, replication) * _TICKS_PER_US, None, ())
    of_each = [_of_client(one, clock, seed, replication, i) for i, one in enumerate(clients)]
    arrival_us = np.concatenate(of_each)
    senders = np.repeat(np.arange(len(clients), dtype=np.int16), [len(one) for one in of_each])
    del of_each
    order = np.argsort(arrival_us, kind="stable")
    return Arrivals(arrival_us[order] * _TICKS_PER_US, senders[order], clients)


_TICKS_PER_US = TICKS_PER_S // _US_PER_S


def _clients(description: Description) -> tuple[Client, ...]:
    """Return the clients: by a law, the same ones in every replication."""
    if isinstance(description.clients, Clients):
        random = stream(description.seed, 0, Purpose.CLIENTS)
        return description.clients.members(description.bursts, random)
    return description.clients


def _of_client(client: Client, clock: Clock, seed: int, replication: int, *which: int) -> IntArray:
    """Return one client's arrivals in microseconds since the beginning, in order."""
    bursts: Bursts = client.bursts
    if bursts.on_off is not None:
        clock = clock.modulated(bursts.on_off, stream(seed, replication, Purpose.PHASES, *which))
    share = client.share_fraction
    random = stream(seed, replication, Purpose.ARRIVALS, *which)
    parts = []
    for points in bursts.gaps.points(clock.total * share, random):
        at_us = clock.at_s(points / share)
        at_us *= _US_PER_S
        parts.append(at_us.astype(np.int64))
    return np.concatenate(parts)
