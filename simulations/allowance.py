"""How many requests of a trace may be late or refused before a promise is broken for certain.

For runs of which only the verdict is asked: they count as they go, and stop where nothing can be saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.outcome import Limit
from simulations.tally import METRIC_CODES
from simulations.ticks import NEVER, to_ticks
from simulations.trace import Trace


class Allowance(NamedTuple):
    """What a promise allows on one trace, in requests.

    Args:
        metrics: of each limit, the code of its metric (`tally.METRIC_CODES`).
        limit_ticks: of each limit.
        most_late: of each limit, requests that may pass it; the refused pass every one.
        most_refused: requests that may be refused for good.
        applies: of each limit, requests that it applies to.
    """

    metrics: npt.NDArray[np.int64]
    limit_ticks: npt.NDArray[np.int64]
    most_late: npt.NDArray[np.int64]
    most_refused: int
    applies: npt.NDArray[np.int64]

    @property
    def unlimited(self) -> Allowance:
        """The same limits, with any number of requests late or refused: a run that counts to its end."""
        return self._replace(most_late=np.full_like(self.most_late, NEVER), most_refused=NEVER)


class Count(NamedTuple):
    """What a run counted.

    Args:
        late: of each limit, requests that passed it.
        refused: requests refused for good.
        stopped: more than may be, so the run stopped there and would have counted more.
    """

    late: tuple[int, ...]
    refused: int
    stopped: bool


def allowance(
    trace: Trace, limits: Sequence[Limit], max_refused_fraction: float = 1.0
) -> Allowance:
    """Return what a promise allows on a trace.

    Args:
        trace: the traffic.
        limits: latencies with their shares.
        max_refused_fraction: requests refused for good, of those that arrived, 0..1.

    >>> trace = Trace.build(range(200), [10] * 200, [1] * 150 + [9] * 50)
    >>> made = allowance(trace, [Limit("ttft", 95, 2.0), Limit("tpot", 99, 0.1)], 0.001)
    >>> made.most_late.tolist(), made.most_refused  # 50 of them have a time per later token
    ([10, 0], 0)
    """
    n_by_metric = {
        "ttft": len(trace),
        "tpot": int((trace.output_tokens >= 2).sum()),
        "e2e": len(trace),
    }
    applies = np.array([n_by_metric[limit.metric] for limit in limits], np.int64)
    spare = np.array([100 - limit.percentile for limit in limits], np.int64)
    return Allowance(
        np.array([METRIC_CODES[limit.metric] for limit in limits], np.int64),
        np.array([to_ticks(limit.seconds) for limit in limits], np.int64),
        spare * applies // 100,
        int(Fraction(str(max_refused_fraction)) * len(trace)),
        applies,
    )
