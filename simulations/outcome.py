"""The thirty numbers of a run: how many requests kept which limit, how late, at what cost.

Whether a limit holds is judged on exact counts. A request that was refused for good never had its first
token, so it counts against every limit. Percentiles are nearest-rank over requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulations.cost import HOURS_PER_MONTH, Bill, Price, bill, pay_per_token_usd, usd_per_hour
from simulations.errors import ObjectiveError
from simulations.run import COMPLETED, REFUSED_LENGTH, REFUSED_QUEUE, SPILLED, Run
from simulations.tally import METRIC_CODES, Tally, percentile_ticks, tally
from simulations.ticks import TICKS_PER_S, to_ticks

PERCENTILES = (50, 90, 95, 99)
METRICS = ("ttft", "tpot", "e2e")
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """A latency that a share of the arrived requests must keep.

    Args:
        metric: `ttft`, `tpot` or `e2e`.
        percentile: whole percent of the requests, 1..100 (`tpot`: of those with two output tokens or more).
        seconds: the latency, > 0.

    >>> Limit("ttft", 95, 2.0).key
    'ttft_p95_s'
    """

    metric: Literal["ttft", "tpot", "e2e"]
    percentile: int
    seconds: float

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ObjectiveError(f"metric is {self.metric!r}; must be ttft, tpot or e2e")
        if not 1 <= self.percentile <= 100:
            raise ObjectiveError(
                f"percentile of {self.metric} is {self.percentile}; must be 1..100"
            )
        if not isinstance(self.seconds, int | float):
            raise ObjectiveError(f"{self.key} is {self.seconds!r}; must be a number of seconds")
        if to_ticks(self.seconds, name=self.key) < 1:
            raise ObjectiveError(f"{self.key} is {self.seconds}; must be > 0")

    @property
    def key(self) -> str:
        """Its name in files and tables."""
        return f"{self.metric}_p{self.percentile}_s"


@dataclass(frozen=True, slots=True)
class Attainment:
    """How many requests kept a limit, of how many it applies to; exact.

    >>> Attainment(19, 20).fraction
    0.95
    """

    within: int
    of: int

    @property
    def fraction(self) -> float:
        """The share, 1 where the limit applies to nothing."""
        return self.within / self.of if self.of else 1.0

    def reaches(self, percent: int) -> bool:
        """Whether at least this many percent kept it, in whole numbers."""
        return 100 * self.within >= percent * self.of


@dataclass(frozen=True, slots=True)
class Outcome:
    """What leaves a worker: the numbers of one run, without its arrays.

    Args:
        arrived, completed, refused, spilled: requests, by their final state.
        attainment: per limit, and under `all` for those that kept every limit that applies to them.
        attainment_unspilled: the same if what was spilled counted as refused.
        latency_s: `ttft_p95_s` and so on; None where the percentile falls on a request that was refused;
            `..._completed` over those that were served, None where there are none.
        utilisation: offered tokens (of requests that fit a server) over what the ready chunks could serve by
            their rating, over the horizon.
        mean_chunks: ready chunks, mean over the horizon.
        time_at_max_fraction: share of the horizon with as many chunks ready as allowed.
        scale_ups_per_day: chunks started within the horizon; those there at t = 0 were not.
        preemptions: of sequences, for lack of KV memory.
        bill: of the chunks.
        spill_usd: of what was spilled, at pay-per-token; None where unknown.
    """

    arrived: int
    completed: int
    refused: int
    refused_too_long: int
    spilled: int
    retried: int
    preemptions: int
    attainment: dict[str, Attainment] = field(hash=False)
    attainment_unspilled: dict[str, Attainment] = field(hash=False)
    latency_s: dict[str, float | None] = field(hash=False)
    utilisation: float
    mean_chunks: float
    peak_chunks: int
    time_at_max_fraction: float
    scale_ups_per_day: float
    horizon_s: float
    tokens: int
    bill: Bill
    spill_usd: float | None

    @property
    def refused_fraction(self) -> float:
        """Refused for good, of those that arrived."""
        return self.refused / self.arrived

    @property
    def usd_per_hour(self) -> float | None:
        """Chunks and spilled tokens, per hour of the horizon; None where a price is not known."""
        if self.bill.usd is None or self.spill_usd is None:
            return None
        return usd_per_hour(
            self.bill.usd + self.spill_usd, span_ticks=round(self.horizon_s * TICKS_PER_S)
        )

    @property
    def usd_per_month(self) -> float | None:
        """The same for 730 hours, as if every hour looked like these."""
        hourly = self.usd_per_hour
        return None if hourly is None else hourly * HOURS_PER_MONTH

    @property
    def usd_per_million_tokens(self) -> float | None:
        """The same over the tokens that were asked for."""
        hourly = self.usd_per_hour
        if hourly is None or not self.tokens:
            return None
        return hourly * self.horizon_s / 3600 / self.tokens * 1_000_000

    def figures(self) -> dict[str, Any]:
        """Return the outcome under the keys of recommendation.json; plain numbers and None."""
        return {
            "attainment": {key: part.fraction for key, part in self.attainment.items()},
            "attainment_unspilled": {
                k: part.fraction for k, part in self.attainment_unspilled.items()
            },
            "arrived": self.arrived,
            "completed": self.completed,
            "refused": self.refused,
            "refused_too_long": self.refused_too_long,
            "spilled": self.spilled,
            "retried": self.retried,
            "preemptions": self.preemptions,
            "refused_fraction": self.refused_fraction,
            **self.latency_s,
            "utilisation": self.utilisation,
            "mean_chunks": self.mean_chunks,
            "peak_chunks": self.peak_chunks,
            "chunk_hours": self.bill.chunk_hours,
            "scale_ups_per_day": self.scale_ups_per_day,
            "time_at_max_fraction": self.time_at_max_fraction,
            "usd_per_hour": self.usd_per_hour,
            "usd_per_month": self.usd_per_month,
            "usd_per_million_tokens": self.usd_per_million_tokens,
        }


def summarise(run: Run, limits: Sequence[Limit] = (), *, price: Price | None = None) -> Outcome:
    """Return the numbers of a run.

    Args:
        run: a finished run.
        limits: what attainment is counted for.
        price: what chunks and tokens cost; None for unknown.
    """
    price = price or Price()
    trace, rules = run.trace, run.rules
    counted = tally(
        run, [limit.metric for limit in limits], [to_ticks(limit.seconds) for limit in limits]
    )
    launches = run.trail.launches
    made = bill(
        launches["started_ticks"],
        launches["ready_ticks"],
        launches["released_ticks"],
        horizon_ticks=rules.horizon_ticks,
        price=price,
    )
    ready_ticks, peak, at_max = _capacity(run)
    horizon = max(1, rules.horizon_ticks)
    capacity_tokens = run.scenario.capacity.rated_tokens_per_s * ready_ticks / TICKS_PER_S
    by_status = [int(count) for count in counted.by_status]
    offered_tokens = trace.total_tokens - _too_long_tokens(run, by_status[REFUSED_LENGTH])
    keys = [*(limit.key for limit in limits), "all"]
    return Outcome(
        arrived=len(trace),
        completed=by_status[COMPLETED],
        refused=sum(by_status[REFUSED_QUEUE : REFUSED_LENGTH + 1]),
        refused_too_long=by_status[REFUSED_LENGTH],
        spilled=by_status[SPILLED],
        retried=counted.retried,
        preemptions=counted.preemptions,
        attainment=_attainments(keys, counted.within, counted.applies),
        attainment_unspilled=_attainments(keys, counted.within_unspilled, counted.applies),
        latency_s=_percentiles(run, counted),
        utilisation=offered_tokens / capacity_tokens if capacity_tokens else 0.0,
        mean_chunks=ready_ticks / horizon,
        peak_chunks=peak,
        time_at_max_fraction=at_max / horizon,
        scale_ups_per_day=made.n_launches / (horizon / TICKS_PER_S / SECONDS_PER_DAY),
        horizon_s=rules.horizon_ticks / TICKS_PER_S,
        tokens=trace.total_tokens,
        bill=made,
        spill_usd=_spill_usd(run, price) if by_status[SPILLED] else 0.0,
    )


def _too_long_tokens(run: Run, n_requests: int) -> int:
    """Return the tokens of requests that no server can hold: nobody's work."""
    if not n_requests:
        return 0
    rows = run.trail.requests["status"] == REFUSED_LENGTH
    tokens = run.trace.input_tokens[rows].astype(np.int64) + run.trace.output_tokens[rows]
    return int(tokens.sum())


def _spill_usd(run: Run, price: Price) -> float | None:
    spilled = run.trail.requests["status"] == SPILLED
    return pay_per_token_usd(
        int(run.trace.input_tokens[spilled].sum(dtype=np.int64)),
        int(run.trace.output_tokens[spilled].sum(dtype=np.int64)),
        price=price,
    )


def _attainments(
    keys: Sequence[str], within: npt.NDArray[np.int64], applies: npt.NDArray[np.int64]
) -> dict[str, Attainment]:
    parts = {
        key: Attainment(int(kept), int(of))
        for key, kept, of in zip(keys, within, applies, strict=True)
    }
    return {"all": parts.pop("all"), **parts}


def _percentiles(run: Run, counted: Tally) -> dict[str, float | None]:
    ranks: dict[str, dict[str, int]] = {}
    for metric, code in METRIC_CODES.items():
        served = int(counted.histogram[code].sum())
        arrived = served + int(counted.never[code])
        # Refused ones are the largest of all, so the served are the first of the sorted.
        ranks[metric] = {
            f"{metric}_p{percent}_s{suffix}": max(1, -(-percent * n // 100)) - 1
            for suffix, n in (("", arrived), ("_completed", served))
            for percent in PERCENTILES
        }
    found = percentile_ticks(run, counted, {m: list(of.values()) for m, of in ranks.items()})
    return {
        key: None if ticks is None else ticks / TICKS_PER_S
        for metric, of in ranks.items()
        for key, ticks in zip(of, found[metric], strict=True)
    }


def _capacity(run: Run) -> tuple[int, int, int]:
    """Return chunk-ticks ready, the most chunks ready at once, and ticks at the maximum, up to the horizon.

    A draining chunk still serves and bills, but does not count against the maximum.
    """
    horizon = run.rules.horizon_ticks
    launches = run.trail.launches
    ready = np.minimum(launches["ready_ticks"], horizon)
    gone = np.maximum(np.minimum(launches["released_ticks"], horizon), ready)
    lives = gone - ready
    ready_ticks = int((lives // TICKS_PER_S).sum()) * TICKS_PER_S + int((lives % TICKS_PER_S).sum())
    taking_end = np.maximum(np.minimum(launches["draining_ticks"], gone), ready)
    times = np.concatenate([ready, taking_end])
    change = np.concatenate([np.ones(len(ready), np.int64), -np.ones(len(ready), np.int64)])
    order = np.argsort(times, kind="stable")
    times, count = times[order], np.cumsum(change[order])
    widths = np.diff(np.append(times, horizon))
    peak = int(count[widths > 0].max()) if (widths > 0).any() else int(count.max(initial=0))
    at_max = int(widths[count == run.rules.max_chunks].sum())
    return ready_ticks, peak, at_max
