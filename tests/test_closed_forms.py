"""The endpoint against answers known beforehand: small traces worked out by hand, and queueing theory.

By hand, an iteration takes 1 s, plus 0.5 s per decoding sequence, 0.01 s per token of their context
and 0.1 s per prefill token, unless a test says otherwise. Both engines must give these answers.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from queues import customers, served, servers, waits_s
from scipy import stats
from strategies import services, traces

from simulations.capacity import TokenChunks
from simulations.engine import simulate
from simulations.run import Run
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario, Service
from simulations.ticks import NEVER, TICKS_PER_S, to_ticks
from simulations.trace import Trace

# --- by hand: continuous batching ----------------------------------------------------------------

SERVER = Service(1.0, 0.5, 0.01, 0.1, token_budget=4, max_sequences=4)
WIDE = replace(SERVER, token_budget=100)

engines = pytest.mark.parametrize("engine", ["kernel", "reference"])


def endpoint(service: Service, chunks: int = 1, **policies) -> Scenario:
    """Fixed chunks; what is refused is lost."""
    scenario = Scenario(
        service,
        TokenChunks(10, chunks, chunks),
        Autoscaler(target=1.0),
        overflow=Overflow("lose"),
        start_chunks=chunks,
    )
    return replace(scenario, **policies)


def log(run: Run) -> list[tuple[float, float]]:
    """First token and end of each request, in seconds."""
    rows = run.trail.requests
    return [
        (float(first) / TICKS_PER_S, float(end) / TICKS_PER_S)
        for first, end in zip(rows["first_token_ticks"], rows["end_ticks"], strict=True)
    ]


def launches(run: Run) -> list[tuple[float, ...]]:
    """Chunk, start, ready, draining, released, busy; times in seconds."""
    return [
        (int(chunk), *(math.inf if tick == NEVER else float(tick) / TICKS_PER_S for tick in ticks))
        for chunk, *ticks in run.trail.launches.tolist()
    ]


@engines
def test_a_prompt_is_split_over_iterations(engine):
    """4 + 4 + 2 tokens: 1.4 + 1.4 + 1.2 s; then a token with 10 of context and one with 11."""
    run = simulate(Trace.build([0], [10], [3]), endpoint(SERVER), engine=engine)
    assert log(run) == [(4.0, 7.21)]
    assert launches(run) == [(0, 0.0, 0.0, math.inf, math.inf, 7.21)]


@engines
def test_prompts_share_an_iteration(engine):
    """8 prompt tokens in 1.8 s; the first is done with its only token, the second decodes alone."""
    run = simulate(Trace.build([0, 0], [3, 5], [1, 2]), endpoint(WIDE), engine=engine)
    assert log(run) == [(1.8, 1.8), (1.8, 3.35)]


@engines
def test_a_prompt_gets_what_the_one_before_it_leaves_of_the_budget(engine):
    """4 tokens; 2 + 2 tokens; 1 token."""
    run = simulate(Trace.build([0, 0], [6, 3], [1, 1]), endpoint(SERVER), engine=engine)
    assert log(run) == [(2.8, 2.8), (3.9, 3.9)]


@engines
def test_decoding_goes_on_while_a_prompt_is_split(engine):
    """The second prompt gets 3 of the 4 tokens of budget, then 2, while the first decodes."""
    run = simulate(Trace.build([0, 0.5], [2, 5], [4, 1]), endpoint(SERVER), engine=engine)
    assert log(run) == [(1.2, 6.29), (4.75, 4.75)]


@engines
@pytest.mark.parametrize("output", [0, 1])
def test_an_embedding_ends_with_its_prompt(engine, output):
    run = simulate(Trace.build([0], [7], [output]), endpoint(WIDE), engine=engine)
    assert log(run) == [(1.7, 1.7)]


@engines
def test_cached_tokens_need_no_prefill_but_one_token_always_does(engine):
    trace = Trace.build([0, 10, 20], [10] * 3, [1] * 3, cached_tokens=[0, 4, 10])
    assert log(simulate(trace, endpoint(WIDE), engine=engine)) == [
        (2.0, 2.0),
        (11.6, 11.6),
        (21.1, 21.1),
    ]


@engines
@pytest.mark.parametrize("budget", [4, 7, 100])
def test_attention_costs_the_same_however_a_prompt_is_split(engine, budget):
    """Tokens 4 to 10 attend to 4 + ... + 10 = 49 pairs of 0.001 s, in 1 or 2 iterations of 1 s."""
    service = Service(1.0, attention_s=0.001, token_budget=budget, max_sequences=4)
    trace = Trace.build([0], [10], [1], cached_tokens=[3])
    iterations = -(-7 // budget)
    run = simulate(trace, endpoint(service), engine=engine)
    assert log(run) == [(iterations + 0.049, iterations + 0.049)]


@engines
@pytest.mark.parametrize(
    ("boundary_s", "joined", "missed"),
    [(1.1, (4.2, 2.7), (4.2, 4.2)), (2.6, (4.2, 4.2), (4.1, 5.2))],
)
def test_an_arrival_at_a_boundary_joins_the_iteration_that_starts_there(
    engine, boundary_s, joined, missed
):
    """After the prompt, or between two tokens. A tick later it waits for the next boundary."""
    service = replace(SERVER, context_s=0.0)
    for arrival_s, ends in ((boundary_s, joined), (boundary_s + 1e-11, missed)):
        trace = Trace.build([0, arrival_s], [1, 1], [3, 1])
        run = simulate(trace, endpoint(service), engine=engine)
        assert tuple(end for _, end in log(run)) == ends


@engines
def test_slots_bound_what_runs_at_once(engine):
    """Two of three prompts in the first iteration, the third when a slot is free."""
    service = replace(WIDE, max_sequences=2, context_s=0.0)
    trace = Trace.build([0] * 3, [1] * 3, [1, 3, 1])
    assert log(simulate(trace, endpoint(service), engine=engine)) == [
        (1.2, 1.2),
        (1.2, 4.3),
        (2.8, 2.8),
    ]


# --- by hand: KV memory ---------------------------------------------------------------------------

SMALL = replace(WIDE, context_s=0.0, kv_tokens=10)


@engines
def test_the_newest_is_preempted_and_starts_over_with_what_it_had(engine):
    """At 5.6 s two sequences hold 5 tokens each. The second one goes, with 3 tokens of 5 generated; at
    8.6 s it prefills 3 + 3 tokens, which yields the 4th. Its first token stays where it was."""
    run = simulate(Trace.build([0, 0], [3, 3], [5, 5]), endpoint(SMALL), engine=engine)
    assert log(run) == [(1.6, 8.6), (1.6, 11.7)]
    assert run.trail.requests["preemptions"].tolist() == [0, 1]


@engines
def test_the_preempted_waits_at_the_head_and_blocks_those_behind(engine):
    """The third request, of one token, would fit at 5.6 s; but the second is before it."""
    trace = Trace.build([0, 0, 5], [3, 3, 1], [5, 5, 1])
    run = simulate(trace, endpoint(SMALL), engine=engine)
    assert log(run) == [(1.6, 8.6), (1.6, 11.8), (10.3, 10.3)]
    assert run.trail.requests["preemptions"].tolist() == [0, 1, 0]


@engines
def test_an_arrival_queues_behind_the_preempted(engine):
    """The third was the last to wait and is long gone when the second goes back; the fourth comes after that."""
    trace = Trace.build([0, 0, 0, 6], [3, 3, 1, 1], [5, 5, 1, 1])
    run = simulate(trace, endpoint(SMALL), engine=engine)
    assert log(run) == [(1.7, 8.7), (1.7, 11.9), (1.7, 1.7), (10.4, 10.4)]
    assert run.trail.requests["preemptions"].tolist() == [0, 1, 0, 0]


@engines
def test_a_prompt_in_the_middle_is_the_newest_and_loses_its_progress(engine):
    """At 4.4 s the first holds 4 tokens and the prompt has reserved 6; it starts again at 8.9 s."""
    service = replace(SMALL, token_budget=2, max_sequences=2)
    run = simulate(Trace.build([0, 0.5], [2, 6], [6, 1]), endpoint(service), engine=engine)
    assert log(run) == [(1.2, 8.9), (12.5, 12.5)]
    assert run.trail.requests["preemptions"].tolist() == [0, 1]


@engines
def test_a_whole_prompt_is_reserved_cached_tokens_included(engine):
    """Two prompts of 10 tokens, 9 of them cached, do not fit into 12 together."""
    service = replace(SMALL, kv_tokens=12)
    trace = Trace.build([0, 0], [10, 10], [2, 2], cached_tokens=[9, 9])
    run = simulate(trace, endpoint(service), engine=engine)
    assert log(run) == [(1.1, 2.6), (3.7, 5.2)]


@engines
def test_what_can_never_fit_is_refused_at_once_and_not_retried(engine):
    scenario = endpoint(replace(SMALL, context_limit_tokens=9), overflow=Overflow("retry"))
    run = simulate(Trace.build([0, 0, 0], [5, 5, 9], [4, 5, 0]), scenario, engine=engine)
    table = run.requests()
    assert table["status"].tolist() == ["completed", "refused: too long", "completed"]
    assert table["attempts"].tolist() == [1, 1, 1]
    assert table["end_s"][1] == 0.0


# --- by hand: queue, clients, overflow ------------------------------------------------------------

ONE_SLOT = Service(10.0, token_budget=100, max_sequences=1)


@engines
def test_requests_go_to_the_chunk_with_least_to_do_and_to_the_lowest_on_ties(engine):
    trace = Trace.build([0, 0, 0, 0.5, 10], [1] * 5, [1] * 5)
    run = simulate(trace, endpoint(ONE_SLOT, chunks=3), engine=engine)
    assert run.trail.requests["chunk"].tolist() == [0, 1, 2, 0, 1]
    assert [end for _, end in log(run)] == [10.0, 10.0, 10.0, 20.0, 20.0]


@engines
def test_queues_at_chunks_never_move(engine):
    """The second waits behind the first, though the other chunk would be free first."""
    trace = Trace.build([0, 0, 1], [1, 1, 1], [3, 1, 1])
    scenario = endpoint(ONE_SLOT, 2, admission=Admission("chunk", queue_limit=1))
    run = simulate(trace, scenario, engine=engine)
    assert run.trail.requests["chunk"].tolist() == [0, 1, 0]
    assert [end for _, end in log(run)] == [30.0, 10.0, 40.0]


@engines
def test_clients_come_back_after_doubling_waits_until_they_give_up(engine):
    """One place to wait. The second comes back at 1 s and waits; the third at 1 s, 3 s and never more."""
    scenario = endpoint(
        ONE_SLOT,
        admission=Admission(queue_limit=1),
        client=Client(retries=2, backoff_s=1.0, jitter_s=0.0),
        overflow=Overflow("retry"),
    )
    run = simulate(Trace.build([0, 0, 0], [1] * 3, [1] * 3), scenario, engine=engine)
    table = run.requests()
    assert table["attempts"].tolist() == [1, 2, 3]
    assert table["accepted_s"].fillna(-1).tolist() == [0.0, 1.0, -1.0]
    assert table["end_s"].tolist() == [10.0, 20.0, 3.0]
    assert table["status"].tolist() == ["completed", "completed", "refused: queue full"]


@engines
@pytest.mark.parametrize(("deadline_s", "attempts", "end_s"), [(3.0, 3, 3.0), (2.9, 2, 1.0)])
def test_no_retry_starts_after_the_deadline(engine, deadline_s, attempts, end_s):
    scenario = endpoint(
        ONE_SLOT,
        admission=Admission(queue_limit=1),
        client=Client(retries=2, backoff_s=1.0, jitter_s=0.0, deadline_s=deadline_s),
        overflow=Overflow("retry"),
    )
    run = simulate(Trace.build([0, 0, 0], [1] * 3, [1] * 3), scenario, engine=engine)
    assert run.trail.requests["attempts"].tolist() == [1, 2, attempts]
    assert log(run)[2][1] == end_s


@engines
def test_retry_after_is_obeyed_and_a_retry_goes_before_an_arrival(engine):
    """At 10.5 s the retry of the third and the arrival of the fourth find one place to wait."""
    scenario = endpoint(
        ONE_SLOT,
        admission=Admission(queue_limit=1, retry_after_s=2.5),
        client=Client(retries=9, backoff_s=1.0, jitter_s=0.5),
        overflow=Overflow("retry"),
    )
    trace = Trace.build([0, 0, 8, 10.5], [1] * 4, [1] * 4)
    run = simulate(trace, scenario, engine=engine)
    assert run.requests()["accepted_s"].tolist() == [0.0, 2.5, 10.5, 20.5]
    assert run.requests()["attempts"].tolist() == [1, 2, 2, 5]


@engines
def test_spilled_requests_have_a_latency_of_their_own(engine):
    scenario = endpoint(
        ONE_SLOT, admission=Admission(queue_limit=1), overflow=Overflow("spill", 0.5, 0.25)
    )
    run = simulate(Trace.build([0, 0], [1, 1], [1, 5]), scenario, engine=engine)
    assert run.requests()["status"].tolist() == ["completed", "spilled to pay-per-token"]
    assert log(run) == [(10.0, 10.0), (0.5, 1.5)]


@engines
def test_token_window_counts_estimates_until_the_answer_is_known(engine):
    """100 tokens in 10 s. At 0.4 s the first counts 50 + 20, so 20 + 20 more do not fit; at 0.5 s it is done
    and counts 50 + 5, so they do. It leaves the window at 10 s, not a moment before."""
    scenario = endpoint(
        Service(0.1, token_budget=100, max_sequences=4),
        admission=Admission(window_s=10.0, window_estimate_tokens=20),
    )
    trace = Trace.build([0, 0.4, 0.5, 10 - 1e-11, 10], [50, 20, 20, 50, 50], [5] * 5)
    run = simulate(trace, scenario, engine=engine)
    full = "refused: token window full"
    assert run.requests()["status"].tolist() == ["completed", full, "completed", full, "completed"]


@engines
def test_what_has_left_the_token_window_no_longer_counts_when_it_is_done(engine):
    """The first leaves the window at 10 s and is done at 12 s, with 15 tokens less than estimated. At 13 s the second
    still counts 50 + 20, so 15 + 20 more do not fit into 100."""
    scenario = endpoint(
        Service(3.0, token_budget=100, max_sequences=4),
        admission=Admission(window_s=10.0, window_estimate_tokens=20),
    )
    run = simulate(Trace.build([0, 10, 13], [10, 50, 15], [4, 5, 5]), scenario, engine=engine)
    full = "refused: token window full"
    assert run.requests()["status"].tolist() == ["completed", "completed", full]
    assert run.requests()["end_s"][0] == 12.0


# --- by hand: the autoscaler ----------------------------------------------------------------------


ATTENTIVE = Autoscaler(
    decide_every_s=1, up_window_s=1, down_window_s=0, start_delay_s=2, target=1.0
)


def scaled(low: int, high: int, start: int, **scaler) -> Scenario:
    """Chunks with one slot of 3.5 s that should carry one request; decisions every second."""
    return Scenario(
        Service(3.5, token_budget=100, max_sequences=1),
        TokenChunks(10, low, high),
        replace(ATTENTIVE, **scaler),
        Admission(queue_limit="none"),
        start_chunks=start,
    )


@engines
def test_a_chunk_starts_serves_and_is_removed(engine):
    """Two in flight over [0, 1] want two chunks: started at 1, ready at 3. At 5 the mean is 1 for the
    first time, and the chunk with the least to do goes."""
    run = simulate(Trace.build([0, 0], [1, 1], [1, 1]), scaled(1, 2, 1), engine=engine)
    assert [end for _, end in log(run)] == [3.5, 6.5]
    assert launches(run) == [
        (0, 0.0, 0.0, 5.0, 5.0, 3.5),
        (1, 1.0, 3.0, math.inf, math.inf, 3.5),
    ]


@engines
def test_scaling_down_follows_the_largest_wish_of_its_window(engine):
    """Wishes from 1 to 9 s are 2 2 2 2 1 1 1 0 0; the last 2 leaves a window of three at 7."""
    trace = Trace.build([0, 0], [1, 1], [1, 1], span_s=9)
    run = simulate(trace, scaled(1, 2, 1, down_window_s=3), engine=engine)
    assert launches(run) == [
        (0, 0.0, 0.0, math.inf, math.inf, 3.5),
        (1, 1.0, 3.0, 7.0, 7.0, 3.5),
    ]


@engines
@pytest.mark.parametrize(("start_delay_s", "ready"), [(2, 5.0), (3, 6.0)])
def test_a_draining_chunk_finishes_what_it_has_and_takes_nothing_new(engine, start_delay_s, ready):
    """Two in flight need one chunk for two, so the second drains from 1 s until its request is done. The
    third request needs a chunk again: it gets a free index, and goes at 5 s, whether ready or not."""
    trace = Trace.build([0, 0, 2], [1, 1, 1], [1, 3, 1])
    scenario = scaled(1, 2, 2, target=2.0, start_delay_s=start_delay_s)
    run = simulate(trace, scenario, engine=engine)
    assert [end for _, end in log(run)] == [3.5, 10.5, 7.0]
    assert launches(run) == [
        (0, 0.0, 0.0, math.inf, math.inf, 7.0),
        (1, 0.0, 0.0, 1.0, 10.5, 10.5),
        (2, 3.0, ready, 5.0, 5.0, 0.0),
    ]


@engines
def test_steps_bound_what_one_decision_starts_and_removes(engine):
    """Four are wanted at 1 s: one starts, as there is one; then two, as there are two. At 5, 8 and 9 s one goes."""
    scaler = {"step_up_chunks": 1, "step_up_fraction": 1.0, "step_down_chunks": 1}
    trace = Trace.build([0] * 4, [1] * 4, [1] * 4, span_s=9)
    run = simulate(trace, scaled(1, 4, 1, **scaler), engine=engine)
    assert [end for _, end in log(run)] == [3.5, 6.5, 7.0, 7.5]
    assert launches(run) == [
        (0, 0.0, 0.0, math.inf, math.inf, 7.0),
        (1, 1.0, 3.0, 9.0, 9.0, 3.5),
        (2, 2.0, 4.0, 8.0, 8.0, 3.5),
        (3, 2.0, 4.0, 5.0, 5.0, 0.0),
    ]


@engines
def test_offered_tokens_are_averaged_over_as_many_intervals_as_there_were(engine):
    """300 tokens/s at 1 s, 150 at 2 s, 0 at 3 s, with 100 for a chunk. The second chunk is ready at 3 s and goes in the
    same moment, since the autoscaler comes before the queue."""
    scaler = {"metric": "offered_tokens", "target": 100.0, "up_window_s": 2}
    scenario = scaled(1, 4, 1, **scaler)
    scenario = replace(scenario, service=replace(scenario.service, token_budget=149))
    trace = Trace.build([0, 0.5], [149, 149], [1, 1], span_s=6)
    run = simulate(trace, scenario, engine=engine)
    assert [end for _, end in log(run)] == [3.5, 7.0]
    assert launches(run) == [
        (0, 0.0, 0.0, math.inf, math.inf, 7.0),
        (1, 1.0, 3.0, 3.0, 3.0, 0.0),
        (2, 1.0, 3.0, 2.0, 2.0, 0.0),
    ]


@engines
def test_the_last_chunk_goes_after_idle_time_and_the_next_request_starts_one(engine):
    """Started by the first request, ready at 2, idle from 5.5 for 2 s; decisions see that at 8."""
    trace = Trace.build([0, 10.5], [1, 1], [1, 1], span_s=12)
    run = simulate(trace, scaled(0, 2, 0, idle_to_zero_s=2), engine=engine)
    assert [end for _, end in log(run)] == [5.5, 16.0]
    assert launches(run) == [
        (0, 0.0, 2.0, 8.0, 8.0, 3.5),
        (0, 10.5, 12.5, math.inf, math.inf, 3.5),
    ]


# --- one request alone ----------------------------------------------------------------------------


@settings(max_examples=200)
@given(traces(max_requests=1), services())
def test_a_request_alone_takes_its_closed_form(trace, service):
    """To the tick: n iterations for the prompt, then one per token, each with one token more of context."""
    scenario = endpoint(replace(service, kv_tokens=None, context_limit_tokens=None))
    rules = scenario.rules(trace)
    row = simulate(trace, scenario).trail.requests[0]
    given_tokens, output = int(trace.input_tokens[0]), int(trace.output_tokens[0])
    cached = min(int(trace.cached_tokens[0]), given_tokens - 1)
    share = given_tokens - cached
    first_token = (
        -(-share // rules.token_budget) * rules.iteration_ticks
        + share * rules.prefill_ticks
        + rules.attention_ticks * sum(range(cached + 1, given_tokens + 1))
    )
    decoding = sum(
        rules.iteration_ticks + rules.sequence_ticks + rules.context_ticks * (given_tokens + i)
        for i in range(output - 1)
    )
    assert row["first_token_ticks"] == first_token
    assert row["end_ticks"] == first_token + decoding


# --- deterministic queues -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_servers", "between_s"), [(1, 1.0), (1, 0.3), (2, 0.3), (3, 0.1), (4, 0.125)]
)
def test_deterministic_queue_has_exact_waits(n_servers, between_s):
    """D/D/c: customer i waits i // c service times less its arrival, or not at all."""
    service_s, n = 0.5, 1000
    trace = customers(np.arange(n) * between_s, np.full(n, service_s))
    trail = served(trace, servers(n_servers))
    ticks = to_ticks(service_s) + 1
    free = np.zeros(n_servers, np.int64)
    expected = []
    for i, arrival in enumerate(trace.arrival_ticks.tolist()):
        free[i % n_servers] = max(arrival, int(free[i % n_servers])) + ticks
        expected.append(int(free[i % n_servers]))
    assert trail.requests["end_ticks"].tolist() == expected


# --- queueing theory ------------------------------------------------------------------------------
# Means over replications with fixed seeds. The interval is Student's at 99.9 %; it must hold the
# theory's value and be narrow enough to mean something.

REPLICATIONS, CUSTOMERS, WARM_UP = 24, 80_000, 5_000
CERTAINTY = 0.999
WIDEST = 0.05


def assert_mean(samples: list[float], theory: float) -> None:
    """The theory lies within the interval, and the interval within 5 % of the theory."""
    error = stats.sem(samples)
    reach = stats.t.ppf((1 + CERTAINTY) / 2, len(samples) - 1) * error
    assert reach < WIDEST * theory
    assert np.mean(samples) == pytest.approx(theory, abs=reach)


def mean_waits_s(n_servers: int, rate_per_s: float, service_s, waiting="none") -> list[float]:
    """Mean wait of each replication; `service_s` draws service times from a generator."""
    means = []
    for seed in range(REPLICATIONS):
        rng = np.random.default_rng(seed)
        arrival_s = np.cumsum(rng.exponential(1 / rate_per_s, CUSTOMERS))
        trace = customers(arrival_s, service_s(rng))
        means.append(
            waits_s(trace, served(trace, servers(n_servers, waiting=waiting)))[WARM_UP:].mean()
        )
    return means


def test_m_d_1_mean_wait():
    """Pollaczek and Khinchine: rho S / (2 (1 - rho))."""
    rho, service_s = 0.7, 0.5
    waits = mean_waits_s(1, rho / service_s, lambda rng: np.full(CUSTOMERS, service_s))
    assert_mean(waits, rho * service_s / (2 * (1 - rho)))


def test_m_m_1_mean_wait():
    """rho S / (1 - rho)."""
    rho, service_s = 0.6, 0.5
    waits = mean_waits_s(1, rho / service_s, lambda rng: rng.exponential(service_s, CUSTOMERS))
    assert_mean(waits, rho * service_s / (1 - rho))


def erlang_b(n_servers: int, offered: float) -> float:
    """Share of customers lost by servers without places to wait."""
    blocked = 1.0
    for n in range(1, n_servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked


def erlang_c(n_servers: int, offered: float) -> float:
    """Share of customers that wait, if all may."""
    blocked = erlang_b(n_servers, offered)
    return blocked / (1 - (offered / n_servers) * (1 - blocked))


@pytest.mark.parametrize(("n_servers", "rho"), [(2, 0.7), (4, 0.7), (8, 0.7)])
def test_m_m_c_mean_wait(n_servers, rho):
    """Erlang's C: C(c, a) S / (c - a)."""
    service_s, offered = 0.5, rho * n_servers
    waits = mean_waits_s(
        n_servers, offered / service_s, lambda rng: rng.exponential(service_s, CUSTOMERS)
    )
    assert_mean(waits, erlang_c(n_servers, offered) * service_s / (n_servers - offered))


@pytest.mark.parametrize(
    ("n_servers", "waiting", "offered"), [(1, 3, 0.9), (3, 2, 3.0), (4, 1, 5.0)]
)
def test_m_m_c_k_loss(n_servers, waiting, offered):
    """A full house of K = c + c * waiting: p_K of the birth-death chain."""
    places = n_servers * (1 + waiting)
    weights = np.cumprod([1.0] + [offered / min(k, n_servers) for k in range(1, places + 1)])
    lost = []
    for seed in range(REPLICATIONS):
        rng = np.random.default_rng(1000 + seed)
        trace = customers(
            np.cumsum(rng.exponential(0.1, CUSTOMERS)), rng.exponential(0.1 * offered, CUSTOMERS)
        )
        trail = served(trace, servers(n_servers, waiting=waiting))
        lost.append(float((trail.requests["accepted_ticks"] == NEVER)[WARM_UP:].mean()))
    assert_mean(lost, weights[-1] / weights.sum())


def test_batches_behind_a_gate_mean_time_to_first_token():
    """Iterations of fixed length D take all who came during the last one: D (1 + busy / 2), where the server is
    busy for D e^(rate D) and then idle for 1 / rate."""
    length_s, rate_per_s = 0.5, 1.4
    service = Service(length_s, token_budget=4096, max_sequences=4096)
    busy_s, idle_s = length_s * math.exp(rate_per_s * length_s), 1 / rate_per_s
    means = []
    for seed in range(REPLICATIONS):
        rng = np.random.default_rng(2000 + seed)
        arrival_s = np.cumsum(rng.exponential(1 / rate_per_s, CUSTOMERS))
        trace = Trace.build(arrival_s, np.ones(CUSTOMERS, int), np.ones(CUSTOMERS, int))
        trail = served(trace, endpoint(service))
        ttft = trail.requests["first_token_ticks"] - trace.arrival_ticks
        means.append(float(ttft.mean()) / TICKS_PER_S)
    assert_mean(means, length_s * (1 + 0.5 * busy_s / (busy_s + idle_s)))
