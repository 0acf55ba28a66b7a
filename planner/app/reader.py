"""Reading a file that a stranger sent, in a process of its own: it has a limit of time and one of memory.

`read_apart` starts it and waits; `python -m planner.app.reader` is that process. It is handed a file that has no
name of the sender's, and no secret of the environment; what it made of it comes back as plain arrays and JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from planner import files
from planner.line import one_line
from simulations.errors import InputError, PtplanError
from simulations.trace import Trace
from simulations.traffic import Description

MOST_S = 90.0
"""How long reading may take (assumed: ten million rows take half of it)."""

MOST_BYTES = 6 * 2**30
"""Address space of the process (assumed: ten million rows take 2 GB, and libraries map 2 GB more)."""

MOST_WRITTEN_BYTES = 2 * 2**30
MOST_REQUESTS = 20_000_000

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "NUMBA_CACHE_DIR", "TMPDIR")
"""Of the environment: what a Python needs, and no token."""

SIZES = ("arrival_ticks", "input_tokens", "cached_tokens", "output_tokens")


@dataclass(frozen=True, eq=False)
class Brought:
    """Traffic that somebody brought.

    Args:
        name: of the file, as its sender calls it; text, and never a path.
        trace: its requests; of a description, one draw.
        described: the description it was drawn from, None for a recording.
        facts: what `ptplan describe` says of it.
        sha256, format, dropped, notes: for the record.
        flags: how it was read, as flags of the command line.
    """

    name: str
    trace: Trace
    described: Description | None
    facts: Mapping[str, Any]
    sha256: str
    format: str
    dropped: Mapping[str, int]
    notes: tuple[str, ...]
    flags: Mapping[str, str]


def read_apart(
    path: Path,
    *,
    name: str,
    flags: Mapping[str, str],
    folder: Path,
    most_s: float = MOST_S,
    most_bytes: int = MOST_BYTES,
) -> Brought:
    """Return the traffic of a file, read by another process.

    Args:
        path: of the file; one that ends in .toml is a description.
        name: what its sender calls it.
        flags: how to read it: columns, on_bad, time_unit, aggregate, served_by.
        folder: to work in; emptied by whoever made it.
        most_s: seconds it may take.
        most_bytes: memory it may take.

    Raises:
        InputError: it is no traffic, or takes too long or too much memory.
    """
    task = {"path": str(path), "name": name, "flags": dict(flags), "folder": str(folder)}
    limits = {"most_s": most_s, "most_bytes": most_bytes}
    environment = {key: os.environ[key] for key in KEPT if key in os.environ}
    # One core reads: the other serves pages.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PTPLAN_READER": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "planner.app.reader"],
            input=json.dumps({**task, **limits}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            cwd=folder,
            env=environment,
            timeout=most_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{name}: reading took more than {most_s:g} s and was stopped; bring a shorter trace, or use ptplan "
            "recommend in a terminal"
        ) from None
    if done.returncode == 1 and done.stderr.startswith("ptplan: "):
        raise InputError(one_line(done.stderr.removeprefix("ptplan: ").strip()))
    if done.returncode:
        raise InputError(
            f"{name}: reading was ended (it may use {most_bytes >> 30} GiB of memory and {most_s:g} s); bring a "
            "shorter trace, or use ptplan recommend in a terminal"
        )
    return _brought(folder, name, path, flags)


def _brought(folder: Path, name: str, path: Path, flags: Mapping[str, str]) -> Brought:
    """Return what the process left; every array is checked as any trace is."""
    from simulations.traffic import is_description, load_description

    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    with np.load(folder / "trace.npz", allow_pickle=False) as arrays:
        columns = {key: arrays[key] for key in SIZES}
        span_ticks, epoch = int(arrays["span_ticks"]), int(arrays["epoch_ns"])
    trace = Trace(
        **columns,
        span_ticks=span_ticks,
        epoch_ns=epoch if facts.pop("has_epoch") else None,
        name=name,
    )
    return Brought(
        name=name,
        trace=trace,
        described=load_description(path) if is_description(path) else None,
        facts=facts,
        sha256=facts["sha256"],
        format=facts["format"],
        dropped=facts["dropped"],
        notes=tuple(facts.pop("notes")),
        flags=dict(flags),
    )


# ------------------------------------------------------------------------------------------ that process


def main() -> None:
    """Read the file that stdin names, leave what it holds in a folder, and say in a line what is wrong."""
    task = json.load(sys.stdin)
    _limit(task["most_s"], task["most_bytes"])
    try:
        _work(task)
    except PtplanError as error:
        # The name that the file has here says nothing to its sender.
        text = str(error).replace(task["path"], task["name"])
        text = text.replace(Path(task["path"]).name, task["name"])
        sys.stderr.write(f"ptplan: {one_line(text)}\n")
        sys.exit(1)
    except MemoryError:
        sys.exit(2)


def _limit(most_s: float, most_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(most_s) + 1, int(most_s) + 2))
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN_BYTES, MOST_WRITTEN_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _work(task: Mapping[str, Any]) -> None:
    from planner.description import describe
    from simulations.ingest import parse_columns, read, write_trace
    from simulations.traffic import generate, is_description, load_description

    path, folder, flags = Path(task["path"]), Path(task["folder"]), task["flags"]
    source: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    if is_description(path):
        drawn = folder / "drawn.parquet"
        write_trace(generate(load_description(path)), drawn)
        reading = read(drawn)
        source = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "format": "description"}
        notes = ("the traffic is generated from a description: every future is a draw of its own",)
    else:
        reading = read(
            path,
            columns=parse_columns(flags["columns"]) if flags.get("columns") else None,
            on_bad=flags.get("on_bad", "fail"),
            time_unit=flags.get("time_unit"),
            aggregate=flags.get("aggregate"),
            served_by=flags.get("served_by"),
        )
        notes = reading.notes
    trace = reading.trace
    if len(trace) > MOST_REQUESTS:
        raise InputError(
            f"{path.name} holds {len(trace):,} requests, and the app takes {MOST_REQUESTS:,}; use ptplan recommend in "
            "a terminal"
        )
    facts = describe(replace(reading, path=path))
    facts |= source | {
        "path": task["name"],
        "notes": notes,
        "has_epoch": trace.epoch_ns is not None,
    }
    files.write(folder / "facts.json", files.to_json(facts))
    with (folder / "trace.npz").open("wb") as file:
        np.savez(
            file,
            span_ticks=np.int64(trace.span_ticks),
            epoch_ns=np.int64(trace.epoch_ns or 0),
            **{key: getattr(trace, key) for key in SIZES},
        )


if __name__ == "__main__":
    main()
