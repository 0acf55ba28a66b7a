"""What a report says in words: a limit and how it was kept, and what to see in each figure.

One sentence or two per figure, made from the same arrays that it draws; they stand under the
figure and describe it to whoever cannot see it. Knows nothing of HTML or colours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reports import numbers
from reports.report import (
    BaselineRow,
    Cost,
    Interval,
    Limit,
    Metric,
    Promise,
    RangeRow,
    Report,
    Timeline,
    Unloaded,
)
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


def sentence(text: str) -> str:
    """Return text with a capital letter at its head.

    >>> sentence("at least 95 %.")
    'At least 95 %.'
    """
    return f"{text[:1].upper()}{text[1:]}"


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


def cost_axis(report: Report) -> str:
    """Return what ranges are compared by: money where all have a price, else hours."""
    if report.has_money():
        return "USD a month"
    return f"{unit_noun(report.decision.capacity)}-hours over the trace"


def baseline_size(row: BaselineRow) -> str:
    """Return what another way of choosing would buy, or a dash."""
    return numbers.amount(row.capacity) if row.capacity else numbers.MISSING


def alone(unloaded: Unloaded) -> str:
    """Return what one request alone on the endpoint sees.

    >>> from simulations.trace import Shape
    >>> alone(Unloaded(shape=Shape(2048, 256), ttft_s=0.12, tpot_s=0.02, e2e_s=5.2))
    'One request alone, 2,048 tokens in and 256 out: first token after 120 ms, then 20.0 ms a token, complete after 5.20 s.'
    """
    shape = unloaded.shape
    return (
        f"One request alone, {numbers.count(shape.input_tokens)} tokens in and {numbers.count(shape.output_tokens)} "
        f"out: first token after {numbers.latency(unloaded.ttft_s)}, then {numbers.latency(unloaded.tpot_s)} a token, "
        f"complete after {numbers.latency(unloaded.e2e_s)}."
    )


def refused_fraction(report: Report) -> float | None:
    """Return the share of requests that the decision refuses; None when it is not known."""
    chosen = _chosen(report)
    return None if chosen is None else chosen.refused_fraction


def load_sentence(report: Report) -> str:
    """Return what to see in the figure of load against capacity over time."""
    return _timeline_sentence(report.timeline, report.decision.capacity)


def day_sentence(report: Report) -> str:
    """Return what to see in the figure of the busiest day."""
    if report.busiest_day is None:
        return "The trace is no longer than a day."
    start_s = float(report.busiest_day.t_s[0])
    begins = (
        f"{numbers.duration(start_s)} after the first request"
        if start_s
        else "with the first request"
    )
    text = _timeline_sentence(report.busiest_day, report.decision.capacity)
    return f"The 24 hours with the most load; they begin {begins}. {text}"


def _timeline_sentence(timeline: Timeline, capacity: Capacity) -> str:
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
    # Shares of a bin add up to a whole number only but for the last bit.
    low, high = (round(float(value), 6) for value in (ready.min(), ready.max()))
    noun = unit_noun(capacity)
    if numbers.count(low) == numbers.count(high):
        parts.append(f"{numbers.counted(high, noun)} stood ready throughout")
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
    if len(timeline.started_s) or len(timeline.released_s):
        started = f"{numbers.counted(len(timeline.started_s), noun)} started"
        parts.append(f"{started} and {numbers.count(len(timeline.released_s))} let go")
    if timeline.events_left_out:
        parts.append(f"{numbers.counted(timeline.events_left_out, 'later scale event')} not shown")
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
    futures = report.promise.futures
    if futures and futures > 1:
        plural = "Sizes" if isinstance(chosen.capacity, ModelUnits) else "Ranges"
        text += (
            f" {plural} are compared on the futures of the search; what is said of the decision above is of "
            f"{numbers.counted(futures, 'fresh one')}."
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


def how_often(promise: Promise) -> str:
    """Return in how many futures a promise held, in the fewest words.

    >>> how_often(Promise(limits=[], definition="", kept_in=59, futures=61)), how_often(Promise(limits=[], definition=""))
    ('59 of 61 futures', 'one future, no interval')
    """
    if promise.kept_in is None or promise.futures is None:
        return promise.held_in
    if promise.futures == 1:
        return "in the one future tried" if promise.kept_in else "not in the one future tried"
    return f"{numbers.count(promise.kept_in)} of {numbers.counted(promise.futures, 'future')}"


def how_sure(promise: Promise) -> str:
    """Return what that says of all futures.

    >>> how_sure(Promise(limits=[], definition="", kept_in=61, futures=61, at_least=0.952, asked_fraction=0.9))
    'at least 95.2 % of all, with 95 % confidence; 90 % asked for'
    """
    if promise.futures == 1:
        return "says nothing of other days"
    if promise.at_least is None:
        return ""
    asked = (
        ""
        if promise.asked_fraction is None
        else f"; {numbers.share(promise.asked_fraction)} asked for"
    )
    return f"at least {numbers.percent(promise.at_least)} of all, with 95 % confidence{asked}"


def candidate_months(cost: Cost) -> str:
    """Return what the month would cost at the prices that were seen, where its own is not known; else nothing.

    >>> from reports.report import Pairing
    >>> def seen(price: float, month: float | None) -> Pairing:
    ...     return Pairing(chunk_tokens_per_s=1580, usd_per_chunk_hour=price, usd_per_month=month)
    >>> candidate_months(Cost(chunk_hours=8.4, pairings=[seen(24, 151_939), seen(6, 37_985), seen(2, None)]))
    'USD 37,985 to USD 151,939 at the prices seen'
    """
    months = sorted({p.usd_per_month for p in cost.pairings if p.usd_per_month is not None})
    if cost.usd_per_month is not None or not months:
        return ""
    most = "" if len(months) == 1 else f" to {numbers.usd(months[-1])}"
    return f"{numbers.usd(months[0])}{most} at the {'price' if len(months) == 1 else 'prices'} seen"


def month_interval(interval: Interval) -> str:
    """Return between what the month lies, in the fewest words; nothing for one future.

    >>> month_interval(Interval(low=7196.0, high=7301.0, p05=7000.0, p95=7500.0))
    'USD 7,196 to USD 7,301 (95 % interval of the mean)'
    """
    if interval.low is None:
        return ""
    if interval.p05 == interval.p95:
        return "the same in every future"
    return (
        f"{numbers.usd(interval.low)} to {numbers.usd(interval.high)} (95 % interval of the mean)"
    )


def futures_interval(interval: Interval) -> str:
    """Return between what nine of ten futures lie; nothing for one future.

    >>> futures_interval(Interval(low=7196.0, high=7301.0, p05=7000.0, p95=7500.0))
    'nine of ten futures USD 7,000 to USD 7,500'
    """
    if interval.p05 is None or interval.p05 == interval.p95:
        return ""
    return f"nine of ten futures {numbers.usd(interval.p05)} to {numbers.usd(interval.p95)}"


def map_sentence(report: Report) -> str:
    """Return what to see in the map of ranges, or of sizes against cost."""
    rows = report.ranges
    if not rows:
        return "Nothing was tried."
    capacity = report.decision.capacity
    kept = [row for row in rows if row.feasible]
    option = option_noun(capacity)
    tried = numbers.counted(len(rows), option)
    text = f"Of {tried} tried, {numbers.count(len(kept))} {'keeps' if len(kept) == 1 else 'keep'} the promise"
    if isinstance(capacity, ModelUnits):
        return f"{text}. Units are held at all times, so the cost grows with them."
    largest = max(row.capacity.max_chunks for row in rows)
    return (
        f"{text}; the largest maximum tried is {numbers.counted(largest, 'chunk')}. "
        "Cells without colour were not tried: they cost more than the answer whatever they do, or lie beyond the search."
    )


def spread_sentence(report: Report) -> str:
    """Return what to see in the figure of latencies over futures."""
    promised = next(
        (limit for limit in report.promise.limits if limit.percentile is not None), None
    )
    wanted = ("ttft", 95) if promised is None else (promised.metric, promised.percentile)
    shown = next((row for row in report.percentiles if (row.metric, row.percent) == wanted), None)
    shown = shown or next(iter(report.percentiles), None)
    if shown is None:
        return "No latency percentile is known."
    name = f"{METRIC_NAMES[shown.metric]} p{shown.percent}"
    if shown.seconds is None:
        return f"{name} is never reached in some future: too many requests are refused there."
    if shown.interval.low is None:
        return f"{name} is {numbers.latency(shown.seconds)}. One future was judged, so there is no interval."
    return f"{name} is {numbers.latency(shown.seconds)}: {spread(shown.interval, numbers.latency)}."


def turns_sentence(report: Report) -> str:
    """Return what to see in the figure of what would change the answer."""
    turns = report.turns
    if not turns:
        return "No number was varied."
    flipping = [turn for turn in turns if turn.flips]
    varied = numbers.counted(len(turns), "assumed number")
    asked = f"on the {numbers.counted(turns[0].futures, 'future')} nearest to failing"
    if not flipping:
        return f"Of {varied}, each turned on its own {asked}, none changes the answer within the range tried."
    text = (
        f"Of {varied}, each turned on its own {asked}, {numbers.count(len(flipping))} "
        f"{'changes' if len(flipping) == 1 else 'change'} the answer within the range tried; the nearest is "
        f"{flipping[0].parameter}."
    )
    choices = sum(turn.value is None for turn in turns)
    if choices:
        text += f" {numbers.counted(choices, 'choice')} of two, without a scale, {'stands' if choices == 1 else 'stand'} in the table alone."
    return text


def volume_sentence(report: Report) -> str:
    """Return what to see in the figure of cost by volume."""
    volume = report.break_even_volume
    if volume is None:
        largest = report.volumes[-1].volume
        most = "this traffic" if largest == 1 else f"{largest:g} times this traffic"
        text = f"At every volume tried, up to {most}, paying by the token is cheaper"
    elif volume <= report.volumes[0].volume:
        text = "At every volume tried provisioned capacity is cheaper than paying by the token"
    else:
        text = f"Provisioned capacity is cheaper from {volume:.2g} times this traffic on"
    return f"{text}. Pay-per-token promises no latency, and its rate limits are not simulated."


def _chosen(report: Report) -> RangeRow | None:
    return next((row for row in report.ranges if row.chosen), None)
