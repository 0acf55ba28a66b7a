"""The simulated endpoint in numbers: service, autoscaler, admission, clients, overflow.

Every number has its unit in its name. Databricks publishes few of them for provisioned
throughput; each default says what it was taken from and counts as *assumed* (see
`ASSUMPTIONS`). `Scenario.rules` turns them into the whole ticks and counts that both
engines obey. Nothing here simulates, reads files or knows of money.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from simulations import laws
from simulations.capacity import Capacity, TokenChunks
from simulations.errors import ScenarioError
from simulations.ticks import NEVER, TICKS_PER_S, to_ticks
from simulations.trace import REFERENCE_SHAPE, Shape, Trace

COARSE_ROUNDING_FRACTION = 0.01
"""A coefficient that rounding to ticks moves by more than this is warned about (design)."""


MAX_SEQUENCES = 65_536
"""More sequences at once on one server are refused as a mistyped number (assumed)."""

MAX_RETRIES = 20
"""More would wait for longer than any deadline: back-off doubles with each (assumed)."""


def _require(ok: bool, name: str, value: object, rule: str) -> None:
    if not ok:
        raise ScenarioError(f"{name} is {value}; must be {rule}")


def _require_seconds(holder: object, *names: str) -> None:
    for name in names:
        to_ticks(getattr(holder, name), name=name)


@dataclass(frozen=True, slots=True)
class Service:
    """How long one iteration of one server lasts, and what fits into it.

    An iteration with `b` decoding sequences, `K` tokens of context in them and `s` prefill
    tokens lasts `iteration_s + sequence_s*b + context_s*K + prefill_s*s`, and `attention_s`
    for every pair of tokens that a prompt's new tokens attend to.

    Args:
        iteration_s: seconds of an empty iteration, at least one tick (10 ps).
        sequence_s: seconds per decoding sequence.
        context_s: seconds per token of context of the decoding sequences.
        prefill_s: seconds per prefill token.
        attention_s: seconds per pair of prompt tokens; 0 leaves it out.
        token_budget: tokens per iteration, decode and prefill; >= max_sequences.
        max_sequences: sequences that run at once, >= 1.
        kv_tokens: tokens of KV memory; None means without limit.
        context_limit_tokens: longest input + output served; None means without limit.
        name: what was measured.
        source: where the coefficients come from, with a date.
        assumed: whether they stand for something that was not measured itself.
        per_chunk: measured on one chunk of the endpoint itself, so never rated again.

    Raises:
        ScenarioError: a number out of range.

    Source: services.toml beside this file for coefficients; the defaults of the limits are vLLM's
    (`max_num_batched_tokens` 8192, `max_num_seqs` 256, read 2026-11-22), assumed here.
    """

    iteration_s: float
    sequence_s: float = 0.0
    context_s: float = 0.0
    prefill_s: float = 0.0
    attention_s: float = 0.0
    token_budget: int = 8192
    max_sequences: int = 256
    kv_tokens: int | None = None
    context_limit_tokens: int | None = None
    name: str = "custom"
    source: str = "given by the user"
    assumed: bool = True
    per_chunk: bool = False

    def __post_init__(self) -> None:
        _require_seconds(self, "iteration_s", "sequence_s", "context_s", "prefill_s", "attention_s")
        _require(
            to_ticks(self.iteration_s) >= 1, "iteration_s", self.iteration_s, "at least 1e-11 s"
        )
        _require(
            1 <= self.max_sequences <= MAX_SEQUENCES,
            "max_sequences",
            self.max_sequences,
            f"between 1 and {MAX_SEQUENCES}",
        )
        _require(
            self.token_budget >= self.max_sequences,
            "token_budget",
            self.token_budget,
            f">= max_sequences ({self.max_sequences})",
        )
        for name in ("kv_tokens", "context_limit_tokens"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, ">= 1, or None for no limit")

    @property
    def longest_tokens(self) -> int:
        """Input plus output of the longest request that is served."""
        return min(self.kv_tokens or NEVER, self.context_limit_tokens or NEVER)

    def scaled(self, time_factor: float) -> Service:
        """Return the same server with every time multiplied by a factor > 0.

        >>> Service(0.01).scaled(2.0).iteration_s
        0.02
        """
        _require(math.isfinite(time_factor) and time_factor > 0, "time_factor", time_factor, "> 0")
        return replace(
            self,
            iteration_s=self.iteration_s * time_factor,
            sequence_s=self.sequence_s * time_factor,
            context_s=self.context_s * time_factor,
            prefill_s=self.prefill_s * time_factor,
            attention_s=self.attention_s * time_factor,
        )

    def rounding_fractions(self) -> dict[str, float]:
        """Return by how much rounding to whole ticks moves each coefficient, relative to it.

        >>> max(Service(0.01).rounding_fractions().values())
        0.0
        """
        names = ("iteration_s", "sequence_s", "context_s", "prefill_s", "attention_s")
        return {
            name: abs(to_ticks(value) / TICKS_PER_S - value) / value
            for name in names
            if (value := getattr(self, name)) > 0
        }


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """How the endpoint decides how many chunks to hold.

    Args:
        decide_every_s: seconds between decisions.
        up_window_s: the metric is averaged over this; a whole multiple of `decide_every_s`.
        down_window_s: scaling down follows the largest wish within this; a whole multiple too.
        idle_to_zero_s: with min = 0, idle time before the last chunk goes.
        start_delay_s: from the decision until a new chunk serves, at least one tick.
        start_spread_s: up to this much more, drawn evenly for each start.
        metric: `in_flight` (requests) or `offered_tokens` (tokens per second at first attempts).
        target: the metric that one chunk should carry, > 0; None means the in-flight at which a chunk
            reaches `target_utilisation` of its saturated throughput at the trace's mean shape.
        target_utilisation: see `target`; 0 < share <= 1.
        tolerance: relative distance from the target within which nothing changes, >= 0.
        step_up_chunks: chunks that one decision may start; None means any number.
        step_up_fraction: or this share of those there are, whichever is more.
        step_down_chunks: chunks that one decision may remove; None means any number.
        preset: the name this was made from (see autoscalers.py).

    Source: *assumed* for provisioned throughput; the times are those of Databricks custom model serving
    (databricks.com/blog, 2026-06-10), the start delay is SageServe's 155 s (public range 10 s to 8 min).
    """

    decide_every_s: float = 5.0
    up_window_s: float = 20.0
    down_window_s: float = 300.0
    idle_to_zero_s: float = 1800.0
    start_delay_s: float = 155.0
    start_spread_s: float = 0.0
    metric: Literal["in_flight", "offered_tokens"] = "in_flight"
    target: float | None = None
    target_utilisation: float = 0.8
    tolerance: float = 0.0
    step_up_chunks: int | None = None
    step_up_fraction: float = 0.0
    step_down_chunks: int | None = None
    preset: str = "databricks"

    def __post_init__(self) -> None:
        _require_seconds(
            self,
            "decide_every_s",
            "up_window_s",
            "down_window_s",
            "idle_to_zero_s",
            "start_delay_s",
            "start_spread_s",
        )
        decide = to_ticks(self.decide_every_s)
        _require(decide >= 1, "decide_every_s", self.decide_every_s, "at least 1e-11 s")
        _require(
            to_ticks(self.start_delay_s) >= 1,
            "start_delay_s",
            self.start_delay_s,
            "at least 1e-11 s",
        )
        for name in ("up_window_s", "down_window_s"):
            ticks = to_ticks(getattr(self, name))
            _require(
                ticks % decide == 0,
                name,
                getattr(self, name),
                f"a whole multiple of decide_every_s ({self.decide_every_s:g})",
            )
        _require(self.up_window_s > 0, "up_window_s", self.up_window_s, "> 0")
        _require(
            self.metric in ("in_flight", "offered_tokens"),
            "metric",
            self.metric,
            "in_flight or offered_tokens",
        )
        if self.target is not None:
            _require(math.isfinite(self.target) and self.target > 0, "target", self.target, "> 0")
        _require(
            0 < self.target_utilisation <= 1,
            "target_utilisation",
            self.target_utilisation,
            "in (0, 1]",
        )
        _require(0 <= self.tolerance < math.inf, "tolerance", self.tolerance, ">= 0")
        _require(
            0 <= self.step_up_fraction < math.inf, "step_up_fraction", self.step_up_fraction, ">= 0"
        )
        for name in ("step_up_chunks", "step_down_chunks"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            _require(value is None or whole, name, value, "a whole number >= 1, or None for any")


@dataclass(frozen=True, slots=True)
class Admission:
    """Where requests wait, how many may, and what a refusal tells the client.

    Args:
        queue_at: `endpoint`: one queue, its head goes to the chunk with the fewest outstanding requests;
            `chunk`: an arrival goes to that chunk at once and never moves.
        queue_limit: requests that may wait per ready chunk, >= 1; None means twice `max_sequences`;
            "none" means without limit.
        chunk_concurrency: outstanding requests up to which a chunk is given more (queue_at endpoint);
            None means `max_sequences`.
        window_s: length of the token window, 0 for none.
        window_estimate_tokens: output tokens that a request counts for in the window until it is done.
        retry_after_s: the Retry-After that a refusal carries, 0 for none.

    Source: *assumed*; Databricks documents "temporary queuing, then HTTP 429 beyond a threshold".
    """

    queue_at: Literal["endpoint", "chunk"] = "endpoint"
    queue_limit: int | Literal["none"] | None = None
    chunk_concurrency: int | None = None
    window_s: float = 0.0
    window_estimate_tokens: int = 256
    retry_after_s: float = 0.0

    def __post_init__(self) -> None:
        _require(
            self.queue_at in ("endpoint", "chunk"), "queue_at", self.queue_at, "endpoint or chunk"
        )
        if isinstance(self.queue_limit, str):
            _require(
                self.queue_limit == "none",
                "queue_limit",
                self.queue_limit,
                "a whole number >= 1, or none",
            )
        else:
            _require(
                self.queue_limit is None or self.queue_limit >= 1,
                "queue_limit",
                self.queue_limit,
                ">= 1, or none",
            )
        _require(
            self.chunk_concurrency is None or self.chunk_concurrency >= 1,
            "chunk_concurrency",
            self.chunk_concurrency,
            ">= 1",
        )
        _require_seconds(self, "window_s", "retry_after_s")
        _require(
            0 <= self.window_estimate_tokens < 1 << 24,
            "window_estimate_tokens",
            self.window_estimate_tokens,
            "between 0 and 16777215",
        )


@dataclass(frozen=True, slots=True)
class Client:
    """What a client does when it is refused.

    Args:
        retries: attempts after the first, 0..20.
        backoff_s: wait before the first retry, doubled for each further one; at least one tick.
        jitter_s: up to this much more, drawn evenly.
        deadline_s: no retry starts later than this after the first attempt. It does not cancel work
            that was accepted (a simplification).

    Source: the openai client retries twice, after 0.4 s and 1.0 s (recorded 2026-11-22); the deadline is
    Databricks serving's request time-out of 597 s. *Assumed* to be what the traffic's clients do.
    """

    retries: int = 2
    backoff_s: float = 0.4
    jitter_s: float = 0.2
    deadline_s: float = 597.0

    def __post_init__(self) -> None:
        _require(
            0 <= self.retries <= MAX_RETRIES,
            "retries",
            self.retries,
            f"between 0 and {MAX_RETRIES}",
        )
        _require_seconds(self, "backoff_s", "jitter_s", "deadline_s")
        _require(to_ticks(self.backoff_s) >= 1, "backoff_s", self.backoff_s, "at least 1e-11 s")
        to_ticks(self.backoff_s * 2.0**self.retries + self.jitter_s, name="backoff_s * 2**retries")


@dataclass(frozen=True, slots=True)
class Overflow:
    """What becomes of a refused request.

    Args:
        policy: `retry` (its client tries again), `spill` (goes to pay-per-token), `lose`.
        spill_ttft_s: time to first token at pay-per-token.
        spill_tpot_s: time per further output token there.

    Source: *assumed*; Databricks publishes no latency of pay-per-token.
    """

    policy: Literal["retry", "spill", "lose"] = "retry"
    spill_ttft_s: float = 0.5
    spill_tpot_s: float = 0.02

    def __post_init__(self) -> None:
        _require(self.policy in OVERFLOW_CODES, "overflow", self.policy, "retry, spill or lose")
        _require_seconds(self, "spill_ttft_s", "spill_tpot_s")


OVERFLOW_CODES = {"lose": 0, "retry": 1, "spill": 2}
METRIC_CODES = {"in_flight": laws.METRIC_IN_FLIGHT, "offered_tokens": laws.METRIC_OFFERED_TOKENS}


class Rules(NamedTuple):
    """A settled scenario in whole ticks and counts: what both engines obey, number for number.

    `NEVER` stands for "without limit". Names are those of the dataclasses they come from.
    """

    iteration_ticks: int
    sequence_ticks: int
    context_ticks: int
    prefill_ticks: int
    attention_ticks: int
    token_budget: int
    max_sequences: int
    kv_tokens: int
    longest_tokens: int

    min_chunks: int
    max_chunks: int
    start_chunks: int
    decide_ticks: int
    up_intervals: int
    down_records: int
    idle_to_zero_ticks: int
    start_delay_ticks: int
    start_spread_ticks: int
    metric: int
    target: float
    tolerance: float
    step_up_chunks: int
    step_up_fraction: float
    step_down_chunks: int

    queue_at_chunk: int
    queue_limit: int
    chunk_concurrency: int
    window_ticks: int
    window_tokens: int
    window_estimate_tokens: int
    retry_after_ticks: int

    retries: int
    backoff_ticks: int
    jitter_ticks: int
    deadline_ticks: int
    overflow: int
    spill_ttft_ticks: int
    spill_tpot_ticks: int

    seed: int
    horizon_ticks: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """An endpoint to be simulated: everything but the traffic.

    Args:
        service: one server (already rated to the chunk; see `rating.rate`).
        capacity: the range, or the units.
        autoscaler, admission, client, overflow: see there.
        start_chunks: chunks ready at t = 0, within the range; None means what the autoscaler would
            hold for the mean load of the first five minutes.
        shape: the shape at which the service was rated.
        seed: for jitter and start delays, 0 <= seed < 2**32.

    A scenario is *settled* when nothing in it is left to be derived from the traffic; `rating.settle` does it.
    """

    service: Service
    capacity: Capacity
    autoscaler: Autoscaler = field(default_factory=Autoscaler)
    admission: Admission = field(default_factory=Admission)
    client: Client = field(default_factory=Client)
    overflow: Overflow = field(default_factory=Overflow)
    start_chunks: int | None = None
    shape: Shape = REFERENCE_SHAPE
    seed: int = 0

    def __post_init__(self) -> None:
        _require(0 <= self.seed < 1 << 32, "seed", self.seed, "between 0 and 4294967295")
        if self.start_chunks is not None:
            _require(
                self.capacity.min_chunks <= self.start_chunks <= self.capacity.max_chunks,
                "start_chunks",
                self.start_chunks,
                f"within the range {self.capacity.min_chunks}..{self.capacity.max_chunks}",
            )

    def with_range(self, min_chunks: int, max_chunks: int) -> Scenario:
        """Return the same endpoint with another range; the start is derived anew.

        Raises:
            CapacityError: the range cannot be bought; for model units min must equal max.
        """
        capacity: Capacity
        if isinstance(self.capacity, TokenChunks):
            capacity = replace(self.capacity, min_chunks=min_chunks, max_chunks=max_chunks)
        else:
            _require(
                min_chunks == max_chunks, "min_chunks", min_chunks, "equal to max for model units"
            )
            capacity = replace(self.capacity, units=min_chunks * self.capacity.step_units)
        return replace(self, capacity=capacity, start_chunks=None)

    def rules(self, trace: Trace) -> Rules:
        """Return this scenario in ticks and counts for a trace.

        Raises:
            ScenarioError: something is still to be derived (see `rating.settle`), or the longest
                possible run would pass 1.46 years.
        """
        service, scaler, admission, client = (
            self.service,
            self.autoscaler,
            self.admission,
            self.client,
        )
        if scaler.target is None or self.start_chunks is None:
            raise ScenarioError(
                "the scenario is not settled; pass it through rating.settle(scenario, trace) first"
            )
        if scaler.preset == "fixed" and self.capacity.min_chunks < self.capacity.max_chunks:
            raise ScenarioError(
                f"the range is {self.capacity.min_chunks}..{self.capacity.max_chunks} and the autoscaler is "
                "fixed; give min = max, or another autoscaler"
            )
        decide = to_ticks(scaler.decide_every_s)
        window = to_ticks(admission.window_s)
        limit = admission.queue_limit
        if limit is None:
            limit = 2 * service.max_sequences
        rules = Rules(
            iteration_ticks=to_ticks(service.iteration_s),
            sequence_ticks=to_ticks(service.sequence_s),
            context_ticks=to_ticks(service.context_s),
            prefill_ticks=to_ticks(service.prefill_s),
            attention_ticks=to_ticks(service.attention_s),
            token_budget=service.token_budget,
            max_sequences=service.max_sequences,
            kv_tokens=service.kv_tokens or NEVER,
            longest_tokens=service.longest_tokens,
            min_chunks=self.capacity.min_chunks,
            max_chunks=self.capacity.max_chunks,
            start_chunks=self.start_chunks,
            decide_ticks=decide,
            up_intervals=to_ticks(scaler.up_window_s) // decide,
            down_records=max(1, to_ticks(scaler.down_window_s) // decide),
            idle_to_zero_ticks=to_ticks(scaler.idle_to_zero_s),
            start_delay_ticks=to_ticks(scaler.start_delay_s),
            start_spread_ticks=to_ticks(scaler.start_spread_s),
            metric=METRIC_CODES[scaler.metric],
            target=float(scaler.target),
            tolerance=float(scaler.tolerance),
            step_up_chunks=scaler.step_up_chunks or self.capacity.max_chunks,
            step_up_fraction=float(scaler.step_up_fraction),
            step_down_chunks=scaler.step_down_chunks or self.capacity.max_chunks,
            queue_at_chunk=int(admission.queue_at == "chunk"),
            # Times 4096 chunks this must stay far below 2**63.
            queue_limit=1 << 40 if limit == "none" else min(int(limit), 1 << 40),
            chunk_concurrency=admission.chunk_concurrency or service.max_sequences,
            window_ticks=window,
            window_tokens=min(window * self.capacity.rated_tokens_per_s // TICKS_PER_S, 1 << 48),
            window_estimate_tokens=admission.window_estimate_tokens,
            retry_after_ticks=to_ticks(admission.retry_after_s),
            retries=client.retries,
            backoff_ticks=to_ticks(client.backoff_s),
            jitter_ticks=to_ticks(client.jitter_s),
            deadline_ticks=to_ticks(client.deadline_s),
            overflow=OVERFLOW_CODES[self.overflow.policy],
            spill_ttft_ticks=to_ticks(self.overflow.spill_ttft_s),
            spill_tpot_ticks=to_ticks(self.overflow.spill_tpot_s),
            seed=self.seed,
            horizon_ticks=trace.span_ticks,
        )
        _refuse_overflow(rules, trace)
        return rules


def _refuse_overflow(rules: Rules, trace: Trace) -> None:
    """Refuse coefficients and requests whose times would not fit 64 bits, before they wrap in silence."""
    longest_input = int(trace.input_tokens.max())
    longest_output = int(trace.output_tokens.max())
    longest = longest_input + longest_output
    context = min(rules.kv_tokens, rules.max_sequences * longest)
    iteration = (
        rules.iteration_ticks
        + rules.sequence_ticks * rules.max_sequences
        + rules.context_ticks * context
    )
    prompt = rules.prefill_ticks * longest + rules.attention_ticks * laws.triangle(longest)
    worst = (
        (iteration + prompt) * (longest_output + 1)
        + iteration * longest
        + rules.max_sequences * prompt
    )
    if worst >= NEVER:
        raise ScenarioError(
            f"a request of {longest_input} + {longest_output} tokens could take {worst / TICKS_PER_S:.3g} s "
            f"at these coefficients; must be below {NEVER // TICKS_PER_S} s: check the units of the service"
        )
    latest_refusal = rules.horizon_ticks + rules.deadline_ticks
    spilled = rules.spill_ttft_ticks + rules.spill_tpot_ticks * longest_output
    if latest_refusal + spilled >= NEVER:
        raise ScenarioError(
            f"a spilled request of {longest_output} output tokens could take {spilled / TICKS_PER_S:.3g} s; all "
            f"must end below {NEVER // TICKS_PER_S} s: check spill_tpot_s and deadline_s"
        )
