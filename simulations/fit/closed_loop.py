"""Users who wait for their answers, all with requests of one shape, at one server: simulated exactly.

Where every request is alike, those that begin in the same iteration end in the same one. So cohorts stand for
requests, and whole runs of iterations for one (laws.decode_ticks). The rules are those of the kernel; with KV memory
for all users at once nobody is preempted, and only that is simulated here. For all else a closed loop is found as
**the fixed point of open ones**: the k-th answer to come sends request users + k, so arrivals that equal the ends of
their own simulation, with the pauses of the users, are those of the loop.

Between an answer and the next request a real client reads, counts and sends, each time a little differently. Without
such pauses users who began together would end together for ever, and every prompt would wait for all others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.laws import decode_ticks, first_boundary, triangle
from simulations.scenario import Service
from simulations.ticks import to_ticks
from simulations.trace import Shape, Trace

MOST_PASSES = 400
"""Simulations to find a fixed point; each is right further than the one before it."""


class Loop(NamedTuple):
    """Requests of a closed loop in order of arrival, int64[n] ticks."""

    arrival_ticks: npt.NDArray[np.int64]
    first_token_ticks: npt.NDArray[np.int64]
    end_ticks: npt.NDArray[np.int64]


def has_room_for_all(service: Service, shape: Shape, users: int) -> bool:
    """Whether all users' requests fit the KV memory at once, at their longest."""
    together = min(users, service.max_sequences) * shape.total_tokens
    return service.kv_tokens is None or together <= service.kv_tokens


def closed_loop(
    service: Service,
    shape: Shape,
    *,
    users: int,
    n: int,
    pause_ticks: npt.NDArray[np.int64] | None = None,
) -> Loop:
    """Return what the first n requests of a closed loop see at one server with room for all of them.

    Args:
        service: the server; its KV memory is not looked at (see `has_room_for_all`).
        shape: of every request, with at least one output token.
        users: who send their first request at t = 0, and each further one when the last was answered.
        n: requests, >= users.
        pause_ticks: int64[n], how much later than that each is sent; None for at once.

    >>> loop = closed_loop(Service(1.0), Shape(5, 3), users=2, n=4)
    >>> (loop.end_ticks - loop.arrival_ticks).tolist()  # one iteration for the prompt, two for the rest
    [300000000000, 300000000000, 300000000000, 300000000000]
    """
    iteration, sequence = to_ticks(service.iteration_s), to_ticks(service.sequence_s)
    context_each, prefill = to_ticks(service.context_s), to_ticks(service.prefill_s)
    attention = to_ticks(service.attention_s)
    inputs, outputs = shape.input_tokens, max(1, shape.output_tokens)
    pause = [0] * n if pause_ticks is None else pause_ticks.tolist()

    arrival = np.zeros(n, np.int64)
    first = np.zeros(n, np.int64)
    end = np.zeros(n, np.int64)
    sent = min(users, n)
    coming = sorted(pause[:sent])  # a heap of moments
    arrived = begun = 0  # in order of arrival
    done_of_prompt = 0  # of the one in the middle of its prompt
    partial = False
    # Each ends after some iteration: that, and its requests.
    cohorts: deque[tuple[int, list[int]]] = deque()
    decoding = context = now = iterations = finished = 0

    while finished < n:
        while coming and coming[0] <= now:
            arrival[arrived] = heappop(coming)
            arrived += 1
        budget = service.token_budget - decoding
        prefill_ticks = jump = 0
        fresh: list[int] = []
        if partial:
            rest = inputs - done_of_prompt
            if rest > budget:
                jump = (rest - 1) // budget
                if decoding:
                    jump = min(jump, cohorts[0][0] - iterations)
                after = done_of_prompt + jump * budget
                first_ticks = (
                    iteration + sequence * decoding + context_each * context + prefill * budget
                )
                lasts = decode_ticks(first_ticks, context_each * decoding, jump)
                lasts += attention * (triangle(after) - triangle(done_of_prompt))
                done_of_prompt = after
            else:
                prefill_ticks += prefill * rest
                prefill_ticks += attention * (triangle(inputs) - triangle(done_of_prompt))
                budget -= rest
                partial = False
                fresh.append(begun - 1)
        if jump == 0:
            while begun < arrived and budget > 0 and decoding + len(fresh) < service.max_sequences:
                share = min(inputs, budget)
                prefill_ticks += prefill * share + attention * triangle(share)
                budget -= share
                if share == inputs:
                    fresh.append(begun)
                else:
                    partial, done_of_prompt = True, share
                begun += 1
            first_ticks = iteration + sequence * decoding + context_each * context + prefill_ticks
            if fresh or partial:
                jump = 1
            elif decoding == 0:
                now = coming[0]
                continue
            else:
                jump = cohorts[0][0] - iterations
                if coming and decoding < service.max_sequences:
                    until = first_boundary(first_ticks, context_each * decoding, coming[0] - now)
                    jump = min(jump, until)
            lasts = decode_ticks(first_ticks, context_each * decoding, jump)

        now += lasts
        iterations += jump
        context += decoding * jump
        ended: list[int] = []
        while cohorts and cohorts[0][0] == iterations:
            ended += cohorts.popleft()[1]
        decoding -= len(ended)
        context -= len(ended) * (inputs + outputs - 1)
        if fresh:
            first[fresh] = now
            if outputs == 1:
                ended += fresh
            else:
                cohorts.append((iterations + outputs - 1, fresh))
                decoding += len(fresh)
                context += len(fresh) * inputs
        if ended:
            end[ended] = now
            finished += len(ended)
            for _ in range(min(len(ended), n - sent)):
                heappush(coming, now + pause[sent])
                sent += 1
    return Loop(arrival, first, end)


def fixed_point(
    serve: Callable[[Trace], npt.NDArray[np.void]],
    shape: Shape,
    *,
    users: int,
    n: int,
    pause_ticks: npt.NDArray[np.int64] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
    """Return arrivals in ticks and the requests of a closed loop at whatever serves a trace.

    Whatever is right up to some moment is right beyond it the next time, so this ends; after `MOST_PASSES`
    the last simulation stands, which is right up to some request far in it.
    """
    inputs = np.full(n, shape.input_tokens, np.int32)
    outputs = np.full(n, max(1, shape.output_tokens), np.int32)
    pause = np.zeros(n, np.int64) if pause_ticks is None else pause_ticks
    begin = np.zeros(min(users, n), np.int64)
    arrival = np.sort(np.concatenate([begin, np.zeros(n - len(begin), np.int64)]) + pause)
    for _ in range(MOST_PASSES):
        rows = serve(Trace(arrival, inputs, np.zeros(n, np.int32), outputs, int(arrival[-1])))
        answers = np.sort(rows["end_ticks"])
        following = np.sort(np.concatenate([begin, answers[: n - len(begin)]]) + pause)
        if np.array_equal(following, arrival):
            break
        arrival = following
    return arrival, rows
