"""What a size costs: hourly rates, the price of a DBU where it is bought, and which rate belongs to which size.

A chunk and a price are joined only where both were seen together; everything else is listed as a candidate and left
to the user.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from planner.catalogue import ChunkChoice, Kind, Model, StepChoice, catalogue
from simulations.cost import Price
from simulations.errors import CatalogueError

Tier = Literal["scaling", "entry"]


@dataclass(frozen=True, slots=True)
class Pairing:
    """A size and an hourly rate that may belong together.

    Args:
        size: tokens per second of a chunk, or model units of a step.
        kind: which of the two.
        tier: the tariff the rate is listed under.
        dbu_per_h, usd_per_chunk_hour: the rate.
        seen_together: whether somebody saw this size at this rate; otherwise it is a guess.
        size_source: where the size comes from.
    """

    size: int
    kind: Kind
    tier: str
    dbu_per_h: float
    usd_per_chunk_hour: float
    seen_together: bool
    size_source: str

    def __str__(self) -> str:
        unit = "tokens/s" if self.kind == "token_chunks" else "model units"
        return (
            f"{self.size} {unit} at {self.dbu_per_h:g} DBU/h ({self.tier}) = "
            f"{self.usd_per_chunk_hour:.2f} USD/h"
        )


def dbu_price(cloud: str, region: str) -> float:
    """Return the list price of a DBU of model serving in US dollars.

    Raises:
        CatalogueError: the cloud or the region is not in the table; near names are given.

    Source: list prices of 2026-04-10, Premium; see catalogue.toml.

    >>> dbu_price("aws", "eu-central-1")
    0.084
    """
    clouds = catalogue().usd_per_dbu
    regions = clouds.get(cloud.lower())
    if regions is None:
        raise CatalogueError(f"cloud is {cloud!r}; must be one of {', '.join(clouds)}")
    usd = regions.get(region.lower())
    if usd is None:
        near = difflib.get_close_matches(region.lower(), regions, n=3) or list(regions)
        raise CatalogueError(
            f"no price of a DBU is known for {cloud} {region} (nearest: {', '.join(near)}); give --usd-per-dbu X"
        )
    return usd


def pairings(
    model: Model,
    *,
    cloud: str = "aws",
    region: str = "us-east-1",
    usd_per_dbu: float | None = None,
) -> list[Pairing]:
    """Return every size seen with every hourly rate listed, and whether the two were seen together.

    Raises:
        CatalogueError: the price of a DBU is not known there.

    >>> from planner.catalogue import find_model
    >>> for pairing in pairings(find_model("system.ai.llama_v3_3_70b_instruct")):
    ...     print(pairing, pairing.seen_together)
    1580 tokens/s at 342.857 DBU/h (scaling) = 24.00 USD/h False
    1580 tokens/s at 85.714 DBU/h (entry) = 6.00 USD/h False
    9500 tokens/s at 342.857 DBU/h (scaling) = 24.00 USD/h False
    9500 tokens/s at 85.714 DBU/h (entry) = 6.00 USD/h False
    """
    usd = dbu_price(cloud, region) if usd_per_dbu is None else usd_per_dbu
    sizes: list[tuple[int, str, float | None]]
    if model.kind == "model_units":
        step = model.unit_step
        sizes = [(step.units, step.source, None)] if step else []
    else:
        newest_first = sorted(model.chunks, key=lambda sighting: sighting.date, reverse=True)
        sizes = [(s.tokens_per_s, s.source, s.dbu_per_h) for s in newest_first]
    return [
        Pairing(
            size=size,
            kind=model.kind,
            tier=tier,
            dbu_per_h=dbu_per_h,
            usd_per_chunk_hour=_usd(dbu_per_h, usd),
            seen_together=dbu_per_h == seen_dbu_per_h,
            size_source=source,
        )
        for size, source, seen_dbu_per_h in sizes
        for tier, dbu_per_h in _rates(model, cloud).items()
    ]


def price_of(
    model: Model,
    chunk: ChunkChoice | StepChoice,
    *,
    cloud: str = "aws",
    region: str = "us-east-1",
    tier: Tier = "scaling",
    dbu_per_chunk_hour: float | None = None,
    usd_per_dbu: float | None = None,
    usd_per_chunk_hour: float | None = None,
    input_price: float | None = None,
    output_price: float | None = None,
) -> tuple[Price, list[str]]:
    """Return what a chunk (or a step of units) and tokens cost, and notes on what is not known.

    The catalogue's rate is used only for a size that was seen together with it. For any other size, and for one
    that the user gave, the rate must be given too; until then `usd_per_chunk_hour` is None and a note lists
    what the candidates would cost.

    Args:
        dbu_per_chunk_hour, usd_per_chunk_hour: the user's rate, one of the two.
        usd_per_dbu: the user's price of a DBU, for contracts and regions that are not in the table.
        input_price, output_price: US dollars per million tokens at pay-per-token.

    Raises:
        CatalogueError: both rates are given, an amount is negative, or the price of a DBU is not known.

    >>> from planner.catalogue import chunk_of, find_model
    >>> model = find_model("system.ai.meta_llama_v3_1_8b_instruct")
    >>> price, notes = price_of(model, chunk_of(model))
    >>> price.usd_per_chunk_hour, notes
    (7.42, [])
    """
    if tier not in ("scaling", "entry"):
        raise CatalogueError(f"price tier is {tier!r}; must be scaling or entry")
    if dbu_per_chunk_hour is not None and usd_per_chunk_hour is not None:
        raise CatalogueError("give --dbu-per-chunk-hour or --usd-per-chunk-hour, not both")
    for flag, amount in (
        ("--dbu-per-chunk-hour", dbu_per_chunk_hour),
        ("--usd-per-dbu", usd_per_dbu),
    ):
        if amount is not None and not 0 <= amount < float("inf"):
            raise CatalogueError(f"{flag} is {amount}; must be a number >= 0")
    sources = catalogue().sources
    usd, usd_source, date = usd_per_dbu, "USD/DBU given by the user", ""
    if usd is None:
        usd, date = dbu_price(cloud, region), sources["dbu"].date
        usd_source = f"USD/DBU in {cloud} {region} ({sources['dbu']})"
    seen_dbu_per_h = chunk.dbu_per_h if isinstance(chunk, ChunkChoice) else None
    if model.dbu_per_h.get(tier, seen_dbu_per_h) != seen_dbu_per_h:
        seen_dbu_per_h = None  # seen at another tier's rate

    notes: list[str] = []
    assumed = True
    if usd_per_chunk_hour is not None:
        source, date, assumed = "given by the user", "", False
    elif dbu_per_chunk_hour is not None:
        usd_per_chunk_hour = _usd(dbu_per_chunk_hour, usd)
        source = f"{dbu_per_chunk_hour:g} DBU/h given by the user, {usd:g} {usd_source}"
        assumed = usd_per_dbu is None
    elif seen_dbu_per_h is not None:
        usd_per_chunk_hour = _usd(seen_dbu_per_h, usd)
        source = (
            f"{seen_dbu_per_h:g} DBU/h seen with {chunk} ({chunk.source}, {chunk.date}), "
            f"{usd:g} {usd_source}"
        )
    else:
        source = "not known"
        notes.append(_no_price(model, chunk, cloud=cloud, usd_per_dbu=usd))
    if input_price is None and model.input_dbu_per_million is not None:
        source += f"; pay-per-token: {sources['rates']}"

    def per_million(given: float | None, dbu: float | None) -> float | None:
        return given if given is not None or dbu is None else _usd(dbu, usd)

    price = Price(
        usd_per_chunk_hour=usd_per_chunk_hour,
        input_usd_per_million=per_million(input_price, model.input_dbu_per_million),
        output_usd_per_million=per_million(output_price, model.output_dbu_per_million),
        source=source,
        date=date,
        assumed=assumed,
    )
    return price, notes


def _rates(model: Model, cloud: str) -> dict[str, float]:
    """Return the hourly rates of a model by tier. `entry` is not offered on GCP (source: rates)."""
    return {
        tier: dbu_per_h
        for tier, dbu_per_h in model.dbu_per_h.items()
        if not (tier == "entry" and cloud.lower() == "gcp")
    }


def _usd(dbu: float, usd_per_dbu: float) -> float:
    """Return DBU in US dollars, to a millionth, since neither factor is known better."""
    return round(dbu * usd_per_dbu, 6)


def _no_price(
    model: Model, chunk: ChunkChoice | StepChoice, *, cloud: str, usd_per_dbu: float
) -> str:
    rates = [
        f"{dbu:g} DBU/h ({tier}) = {_usd(dbu, usd_per_dbu):.2f} USD/h"
        for tier, dbu in _rates(model, cloud).items()
    ]
    listed = f"; candidates: {', '.join(rates)}" if rates else ""
    return (
        f"no price: {chunk} of {model.name} was never seen together with an hourly rate{listed}; "
        "give --dbu-per-chunk-hour X or --usd-per-chunk-hour X"
    )
