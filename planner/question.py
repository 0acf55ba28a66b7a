"""Flags in, the library's own words out: an offer, a promise, how an endpoint behaves.

The commands are thin over the library; this is the thickness. It parses units and names the flag in
every complaint; it simulates nothing and prints nothing.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from planner.flags import BehaviourFlags, ChangeFlags, ModelFlags, PromiseFlags, SearchFlags
from planner.objective import DEFAULT_MAX_REFUSED_FRACTION, Objective
from planner.offer import Offer, Tariff, make_offer
from planner.quantities import parse_duration, parse_share
from simulations.autoscalers import load_autoscaler
from simulations.errors import InputError
from simulations.outcome import Limit
from simulations.scenario import Admission, Autoscaler, Client, Overflow
from simulations.services import load_range, load_service
from simulations.trace import Shape, Trace
from simulations.traffic import Change


def objective_of(flags: PromiseFlags) -> Objective:
    """Return the promise that the flags make, or the default where they make none."""
    limits = []
    for field in fields(flags):
        text = getattr(flags, field.name)
        if field.name not in ("max_refused", "hold_in") and text is not None:
            metric, percentile = field.name.split("_p")
            flag = "--" + field.name.replace("_", "-")
            limits.append(Limit(metric, int(percentile), parse_duration(text, name=flag)))  # type: ignore[arg-type]
    refused = DEFAULT_MAX_REFUSED_FRACTION
    if flags.max_refused is not None:
        refused = parse_share(flags.max_refused, name="--max-refused")
    hold_in = 0.9 if flags.hold_in is None else parse_share(flags.hold_in, name="--hold-in")
    if not limits:
        return replace(
            Objective.default(),
            max_refused_fraction=refused,
            hold_in_fraction=hold_in,
            is_default=flags.max_refused is None,
        )
    return Objective(tuple(limits), refused, hold_in)


def change_of(flags: ChangeFlags) -> Change:
    """Return what is to be different from the recording."""
    given = {field.name: getattr(flags, field.name) for field in fields(flags)}
    return Change(**{name: value for name, value in given.items() if value is not None})


def offer_of(flags: ModelFlags) -> Offer:
    """Return what is for sale under the flags.

    Raises:
        InputError: no model is named, or something about it is not known and not given.
    """
    if flags.model is None:
        raise InputError(
            "--model is missing; give a model of the catalogue such as system.ai.llama_v3_3_70b_instruct, or your "
            "own with --chunk-tokens-per-s and --base-model or --service"
        )
    given: dict[str, Any] = {
        "cloud": flags.cloud,
        "region": flags.region or _first_region(flags.cloud),
        "tier": flags.price_tier,
        "dbu_per_chunk_hour": flags.dbu_per_chunk_hour,
        "usd_per_dbu": flags.usd_per_dbu,
        "usd_per_chunk_hour": flags.usd_per_chunk_hour,
        "input_price": flags.input_price,
        "output_price": flags.output_price,
    }
    return make_offer(
        flags.model,
        base_model=flags.base_model,
        chunk_tokens_per_s=flags.chunk_tokens_per_s,
        unit_step=flags.unit_step,
        tokens_per_s_per_step=flags.tokens_per_s_per_step,
        service=load_service(Path(flags.service)) if flags.service else None,
        shape=parse_shape(flags.shape) if flags.shape else None,
        share=flags.share or "slots",  # type: ignore[arg-type]
        tariff=Tariff(**{key: value for key, value in given.items() if value is not None}),
    )


def range_warnings(flags: ModelFlags, offer: Offer, trace: Trace) -> list[str]:
    """Return in which ways traffic leaves what the service of --service FILE was measured with."""
    measured = load_range(Path(flags.service)) if flags.service else None
    return [] if measured is None else measured.warnings(trace, offer.service)


def _first_region(cloud: str | None) -> str | None:
    """Return a region at the base price where only the cloud is named."""
    return {"azure": "eastus", "gcp": "us-central1"}.get((cloud or "").lower())


def parse_shape(text: str) -> Shape:
    """Return a shape from IN:OUT.

    >>> parse_shape("2048:256").total_tokens
    2304
    """
    parts = text.split(":")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"--shape is {text!r}; must be IN:OUT in tokens, such as 2048:256")
    return Shape(int(parts[0]), int(parts[1]))


def behaviour_of(flags: BehaviourFlags) -> dict[str, Any]:
    """Return autoscaler, admission, client and overflow as the flags have them, by keyword."""
    scaler: Autoscaler = load_autoscaler(flags.autoscaler or "databricks")
    if flags.start_delay is not None:
        scaler = replace(
            scaler, start_delay_s=parse_duration(flags.start_delay, name="--start-delay")
        )
    admission = Admission(
        queue_at=flags.queue_at or "endpoint",  # type: ignore[arg-type]
        queue_limit=parse_queue_limit(flags.queue_limit),
    )
    client = Client()
    if flags.retries is not None:
        client = replace(client, retries=flags.retries)
    if flags.deadline is not None:
        client = replace(client, deadline_s=parse_duration(flags.deadline, name="--deadline"))
    return {
        "autoscaler": scaler,
        "admission": admission,
        "client": client,
        "overflow": Overflow(flags.overflow or "retry"),  # type: ignore[arg-type]
    }


def search_of(flags: SearchFlags) -> dict[str, Any]:
    """Return what a search is told, by keyword."""
    return {
        "futures": flags.futures,
        "workers": flags.workers,
        "allow_zero": flags.allow_zero,
        "current": both_or_neither(
            flags.current_min_chunks,
            flags.current_max_chunks,
            "--current-min-chunks",
            "--current-max-chunks",
        ),
    }


def both_or_neither(
    low: int | None, high: int | None, low_name: str, high_name: str
) -> tuple[int, int] | None:
    """Return the two ends of a range, None if neither is given.

    Raises:
        InputError: one is given without the other.
    """
    if low is None and high is None:
        return None
    if low is None or high is None:
        raise InputError(
            f"{low_name if low is None else high_name} is missing; give both or neither"
        )
    return low, high


def parse_queue_limit(text: str | None) -> Any:
    """Return a queue limit: a number, "none" for no limit, or None for the default.

    >>> parse_queue_limit("none"), parse_queue_limit("12"), parse_queue_limit(None)
    ('none', 12, None)
    """
    if text is None or text == "none":
        return text
    if not text.isdecimal():
        raise InputError(f"--queue-limit is {text!r}; must be a whole number >= 1, or none")
    return int(text)
