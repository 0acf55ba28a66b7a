"""What a report shows, as plain data: the decision, what it costs, what was tried, what was assumed.

Whoever has an answer fills a `Report`; whoever draws a page, a table or a figure reads one.
Nothing here computes an answer, renders a number or knows of a file format. None stands for
"not known" everywhere and is shown as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from simulations.capacity import Capacity
from simulations.trace import Shape

Metric = Literal["ttft", "tpot", "e2e", "refused"]
"""What a promise is about: first token, time per output token, end to end, or refusals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The range to ask for; where nothing keeps the promise, the one that came nearest.

    Args:
        capacity: the range, or the units.
        model: name of the model as the user wrote it.
        endpoint: name of the endpoint; None when it is not chosen yet.
        feasible: whether the range keeps the promise.
    """

    capacity: Capacity
    model: str
    endpoint: str | None = None
    feasible: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How sure a figure is and how it varies; None throughout where there was one future.

    Args:
        low, high: the 95 % interval of its mean over futures.
        p05, p95: between which nine of ten futures lie.
    """

    low: float | None = None
    high: float | None = None
    p05: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """A latency percentile of the decision.

    Args:
        metric, percent: such as ttft and 95.
        seconds: mean over futures, None where in some future it is never reached.
        interval: of it.
    """

    metric: Metric
    percent: int
    seconds: float | None
    interval: Interval = Interval()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of a promise, and how it was kept.

    Args:
        metric: what is limited.
        limit: seconds for a latency, a fraction of arrived requests (0..1) for refusals.
        percentile: 0..100, the percent of arrived requests that must stay within a latency;
            None for refusals.
        reached_fraction: share of arrived requests within the latency (0..1); for refusals, the share refused.
        kept: whether the limit held, judged on exact counts; None when it was not judged.
    """

    metric: Metric
    limit: float
    percentile: float | None = None
    reached_fraction: float | None = None
    kept: bool | None = None

    def __post_init__(self) -> None:
        if (self.percentile is None) != (self.metric == "refused"):
            raise ValueError(
                f"percentile of the {self.metric} limit is {self.percentile}; latencies need one, refusals have none"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What was promised to callers, and how far the decision keeps it.

    Args:
        limits: every limit; all must hold.
        definition: what "holds" means, in a sentence.
        attainment_fraction: share of arrived requests within all limits at once (0..1).
        held_in: in how many futures the promise held, in words.
        kept_in, futures: in how many of how many futures it held; None where that was not counted.
        at_least: the share of all futures in which it holds at the least, with 95 % confidence.
        asked_fraction: the share of futures asked for.
    """

    limits: Sequence[Limit]
    definition: str
    attainment_fraction: float | None = None
    held_in: str = "one future, no interval"
    kept_in: int | None = None
    futures: int | None = None
    at_least: float | None = None
    asked_fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """A chunk and a price that may belong together, and what the decision would cost then.

    Args:
        chunk_tokens_per_s: tokens per second of the chunk.
        usd_per_chunk_hour: price of one chunk for an hour.
        usd_per_month: what the recommended range would cost in 730 h.
        note: where the two were seen.
    """

    chunk_tokens_per_s: int
    usd_per_chunk_hour: float
    usd_per_month: float | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the decision costs.

    Args:
        chunk_hours: billed hours of chunks (or steps of units) over the trace.
        usd_per_hour: mean over the trace.
        usd_per_month: 730 times that.
        interval: of the month.
        note: how the month was arrived at.
        why_unknown: why there is no money; shown only where there is none.
        pairings: candidate prices; shown only where there is no money.
    """

    chunk_hours: float | None
    usd_per_hour: float | None = None
    usd_per_month: float | None = None
    interval: Interval = Interval()
    note: str = ""
    why_unknown: str = "no price seen together with this chunk"
    pairings: Sequence[Pairing] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """The next cheaper range or the next safer one.

    Args:
        capacity: the range.
        why: why the cheaper one fails, or what the safer one buys.
        usd_per_month: what it costs.
        chunk_hours: billed hours of chunks over the trace.
    """

    capacity: Capacity
    why: str
    usd_per_month: float | None = None
    chunk_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRow:
    """One range that was tried.

    Args:
        capacity: the range.
        feasible: whether it keeps the promise.
        why: the reason for that verdict, in words.
        chosen: whether it is the decision.
        usd_per_month, chunk_hours: what it costs.
        attainment_fraction: share of arrived requests within all limits at once.
        refused_fraction: share of arrived requests refused for good.
        kept_in, futures: in how many of the futures it was run in it kept the promise; None where not counted.
        ttft_p50_s ... tpot_p99_s: percentiles in seconds; None where a run was stopped early, or where so
            many requests were refused that the percentile is never reached.
    """

    capacity: Capacity
    feasible: bool
    why: str = ""
    chosen: bool = False
    usd_per_month: float | None = None
    chunk_hours: float | None = None
    attainment_fraction: float | None = None
    refused_fraction: float | None = None
    kept_in: int | None = None
    futures: int | None = None
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    ttft_p99_s: float | None = None
    e2e_p50_s: float | None = None
    e2e_p95_s: float | None = None
    e2e_p99_s: float | None = None
    tpot_p50_s: float | None = None
    tpot_p95_s: float | None = None
    tpot_p99_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineRow:
    """What another way of choosing would have given.

    Args:
        name: the other way.
        capacity: what it would buy; None where nothing is provisioned.
        attainment_fraction, refused_fraction: shares of arrived requests, as in `RangeRow`.
        usd_per_month: what it costs.
        note: anything to know about it.
    """

    name: str
    capacity: Capacity | None = None
    attainment_fraction: float | None = None
    refused_fraction: float | None = None
    usd_per_month: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A value beyond which the answer is another one.

    Args:
        at: the value.
        fails: whether the range breaks the promise beyond it; else a cheaper one keeps it.
    """

    at: float
    fails: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One assumed number and what turning it does to the answer.

    Args:
        parameter: its name.
        sentence: where the answer flips, or that it stands.
        flips: whether it flips within the range that was tried.
        value, low, high: what was assumed, and between which it was varied; None where it is a choice of two.
        below, above: where the answer flips; None where it stands, or where it is a choice.
        effect: on the share of requests within the promise, over that range; None where not screened.
        interaction: how much that depends on the other numbers.
        futures: on how many this was asked.
    """

    parameter: str
    sentence: str
    flips: bool
    value: float | None = None
    low: float | None = None
    high: float | None = None
    below: Flip | None = None
    above: Flip | None = None
    effect: float | None = None
    interaction: float | None = None
    futures: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRow:
    """What a multiple of the traffic costs, provisioned and by the token.

    Args:
        volume: the multiple.
        tokens_per_s: its mean load.
        capacity: the cheapest range that keeps the promise; None where none was found.
        usd_per_month: what that costs.
        pay_per_token_usd_per_month: what the tokens cost.
    """

    volume: float
    tokens_per_s: float
    capacity: Capacity | None
    usd_per_month: float | None
    pay_per_token_usd_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Load and capacity of the decision over time, in bins of equal width; all arrays are of one length.

    Args:
        t_s: where each bin starts, in seconds since the first request, increasing.
        offered_tokens_per_s: mean offered load of each bin.
        ready_chunks: chunks (or steps of units) ready in each bin, mean.
        refused: requests refused in each bin.
        started_s, released_s: when a chunk was asked for, and when one was let go; of any lengths.
        events_left_out: further events that are not in them.
    """

    t_s: Sequence[float] = ()
    offered_tokens_per_s: Sequence[float] = ()
    ready_chunks: Sequence[float] = ()
    refused: Sequence[float] = ()
    started_s: Sequence[float] = ()
    released_s: Sequence[float] = ()
    events_left_out: int = 0

    def __post_init__(self) -> None:
        lengths = {
            name: len(getattr(self, name))
            for name in ("t_s", "offered_tokens_per_s", "ready_chunks", "refused")
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(f"lengths of the timeline are {lengths}; must be equal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unloaded:
    """What one request alone on the endpoint sees.

    Args:
        shape: its tokens.
        ttft_s, tpot_s, e2e_s: first token, time per output token, end to end.
    """

    shape: Shape
    ttft_s: float | None
    tpot_s: float | None
    e2e_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One number that the answer rests on.

    Args:
        name: its name, with the unit.
        value: its value, already as text.
        source: where it comes from.
        date: when that was read (ISO), or empty.
        assumed: whether it stands for something that is not published or was not measured.
    """

    name: str
    value: str
    source: str
    date: str = ""
    assumed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The traffic that the answer was judged on.

    Args:
        file: its name as given.
        sha256: of its content.
        format: the format it was read as.
        n_requests: requests kept.
        span_s: from the first to the last arrival.
        dropped: rows left out, by reason.
        settings: what was asked for beside the traffic, by name, already as text.
    """

    file: str
    sha256: str
    format: str
    n_requests: int
    span_s: float
    dropped: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What would be sent to get the decision.

    Args:
        method, path: of the HTTP request.
        body: the JSON, as text.
        missing: what still has to be filled in before it can be sent.
    """

    method: str
    path: str
    body: str
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one recommendation shows.

    Args:
        decision, promise, cost: the answer.
        inputs: what it was judged on.
        command: the command that gives this report again.
        request: what to send; None where nothing keeps the promise.
        created_at: when it was made (ISO), given, never read from a clock.
        ptplan_version: what made it.
        reasons: why this range, a sentence each.
        warnings: what to know before believing it, a sentence each.
        next_cheaper, next_safer: the neighbours in price; None where there is none.
        timeline: load and capacity over time.
        busiest_day: the same of the 24 hours with the most load, in finer bins; None where the trace is no longer.
        sha256: of the recommendation; empty where there is none.
        ranges: every range tried, the decision among them.
        search: how far the search proves that nothing cheaper keeps the promise, in words.
        baselines: what other ways of choosing would give.
        unloaded: one request alone.
        assumptions: every number the answer rests on.
        percentiles: latencies of the decision with their intervals.
        turns: what would change the answer, the nearest first.
        volumes: cost against paying by the token, by volume of traffic; empty where a price is not known.
        break_even_volume: from which volume on provisioned capacity is cheaper; None where it never is.
        asked: answers to further questions that were asked, a sentence each.
        load_by_hour_of_week: mean offered tokens/s of the 168 hours from Monday 00:00; None without a date.
    """

    decision: Decision
    promise: Promise
    cost: Cost
    inputs: Inputs
    command: str
    request: Request | None = None
    created_at: str = ""
    ptplan_version: str = ""
    reasons: Sequence[str] = ()
    warnings: Sequence[str] = ()
    next_cheaper: Neighbour | None = None
    next_safer: Neighbour | None = None
    timeline: Timeline = field(default_factory=Timeline)
    busiest_day: Timeline | None = None
    sha256: str = ""
    ranges: Sequence[RangeRow] = ()
    search: str = ""
    baselines: Sequence[BaselineRow] = ()
    unloaded: Unloaded | None = None
    assumptions: Sequence[Assumption] = ()
    percentiles: Sequence[Percentile] = ()
    turns: Sequence[Turn] = ()
    volumes: Sequence[VolumeRow] = ()
    break_even_volume: float | None = None
    asked: Sequence[str] = ()
    load_by_hour_of_week: Sequence[float | None] | None = None

    def has_money(self) -> bool:
        """Return whether every range with a cost has one in money, so that ranges compare in USD."""
        costed = [
            row
            for row in self.ranges
            if row.chunk_hours is not None or row.usd_per_month is not None
        ]
        return bool(costed) and all(row.usd_per_month is not None for row in costed)

    def ranges_by_cost(self) -> list[RangeRow]:
        """Return the ranges tried, cheapest first; before them, by size, those given up before they had a cost."""
        money = self.has_money()

        def order(row: RangeRow) -> tuple[float, int, int]:
            cost = row.usd_per_month if money else row.chunk_hours
            return (
                -1.0 if cost is None else cost,
                row.capacity.max_chunks,
                row.capacity.min_chunks,
            )

        return sorted(self.ranges, key=order)
