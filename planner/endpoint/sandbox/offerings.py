"""What the sandbox has on sale: which model in chunks of how many tokens/s, or in steps of how many units.

The catalogue's models, with a size assumed where none was seen, and those that the user adds. A real workspace
sells other sizes; ask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from planner.catalogue import Model, models
from simulations.errors import InputError

SAMPLE_MODEL = "ml.llm-catalog.foundation-model"
"""The model of the documented create script, on sale so that the script runs as it stands. Source:
docs.databricks.com, deploy provisioned throughput foundation model APIs, 2026-06-18."""

SAMPLE_CHUNK_TOKENS_PER_S = 980
"""The documented sample of a chunk; *assumed* for models whose chunk was never seen. Source: as above."""

UNIT_STEP = 50
"""*Assumed* for models whose step was never seen; it is 50 wherever one was (see catalogue.toml)."""

_NAME = re.compile(r"[^\s:=/]+")

Kind = Literal["token_chunks", "model_units", "not_eligible"]


@dataclass(frozen=True, slots=True)
class Offering:
    """One model, all versions or one, as the sandbox sells it.

    Args:
        name: in Unity Catalog.
        kind: chunks, units, or neither.
        size: tokens/s of a chunk, or model units of a step; 0 for neither.
        dbu_per_h: of one chunk or step, where known.
        model_type: as optimization info has it.
    """

    name: str
    kind: Kind
    size: int = 0
    dbu_per_h: float | None = None
    model_type: str = "llama"

    def optimization_info(self) -> dict[str, Any]:
        """Return what get-model-optimization-info answers.

        A chunk stands there for models in chunks only: what a real workspace says of model units is not public.

        >>> Offering("a.b.c", "token_chunks", 980, 24.0).optimization_info()
        {'optimizable': True, 'model_type': 'llama', 'throughput_chunk_size': 980, 'dbus': 24.0}
        >>> Offering("a.b.c", "not_eligible").optimization_info()
        {'optimizable': False}
        """
        if self.kind == "not_eligible":
            return {"optimizable": False}
        info: dict[str, Any] = {"optimizable": True, "model_type": self.model_type}
        if self.kind == "token_chunks":
            info["throughput_chunk_size"] = self.size
        if self.dbu_per_h is not None:
            info["dbus"] = self.dbu_per_h
        return info


class Offerings:
    """All that is on sale, by name and version.

    Args:
        own: what the user adds or overrides, as NAME[:VERSION]=SIZE; see `parse_offering`.

    >>> Offerings(["ml.own.model:3=970"]).find("ml.own.model", "3").size
    970
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._by_name: dict[tuple[str, str | None], Offering] = {}
        for model in models().values():
            versions = {None, *(sighting.version for sighting in model.chunks)}
            for version in versions:
                offering = _offering(model, version)
                for name in (model.name, *model.aliases):
                    self._by_name[name.lower(), version] = offering
        self._by_name[SAMPLE_MODEL, None] = Offering(
            SAMPLE_MODEL, "token_chunks", SAMPLE_CHUNK_TOKENS_PER_S
        )
        for text in own:
            self.add(text)

    def add(self, text: str) -> Offering:
        """Put a model on sale, or change its size, and return it."""
        version, offering = parse_offering(text)
        self._by_name[offering.name.lower(), version] = offering
        return offering

    def find(self, name: str, version: str | None = None) -> Offering | None:
        """Return how a model is sold, that version before all versions, or None."""
        return self._by_name.get((name.lower(), version)) or self._by_name.get((name.lower(), None))


def parse_offering(text: str) -> tuple[str | None, Offering]:
    """Return the version (None: all) and the offering from NAME[:VERSION]=SIZE.

    SIZE is tokens/s of a chunk (`980`), model units of a step (`50units`), or `none` for a model that is not
    eligible.

    Raises:
        InputError: it does not read so.

    >>> parse_offering("ml.own.model:3=980")
    ('3', Offering(name='ml.own.model', kind='token_chunks', size=980, dbu_per_h=None, model_type='llama'))
    >>> parse_offering("ml.own.model=50units")[1].kind
    'model_units'
    """
    found = re.fullmatch(rf"({_NAME.pattern})(?::([1-9][0-9]*))?=([0-9]+)?(units|none)?", text)
    if not found or (found[3] is None) != (found[4] == "none") or found[3] == "0":
        raise InputError(
            f"--sell is {text!r}; must be NAME[:VERSION]=SIZE, where SIZE is the tokens/s of a chunk (980), "
            "the step of model units (50units), or none"
        )
    name, version, size, word = found.groups()
    if word == "none":
        return version, Offering(name, "not_eligible")
    kind: Kind = "model_units" if word == "units" else "token_chunks"
    return version, Offering(name, kind, int(size))


def _offering(model: Model, version: str | None) -> Offering:
    """Return a model of the catalogue as the sandbox sells it in this version."""
    if model.retired or model.instruct or model.kind == "pay_per_token":
        return Offering(model.name, "not_eligible")
    rate = model.dbu_per_h.get("scaling")
    if model.kind == "model_units":
        step = model.unit_step.units if model.unit_step else UNIT_STEP
        return Offering(model.name, "model_units", step, rate, _model_type(model.name))
    seen = sorted(
        model.chunks,
        key=lambda s: (s.version == version is not None, s.seen_as == "chunk", s.date),
        reverse=True,
    )
    size = seen[0].tokens_per_s if seen else SAMPLE_CHUNK_TOKENS_PER_S
    return Offering(model.name, "token_chunks", size, rate, _model_type(model.name))


def _model_type(name: str) -> str:
    """Return `llama` or `gte`, which were seen; the first word of the name otherwise (*assumed*)."""
    words = re.findall(r"[a-z]+", name.rpartition(".")[2].removeprefix("meta_").lower())
    return words[0] if words else name
