"""The file that an answer becomes: recommendation.json, with a schema version and a checksum.

`artifact` turns a recommendation into plain data under the keys that users' scripts rely on; `write` puts
it in place whole or not at all; `read` refuses what was changed by hand or made by a newer version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner import explanation
from planner.break_even import crossing
from planner.confidence import Spread, spread
from planner.files import checksum as checksum
from planner.files import require_writable as require_writable
from planner.files import to_json as to_json
from planner.files import write as write
from planner.files import write_together as write_together
from planner.recommendation import Recommendation
from planner.sensitivity import Sensitivity
from simulations.capacity import Capacity, TokenChunks
from simulations.errors import InputError
from simulations.statistics import load_by_hour_of_week
from simulations.ticks import TICKS_PER_S

SCHEMA_VERSION = 1
DAY_S = 86_400
DAY_BIN_S = 300
"""Width of a bin of the busiest day."""

MOST_EVENTS = 5000
"""Scale events written out; a longer list says how many it left out."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Where the traffic came from, for the record.

    Args:
        path: as the user gave it.
        sha256: of the file's bytes.
        format: what it was read as.
        dropped: rows left out, by reason.
        notes: what reading it brought up, a sentence each.
    """

    path: str
    sha256: str
    format: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def artifact(
    made: Recommendation, workload: Workload, *, command: str, created_at: str, version: str
) -> dict[str, Any]:
    """Return a recommendation as the plain data of recommendation.json.

    Args:
        made: the recommendation.
        workload: where its traffic came from.
        command: what gives it again.
        created_at: ISO 8601; a clock is the caller's affair.
        version: of ptplan.
    """
    offer, chosen = made.offer, made.chosen
    data = {
        "schema_version": SCHEMA_VERSION,
        "ptplan_version": version,
        "created_at": created_at,
        "command": command,
        "inputs": {
            "workload": {
                "path": workload.path,
                "sha256": workload.sha256,
                "format": workload.format,
                "requests": len(made.trace),
                "span_s": made.trace.span_s,
                "dropped": dict(workload.dropped),
            },
            "model": offer.name,
            "model_version": offer.version,
            "seed": made.seed,
            "futures": made.n_futures,
            "growth": made.futures.change.growth,
            "input_factor": made.futures.change.input_factor,
            "output_factor": made.futures.change.output_factor,
        },
        "scenario": {
            "service": asdict(made.scenario.service),
            "autoscaler": asdict(made.scenario.autoscaler),
            "admission": asdict(made.scenario.admission),
            "client": asdict(made.scenario.client),
            "overflow": asdict(made.scenario.overflow),
            "start_chunks": made.scenario.start_chunks,
            "shape": str(made.scenario.shape),
        },
        "unloaded": asdict(offer.unloaded) | {"shape": str(offer.shape)},
        "objective": {
            **{limit.key: limit.seconds for limit in made.objective.limits},
            "max_refused_fraction": made.objective.max_refused_fraction,
            "hold_in_fraction": made.objective.hold_in_fraction,
            "definition": made.objective.definition,
        },
        "price": asdict(offer.price)
        | {"candidates": [asdict(pairing) | {"text": str(pairing)} for pairing in offer.pairings]},
        "feasible": made.feasible,
        "endpoint": made.endpoint,
        "capacity": capacity_data(made.capacity, offer.size_source),
        "request": made.request.as_dict(),
        "outcome": _outcome(made),
        "held_in": {
            "successes": made.held.successes,
            "futures": made.held.futures,
            "low": made.held.low,
        },
        "confidence": made.held.confidence,
        "on_the_record": made.on_the_record,
        "search": "proved" if made.found.proved else "not proved",
        "search_note": made.found.note,
        "alternatives": [
            {
                "capacity": _range(offer.capacity(trial.min_chunks, trial.max_chunks)),
                "outcome": trial.figures,
                "held_in": {
                    "successes": trial.deciding.successes,
                    "futures": trial.deciding.tried,
                },
                "feasible": trial.verdict.holds,
                "chosen": trial is chosen,
                "why": explanation.why(trial, chosen, made.objective),
            }
            for trial in made.found.trials
        ],
        "next_cheaper": _next_cheaper(made),
        "next_safer": _next_safer(made),
        "baselines": [
            {
                "name": row.name,
                "capacity": None if row.capacity is None else _range(row.capacity),
                "outcome": row.figures,
                "feasible": row.holds,
                "usd_per_month": row.usd_per_month,
                "note": row.note,
            }
            for row in made.baselines
        ],
        "timeline": _timeline(made),
        "load_by_hour_of_week": _load_by_hour(made),
        "sensitivity": [_sensitivity(row) for row in made.sensitivities],
        "break_even": [
            {
                "volume": row.volume,
                "tokens_per_s": row.tokens_per_s,
                "capacity": None if row.capacity is None else _range(offer.capacity(*row.capacity)),
                "usd_per_month": row.usd_per_month,
                "pay_per_token_usd_per_month": row.pay_per_token_usd_per_month,
            }
            for row in made.volumes
        ],
        "break_even_from_volume": crossing(made.volumes),
        **_inverse(made),
        "reasons": list(made.reasons),
        "warnings": [*workload.notes, *made.warnings],
        "assumptions": [asdict(row) for row in made.assumptions],
    }
    return {**data, "sha256": checksum(data)}


def capacity_data(capacity: Capacity, source: str) -> dict[str, Any]:
    """Return a capacity under the keys of recommendation.json."""
    return _range(capacity) | {"chunk_source": source}


def _range(capacity: Capacity) -> dict[str, Any]:
    if isinstance(capacity, TokenChunks):
        return {
            "kind": "token_chunks",
            "chunk_tokens_per_s": capacity.size_tokens_per_s,
            "min_chunks": capacity.min_chunks,
            "max_chunks": capacity.max_chunks,
            "min_provisioned_throughput": capacity.min_tokens_per_s,
            "max_provisioned_throughput": capacity.max_tokens_per_s,
        }
    return {
        "kind": "model_units",
        "unit_step": capacity.step_units,
        "provisioned_model_units": capacity.units,
        "tokens_per_s_per_step": capacity.tokens_per_s_per_step,
        "burst_scaling_enabled": capacity.burst,
    }


def figure(of: Spread) -> dict[str, Any]:
    """Return a figure over futures; unknown is null with the reason."""
    data = {"value": of.value, "low": of.low, "high": of.high, "p05": of.p05, "p95": of.p95}
    if of.value is not None:
        return data
    return data | {"reason": f"not known, or never reached, in {of.unknown} of the futures"}


def _outcome(made: Recommendation) -> dict[str, Any]:
    """Return the outcome with every figure as value, interval and spread."""
    data: dict[str, Any] = {}
    for key, value in made.figures.items():
        if isinstance(value, dict):
            data[key] = {part: figure(of) for part, of in value.items()}
        else:
            data[key] = figure(value)
    data["usd_per_month"]["extrapolated"] = True
    at_1h = [outcome.bill.usd_at_1h for outcome in made.evidence.outcomes.values()]
    data["usd_at_1h_granularity"] = figure(spread(at_1h))
    return data


def _next_cheaper(made: Recommendation) -> dict[str, Any] | None:
    near = made.next_cheaper
    if near is None:
        return None
    return {
        "capacity": _range(made.offer.capacity(near.trial.min_chunks, near.trial.max_chunks)),
        "failed_limit": near.miss.limit,
        "by": near.miss.by,
        "when": near.when,
        "when_s": near.when_s,
        "why": explanation.miss_text(near.miss, made.objective),
        "chunk_hours": near.trial.chunk_hours,
        "usd_per_month": near.trial.usd_per_month,
    }


def _next_safer(made: Recommendation) -> dict[str, Any] | None:
    near = made.next_safer
    if near is None:
        return None
    return {
        "capacity": _range(made.offer.capacity(near.trial.min_chunks, near.trial.max_chunks)),
        "attainment": near.figures["attainment"]["all"],
        "chunk_hours": near.figures["chunk_hours"],
        "usd_per_month": near.figures["usd_per_month"],
    }


def _timeline(made: Recommendation) -> dict[str, Any]:
    table = made.run.timeline()
    launches = made.run.trail.launches
    events = [
        {"t_s": int(row[f"{what}_ticks"]) / TICKS_PER_S, "what": what, "chunk": int(row["chunk"])}
        for row in launches
        for what in ("started", "ready", "draining", "released")
        if 0 < row[f"{what}_ticks"] <= made.trace.span_ticks
        and (what != "ready" or row["ready_ticks"] <= row["released_ticks"])
    ]
    events.sort(key=lambda event: (event["t_s"], event["chunk"]))
    return {
        **_series(table),
        **_busiest_day(made),
        "events": events[:MOST_EVENTS],
        "events_left_out": max(0, len(events) - MOST_EVENTS),
    }


def _series(table: pd.DataFrame) -> dict[str, Any]:
    columns = ("t_s", "offered_tokens_per_s", "ready_chunks", "refused")
    return {name: table[name].tolist() for name in columns}


def _busiest_day(made: Recommendation) -> dict[str, Any]:
    """Return the 24 hours with the most load in fine bins, where the trace is longer than a day; else nothing."""
    if made.trace.span_s <= DAY_S:
        return {}
    table = made.run.timeline(DAY_BIN_S)
    per_day = DAY_S // DAY_BIN_S
    sums = np.concatenate([[0.0], np.cumsum(table["offered_tokens_per_s"].to_numpy())])
    # It may begin on any hour, and lies within the trace.
    starts = np.arange(0, max(1, len(table) - per_day + 1), 3600 // DAY_BIN_S)
    ends = np.minimum(starts + per_day, len(table))
    first = int(starts[np.argmax(sums[ends] - sums[starts])])
    return {"busiest_day": _series(table.iloc[first : first + per_day])}


def _load_by_hour(made: Recommendation) -> list[float | None] | None:
    """Return the load of each hour of the week; None where the log has no date or spans less than two days."""
    loads = load_by_hour_of_week(made.trace)
    if loads is None:
        return None
    return [None if np.isnan(load) else float(load) for load in loads]


def _sensitivity(row: Sensitivity) -> dict[str, Any]:
    flips = {"below": row.below, "above": row.above}
    nearest = min(
        (flip for flip in flips.values() if flip is not None and row.value is not None),
        key=lambda flip: abs(np.log(flip.at / (row.value or 1.0))),
        default=None,
    )
    return {
        "parameter": row.parameter,
        "phrase": row.phrase,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "flips_at": None if nearest is None else nearest.at,
        **{
            f"flips_{side}": None
            if flip is None
            else {"at": None if row.value is None else flip.at, "becomes": flip.becomes}
            for side, flip in flips.items()
        },
        "effect": row.effect,
        "interaction": row.interaction,
        "sentence": row.sentence,
        "futures": row.futures,
    }


def _inverse(made: Recommendation) -> dict[str, Any]:
    """Return the answers to the questions turned round, where they were asked."""
    data: dict[str, Any] = {}
    if made.attainable is not None:
        best = made.attainable
        data["budget"] = {
            "usd_per_month": best.budget_usd_per_month,
            "capacity": _range(made.offer.capacity(*best.capacity)),
            "cost_usd_per_month": best.usd_per_month,
            "feasible": best.holds,
            "held_in": {"successes": best.successes, "futures": best.futures},
            "promises": best.promises,
        }
    if made.survival is not None:
        data["grow_until_fails"] = asdict(made.survival)
    return data


def read(path: Path) -> dict[str, Any]:
    """Return a recommendation from its file.

    Raises:
        InputError: it is no recommendation, was changed after it was written, or is of a newer version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); give a recommendation.json") from error
    if not isinstance(data, dict) or "capacity" not in data or "schema_version" not in data:
        raise InputError(
            f"{path} is not a recommendation; give the recommendation.json of `recommend`"
        )
    if data["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {data['schema_version']!r}, and this ptplan reads {SCHEMA_VERSION}; make it anew"
        )
    stated = data.pop("sha256", None)
    try:
        genuine = stated == checksum(data)
    except ValueError:  # a number that somebody made too large reads as infinite
        genuine = False
    if not genuine:
        raise InputError(f"{path} was changed after it was written (checksum); make it anew")
    return {**data, "sha256": stated}
