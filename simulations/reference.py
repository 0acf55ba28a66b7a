"""The simulated endpoint in SimPy, one iteration at a time: the specification that runs.

Written to be read. The kernel gives the same answer, bit for bit, about a thousand times
faster; where the two differ, this file says what was meant. All events of a tick happen in
the order of the kinds below, and within a kind by index.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import simpy

from simulations import laws
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
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import Trace

ITERATION_ENDS, CHUNK_READY, AUTOSCALER_DECIDES, RETRY, ARRIVAL, DISPATCH, ITERATION_STARTS = range(
    7
)


def simulate(trace: Trace, rules: Rules) -> Trail:
    """Return what happened to every request and every chunk.

    Raises:
        ScenarioError: the run passes 1.46 years.
    """
    return Endpoint(trace, rules).run()


class Moment(simpy.Event):
    """A bare event with a place of its own among the events of its tick.

    SimPy's processes and timeouts carry priorities of their own and would run out of order.
    """

    def __init__(
        self, env: simpy.Environment, tick: int, kind: int, index: int, action: Callable[[], None]
    ) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.callbacks.append(lambda _: action())
        place = cast(Any, kind * 2**40 + index)  # SimPy's own type says 0 or 1; its heap takes any
        env.schedule(self, priority=place, delay=tick - int(env.now))


class Request:
    """A request on its way: what it asks for and how far it has come."""

    def __init__(self, index: int, trace: Trace) -> None:
        self.index = index
        self.arrival = int(trace.arrival_ticks[index])
        self.input = int(trace.input_tokens[index])
        self.output = int(trace.output_tokens[index])
        # Cached tokens need no prefill, but every prompt prefills at least one token.
        self.cached = min(int(trace.cached_tokens[index]), self.input - 1)
        self.generated = 0
        self.prefilled = 0
        self.decoding = False

    @property
    def prompt(self) -> int:
        """Tokens to be in KV memory before the next token comes; grows by what a preemption undid."""
        return self.input + self.generated

    @property
    def kv_tokens(self) -> int:
        """KV tokens held while decoding, or reserved while prefilling."""
        return self.prompt - 1 if self.decoding else self.prompt


class Chunk:
    """One server: continuous batching with chunked prefill.

    `running` is in order of admission. Between iterations only its newest member can be in the
    middle of its prompt, since nothing is admitted before the older prompts had all they need.
    """

    def __init__(self, endpoint: Endpoint, index: int, launch: int, ready_tick: int) -> None:
        self.endpoint = endpoint
        self.rules = endpoint.rules
        self.index = index
        self.launch = launch
        self.ready_tick = ready_tick
        self.state = "starting"
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self.iterating = False
        self.start_planned = False

    @property
    def outstanding(self) -> int:
        """Requests given to this chunk and unfinished."""
        return len(self.waiting) + len(self.running)

    @property
    def kv_used(self) -> int:
        """KV tokens held or reserved."""
        return sum(request.kv_tokens for request in self.running)

    def take(self, request: Request) -> None:
        """Let a request wait here for the next iteration start."""
        self.endpoint.requests["chunk"][request.index] = self.index
        self.waiting.append(request)
        self.plan_start()

    def plan_start(self) -> None:
        """Start an iteration at the end of this tick, unless one is running."""
        if not self.iterating and not self.start_planned and self.outstanding:
            self.start_planned = True
            self.endpoint.at(self.endpoint.now, ITERATION_STARTS, self.index, self.start_iteration)

    def start_iteration(self) -> None:
        """Preempt what no longer fits, share out the token budget, admit, and run."""
        self.start_planned = False
        rules = self.rules
        while self.kv_used + self.decoding_count > rules.kv_tokens:
            self.preempt_newest()
        decoding = [request for request in self.running if request.decoding]
        budget = rules.token_budget - len(decoding)
        shares: list[tuple[Request, int]] = []
        for request in self.running:
            if not request.decoding and budget > 0:
                share = min(request.prompt - request.prefilled, budget)
                budget -= share
                shares.append((request, share))
        while self.waiting and budget > 0 and len(self.running) < rules.max_sequences:
            request = self.waiting[0]
            if self.kv_used + len(decoding) + request.prompt > rules.kv_tokens:
                break
            self.running.append(self.waiting.popleft())
            request.prefilled = request.cached
            share = min(request.prompt - request.prefilled, budget)
            budget -= share
            shares.append((request, share))
        if not decoding and not shares:
            return
        ticks = (
            rules.iteration_ticks
            + rules.sequence_ticks * len(decoding)
            + rules.context_ticks * sum(request.kv_tokens for request in decoding)
        )
        for request, share in shares:
            ticks += rules.prefill_ticks * share
            ticks += rules.attention_ticks * (
                laws.triangle(request.prefilled + share) - laws.triangle(request.prefilled)
            )
        self.iterating = True
        self.endpoint.at(
            self.endpoint.now + ticks,
            ITERATION_ENDS,
            self.index,
            lambda: self.end_iteration(ticks, decoding, shares),
        )

    @property
    def decoding_count(self) -> int:
        """Sequences that will each gain a token in the coming iteration."""
        return sum(request.decoding for request in self.running)

    def preempt_newest(self) -> None:
        """Drop the newest sequence's KV and progress and put it at the head of the queue."""
        request = self.running.pop()
        request.decoding = False
        request.prefilled = 0
        self.waiting.appendleft(request)
        self.endpoint.requests["preemptions"][request.index] += 1

    def end_iteration(
        self, ticks: int, decoding: list[Request], shares: list[tuple[Request, int]]
    ) -> None:
        """Hand out the tokens of the iteration that ends now."""
        self.iterating = False
        self.endpoint.launches["busy_ticks"][self.launch] += ticks
        for request in decoding:
            request.generated += 1
        for request, share in shares:
            request.prefilled += share
            if request.prefilled == request.prompt:
                if request.generated == 0:
                    self.endpoint.requests["first_token_ticks"][request.index] = self.endpoint.now
                request.generated += 1
                request.decoding = True
        finished = [r for r in self.running if r.decoding and r.generated >= r.output]
        self.running = [r for r in self.running if not (r.decoding and r.generated >= r.output)]
        for request in finished:
            self.endpoint.complete(request)
        if self.state == "draining" and not self.outstanding:
            self.endpoint.release(self)
        self.plan_start()
        self.endpoint.plan_dispatch()


class Endpoint:
    """Chunks, the queue before them, the clients outside and the autoscaler above."""

    def __init__(self, trace: Trace, rules: Rules) -> None:
        self.env = simpy.Environment()
        self.trace = trace
        self.rules = rules
        self.requests = np.zeros(len(trace), REQUEST)
        self.requests["chunk"] = NO_CHUNK
        self.requests["accepted_ticks"] = NEVER
        self.requests["first_token_ticks"] = NEVER
        self.launches = np.zeros(0, LAUNCH)
        self.chunks: dict[int, Chunk] = {}
        self.queue: deque[Request] = deque()
        self.dispatch_planned = False
        self.window: deque[tuple[int, Request]] = deque()
        self.unresolved = len(trace)
        self.in_flight = 0
        self.last_completion = 0
        self.metric = (
            InFlightMean(rules) if rules.metric == laws.METRIC_IN_FLIGHT else OfferedMean(rules)
        )
        self.wishes: deque[tuple[int, int]] = deque([(0, rules.start_chunks)])

    @property
    def now(self) -> int:
        """The current tick."""
        return int(self.env.now)

    def at(self, tick: int, kind: int, index: int, action: Callable[[], None]) -> None:
        """Let something happen at a tick, in its place among the events of that tick."""
        Moment(self.env, tick, kind, index, action)

    def run(self) -> Trail:
        """Go on until all work is done and the horizon is passed, tick by tick."""
        for _ in range(self.rules.start_chunks):
            self.become_ready(self.launch(ready_tick=0))
        for index in range(len(self.trace)):
            request = Request(index, self.trace)
            self.at(request.arrival, ARRIVAL, index, partial(self.arrive, request))
        self.at(self.rules.decide_ticks, AUTOSCALER_DECIDES, 0, lambda: self.decide(1))
        while self.unresolved or self.env.peek() <= self.rules.horizon_ticks:
            tick = self.env.peek()
            if tick >= NEVER:
                break
            while self.env.peek() == tick:
                self.env.step()
        return Trail(self.requests, self.launches, complete=not self.unresolved)

    # --- requests ---

    def arrive(self, request: Request) -> None:
        """Judge a request at its first attempt."""
        self.metric.offer(request.input + request.output)
        if request.input + request.output > self.rules.longest_tokens:
            self.requests["attempts"][request.index] = 1
            self.resolve(request, REFUSED_LENGTH, self.now)
        else:
            self.attempt(request)

    def attempt(self, request: Request) -> None:
        """Accept a request or refuse it; a retry comes through here as well."""
        self.requests["attempts"][request.index] += 1
        target = None if not self.rules.queue_at_chunk else self.least_outstanding()
        if target is None:
            full = len(self.queue) >= self.rules.queue_limit * max(1, len(self.ready))
        else:
            full = len(target.waiting) >= self.rules.queue_limit
        if full:
            self.refuse(request, REFUSED_QUEUE)
        elif not self.fits_window(request):
            self.refuse(request, REFUSED_WINDOW)
        else:
            self.accept(request, target)

    def fits_window(self, request: Request) -> bool:
        """Whether the token window has room for this request's estimate."""
        rules = self.rules
        if rules.window_ticks == 0:
            return True
        while self.window and self.window[0][0] <= self.now - rules.window_ticks:
            self.window.popleft()
        counted = sum(
            r.input
            + (r.output if self.requests["status"][r.index] else rules.window_estimate_tokens)
            for _, r in self.window
        )
        estimate = request.input + rules.window_estimate_tokens
        return counted + estimate <= rules.window_tokens * max(1, len(self.ready))

    def accept(self, request: Request, target: Chunk | None) -> None:
        """Take a request in; at zero chunks it starts one."""
        self.requests["accepted_ticks"][request.index] = self.now
        self.metric.advance(self.now, self.in_flight)
        self.in_flight += 1
        if self.rules.window_ticks:
            self.window.append((self.now, request))
        if target is not None:
            target.take(request)
        else:
            self.queue.append(request)
            self.plan_dispatch()
        if self.total == 0:
            self.start_chunk()

    def refuse(self, request: Request, status: int) -> None:
        """Send a request away: to its client's next attempt, to pay-per-token, or for good."""
        rules = self.rules
        attempt = int(self.requests["attempts"][request.index]) - 1
        if rules.overflow == OVERFLOW_CODES["spill"]:
            first_token = self.now + rules.spill_ttft_ticks
            self.requests["first_token_ticks"][request.index] = first_token
            end = first_token + rules.spill_tpot_ticks * max(0, request.output - 1)
            self.resolve(request, SPILLED, end)
            return
        if rules.overflow == OVERFLOW_CODES["retry"] and attempt < rules.retries:
            fraction = laws.draw(rules.seed, laws.PURPOSE_JITTER, request.index, attempt)
            jitter = laws.drawn_ticks(fraction, rules.jitter_ticks)
            tick = self.now + laws.backoff_wait(
                rules.backoff_ticks, attempt, jitter, rules.retry_after_ticks
            )
            if tick <= request.arrival + rules.deadline_ticks:
                self.at(tick, RETRY, request.index, lambda: self.attempt(request))
                return
        self.resolve(request, status, self.now)

    def complete(self, request: Request) -> None:
        """Let a request go with its last token."""
        self.metric.advance(self.now, self.in_flight)
        self.in_flight -= 1
        self.last_completion = self.now
        self.resolve(request, COMPLETED, self.now)

    def resolve(self, request: Request, status: int, end_tick: int) -> None:
        """Write down a request's final state."""
        self.requests["status"][request.index] = status
        self.requests["end_ticks"][request.index] = end_tick
        self.unresolved -= 1

    # --- routing ---

    @property
    def ready(self) -> list[Chunk]:
        """Chunks that take requests, by index."""
        return [self.chunks[i] for i in sorted(self.chunks) if self.chunks[i].state == "ready"]

    @property
    def starting(self) -> list[Chunk]:
        """Chunks on their way, oldest first."""
        return sorted(
            (c for c in self.chunks.values() if c.state == "starting"), key=lambda c: c.launch
        )

    @property
    def total(self) -> int:
        """Chunks ready and starting; what drains does not count."""
        return sum(chunk.state != "draining" for chunk in self.chunks.values())

    def least_outstanding(self) -> Chunk | None:
        """The ready chunk with the fewest outstanding requests, the lowest index on ties."""
        return min(self.ready, key=lambda chunk: (chunk.outstanding, chunk.index), default=None)

    def plan_dispatch(self) -> None:
        """Hand out the endpoint's queue after all other events of this tick."""
        if self.queue and not self.dispatch_planned:
            self.dispatch_planned = True
            self.at(self.now, DISPATCH, 0, self.dispatch)

    def dispatch(self) -> None:
        """Give the head of the queue to the least loaded chunk while it may have more."""
        self.dispatch_planned = False
        while self.queue:
            chunk = self.least_outstanding()
            if chunk is None or chunk.outstanding >= self.rules.chunk_concurrency:
                return
            chunk.take(self.queue.popleft())

    # --- chunks ---

    def launch(self, ready_tick: int) -> Chunk:
        """Make a chunk at the lowest free index."""
        index = next(i for i in range(len(self.chunks) + 1) if i not in self.chunks)
        row = np.array([(index, self.now, ready_tick, NEVER, NEVER, 0)], LAUNCH)
        self.launches = np.concatenate([self.launches, row])
        chunk = Chunk(self, index, len(self.launches) - 1, ready_tick)
        self.chunks[index] = chunk
        return chunk

    def start_chunk(self) -> None:
        """Begin to start a chunk; it serves after the start delay."""
        number = len(self.launches)
        fraction = laws.draw(self.rules.seed, laws.PURPOSE_START_DELAY, number, 0)
        delay = self.rules.start_delay_ticks + laws.drawn_ticks(
            fraction, self.rules.start_spread_ticks
        )
        chunk = self.launch(self.now + delay)

        def becomes_ready() -> None:
            if chunk.state == "starting":
                self.become_ready(chunk)

        self.at(self.now + delay, CHUNK_READY, chunk.index, becomes_ready)

    def become_ready(self, chunk: Chunk) -> None:
        """Let a chunk take requests; with queues at chunks, the first one ready takes over all that wait."""
        chunk.state = "ready"
        if self.rules.queue_at_chunk:
            while self.queue:
                chunk.take(self.queue.popleft())
        self.plan_dispatch()

    def drain(self, chunk: Chunk) -> None:
        """Give a chunk nothing new; it goes when it is empty."""
        chunk.state = "draining"
        self.launches["draining_ticks"][chunk.launch] = self.now
        if not chunk.outstanding:
            self.release(chunk)

    def release(self, chunk: Chunk) -> None:
        """Give a chunk back; its index is free again."""
        chunk.state = "released"
        self.launches["released_ticks"][chunk.launch] = self.now
        del self.chunks[chunk.index]

    # --- the autoscaler ---

    def decide(self, number: int) -> None:
        """Compare the mean metric with the target and start or remove chunks."""
        rules = self.rules
        self.metric.close_interval(self.now, self.in_flight)
        mean = self.metric.mean(number)
        total = self.total
        floor = rules.min_chunks
        if floor == 0:
            idle = self.now - self.last_completion
            floor = laws.zero_floor(total, self.in_flight, idle, rules.idle_to_zero_ticks)
        wish = laws.wanted_chunks(
            mean, rules.target, rules.tolerance, total, floor, rules.max_chunks
        )
        self.wishes.append((number, wish))
        while self.wishes[0][0] <= number - rules.down_records:
            self.wishes.popleft()
        if wish > total:
            step = laws.largest_step(rules.step_up_chunks, rules.step_up_fraction, total)
            for _ in range(min(wish, total + step) - total):
                self.start_chunk()
        else:
            largest = max(wish for _, wish in self.wishes)
            for _ in range(total - max(largest, total - rules.step_down_chunks, floor)):
                self.remove_one()
        self.at(
            (number + 1) * rules.decide_ticks,
            AUTOSCALER_DECIDES,
            0,
            lambda: self.decide(number + 1),
        )

    def remove_one(self) -> None:
        """Remove the newest starting chunk, else the ready one with the least to do (highest index on ties)."""
        if self.starting:
            chunk = self.starting[-1]
            self.launches["draining_ticks"][chunk.launch] = self.now
            self.release(chunk)
        else:
            self.drain(min(self.ready, key=lambda chunk: (chunk.outstanding, -chunk.index)))


class InFlightMean:
    """The mean number of requests in flight over the up-window, from its integral over time."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.intervals: deque[int] = deque(maxlen=rules.up_intervals)
        self.area = 0
        self.since = 0

    def offer(self, tokens: int) -> None:
        """Offered tokens do not matter here."""

    def advance(self, now: int, in_flight: int) -> None:
        """Add the time up to now, at the number in flight until now."""
        self.area += in_flight * (now - self.since)
        self.since = now

    def close_interval(self, now: int, in_flight: int) -> None:
        """End a decision interval."""
        self.advance(now, in_flight)
        self.intervals.append(self.area)
        self.area = 0

    def mean(self, decision: int) -> float:
        """The mean over the last intervals, as many as there have been."""
        seconds, ticks = divmod(sum(self.intervals), TICKS_PER_S)
        return laws.mean_metric(
            seconds, ticks, min(decision, self.rules.up_intervals), self.rules.decide_ticks
        )


class OfferedMean:
    """The mean tokens per second offered at first attempts over the up-window."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.intervals: deque[int] = deque(maxlen=rules.up_intervals)
        self.tokens = 0

    def offer(self, tokens: int) -> None:
        """Count a request's tokens at its first attempt."""
        self.tokens += tokens

    def advance(self, now: int, in_flight: int) -> None:
        """Time in flight does not matter here."""

    def close_interval(self, now: int, in_flight: int) -> None:
        """End a decision interval."""
        self.intervals.append(self.tokens)
        self.tokens = 0

    def mean(self, decision: int) -> float:
        """The mean over the last intervals, as many as there have been."""
        return laws.mean_rate(
            sum(self.intervals), min(decision, self.rules.up_intervals), self.rules.decide_ticks
        )
