"""What is publicly known of the models on sale: names, chunk sizes, tariffs, retirements; dated, never live.

Reads `catalogue.toml` beside this file. Asks no workspace.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from simulations.errors import CatalogueError
from simulations.scenario import Service
from simulations.services import default_service

Kind = Literal["token_chunks", "model_units", "pay_per_token"]

MAX_QUERIES_PER_S = 200.0
"""Default limit of provisioned throughput per workspace. Source: docs.databricks.com, foundation-model-apis/limits,
2026-06-18."""

_ASK = "ask get-model-optimization-info of the workspace, or give --chunk-tokens-per-s N"


class ModelName(NamedTuple):
    """A model as the user writes it: NAME or NAME:VERSION."""

    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class ChunkSighting:
    """A chunk size that somebody saw.

    Args:
        tokens_per_s: tokens per second.
        seen_as: a `chunk` (told by the API, or a step between accepted ranges), or only a `maximum` that was
            used, which is some multiple of the chunk.
        source, date: who, and when (ISO 8601, empty where unknown).
        version: of the model, where known.
        dbu_per_h: what that chunk cost an hour, where seen together with it.
    """

    tokens_per_s: int
    seen_as: Literal["chunk", "maximum"]
    source: str
    date: str
    version: str | None = None
    dbu_per_h: float | None = None

    def __str__(self) -> str:
        details = ["as a maximum"] if self.seen_as == "maximum" else []
        details += [f"version {self.version}"] if self.version else []
        details.append(self.date or "date unknown")
        return f"{self.tokens_per_s} tokens/s ({', '.join(details)})"


@dataclass(frozen=True, slots=True)
class UnitStep:
    """The increment in which model units of a model are sold, and what it serves where that is published."""

    units: int
    source: str
    date: str
    tokens_per_s: int | None = None
    shape: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model, and what is known of it. None, empty or absent means not known.

    Args:
        name: its name in Unity Catalog; `aliases` are others that mean the same.
        family: its name for people.
        kind: sold as ranges of `token_chunks`, as `model_units`, or `pay_per_token` only.
        active_parameters_b, total_parameters_b: billions of parameters, per token and (if more) in all.
        context_limit_tokens: longest input + output.
        embedding: whether it answers with a vector and so has no output tokens.
        chunks: sizes seen; `unit_step` the same for model units.
        dbu_per_h: hourly rate by tier.
        input_dbu_per_million, output_dbu_per_million: pay-per-token.
        instruct: the variant that can be served instead of this base model.
        retired, retired_on: whether it can no longer be served, and since when.
    """

    name: str
    family: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    active_parameters_b: float | None = None
    total_parameters_b: float | None = None
    context_limit_tokens: int | None = None
    embedding: bool = False
    chunks: tuple[ChunkSighting, ...] = ()
    unit_step: UnitStep | None = None
    dbu_per_h: Mapping[str, float] = field(default_factory=dict)
    input_dbu_per_million: float | None = None
    output_dbu_per_million: float | None = None
    instruct: str | None = None
    retired: bool = False
    retired_on: str | None = None


@dataclass(frozen=True, slots=True)
class ChunkChoice:
    """The chunk size a plan is made for: from the catalogue, or `overridden` by the user.

    `dbu_per_h` is what was seen together with it, and None for one that the user gave.
    """

    tokens_per_s: int
    source: str
    date: str = ""
    dbu_per_h: float | None = None
    overridden: bool = False
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.tokens_per_s} tokens/s"


@dataclass(frozen=True, slots=True)
class StepChoice:
    """The step of model units a plan is made for, and the tokens per second that one step serves."""

    step_units: int
    tokens_per_s: int
    source: str
    date: str = ""
    overridden: bool = False
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.step_units} model units"


# ------------------------------------------------------------------------------------------ the file


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number comes from, and of when it is (ISO 8601, empty where unknown)."""

    text: str
    date: str

    def __str__(self) -> str:
        return f"{self.text}, {self.date}" if self.date else self.text


class Catalogue(NamedTuple):
    """The file: models by their own name and, in lower case, by every name; USD per DBU by cloud and region."""

    models: Mapping[str, Model]
    by_name: Mapping[str, Model]
    usd_per_dbu: Mapping[str, Mapping[str, float]]
    sources: Mapping[str, Source]


@cache
def catalogue() -> Catalogue:
    """Return the file, read once."""
    document = tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))
    sources = {key: Source(**table) for key, table in document["sources"].items()}
    models = {
        name: _model(name, table, sources=sources) for name, table in document["model"].items()
    }
    by_name = {
        name.lower(): model for model in models.values() for name in (model.name, *model.aliases)
    }
    return Catalogue(models, by_name, document["usd_per_dbu"], sources)


def _model(name: str, table: dict[str, Any], *, sources: Mapping[str, Source]) -> Model:
    def cite(row: dict[str, Any]) -> dict[str, Any]:
        source = sources[row["source"]]
        return {**row, "source": source.text, "date": source.date}

    step = table.get("unit_step")
    return Model(
        name=name,
        **{
            **table,
            "aliases": tuple(table.get("aliases", ())),
            "chunks": tuple(ChunkSighting(**cite(row)) for row in table.get("chunks", ())),
            "unit_step": UnitStep(**cite(step)) if step else None,
        },
    )


# ------------------------------------------------------------------------------------------ finding a model


def models() -> dict[str, Model]:
    """Return the catalogue by name, retired and base models included.

    >>> "system.ai.llama_v3_3_70b_instruct" in models()
    True
    """
    return dict(catalogue().models)


def parse_model_name(text: str) -> ModelName:
    """Return a model's name and version from NAME or NAME:VERSION.

    Raises:
        CatalogueError: the name is empty or the version is not a whole number >= 1.

    >>> parse_model_name("system.ai.llama_v3_3_70b_instruct:1")
    ModelName(name='system.ai.llama_v3_3_70b_instruct', version='1')
    """
    name, colon, version = text.strip().partition(":")
    if not name:
        raise CatalogueError(f"model {text!r} has no name; give NAME or NAME:VERSION")
    if not colon:
        return ModelName(name, None)
    if not (version.isascii() and version.isdigit() and int(version) >= 1):
        raise CatalogueError(f"model {text!r} has version {version!r}; must be a whole number >= 1")
    return ModelName(name, version)


def find_model(name: str) -> Model:
    """Return a model that can be bought as provisioned throughput.

    Args:
        name: a name or an alias in any case; a version behind a colon is ignored.

    Raises:
        CatalogueError: it is unknown (with near names), retired, a base model, or pay-per-token only.

    >>> find_model("databricks-meta-llama-3-3-70b-instruct").name
    'system.ai.llama_v3_3_70b_instruct'
    """
    name = parse_model_name(name).name
    model = _lookup(name)
    if model is None:
        raise CatalogueError(
            f"model {name} is not in the catalogue{_near(name)}; for a model of your own give "
            "--chunk-tokens-per-s N, and --base-model NAME or --service FILE"
        )
    _refuse_retired(model)
    sources = catalogue().sources
    if model.instruct:
        raise CatalogueError(
            f"model {name} is a base model, and only the Instruct variant of a Llama can be served from "
            f"system.ai ({sources['throughput']}); use {model.instruct}"
        )
    if model.kind == "pay_per_token":
        raise CatalogueError(
            f"model {name} is listed for pay-per-token only, not for provisioned throughput ({sources['rates']})"
        )
    return model


def model_for(
    name: str,
    *,
    base_model: str | None = None,
    chunk_tokens_per_s: int | None = None,
    unit_step: int | None = None,
    tokens_per_s_per_step: int | None = None,
    has_service: bool = False,
) -> Model:
    """Return a model of the catalogue, or describe one's own by what it is based on.

    A model outside the catalogue (a fine-tune) needs its size on sale, `chunk_tokens_per_s` or both unit
    numbers, and something to say how fast it is, `base_model` or a service.

    Args:
        name: NAME or NAME:VERSION.
        base_model: a model of the catalogue that this one was tuned from; a base model is fine here.
        has_service: whether the user gives a service.

    Raises:
        CatalogueError: as `find_model`, or something is missing: one line names it all.

    >>> tuned = model_for("ml.llm-catalog.foundation-model", chunk_tokens_per_s=980,
    ...                   base_model="system.ai.meta_llama_v3_1_8b")
    >>> tuned.active_parameters_b, tuned.chunks
    (8.03, ())
    """
    name = parse_model_name(name).name
    if _lookup(name) is not None:
        return find_model(name)
    base = None
    if base_model is not None:
        base = _lookup(parse_model_name(base_model).name)
        if base is None:
            raise CatalogueError(
                f"base model {base_model} is not in the catalogue{_near(base_model)}; give --service FILE instead"
            )
        _refuse_retired(base)
    in_units = base.kind == "model_units" if base else unit_step is not None
    wanted = {
        "--unit-step N": in_units and unit_step is None,
        "--tokens-per-s-per-step X": in_units and tokens_per_s_per_step is None,
        f"--chunk-tokens-per-s N (the throughput_chunk_size of get-model-optimization-info/{name})": (
            not in_units and chunk_tokens_per_s is None
        ),
        "--base-model NAME or --service FILE": base is None and not has_service,
    }
    missing = [flag for flag, absent in wanted.items() if absent]
    if missing:
        raise CatalogueError(
            f"model {name} is not in the catalogue{_near(name)}; still missing: {', and '.join(missing)}"
        )
    own = Model(
        name=name, family="a model of one's own", kind="model_units" if in_units else "token_chunks"
    )
    if base is None:
        return own
    return replace(
        own,
        family=f"based on {base.family}",
        active_parameters_b=base.active_parameters_b,
        total_parameters_b=base.total_parameters_b,
        context_limit_tokens=base.context_limit_tokens,
        embedding=base.embedding,
    )


def service_of(model: Model) -> tuple[Service, list[str]]:
    """Return the service to assume for a model, with its context limit, and what to warn of.

    Raises:
        CatalogueError: its size is not known.

    >>> service_of(find_model("system.ai.llama_v3_3_70b_instruct"))[0].context_limit_tokens
    128000
    """
    if model.active_parameters_b is None:
        raise CatalogueError(
            f"the active parameters of {model.name} are not known; give --base-model NAME or --service FILE"
        )
    service, warnings = default_service(
        model.active_parameters_b, total_parameters_b=model.total_parameters_b
    )
    return replace(service, context_limit_tokens=model.context_limit_tokens), warnings


# ------------------------------------------------------------------------------------------ sizes


def chunk_of(
    model: Model, *, version: str | None = None, tokens_per_s: int | None = None
) -> ChunkChoice:
    """Return the chunk size to plan with: the user's, or the latest that was seen.

    Args:
        version: of the model; a sighting of that version is preferred.
        tokens_per_s: the user's own number, which ends the search.

    Raises:
        CatalogueError: the model is sold in model units, the number is below 1, or no chunk was seen.

    Source: *assumed* to hold still; sizes change with version, cloud, region and date.

    >>> choice = chunk_of(find_model("system.ai.meta_llama_v3_1_8b_instruct"))
    >>> choice.tokens_per_s, choice.date, choice.dbu_per_h
    (19000, '2025-02-05', 106.0)
    """
    if model.kind != "token_chunks":
        raise CatalogueError(
            f"model {model.name} is sold in model units, not in tokens/s (a request with a range is refused as "
            "'not eligible for Provisioned Throughput'); give --unit-step and --tokens-per-s-per-step"
        )
    if tokens_per_s is not None:
        if tokens_per_s < 1:
            raise CatalogueError(f"--chunk-tokens-per-s is {tokens_per_s}; must be >= 1")
        return ChunkChoice(tokens_per_s, source="given by the user", overridden=True)
    chunks = [sighting for sighting in model.chunks if sighting.seen_as == "chunk"]
    if not chunks:
        seen = "".join(f"; seen: {sighting}" for sighting in model.chunks)
        raise CatalogueError(f"the chunk size of {model.name} is not known{seen}; {_ASK}")
    chosen = max(
        chunks,
        key=lambda sighting: (version is not None and sighting.version == version, sighting.date),
    )
    warnings = []
    if version is not None and chosen.version not in (None, version):
        warnings.append(
            f"the chunk of {chosen.tokens_per_s} tokens/s was seen on version {chosen.version} of {model.name}, "
            f"not on version {version}, and sizes differ between versions; {_ASK}"
        )
    others = ", ".join(str(sighting) for sighting in model.chunks if sighting is not chosen)
    also = f"; also seen: {others}" if others else ""
    warnings.append(f"the chunk of {model.name} is taken to be {chosen}{also}; {_ASK}")
    return ChunkChoice(
        chosen.tokens_per_s,
        source=chosen.source,
        date=chosen.date,
        dbu_per_h=chosen.dbu_per_h,
        warnings=tuple(warnings),
    )


def step_of(
    model: Model, *, unit_step: int | None = None, tokens_per_s_per_step: int | None = None
) -> StepChoice:
    """Return the step of model units to plan with: the user's numbers before those that were published.

    Raises:
        CatalogueError: the model is sold in tokens/s, or a number is below 1 or neither known nor given.

    >>> step = step_of(find_model("system.ai.llama-4-maverick"))
    >>> step.step_units, step.tokens_per_s
    (50, 3250)
    """
    if model.kind != "model_units":
        raise CatalogueError(
            f"model {model.name} is sold in tokens/s, not in model units; give --chunk-tokens-per-s N"
        )
    known = model.unit_step
    for flag, value in (
        ("--unit-step", unit_step),
        ("--tokens-per-s-per-step", tokens_per_s_per_step),
    ):
        if value is not None and value < 1:
            raise CatalogueError(f"{flag} is {value}; must be >= 1")
    step = unit_step or (known.units if known else None)
    published = known.tokens_per_s if known and step == known.units else None
    tokens_per_s = tokens_per_s_per_step or published
    if step is None or tokens_per_s is None:
        missing = [
            flag
            for flag, value in (
                ("--unit-step N", step),
                ("--tokens-per-s-per-step X", tokens_per_s),
            )
            if value is None
        ]
        raise CatalogueError(
            f"what model units of {model.name} serve is not published; give {' and '.join(missing)}"
        )
    warnings = []
    if known and tokens_per_s_per_step is None:
        warnings.append(
            f"{tokens_per_s} tokens/s per {step} model units is published for requests of {known.shape} tokens; "
            "other shapes need other units, so measure yours and give --tokens-per-s-per-step"
        )
    if known is None or (step, tokens_per_s) != (known.units, known.tokens_per_s):
        return StepChoice(step, tokens_per_s, source="given by the user", overridden=True)
    return StepChoice(
        step, tokens_per_s, source=known.source, date=known.date, warnings=tuple(warnings)
    )


# ------------------------------------------------------------------------------------------ warnings


def model_warnings(model: Model) -> list[str]:
    """Return what a buyer of this model should know before anything is computed.

    >>> len(model_warnings(find_model("system.ai.llama_v3_3_70b_instruct")))
    1
    """
    if model.kind != "token_chunks":
        return []
    return [
        f"{model.name} is sold by the legacy tokens/s workflow, which Databricks has deprecated in favour of model "
        f"units for newer models ({catalogue().sources['tokens']})"
    ]


def query_rate_warning(peak_queries_per_s: float) -> str | None:
    """Return a warning where the peak passes the default limit of queries per second of a workspace.

    >>> query_rate_warning(12.0) is None
    True
    """
    if peak_queries_per_s <= MAX_QUERIES_PER_S:
        return None
    return (
        f"the peak of {peak_queries_per_s:g} queries/s is above the default limit of "
        f"{MAX_QUERIES_PER_S:g} queries/s per workspace for provisioned throughput "
        f"({catalogue().sources['limits']}); ask Databricks to raise it"
    )


def _lookup(name: str) -> Model | None:
    return catalogue().by_name.get(name.lower())


def _near(name: str) -> str:
    """Return which names a user may have meant; those that can be bought before others."""
    by_name = catalogue().by_name
    wanted, plain = name.lower(), _plain(name)
    near = [known for known in by_name if known.startswith(wanted)]
    near += difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.8)
    if len(plain) >= 3:
        near += [known for known in by_name if plain in _plain(known)]
        plains = {_plain(known): known for known in by_name}
        near += [plains[one] for one in difflib.get_close_matches(plain, plains, n=3, cutoff=0.75)]
    models = {by_name[known].name: by_name[known] for known in near}
    sold = [name for name, model in models.items() if _is_sold(model)] or list(models)
    more = f" and {len(sold) - 3} more" if len(sold) > 3 else ""
    return f" (near: {', '.join(sold[:3])}{more})" if sold else ""


def _plain(name: str) -> str:
    """Return the last part of a name in letters and digits alone."""
    return "".join(filter(str.isalnum, name.lower().rpartition(".")[2]))


def _is_sold(model: Model) -> bool:
    return not (model.retired or model.instruct or model.kind == "pay_per_token")


def _refuse_retired(model: Model) -> None:
    if model.retired:
        since = f"since {model.retired_on}" if model.retired_on else "(since when is not known)"
        raise CatalogueError(
            f"model {model.name} ({model.family}) is retired {since} and can no longer be served; "
            f"the replacement is named in {catalogue().sources['retirements']}"
        )
