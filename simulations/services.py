"""Servers that were measured, by name, and the one to assume where none was.

Reads `services.toml` beside this file and a user's `service.toml`, which have the same keys. Knows
models by their size only; what a chunk of one is worth is settled elsewhere.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from simulations.errors import CatalogueError, InputError
from simulations.scenario import Service
from simulations.trace import Trace

SAME_SIZE_FRACTION = 0.05
"""Models whose active parameters differ by less than this share a service unscaled (assumed)."""

BEYOND_RANGE_FRACTION = 0.01
"""Share of requests beyond what was measured that is worth a warning (assumed)."""

NOTABLE_ROUTING_S = 0.02

_COUNTS = ("token_budget", "max_sequences", "kv_tokens", "context_limit_tokens")
_TIMES = ("iteration_s", "sequence_s", "context_s", "prefill_s", "attention_s")
_WORDS = ("name", "source")
_FLAGS = ("assumed", "per_chunk")
_ABOUT = (
    "model",
    "active_parameters_b",
    "precision",
    "gpu",
    "n_gpus",
    "engine",
    "median_error_fraction",
    "default",
    "weights_bytes",
    "kv_bytes_per_token",
    "routing_s",
)


@dataclass(frozen=True, slots=True)
class MeasuredRange:
    """How far a calibrated service was measured; beyond it a prediction is an extrapolation.

    Args:
        input_tokens, output_tokens: of the requests, smallest and largest.
        sequences: most that ran at once.
        routing_s: what every measured time held beyond the server.
        not_told: numbers that the measurements did not tell.
    """

    input_tokens: tuple[float, float]
    output_tokens: tuple[float, float]
    sequences: float
    routing_s: float = 0.0
    not_told: tuple[str, ...] = ()

    def warnings(self, trace: Trace, service: Service) -> list[str]:
        """Return a sentence for each way in which traffic leaves the range.

        Args:
            trace: the traffic.
            service: as it is simulated, rated to its chunk.

        >>> measured = MeasuredRange((10, 100), (1, 50), 8)
        >>> measured.warnings(Trace.build([0], [50], [20]), Service(1.0, max_sequences=4))
        []
        """
        found = []
        for name, tokens, (low, high) in (
            ("input", trace.input_tokens, self.input_tokens),
            ("output", trace.output_tokens, self.output_tokens),
        ):
            # A request somewhat longer or shorter than any measured one is no other kind of request.
            beyond = float(((tokens < 0.5 * low) | (tokens > 1.25 * high)).mean())
            if beyond > BEYOND_RANGE_FRACTION:
                found.append(
                    f"the service was measured with {low:g} to {high:g} {name} tokens, and {beyond:.1%} of the requests lie "
                    "outside: their times are extrapolated; measure with requests like these"
                )
        if service.max_sequences > 1.25 * self.sequences:
            found.append(
                f"the service was measured with at most {self.sequences:g} sequences at once, and up to "
                f"{service.max_sequences} are simulated: times at high load are extrapolated"
            )
        if self.routing_s >= NOTABLE_ROUTING_S:
            found.append(
                f"every measured time held {1e3 * self.routing_s:.3g} ms beyond the server (routing_s), which simulated "
                "times leave out"
            )
        if self.not_told:
            found.append(
                f"the measurements behind the service did not tell {', '.join(self.not_told)}; see its [intervals]"
            )
        return found


@dataclass(frozen=True, slots=True)
class MeasuredService:
    """A service of the catalogue and what was measured to get it.

    Args:
        service: the numbers; its `source` and `assumed` say how far to trust them.
        model: what was served.
        active_parameters_b: billions of parameters that a token passes through.
        precision: of the weights.
        gpu, n_gpus, engine: what it ran on.
        median_error_fraction: median in-sample error of the fitted time per output token; None where unknown.
        default: taken for models of about this size.
    """

    service: Service
    model: str
    active_parameters_b: float
    precision: str
    gpu: str
    n_gpus: int
    engine: str
    median_error_fraction: float | None
    default: bool


@cache
def _catalogue() -> dict[str, MeasuredService]:
    where = "services.toml"
    document = _read(Path(__file__).with_name(where))
    sources = document["sources"]
    return {
        name: _measured(name, table, sources=sources, where=where)
        for name, table in document["service"].items()
    }


def services() -> dict[str, MeasuredService]:
    """Return the catalogue by name.

    >>> len(services())
    11
    """
    return dict(_catalogue())


def named_service(name: str) -> Service:
    """Return a service of the catalogue.

    Raises:
        CatalogueError: no service has this name; the nearest names are given.

    >>> named_service("llama-3-1-8b-bf16-h100-tp1-trtllm").kv_tokens
    467000
    """
    found = _catalogue().get(name)
    if found is None:
        near = difflib.get_close_matches(name, _catalogue(), n=3, cutoff=0.4) or list(_catalogue())
        raise CatalogueError(
            f"service {name!r} is not in the catalogue; nearest: {', '.join(near)}"
        )
    return found.service


def load_service(path: str | Path) -> Service:
    """Return the service of a file with one table, `[service]`.

    Args:
        path: TOML. Keys are those of `Service` (seconds and tokens; only `iteration_s` must be there) and
            may include what `services.toml` tells of a measurement. A missing `kv_tokens` is no limit.

    Raises:
        CatalogueError: the file cannot be read, or a key or value cannot be used; one line, with the file.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "service.toml"
    ...     _ = file.write_text("[service]\\niteration_s = 0.01\\nkv_tokens = 100_000")
    ...     load_service(file).kv_tokens
    100000
    """
    path = Path(path)
    table = _read(path).get("service")
    if not isinstance(table, dict):
        raise CatalogueError(f"{path}: there is no table [service]; add one with iteration_s = ...")
    if table and all(isinstance(value, dict) for value in table.values()):
        raise CatalogueError(
            f"{path}: [service] must hold numbers, not {len(table)} tables of its own"
        )
    return _service(
        table, name=path.stem, source=f"{path.name}, given by the user", where=str(path)
    )


def load_range(path: str | Path) -> MeasuredRange | None:
    """Return how far the service of a file was measured, or None where the file does not say.

    Raises:
        CatalogueError: the file cannot be read, or its [range] is none.
    """
    path = Path(path)
    document = _read(path)
    table = document.get("range")
    if table is None:
        return None
    try:
        pairs = {
            key: (float(table[key][0]), float(table[key][1]))
            for key in ("input_tokens", "output_tokens", "sequences")
        }
        routing_s = float(document.get("service", {}).get("routing_s", 0.0))
        not_told = tuple(str(name) for name in document.get("provenance", {}).get("not_told", ()))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CatalogueError(
            f"{path}: [range] must hold input_tokens, output_tokens and sequences, each as [low, high]"
        ) from error
    return MeasuredRange(
        pairs["input_tokens"], pairs["output_tokens"], pairs["sequences"][1], routing_s, not_told
    )


def default_service(
    active_parameters_b: float | None, *, total_parameters_b: float | None = None
) -> tuple[Service, list[str]]:
    """Return the service to assume for a model that nobody measured, and what to warn of.

    The nearest default of the catalogue by active parameters; where the sizes differ, its iteration and
    prefill times are scaled by their ratio and all else is kept.

    Args:
        active_parameters_b: billions of parameters that a token passes through; None is refused.
        total_parameters_b: billions of parameters in all, if more (a mixture of experts).

    Raises:
        CatalogueError: the size is unknown or not positive.

    Source: *assumed*. Weights read and multiplied per token go with the parameters; the KV cache does not.

    >>> default_service(8.0)[0].name
    'llama-3-1-8b-bf16-h100-tp1-trtllm'
    >>> service, warnings = default_service(4.015)
    >>> service.iteration_s, len(warnings)
    (0.00321, 1)
    """
    if active_parameters_b is None:
        raise CatalogueError(
            "the model's active parameters are not known; give --base-model NAME or --service FILE"
        )
    size = active_parameters_b
    if not (math.isfinite(size) and size > 0):
        raise CatalogueError(f"active parameters are {size} billion; must be > 0")

    def distance(measured: MeasuredService) -> float:
        return abs(math.log(size / measured.active_parameters_b))

    nearest = min((m for m in _catalogue().values() if m.default), key=distance)
    service, warnings = nearest.service, []
    ratio = size / nearest.active_parameters_b
    if abs(ratio - 1) > SAME_SIZE_FRACTION:
        service = replace(
            service,
            iteration_s=service.iteration_s * ratio,
            prefill_s=service.prefill_s * ratio,
            name=f"{service.name} scaled to {size:g}B",
            source=f"{service.source}; iteration_s and prefill_s scaled by {ratio:.3g} (assumed)",
        )
        warnings.append(
            f"no service was measured for {size:g}B active parameters: {nearest.model} "
            f"({nearest.active_parameters_b:g}B) stands in, iteration and prefill times scaled by {ratio:.3g}, "
            f"its KV room of {service.kv_tokens} tokens kept; give --service FILE for measured numbers"
        )
    if total_parameters_b is not None and total_parameters_b > size * (1 + SAME_SIZE_FRACTION):
        warnings.append(
            f"only {size:g}B of {total_parameters_b:g}B parameters are active: a large batch of a mixture of "
            "experts reads more weights than that, so the iteration time is optimistic"
        )
    return service, warnings


def _measured(
    name: str, table: dict[str, Any], *, sources: dict[str, str], where: str
) -> MeasuredService:
    error = table.get("median_error_fraction")
    fit = "" if error is None else f", median error {error:.1%}"
    source = f"{sources['time']}{fit}; KV room: {sources['memory']}; limits: {sources['limits']}"
    return MeasuredService(
        service=_service(table, name=name, source=source, where=f"{where}: {name}"),
        model=table["model"],
        active_parameters_b=table["active_parameters_b"],
        precision=table["precision"],
        gpu=table["gpu"],
        n_gpus=table["n_gpus"],
        engine=table["engine"],
        median_error_fraction=error,
        default=table.get("default", False),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise CatalogueError(f"{path}: is not TOML: {error}") from error


def _service(table: dict[str, Any], *, name: str, source: str, where: str) -> Service:
    """Return a table as a service, refusing what `Service` would not understand."""
    known = {field.name for field in fields(Service)}
    values: dict[str, Any] = {"name": name, "source": source}
    for key, value in table.items():
        if key not in known and key not in _ABOUT:
            near = difflib.get_close_matches(key, [*known, *_ABOUT], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise CatalogueError(f"{where}: {key} is not a key of [service]{hint}")
        _require_kind(key, value, where=where)
        if key in known:
            values[key] = float(value) if key in _TIMES else value
    if "iteration_s" not in values:
        raise CatalogueError(
            f"{where}: iteration_s is missing; give the seconds of an empty iteration"
        )
    try:
        return Service(**values)
    except InputError as error:
        raise CatalogueError(f"{where}: {error}") from error


def _require_kind(key: str, value: object, *, where: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    for keys, ok, rule in (
        (_TIMES, number, "a number of seconds"),
        (_COUNTS, number and isinstance(value, int), "a whole number"),
        (_WORDS, isinstance(value, str), "text"),
        (_FLAGS, isinstance(value, bool), "true or false"),
    ):
        if key in keys and not ok:
            raise CatalogueError(f"{where}: {key} is {value!r}; must be {rule}")
