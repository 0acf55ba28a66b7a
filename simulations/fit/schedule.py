"""What a simulated run consists of: its iterations, prompts and contexts, with the schedule as it was.

With the schedule frozen (who was in which iteration, with how much context) every moment of a run is linear in the times
of the server: a clock that began at some arrival, and since then so many iterations, sequences, tokens of
context and of prompts. That gives the slope of each request's times in all coefficients at once, which
small steps of a simulation do not: they cross preemptions and cohorts, and each is another run.

The rules are those of the kernel for one server that never refuses, and the moments are the same to the tick.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.errors import ScenarioError
from simulations.fit.measurement import FloatArray
from simulations.fit.parameters import Candidate
from simulations.laws import decode_ticks, first_boundary, triangle
from simulations.ticks import TICKS_PER_S, to_ticks
from simulations.trace import Trace

COEFFICIENTS = ("iteration_s", "sequence_s", "context_s", "prefill_s", "attention_s")
WITHOUT_LIMIT = 1 << 62
LONGEST_TICKS = 1 << 60


class Moments(NamedTuple):
    """Moments of n requests: `begun_ticks + amounts @ coefficients`.

    Args:
        begun_ticks: int64[n], when the server last began to work after a rest.
        amounts: int64[n, 5], what it had done since then, in the order of `COEFFICIENTS`.
    """

    begun_ticks: npt.NDArray[np.int64]
    amounts: npt.NDArray[np.int64]

    def seconds(self, candidate: Candidate) -> FloatArray:
        """Return the moments at another server that keeps the schedule, float[n]."""
        coefficients = np.array([getattr(candidate, name) for name in COEFFICIENTS])
        return np.asarray(self.begun_ticks / TICKS_PER_S + self.amounts @ coefficients)


class Schedule(NamedTuple):
    """When n requests had their first and last tokens."""

    first: Moments
    last: Moments


def schedule(trace: Trace, candidate: Candidate) -> Schedule:
    """Return the moments of some requests at one server.

    Raises:
        ScenarioError: a request does not fit the server, or the run would take longer than representable time.

    >>> run = schedule(Trace.build([0.0], [100], [3]), Candidate(0.01, prefill_s=0.001))
    >>> run.first.amounts.tolist(), run.last.amounts.tolist()
    ([[1, 0, 0, 100, 0]], [[3, 2, 201, 100, 0]])
    """
    service = candidate.service()
    iteration, sequence, each_context, prefill, attention = (
        to_ticks(getattr(service, name)) for name in COEFFICIENTS
    )
    pairs = attention > 0
    memory = WITHOUT_LIMIT if service.kv_tokens is None else service.kv_tokens
    arrival = trace.arrival_ticks.tolist()
    inputs, outputs = trace.input_tokens.tolist(), trace.output_tokens.tolist()
    cached = [min(c, i - 1) for c, i in zip(trace.cached_tokens.tolist(), inputs, strict=True)]
    n = len(arrival)
    if n and max(i + o for i, o in zip(inputs, outputs, strict=True)) > service.longest_tokens:
        raise ScenarioError("a request does not fit the KV memory")
    begun_at = np.zeros((2, n), np.int64)
    amounts = np.zeros((2, n, len(COEFFICIENTS)), np.int64)
    waiting: deque[int] = deque()
    generated = [0] * n
    # Who decodes, oldest first: after which iteration it ends.
    decoders: dict[int, int] = {}
    partial: int | None = None
    done_of_prompt = now = base = iterations = used = context = following = left = 0
    done = [0] * len(COEFFICIENTS)
    left = n

    while left:
        while following < n and arrival[following] <= now:
            waiting.append(following)
            following += 1
        if not decoders and partial is None and not waiting:
            now = base = arrival[following]
            done = [0] * len(COEFFICIENTS)
            continue
        while used + len(decoders) > memory:
            if partial is not None:
                newest, partial = partial, None
                used -= inputs[newest] + generated[newest]
            else:
                newest, finish = decoders.popitem()
                generated[newest] = outputs[newest] - (finish - iterations)
                held = inputs[newest] + generated[newest] - 1
                used -= held
                context -= held
            waiting.appendleft(newest)
        decoding = len(decoders)
        budget = service.token_budget - decoding
        prompts = looked_at = 0
        jump = 0
        fresh: list[int] = []
        if partial is not None:
            rest = inputs[partial] + generated[partial] - done_of_prompt
            if rest > budget:
                jump = (rest - 1) // budget
                if decoding:
                    until = min(decoders.values()) - iterations
                    jump = min(jump, until, (memory - used) // decoding)
                after = done_of_prompt + jump * budget
                prompts = jump * budget
            else:
                after = done_of_prompt + rest
                prompts = rest
                budget -= rest
                fresh.append(partial)
                partial = None
            looked_at = triangle(after) - triangle(done_of_prompt) if pairs else 0
            done_of_prompt = after
        if jump == 0:
            while waiting and budget > 0 and decoding + len(fresh) < service.max_sequences:
                one = waiting[0]
                prompt = inputs[one] + generated[one]
                if used + decoding + prompt > memory:
                    break
                waiting.popleft()
                used += prompt
                share = min(prompt - cached[one], budget)
                prompts += share
                after = cached[one] + share
                looked_at += triangle(after) - triangle(cached[one]) if pairs else 0
                budget -= share
                if after == prompt:
                    fresh.append(one)
                else:
                    partial, done_of_prompt = one, after
            jump = 1
            if not fresh and partial is None:
                until = min(decoders.values()) - iterations
                jump = min(until, (memory - used) // decoding)
                if not waiting and following < n and decoding < service.max_sequences:
                    first_ticks = iteration + sequence * decoding + each_context * context
                    k = first_boundary(
                        first_ticks, each_context * decoding, arrival[following] - now
                    )
                    if k < jump and used + decoding * (k + 1) + inputs[following] <= memory:
                        jump = k
        for at, amount in enumerate(
            (jump, jump * decoding, decode_ticks(context, decoding, jump), prompts, looked_at)
        ):
            done[at] += amount
        now = base + (
            iteration * done[0]
            + sequence * done[1]
            + each_context * done[2]
            + prefill * done[3]
            + attention * done[4]
        )
        if now > LONGEST_TICKS:
            raise ScenarioError("the server would take longer than representable time")
        iterations += jump
        used += decoding * jump
        context += decoding * jump
        ended = [one for one, finish in decoders.items() if finish == iterations]
        for one in ended:
            del decoders[one]
            held = inputs[one] + outputs[one] - 1
            used -= held
            context -= held
        for one in fresh:
            prompt = inputs[one] + generated[one]
            if generated[one] == 0:
                begun_at[0, one], amounts[0, one] = base, done
            if generated[one] + 1 >= outputs[one]:
                used -= prompt
                ended.append(one)
            else:
                context += prompt
                decoders[one] = iterations + outputs[one] - generated[one] - 1
        for one in ended:
            begun_at[1, one], amounts[1, one] = base, done
        left -= len(ended)
    return Schedule(Moments(begun_at[0], amounts[0]), Moments(begun_at[1], amounts[1]))
