"""Users who wait for their answers, all with requests of one shape, at one server: simulated exactly.

Where every request is alike, those that begin in the same iteration end in the same one, and nothing arrives but
at an iteration's end. So cohorts stand for requests, and whole runs of iterations for one (laws.decode_ticks).
The rules are those of the kernel; with KV memory for all users at once nobody is preempted, and only that is
simulated here. For all else a closed loop is found as **the fixed point of open ones**: the k-th answer to come
sends request users + k, so arrivals that equal the sorted ends of their own simulation are those of the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.laws import decode_ticks, triangle
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


def closed_loop(service: Service, shape: Shape, *, users: int, n: int) -> Loop:
    """Return what the first n requests of a closed loop see at one server with room for all of them.

    Args:
        service: the server; its KV memory is not looked at (see `has_room_for_all`).
        shape: of every request, with at least one output token.
        users: who send their first request at t = 0, and each further one when the last was answered.
        n: requests, >= users.

    >>> loop = closed_loop(Service(1.0), Shape(5, 3), users=2, n=4)
    >>> (loop.end_ticks - loop.arrival_ticks).tolist()  # one iteration for the prompt, two for the rest
    [300000000000, 300000000000, 300000000000, 300000000000]
    """
    iteration, sequence = to_ticks(service.iteration_s), to_ticks(service.sequence_s)
    context_each, prefill = to_ticks(service.context_s), to_ticks(service.prefill_s)
    attention = to_ticks(service.attention_s)
    inputs, outputs = shape.input_tokens, max(1, shape.output_tokens)

    arrival = np.zeros(n, np.int64)
    first = np.zeros(n, np.int64)
    end = np.zeros(n, np.int64)
    sent = min(users, n)
    begun = 0  # requests that got at least a part of their prompt done, in order of arrival
    done_of_prompt = 0  # of the one in the middle of its prompt
    partial = False
    cohorts: deque[tuple[int, int, int]] = (
        deque()
    )  # ends after this iteration, first request, one behind
    decoding = context = now = iterations = finished = 0

    while finished < n:
        budget = service.token_budget - decoding
        prefill_ticks, fresh_from = 0, begun - partial
        fresh_to = fresh_from
        jump = 0
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
                fresh_to += 1
        if jump == 0:
            while (
                begun < sent
                and budget > 0
                and decoding + fresh_to - fresh_from < service.max_sequences
            ):
                share = min(inputs, budget)
                prefill_ticks += prefill * share + attention * triangle(share)
                budget -= share
                begun += 1
                if share == inputs:
                    fresh_to += 1
                else:
                    partial, done_of_prompt = True, share
            first_ticks = iteration + sequence * decoding + context_each * context + prefill_ticks
            busy = fresh_to > fresh_from or partial
            jump = 1 if busy else cohorts[0][0] - iterations
            lasts = decode_ticks(first_ticks, context_each * decoding, jump)

        now += lasts
        iterations += jump
        context += decoding * jump
        while cohorts and cohorts[0][0] == iterations:
            _, low, high = cohorts.popleft()
            end[low:high] = now
            decoding -= high - low
            context -= (high - low) * (inputs + outputs - 1)
            finished += high - low
        if fresh_to > fresh_from:
            first[fresh_from:fresh_to] = now
            if outputs == 1:
                end[fresh_from:fresh_to] = now
                finished += fresh_to - fresh_from
            else:
                cohorts.append((iterations + outputs - 1, fresh_from, fresh_to))
                decoding += fresh_to - fresh_from
                context += (fresh_to - fresh_from) * inputs
        following = min(users + finished, n)
        arrival[sent:following] = now
        sent = following
    return Loop(arrival, first, end)


def fixed_point(
    serve: Callable[[Trace], npt.NDArray[np.void]], shape: Shape, *, users: int, n: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
    """Return arrivals in ticks and the requests of a closed loop at whatever serves a trace.

    Whatever is right up to some moment is right beyond it the next time, so this ends; after `MOST_PASSES`
    the last simulation stands, which is right up to some request far in it.
    """
    inputs = np.full(n, shape.input_tokens, np.int32)
    outputs = np.full(n, max(1, shape.output_tokens), np.int32)
    arrival = np.zeros(n, np.int64)
    for _ in range(MOST_PASSES):
        rows = serve(Trace(arrival, inputs, np.zeros(n, np.int32), outputs, int(arrival[-1])))
        answers = np.sort(rows["end_ticks"])
        following = np.concatenate(
            [np.zeros(min(users, n), np.int64), answers[: max(0, n - users)]]
        )
        if np.array_equal(following, arrival):
            break
        arrival = following
    return arrival, rows
