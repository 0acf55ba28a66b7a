"""A trace becomes a description of its traffic, with the evidence of how near it comes, as plain data.

Reads no files and writes none.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from planner.line import one_line
from reports import numbers
from simulations.ingest import Reading
from simulations.traffic import description_text
from simulations.traffic.fit import fit
from simulations.traffic.fit_quality import compare

MOST_HOLES = 1000
"""Holes written out; all are counted."""


class Fitted(NamedTuple):
    """What a fit gives.

    Args:
        text: the description, a TOML file.
        data: the trace beside what the description generates, for JSON and the terminal.
    """

    text: str
    data: dict[str, Any]


def fitted(reading: Reading, *, seed: int = 0) -> Fitted:
    """Return a description fitted to a trace, and how near what it generates comes.

    Args:
        seed: >= 0, of the description.

    Raises:
        TraceError: the trace is too short.
    """
    trace = reading.trace
    name = one_line(Path(reading.path).name).partition(".")[0] or "fitted"
    found = fit(trace, name=name)
    description = replace(found.description, seed=seed)
    rows, n = compare(trace, description)
    lost_s = math.fsum(hole.length_s for hole in found.holes)
    data: dict[str, Any] = {
        "path": str(reading.path),
        "sha256": reading.sha256,
        "format": reading.format,
        "requests": len(trace),
        "span_s": trace.span_s,
        "rate": found.rate_words,
        "bursts": found.burst_words,
        "n_holes": len(found.holes),
        "holes_s": lost_s,
        "holes": [hole._asdict() for hole in found.holes[:MOST_HOLES]],
        "replications": n,
        "rows": [
            {
                "name": row.name,
                "trace": row.trace,
                "generated": row.generated,
                "low": row.low,
                "high": row.high,
                "allowed": row.allowed,
                "off": row.is_off,
                "words": row.words,
            }
            for row in rows
        ],
        "n_off": sum(row.is_off for row in rows),
        "notes": [*map(one_line, reading.notes), *_notes(found.holes, lost_s)],
    }
    return Fitted(description_text(description, head=_head(data)), data)


def _notes(holes: Any, lost_s: float) -> list[str]:
    if not holes:
        return []
    return [
        f"{numbers.counted(len(holes), 'hole')} of {numbers.duration(lost_s)} together "
        f"{'is' if len(holes) == 1 else 'are'} taken for times that were not recorded, not for times "
        "without requests; what is generated has none"
    ]


def _head(data: dict[str, Any]) -> str:
    off = [f"{row['name']} {row['words']}" for row in data["rows"] if row["off"]]
    return "\n".join(
        [
            f"Fitted by ptplan to {one_line(data['path'])}:",
            f"{numbers.counted(data['requests'], 'request')} in {numbers.duration(data['span_s'])}, "
            f"sha256 {data['sha256'][:16]}.",
            f"{data['rate'][:1].upper()}{data['rate'][1:]}; {data['bursts']}.",
            f"Off by more than a fit may be: {'; '.join(off) or 'nothing'}.",
        ]
    )
