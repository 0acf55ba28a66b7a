"""How things are timed, and on what: best and median of repeats, and the machine in one line."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Timing:
    """Best and median of repeats, in seconds."""

    best_s: float
    median_s: float


def timed(action: Callable[[], object], *, repeats: int = 5) -> Timing:
    """Return how long an action takes. Whatever it needs once (compiling) must have happened."""
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        action()
        seconds.append(perf_counter() - start)
    return Timing(min(seconds), statistics.median(seconds))


def machine() -> str:
    """Return the processor and its number of cores that may be used."""
    model = platform.processor() or platform.machine()
    details = Path("/proc/cpuinfo")
    if details.exists():
        names = [line for line in details.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {usable} cores"
