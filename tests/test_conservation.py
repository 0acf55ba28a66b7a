"""What holds in every run, whatever was drawn: nothing is lost, nothing idles beside work, time adds up.

Each law is checked from two sides that share no sum: requests against chunks, events against totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import scenarios, traces

from simulations.cost import billed_chunk_ticks
from simulations.engine import simulate
from simulations.outcome import summarise
from simulations.run import COMPLETED, NO_CHUNK, REFUSED_LENGTH, SPILLED, Run, is_refused
from simulations.ticks import NEVER, TICKS_PER_S


@settings(max_examples=400)
@given(traces(), scenarios())
def test_every_law_holds_in_every_run(trace, scenario):
    run = simulate(trace, scenario)
    for law in LAWS:
        law(run)


# --- requests ------------------------------------------------------------------------------------


def every_request_is_somewhere_at_the_horizon(run: Run) -> None:
    """Arrived = completed + refused for good + spilled + in flight; what is in flight is counted apart."""
    late = run.trail.requests["end_ticks"] > run.rules.horizon_ticks
    status = run.trail.requests["status"]
    at_work, with_client = (status == COMPLETED) & late, is_refused(status) & late
    parts = run.conservation()
    assert parts.in_flight == at_work.sum() + with_client.sum()
    assert parts.arrived == len(run.trace)
    assert parts.arrived == parts.completed + parts.refused + parts.spilled + parts.in_flight


def every_request_has_a_history_that_fits_its_end(run: Run) -> None:
    """Arrival <= acceptance < first token <= end, and nothing of the kind for those sent away."""
    rows, trace = run.trail.requests, run.trace
    served, spilled = rows["status"] == COMPLETED, rows["status"] == SPILLED
    refused = is_refused(rows["status"])
    assert (served | spilled | refused).all()
    assert (trace.arrival_ticks <= rows["accepted_ticks"])[served].all()
    assert (rows["accepted_ticks"] < rows["first_token_ticks"])[served].all()
    assert (rows["first_token_ticks"] <= rows["end_ticks"])[~refused].all()
    single = trace.output_tokens <= 1
    assert (rows["first_token_ticks"] == rows["end_ticks"])[~refused & single].all()
    assert (rows["first_token_ticks"] < rows["end_ticks"])[served & ~single].all()
    assert (rows["accepted_ticks"] == NEVER)[~served].all()
    assert (rows["first_token_ticks"] == NEVER)[refused].all()
    assert ((rows["chunk"] != NO_CHUNK) == served).all()
    assert (rows["preemptions"] == 0)[~served].all()


def attempts_stay_within_what_clients_do(run: Run) -> None:
    """Retries wait their back-offs, each with its jitter, and none starts after the deadline."""
    rows, rules = run.trail.requests, run.rules
    most = 1 + (rules.retries if run.scenario.overflow.policy == "retry" else 0)
    assert ((rows["attempts"] >= 1) & (rows["attempts"] <= most)).all()
    assert (rows["attempts"] == 1)[rows["status"] == REFUSED_LENGTH].all()
    last_attempt = np.where(rows["status"] == COMPLETED, rows["accepted_ticks"], rows["end_ticks"])
    waited = (last_attempt - run.trace.arrival_ticks)[rows["status"] != SPILLED]
    retries = rows["attempts"][rows["status"] != SPILLED].astype(np.int64) - 1
    if rules.retry_after_ticks:
        least, spread = rules.retry_after_ticks * retries, 0
    else:
        least, spread = rules.backoff_ticks * (2**retries - 1), rules.jitter_ticks * retries
    assert ((least <= waited) & (waited <= least + spread)).all()
    assert ((waited <= rules.deadline_ticks) | (retries == 0)).all()


def no_request_is_faster_than_alone(run: Run) -> None:
    """Its own tokens take their time, whoever shares the iterations."""
    rows, rules, trace = run.trail.requests, run.rules, run.trace
    for i in np.flatnonzero(rows["status"] == COMPLETED).tolist():
        prompt, cached = int(trace.input_tokens[i]), int(trace.cached_tokens[i])
        share = prompt - min(cached, prompt - 1)
        iterations = -(-share // rules.token_budget)
        accepted, first, end = (
            int(rows[f"{name}_ticks"][i]) for name in ("accepted", "first_token", "end")
        )
        assert first - accepted >= iterations * rules.iteration_ticks + share * rules.prefill_ticks
        # A preempted one gets a token by prefilling again, which is no decoding but an iteration.
        later = rules.iteration_ticks
        if rows["preemptions"][i] == 0:
            later += rules.sequence_ticks + rules.context_ticks * prompt
        assert end - first >= max(0, int(trace.output_tokens[i]) - 1) * later


def the_integral_in_flight_is_the_sum_of_times_in_flight(run: Run) -> None:
    """Little's law, to the tick."""
    rows = run.trail.requests[run.trail.requests["status"] == COMPLETED]
    sojourns = sum(int(row["end_ticks"]) - int(row["accepted_ticks"]) for row in rows)
    assert area(levels(rows["accepted_ticks"], rows["end_ticks"])) == sojourns


# --- chunks --------------------------------------------------------------------------------------


def a_chunk_is_busy_exactly_while_it_has_work(run: Run) -> None:
    """Its busy ticks are the time that its requests cover: a request that waits before the endpoint keeps
    every ready chunk busy, or it would not wait."""
    for ready, released, busy, mine in lives(run):
        assert busy <= released - ready
        rows = run.trail.requests[mine]
        steps = levels(np.maximum(rows["accepted_ticks"], ready), rows["end_ticks"])
        assert busy == area([(tick, min(level, 1)) for tick, level in steps])


def a_chunk_holds_no_more_sequences_and_tokens_than_fit(run: Run) -> None:
    """Between first token and end a request is running and its prompt in memory, unless it was preempted."""
    rows, rules = run.trail.requests, run.rules
    if not rows["preemptions"].any():
        for _, _, _, mine in lives(run):
            first, end = rows["first_token_ticks"][mine], rows["end_ticks"][mine]
            prompts = run.trace.input_tokens[mine]
            assert highest(levels(first, end)) <= rules.max_sequences
            held = levels(np.repeat(first, prompts), np.repeat(end, prompts))
            assert highest(held) <= rules.kv_tokens


def chunks_stay_within_the_range(run: Run) -> None:
    """Those ready and starting within min..max, those ready alone too; what drains does not count."""
    launches, rules = run.trail.launches, run.rules
    taking_until = launches["draining_ticks"]
    for since in (launches["started_ticks"], np.minimum(launches["ready_ticks"], taking_until)):
        for tick, level in levels(since, taking_until):
            assert tick == NEVER or rules.min_chunks <= level <= rules.max_chunks
    assert (taking_until <= launches["released_ticks"]).all()


def chunks_start_as_told(run: Run) -> None:
    """At first those there were; later ones at decisions, or with a request that finds none."""
    launches, rules = run.trail.launches, run.rules
    assert (launches["ready_ticks"][: rules.start_chunks] == 0).all()
    launches = launches[rules.start_chunks :]
    started, delay = launches["started_ticks"], launches["ready_ticks"] - launches["started_ticks"]
    assert (delay >= rules.start_delay_ticks).all()
    assert (delay <= rules.start_delay_ticks + rules.start_spread_ticks).all()
    between = started % rules.decide_ticks != 0
    assert rules.min_chunks == 0 or not between.any()
    assert np.isin(started[between], run.trail.requests["accepted_ticks"]).all()


# --- totals --------------------------------------------------------------------------------------


def the_bill_is_the_integral_of_the_timeline(run: Run) -> None:
    """Before rounding and within the horizon; to the tick from the launches, to a float's rounding in bins."""
    launches, horizon = run.trail.launches, run.rules.horizon_ticks
    billed = billed_chunk_ticks(
        launches["started_ticks"],
        launches["ready_ticks"],
        launches["released_ticks"],
        horizon_ticks=horizon,
        granularity_s=1e-11,
    )
    ready = np.minimum(launches["ready_ticks"], horizon)
    assert area(levels(ready, np.clip(launches["released_ticks"], ready, horizon))) == billed
    if horizon > 0:
        timeline = run.timeline(bin_s=0.017)
        widths_s = np.diff(timeline["t_s"], append=horizon / TICKS_PER_S)
        ready_s = float((timeline["ready_chunks"] * widths_s).sum())
        assert ready_s == pytest.approx(billed / TICKS_PER_S, rel=1e-9, abs=1e-9)


def the_timeline_holds_every_token_and_every_refusal(run: Run) -> None:
    status, horizon_s = run.trail.requests["status"], run.rules.horizon_ticks / TICKS_PER_S
    if horizon_s > 0:
        timeline = run.timeline(bin_s=0.017)
        widths_s = np.diff(timeline["t_s"], append=horizon_s)
        offered = float((timeline["offered_tokens_per_s"] * widths_s).sum())
        assert offered == pytest.approx(run.trace.total_tokens, rel=1e-9)
        assert timeline["refused"].sum() == is_refused(status).sum()
        assert timeline["spilled"].sum() == (status == SPILLED).sum()


def an_outcome_counts_each_request_once(run: Run) -> None:
    outcome = summarise(run)
    assert outcome.arrived == len(run.trace)
    assert outcome.arrived == outcome.completed + outcome.refused + outcome.spilled
    assert outcome.refused_too_long <= outcome.refused
    assert outcome.tokens == run.trace.total_tokens


LAWS = (
    every_request_is_somewhere_at_the_horizon,
    every_request_has_a_history_that_fits_its_end,
    attempts_stay_within_what_clients_do,
    no_request_is_faster_than_alone,
    the_integral_in_flight_is_the_sum_of_times_in_flight,
    a_chunk_is_busy_exactly_while_it_has_work,
    a_chunk_holds_no_more_sequences_and_tokens_than_fit,
    chunks_stay_within_the_range,
    chunks_start_as_told,
    the_bill_is_the_integral_of_the_timeline,
    the_timeline_holds_every_token_and_every_refusal,
    an_outcome_counts_each_request_once,
)


# --- counts over time ----------------------------------------------------------------------------


def levels(begins: Iterable[int], ends: Iterable[int]) -> list[tuple[int, int]]:
    """Return (tick, level after it) of a count that rises at each begin and falls at each end."""
    changes: dict[int, int] = {}
    for ticks, step in ((begins, 1), (ends, -1)):
        for tick in ticks:
            changes[int(tick)] = changes.get(int(tick), 0) + step
    level, steps = 0, []
    for tick in sorted(changes):
        level += changes[tick]
        steps.append((tick, level))
    return steps


def area(steps: list[tuple[int, int]]) -> int:
    """Return the integral of a level over time; it must come back to zero."""
    assert not steps or steps[-1][1] == 0
    return sum(level * (later - tick) for (tick, level), (later, _) in pairwise(steps))


def highest(steps: list[tuple[int, int]]) -> int:
    return max((level for _, level in steps), default=0)


def lives(run: Run) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Yield ready, released and busy ticks of each launch that became ready, and which requests it served."""
    rows = run.trail.requests
    for launch in run.trail.launches:
        ready, released = int(launch["ready_ticks"]), int(launch["released_ticks"])
        if ready <= released:
            ends = rows["end_ticks"]
            mine = (rows["chunk"] == launch["chunk"]) & (ready < ends) & (ends <= released)
            yield ready, released, int(launch["busy_ticks"]), mine
