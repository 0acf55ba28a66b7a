"""A law of futures that come after a recording: rates as forecast, requests as recorded. Needs the extra `forecast`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from simulations.trace import Trace
from simulations.traffic.bootstrap import Bootstrap
from simulations.traffic.forecast import FloatArray, forecast_rates
from simulations.traffic.rate_path import trace_at_rates

N_PATHS = 2000
"""Paths of hourly rates that are sampled; the futures of a search and of its tests are told apart by them."""


@dataclass(frozen=True, eq=False)
class Continuation:
    """What may come after a recording of two weeks or more.

    Every future follows a path of hourly rates of its own, sampled from a forecast, and takes its requests
    from recorded hours at the same hour of the week.

    Args:
        past: the recording.
        horizon_s: how far, rounded up to whole hours.

    Raises:
        TraceError: at the first draw, where statsforecast is not installed or the recording is too short.
    """

    past: Bootstrap
    horizon_s: float
    _paths: dict[int, FloatArray] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def draw(self, *, seed: int, replication: int, copy: int = 0) -> Trace:
        """Return a future; other copies follow the same path through other requests."""
        with self._lock:
            if seed not in self._paths:
                self._paths[seed] = forecast_rates(
                    self.past.trace, self.horizon_s, n_paths=N_PATHS, seed=seed
                )
        path = self._paths[seed][replication % N_PATHS]
        return trace_at_rates(
            self.past.trace, path, seed=seed, replication=replication + (copy << 32)
        )
