"""Why this range: the next cheaper and why it fails, the next safer and what it costs, reasons, warnings,
and every number that the answer rests on. Reads results; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from planner.catalogue import query_rate_warning
from planner.confidence import fewest_futures
from planner.objective import Miss, Objective
from planner.offer import Offer
from planner.search import Found, Trial
from reports import numbers
from simulations.outcome import Limit
from simulations.run import Run, e2e_ticks, is_refused, tpot_ticks, ttft_ticks
from simulations.scenario import Scenario
from simulations.ticks import TICKS_PER_S, to_ticks
from simulations.trace import Trace

DAY_S = 86_400
WEEK_S = 7 * DAY_S
BURST_BINS = 60


@dataclass(frozen=True, slots=True)
class Assumption:
    """A number the answer rests on, where it comes from, and whether it is only assumed."""

    name: str
    value: float | int | str | None
    source: str
    date: str
    assumed: bool


@dataclass(frozen=True, slots=True)
class NextCheaper:
    """The next cheaper range that was tried, the part of the promise it breaks, by how much and when."""

    trial: Trial
    miss: Miss
    when_s: float | None
    when: str


@dataclass(frozen=True, slots=True)
class NextSafer:
    """The next dearer range that keeps the promise with more to spare.

    Args:
        trial: the range.
        figures: its mean figures in the futures that the answer's figures are from.
    """

    trial: Trial
    figures: Mapping[str, Any]


def miss_text(miss: Miss, objective: Objective) -> str:
    """Return in words which part of a promise was missed and by how much."""
    attained = numbers.percent_apart(miss.attained, miss.required)
    if miss.limit == "max_refused_fraction":
        return f"{attained} refused, {numbers.share(miss.required)} allowed"
    limit = next(limit for limit in objective.limits if limit.key == miss.limit)
    return (
        f"{attained} within {limit.metric.upper()} {numbers.duration(limit.seconds)}, "
        f"{numbers.share(miss.required)} promised"
    )


def why(trial: Trial, chosen: Trial, objective: Objective) -> str:
    """Return in a few words why a range is not the answer, or that it is."""
    if trial.verdict.worst is not None:
        missed = miss_text(trial.verdict.worst, objective)
        return missed if trial.tried == 1 else f"fails in {futures_text(trial)}, with {missed}"
    if trial is chosen:
        return "the cheapest that keeps the promise"
    return f"keeps the promise, costs {'the same' if trial.cost == chosen.cost else 'more'}"


def futures_text(trial: Trial) -> str:
    """Return in how many of the futures that decide on it a range breaks the promise."""
    evidence = trial.deciding
    kind = "future" if trial.retested is None else "fresh future"
    return f"{len(evidence.failing)} of {numbers.counted(evidence.tried, kind)} tried"


def next_cheaper(
    found: Found,
    chosen: Trial,
    objective: Objective,
    rerun: Callable[[tuple[int, int], int], Run],
    complete: Callable[[Trial], Trial] = lambda trial: trial,
) -> NextCheaper | None:
    """Return the dearest of the cheaper ranges tried, with what it breaks; None where there is none.

    When it breaks is seen in one future: the one in the middle of those in which it fails.

    Args:
        complete: gives a trial with the outcomes of all futures in which its range fails.
    """
    cheaper = [
        trial for trial in found.trials if trial.key < chosen.key and not trial.verdict.holds
    ]
    if not cheaper or not chosen.verdict.holds:
        return None
    trial = complete(max(cheaper, key=lambda t: t.key))
    assert trial.verdict.worst is not None
    failing = trial.deciding.failing
    run = rerun((trial.min_chunks, trial.max_chunks), failing[len(failing) // 2])
    when_s = worst_time_s(run, trial.verdict.worst, objective)
    when = time_text(run.trace, when_s)
    return NextCheaper(trial, trial.verdict.worst, when_s, f"{when}{burst_text(run.trace, when_s)}")


def next_safer(
    found: Found, chosen: Trial, look: Callable[[tuple[int, int]], Mapping[str, Any]]
) -> NextSafer | None:
    """Return the cheapest of the dearer ranges tried that leaves more to spare; None where there is none.

    Args:
        look: gives the mean figures of a range in the futures that the answer's figures are from.
    """
    kept = chosen.attainment_fraction
    safer = [
        trial
        for trial in found.trials
        if trial.verdict.holds and trial.key > chosen.key and trial.attainment_fraction > kept
    ]
    if not safer or not chosen.verdict.holds:
        return None
    trial = min(safer, key=lambda t: t.key)
    return NextSafer(trial, look((trial.min_chunks, trial.max_chunks)))


def worst_time_s(run: Run, miss: Miss, objective: Objective) -> float:
    """Return when most requests missed a part of the promise: the start of a sixtieth of the trace."""
    broken = _broken(run, miss, objective.limits)
    edges = np.linspace(0, run.trace.span_ticks + 1, BURST_BINS + 1)
    counts, _ = np.histogram(run.trace.arrival_ticks[broken], edges)
    return float(edges[int(np.argmax(counts))] / TICKS_PER_S)


def _broken(run: Run, miss: Miss, limits: tuple[Limit, ...]) -> np.ndarray:
    if miss.limit == "max_refused_fraction":
        return is_refused(run.trail.requests["status"])
    limit = next(limit for limit in limits if limit.key == miss.limit)
    ticks = {"ttft": ttft_ticks, "tpot": tpot_ticks, "e2e": e2e_ticks}[limit.metric](run)
    return np.asarray(ticks > to_ticks(limit.seconds))


def burst_text(trace: Trace, t_s: float) -> str:
    """Return how much load came in the minute with the most of it around a time, against the mean; or nothing."""
    width_s = max(trace.span_s / BURST_BINS, 60.0)
    low, high = np.searchsorted(
        trace.arrival_ticks, [to_ticks(max(0.0, t_s - 60)), to_ticks(t_s + width_s)]
    )
    if high - low < 2 or trace.span_s < 120:
        return ""
    tokens = (trace.input_tokens[low:high].astype(np.int64) + trace.output_tokens[low:high]).astype(
        float
    )
    minutes = (trace.arrival_ticks[low:high] - trace.arrival_ticks[low]) // (60 * TICKS_PER_S)
    peak = float(np.bincount(minutes, tokens).max()) / 60
    times = peak / (trace.total_tokens / trace.span_s)
    return (
        f", with a minute of {times:.1f} times the mean load" if times >= BURST_WORTH_SAYING else ""
    )


BURST_WORTH_SAYING = 1.5


def time_text(trace: Trace, t_s: float) -> str:
    """Return a time of a trace in words: a date where the log has one, else the time since its start."""
    if trace.epoch_ns is None:
        return f"{numbers.duration(t_s)} after the start"
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=trace.epoch_ns // 1000, seconds=t_s
    )
    return f"{at:%Y-%m-%d %H:%M} in the log's clock"


def reasons(
    found: Found, chosen: Trial, objective: Objective, offer: Offer, cheaper: NextCheaper | None
) -> list[str]:
    """Return why this range, a sentence each."""
    lines = []
    capacity = offer.capacity(chosen.min_chunks, chosen.max_chunks)
    if not chosen.verdict.holds:
        assert chosen.verdict.worst is not None
        return [
            f"No range keeps the promise: {found.note}.",
            f"Nearest is {numbers.amount(capacity)}: {miss_text(chosen.verdict.worst, objective)}.",
            f"A request of {offer.shape} tokens that is alone sees TTFT {numbers.latency(offer.unloaded.ttft_s)} "
            f"and E2E {numbers.latency(offer.unloaded.e2e_s)}; more capacity makes none faster than alone.",
        ]
    fixed = [t for t in found.trials if t.min_chunks == t.max_chunks and t.verdict.holds]
    smallest = min(fixed, key=lambda t: t.max_chunks, default=None)
    if smallest is not None and smallest is not chosen:
        saved = 1 - chosen.chunk_hours / max(1e-9, smallest.chunk_hours)
        lines.append(
            f"A fixed {numbers.amount(offer.capacity(smallest.max_chunks, smallest.max_chunks))} is the smallest "
            f"fixed size that keeps the promise; letting it scale saves {numbers.percent(saved)} of the chunk-hours."
        )
    elif smallest is chosen and not offer.in_units:
        lines.append(
            "No range that scales is cheaper and keeps the promise: a fixed size is the answer."
        )
    if cheaper is not None:
        lines.append(
            f"The next cheaper, {numbers.amount(offer.capacity(cheaper.trial.min_chunks, cheaper.trial.max_chunks))}, "
            f"fails{_in_futures(cheaper.trial)}, with {miss_text(cheaper.miss, objective)}, most of it from {cheaper.when}."
        )
    lines.append(f"{found.note[0].upper()}{found.note[1:]}.")
    return lines


def _in_futures(trial: Trial) -> str:
    return "" if trial.tried == 1 else f" in {futures_text(trial)}"


def warnings(
    trace: Trace,
    offer: Offer,
    objective: Objective,
    found: Found,
    chosen: Trial,
    scenario: Scenario,
    n_futures: int,
) -> list[str]:
    """Return what to know before believing the answer, a sentence each."""
    lines = [*_confidence_warnings(n_futures, objective), *objective.shortness_warnings(len(trace))]
    if trace.span_s < DAY_S:
        lines.append(
            f"the trace spans {numbers.duration(trace.span_s)}, less than a day: the minimum is for this load "
            "level only, and the month is as if every hour looked like this"
        )
    elif trace.span_s < WEEK_S:
        lines.append(
            f"the trace spans {numbers.duration(trace.span_s)}, less than a week: the month is as if every hour "
            "looked like this"
        )
    if not found.proved:
        lines.append(f"search: not proved ({found.note})")
    service = scenario.service
    total = trace.input_tokens.astype(np.int64) + trace.output_tokens
    too_long = int((total > service.longest_tokens).sum())
    if too_long:
        lines.append(
            f"{numbers.counted(too_long, 'request')} of {len(trace):,} "
            f"do not fit the model ({numbers.count(scenario.service.longest_tokens)} tokens of context or KV memory) "
            "and are refused by any range"
        )
    if objective.is_default:
        lines.append(f"no promise was given, so this one is taken: {objective.definition}")
    # Counted by the seconds that occur: a year of seconds would be a large array for a few requests.
    _, per_second = np.unique(trace.arrival_ticks // TICKS_PER_S, return_counts=True)
    rate_warning = query_rate_warning(float(per_second.max()))
    lines += [rate_warning] if rate_warning else []
    return [*lines, *offer.warnings]


def _confidence_warnings(n_futures: int, objective: Objective) -> list[str]:
    if n_futures == 1:
        return [
            "judged on one future, the trace itself: no interval, and no statement on other days"
        ]
    share = numbers.share(objective.hold_in_fraction)
    fewest = fewest_futures(objective.hold_in_fraction)
    if fewest is None:
        return [
            f"no number of futures can show that a promise holds in {share} of them: the confidence is insufficient"
        ]
    if n_futures < fewest:
        return [
            f"{n_futures} futures cannot show that the promise holds in {share} of all, even if none fails: the "
            f"confidence is insufficient; give --futures {fewest} or more"
        ]
    return []


SOURCES = {
    "service": "",
    "autoscaler": (
        "Databricks custom model serving (blog 2026-06-10: decisions, windows, idle time); start delay SageServe",
        "2026-11-22",
    ),
    "admission": ("not published; queue limit by analogy, see docs/design.md", "2026-11-22"),
    "client": (
        "openai client 3.54 as recorded; deadline: Databricks serving time-out",
        "2026-11-22",
    ),
    "overflow": ("not published", "2026-11-22"),
}


def assumptions(scenario: Scenario, offer: Offer) -> list[Assumption]:
    """Return every number the answer rests on, with its source."""
    service = scenario.service
    rows = [
        Assumption(
            "chunk_tokens_per_s" if not offer.in_units else "tokens_per_s_per_step",
            offer.step.rated_tokens_per_s,
            offer.size_source,
            offer.size_date,
            offer.size_source != "given by the user",
        ),
        Assumption(
            "usd_per_chunk_hour",
            offer.price.usd_per_chunk_hour,
            offer.price.source,
            offer.price.date,
            offer.price.assumed,
        ),
        Assumption(
            "share", offer.share, "how a chunk shares a GPU is not published", "2026-11-22", True
        ),
        Assumption(
            "rated_at_shape",
            str(scenario.shape),
            "docs.databricks.com, prov-throughput-tokens",
            "2026-11-22",
            True,
        ),
    ]
    for name in (
        "iteration_s",
        "sequence_s",
        "context_s",
        "prefill_s",
        "attention_s",
        "token_budget",
        "max_sequences",
        "kv_tokens",
        "context_limit_tokens",
    ):
        rows.append(
            Assumption(
                f"service.{name}",
                getattr(service, name),
                service.source,
                "2026-11-22",
                service.assumed,
            )
        )
    for part, names in {
        "autoscaler": (
            "preset",
            "metric",
            "target",
            "target_utilisation",
            "decide_every_s",
            "up_window_s",
            "down_window_s",
            "idle_to_zero_s",
            "start_delay_s",
            "start_spread_s",
            "tolerance",
            "step_up_chunks",
            "step_up_fraction",
            "step_down_chunks",
        ),
        "admission": (
            "queue_at",
            "queue_limit",
            "chunk_concurrency",
            "window_s",
            "window_estimate_tokens",
            "retry_after_s",
        ),
        "client": ("retries", "backoff_s", "jitter_s", "deadline_s"),
        "overflow": ("policy", "spill_ttft_s", "spill_tpot_s"),
    }.items():
        holder = getattr(scenario, part)
        source, date = SOURCES[part]
        for name in names:
            value = getattr(holder, name)
            if (part, name) == ("admission", "queue_limit") and value is None:
                value = 2 * service.max_sequences
            if (part, name) == ("admission", "chunk_concurrency") and value is None:
                value = service.max_sequences
            rows.append(Assumption(f"{part}.{name}", value, source, date, True))
    rows.append(
        Assumption(
            "start_chunks",
            scenario.start_chunks,
            "what the autoscaler would hold for the first five minutes",
            "",
            True,
        )
    )
    rows.append(Assumption("bill_from", offer.price.bill_from, "not published", "2026-11-22", True))
    rows.append(
        Assumption(
            "bill_granularity_s", offer.price.granularity_s, "not published", "2026-11-22", True
        )
    )
    return rows
