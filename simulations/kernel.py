"""The simulated endpoint, compiled: the reference's answer, bit for bit, jumping from change to change.

Between two changes a chunk's iterations follow a closed form (laws.decode_ticks), so one event stands
for hundreds of them. A jump is one of three kinds: decode iterations; iterations in which one prompt
takes the whole budget; a single iteration in which prompts end or begin. Only an arrival that finds an
empty queue, a free slot and KV room cuts a jump, and only one of decode iterations.

Names are the reference's. The only door to numba: the laws are compiled from here.
"""

from __future__ import annotations

import hashlib
import types
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from simulations import laws, ticks
from simulations.allowance import Allowance, Count
from simulations.run import (
    COMPLETED,
    LAUNCH,
    NO_CHUNK,
    REFUSED_LENGTH,
    REFUSED_QUEUE,
    REFUSED_WINDOW,
    REQUEST,
    SPILLED,
    Trail,
)
from simulations.scenario import OVERFLOW_CODES, Rules
from simulations.tally import TPOT, TTFT
from simulations.ticks import NEVER
from simulations.trace import Trace

FREE, STARTING, READY, DRAINING = 0, 1, 2, 3
DECODE, ONE_PROMPT, PACKED = 0, 1, 2
NOT_READY = (
    1 << 40
)  # added to the load of a chunk that takes nothing, so that the least loaded is ready
PLACE_BITS = 16  # of a load's number these tell the chunk, so that ties go to the lowest index
NOBODY = -1
RETRY_OVERFLOW, SPILL_OVERFLOW = OVERFLOW_CODES["retry"], OVERFLOW_CODES["spill"]
IN_FLIGHT_METRIC = laws.METRIC_IN_FLIGHT
NO_LIMITS = np.zeros(0, np.int64)
UNLIMITED = Allowance(NO_LIMITS, NO_LIMITS, NO_LIMITS, NEVER, NO_LIMITS)
JITTER, START_DELAY = laws.PURPOSE_JITTER, laws.PURPOSE_START_DELAY

CHUNK = np.dtype(
    [
        (name, np.int64)
        for name in (
            "state",
            "launch",
            "planned",  # an iteration start at the end of this tick
            "waiting",  # requests in this chunk's queue
            "waiting_head",
            "waiting_tail",
            "decoding",  # sequences in the heap of finishes
            "prefilling",  # the one request in the middle of its prompt, or NOBODY
            "prefilled",  # its tokens that are done
            "fresh",  # requests whose prompt ends with this iteration
            "kv_used",
            "context",  # KV tokens of the decoding sequences
            "iterations",  # done since the chunk is ready
            "admissions",  # prompts done since then; later means newer
            "jump_kind",
            "jump_start",
            "jump_iterations",
            "first_ticks",
            "growth_ticks",
        )
    ],
    align=True,
)

ENDPOINT = np.dtype(
    [
        (name, np.int64)
        for name in (
            "unresolved",
            "in_flight",
            "last_completion",
            "ready",
            "starting",
            "slots",  # chunk indices in use are below this
            "launches",
            "planned",  # chunks with an iteration start at the end of this tick
            "queue",
            "queue_head",
            "queue_tail",
            "retries",
            "arrived",
            "decisions",
            "up_sum_s",  # of the up-window, as a pair
            "up_sum_ticks",
            "wishes",  # of the down-window, a queue of falling values
            "wish_first",
            "scales",  # whether the autoscaler can change anything
            "next_decision",
            "metric_s",
            "metric_ticks",
            "window_head",
            "window_tail",
            "window_tokens",
            "window_expired",
            "refused",  # for good
            "most_refused",
            "hopeless",  # more were late or refused than may be
        )
    ],
    align=True,
)


class State(NamedTuple):
    """All that changes while a simulation runs, and the traffic that drives it."""

    endpoint: Any  # ENDPOINT[1]
    chunks: Any  # CHUNK[slot]
    events: Any  # int64[2 * slot], a tournament: the tick at which a chunk's jump or start ends
    first: Any  # int32[2 * slot], beside it: the chunk whose tick that is
    load: (
        Any  # int64[2 * slot], a tournament: outstanding requests, plus NOT_READY, before the chunk
    )
    planned: Any  # int64[slot], the chunks to start an iteration, in no order
    finish: Any  # int64[slot, sequence], a heap: the iteration after which a sequence ends
    decoder: Any  # int32[slot, sequence], whose it is
    newness: Any  # int64[slot, sequence], its place in the order of admission
    fresh: Any  # int32[slot, sequence]
    launches: Any  # LAUNCH[capacity]
    retries: Any  # int32[capacity], a heap of requests by the tick of their next attempt
    requests: Any  # REQUEST[n]
    behind: Any  # int32[n], the next one in the queue a request waits in
    window_behind: Any  # int32[n], the next one in the token window
    up_s: Any  # int64[up_intervals], the metric's total over an interval, as a pair
    up_ticks: Any
    wish_number: Any  # int64[down_records + 1], when a wish was made, and what it was
    wish_value: Any
    generated: Any  # int32[n], tokens had before the last preemption
    metrics: Any  # int64[limit], what may be late, where only a verdict is asked for
    limit_ticks: Any
    most_late: Any
    late: Any
    arrival: Any
    input: Any
    cached: Any
    output: Any


# Nothing is allocated, so nothing is counted: reference counts would cost more than the simulation.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_PART_OPTIONS = _OPTIONS | {"no_cpython_wrapper": True, "forceinline": True}
_part: Any = numba.njit(**_PART_OPTIONS)


def _compiled_laws() -> types.SimpleNamespace:
    """Compile the laws in their order, each seeing the compiled ones before it."""
    compiled: dict[str, Any] = {}
    for name, law in vars(laws).items():
        if isinstance(law, types.FunctionType) and law.__module__ == laws.__name__:
            scope = {**vars(laws), **compiled}
            copy = types.FunctionType(law.__code__, scope, name, law.__defaults__)
            compiled[name] = _part(copy)
    return types.SimpleNamespace(**compiled)


_law = _compiled_laws()
triangle = _law.triangle
decode_ticks = _law.decode_ticks
first_boundary = _law.first_boundary
carry_seconds = _law.carry_seconds
carry_ticks = _law.carry_ticks
mean_metric = _law.mean_metric
mean_rate = _law.mean_rate
wanted_chunks = _law.wanted_chunks
largest_step = _law.largest_step
zero_floor = _law.zero_floor
draw = _law.draw
drawn_ticks = _law.drawn_ticks
backoff_wait = _law.backoff_wait

# --- tournaments: a number per chunk, and which chunk has the least ------------------------------
#
# The numbers of the chunks, as many as a power of two, stand in the second half of an array; before them, at i,
# stands the lesser of those at 2 i and 2 i + 1. So the least is at 1, and a change costs a few steps
# whatever the number of chunks.


@_part
def _number(tournament, c):
    return tournament[(len(tournament) >> 1) + c]


@_part
def _set_number(tournament, c, number):
    i = (len(tournament) >> 1) + c
    tournament[i] = number
    while i > 1:
        number = min(number, tournament[i ^ 1])
        i >>= 1
        if tournament[i] == number:
            break
        tournament[i] = number


@_part
def _event(st, c):
    """The tick at which a chunk's jump or start ends."""
    return _number(st.events, c)


@_part
def _set_event(st, c, tick):
    """The same as `_set_number`, with the chunk that is first beside the tick: the lowest index on ties."""
    i = (len(st.events) >> 1) + c
    st.events[i] = tick
    first = np.int64(c)
    while i > 1:
        other_tick = st.events[i ^ 1]
        other = np.int64(st.first[i ^ 1])
        goes_before = other_tick < tick or (other_tick == tick and other < first)
        tick = other_tick if goes_before else tick
        first = other if goes_before else first
        i >>= 1
        if st.events[i] == tick and st.first[i] == first:
            break
        st.events[i] = tick
        st.first[i] = first


@_part
def _load(st, c):
    return _number(st.load, c) >> PLACE_BITS


@_part
def _add_load(st, c, more):
    _set_number(st.load, c, _number(st.load, c) + (np.int64(more) << PLACE_BITS))


@_part
def _least_loaded(st):
    """The chunk with the fewest outstanding requests, the lowest index on ties, ready if any is."""
    return st.load[1] & ((1 << PLACE_BITS) - 1)


# --- the heap of decoding sequences of one chunk, by the iteration after which they end ---------


@_part
def _push_decoder(st, c, finish, request, newness):
    chunk = st.chunks[c]
    i = chunk.decoding
    chunk.decoding = i + 1
    _sift_up(st, c, i, finish, request, newness)


@_part
def _sift_up(st, c, i, finish, request, newness):
    while i > 0:
        parent = (i - 1) >> 1
        if st.finish[c, parent] <= finish:
            break
        _move_decoder(st, c, parent, i)
        i = parent
    st.finish[c, i] = finish
    st.decoder[c, i] = request
    st.newness[c, i] = newness


@_part
def _move_decoder(st, c, source, target):
    st.finish[c, target] = st.finish[c, source]
    st.decoder[c, target] = st.decoder[c, source]
    st.newness[c, target] = st.newness[c, source]


@_part
def _remove_decoder(st, c, i):
    """Take the sequence at place i out of the heap; the last one fills the hole."""
    chunk = st.chunks[c]
    last = chunk.decoding - 1
    chunk.decoding = last
    if i == last:
        return
    finish, request, newness = st.finish[c, last], st.decoder[c, last], st.newness[c, last]
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        if child + 1 < last and st.finish[c, child + 1] < st.finish[c, child]:
            child += 1
        if st.finish[c, child] >= finish:
            break
        _move_decoder(st, c, child, i)
        i = child
    _sift_up(st, c, i, finish, request, newness)


# --- one chunk -------------------------------------------------------------------------------


@_part
def _plan_start(st, c):
    chunk = st.chunks[c]
    if chunk.planned == 0 and _event(st, c) == NEVER:
        chunk.planned = 1
        st.planned[st.endpoint[0].planned] = c
        st.endpoint[0].planned += 1


@_part
def _take(st, rules, c, request, now):
    """Let a request wait at a chunk; cut the chunk's jump where it can be admitted earlier."""
    chunk = st.chunks[c]
    st.requests[request].chunk = c
    _add_load(st, c, 1)
    st.behind[request] = NOBODY
    chunk.waiting += 1
    if chunk.waiting > 1:
        st.behind[chunk.waiting_tail] = request
        chunk.waiting_tail = request
        return
    chunk.waiting_head = request
    chunk.waiting_tail = request
    if _event(st, c) == NEVER:
        _plan_start(st, c)
    elif chunk.jump_kind == DECODE and chunk.decoding < rules.max_sequences:
        k = first_boundary(chunk.first_ticks, chunk.growth_ticks, now - chunk.jump_start)
        if k < chunk.jump_iterations:
            used = chunk.kv_used + chunk.decoding * (k + 1)
            if used + st.input[request] <= rules.kv_tokens:
                chunk.jump_iterations = k
                end = chunk.jump_start + decode_ticks(chunk.first_ticks, chunk.growth_ticks, k)
                _set_event(st, c, end)


@_part
def _preempt_newest(st, c):
    """Drop the newest sequence's KV and progress and put it at the head of the queue."""
    chunk = st.chunks[c]
    if chunk.prefilling != NOBODY:
        request = chunk.prefilling
        chunk.prefilling = NOBODY
        chunk.kv_used -= st.input[request] + st.generated[request]
    else:
        newest = 0
        for i in range(1, chunk.decoding):
            if st.newness[c, i] > st.newness[c, newest]:
                newest = i
        request = np.int64(st.decoder[c, newest])
        generated = st.output[request] - (st.finish[c, newest] - chunk.iterations)
        st.generated[request] = generated
        held = st.input[request] + generated - 1
        chunk.kv_used -= held
        chunk.context -= held
        _remove_decoder(st, c, newest)
    st.requests[request].preemptions += 1
    st.behind[request] = chunk.waiting_head if chunk.waiting > 0 else NOBODY
    chunk.waiting_head = request
    if chunk.waiting == 0:
        chunk.waiting_tail = request
    chunk.waiting += 1


@_part
def _start_iteration(st, rules, c, now):
    """Preempt what no longer fits, share out the token budget, admit, and jump."""
    chunk = st.chunks[c]
    while chunk.kv_used + chunk.decoding > rules.kv_tokens:
        _preempt_newest(st, c)
    decoding = chunk.decoding
    budget = rules.token_budget - decoding
    prefill_ticks = np.int64(0)
    fresh = np.int64(0)

    if chunk.prefilling != NOBODY:
        request = chunk.prefilling
        done = chunk.prefilled
        rest = st.input[request] + st.generated[request] - done
        if rest > budget:
            _jump_one_prompt(st, rules, c, now, rest, budget)
            return
        prefill_ticks += rules.prefill_ticks * rest
        prefill_ticks += rules.attention_ticks * (triangle(done + rest) - triangle(done))
        budget -= rest
        chunk.prefilling = NOBODY
        st.fresh[c, 0] = request
        fresh = np.int64(1)

    while chunk.waiting > 0 and budget > 0 and decoding + fresh < rules.max_sequences:
        request = chunk.waiting_head
        prompt = np.int64(st.input[request]) + st.generated[request]
        if chunk.kv_used + decoding + prompt > rules.kv_tokens:
            break
        chunk.waiting_head = st.behind[request]
        chunk.waiting -= 1
        chunk.kv_used += prompt
        done = np.int64(min(st.cached[request], st.input[request] - 1))
        share = min(prompt - done, budget)
        prefill_ticks += rules.prefill_ticks * share
        prefill_ticks += rules.attention_ticks * (triangle(done + share) - triangle(done))
        budget -= share
        if done + share == prompt:
            st.fresh[c, fresh] = request
            fresh += 1
        else:
            chunk.prefilling = request
            chunk.prefilled = done + share

    chunk.fresh = fresh
    if fresh > 0 or chunk.prefilling != NOBODY:
        chunk.jump_kind = PACKED
        chunk.jump_iterations = 1
    elif decoding > 0:
        chunk.jump_kind = DECODE
        chunk.jump_iterations = _longest_jump(st, rules, c)
    else:
        return
    chunk.first_ticks = (
        rules.iteration_ticks
        + rules.sequence_ticks * decoding
        + rules.context_ticks * chunk.context
        + prefill_ticks
    )
    chunk.growth_ticks = rules.context_ticks * decoding
    chunk.jump_start = now
    end = now + decode_ticks(chunk.first_ticks, chunk.growth_ticks, chunk.jump_iterations)
    _set_event(st, c, end)


@_part
def _longest_jump(st, rules, c):
    """Iterations until a sequence ends or KV memory is full; there is at least one sequence."""
    chunk = st.chunks[c]
    room = (rules.kv_tokens - chunk.kv_used) // chunk.decoding
    return min(st.finish[c, 0] - chunk.iterations, room)


@_part
def _jump_one_prompt(st, rules, c, now, rest, budget):
    """Run the iterations in which one prompt takes the whole budget and does not end."""
    chunk = st.chunks[c]
    k = (rest - 1) // budget
    if chunk.decoding > 0:
        k = min(k, _longest_jump(st, rules, c))
    first_ticks = (
        rules.iteration_ticks
        + rules.sequence_ticks * chunk.decoding
        + rules.context_ticks * chunk.context
        + rules.prefill_ticks * budget
    )
    done = chunk.prefilled
    after = done + k * budget
    attention_ticks = rules.attention_ticks * (triangle(after) - triangle(done))
    chunk.prefilled = after
    chunk.fresh = 0
    chunk.jump_kind = ONE_PROMPT
    chunk.jump_iterations = k
    chunk.jump_start = now
    growth_ticks = rules.context_ticks * chunk.decoding
    end = now + decode_ticks(first_ticks, growth_ticks, k) + attention_ticks
    _set_event(st, c, end)


@_part
def _end_iterations(st, rules, c, now):
    """Hand out the tokens of the jump that ends now."""
    chunk = st.chunks[c]
    st.launches[chunk.launch].busy_ticks += now - chunk.jump_start
    chunk.iterations += chunk.jump_iterations
    gained = chunk.decoding * chunk.jump_iterations
    chunk.kv_used += gained
    chunk.context += gained
    while chunk.decoding > 0 and st.finish[c, 0] == chunk.iterations:
        request = np.int64(st.decoder[c, 0])
        held = np.int64(st.input[request]) + st.output[request] - 1
        chunk.kv_used -= held
        chunk.context -= held
        _remove_decoder(st, c, 0)
        _complete(st, rules, c, request, now)
    for i in range(chunk.fresh):
        request = np.int64(st.fresh[c, i])
        generated = np.int64(st.generated[request])
        prompt = st.input[request] + generated
        if generated == 0:
            st.requests[request].first_token_ticks = now
        if generated + 1 >= st.output[request]:
            chunk.kv_used -= prompt
            _complete(st, rules, c, request, now)
        else:
            chunk.admissions += 1
            chunk.context += prompt
            finish = chunk.iterations + st.output[request] - generated - 1
            _push_decoder(st, c, finish, request, chunk.admissions)
    chunk.fresh = 0
    if _load(st, c) == NOT_READY and chunk.state == DRAINING:
        _release(st, c, now)
    elif _load(st, c) != 0:
        _plan_start(st, c)


# --- requests --------------------------------------------------------------------------------


@_part
def _complete(st, rules, c, request, now):
    endpoint = st.endpoint[0]
    row = st.requests[request]
    row.status = COMPLETED
    row.end_ticks = now
    _add_load(st, c, -1)
    endpoint.unresolved -= 1
    endpoint.in_flight -= 1
    endpoint.last_completion = now
    if rules.metric == IN_FLIGHT_METRIC:
        _add_time_in_flight(endpoint, now - endpoint.next_decision)
    if rules.window_ticks > 0 and row.accepted_ticks > endpoint.window_expired:
        endpoint.window_tokens += st.output[request] - rules.window_estimate_tokens
    _count_late(st, request)


@_part
def _count_late(st, request):
    """Count a request that is over against the limits that it passed."""
    for k in range(len(st.limit_ticks)):
        row = st.requests[request]
        metric = st.metrics[k]
        later = np.int64(st.output[request]) - 1
        if metric == TPOT and later < 1:
            continue
        if row.status == COMPLETED or row.status == SPILLED:
            if metric == TTFT:
                latency = row.first_token_ticks - st.arrival[request]
            elif metric == TPOT:
                latency = (row.end_ticks - row.first_token_ticks) // later
            else:
                latency = row.end_ticks - st.arrival[request]
            if latency <= st.limit_ticks[k]:
                continue
        st.late[k] += 1
        if st.late[k] > st.most_late[k]:
            st.endpoint[0].hopeless = 1


@_part
def _give_up(st, request, now, status):
    """Refuse a request for good."""
    endpoint = st.endpoint[0]
    row = st.requests[request]
    row.status = status
    row.end_ticks = now
    endpoint.unresolved -= 1
    endpoint.refused += 1
    if endpoint.refused > endpoint.most_refused:
        endpoint.hopeless = 1
    _count_late(st, request)


@_part
def _add_time_in_flight(endpoint, some_ticks):
    if endpoint.scales:
        total = endpoint.metric_ticks + some_ticks
        endpoint.metric_s = carry_seconds(endpoint.metric_s, total)
        endpoint.metric_ticks = carry_ticks(total)


@_part
def _attempt(st, rules, request, now):
    """Accept a request or refuse it. Returns whether a chunk must be started at once."""
    endpoint = st.endpoint[0]
    row = st.requests[request]
    row.attempts += 1
    c = NOBODY
    if rules.queue_at_chunk == 1:
        c = _least_loaded(st)
        if _load(st, c) >= NOT_READY:
            c = NOBODY
    if c == NOBODY:
        full = endpoint.queue >= rules.queue_limit * max(1, endpoint.ready)
    else:
        full = st.chunks[c].waiting >= rules.queue_limit
    if full:
        _refuse(st, rules, request, now, REFUSED_QUEUE)
        return False
    if rules.window_ticks > 0 and not _fits_window(st, rules, request, now):
        _refuse(st, rules, request, now, REFUSED_WINDOW)
        return False

    row.accepted_ticks = now
    endpoint.in_flight += 1
    if rules.metric == IN_FLIGHT_METRIC:
        _add_time_in_flight(endpoint, endpoint.next_decision - now)
    if c != NOBODY:
        _take(st, rules, c, request, now)
    else:
        st.behind[request] = NOBODY
        if endpoint.queue > 0:
            st.behind[endpoint.queue_tail] = request
        else:
            endpoint.queue_head = request
        endpoint.queue_tail = request
        endpoint.queue += 1
    return endpoint.ready + endpoint.starting == 0


@_part
def _fits_window(st, rules, request, now):
    """Whether the token window has room; what does is added to it."""
    endpoint = st.endpoint[0]
    expired = now - rules.window_ticks
    while endpoint.window_head != NOBODY:
        head = endpoint.window_head
        row = st.requests[head]
        if row.accepted_ticks > expired:
            break
        counted = np.int64(rules.window_estimate_tokens)
        if row.status == COMPLETED:
            counted = np.int64(st.output[head])
        endpoint.window_tokens -= st.input[head] + counted
        endpoint.window_head = st.window_behind[head]
    endpoint.window_expired = expired
    estimate = st.input[request] + rules.window_estimate_tokens
    if endpoint.window_tokens + estimate > rules.window_tokens * max(1, endpoint.ready):
        return False
    endpoint.window_tokens += estimate
    st.window_behind[request] = NOBODY
    if endpoint.window_head == NOBODY:
        endpoint.window_head = request
    else:
        st.window_behind[endpoint.window_tail] = request
    endpoint.window_tail = request
    return True


@_part
def _refuse(st, rules, request, now, status):
    """Send a request away: to its client's next attempt, to pay-per-token, or for good."""
    row = st.requests[request]
    attempt = row.attempts - 1
    if rules.overflow == SPILL_OVERFLOW:
        row.status = SPILLED
        row.first_token_ticks = now + rules.spill_ttft_ticks
        later_tokens = max(0, st.output[request] - 1)
        row.end_ticks = row.first_token_ticks + rules.spill_tpot_ticks * later_tokens
        st.endpoint[0].unresolved -= 1
        _count_late(st, request)
        return
    if rules.overflow == RETRY_OVERFLOW and attempt < rules.retries:
        fraction = draw(rules.seed, JITTER, request, attempt)
        jitter = drawn_ticks(fraction, rules.jitter_ticks)
        tick = now + backoff_wait(rules.backoff_ticks, attempt, jitter, rules.retry_after_ticks)
        if tick <= st.arrival[request] + rules.deadline_ticks:
            row.end_ticks = tick  # until it is resolved: when it comes again
            _push_retry(st, request)
            return
    _give_up(st, request, now, status)


@_part
def _retries_before(st, one, other):
    tick, other_tick = st.requests[one].end_ticks, st.requests[other].end_ticks
    return tick < other_tick or (tick == other_tick and one < other)


@_part
def _push_retry(st, request):
    heap = st.retries
    i = st.endpoint[0].retries
    st.endpoint[0].retries = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        if not _retries_before(st, request, heap[parent]):
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = request


@_part
def _pop_retry(st):
    heap = st.retries
    first = np.int64(heap[0])
    last = st.endpoint[0].retries - 1
    st.endpoint[0].retries = last
    request = heap[last]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        if child + 1 < last and _retries_before(st, heap[child + 1], heap[child]):
            child += 1
        if not _retries_before(st, heap[child], request):
            break
        heap[i] = heap[child]
        i = child
    heap[i] = request
    return first


# --- routing and chunks --------------------------------------------------------------------------


@_part
def _dispatch(st, rules, now):
    """Give the head of the endpoint's queue to the least loaded chunk while it may have more."""
    endpoint = st.endpoint[0]
    while endpoint.queue > 0:
        c = _least_loaded(st)
        if _load(st, c) >= min(rules.chunk_concurrency, NOT_READY):
            return
        _take_from_queue(st, rules, c, now)


@_part
def _take_from_queue(st, rules, c, now):
    endpoint = st.endpoint[0]
    request = endpoint.queue_head
    endpoint.queue_head = st.behind[request]
    endpoint.queue -= 1
    _take(st, rules, c, request, now)


@_part
def _launch(st, now, ready_tick):
    """Make a chunk at the lowest free index and return the index."""
    endpoint = st.endpoint[0]
    c = 0
    while c < endpoint.slots and st.chunks[c].state != FREE:
        c += 1
    endpoint.slots = max(endpoint.slots, c + 1)
    chunk = st.chunks[c]
    chunk.state = STARTING
    chunk.launch = endpoint.launches
    chunk.planned = 0
    chunk.waiting = 0
    chunk.decoding = 0
    chunk.prefilling = NOBODY
    chunk.fresh = 0
    chunk.kv_used = 0
    chunk.context = 0
    chunk.iterations = 0
    chunk.admissions = 0
    _add_load(st, c, NOT_READY - _load(st, c))
    _set_event(st, c, ready_tick)
    launch = st.launches[endpoint.launches]
    launch.chunk = c
    launch.started_ticks = now
    launch.ready_ticks = ready_tick
    launch.draining_ticks = NEVER
    launch.released_ticks = NEVER
    launch.busy_ticks = 0
    endpoint.launches += 1
    endpoint.starting += 1
    return c


@_part
def _start_chunk(st, rules, now):
    """Begin to start a chunk; it serves after the start delay."""
    fraction = draw(rules.seed, START_DELAY, st.endpoint[0].launches, 0)
    delay = rules.start_delay_ticks + drawn_ticks(fraction, rules.start_spread_ticks)
    _launch(st, now, now + delay)


@_part
def _become_ready(st, rules, c, now):
    """Let a chunk take requests; with queues at chunks, the first one ready takes over all that wait."""
    endpoint = st.endpoint[0]
    st.chunks[c].state = READY
    _set_event(st, c, NEVER)
    _add_load(st, c, -NOT_READY)
    endpoint.starting -= 1
    endpoint.ready += 1
    if rules.queue_at_chunk == 1:
        while endpoint.queue > 0:
            _take_from_queue(st, rules, c, now)


@_part
def _release(st, c, now):
    """Give a chunk back; its index is free again."""
    endpoint = st.endpoint[0]
    st.chunks[c].state = FREE
    _set_event(st, c, NEVER)
    _add_load(st, c, 2 * NOT_READY - _load(st, c))
    st.launches[st.chunks[c].launch].released_ticks = now
    while endpoint.slots > 1 and st.chunks[endpoint.slots - 1].state == FREE:
        endpoint.slots -= 1


@_part
def _remove_one(st, now):
    """Remove the newest starting chunk, else the ready one with the least to do (highest index on ties)."""
    endpoint = st.endpoint[0]
    newest = NOBODY
    idlest = NOBODY
    for c in range(endpoint.slots):
        state = st.chunks[c].state
        if state == STARTING and (
            newest == NOBODY or st.chunks[c].launch > st.chunks[newest].launch
        ):
            newest = c
        if state == READY and (idlest == NOBODY or _load(st, c) <= _load(st, idlest)):
            idlest = c
    removed = newest if newest != NOBODY else idlest
    st.launches[st.chunks[removed].launch].draining_ticks = now
    if newest != NOBODY:
        endpoint.starting -= 1
        _release(st, removed, now)
    else:
        endpoint.ready -= 1
        st.chunks[removed].state = DRAINING
        _add_load(st, removed, NOT_READY)
        if _load(st, removed) == NOT_READY:
            _release(st, removed, now)


# --- the whole -------------------------------------------------------------------------------------


@_part
def _loop(st, rules):
    """Go on until all work is done and the horizon is passed, or no promise can be kept any more, or
    until there is no room for what one tick may start. Returns whether it is done; called again with more room it goes on."""
    endpoint = st.endpoint[0]
    n = len(st.arrival)
    room = len(st.wish_number)

    while True:
        now = endpoint.next_decision
        if endpoint.arrived < n and st.arrival[endpoint.arrived] < now:
            now = st.arrival[endpoint.arrived]
        if endpoint.retries > 0 and st.requests[st.retries[0]].end_ticks < now:
            now = st.requests[st.retries[0]].end_ticks
        now = min(now, st.events[1])
        if now >= NEVER or (endpoint.unresolved == 0 and now > rules.horizon_ticks):
            return True
        if endpoint.hopeless == 1:
            return True
        if endpoint.slots + rules.max_chunks > len(st.chunks):
            return False
        if endpoint.launches + rules.max_chunks > len(st.launches):
            return False

        # 1. iterations end, 2. chunks become ready
        becoming_ready = 0
        while st.events[1] == now:
            c = np.int64(st.first[1])
            _set_event(st, c, NEVER)
            if st.chunks[c].state == STARTING:
                # From the end: there is room for the largest number of chunks beyond those in use.
                becoming_ready += 1
                st.planned[len(st.planned) - becoming_ready] = c
            else:
                _end_iterations(st, rules, c, now)
        for i in range(becoming_ready):
            _become_ready(st, rules, st.planned[len(st.planned) - 1 - i], now)

        # 3. the autoscaler
        if endpoint.next_decision == now:
            endpoint.decisions += 1
            total = endpoint.ready + endpoint.starting
            place = (endpoint.decisions - 1) % rules.up_intervals
            endpoint.up_sum_s += endpoint.metric_s - st.up_s[place]
            endpoint.up_sum_ticks += endpoint.metric_ticks - st.up_ticks[place]
            st.up_s[place] = endpoint.metric_s
            st.up_ticks[place] = endpoint.metric_ticks
            intervals = min(endpoint.decisions, rules.up_intervals)
            if rules.metric == IN_FLIGHT_METRIC:
                mean = mean_metric(
                    carry_seconds(endpoint.up_sum_s, endpoint.up_sum_ticks),
                    carry_ticks(endpoint.up_sum_ticks),
                    intervals,
                    rules.decide_ticks,
                )
                # Those in flight now are so until the next decision, unless they end before it.
                ticks_ahead = endpoint.in_flight * carry_ticks(rules.decide_ticks)
                seconds_ahead = endpoint.in_flight * carry_seconds(0, rules.decide_ticks)
                endpoint.metric_s = carry_seconds(seconds_ahead, ticks_ahead)
                endpoint.metric_ticks = carry_ticks(ticks_ahead)
            else:
                mean = mean_rate(endpoint.up_sum_ticks, intervals, rules.decide_ticks)
                endpoint.metric_ticks = 0
            floor = rules.min_chunks
            if floor == 0:
                idle = now - endpoint.last_completion
                floor = zero_floor(total, endpoint.in_flight, idle, rules.idle_to_zero_ticks)
            wish = wanted_chunks(
                mean, rules.target, rules.tolerance, total, floor, rules.max_chunks
            )
            while (
                endpoint.wishes > 0
                and st.wish_number[endpoint.wish_first] <= endpoint.decisions - rules.down_records
            ):
                endpoint.wish_first = (endpoint.wish_first + 1) % room
                endpoint.wishes -= 1
            while (
                endpoint.wishes > 0
                and st.wish_value[(endpoint.wish_first + endpoint.wishes - 1) % room] <= wish
            ):
                endpoint.wishes -= 1
            st.wish_number[(endpoint.wish_first + endpoint.wishes) % room] = endpoint.decisions
            st.wish_value[(endpoint.wish_first + endpoint.wishes) % room] = wish
            endpoint.wishes += 1
            if wish > total:
                step = largest_step(rules.step_up_chunks, rules.step_up_fraction, total)
                more = min(wish, total + step) - total
                for _ in range(more):
                    _start_chunk(st, rules, now)
            else:
                keep = max(
                    st.wish_value[endpoint.wish_first], max(total - rules.step_down_chunks, floor)
                )
                for _ in range(total - keep):
                    _remove_one(st, now)
            endpoint.next_decision = now + rules.decide_ticks

        # 4. retries, 5. arrivals; an endpoint at zero starts a chunk with the first it accepts
        while True:
            request = NOBODY
            if endpoint.retries > 0 and st.requests[st.retries[0]].end_ticks == now:
                request = _pop_retry(st)
            elif endpoint.arrived < n and st.arrival[endpoint.arrived] == now:
                request = endpoint.arrived
                endpoint.arrived += 1
                tokens = np.int64(st.input[request]) + st.output[request]
                if rules.metric != IN_FLIGHT_METRIC:
                    endpoint.metric_ticks += tokens
                if tokens > rules.longest_tokens:
                    st.requests[request].attempts = 1
                    _give_up(st, request, now, REFUSED_LENGTH)
                    continue
            else:
                break
            if _attempt(st, rules, request, now):
                _start_chunk(st, rules, now)

        # 6. dispatch, 7. iterations start
        if rules.queue_at_chunk == 0:
            _dispatch(st, rules, now)
        for i in range(endpoint.planned):
            c = st.planned[i]
            st.chunks[c].planned = 0
            _start_iteration(st, rules, c, now)
        endpoint.planned = 0


@_part
def _begin(st, rules):
    """Put the first chunks in place."""
    endpoint = st.endpoint[0]
    endpoint.unresolved = len(st.arrival)
    endpoint.window_head = NOBODY
    endpoint.window_expired = -1
    endpoint.scales = rules.min_chunks < rules.max_chunks
    endpoint.next_decision = rules.decide_ticks if endpoint.scales else NEVER
    st.wish_value[0] = rules.start_chunks
    endpoint.wishes = 1
    for _ in range(rules.start_chunks):
        _become_ready(st, rules, _launch(st, 0, 0), 0)


def _entry(sources_sha256: str) -> Any:
    """Return the compiled simulation. The checksum is a part of the cache's key, since numba itself
    looks at this file alone and would go on with laws that have changed."""

    @numba.njit(cache=True, **_OPTIONS)
    def run(st, rules, begin):
        _ = sources_sha256
        if begin:
            _begin(st, rules)
        return _loop(st, rules)

    return run


def _sources_sha256() -> str:
    digest = hashlib.sha256()
    for source in (__file__, laws.__file__, ticks.__file__):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


_run = _entry(_sources_sha256())


def simulate(trace: Trace, rules: Rules) -> Trail:
    """Return what happened to every request and every chunk; equal to `reference.simulate`.

    Takes at most 48 bytes a request beyond the trace and releases the GIL.

    Raises:
        MemoryError: the trace does not fit.
    """
    state = _ran(_blank(trace, rules, UNLIMITED), rules)
    endpoint = state.endpoint[0]
    launches = state.launches[: endpoint["launches"]].copy()
    return Trail(state.requests, launches, complete=bool(endpoint["unresolved"] == 0))


def count(trace: Trace, rules: Rules, allowed: Allowance) -> Count | None:
    """Return how many requests are late and refused; None if the run has no end.

    The same as counting them after `simulate`, but the run stops where there are more than may be.
    """
    state = _ran(_blank(trace, rules, allowed), rules)
    endpoint = state.endpoint[0]
    if endpoint["unresolved"] > 0 and endpoint["hopeless"] == 0:
        return None
    late = tuple(int(n) for n in state.late)
    return Count(late, int(endpoint["refused"]), bool(endpoint["hopeless"]))


def _ran(state: State, rules: Rules) -> State:
    """Return the state at the end."""
    done = _run(state, rules, True)
    while not done:
        state = _enlarged(state, rules)
        done = _run(state, rules, False)
    return state


def _blank(trace: Trace, rules: Rules, allowed: Allowance) -> State:
    n = len(trace)
    width = min(rules.max_sequences, n)
    slots = _power_of_two(rules.start_chunks + rules.max_chunks)
    requests = np.zeros(n, REQUEST)
    requests["chunk"] = NO_CHUNK
    requests["accepted_ticks"] = NEVER
    requests["first_token_ticks"] = NEVER
    events = _tournament(np.full(slots, NEVER, np.int64))
    endpoint = np.zeros(1, ENDPOINT)
    endpoint["most_refused"] = allowed.most_refused
    return State(
        endpoint=endpoint,
        chunks=np.zeros(slots, CHUNK),
        events=events,
        first=_first(events),
        load=_tournament(_idle(slots)),
        planned=np.zeros(slots, np.int64),
        finish=np.zeros((slots, width), np.int64),
        decoder=np.zeros((slots, width), np.int32),
        newness=np.zeros((slots, width), np.int64),
        fresh=np.zeros((slots, width), np.int32),
        launches=np.zeros(slots + 256, LAUNCH),
        retries=np.zeros(n if rules.overflow == RETRY_OVERFLOW else 1, np.int32),
        requests=requests,
        behind=np.zeros(n, np.int32),
        window_behind=np.zeros(n if rules.window_ticks else 1, np.int32),
        up_s=np.zeros(rules.up_intervals, np.int64),
        up_ticks=np.zeros(rules.up_intervals, np.int64),
        wish_number=np.zeros(rules.down_records + 1, np.int64),
        wish_value=np.zeros(rules.down_records + 1, np.int64),
        generated=np.zeros(n, np.int32),
        metrics=allowed.metrics,
        limit_ticks=allowed.limit_ticks,
        most_late=allowed.most_late,
        late=np.zeros(len(allowed.most_late), np.int64),
        arrival=trace.arrival_ticks,
        input=trace.input_tokens,
        cached=trace.cached_tokens,
        output=trace.output_tokens,
    )


def _enlarged(state: State, rules: Rules) -> State:
    """Return the same state with room for more chunks and launches."""
    slots = _power_of_two(len(state.chunks) + rules.max_chunks)
    launches = 2 * len(state.launches)
    changed = {}
    for name in (
        "chunks",
        "planned",
        "finish",
        "decoder",
        "newness",
        "fresh",
        "launches",
    ):
        old = getattr(state, name)
        length = launches if name == "launches" else slots
        new = np.zeros((length, *old.shape[1:]), old.dtype)
        new[: len(old)] = old
        changed[name] = new
    for name, blank in (("events", np.full(slots, NEVER, np.int64)), ("load", _idle(slots))):
        old = getattr(state, name)
        old = old[len(old) // 2 :][: len(state.chunks)]
        changed[name] = _tournament(np.concatenate([old, blank[len(old) :]]))
    return state._replace(first=_first(changed["events"]), **changed)


def _idle(slots: int) -> npt.NDArray[np.int64]:
    """Return the loads of chunks that are not there."""
    return (np.int64(2 * NOT_READY) << PLACE_BITS) + np.arange(slots)


def _tournament(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a tournament of these numbers."""
    half = len(numbers)
    made = np.concatenate([numbers, numbers])
    for i in range(half - 1, 0, -1):
        made[i] = min(made[2 * i], made[2 * i + 1])
    return made


def _first(tournament: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return which chunk has each number of a tournament, the lowest index on ties."""
    half = len(tournament) // 2
    chunks = np.arange(-half, half, dtype=np.int32)
    for i in range(half - 1, 0, -1):
        chunks[i] = chunks[2 * i + (tournament[2 * i] > tournament[2 * i + 1])]
    return chunks


def _power_of_two(at_least: int) -> int:
    """Return the smallest power of two that is not below a number, which is >= 1."""
    return 1 << (at_least - 1).bit_length()


def is_compiled() -> bool:
    """Whether the compiled simulation is at hand; if not, the first run takes about half a minute more."""
    if _run.signatures:
        return True
    newest_source = max(Path(source).stat().st_mtime for source in (__file__, laws.__file__))
    indices = Path(_run.stats.cache_path).glob(f"{Path(__file__).stem}.*.nbi")
    return any(index.stat().st_mtime >= newest_source for index in indices)
