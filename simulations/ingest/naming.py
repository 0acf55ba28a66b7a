"""Which columns mean what by the words in their names, where no format is known.

Only what a name says is taken: a unit that stands in it, or none, and never one by the size of the
numbers. Where two columns could be meant, none is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from simulations.errors import TraceError
from simulations.ingest.layout import Layout, listed
from simulations.ingest.shown import shown

GENERIC = "generic"
"""The name of a layout that was found by words."""

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "usec", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nsec", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
_SINCE_1970 = {"unix", "epoch"}
_ARRIVAL = {"arrival", "arrived", "timestamp", "ts", "datetime", "created", "received", "submitted"}
_BESIDE_ARRIVAL = {
    "at",
    "time",
    "date",
    "request",
    "event",
    "start",
    "started",
    "utc",
    "iso",
    "the",
}
_TIMES = {("time",), ("start", "time"), ("started", "at"), ("start",)}
_DATES = {("date", "time"), ("request", "time"), ("event", "time"), ("requested", "at")}
"""With a unit these could be how long a request took; without, they must be dates."""

_INPUT = {"input", "prompt", "context", "prefill", "request", "in"}
_OUTPUT = {"output", "completion", "generated", "generation", "response", "decode", "out"}
_BESIDE_TOKENS = {"num", "n", "number", "of", "count", "usage"}
_STATUS = {("status", "code"), ("http", "status"), ("http", "status", "code")}
_SERVED = (("endpoint", "name"), ("endpoint",), ("model", "name"), ("model",))
_COUNTS = {
    *(("requests",), ("request", "count"), ("num", "requests"), ("n", "requests")),
    *(("count",), ("n",), ("calls",), ("queries",)),
}
"""Columns that say of how many requests a row is the sum."""

Words = tuple[str, ...]


def by_words(columns: Sequence[str]) -> Layout | None:
    """Return the layout that names of columns spell, or None if they do not or not clearly.

    >>> by_words(["timestamp_s", "client_id", "PromptTokens", "num_output_tokens"]).unit
    's'
    >>> by_words(["start_time", "created", "input_tokens", "output_tokens"]) is None
    True
    """
    found = roles(columns)
    # Where a column may count requests, rows may be sums.
    if not {"arrival", "input", "output"} <= found.keys() or "requests" in found:
        return None
    unit, since_1970 = _unit_of(found["arrival"])
    said = ", ".join(
        f"{role} is {shown(name)!r}" + (f" in {unit}" if unit and role == "arrival" else "")
        for role, name in found.items()
    )
    return Layout(
        GENERIC,
        found["arrival"],
        found["input"],
        found["output"],
        found.get("cached"),
        unit=unit,
        since_1970=since_1970,
        status=found.get("status"),
        served_by=found.get("served"),
        note=f"no known format; columns were taken by the words in their names: {said}",
    )


def recognise(columns: Sequence[str], layouts: Sequence[Layout]) -> Layout:
    """Return the first layout whose columns are all there, else the one that names spell.

    Raises:
        TraceError: none fits; the text lists what was found, what the nearest lacks, what to do.
    """
    for layout in layouts:
        if not layout.missing(columns):
            return layout
    has_sums = all(layout.requests is not None for layout in layouts)
    spelt = None if has_sums else by_words(columns)
    if spelt is not None:
        return spelt
    nearest = min(layouts, key=lambda layout: len(layout.missing(columns)))
    found = _maybe(columns) | roles(columns)
    may_be_sums = has_sums or "requests" in found
    wanted = ("arrival", *(("requests",) if may_be_sums else ()), "input", "output")
    pairs = [f"{role}={found.get(role, '..')}" for role in wanted]
    more = [f"{role}={found[role]}" for role in ("cached", "status") if role in found]
    pairs += [] if may_be_sums else more
    if may_be_sums and not has_sums:
        raise TraceError(
            f"column {shown(found['requests'])!r} seems to count the requests of a row; if so, say how "
            f"long a row lasts and which is which: --aggregate minute --columns "
            f"{quoted(','.join(pairs))}; if not, leave --aggregate and requests= out"
        )
    further = "" if may_be_sums or more else "[,cached=..,status=..]"
    raise TraceError(
        f"no known layout: found columns {listed(columns)}; the nearest, {nearest.name}, lacks "
        f"{listed(nearest.missing(columns))}. Say which is which with "
        f"--columns {quoted(','.join(pairs))}{further}"
    )


def roles(columns: Sequence[str]) -> dict[str, str]:
    """Return what each column is for whose name says it, by the words of `--columns`.

    >>> roles(["Time (s)", "in_tokens", "Output Tokens", "latency_s"])
    {'arrival': 'Time (s)', 'input': 'in_tokens', 'output': 'Output Tokens'}
    """
    words = {name: _words(name) for name in columns}
    fits: dict[str, list[str]] = {
        "arrival": [name for name in columns if _is_arrival(words[name])],
        "requests": [name for name in columns if words[name] in _COUNTS],
        "input": [name for name in columns if _tokens(words[name]) in _INPUT],
        "output": [name for name in columns if _tokens(words[name]) in _OUTPUT],
        "cached": [name for name in columns if _tokens(words[name]) == "cached"],
        "status": [name for name in columns if words[name] in _STATUS],
    }
    fits["served"] = next(
        ([name for name in columns if words[name] == what] for what in _SERVED if what in words.values()),
        [],
    )  # fmt: skip
    return {role: names[0] for role, names in fits.items() if len(names) == 1}


def _maybe(columns: Sequence[str]) -> dict[str, str]:
    """Return what columns may be for, to be proposed and never taken."""
    words = {name: _words(name) for name in columns}
    fits = {
        role: [name for name in columns if len(set(words[name]) & of) and len(words[name]) <= 2]
        for role, of in (("arrival", _ARRIVAL | {"time", "date", "minute", "hour", "bucket"}), ("input", _INPUT), ("output", _OUTPUT))
    }  # fmt: skip
    return {role: names[0] for role, names in fits.items() if len(names) == 1}


def quoted(pairs: str) -> str:
    """Return what follows a flag as a shell takes it.

    >>> quoted("arrival=Request time"), quoted("arrival=t")
    ("'arrival=Request time'", 'arrival=t')
    """
    line = shown(pairs)
    if re.fullmatch(r"[\w=,./-]+", line):
        return line
    return "'" + line.replace("'", "'\\''") + "'"


def _words(name: str) -> Words:
    """Return the words of a name, of a nested one those of its last part."""
    last = name.rpartition(".")[2]
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", last).casefold()
    return tuple(re.findall(r"[^\W_]+", apart))


def _unit_of(name: str) -> tuple[str | None, bool]:
    words = _words(name)
    unit = next((_UNITS[word] for word in words[::-1] if word in _UNITS), None)
    return unit, not _SINCE_1970.isdisjoint(words)


def _is_arrival(words: Words) -> bool:
    rest = tuple(word for word in words if word not in _UNITS and word not in _SINCE_1970)
    if rest in _TIMES or (rest in _DATES and len(rest) == len(words)):
        return True
    return not _ARRIVAL.isdisjoint(rest) and set(rest) <= _ARRIVAL | _BESIDE_ARRIVAL


def _tokens(words: Words) -> str | None:
    """Return which tokens a name counts: the word beside `tokens`."""
    rest = [word for word in words if word not in _BESIDE_TOKENS]
    what = [word for word in rest if word not in ("tokens", "token")]
    if len(what) < len(rest) and "cached" in what and len(what) <= 2:
        return "cached" if {*what} <= {"cached", "input", "prompt"} else None
    is_length = rest in (["input", "length"], ["output", "length"])
    if is_length or (len(what) == 1 and len(rest) == 2):
        return what[0]
    return None
