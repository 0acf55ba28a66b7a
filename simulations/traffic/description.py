"""What traffic to generate, as data, and the TOML file that says it.

A key of the file is a field here; nothing has a meaning that is not in one of these classes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

from simulations.errors import TraceError
from simulations.ticks import NEVER, TICKS_PER_S
from simulations.trace import MAX_REQUEST_TOKENS
from simulations.traffic.lengths import LogNormal
from simulations.traffic.seasonal import DAY_S, SeasonalRate


@dataclass(frozen=True, slots=True)
class Description:
    """Traffic to be generated.

    Args:
        duration_s: length of the recording, 1 s to 1.46 years.
        rate: when requests arrive.
        input, output: how long they are.
        cached_fraction: share of every input that needs no prefill, 0 to below 1.
        start: what clock and calendar say at the beginning; hours and weekends are of its own
            offset, UTC if it has none. Without it, a Monday 00:00 without a date.
        seed: >= 0; the same seed gives the same requests.
        name: what the trace is called.

    Raises:
        TraceError: a number is out of its range.

    >>> lengths = LogNormal(100, 1.0)
    >>> Description(60.0, SeasonalRate(1.0), lengths, lengths).start_week_s
    0.0
    """

    duration_s: float
    rate: SeasonalRate
    input: LogNormal
    output: LogNormal
    cached_fraction: float = 0.0
    start: datetime | None = None
    seed: int = 0
    name: str = "generated"

    def __post_init__(self) -> None:
        limit_s = NEVER // TICKS_PER_S
        if not 1 <= self.duration_s <= limit_s:
            raise TraceError(f"duration_s is {self.duration_s}; must be from 1 to {limit_s}")
        if not 0 <= self.cached_fraction < 1:
            raise TraceError(
                f"cached_fraction is {self.cached_fraction}; must be from 0 to below 1"
            )
        if self.input.min_tokens < 1:
            raise TraceError(f"input.min_tokens is {self.input.min_tokens}; must be >= 1")
        longest = self.input.max_tokens + self.output.max_tokens
        if longest > MAX_REQUEST_TOKENS:
            raise TraceError(
                f"input.max_tokens + output.max_tokens is {longest}; must be at most "
                f"{MAX_REQUEST_TOKENS}"
            )
        if self.seed < 0:
            raise TraceError(f"seed is {self.seed}; must be >= 0")

    @property
    def start_week_s(self) -> float:
        """Seconds since Monday 00:00 at the beginning."""
        if self.start is None:
            return 0.0
        clock = self.start.time()
        day_s = clock.hour * 3600 + clock.minute * 60 + clock.second + clock.microsecond / 1e6
        return self.start.weekday() * DAY_S + day_s

    @property
    def epoch_ns(self) -> int | None:
        """Nanoseconds since 1970-01-01 UTC at the beginning, None without a date."""
        if self.start is None:
            return None
        start = self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)
        since = start - datetime(1970, 1, 1, tzinfo=UTC)
        return ((since.days * DAY_S + since.seconds) * 1_000_000 + since.microseconds) * 1000


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
    ...     load_description(file).rate.weekday_mean_per_s
    2.0
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TraceError(f"{path} is not TOML: {error}") from None
    try:
        return _description(document, path.stem)
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from None


_Made = TypeVar("_Made")

_TABLES = ("rate", "input", "output")
_LENGTHS = {
    "median_tokens": float,
    "p95_tokens": float,
    "mean_tokens": float,
    "sigma": float,
    "min_tokens": int,
    "max_tokens": int,
}


def _description(document: Mapping[str, Any], name: str) -> Description:
    tables = {table: document.get(table) for table in _TABLES}
    for table, content in tables.items():
        if not isinstance(content, dict):
            raise TraceError(f"table [{table}] is missing")
    top = _taken(
        {key: value for key, value in document.items() if key not in _TABLES},
        "",
        {"name": str, "seed": int, "start": datetime, "duration_s": float},
        required=("duration_s",),
    )
    rate = _taken(
        tables["rate"],
        "rate.",
        {
            "weekday_mean_per_s": float,
            "daily_amplitude": float,
            "peak_hour": float,
            "weekend_factor": float,
        },
        required=("weekday_mean_per_s",),
    )
    inputs = _taken(tables["input"], "input.", _LENGTHS | {"cached_fraction": float})
    cached_fraction = inputs.pop("cached_fraction", 0.0)
    outputs = _taken(tables["output"], "output.", _LENGTHS)
    return Description(
        rate=_within("rate.", SeasonalRate, **rate),
        input=_lengths("input", inputs),
        output=_lengths("output", outputs),
        cached_fraction=cached_fraction,
        **{"name": name, **top},
    )


def _lengths(table: str, given: Mapping[str, Any]) -> LogNormal:
    shape = {key for key in given if key not in ("min_tokens", "max_tokens")}
    makers = {
        ("median_tokens", "p95_tokens"): LogNormal.from_p95,
        ("mean_tokens", "sigma"): LogNormal.from_mean,
    }
    for keys, make in makers.items():
        if shape == set(keys):
            return _within(f"{table}.", make, **given)
    raise TraceError(
        f"[{table}] has {', '.join(sorted(shape)) or 'neither'}; must have median_tokens and "
        "p95_tokens, or mean_tokens and sigma"
    )


def _within(prefix: str, make: Callable[..., _Made], **given: Any) -> _Made:
    """Return what `make` makes of a table, whose name comes before the key in an error."""
    try:
        return make(**given)
    except TraceError as error:
        raise TraceError(f"{prefix}{error}") from None


def _taken(
    table: Any, prefix: str, keys: Mapping[str, type], *, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a table's values, each of the type that its key asks for."""
    for key in table:
        if key not in keys:
            raise TraceError(f"{prefix}{key} is unknown; known are {', '.join(keys)}")
    for key in required:
        if key not in table:
            raise TraceError(f"{prefix}{key} is missing")
    return {key: _typed(f"{prefix}{key}", value, keys[key]) for key, value in table.items()}


def _typed(key: str, value: Any, kind: type) -> Any:
    if kind is datetime and isinstance(value, date):
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or isinstance(value, bool):
        words = {float: "a number", int: "a whole number", str: "a text", datetime: "a date"}
        raise TraceError(f"{key} is {value!r}; must be {words[kind]}")
    return value
