"""recommendation.json in, the view model of a report out. The only place that knows both."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import reports
from reports import numbers
from simulations.capacity import Capacity, ModelUnits, TokenChunks
from simulations.cost import HOURS_PER_MONTH
from simulations.trace import Shape

DAY_S = 86_400

LATENCIES = [
    f"{metric}_p{percent}_s" for metric in ("ttft", "e2e", "tpot") for percent in (50, 95, 99)
]


def report_of(data: Mapping[str, Any]) -> reports.Report:
    """Return what a recommendation shows.

    Args:
        data: a recommendation as `artifacts.artifact` makes it and `artifacts.read` reads it.
    """
    outcome = data["outcome"]
    workload = data["inputs"]["workload"]
    return reports.Report(
        decision=reports.Decision(
            capacity=_capacity(data["capacity"]),
            model=_model_name(data["inputs"]),
            endpoint=data["endpoint"],
            feasible=data["feasible"],
        ),
        promise=reports.Promise(
            limits=_limits(data["objective"], outcome),
            definition=data["objective"]["definition"],
            attainment_fraction=outcome["attainment"]["all"]["value"],
            held_in=data["confidence"],
            kept_in=data["held_in"]["successes"],
            futures=data["held_in"]["futures"],
            at_least=data["held_in"]["low"],
            asked_fraction=data["objective"]["hold_in_fraction"],
        ),
        cost=_cost(data),
        inputs=reports.Inputs(
            file=workload["path"],
            sha256=workload["sha256"],
            format=workload["format"],
            n_requests=workload["requests"],
            span_s=workload["span_s"],
            dropped=workload["dropped"],
            settings=_settings(data),
        ),
        percentiles=_percentiles(outcome),
        turns=[_turn(row) for row in data.get("sensitivity", ())],
        volumes=[_volume(row) for row in data.get("break_even", ())],
        break_even_volume=data.get("break_even_from_volume"),
        asked=_asked(data),
        load_by_hour_of_week=data.get("load_by_hour_of_week"),
        request=_request(data),
        command=data["command"],
        created_at=data["created_at"],
        ptplan_version=data["ptplan_version"],
        reasons=data["reasons"],
        warnings=data["warnings"],
        next_cheaper=_cheaper(data["next_cheaper"]),
        next_safer=_safer(data["next_safer"], outcome["attainment"]["all"]["value"]),
        timeline=_timeline(data["timeline"]),
        busiest_day=_busiest_day(data["timeline"]),
        sha256=data["sha256"],
        ranges=[_range(row) for row in data["alternatives"]],
        search=f"{data['search']}: {data['search_note']}",
        baselines=[_baseline(row) for row in data["baselines"]],
        unloaded=reports.Unloaded(
            shape=_shape(data["unloaded"]["shape"]),
            ttft_s=data["unloaded"]["ttft_s"],
            tpot_s=data["unloaded"]["tpot_s"],
            e2e_s=data["unloaded"]["e2e_s"],
        ),
        assumptions=[
            reports.Assumption(
                name=row["name"],
                value=_value_text(row["value"]),
                source=row["source"],
                date=row["date"],
                assumed=row["assumed"],
            )
            for row in data["assumptions"]
        ],
    )


SERIES = ("t_s", "offered_tokens_per_s", "ready_chunks", "refused")


def _timeline(data: Mapping[str, Any]) -> reports.Timeline:
    return reports.Timeline(
        **{name: data[name] for name in SERIES},
        started_s=[event["t_s"] for event in data["events"] if event["what"] == "started"],
        released_s=[event["t_s"] for event in data["events"] if event["what"] == "released"],
        events_left_out=data["events_left_out"],
    )


def _busiest_day(data: Mapping[str, Any]) -> reports.Timeline | None:
    """Return the 24 hours with the most load, with the scale events in them."""
    day = data.get("busiest_day")
    if day is None:
        return None
    whole = _timeline(data)
    start = day["t_s"][0]

    def within(times: Sequence[float]) -> list[float]:
        return [t for t in times if start <= t < start + DAY_S]

    return reports.Timeline(
        **{name: day[name] for name in SERIES},
        started_s=within(whole.started_s),
        released_s=within(whole.released_s),
        events_left_out=whole.events_left_out,
    )


def _settings(data: Mapping[str, Any]) -> dict[str, str]:
    """Return what was asked for beside the traffic."""
    inputs = data["inputs"]
    rows = {"model": _model_name(inputs), "futures": numbers.count(inputs["futures"])}
    rows["share of futures in which it must hold"] = numbers.share(
        data["objective"]["hold_in_fraction"]
    )
    rows["seed"] = str(inputs["seed"])
    for name in ("growth", "input_factor", "output_factor"):
        if inputs[name] != 1:
            rows[name.replace("_", " ")] = f"{inputs[name]:g} times"
    return rows


def _interval(figure: Mapping[str, Any]) -> reports.Interval:
    return reports.Interval(**{key: figure[key] for key in ("low", "high", "p05", "p95")})


def _percentiles(outcome: Mapping[str, Any]) -> list[reports.Percentile]:
    rows = []
    for key, figure in outcome.items():
        found = re.fullmatch(r"(ttft|tpot|e2e)_p(\d+)_s", key)
        if found:
            rows.append(
                reports.Percentile(
                    metric=found[1],  # type: ignore[arg-type]
                    percent=int(found[2]),
                    seconds=figure["value"],
                    interval=_interval(figure),
                )
            )
    return rows


def _turn(row: Mapping[str, Any]) -> reports.Turn:
    return reports.Turn(
        parameter=row["parameter"],
        sentence=row["sentence"],
        flips=row["flips_below"] is not None or row["flips_above"] is not None,
        value=row["value"],
        low=row["low"],
        high=row["high"],
        below=_flip(row["flips_below"]),
        above=_flip(row["flips_above"]),
        effect=row["effect"],
        interaction=row["interaction"],
        futures=row.get("futures", 1),
    )


def _flip(data: Mapping[str, Any] | None) -> reports.Flip | None:
    if data is None or data["at"] is None:
        return None
    return reports.Flip(at=data["at"], fails=data["becomes"] == "fails")


def _volume(row: Mapping[str, Any]) -> reports.VolumeRow:
    return reports.VolumeRow(
        volume=row["volume"],
        tokens_per_s=row["tokens_per_s"],
        capacity=None if row["capacity"] is None else _capacity(row["capacity"]),
        usd_per_month=row["usd_per_month"],
        pay_per_token_usd_per_month=row["pay_per_token_usd_per_month"],
    )


def _asked(data: Mapping[str, Any]) -> list[str]:
    """Return the answers to the questions turned round, a sentence each."""
    lines = []
    if "budget" in data:
        best = data["budget"]
        held = best["held_in"]
        promises = [
            _promise_text(key, value)
            for key, value in best["promises"].items()
            if key != "max_refused_fraction"
        ]
        refused = numbers.percent(best["promises"]["max_refused_fraction"])
        lines.append(
            f"{numbers.usd(best['usd_per_month'])} a month pays at best for "
            f"{numbers.amount(_capacity(best['capacity']))} ({numbers.usd(best['cost_usd_per_month'])} a month), which "
            f"keeps the promise in {held['successes']} of {numbers.counted(held['futures'], 'future')}; it can promise "
            f"{', '.join([*promises, f'{refused} refused'])}."
        )
    if "grow_until_fails" in data:
        grown = data["grow_until_fails"]
        if grown["fails_at"] is None:
            lines.append(
                f"The range holds at {grown['growth']:g} times the traffic, and no limit was found."
            )
        else:
            failing = "refusals" if grown["limit"] == "max_refused_fraction" else grown["limit"]
            lines.append(
                f"The range survives {grown['growth']:.2f} times the traffic; at {grown['fails_at']:.2f} times it fails by "
                f"{failing.removesuffix('_s').replace('_', ' ')} (on the {grown['futures']} hardest futures)."
            )
    return lines


def _promise_text(key: str, seconds: float | None) -> str:
    metric, percent = key.removesuffix("_s").split("_p")
    if seconds is None:
        return f"no {metric.upper()} for {percent} % of requests"
    return f"{metric.upper()} within {numbers.latency(seconds)} for {percent} % of requests"


def _request(data: Mapping[str, Any]) -> reports.Request | None:
    if not data["feasible"]:
        return None
    request = data["request"]
    return reports.Request(
        method=request["method"],
        path=request["path"],
        body=json.dumps(request["body"], indent=2),
        missing=tuple(request["missing"]),
    )


def _model_name(inputs: Mapping[str, Any]) -> str:
    version = inputs["model_version"]
    return f"{inputs['model']}:{version}" if version else str(inputs["model"])


def _shape(text: str) -> Shape:
    input_tokens, output_tokens = text.split(":")
    return Shape(int(input_tokens), int(output_tokens))


def _capacity(data: Mapping[str, Any]) -> Capacity:
    if data["kind"] == "token_chunks":
        return TokenChunks(data["chunk_tokens_per_s"], data["min_chunks"], data["max_chunks"])
    return ModelUnits(
        data["unit_step"],
        data["provisioned_model_units"],
        data["tokens_per_s_per_step"],
        data["burst_scaling_enabled"],
    )


def _limits(objective: Mapping[str, Any], outcome: Mapping[str, Any]) -> list[reports.Limit]:
    limits = []
    for key, seconds in objective.items():
        found = re.fullmatch(r"(ttft|tpot|e2e)_p(\d+)_s", key)
        if found:
            percentile = int(found[2])
            reached = outcome["attainment"][key]["value"]
            limits.append(
                reports.Limit(
                    metric=found[1],  # type: ignore[arg-type]
                    limit=seconds,
                    percentile=percentile,
                    reached_fraction=reached,
                    # Both sides are the float nearest to a fraction, so this is exact; a product is not.
                    kept=reached >= percentile / 100,
                )
            )
    refused, allowed = outcome["refused_fraction"]["value"], objective["max_refused_fraction"]
    limits.append(
        reports.Limit(
            metric="refused", limit=allowed, reached_fraction=refused, kept=refused <= allowed
        )
    )
    return limits


def _cost(data: Mapping[str, Any]) -> reports.Cost:
    outcome = data["outcome"]
    span_h = data["inputs"]["workload"]["span_s"] / 3600
    hours = outcome["chunk_hours"]["value"]
    candidates = data["price"]["candidates"]
    return reports.Cost(
        chunk_hours=hours,
        usd_per_hour=outcome["usd_per_hour"]["value"],
        usd_per_month=outcome["usd_per_month"]["value"],
        interval=_interval(outcome["usd_per_month"]),
        note="730 hours, as if every hour looked like these",
        why_unknown=f"no price seen together with this {_step_noun(data['capacity'])}",
        pairings=[
            reports.Pairing(
                chunk_tokens_per_s=row["size"],
                usd_per_chunk_hour=row["usd_per_chunk_hour"],
                # What these chunk-hours cost holds only for the size that was simulated.
                usd_per_month=hours / span_h * row["usd_per_chunk_hour"] * HOURS_PER_MONTH
                if row["size"] == _size(data["capacity"])
                else None,
                note=f"{row['dbu_per_h']:g} DBU/h ({row['tier']}); size: {row['size_source']}",
            )
            for row in candidates
        ],
    )


def _step_noun(capacity: Mapping[str, Any]) -> str:
    return "chunk" if capacity["kind"] == "token_chunks" else "step of units"


def _size(capacity: Mapping[str, Any]) -> int:
    return int(capacity.get("chunk_tokens_per_s") or capacity["unit_step"])


def _cheaper(data: Mapping[str, Any] | None) -> reports.Neighbour | None:
    if data is None:
        return None
    return reports.Neighbour(
        capacity=_capacity(data["capacity"]),
        why=f"{data['why']}, most of it from {data['when']}",
        usd_per_month=data["usd_per_month"],
        chunk_hours=data["chunk_hours"],
    )


def _safer(data: Mapping[str, Any] | None, answers: float) -> reports.Neighbour | None:
    if data is None:
        return None
    return reports.Neighbour(
        capacity=_capacity(data["capacity"]),
        why=f"{numbers.percent_apart(data['attainment'], answers)} of requests keep every limit, "
        f"{numbers.percent_apart(answers, data['attainment'])} with the answer",
        usd_per_month=data["usd_per_month"],
        chunk_hours=data["chunk_hours"],
    )


def _range(row: Mapping[str, Any]) -> reports.RangeRow:
    outcome = row["outcome"]
    return reports.RangeRow(
        capacity=_capacity(row["capacity"]),
        feasible=row["feasible"],
        why=row["why"],
        chosen=row["chosen"],
        usd_per_month=outcome["usd_per_month"],
        chunk_hours=outcome["chunk_hours"],
        attainment_fraction=outcome["attainment"]["all"],
        refused_fraction=outcome["refused_fraction"],
        kept_in=row["held_in"]["successes"],
        futures=row["held_in"]["futures"],
        **{key: outcome[key] for key in LATENCIES},
    )


def _baseline(row: Mapping[str, Any]) -> reports.BaselineRow:
    outcome = row["outcome"]
    return reports.BaselineRow(
        name=row["name"],
        capacity=None if row["capacity"] is None else _capacity(row["capacity"]),
        attainment_fraction=None if outcome is None else outcome["attainment"]["all"],
        refused_fraction=None if outcome is None else outcome["refused_fraction"],
        usd_per_month=row["usd_per_month"],
        note=row["note"],
    )


def _value_text(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
