"""The TOML file that describes traffic: read into a `Description`, and written from one.

A key of the file is a field of a class of this package; nothing here gives it a meaning.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

from simulations.errors import TraceError
from simulations.traffic.bursts import Bursts
from simulations.traffic.clients import Client, Clients
from simulations.traffic.description import Description
from simulations.traffic.events import Event
from simulations.traffic.lengths import LogNormal
from simulations.traffic.on_off import OnOff
from simulations.traffic.quantiles import QuantileTable
from simulations.traffic.renewal import Renewal
from simulations.traffic.seasonal import SeasonalRate
from simulations.traffic.stepped import SteppedRate
from simulations.traffic.tail import ParetoTail

MOST_BYTES = 16 << 20
"""A description larger than this is none."""


def is_description(path: str | Path) -> bool:
    """Return whether a file of traffic is a description of it, and not a log: its name ends in .toml.

    >>> is_description("office-day.toml"), is_description("office-day.csv.gz")
    (True, False)
    """
    return Path(path).suffix.lower() == ".toml"


def load_description(path: str | Path) -> Description:
    """Return what a TOML file describes.

    Raises:
        TraceError: the file cannot be read, or a key is unknown, missing or out of its range; the
            text names table.key, the value and the rule.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "calm.toml")
    ...     _ = file.write_text('''
    ...         duration_s = 3600
    ...         [rate]
    ...         weekday_mean_per_s = 2.0
    ...         [input]
    ...         median_tokens = 500
    ...         p95_tokens = 4000
    ...         [output]
    ...         mean_tokens = 200
    ...         sigma = 0.8
    ...     ''')
    ...     load_description(file).duration_s
    3600
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise TraceError(f"{path} is larger than {MOST_BYTES >> 20} MiB; that is no description")
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TraceError(f"{path} is not TOML: {error}") from None
    try:
        return _description(document, path.stem)
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from None


_Made = TypeVar("_Made")

_TABLES = ("rate", "input", "output")
_MORE_TABLES = ("bursts", "clients")
_ARRAYS = ("client", "event")
_FOR_THE_READER = {"source": str, "date": str}
_LENGTHS = {
    "median_tokens": float,
    "p95_tokens": float,
    "mean_tokens": float,
    "sigma": float,
    "quantile_fractions": list,
    "quantile_tokens": list,
    "tail_fraction": float,
    "tail_index": float,
    "min_tokens": int,
    "max_tokens": int,
}
_BURSTS = {
    "gaps": str,
    "cv": float,
    "on_mean_s": float,
    "off_mean_s": float,
    "on_to_off_ratio": float,
}
_COSINE = {
    "weekday_mean_per_s": float,
    "daily_amplitude": float,
    "peak_hour": float,
    "weekend_factor": float,
}
_STEPS = {"per_s": list, "step_s": float, "begins": str, "between": str}


def _description(document: Mapping[str, Any], name: str) -> Description:
    tables: dict[str, dict[str, Any]] = {}
    for table in _TABLES:
        content = document.get(table)
        if not isinstance(content, dict):
            raise TraceError(f"table [{table}] is missing")
        tables[table] = content
    for table in _MORE_TABLES:
        if not isinstance(document.get(table, {}), dict):
            raise TraceError(f"{table} must be a table, [{table}]")
    for table in _ARRAYS:
        rows = document.get(table, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise TraceError(f"{table} must be tables, each [[{table}]]")
    known = (*_TABLES, *_MORE_TABLES, *_ARRAYS)
    top = _taken(
        {key: value for key, value in document.items() if key not in known},
        "",
        {"name": str, "seed": int, "start": datetime, "duration_s": float},
        required=("duration_s",),
    )
    rate, growth_per_week_fraction = _rate(tables["rate"])
    inputs = _taken(tables["input"], "input.", _LENGTHS | {"cached_fraction": float})
    outputs = _taken(tables["output"], "output.", _LENGTHS | {"rank_correlation": float})
    return Description(
        rate=rate,
        growth_per_week_fraction=growth_per_week_fraction,
        cached_fraction=inputs.pop("cached_fraction", 0.0),
        rank_correlation=outputs.pop("rank_correlation", 0.0),
        input=_lengths("input", inputs),
        output=_lengths("output", outputs),
        bursts=_bursts(document.get("bursts", {}), "bursts."),
        clients=_clients(document),
        events=tuple(
            _event(row, f"event {i}: ", top.get("start"))
            for i, row in enumerate(document.get("event", []), 1)
        ),
        **{"name": name, **top},
    )


def _rate(table: Mapping[str, Any]) -> tuple[SeasonalRate | SteppedRate, float]:
    stepped = "per_s" in table
    keys: dict[str, type] = dict(_STEPS if stepped else _COSINE)
    keys["growth_per_week_fraction"] = float
    if not stepped and "step_s" in table:
        raise TraceError("rate.per_s is missing")
    required = ("per_s",) if stepped else ("weekday_mean_per_s",)
    taken = _taken(table, "rate.", keys, required=required)
    growth = taken.pop("growth_per_week_fraction", 0.0)
    if not stepped:
        return _within("rate.", SeasonalRate, **taken), growth
    rates_per_s = _numbers("rate.per_s", taken.pop("per_s"))
    return _within("rate.", SteppedRate, rates_per_s=rates_per_s, **taken), growth


def _lengths(table: str, given: dict[str, Any]) -> LogNormal | QuantileTable:
    prefix = f"{table}."
    bounds = {key: given.pop(key) for key in ("min_tokens", "max_tokens") if key in given}
    tail_index, tail_fraction = given.pop("tail_index", None), given.pop("tail_fraction", None)
    shape = set(given)
    if shape == {"quantile_fractions", "quantile_tokens"}:
        if tail_fraction is not None:
            raise TraceError(
                f"{prefix}tail_fraction is not for quantiles: the tail has what they leave"
            )
        numbers = {
            "fractions": _numbers(f"{prefix}quantile_fractions", given["quantile_fractions"]),
            "tokens": _numbers(f"{prefix}quantile_tokens", given["quantile_tokens"]),
        }
        if tail_index is None:
            return _within(prefix, QuantileTable, **numbers, **bounds)
        return _within(prefix, QuantileTable.with_tail, **numbers, **bounds, tail_index=tail_index)
    makers: dict[tuple[str, str], Callable[..., LogNormal]] = {
        ("median_tokens", "p95_tokens"): LogNormal.from_p95,
        ("mean_tokens", "sigma"): LogNormal.from_mean,
        ("median_tokens", "sigma"): LogNormal,
    }
    for keys, make in makers.items():
        if shape == set(keys):
            if (tail_index is None) != (tail_fraction is None):
                raise TraceError(f"{prefix}tail_index and tail_fraction must be given together")
            tail = (
                None
                if tail_index is None
                else _within(prefix, ParetoTail, fraction=tail_fraction, index=tail_index)
            )
            return _within(prefix, make, **given, **bounds, tail=tail)
    raise TraceError(
        f"[{table}] has {', '.join(sorted(shape)) or 'neither'}; must have median_tokens and "
        "p95_tokens, or mean_tokens and sigma, or median_tokens and sigma, or quantile_fractions "
        "and quantile_tokens"
    )


def _bursts(table: Mapping[str, Any], prefix: str) -> Bursts:
    taken = _taken(table, prefix, _BURSTS)
    gaps = {key: taken[key] for key in ("gaps", "cv") if key in taken}
    if gaps.get("gaps", "poisson") != "poisson" and "cv" not in gaps:
        raise TraceError(f"{prefix}cv is missing")
    on_off = {key: value for key, value in taken.items() if key not in gaps}
    if on_off:
        for key in ("on_mean_s", "off_mean_s", "on_to_off_ratio"):
            if key not in on_off:
                raise TraceError(f"{prefix}{key} is missing")
    return Bursts(
        _within(prefix, Renewal, **gaps), _within(prefix, OnOff, **on_off) if on_off else None
    )


def _clients(document: Mapping[str, Any]) -> Clients | tuple[Client, ...]:
    law, rows = document.get("clients"), document.get("client", [])
    if law is not None and rows:
        raise TraceError("[clients] and [[client]] are both there; give the law or the list")
    if law is not None:
        keys = {
            "n": int,
            "zipf_exponent": float,
            "n_bursty": int,
            "input_sigma": float,
            "output_sigma": float,
        }
        return _within("clients.", Clients, **_taken(law, "clients.", keys, required=("n",)))
    return tuple(_client(row, f"client {i}: ") for i, row in enumerate(rows, 1))


def _client(row: Mapping[str, Any], prefix: str) -> Client:
    keys = {"share_fraction": float, "input_factor": float, "output_factor": float}
    rest = {key: value for key, value in row.items() if key not in _BURSTS}
    taken = _taken(rest, prefix, keys, required=("share_fraction",))
    bursts = _bursts({key: row[key] for key in row if key in _BURSTS}, prefix)
    return _within(prefix, Client, **taken, bursts=bursts)


def _event(row: Mapping[str, Any], prefix: str, start: datetime | None) -> Event:
    keys = {
        "name": str,
        "at": datetime,
        "at_s": float,
        "duration_s": float,
        "factor": float,
        "ramp_s": float,
    }
    taken = _taken(row, prefix, keys, required=("duration_s", "factor"))
    at = taken.pop("at", None)
    if (at is None) == ("at_s" not in taken):
        raise TraceError(f"{prefix}give at (a date and time) or at_s (seconds after the beginning)")
    if at is not None:
        if start is None:
            raise TraceError(f"{prefix}at is {at}, and the description has no start")
        begin = start if start.tzinfo else start.replace(tzinfo=UTC)
        when = at if at.tzinfo else at.replace(tzinfo=begin.tzinfo)
        taken["at_s"] = (when - begin).total_seconds()
        if taken["at_s"] < 0:
            raise TraceError(f"{prefix}at is {at}, before the start at {start}")
    return _within(prefix, Event, **taken)


def _within(prefix: str, make: Callable[..., _Made], **given: Any) -> _Made:
    """Return what `make` makes of a table, whose name comes before the key in an error."""
    try:
        return make(**given)
    except TraceError as error:
        raise TraceError(f"{prefix}{error}") from None


def _taken(
    table: Any, prefix: str, keys: Mapping[str, type], *, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a table's values, each of the type that its key asks for; where from is for the reader."""
    taken = {}
    for key, value in table.items():
        if key in keys:
            taken[key] = _typed(f"{prefix}{key}", value, keys[key])
        elif key == "date" and isinstance(value, date):
            continue
        elif key in _FOR_THE_READER:
            _typed(f"{prefix}{key}", value, _FOR_THE_READER[key])
        else:
            raise TraceError(f"{prefix}{key} is unknown; known are {', '.join(keys)}")
    for key in required:
        if key not in table:
            raise TraceError(f"{prefix}{key} is missing")
    return taken


def _typed(key: str, value: Any, kind: type) -> Any:
    if kind is datetime and isinstance(value, date):
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or isinstance(value, bool):
        words = {
            float: "a number",
            int: "a whole number",
            str: "a text",
            datetime: "a date",
            list: "a list of numbers",
        }
        raise TraceError(f"{key} is {value!r}; must be {words[kind]}")
    return _finite(key, value) if kind is float else value


def _numbers(key: str, values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(_typed(f"{key}[{i}]", value, float)) for i, value in enumerate(values))


def _finite(key: str, value: float) -> float:
    """Return a number, refusing a whole one that no float can hold."""
    try:
        float(value)
    except OverflowError:
        raise TraceError(f"{key} has {len(str(abs(value)))} digits; must be smaller") from None
    return value


def description_text(description: Description, *, head: str = "") -> str:
    """Return a description as the text of a TOML file that is read as the same description.

    Args:
        head: a comment for the top, in lines.
    """
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    lines += [""] if lines else []
    lines += _pairs(
        name=description.name,
        seed=description.seed,
        start=description.start,
        duration_s=description.duration_s,
    )
    lines += ["", "[rate]"]
    rate = description.rate
    if isinstance(rate, SteppedRate):
        lines += _pairs(step_s=rate.step_s, begins=rate.begins, between=rate.between)
        lines += _pairs(per_s=rate.rates_per_s)
    else:
        lines += _pairs(**{key: getattr(rate, key) for key in _COSINE})
    if description.growth_per_week_fraction:
        lines += _pairs(growth_per_week_fraction=description.growth_per_week_fraction)
    if description.bursts != Bursts():
        lines += ["", "[bursts]", *_bursts_lines(description.bursts)]
    if isinstance(description.clients, Clients):
        law = description.clients
        lines += ["", "[clients]"]
        lines += _pairs(
            n=law.n,
            zipf_exponent=law.zipf_exponent,
            n_bursty=law.n_bursty,
            input_sigma=law.input_sigma,
            output_sigma=law.output_sigma,
        )
    else:
        for client in description.clients:
            lines += ["", "[[client]]", *_pairs(share_fraction=client.share_fraction)]
            factors = {"input_factor": client.input_factor, "output_factor": client.output_factor}
            lines += _pairs(**{key: value for key, value in factors.items() if value != 1})
            lines += _bursts_lines(client.bursts)
    for event in description.events:
        lines += ["", "[[event]]"]
        lines += _pairs(
            name=event.name,
            at_s=event.at_s,
            duration_s=event.duration_s,
            factor=event.factor,
            ramp_s=event.ramp_s,
        )
    lines += ["", "[input]", *_lengths_lines(description.input)]
    lines += _pairs(cached_fraction=description.cached_fraction)
    lines += ["", "[output]", *_lengths_lines(description.output)]
    lines += _pairs(rank_correlation=description.rank_correlation)
    return "\n".join(lines) + "\n"


def _bursts_lines(bursts: Bursts) -> list[str]:
    lines = _pairs(gaps=bursts.gaps.gaps)
    if bursts.gaps.gaps != "poisson":
        lines += _pairs(cv=bursts.gaps.cv)
    if bursts.on_off is not None:
        keys = ("on_mean_s", "off_mean_s", "on_to_off_ratio")
        lines += _pairs(**{key: getattr(bursts.on_off, key) for key in keys})
    return lines


def _lengths_lines(lengths: LogNormal | QuantileTable) -> list[str]:
    tail = lengths.tail
    if isinstance(lengths, QuantileTable):
        lines = _pairs(quantile_fractions=lengths.fractions, quantile_tokens=lengths.tokens)
        lines += _pairs(tail_index=None if tail is None else tail.index)
    else:
        lines = _pairs(median_tokens=lengths.median_tokens, sigma=lengths.sigma)
        if tail is not None:
            lines += _pairs(tail_fraction=tail.fraction, tail_index=tail.index)
    return lines + _pairs(min_tokens=lengths.min_tokens, max_tokens=lengths.max_tokens)


def _pairs(**pairs: Any) -> list[str]:
    """Return keys with their values, in lines; None is left out."""
    return [
        line
        for key, value in pairs.items()
        if value is not None
        for line in _value_lines(f"{key} = ", value)
    ]


def _value_lines(before: str, value: Any) -> Iterator[str]:
    if isinstance(value, tuple):
        yield f"{before}["
        for start in range(0, len(value), 8):
            yield "    " + " ".join(f"{_number(x)}," for x in value[start : start + 8])
        yield "]"
    elif isinstance(value, str):
        # A JSON text is a TOML text but for DEL, which TOML wants escaped.
        yield before + json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    elif isinstance(value, datetime):
        yield before + value.isoformat()
    else:
        yield before + _number(value)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(float(value))
