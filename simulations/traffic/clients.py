"""Who sends the traffic: a few large clients that cause the bursts, and many small ones.

That traffic of one model is a mixture of very unequal clients, each steadier than the sum, is ServeGen's
finding. Source: arxiv.org/abs/2505.09999 and its released parameters (top 5 of 43 clients send .77 of
"m-small", of 162 .43 of "m-large"), read 2026-11-22.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulations.errors import TraceError
from simulations.traffic.bursts import Bursts

MOST_CLIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Client:
    """One sender.

    Args:
        share_fraction: of all requests, above 0 to 1.
        bursts: how its requests cluster.
        input_factor, output_factor: its requests' tokens over those of all, > 0.

    Raises:
        TraceError: a number is out of its range.
    """

    share_fraction: float
    bursts: Bursts = field(default_factory=Bursts)
    input_factor: float = 1.0
    output_factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share_fraction <= 1:
            raise TraceError(
                f"share_fraction is {self.share_fraction}; must be above 0 and at most 1"
            )
        for key in ("input_factor", "output_factor"):
            if not 1e-4 <= getattr(self, key) <= 1e4:
                raise TraceError(f"{key} is {getattr(self, key)}; must be from 0.0001 to 10000")


@dataclass(frozen=True, slots=True)
class Clients:
    """Many senders by a law: the i-th largest has a share as i to the power of minus an exponent (Zipf).

    Args:
        n: how many, 1 to 10,000.
        zipf_exponent: 0 (all alike) to 10.
        n_bursty: so many of the largest have the bursts, the others are Poisson; all unless told otherwise.
        input_sigma, output_sigma: standard deviation over clients of the natural logarithm of their
            lengths' scale, 0 to 5; over all requests the mean length stays.

    Raises:
        TraceError: a number is out of its range.

    >>> Clients(3, 1.0).shares.round(4).tolist()
    [0.5455, 0.2727, 0.1818]
    """

    n: int
    zipf_exponent: float = 1.0
    n_bursty: int | None = None
    input_sigma: float = 0.0
    output_sigma: float = 0.0

    def __post_init__(self) -> None:
        for key, fine, rule in (
            ("n", 1 <= self.n <= MOST_CLIENTS, f"from 1 to {MOST_CLIENTS}"),
            ("zipf_exponent", 0 <= self.zipf_exponent <= 10, "from 0 to 10"),
            ("n_bursty", self.n_bursty is None or 0 <= self.n_bursty <= self.n, "from 0 to n"),
            ("input_sigma", 0 <= self.input_sigma <= 5, "from 0 to 5"),
            ("output_sigma", 0 <= self.output_sigma <= 5, "from 0 to 5"),
        ):
            if not fine:
                raise TraceError(f"{key} is {getattr(self, key)}; must be {rule}")

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Of all requests, the largest first [n]."""
        weights: npt.NDArray[np.float64] = np.arange(1.0, self.n + 1) ** -self.zipf_exponent
        return np.asarray(weights / weights.sum())

    def members(self, bursts: Bursts, random: np.random.Generator) -> tuple[Client, ...]:
        """Return the clients, the largest first.

        Args:
            bursts: of those that have them.
            random: for the scale of their lengths.
        """
        shares = self.shares
        n_bursty = self.n if self.n_bursty is None else self.n_bursty
        factors = []
        for sigma in (self.input_sigma, self.output_sigma):
            scale = np.exp(np.clip(sigma * random.standard_normal(self.n), -6, 6))
            factors.append(np.clip(scale / (shares @ scale), 1e-4, 1e4))
        return tuple(
            Client(share, bursts if i < n_bursty else Bursts(), into, out)
            for i, (share, into, out) in enumerate(
                zip(shares.tolist(), factors[0].tolist(), factors[1].tolist(), strict=True)
            )
        )


def require_whole(clients: tuple[Client, ...]) -> None:
    """Refuse clients whose shares do not add up.

    Raises:
        TraceError: they do not, to a thousandth.
    """
    total = math.fsum(client.share_fraction for client in clients)
    if abs(total - 1) > 1e-3:
        raise TraceError(f"share_fraction of all clients adds up to {total:.6g}; must be 1")
