"""What a workspace says of a model: whether it can be provisioned, in chunks or in model units, and how large.

Reads the answer of get-model-optimization-info tolerantly, since its fields for model units are not published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from planner.catalogue import models
from planner.endpoint.client import Workspace

Kind = Literal["token_chunks", "model_units", "not_eligible"]

_UNIT_KEYS = ("model_unit", "provisioned_model_units")


@dataclass(frozen=True, slots=True)
class Eligibility:
    """A model's capacity as the workspace sells it.

    Args:
        model, version: in Unity Catalog.
        kind: in chunks of tokens/s, in model units, or not at all.
        chunk_tokens_per_s: the chunk, for `token_chunks`.
        dbus: DBU an hour of one chunk, where the answer says.
        raw: the answer.
    """

    model: str
    version: str
    kind: Kind
    chunk_tokens_per_s: int | None
    dbus: float | None
    raw: Mapping[str, Any]

    @property
    def optimizable(self) -> bool:
        """Whether it can be provisioned."""
        return self.kind != "not_eligible"

    def as_dict(self) -> dict[str, Any]:
        """Return it as `ptplan chunk --json` prints it."""
        return {
            "model": self.model,
            "version": self.version,
            "optimizable": self.optimizable,
            "kind": self.kind,
            "chunk_tokens_per_s": self.chunk_tokens_per_s,
            "dbus": self.dbus,
            "raw": dict(self.raw),
        }


def ask(workspace: Workspace, model: str, version: str) -> Eligibility:
    """Return what the workspace says of a model.

    Raises:
        NotFound: it has no such model or version.
    """
    return eligibility(model, version, workspace.optimization_info(model, version))


def eligibility(model: str, version: str, raw: Mapping[str, Any]) -> Eligibility:
    """Return what an answer means.

    An eligible model without a chunk is sold in model units: the catalogue may confirm it, nothing else can.
    An answer without `optimizable` means no. Source: docs.databricks.com, deploy provisioned throughput, the
    documented check, read 2026-11-22.

    >>> eligibility("m", "1", {"optimizable": True, "throughput_chunk_size": 980}).chunk_tokens_per_s
    980
    >>> eligibility("m", "1", {}).kind
    'not_eligible'
    """
    size = raw.get("throughput_chunk_size")
    chunk = size if isinstance(size, int) and not isinstance(size, bool) and size >= 1 else None
    known = models().get(model)
    kind: Kind
    if not raw.get("optimizable"):
        kind = "not_eligible"
    elif any(key.startswith(_UNIT_KEYS) for key in raw) or (known and known.kind == "model_units"):
        kind, chunk = "model_units", None
    else:
        kind = "token_chunks" if chunk is not None else "model_units"
    dbus = raw.get("dbus")
    return Eligibility(
        model,
        version,
        kind,
        chunk,
        float(dbus) if isinstance(dbus, int | float) and not isinstance(dbus, bool) else None,
        raw,
    )
