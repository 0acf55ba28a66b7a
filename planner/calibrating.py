"""Calibration for the command line: files in, a text to write and a page to show out. Prints and writes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.flags import CalibrationFlags
from planner.question import parse_shape
from simulations.errors import InputError
from simulations.fit import Calibration, Limits, calibrate, known_limits, load_measurements
from simulations.fit.autoscaler_history import AutoscalerFit, infer_autoscaler, load_history
from simulations.fit.calibration import COVERAGE, Score
from simulations.fit.load_generators import command as measuring
from simulations.fit.load_generators import replay_lines
from simulations.fit.measurement import MeasuredLevel, Measurement
from simulations.fit.service_file import (
    autoscaler_toml,
    limits_written,
    not_told_sentences,
    service_toml,
)
from simulations.ingest import read
from simulations.scenario import Service
from simulations.services import services

REPLICATES = 30


@dataclass(frozen=True, slots=True)
class Made:
    """What a calibration gives.

    Args:
        text: of the file to write.
        page: for the terminal.
        data: the same for --json.
        warnings: sentences.
    """

    text: str
    page: str
    data: dict[str, Any]
    warnings: list[str]


def service_of(
    files: list[Path],
    flags: CalibrationFlags,
    *,
    name: str,
    created_at: str,
    version: str,
    command: str,
) -> Made:
    """Return a service fitted to files of measurements.

    Raises:
        InputError: a flag or a file cannot be used.
    """
    where = dict(_pair(text) for text in flags.where or [])
    measurements: list[Measurement] = []
    if flags.users is not None and flags.users < 1:
        raise InputError(f"--users is {flags.users}; must be >= 1")
    shape = None if flags.request_shape is None else parse_shape(flags.request_shape)
    for file in files:
        measurements += load_measurements(file, where=where or None, shape=shape, users=flags.users)
    if flags.chunks is not None and flags.chunks < 1:
        raise InputError(f"--chunks is {flags.chunks}; must be >= 1")
    replicates = REPLICATES if flags.replicates is None else flags.replicates
    if not 0 <= replicates <= 1000:
        raise InputError(f"--replicates is {replicates}; must be between 0 and 1000")
    if flags.seed is not None and not 0 <= flags.seed < 1 << 32:
        raise InputError(f"--seed is {flags.seed}; must be between 0 and 4294967295")
    limits = Limits(flags.max_sequences, flags.token_budget, flags.kv_tokens)
    made = calibrate(
        known_limits(measurements, limits, chunks=flags.chunks),
        fit_fraction=0.6 if flags.fit_fraction is None else flags.fit_fraction,
        fit_shapes=[parse_shape(text) for text in flags.fit_shape] if flags.fit_shape else None,
        replicates=replicates,
        seed=flags.seed or 0,
    )
    text = service_toml(
        made,
        name=name,
        per_chunk=flags.per_chunk,
        created_at=created_at,
        version=version,
        command=command,
    )
    return Made(text, _page(made, measurements), _data(made), _warnings(made))


def autoscaler_of(path: Path, *, date: str) -> Made:
    """Return an autoscaler fitted to a history of chunks beside load."""
    fit = infer_autoscaler(load_history(path))
    text = autoscaler_toml(fit, source=f"fitted to {path}", date=date)
    warnings = [
        "decide_every_s cannot be seen in a history and is assumed; steps and tolerance are taken to be without limit"
    ]
    return Made(text, _autoscaler_page(fit), _autoscaler_data(fit), warnings)


def measuring_command(files: list[Path], tool: str, *, out: Path) -> Made:
    """Return a trace as load generators replay it, and the command that does so."""
    if len(files) != 1:
        raise InputError(f"--measure-with takes one trace, not {len(files)} files")
    trace = read(files[0]).trace
    line, result = measuring(trace, tool, replay_file=str(out))
    page = "\n".join(
        [
            f"{len(trace):,} requests in {trace.span_s:,.0f} s, as {tool} sends them ($URL, $MODEL and $TOKENIZER are yours):",
            "",
            f"  {line}",
            "",
            "and then:",
            "",
            f"  ptplan calibrate {result} --out service.toml",
            "",
        ]
    )
    return Made(replay_lines(trace, tool), page, {"command": line, "result": result}, [])


def catalogue() -> dict[str, Any]:
    """Return the services that are known, by name."""
    return {name: asdict(measured) for name, measured in services().items()}


def catalogue_text(known: dict[str, Any]) -> str:
    """Return the services that are known as a table, with their sources once each."""
    rows: list[tuple[str, ...]] = [
        ("service", "iteration", "sequence", "context", "prefill", "KV tokens", "error")
    ]
    sources: dict[str, int] = {}
    for name, one in known.items():
        service = one["service"]
        source = service["source"].split(", median error")[0].split("; KV room")[0]
        number = sources.setdefault(source, len(sources) + 1)
        error = one["median_error_fraction"]
        rows.append(
            (
                f"{name} [{number}]",
                f"{1e3 * service['iteration_s']:.3g} ms",
                f"{1e6 * service['sequence_s']:.3g} us",
                f"{1e9 * service['context_s']:.3g} ns",
                f"{1e6 * service['prefill_s']:.3g} us",
                f"{service['kv_tokens']:,}" if service["kv_tokens"] else "-",
                "-" if error is None else f"{error:.1%}",
            )
        )
    lines = _aligned(rows)
    lines += ["", *(f"[{number}] {source}" for source, number in sources.items())]
    return "\n".join([*lines, ""])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(f"--where is {text!r}; must be COLUMN=VALUE")
    return name.strip(), value.strip()


_SHOWN = {
    "iteration_s": (1e3, "ms"),
    "sequence_s": (1e6, "us a sequence"),
    "context_s": (1e9, "ns a token of context"),
    "prefill_s": (1e6, "us a prompt token"),
    "attention_s": (1e9, "ns a pair of prompt tokens"),
    "routing_s": (1e3, "ms beyond the server"),
    "max_sequences": (1.0, "sequences"),
    "token_budget": (1.0, "tokens an iteration"),
    "kv_tokens": (1.0, "tokens of KV memory"),
}


def _page(made: Calibration, measurements: list[Measurement]) -> str:
    runs = sum(not isinstance(one, MeasuredLevel) for one in measurements)
    levels = len(measurements) - runs
    said = [f"{runs} run{'s' * (runs != 1)}"] * (runs > 0) + [
        f"{levels} level{'s' * (levels != 1)} of load"
    ] * (levels > 0)
    rows: list[tuple[str, ...]] = [("number", "value", f"{COVERAGE:.0%} interval", "", "")]
    known = {name: value for name, value in made.space.fixed.items() if value is not None}
    for name, (factor, unit) in _SHOWN.items():
        if name in made.space.free:
            value = getattr(made.candidate, name)
            interval = made.intervals.get(name)
            span, word = "", "never met" if name in made.unmet else ""
            if interval is not None:
                high = "any" if interval.high == float("inf") else _figure(factor * interval.high)
                span = f"{_figure(factor * interval.low)} to {high}"
                word = (
                    "" if interval.told else ("never met" if not interval.reached else "not told")
                )
            rows.append((name, _figure(factor * value), span, unit, word))
        elif name in known:
            rows.append((name, _figure(factor * known[name]), "given", unit, ""))
    lines = [f"fitted to {' and '.join(said)}", "", *_aligned(rows), ""]
    for title, parts in (
        ("on what was fitted", made.fitted),
        ("on what was held out", made.held_out),
    ):
        for score in parts:
            lines += [*_score_lines(title, score), ""]
    if not made.held_out:
        lines += ["nothing was held out, so nothing says how well this predicts", ""]
    return "\n".join(lines)


def _score_lines(title: str, score: Score) -> list[str]:
    if score.medians:
        parts = ", ".join(
            f"{name.upper() if name != 'all' else 'all'} {value:.1%}"
            for name, value in score.medians.items()
        )
        return [f"{title}: {score.n} figures of levels, median error {parts}"]
    lines = [
        f"{title}: {score.n} requests"
        + (
            f", each {score.e2e_error:.2%} off end to end in the mean"
            if score.e2e_error is not None
            else ""
        )
    ]
    rows: list[tuple[str, ...]] = [("predicted - measured", "mean", "p50", "p90", "p99")]
    for metric in ("ttft", "tpot", "e2e"):
        cells = [
            f"{score.errors[key]:+.1%}" if (key := f"{metric}_{statistic}") in score.errors else "-"
            for statistic in ("mean", "p50", "p90", "p99")
        ]
        if cells != ["-"] * 4:
            rows.append((metric.upper(), *cells))
    return lines + _aligned(rows)


def _warnings(made: Calibration) -> list[str]:
    found = list(made.notes)
    if len({_shape(one) for one in made.measurements}) == 1 and all(
        isinstance(one, MeasuredLevel) for one in made.measurements
    ):
        found.append(
            "every level has one token shape, which does not tell prompts from answers: measure a second shape, with "
            "long prompts and short answers"
        )
    if made.unmet:
        one = len(made.unmet) == 1
        found.append(
            f"{' and '.join(made.unmet)} {'is' if one else 'are'} not identifiable: the requests that were fitted never "
            f"met {'it' if one else 'them'}, and the value{'' if one else 's'} shown {'is' if one else 'are'} no measurement"
        )
    if made.untold:
        found.append(
            f"not told by these data: {', '.join(made.untold)}. Their values are about what published servers have; "
            "predictions within the range hold, beyond it they do not. To tell them, measure:"
        )
        found += not_told_sentences(made.untold)
    if any(
        getattr(one, "loop", "open") == "closed" or getattr(one, "users", None)
        for one in made.measurements
    ):
        found.append(
            "users waited for their answers (a closed loop): this tells the server, and nothing of how requests arrive; "
            "do not give these files to recommend as traffic"
        )
    return found


def _shape(one: Measurement) -> str:
    return str(one.shape) if isinstance(one, MeasuredLevel) else "requests"


def _data(made: Calibration) -> dict[str, Any]:
    sequences, budget, kv = limits_written(made)
    service: Service = made.candidate.service()
    return {
        "service": {
            **{
                name: getattr(service, name)
                for name in _SHOWN
                if name.endswith("_s") and name != "routing_s"
            },
            "routing_s": made.candidate.routing_s,
            "max_sequences": sequences,
            "token_budget": budget,
            "kv_tokens": kv,
        },
        "intervals": {
            name: {
                "low": one.low,
                "high": None if one.high == float("inf") else one.high,
                "told": one.told,
                "reached": one.reached,
            }
            for name, one in made.intervals.items()
        },
        "coverage": COVERAGE,
        "fitted": [asdict(score) for score in made.fitted],
        "held_out": [asdict(score) for score in made.held_out],
        "range": asdict(made.reach),
        "not_told": made.untold,
        "not_identifiable": list(made.unmet),
        "notes": list(made.notes),
    }


def _autoscaler_page(fit: AutoscalerFit) -> str:
    rows: list[tuple[str, ...]] = [("number", "value", "interval", "")]
    for name, told in fit.numbers.items():
        high = "any" if told.high == float("inf") else _figure(told.high)
        rows.append(
            (
                name,
                _figure(told.value) if told.told else "-",
                f"{_figure(told.low)} to {high}",
                "" if told.told else "not identifiable at this resolution",
            )
        )
    return "\n".join(
        [
            f"{fit.n_events} changes of the number of chunks, one reading every {fit.bin_s:g} s; the fit is "
            f"{fit.error_chunks:.2g} chunks off in the mean",
            "",
            *_aligned(rows),
            "",
        ]
    )


def _autoscaler_data(fit: AutoscalerFit) -> dict[str, Any]:
    return {
        "metric": fit.metric,
        "bin_s": fit.bin_s,
        "n_events": fit.n_events,
        "error_chunks": fit.error_chunks,
        "numbers": {
            name: {
                "value": told.value if told.told else None,
                "low": told.low,
                "high": None if told.high == float("inf") else told.high,
                "told": told.told,
            }
            for name, told in fit.numbers.items()
        },
    }


def _figure(value: float) -> str:
    return f"{round(value):,}" if value >= 1000 else f"{value:.3g}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows as lines, the first column to the left and figures to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width)
            if at == 0 or (at > 2 and not cell[:1].isdigit() and cell[:1] not in "+-")
            else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines
