"""What Hypothesis draws: traffic and endpoints on a coarse grid of time, so that ties are everywhere."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from simulations.capacity import ModelUnits, TokenChunks
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario, Service
from simulations.trace import Trace

GRID_S = 0.001


def on_grid(low: int, high: int) -> st.SearchStrategy[float]:
    """Durations that are small multiples of one step."""
    return st.integers(low, high).map(lambda steps: steps * GRID_S)


@st.composite
def traces(draw: st.DrawFn, *, max_requests: int = 40) -> Trace:
    """A few requests, many of them at the same tick."""
    n = draw(st.integers(1, max_requests))
    spread = draw(st.sampled_from([0, 3, 30, 200, 2000]))
    longest = draw(st.sampled_from([1, 4, 30]))
    longest_output = draw(st.sampled_from([1, 12, 25]))
    arrival = draw(st.lists(on_grid(0, spread), min_size=n, max_size=n))
    tokens = st.integers(1, longest)
    rows = draw(
        st.lists(
            st.tuples(tokens, st.integers(0, longest_output), st.integers(0, 30)),
            min_size=n,
            max_size=n,
        )
    )
    return Trace.build(
        arrival,
        [row[0] for row in rows],
        [row[1] for row in rows],
        cached_tokens=[min(row[2], row[0]) for row in rows],
        span_s=draw(on_grid(0, 3000)),
    )


@st.composite
def services(draw: st.DrawFn) -> Service:
    """Servers with every term of the iteration time on or off, with and without KV pressure.

    Half of them keep to the grid, so that arrivals meet boundaries in the middle of a jump.
    """
    max_sequences = draw(st.integers(1, 6))
    coarse = draw(st.booleans())
    fine = st.sampled_from([0.0, GRID_S] if coarse else [0.0, 1e-11, 1e-6, GRID_S])
    return Service(
        iteration_s=draw(on_grid(1, 5)) if coarse or draw(st.booleans()) else 1e-11,
        sequence_s=draw(fine),
        context_s=draw(fine),
        prefill_s=draw(fine),
        attention_s=draw(fine),
        token_budget=max_sequences + draw(st.sampled_from([0, 1, 5, 100])),
        max_sequences=max_sequences,
        kv_tokens=draw(st.none() | st.sampled_from([25, 40, 56, 57, 70]) | st.integers(1, 120)),
        context_limit_tokens=draw(st.none() | st.integers(1, 42)),
    )


@st.composite
def autoscalers(draw: st.DrawFn) -> Autoscaler:
    """Both metrics, short and long windows, slow and instant starts."""
    decide_steps = draw(st.sampled_from([1, 5, 20]))
    metric = draw(st.sampled_from(["in_flight", "offered_tokens"]))
    targets = [0.5, 1.0, 2.0, 3.7] if metric == "in_flight" else [100.0, 1000.0, 7777.7]
    return Autoscaler(
        decide_every_s=decide_steps * GRID_S,
        up_window_s=decide_steps * GRID_S * draw(st.integers(1, 4)),
        down_window_s=decide_steps * GRID_S * draw(st.integers(0, 6)),
        idle_to_zero_s=draw(on_grid(0, 60)),
        start_delay_s=draw(on_grid(1, 40)),
        start_spread_s=draw(st.sampled_from([0.0, GRID_S, 0.01])),
        metric=metric,
        target=draw(st.sampled_from(targets)),
        tolerance=draw(st.sampled_from([0.0, 0.1, 0.5])),
        step_up_chunks=draw(st.none() | st.integers(1, 3)),
        step_up_fraction=draw(st.sampled_from([0.0, 0.5, 1.0])),
        step_down_chunks=draw(st.none() | st.integers(1, 3)),
    )


@st.composite
def scenarios(draw: st.DrawFn, *, max_chunks: int = 8) -> Scenario:
    """Endpoints with every policy on and off; settled, so that nothing depends on the traffic."""
    if draw(st.integers(0, 9)) == 0:
        steps = draw(st.integers(1, max_chunks))
        capacity = ModelUnits(50, 50 * steps, draw(st.integers(1, 5000)))
        low = high = steps
    else:
        high = draw(st.integers(1, max_chunks))
        low = draw(st.integers(0, high))
        capacity = TokenChunks(draw(st.integers(1, 5000)), low, high)
    retries = draw(st.integers(0, 4))
    return Scenario(
        service=draw(services()),
        capacity=capacity,
        autoscaler=draw(autoscalers()),
        admission=Admission(
            queue_at=draw(st.sampled_from(["endpoint", "chunk"])),
            queue_limit=draw(st.just("none") | st.integers(1, 5)),
            chunk_concurrency=draw(st.none() | st.integers(1, 8)),
            window_s=draw(st.sampled_from([0.0, 0.005, 0.05, 1.0])),
            window_estimate_tokens=draw(st.integers(0, 15)),
            retry_after_s=draw(st.sampled_from([0.0, GRID_S, 0.02])),
        ),
        client=Client(
            retries=retries,
            backoff_s=draw(on_grid(1, 20)),
            jitter_s=draw(st.sampled_from([0.0, GRID_S, 0.01])),
            deadline_s=draw(st.sampled_from([0.0, 0.03, 600.0])),
        ),
        overflow=Overflow(
            policy=draw(st.sampled_from(["retry", "spill", "lose"])),
            spill_ttft_s=draw(on_grid(0, 5)),
            spill_tpot_s=draw(on_grid(0, 5)),
        ),
        start_chunks=draw(st.integers(low, high)),
        seed=draw(st.integers(0, 3)),
    )


# --- corners that the drawings above reach too seldom ------------------------------------------------


@st.composite
def pressed(draw: st.DrawFn) -> tuple[Trace, Scenario]:
    """Long answers in memory for little more than the longest: most of these preempt, many twice."""
    n = draw(st.integers(4, 30))
    spread = draw(st.sampled_from([10, 60, 300]))
    longest_input = draw(st.sampled_from([2, 8]))
    tokens = st.tuples(
        st.integers(1, longest_input),
        st.integers(1, 12) | st.integers(12, 25),
        st.integers(0, longest_input),
    )
    rows = draw(st.lists(tokens, min_size=n, max_size=n))
    trace = Trace.build(
        draw(st.lists(on_grid(0, spread), min_size=n, max_size=n)),
        [row[0] for row in rows],
        [row[1] for row in rows],
        cached_tokens=[min(row[2], row[0]) for row in rows],
        span_s=draw(on_grid(0, 300)),
    )
    longest = max(row[0] + row[1] for row in rows)
    chunks = draw(st.integers(1, 2))
    max_sequences = draw(st.integers(3, 12))
    service = Service(
        iteration_s=draw(on_grid(1, 3)),
        sequence_s=draw(st.sampled_from([0.0, 1e-6, GRID_S])),
        context_s=draw(st.sampled_from([0.0, 1e-11, 1e-6, GRID_S])),
        prefill_s=draw(st.sampled_from([0.0, GRID_S])),
        attention_s=draw(st.sampled_from([0.0, 1e-6])),
        token_budget=max_sequences + draw(st.integers(0, 4) | st.just(100)),
        max_sequences=max_sequences,
        kv_tokens=longest + draw(st.integers(0, 12) | st.integers(0, 12) | st.integers(12, 80)),
    )
    scenario = draw(scenarios(max_chunks=chunks))
    # Who is turned away or held back presses on nothing.
    admission = Admission(
        queue_at=draw(st.sampled_from(["endpoint", "chunk"])),
        queue_limit=draw(st.just("none") | st.integers(4, 12)),
    )
    return trace, replace(scenario, service=service, admission=admission)


@st.composite
def sleepy(draw: st.DrawFn) -> tuple[Trace, Scenario]:
    """Short visits with pauses in which the last chunk goes, on endpoints that begin with none or one."""
    visits = draw(st.lists(st.tuples(on_grid(0, 400), st.integers(1, 4)), min_size=2, max_size=6))
    arrival = [start for start, n in visits for _ in range(n)]
    rows = draw(
        st.lists(
            st.tuples(st.integers(1, 6), st.integers(0, 8)),
            min_size=len(arrival),
            max_size=len(arrival),
        )
    )
    trace = Trace.build(
        arrival, [row[0] for row in rows], [row[1] for row in rows], span_s=draw(on_grid(0, 600))
    )
    scenario = draw(scenarios(max_chunks=3))
    high = draw(st.integers(1, 3))
    return trace, replace(
        scenario,
        capacity=TokenChunks(draw(st.integers(1, 5000)), 0, high),
        autoscaler=replace(scenario.autoscaler, idle_to_zero_s=draw(on_grid(0, 25))),
        start_chunks=draw(st.integers(0, min(1, high))),
    )


@st.composite
def turned_away(draw: st.DrawFn) -> tuple[Trace, Scenario]:
    """Clients that try again at a token window with room for a few requests, which get done meanwhile."""
    trace = draw(traces(max_requests=30))
    scenario = draw(scenarios(max_chunks=3))
    rated = draw(st.integers(100, 3000))
    window_s = draw(st.sampled_from([0.004, 0.02, 0.1]))
    low, high = scenario.capacity.min_chunks, scenario.capacity.max_chunks
    return trace, replace(
        scenario,
        capacity=TokenChunks(rated, low, high),
        admission=replace(
            scenario.admission,
            window_s=window_s,
            window_estimate_tokens=draw(st.integers(0, 30)),
            queue_limit="none" if draw(st.booleans()) else draw(st.integers(1, 5)),
        ),
        client=replace(scenario.client, retries=draw(st.integers(1, 5))),
        overflow=replace(scenario.overflow, policy="retry"),
    )
