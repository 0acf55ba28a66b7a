"""What a report says in words: a limit and how it was kept, and what to see in each figure.

One sentence or two per figure, made from the same arrays that it draws; they stand under the
figure and describe it to whoever cannot see it. Knows nothing of HTML or colours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reports import numbers
from reports.report import BaselineRow, Interval, Limit, Metric, RangeRow, Report
from simulations.capacity import Capacity, ModelUnits

METRIC_NAMES: dict[Metric, str] = {
    "ttft": "TTFT",
    "tpot": "TPOT",
    "e2e": "E2E",
    "refused": "refused",
}
"""Short names of what can be promised."""


def limit_label(limit: Limit) -> str:
    """Return what was promised.

    >>> limit_label(Limit(metric="ttft", percentile=95, limit=2.0))
    'TTFT p95 ≤ 2 s'
    >>> limit_label(Limit(metric="refused", limit=0.001))
    'refused ≤ 0.1 %'
    """
    if limit.percentile is None:
        return f"refused ≤ {numbers.share(limit.limit)}"
    return f"{METRIC_NAMES[limit.metric]} p{limit.percentile:g} ≤ {numbers.duration(limit.limit)}"


def limit_verdict(limit: Limit) -> str:
    """Return how far a limit was kept.

    >>> limit_verdict(Limit(metric="ttft", percentile=95, limit=2.0, reached_fraction=0.987))
    '98.7 % within 2 s'
    >>> limit_verdict(Limit(metric="refused", limit=0.001, reached_fraction=0.0))
    '0 % refused'
    """
    if limit.reached_fraction is None:
        return "not judged"
    reached = numbers.percent(limit.reached_fraction)
    if limit.percentile is None:
        return f"{reached} refused"
    return f"{reached} within {numbers.duration(limit.limit)}"


def unit_noun(capacity: Capacity) -> str:
    """Return what one server of a capacity is called: a chunk, or a step of units."""
    return "step" if isinstance(capacity, ModelUnits) else "chunk"


def option_noun(capacity: Capacity) -> str:
    """Return what one possible answer is called: a range, or a size where nothing autoscales."""
    return "size" if isinstance(capacity, ModelUnits) else "range"


def headline(capacity: Capacity) -> str:
    """Return a capacity as it is asked for: tokens per second, or model units.

    >>> from simulations.capacity import TokenChunks
    >>> headline(TokenChunks(980, 2, 9)), headline(ModelUnits(50, 150, 3250))
    ('1,960 to 8,820 tokens/s', '150 model units')
    """
    if isinstance(capacity, ModelUnits):
        return numbers.amount(capacity)
    return numbers.throughput(capacity)


def subline(capacity: Capacity) -> str:
    """Return what a capacity is made of.

    >>> from simulations.capacity import TokenChunks
    >>> subline(TokenChunks(980, 2, 9)), subline(ModelUnits(50, 150, 3250))
    ('2 to 9 chunks of 980 tokens/s', '3 steps of 50 units, together about 9,750 tokens/s')
    """
    if isinstance(capacity, ModelUnits):
        steps = numbers.counted(capacity.min_chunks, "step")
        return (
            f"{steps} of {capacity.step_units} units, together about {numbers.throughput(capacity)}"
        )
    return f"{numbers.amount(capacity)} of {numbers.tokens_per_s(capacity.size_tokens_per_s)}"


def hours(chunk_hours: float | None, capacity: Capacity) -> str:
    """Return what is billed in hours of chunks, or of steps of units."""
    return numbers.counted(chunk_hours, f"{unit_noun(capacity)}-hour")


def cost(usd_per_month: float | None, chunk_hours: float | None, capacity: Capacity) -> str:
    """Return a cost in a sentence: money where it is known, else hours of chunks.

    >>> from simulations.capacity import TokenChunks
    >>> [cost(usd, 12.5, TokenChunks(980, 2, 9)) for usd in (24310.4, None)]
    ['USD 24,310 a month', '12.5 chunk-hours']
    """
    if usd_per_month is not None:
        return f"{numbers.usd(usd_per_month)} a month"
    if chunk_hours is not None:
        return hours(chunk_hours, capacity)
    return "at an unknown cost"


def baseline_size(row: BaselineRow) -> str:
    """Return what another way of choosing would buy, or a dash."""
    return numbers.amount(row.capacity) if row.capacity else numbers.MISSING


def refused_fraction(report: Report) -> float | None:
    """Return the share of requests that the decision refuses; None when it is not known."""
    chosen = _chosen(report)
    return None if chosen is None else chosen.refused_fraction


def load_sentence(report: Report) -> str:
    """Return what to see in the figure of load against capacity over time."""
    timeline, capacity = report.timeline, report.decision.capacity
    if not len(timeline.t_s):
        return "There is no timeline to show."
    offered = np.asarray(timeline.offered_tokens_per_s, dtype=float)
    ready = np.asarray(timeline.ready_chunks, dtype=float)
    peak = int(np.argmax(offered))
    at_s = float(timeline.t_s[peak])
    when = f"{numbers.duration(at_s)} after the first request" if at_s else "at the start"
    width = (
        f" (mean of {numbers.duration(float(timeline.t_s[1]) - float(timeline.t_s[0]))})"
        if len(timeline.t_s) > 1
        else ""
    )
    parts = [f"Load peaks at {numbers.tokens_per_s(float(offered[peak]))}{width}, {when}"]
    low, high = float(ready.min()), float(ready.max())
    noun = unit_noun(capacity)
    if numbers.count(low) == numbers.count(high) or round(low, 6) == round(high, 6):
        parts.append(f"{numbers.counted(round(high, 6), noun)} stood ready throughout")
    else:
        parts.append(f"between {numbers.count(low)} and {numbers.counted(high, noun)} were ready")
    over = float(np.mean(offered > ready * capacity.rated_tokens_per_s))
    if over:
        parts.append(
            f"load was above the rated throughput of what was ready for {numbers.percent(over)} of the time"
        )
    else:
        parts.append("load never passed the rated throughput of what was ready")
    refused = float(np.sum(timeline.refused))
    parts.append(f"{numbers.counted(refused, 'refusal')}" if refused else "no request was refused")
    return "; ".join(parts) + "."


def cost_sentence(report: Report) -> str:
    """Return what to see in the figure of cost against attainment."""
    rows = report.ranges
    if not rows:
        return "Nothing was tried."
    kept = sum(row.feasible for row in rows)
    tried = numbers.counted(len(rows), option_noun(report.decision.capacity))
    chosen = _chosen(report)
    if not kept or chosen is None or not chosen.feasible:
        near = ""
        if chosen is not None:
            near = (
                f" The nearest, {numbers.amount(chosen.capacity)}, keeps "
                f"{numbers.percent(chosen.attainment_fraction)} of requests within all limits."
            )
        return f"None of the {tried} tried keeps the promise.{near}"
    text = (
        f"Of {tried} tried, {numbers.count(kept)} {'keeps' if kept == 1 else 'keep'} the promise; "
        f"the cheapest is {numbers.amount(chosen.capacity)} ({cost(chosen.usd_per_month, chosen.chunk_hours, chosen.capacity)}, "
        f"{numbers.percent(chosen.attainment_fraction)} of requests within all limits)."
    )
    cheaper = report.next_cheaper
    if cheaper is not None:
        text += f" Next cheaper: {numbers.amount(cheaper.capacity)}. {cheaper.why.rstrip('.')}."
    return text


def latency_sentence(report: Report) -> str:
    """Return what to see in the figure of latency percentiles by range."""
    chosen = _chosen(report)
    if chosen is None or chosen.ttft_p95_s is None:
        return "Dots further right are slower; dashed lines are the limits promised."
    text = (
        f"With {numbers.amount(chosen.capacity)}, half of the requests have their first token within "
        f"{numbers.latency(chosen.ttft_p50_s)}, 95 % within {numbers.latency(chosen.ttft_p95_s)} "
        f"and 99 % within {numbers.latency(chosen.ttft_p99_s)}"
    )
    if chosen.e2e_p95_s is not None:
        text += f"; 95 % are complete within {numbers.latency(chosen.e2e_p95_s)}"
    return text + "."


def spread(interval: Interval, unit: Callable[[float | None], str]) -> str:
    """Return between what a figure lies, or nothing for one future.

    >>> spread(Interval(low=1.0, high=2.0, p05=0.5, p95=3.0), numbers.usd)
    '95 % interval of the mean USD 1.00 to USD 2.00; nine of ten futures USD 0.50 to USD 3.00'
    """
    if interval.low is None:
        return ""
    if interval.p05 == interval.p95:
        return "the same in every future"
    return (
        f"95 % interval of the mean {unit(interval.low)} to {unit(interval.high)}; nine of ten futures "
        f"{unit(interval.p05)} to {unit(interval.p95)}"
    )


def volume_sentence(report: Report) -> str:
    """Return what to see in the figure of cost by volume."""
    volume = report.break_even_volume
    if volume is None:
        largest = report.volumes[-1]
        text = f"At every volume tried, up to {largest.volume:g} times this traffic, paying by the token is cheaper"
    elif volume <= report.volumes[0].volume:
        text = "At every volume tried provisioned capacity is cheaper than paying by the token"
    else:
        text = f"Provisioned capacity is cheaper from {volume:.2g} times this traffic on"
    return f"{text}. Pay-per-token promises no latency, and its rate limits are not simulated."


def _chosen(report: Report) -> RangeRow | None:
    return next((row for row in report.ranges if row.chosen), None)
