"""What is for sale: a model, the size it is sold in, how fast that is taken to be, and what it costs.

`make_offer` settles everything that a model's name says and the user did not, with a warning for each
thing that had to be taken from elsewhere. It knows nothing of traffic or promises.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from planner.catalogue import (
    ChunkChoice,
    Model,
    StepChoice,
    chunk_of,
    model_for,
    model_warnings,
    parse_model_name,
    service_of,
    step_of,
)
from planner.prices import Pairing, Tier, pairings, price_of
from simulations.capacity import Capacity, ModelUnits, TokenChunks
from simulations.cost import Price
from simulations.errors import CapacityError, CatalogueError
from simulations.rating import UnloadedLatency, rate, unloaded_latency
from simulations.scenario import COARSE_ROUNDING_FRACTION, Service
from simulations.trace import REFERENCE_SHAPE, Shape


@dataclass(frozen=True, slots=True)
class Offer:
    """One step of capacity of one model.

    Args:
        model: what the catalogue knows of it, or what the user said.
        name: the model's name as the user gave it, without its version.
        version: the version, None where it was not given.
        step: the smallest capacity on sale, one chunk or one step of units.
        size_source, size_date: where its size comes from.
        measured_service: the service as measured on some hardware.
        service: the same, rated to the step.
        shape: the shape it was rated at.
        share: how a chunk was taken to share a GPU.
        unloaded: what a single request sees.
        price: what a chunk-hour and tokens cost, as far as known.
        pairings: sizes and rates that may belong together, where the price is not known.
        warnings: what had to be taken from elsewhere, a sentence each.
    """

    model: Model
    name: str
    version: str | None
    step: Capacity
    size_source: str
    size_date: str
    measured_service: Service
    service: Service
    shape: Shape
    share: str
    unloaded: UnloadedLatency
    price: Price
    pairings: tuple[Pairing, ...] = ()
    warnings: tuple[str, ...] = ()

    def capacity(self, min_chunks: int, max_chunks: int) -> Capacity:
        """Return a range of these steps.

        Raises:
            CapacityError: the range cannot be bought; for model units the two must be equal.
        """
        if isinstance(self.step, TokenChunks):
            return replace(self.step, min_chunks=min_chunks, max_chunks=max_chunks)
        if min_chunks != max_chunks:
            raise CapacityError(
                f"the range is {min_chunks}..{max_chunks} steps, and model units do not scale; give the same twice"
            )
        return replace(self.step, units=self.step.step_units * max_chunks)

    @property
    def in_units(self) -> bool:
        """Whether it is sold in model units, which do not autoscale."""
        return isinstance(self.step, ModelUnits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Where it is bought and what the user knows of its price; None leaves it to the catalogue.

    Args:
        cloud, region: of the workspace.
        tier: the tariff an hourly rate is listed under.
        dbu_per_chunk_hour, usd_per_chunk_hour: the rate of one step, one of the two.
        usd_per_dbu: the price of a DBU.
        input_price, output_price: USD per million tokens at pay-per-token.
    """

    cloud: str = "aws"
    region: str = "us-east-1"
    tier: Tier = "scaling"
    dbu_per_chunk_hour: float | None = None
    usd_per_dbu: float | None = None
    usd_per_chunk_hour: float | None = None
    input_price: float | None = None
    output_price: float | None = None


def make_offer(
    model: str,
    *,
    base_model: str | None = None,
    chunk_tokens_per_s: int | None = None,
    unit_step: int | None = None,
    tokens_per_s_per_step: int | None = None,
    service: Service | None = None,
    shape: Shape | None = None,
    share: Literal["slots", "time"] = "slots",
    tariff: Tariff | None = None,
) -> Offer:
    """Return what is for sale under a model's name.

    Args:
        model: NAME or NAME:VERSION in Unity Catalog.
        base_model: what a model of one's own was tuned from.
        chunk_tokens_per_s: the model's `throughput_chunk_size`; None takes the latest one seen.
        unit_step, tokens_per_s_per_step: the same for model units.
        service: how fast one step is; None takes the default of the model's size. Rated to the step.
        shape: the shape at which tokens/s are rated; None means the published one, else 2048:256
            (2048:0 for embeddings).
        share: `slots` or `time`, see `rating.rate`; *assumed*.
        tariff: what is known of its price.

    Raises:
        CatalogueError: the model cannot be bought, or something about it is not known and not given.

    >>> offer = make_offer("system.ai.meta_llama_v3_1_8b_instruct")
    >>> offer.step.size_tokens_per_s, offer.price.usd_per_chunk_hour
    (19000, 7.42)
    """
    tariff = tariff or Tariff()
    name, version = parse_model_name(model)
    described = model_for(
        model,
        base_model=base_model,
        chunk_tokens_per_s=chunk_tokens_per_s,
        unit_step=unit_step,
        tokens_per_s_per_step=tokens_per_s_per_step,
        has_service=service is not None,
    )
    _refuse_other_family(
        described,
        name,
        chunk_tokens_per_s=chunk_tokens_per_s,
        unit_step=unit_step,
        tokens_per_s_per_step=tokens_per_s_per_step,
    )
    size: ChunkChoice | StepChoice
    step: Capacity
    if described.kind == "model_units":
        size = step_of(described, unit_step=unit_step, tokens_per_s_per_step=tokens_per_s_per_step)
        step = ModelUnits(size.step_units, size.step_units, size.tokens_per_s)
    else:
        size = chunk_of(described, version=version, tokens_per_s=chunk_tokens_per_s)
        step = TokenChunks(size.tokens_per_s, 1, 1)
    price, notes = price_of(described, size, **asdict(tariff))
    warnings = [*model_warnings(described), *size.warnings, *notes]

    if service is None:
        service, about_service = service_of(described)
        warnings += about_service
    elif service.context_limit_tokens is None:
        service = replace(service, context_limit_tokens=described.context_limit_tokens)
    shape = shape or _rated_shape(described, size)
    rated = rate(service, step.rated_tokens_per_s, shape=shape, share=share)
    unloaded = unloaded_latency(rated, step.rated_tokens_per_s, shape)
    warnings += [unloaded.warning] if unloaded.warning else []
    warnings += [
        f"{coefficient} of the service moves by {100 * moved:.2g} % when rounded to 10 ps"
        for coefficient, moved in rated.rounding_fractions().items()
        if moved > COARSE_ROUNDING_FRACTION
    ]
    return Offer(
        model=described,
        name=name,
        version=version,
        step=step,
        size_source=size.source,
        size_date=size.date,
        measured_service=service,
        service=rated,
        shape=shape,
        share=share,
        unloaded=unloaded,
        price=price,
        pairings=tuple(
            pairings(
                described,
                cloud=tariff.cloud,
                region=tariff.region,
                usd_per_dbu=tariff.usd_per_dbu,
            )
        )
        if price.usd_per_chunk_hour is None
        else (),
        warnings=tuple(warnings),
    )


def _refuse_other_family(model: Model, name: str, **given: int | None) -> None:
    """Refuse a size that the model is not sold by, which would be overlooked otherwise."""
    in_units = model.kind == "model_units"
    for flag, value in given.items():
        if value is not None and in_units == (flag == "chunk_tokens_per_s"):
            raise CatalogueError(
                f"--{flag.replace('_', '-')} is {value}, but {name} is sold in "
                f"{'model units' if in_units else 'chunks of tokens/s'}; leave it out"
            )


def _rated_shape(model: Model, size: ChunkChoice | StepChoice) -> Shape:
    """Return the shape that the size on sale was published for."""
    published = model.unit_step.shape if model.unit_step and not size.overridden else None
    if published:
        input_tokens, output_tokens = published.split(":")
        return Shape(int(input_tokens), int(output_tokens))
    if model.embedding:
        return Shape(REFERENCE_SHAPE.input_tokens, 0)
    return REFERENCE_SHAPE
