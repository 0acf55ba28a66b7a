"""Autoscalers by name, and from a file. Knows only their numbers; the law itself is in laws.py."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

from simulations.errors import ScenarioError
from simulations.scenario import Autoscaler

PRESETS: dict[str, Autoscaler] = {
    "databricks": Autoscaler(),
    # Kubernetes' horizontal pod autoscaler: kubernetes.io, "Horizontal Pod Autoscaling", read 2026-11-22:
    # sync 15 s, tolerance 10 %, scale-down stabilisation 300 s, at most the larger of 4 pods and 100 % up.
    "hpa": Autoscaler(
        decide_every_s=15.0,
        up_window_s=15.0,
        down_window_s=300.0,
        tolerance=0.1,
        step_up_chunks=4,
        step_up_fraction=1.0,
        preset="hpa",
    ),
    # As many chunks as there were at the start, for ever: a range of min < max is refused.
    "fixed": Autoscaler(preset="fixed"),
}
"""Autoscalers by name; with `fixed` only ranges of min = max are considered."""


def load_autoscaler(name_or_path: str) -> Autoscaler:
    """Return a preset, or what a file says: one table [autoscaler], its keys those of `Autoscaler`.

    Raises:
        ScenarioError: there is no such preset or file, or a key or value of it is wrong.

    >>> load_autoscaler("hpa").tolerance
    0.1
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScenarioError(
            f"autoscaler is {name_or_path!r}; must be {', '.join(PRESETS)} or a file that exists"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read as an autoscaler: {error}") from error
    table = document.get("autoscaler")
    if not isinstance(table, dict):
        raise ScenarioError(f"{path} has no table [autoscaler]; put the numbers there")
    known = {field.name for field in fields(Autoscaler)}
    unknown = sorted(set(table) - known - {"source", "date"})
    if unknown:
        raise ScenarioError(
            f"{path}: unknown key {unknown[0]!r} in [autoscaler]; known are {', '.join(sorted(known))}"
        )
    preset = table.get("preset", "databricks")
    if preset not in PRESETS:
        raise ScenarioError(f"{path}: preset is {preset!r}; must be {', '.join(PRESETS)}")
    values = {key: value for key, value in table.items() if key in known and key != "preset"}
    try:
        return replace(PRESETS[preset], **values)
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from error
