"""How one stream of requests clusters around its rate: its gaps, and its bursts if it has them."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulations.traffic.on_off import OnOff
from simulations.traffic.renewal import Renewal


@dataclass(frozen=True, slots=True)
class Bursts:
    """A burst process: gaps from a renewal process, stretched by a rate that may switch on and off.

    Args:
        gaps: between requests; Poisson unless told otherwise.
        on_off: what the rate is multiplied by, None where it is the rate itself.

    >>> Bursts() == Bursts(Renewal("poisson"))
    True
    """

    gaps: Renewal = field(default_factory=Renewal)
    on_off: OnOff | None = None
