"""How the users of a sweep were held to their number, where its file does not say.

A mean time to first token depends on how many requests it is the mean of, since the first of each user come all at
once; and with some engines one request fewer is served than there are users (a slot kept for padding, a slot freed
late), so that always one of them waits for another's end. Neither is the server's speed, and neither stands in a table
of means. So the usual is taken, and another way to load only where it explains the times much better.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simulations.fit.comparison import Comparison, Part
from simulations.fit.measurement import MeasuredLevel, Measurement
from simulations.fit.parameters import Candidate, Space
from simulations.fit.replay import ROUNDS_USUAL
from simulations.fit.search import walk_down

MUCH_BETTER = 6.0
"""What the misfit must gain, about Schwarz's ln n for one more number at 400 figures, as for attention."""


class Loading(NamedTuple):
    """One way to load a server with users.

    Args:
        rounds: requests for each user, or 0.
        requests: at every level, or 0.
        held_back: requests of the users that wait although a slot were free.
    """

    rounds: int = ROUNDS_USUAL
    requests: int = 0
    held_back: int = 0

    def of(self, one: Measurement) -> Measurement:
        """Return a level loaded in this way, as far as its file does not say; anything else as it is."""
        if not isinstance(one, MeasuredLevel) or one.users is None:
            return one
        n = one.n or max(one.users, self.requests, self.rounds * one.users)
        return replace(one, n=n, held_back=self.held_back)

    def __str__(self) -> str:
        n = f"{self.requests:,} in all" if self.requests else f"{self.rounds} for each user"
        return f"{n}, {self.held_back or 'none'} of them held back"


USUAL = Loading()
OTHERS = [
    Loading(rounds, requests, held_back)
    for held_back in (0, 1)
    for rounds, requests in (
        (2, 0),
        (5, 0),
        (ROUNDS_USUAL, 0),
        (30, 0),
        (100, 0),
        (0, 300),
        (0, 1000),
        (0, 3000),
        (0, 10000),
    )
]


def infer_loading(parts: tuple[Part, ...], space: Space, guesses: list[Candidate]) -> Loading:
    """Return the way to load that explains the times best, the usual one unless another is much better.

    A server is fitted to each way, in the same units: in those that a bad fit leaves no way is better than another.

    Args:
        parts: the levels as their files have them.
        space: what is searched for.
        guesses: servers to begin with.
    """
    levels = [part.measurement for part in parts if isinstance(part.measurement, MeasuredLevel)]
    if len({level.users for level in levels} - {None}) < 2:
        return USUAL  # at one load any way explains the times as well
    ways = OTHERS
    if all(level.n for level in levels):
        ways = [way for way in OTHERS if way[:2] == USUAL[:2]]
    start = space.point(guesses[0]) if guesses else np.zeros(len(space))
    x, usual = walk_down(Comparison(loaded(parts, USUAL)).posterior(space), start)
    best, found = usual, USUAL
    for held_back in (0, 1):
        way, here = Loading(held_back=held_back), x
        for _ in range(2):  # a better server tells the way better
            costs = [
                (Comparison(loaded(parts, other)).cost(space.candidate(here)), other)
                for other in ways
                if other.held_back == held_back
            ]
            other = min(costs, key=lambda one: one[0])[1]
            here, cost = walk_down(Comparison(loaded(parts, other)).posterior(space), here)
            if cost < best - (MUCH_BETTER if found == USUAL else 0.0):
                best, found = cost, other
            if other == way:
                break
            way = other
    return found


def loaded(parts: tuple[Part, ...], way: Loading) -> tuple[Part, ...]:
    """Return parts with their levels loaded in one way."""
    return tuple(replace(part, measurement=way.of(part.measurement)) for part in parts)
