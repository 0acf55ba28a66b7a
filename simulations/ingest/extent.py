"""How long a recording was and when it began: the line that our own files carry beside the rows.

Knows no rows: the last request need not be the end, and tick 0 may or may not have a date.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np

from simulations.ticks import NEVER, TICKS_PER_S

_LINE = re.compile(
    r"ptplan trace:? span_s=(?P<span>\d{1,8}(\.\d{1,11})?)( epoch=(?P<epoch>[0-9T:.-]{19,29})Z)?"
)


@dataclass(frozen=True, slots=True)
class Extent:
    """Length of a recording, and the date of its tick 0 where there is one."""

    span_ticks: int
    epoch_ns: int | None = None

    def __str__(self) -> str:
        span = f"{self.span_ticks // TICKS_PER_S}.{self.span_ticks % TICKS_PER_S:011d}"
        line = f"ptplan trace: span_s={span.rstrip('0').rstrip('.')}"
        if self.epoch_ns is not None:
            line += f" epoch={np.datetime64(self.epoch_ns, 'ns')}Z"
        return line


def parse_extent(line: str) -> Extent | None:
    """Return what a line says of a recording's extent, or None if it is no such line.

    >>> parse_extent(str(Extent(150_000_000_000, 0)))
    Extent(span_ticks=150000000000, epoch_ns=0)
    """
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    with localcontext(prec=40):
        span_ticks = int(Decimal(match["span"]) * TICKS_PER_S)
    if span_ticks >= NEVER:
        return None
    if match["epoch"] is None:
        return Extent(span_ticks)
    try:
        return Extent(span_ticks, int(np.datetime64(match["epoch"], "ns").astype(np.int64)))
    except ValueError:
        return None
