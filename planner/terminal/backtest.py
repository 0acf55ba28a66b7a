"""What `backtest` prints: a row a window, what was foretold beside what came, and how often it was kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planner.backtesting import Backtest, Window, cost_key
from planner.confidence import Spread
from planner.line import one_line
from planner.terminal.screen import Line, console, print_lines, table_lines, width_of, wrapped_lines
from reports import numbers

Writer = Callable[[float | None], str]


def show_backtest(title: str, made: Backtest) -> None:
    """Print a back-test."""
    out = console()
    width = width_of(out)
    cost, latency = cost_key(made.windows), made.latency_key
    columns: list[tuple[str, Writer, Callable[[dict[str, Any]], Any]]] = [
        ("within limits", numbers.percent, lambda figures: figures["attainment"]["all"]),
        (
            f"{latency[:4].upper()} {latency.split('_')[1]}",
            lambda seconds: numbers.latency(seconds, unknown="never"),
            lambda figures: figures[_latency_shown(latency)],
        ),
        ("USD/h", _amount, lambda figures: figures[cost])
        if cost == "usd_per_hour"
        else ("mean chunks", numbers.count, lambda figures: figures[cost]),
    ]
    header = ["  window", "range"]
    for name, _, _ in columns:
        header += [name, "foretold"]
    cells = [
        [
            f"  {_times(window)}",
            numbers.MISSING if window.capacity is None else numbers.short_range(window.capacity),
            *(
                text
                for _, write, pick in columns
                for text in (_realised(window, write, pick), _foretold(window, write, pick))
            ),
            _word(window),
        ]
        for window in made.windows
    ]
    styles = [
        "" if window.kept else "dim" if window.kept is None else "red" for window in made.windows
    ]
    lines: list[Line] = [
        *wrapped_lines(one_line(title), width, style="bold"),
        *wrapped_lines(
            f"learned from {numbers.duration(made.train_s)}, judged on the {numbers.duration(made.test_s)} after it; "
            "foretold: from the 5th to the 95th percent of futures",
            width,
        ),
        ("", ""),
        *table_lines([*header, ""], cells, styles, width, left=(0, 1, len(header))),
        ("", ""),
    ]
    for sentence in [*made.sentences(), *_spread_sentences(made, latency, cost)]:
        lines += wrapped_lines(f"- {sentence}", width, hanging=2)
    if made.left_s >= 0.1 * made.test_s:
        text = f"! the last {numbers.duration(made.left_s)} are too short to be judged on, and left out"
        lines += wrapped_lines(text, width, hanging=2)
    lines += wrapped_lines(f"the promise: {made.objective.definition}", width)
    print_lines(out, lines)


def _amount(usd: float | None) -> str:
    return numbers.usd(usd).removeprefix("USD ")


def _latency_shown(key: str) -> str:
    """Return a latency of every outcome: the nearest of its percentiles at or above a limit's."""
    metric, percentile, _ = key.split("_")
    nearest = next((p for p in (50, 90, 95) if p >= int(percentile[1:])), 99)
    return f"{metric}_p{nearest}_s"


def _times(window: Window) -> str:
    start, now, end = window.train.start_s, window.train.end_s, window.test.end_s
    return f"{_clock(start)}..{_clock(now)}..{_clock(end)}"


def _clock(seconds: float) -> str:
    """Return seconds from the beginning as days, hours and minutes.

    >>> _clock(0), _clock(1200), _clock(86400 * 2.5), _clock(59.6)
    ('0:00', '0:20', '2 d 12:00', '0:00:59')
    """
    days, rest = divmod(int(seconds), 86_400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02}" + (f":{rest % 60:02}" if rest % 60 else "")
    return f"{days} d {clock}" if days else clock


def _foretold(window: Window, write: Writer, pick: Callable[[dict[str, Any]], Any]) -> str:
    if window.foretold is None:
        return numbers.MISSING
    spread: Spread = pick(window.foretold.spreads())
    if spread.value is None:
        return "never"
    if spread.p05 is None or spread.p95 is None:
        return write(spread.value)
    low, high = write(spread.p05), write(spread.p95)
    number, unit = [*high.rsplit(" ", 1), ""][:2]
    return f"{low.removesuffix(f' {unit}') if unit else low}..{number} {unit}".rstrip()


def _realised(window: Window, write: Writer, pick: Callable[[dict[str, Any]], Any]) -> str:
    return numbers.MISSING if window.realised is None else write(pick(window.realised.figures()))


def _word(window: Window) -> str:
    if window.why is not None:
        return f"not judged: {window.why}"
    word = "kept" if window.kept else "MISSED"
    return word if window.feasible else f"no range promised; nearest {word.lower()}"


def _spread_sentences(made: Backtest, latency: str, cost: str) -> list[str]:
    """Return how often what came lay within what was foretold, for the figures of the table."""
    counts = made.shares_within()
    shown = {
        "attainment_all": "requests within all limits",
        _latency_shown(latency): _latency_shown(latency)
        .replace("_s", "")
        .replace("_", " ")
        .upper(),
        cost: "cost",
    }
    parts = [
        f"{name} in {counts[key][0]} of {counts[key][1]}"
        for key, name in shown.items()
        if key in counts
    ]
    if not parts:
        return ["One future foretells no spread; take more with --futures."]
    return [
        f"What came lay within the 5 % to 95 % foretold: {', '.join(parts)} windows; 90 % is due."
    ]
