"""The endpoint reduced to queues, against Ciw: a simulator that shares nothing with ours.

Both are given the same arrivals and the same service times, so they must agree request by request,
to the rounding of Ciw's clock, which is a float.
"""

from __future__ import annotations

import ciw
import numpy as np
import pytest
from queues import customers, served, servers, service_ticks

from simulations.run import COMPLETED
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

CUSTOMERS = 3000

ROUNDING_S = 1e-8
"""A float of 1e4 s is good to 2e-12 s; sums of 3,000 such stay below this."""


class Numbered(ciw.dists.Distribution):
    """Service times by the number of the individual, counted from 1, whoever was turned away."""

    def __init__(self, times_s: np.ndarray) -> None:
        self.times_s = times_s.tolist()

    def sample(self, t=None, ind=None):
        return self.times_s[ind.id_number - 1]


def ciw_records(
    trace: Trace, n_servers: int, places: float
) -> dict[int, ciw.data_record.DataRecord]:
    """Return Ciw's record of each individual, by its number."""
    arrival_s = trace.arrival_ticks / TICKS_PER_S
    # Ciw adds up the times between arrivals; the first is at 0, and none comes after the last.
    between_s = [*np.diff(arrival_s, prepend=0.0).tolist(), float("inf")]
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential(between_s)],
        service_distributions=[Numbered(service_ticks(trace) / TICKS_PER_S)],
        number_of_servers=[n_servers],
        queue_capacities=[places],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(1e9)
    return {record.id_number: record for record in simulation.get_all_records()}


def traffic(seed: int, load: float, heavy: bool) -> Trace:
    """Poisson arrivals of one a second; exponential service times, or a few long ones among many short."""
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.exponential(1.0, CUSTOMERS))
    if heavy:
        service_s = load * np.where(rng.random(CUSTOMERS) < 0.1, 5.5, 0.5)
    else:
        service_s = rng.exponential(load, CUSTOMERS)
    return customers(arrival_s, service_s)


@pytest.mark.parametrize("heavy", [False, True], ids=["exponential", "two-point"])
@pytest.mark.parametrize(("n_servers", "rho"), [(1, 0.8), (3, 0.9), (5, 1.1)])
def test_servers_behind_one_queue_agree_request_by_request(n_servers, rho, heavy):
    """First come first served; with 1.1 the queue grows to the end."""
    trace = traffic(1, rho * n_servers, heavy)
    trail = served(trace, servers(n_servers))
    theirs = ciw_records(trace, n_servers, float("inf"))
    assert len(theirs) == CUSTOMERS
    np.testing.assert_allclose(
        trail.requests["end_ticks"] / TICKS_PER_S,
        [theirs[i + 1].exit_date for i in range(CUSTOMERS)],
        rtol=0,
        atol=ROUNDING_S,
    )


@pytest.mark.parametrize(("n_servers", "waiting", "rho"), [(1, 1, 0.9), (1, 4, 1.5), (3, 2, 1.2)])
def test_a_finite_queue_turns_away_the_same_requests(n_servers, waiting, rho):
    """Who finds every place taken is lost, in both; the others end at the same time."""
    trace = traffic(2, rho * n_servers, heavy=False)
    trail = served(trace, servers(n_servers, waiting=waiting))
    theirs = ciw_records(trace, n_servers, n_servers * waiting)
    lost = np.array([theirs[i + 1].record_type == "rejection" for i in range(CUSTOMERS)])
    assert 0.02 < lost.mean() < 0.5
    np.testing.assert_array_equal(trail.requests["status"] != COMPLETED, lost)
    np.testing.assert_allclose(
        trail.requests["end_ticks"][~lost] / TICKS_PER_S,
        [theirs[i + 1].exit_date for i in np.flatnonzero(~lost)],
        rtol=0,
        atol=ROUNDING_S,
    )
