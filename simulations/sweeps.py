"""Many runs at once: ranges times futures on threads, outcomes in the order they were asked for.

The kernel releases the interpreter's lock, so threads are enough. What comes out does not depend on how many
there are: every run is a function of its own traffic and scenario, and `map` keeps the order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

from simulations.errors import ScenarioError

A = TypeVar("A")
B = TypeVar("B")

MAX_WORKERS = 256


class Mapper(Protocol):
    """What runs a function over many arguments and gives the results in their order, as `map` does."""

    def __call__(self, function: Callable[[A], B], arguments: Iterable[A], /) -> Iterable[B]: ...


@contextmanager
def threads(workers: int | None = None) -> Iterator[Mapper]:
    """Yield a `map` on threads, for the time of a `with`.

    Args:
        workers: how many, >= 1; None for one a core.

    Raises:
        ScenarioError: the number is out of its range.

    >>> with threads(2) as mapper:
    ...     list(mapper(abs, [-3, 2, -1]))
    [3, 2, 1]
    """
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise ScenarioError(f"workers is {workers}; must be between 1 and {MAX_WORKERS}")
    n = workers or os.cpu_count() or 1
    if n == 1:
        yield map
        return
    pool = ThreadPoolExecutor(n, thread_name_prefix="ptplan")
    try:
        yield pool.map
    finally:
        # An interrupted search must not wait for runs that nobody will read.
        pool.shutdown(wait=True, cancel_futures=True)
