"""What `ptplan describe` prints: key numbers, and plots drawn with block characters.

Lines are laid out here and hold no escape codes of their own, so that a pipe and a screen get the same
picture. Reads the data of `describe --json`; knows neither files nor how a trace is read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.line import one_line
from planner.terminal.screen import (
    GAP,
    Line,
    console,
    labelled_lines,
    print_lines,
    table_lines,
    width_of,
    wrapped_lines,
)
from reports import numbers
from reports.trace_words import DAYS, HOURS_PER_DAY, LENGTHS, WINDOWS, began

WIDEST = 100
"""Columns of a plot at most; wider ones are no easier to read."""

LABEL_COLUMNS = 9
"""For the top of an axis: up to 9,999,999."""

RATE_ROWS = 5
HISTOGRAM_ROWS = 5
BIN_COLUMNS = 2

BARS = (" ▁▂▃▄▅▆▇█", " .:-=+*#@")
"""Filling of a cell from below, in eighths; where the terminal has no blocks, something denser."""

SHADES = ("·░▒▓█", ".:+#@")
"""Marks of a map from nothing to the most; never seen is a blank."""

PEAKS_IN_WORDS = (
    "Bins begin at the first arrival, and only full ones count. x mean: the busiest bin over the mean one. "
    "Dispersion: sample variance over mean of the bins; of requests that come at random at an even rate it "
    "is 1, of tokens then the mean square of a request's over their mean; above that they come in bursts."
)

Array = npt.NDArray[np.float64]


def show_description(data: Mapping[str, Any]) -> None:
    """Print a described trace.

    Args:
        data: what `planner.description.describe` returns; every text in it may be hostile.
    """
    out = console()
    plain = not _has_blocks(getattr(sys.stdout, "encoding", None))
    print_lines(out, [*description_lines(data, width_of(out), plain=plain), ("", "")])


def description_lines(data: Mapping[str, Any], width: int, *, plain: bool = False) -> list[Line]:
    """Return a described trace as lines with their styles.

    Args:
        data: what `planner.description.describe` returns.
        width: columns there are, at least 60.
        plain: draw with ASCII alone.
    """
    bars, shades = BARS[plain], SHADES[plain]
    room = min(width, WIDEST)
    lines: list[Line] = [*_head(data, width), ("", "")]
    for label, text in _facts(data):
        lines += labelled_lines(label, text, width)
    lines += [("", ""), *_lengths(data, width), ("", ""), *_peaks(data, width)]
    rates = data["rate_over_time"]
    if rates["t_s"]:
        lines += _rate(rates, room, bars)
    if data["load_by_hour_of_week"]:
        lines += [("", ""), ("tokens/s by hour of the week, UTC", "italic")]
        lines += _map(data["load_by_hour_of_week"], shades)
    lines += [("", ""), *_histograms(data["histograms"], room, bars)]
    if data["warnings"]:
        lines += [("", ""), ("warnings", "bold yellow")]
    for warning in data["warnings"]:
        lines += wrapped_lines(f"! {warning}", width, hanging=2)
    return lines


def _has_blocks(encoding: str | None) -> bool:
    try:
        (BARS[0] + SHADES[0]).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _head(data: Mapping[str, Any], width: int) -> list[Line]:
    start = began(data["epoch"])
    text = (
        f"{one_line(data['path'])}: {numbers.counted(data['requests'], 'request')} over "
        f"{numbers.duration(data['span_s'])}{', from ' + start if start else ''} ({data['format']})"
    )
    return wrapped_lines(text, width, style="bold")


def _facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    dropped = [f"{numbers.count(n)} {one_line(reason)}" for reason, n in data["dropped"].items()]
    rows = f"{numbers.count(data['rows_read'])} read, {numbers.count(data['rows_kept'])} kept"
    facts = [("rows", f"{rows}; left out: {', '.join(dropped) if dropped else 'none'}")]
    facts += [("", one_line(row)) for row in data["bad_rows"]]
    if data["mean_rate_per_s"] is not None:
        facts.append(
            (
                "mean rate",
                f"{numbers.count(data['mean_rate_per_s'])} requests/s, "
                f"{numbers.tokens_per_s(data['mean_tokens_per_s'])} (input and output)",
            )
        )
    gaps = numbers.count(data["interarrival_cv"])
    facts.append(("gaps", f"standard deviation over mean {gaps} (1 at random)"))
    if data["cached_fraction"]:
        facts.append(("cached", f"{numbers.percent(data['cached_fraction'])} of the input"))
    return facts


def _lengths(data: Mapping[str, Any], width: int) -> list[Line]:
    rows = [
        [f"  {what}", *(numbers.count(data[f"{what}_tokens"][key]) for key in LENGTHS)]
        for what in ("input", "output")
    ]
    return table_lines(["  tokens of a request", *LENGTHS], rows, ["", ""], width, left=(0,))


def _peaks(data: Mapping[str, Any], width: int) -> list[Line]:
    columns = (
        *("peak_requests_per_s", "peak_to_mean", "dispersion"),
        *("peak_tokens_per_s", "tokens_peak_to_mean", "tokens_dispersion"),
    )
    rows = [
        [f"  {name}", *(numbers.count(data[key][window], unknown="-") for key in columns)]
        for window, name in WINDOWS
    ]
    header = ["  peaks", "requests/s", "x mean", "dispersion"]
    table = table_lines(
        [*header, "tokens/s", "x mean", "dispersion"], rows, [""] * len(rows), width, left=(0,)
    )
    words = wrapped_lines(PEAKS_IN_WORDS, width - 2 * len(GAP), style="dim")
    return [*table, *((GAP + text, style) for text, style in words)]


def _rate(rates: Mapping[str, Any], room: int, bars: str) -> list[Line]:
    """Return both rates over time, one below the other on the same axis."""
    lines: list[Line] = []
    n_columns = room - LABEL_COLUMNS - 2 * len(GAP)
    span_s = len(rates["t_s"]) * rates["width_s"]
    for name, key in (("requests/s", "requests_per_s"), ("tokens/s", "tokens_per_s")):
        values = _resampled(np.asarray(rates[key], dtype=float), n_columns)
        title = f"{name} over time, a column is {numbers.duration(span_s / n_columns)}"
        lines += [("", ""), (title, "italic")]
        lines += _chart(values, RATE_ROWS, numbers.count(float(values.max())), bars)
        axis = "0" + numbers.duration(span_s).rjust(n_columns - 1)
        lines.append((f"{GAP}{'':>{LABEL_COLUMNS}}{GAP}{axis}", "dim"))
    return lines


def _resampled(values: Array, n: int) -> Array:
    """Return the means of n equal parts of a step function.

    >>> _resampled(np.array([3.0, 0.0]), 4).tolist(), _resampled(np.array([3.0, 0.0, 6.0]), 2).tolist()
    ([3.0, 3.0, 0.0, 0.0], [2.0, 4.0])
    """
    integral = np.append(0.0, np.cumsum(values))
    places = np.linspace(0, len(values), n + 1)
    parts: Array = np.diff(np.interp(places, np.arange(len(integral)), integral))
    # Rounding may leave a little less than nothing.
    return np.maximum(parts, 0.0) * (n / len(values))


def _chart(values: Array, rows: int, top: str, bars: str) -> list[Line]:
    """Return a chart of one column a value, the top and 0 of its axis labelled_lines."""
    drawn = _columns(values, rows, bars)
    names = [top, *[""] * (rows - 2), "0"]
    return [
        (f"{GAP}{name:>{LABEL_COLUMNS}}{GAP}{row}", "")
        for name, row in zip(names, drawn, strict=True)
    ]


def _columns(values: Array, rows: int, bars: str) -> list[str]:
    """Return columns of blocks, the highest filling all rows, the top row first.

    >>> _columns(np.array([0.0, 1.0, 3.0, 4.0]), 2, " ▁▂▃▄▅▆▇█")
    ['  ▄█', ' ▄██']
    """
    full = len(bars) - 1
    highest = float(values.max(initial=0.0))
    eighths = np.rint(values / (highest or 1.0) * rows * full).astype(int)
    # What is there at all shows.
    eighths[(values > 0) & (eighths == 0)] = 1
    return [
        "".join(bars[min(max(eighth - row * full, 0), full)] for eighth in eighths.tolist())
        for row in reversed(range(rows))
    ]


def _map(loads: Sequence[float | None], shades: str) -> list[Line]:
    """Return a row for each day, two columns an hour."""
    highest = max(load for load in loads if load is not None)
    hours = "".join(f"{hour:<6}" for hour in range(0, HOURS_PER_DAY, 3))
    lines: list[Line] = [(f"{GAP}     {hours}".rstrip(), "dim")]
    for place, day in enumerate(DAYS):
        of_day = loads[place * HOURS_PER_DAY : (place + 1) * HOURS_PER_DAY]
        row = "".join(_shade(load, highest, shades) * 2 for load in of_day)
        lines.append((f"{GAP}{day[:3]}{GAP}{row}", ""))
    steps = " ".join(shades)
    blank = "; blank: not in the recording" if None in loads else ""
    return [*lines, (f"{GAP}     {steps}  0 to {numbers.count(highest)} tokens/s{blank}", "dim")]


def _shade(load: float | None, highest: float, shades: str) -> str:
    if load is None:
        return " "
    return shades[round(load / (highest or 1.0) * (len(shades) - 1))]


def _histograms(histograms: Mapping[str, Any], room: int, bars: str) -> list[Line]:
    """Return the histograms of input and output, side by side."""
    wide = (room - 2 * len(GAP)) // 2
    blocks = []
    for what in ("input", "output"):
        histogram = histograms[f"{what}_tokens"]
        edges, counts = _coarser(histogram["edges"], histogram["counts"], wide // BIN_COLUMNS)
        share = np.asarray(counts, dtype=float) / sum(counts)
        rows = _columns(np.repeat(share, BIN_COLUMNS), HISTOGRAM_ROWS, bars)
        title = f"{what} tokens, up to {numbers.percent(float(share.max()))} a bar"
        blocks.append([title, *rows, _ticks(edges)])
    styles = ["italic", *[""] * HISTOGRAM_ROWS, "dim"]
    return [
        (f"{GAP}{left:<{wide}}{GAP}{right}".rstrip(), style)
        for left, right, style in zip(*blocks, styles, strict=True)
    ]


def _coarser(edges: Sequence[int], counts: Sequence[int], most: int) -> tuple[list[int], list[int]]:
    """Return a histogram with at most so many bins, neighbours put together; 0 tokens stay apart.

    >>> _coarser([0, 1, 2, 4, 8], [5, 1, 2, 3], 3)
    ([0, 1, 4, 8], [5, 3, 3])
    """
    zero = int(edges[0] == 0)
    together = max(1, -(-(len(counts) - zero) // max(1, most - zero)))
    first = [*range(zero), *range(zero, len(counts), together)]
    ends = [*first[1:], len(counts)]
    return [edges[i] for i in [*first, len(counts)]], [
        sum(counts[start:end]) for start, end in zip(first, ends, strict=True)
    ]


def _ticks(edges: Sequence[int]) -> str:
    """Return where the bars begin, as many names as have room, and where the last one ends."""
    text = ""
    end = numbers.count(edges[-1])
    limit = (len(edges) - 1) * BIN_COLUMNS
    for place, edge in enumerate(edges[:-1]):
        column, name = place * BIN_COLUMNS, numbers.count(edge)
        crowded = text and (column < len(text) + 1 or column + len(name) + 1 > limit - len(end))
        if not crowded:
            text = text.ljust(column) + name
    return (
        f"{text} {end}" if len(text) + 1 + len(end) > limit else text + end.rjust(limit - len(text))
    )
