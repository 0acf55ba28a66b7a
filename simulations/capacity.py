"""What can be bought: whole chunks of tokens per second, or whole steps of model units.

Counts are stored and tokens/s is only ever a product, so a range that is not aligned to
the model's chunk cannot be represented. Knows nothing of traffic, money or the API.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulations.errors import CapacityError

MAX_CHUNKS = 4096
"""More servers than this in one endpoint are refused as a mistyped number (assumed)."""


def _require_whole(value: object, *, name: str, at_least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise CapacityError(f"{name} is {value!r}; must be a whole number")
    if value < at_least:
        raise CapacityError(f"{name} is {value}; must be >= {at_least}")


@dataclass(frozen=True, slots=True)
class TokenChunks:
    """A range min..max of chunks between which an endpoint autoscales.

    Args:
        size_tokens_per_s: the model's `throughput_chunk_size`, tokens (input + output) per second, >= 1.
        min_chunks: chunks held at all times, >= 0; 0 means scale to zero.
        max_chunks: chunks at the most, >= 1 and >= min_chunks.

    Raises:
        CapacityError: a count is not whole, or min > max.

    Source: docs.databricks.com, provisioned throughput, read 2026-11-22: min and max are multiples of the chunk.

    >>> TokenChunks(980, 2, 3).max_tokens_per_s
    2940
    """

    size_tokens_per_s: int
    min_chunks: int
    max_chunks: int

    def __post_init__(self) -> None:
        _require_whole(self.size_tokens_per_s, name="chunk size in tokens/s", at_least=1)
        _require_whole(self.min_chunks, name="min chunks", at_least=0)
        _require_whole(self.max_chunks, name="max chunks", at_least=1)
        if self.min_chunks > self.max_chunks:
            raise CapacityError(
                f"min chunks is {self.min_chunks} and max chunks is {self.max_chunks}; min must be <= max"
            )
        if self.max_chunks > MAX_CHUNKS:
            raise CapacityError(f"max chunks is {self.max_chunks}; must be <= {MAX_CHUNKS}")

    @property
    def min_tokens_per_s(self) -> int:
        """`min_provisioned_throughput` of the request."""
        return self.min_chunks * self.size_tokens_per_s

    @property
    def max_tokens_per_s(self) -> int:
        """`max_provisioned_throughput` of the request."""
        return self.max_chunks * self.size_tokens_per_s

    @property
    def rated_tokens_per_s(self) -> int:
        """Tokens per second of one server."""
        return self.size_tokens_per_s

    def __str__(self) -> str:
        return (
            f"{self.min_chunks}..{self.max_chunks} chunks "
            f"({self.min_tokens_per_s:,}..{self.max_tokens_per_s:,} tokens/s)"
        )


@dataclass(frozen=True, slots=True)
class ModelUnits:
    """A fixed number of model units; one step of units is one server.

    Args:
        step_units: the increment in which units are sold, >= 1 (50 seen for four models).
        units: units bought, a whole multiple of the step, >= 1 step.
        tokens_per_s_per_step: tokens per second that one step serves at the trace's shape, >= 1.
        burst: what `burst_scaling_enabled` is sent as; the simulation never counts on it.

    Raises:
        CapacityError: units are not a multiple of the step, or a number is not whole.

    Source: docs.databricks.com, model units, read 2026-11-22; the step of 50 from Terraform's acceptance tests.

    >>> ModelUnits(50, 150, 3250).min_chunks
    3
    """

    step_units: int
    units: int
    tokens_per_s_per_step: int
    burst: bool = False

    def __post_init__(self) -> None:
        _require_whole(self.step_units, name="unit step", at_least=1)
        _require_whole(self.units, name="model units", at_least=1)
        _require_whole(self.tokens_per_s_per_step, name="tokens/s per step", at_least=1)
        if self.units % self.step_units:
            raise CapacityError(
                f"model units is {self.units}; must be a multiple of the step {self.step_units}"
            )
        if self.units // self.step_units > MAX_CHUNKS:
            raise CapacityError(
                f"model units is {self.units}; must be <= {MAX_CHUNKS} steps of {self.step_units}"
            )

    @property
    def min_chunks(self) -> int:
        """Servers held: as many as there are steps."""
        return self.units // self.step_units

    @property
    def max_chunks(self) -> int:
        """Servers at the most: the same, since units do not autoscale."""
        return self.units // self.step_units

    @property
    def rated_tokens_per_s(self) -> int:
        """Tokens per second of one server."""
        return self.tokens_per_s_per_step

    def __str__(self) -> str:
        return f"{self.units} model units ({self.min_chunks} steps of {self.step_units})"


Capacity = TokenChunks | ModelUnits
