"""How many requests a second the workspace takes; beyond, 429 with Retry-After. Knows time as an argument only."""

from __future__ import annotations

import math

from simulations.errors import InputError


class Throttle:
    """A bucket of tokens, one a request; full at the start, one second's worth of them at most.

    Args:
        requests_per_s: > 0; None takes all.

    Raises:
        InputError: it is not above 0.

    >>> throttle = Throttle(2.0)
    >>> [throttle.wait_s(0.0), throttle.wait_s(0.0), throttle.wait_s(0.0), throttle.wait_s(1.0)]
    [0, 0, 1, 0]
    """

    def __init__(self, requests_per_s: float | None = None) -> None:
        if requests_per_s is not None and not 0 < requests_per_s < math.inf:
            raise InputError(f"--requests-per-s is {requests_per_s}; must be a number above 0")
        self._rate = requests_per_s
        self._most = max(1.0, requests_per_s or 0.0)
        self._left = self._most
        self._at_s: float | None = None

    def wait_s(self, now_s: float) -> int:
        """Take a request and return 0, or refuse it and return the whole seconds until one would be taken."""
        if self._rate is None:
            return 0
        passed_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        self._left = min(self._most, self._left + passed_s * self._rate)
        if self._left >= 1.0:
            self._left -= 1.0
            return 0
        return max(1, math.ceil((1.0 - self._left) / self._rate))
