"""What several commands do with their arguments: read the traffic, ask for JSON, take a range."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.flags import TrafficFlags
from simulations.errors import InputError

Workload = Annotated[
    Path,
    typer.Argument(
        help="a file of traffic, or its description",
        metavar="WORKLOAD",
        show_default=False,
    ),
]


def require_present(workload: Path) -> None:
    """Complain of a path that is not there: before the imports of a simulation, which take seconds."""
    from simulations.ingest.shown import shown

    is_pattern = any(mark in str(workload) for mark in "*?[")
    if not (is_pattern or os.path.lexists(workload)):
        raise InputError(f"{shown(workload)}: there is no such file")


def traffic_of(
    workload: Path, flags: TrafficFlags, tell: Any, *, seed: int | None
) -> tuple[Any, Any]:
    """Return where traffic comes from, for the record, and the recording or the description."""
    from planner.artifacts import Workload as Source
    from simulations.traffic import is_description, load_description

    if is_description(workload):
        described = load_description(workload)
        digest = sha256(workload.read_bytes()).hexdigest()
        note = "the traffic is generated from a description: every future is a draw of its own"
        return Source(str(workload), digest, "description", {}, (note,)), described
    reading = read_trace(workload, flags, tell, seed=seed)
    source = Source(str(workload), reading.sha256, reading.format, reading.dropped, reading.notes)
    return source, reading.trace


def read_trace(workload: Path, flags: TrafficFlags, tell: Any, *, seed: int | None = None) -> Any:
    """Return what was read of a file, with the rows on the way told."""
    tell(f"reading {workload}")
    from simulations.ingest import parse_columns, read

    return read(
        workload,
        columns=parse_columns(flags.columns) if flags.columns else None,
        on_bad=flags.on_bad or "fail",  # type: ignore[arg-type]
        time_unit=flags.time_unit,
        aggregate=flags.aggregate,
        served_by=flags.served_by,
        served_entities=flags.served_entities,
        seed=seed or 0,
        progress=lambda rows: tell(f"reading {workload}: {rows:,} rows"),
    )


def tell_compiling(tell: Any) -> None:
    from simulations import kernel

    if not kernel.is_compiled():
        tell("compiling the simulation, once: about half a minute")


def wants_json(json: bool, output: str) -> bool:
    if output not in ("text", "json"):
        raise InputError(f"--output is {output!r}; must be text or json")
    return json or output == "json"


def capacity_of(
    offer: Any, min_chunks: int | None, max_chunks: int | None, units: int | None
) -> Any:
    """Return the capacity that simulate's flags ask for."""
    from dataclasses import replace

    from planner.question import both_or_neither

    if offer.in_units:
        if units is None or min_chunks is not None or max_chunks is not None:
            raise InputError(f"{offer.name} is sold in model units; give --units N and no range")
        return replace(offer.step, units=units)
    both = both_or_neither(min_chunks, max_chunks, "--min-chunks", "--max-chunks")
    if both is None or units is not None:
        raise InputError(
            f"{offer.name} is sold in chunks; give --min-chunks A and --max-chunks B and no --units"
        )
    return offer.capacity(*both)
