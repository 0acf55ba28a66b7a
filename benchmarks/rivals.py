"""The same work done otherwise: a queue in plain SimPy and in Ciw, and a pass that only touches the arrays."""

from __future__ import annotations

import ciw
import numba
import numpy as np
import numpy.typing as npt
import simpy

Times = npt.NDArray[np.float64]


def simpy_queue(arrival_s: Times, service_s: Times, n_servers: int) -> list[float]:
    """Return when each customer leaves, as SimPy's tutorial would have it: a process per customer."""
    env = simpy.Environment()
    servers = simpy.Resource(env, n_servers)
    leaves_s = [0.0] * len(arrival_s)

    def customer(i, service):
        with servers.request() as turn:
            yield turn
            yield env.timeout(service)
            leaves_s[i] = env.now

    def source():
        for i, (arrival, service) in enumerate(
            zip(arrival_s.tolist(), service_s.tolist(), strict=True)
        ):
            yield env.timeout(arrival - env.now)
            env.process(customer(i, service))

    env.process(source())
    env.run()
    return leaves_s


def ciw_queue(arrival_s: Times, service_s: Times, n_servers: int) -> list[float]:
    """Return when each customer leaves, by Ciw; customers start in the order in which they came."""
    between_s = [*np.diff(arrival_s, prepend=0.0).tolist(), float("inf")]
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential(between_s)],
        service_distributions=[ciw.dists.Sequential(service_s.tolist())],
        number_of_servers=[n_servers],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(1e12)
    return [record.exit_date for record in simulation.get_all_records()]


@numba.njit(nogil=True)
def touch(arrival_ticks, input_tokens, cached_tokens, output_tokens, requests):
    """Read each request once and write its row once: no simulation of requests can be faster."""
    for i in range(len(arrival_ticks)):
        row = requests[i]
        row.accepted_ticks = arrival_ticks[i]
        row.first_token_ticks = arrival_ticks[i] + input_tokens[i] - cached_tokens[i]
        row.end_ticks = row.first_token_ticks + output_tokens[i]
        row.attempts = 1
        row.status = 1
