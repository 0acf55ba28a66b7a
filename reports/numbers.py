"""How every number is written: seconds, tokens, money, shares, counts and ranges, as plain text.

Page, table and terminal all ask here, so they agree to the digit. A number that is not
known (None, and NaN or infinity too) is written as the word given in `unknown`, never as
"nan". Knows nothing of reports, HTML or colours.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from simulations.capacity import Capacity, ModelUnits

UNKNOWN = "unknown"
"""In running text."""

MISSING = "\N{EN DASH}"
"""In a cell of a table."""


def _known(value: float | None) -> float | None:
    # NaN compares as false; beyond the limit, percent would overflow.
    return value if value is not None and abs(value) <= 1e300 else None


def _significant(value: float, digits: int = 3) -> str:
    """Return a finite number >= 0 with so many significant digits, thousands set apart.

    >>> [_significant(v) for v in (0.01234, 9.996, 123.4, 12345.6)]
    ['0.0123', '10.0', '123', '12,346']
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    if rounded >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{rounded:.{digits - 1 - math.floor(math.log10(rounded))}f}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rounded(value: float) -> float:
    """Three significant digits below 1000, so that a unit is chosen for what will be shown."""
    return float(f"{value:.3g}") if value < 1000 else value


def latency(seconds: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return a measured time with three significant digits, in ms, s, min or h.

    Args:
        seconds: a time in seconds; None when it is not known.
        unknown: what to write then.

    >>> [latency(s) for s in (0, 0.0213, 0.9996, 1.4, 113.2, 1800, None)]
    ['0 s', '21.3 ms', '1.00 s', '1.40 s', '113 s', '30.0 min', 'unknown']
    """
    known = _known(seconds)
    if known is None:
        return unknown
    sign, size = ("-" if known < 0 else ""), _rounded(abs(known))
    if size == 0:
        return "0 s"
    if size < 1e-6:
        return f"{sign}<0.001 ms"
    if size < 1:
        return f"{sign}{_significant(size * 1000)} ms"
    if size < 600:
        return f"{sign}{_significant(size)} s"
    if size < 7200:
        return f"{sign}{_significant(size / 60)} min"
    return f"{sign}{_significant(size / 3600)} h"


def duration(seconds: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return a time that somebody set, or the span of something: no digit more than needed.

    Args:
        seconds: a time in seconds; None when it is not known.
        unknown: what to write then.

    >>> [duration(s) for s in (0.5, 2.0, 155.0, 300, 3506.2, 9000, 86400, 259200)]
    ['500 ms', '2 s', '155 s', '5 min', '58.4 min', '2.5 h', '1 day', '3 days']
    """
    known = _known(seconds)
    if known is None:
        return unknown
    size = _rounded(abs(known))
    if size < 86400:
        whole_minutes = size >= 180 and size % 60 == 0
        if size < 600 and not whole_minutes:
            return _unzeroed(latency(known))
        if size < 7200:
            return _unzeroed(f"{'-' if known < 0 else ''}{_significant(size / 60)} min")
        return _unzeroed(latency(known))
    days = _trimmed(_significant(size / 86400))
    return f"{'-' if known < 0 else ''}{days} {'day' if days == '1' else 'days'}"


def _unzeroed(text: str) -> str:
    number, unit = text.rsplit(" ", 1)
    return f"{_trimmed(number)} {unit}"


def axis_seconds(seconds: float) -> str:
    """Return a round number of seconds for the tick of an axis, in ms or s.

    >>> [axis_seconds(s) for s in (0, 0.05, 1, 2.5, 1000)]
    ['0', '50 ms', '1 s', '2.5 s', '1,000 s']
    """
    if seconds == 0:
        return "0"
    if abs(seconds) < 0.9995:
        return f"{seconds * 1000:,.4g} ms"
    return f"{_trimmed(f'{seconds:,.3f}')} s"


def axis_count(value: float) -> str:
    """Return a round number for the tick of an axis: no digit more than needed.

    >>> [axis_count(v) for v in (0, 2.5, 12500, 0.0625)]
    ['0', '2.5', '12,500', '0.0625']
    """
    return f"{value:,.10g}"


def moment(text: str) -> str:
    """Return a time to the minute in UTC; what is no ISO time with a zone stays as it is.

    >>> moment("2026-11-22T18:49:33+01:00"), moment("yesterday")
    ('2026-11-22 17:49 UTC', 'yesterday')
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if found.tzinfo is None else f"{found.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(value: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return a number of things: whole ones in full, fractions with three significant digits.

    >>> [count(n) for n in (0, 7, 1234567, 3.417, 1234.5, None)]
    ['0', '7', '1,234,567', '3.42', '1,234', 'unknown']
    """
    known = _known(value)
    if known is None:
        return unknown
    if known == int(known):
        return f"{int(known):,}"
    return f"{'-' if known < 0 else ''}{_significant(abs(known))}"


def compact(value: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return a number in the fewest characters, for where there is little room: thousands as k, millions as M.

    >>> [compact(n) for n in (0, 7.25, 950, 7301, 12_345, 1_234_567, None)]
    ['0', '7.25', '950', '7.3k', '12.3k', '1.23M', 'unknown']
    """
    known = _known(value)
    if known is None:
        return unknown
    sign, size = ("-" if known < 0 else ""), abs(known)
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= factor * 0.9995:
            digits = 2 if size < 9.95 * factor and letter == "k" else 3
            return f"{sign}{_significant(size / factor, digits)}{letter}"
    return f"{sign}{_significant(size)}"


def counted(value: float | None, noun: str, *, unknown: str = UNKNOWN) -> str:
    """Return a number of things with their name, in the plural where there is not one of them.

    >>> counted(1, "chunk"), counted(1200, "request"), counted(0.5, "chunk-hour")
    ('1 chunk', '1,200 requests', '0.500 chunk-hours')
    """
    text = count(value, unknown=unknown)
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"


def tokens_per_s(value: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return a throughput.

    >>> tokens_per_s(8820), tokens_per_s(7912.4), tokens_per_s(0.25)
    ('8,820 tokens/s', '7,912 tokens/s', '0.250 tokens/s')
    """
    text = count(value, unknown="")
    return f"{text} tokens/s" if text else unknown


def usd(value: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return an amount of money: whole dollars from 100 on, cents below, more digits below a cent.

    >>> [usd(v) for v in (24310.4, 33.3, 0, 0.0042, -120.0, None)]
    ['USD 24,310', 'USD 33.30', 'USD 0', 'USD 0.0042', '-USD 120', 'unknown']
    """
    known = _known(value)
    if known is None:
        return unknown
    sign, size = ("-" if known < 0 else ""), abs(known)
    if size == 0:
        return "USD 0"
    if size >= 99.995:
        return f"{sign}USD {size:,.0f}"
    if size >= 0.01:
        return f"{sign}USD {size:.2f}"
    if size >= 1e-6:
        return f"{sign}USD {_trimmed(f'{size:.{1 - math.floor(math.log10(size))}f}')}"
    return f"{sign}USD <0.000001"


def latency_apart(before: float | None, after: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return by how much a measured time is longer or shorter than before, in time and in percent.

    >>> latency_apart(0.0886, 0.0778), latency_apart(2, 3), latency_apart(2, 2), latency_apart(None, 2)
    ('-10.8 ms (-12.2 %)', '+1.00 s (+50.0 %)', 'no change', 'unknown')
    """
    was, now = _known(before), _known(after)
    if was is None or now is None:
        return unknown
    if was == now:
        return "no change"
    sign = "+" if now > was else "-"
    text = f"{sign}{latency(abs(now - was))}"
    return f"{text} ({sign}{percent(abs(now - was) / was)})" if was > 0 else text


def usd_apart(before: float | None, after: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return what something costs more or less than before, in money and in percent.

    >>> usd_apart(7301, 16250), usd_apart(100, 80), usd_apart(5, 5), usd_apart(0, 5), usd_apart(None, 5)
    ('+USD 8,949 (+122.6 %)', '-USD 20.00 (-20.0 %)', 'no change', '+USD 5.00', 'unknown')
    """
    was, now = _known(before), _known(after)
    if was is None or now is None:
        return unknown
    if was == now:
        return "no change"
    sign = "+" if now > was else ""
    text = f"{sign}{usd(now - was)}"
    return f"{text} ({sign}{percent((now - was) / was)})" if was > 0 else text


def percent(fraction: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return a share of 1 in percent, with two digits of what separates it from 0 % or 100 %.

    Only exactly 1 is written as 100 %, and only exactly 0 as 0 %.

    >>> [percent(f) for f in (0, 0.5, 0.9874, 0.9999, 0.9999999999, 1, 0.00012, 1.25)]
    ['0 %', '50.0 %', '98.7 %', '99.990 %', '>99.99999 %', '100 %', '0.012 %', '125.0 %']
    """
    known = _known(fraction)
    if known is None:
        return unknown
    sign, size = ("-" if known < 0 else ""), abs(known)
    if size == 0:
        return "0 %"
    if size == 1:
        return f"{sign}100 %"
    if size > 1:
        return f"{sign}{max(size * 100, 100.1):,.1f} %"
    # 1 - 0.9999 is a little less than 0.0001.
    rest = float(f"{min(size, 1 - size):.6g}")
    if rest < 1e-7:
        return f"{sign}>99.99999 %" if size > 0.5 else f"{sign}<0.00001 %"
    digits = max(1, 1 - math.floor(math.log10(rest * 100)))
    return f"{sign}{size * 100:.{digits}f} %"


def percent_apart(fraction: float, other: float) -> str:
    """Return a share in percent with as many digits as set it apart from another one.

    >>> percent_apart(0.94996, 0.95), percent_apart(0.7, 0.95), percent_apart(1, 0.984)
    ('94.996 %', '70.0 %', '100 %')
    """
    short = percent(fraction)
    if fraction in (0, 1):
        return short
    for digits in range(1, 10):
        text = f"{fraction * 100:.{digits}f}"
        if len(text) + 2 >= len(short) and float(text) != float(f"{other * 100:.{digits}f}"):
            return f"{text} %" if len(text) + 2 > len(short) else short
    return short


def share(fraction: float | None, *, unknown: str = UNKNOWN) -> str:
    """Return a share that somebody set: no digit more than needed.

    >>> [share(f) for f in (0.95, 0.999, 0.001, 1)]
    ['95 %', '99.9 %', '0.1 %', '100 %']
    """
    known = _known(fraction)
    if known is None:
        return unknown
    return f"{_trimmed(f'{known * 100:.5f}')} %"


def amount(capacity: Capacity) -> str:
    """Return a capacity as it is bought: chunks, or model units.

    >>> from simulations.capacity import ModelUnits, TokenChunks
    >>> amount(TokenChunks(980, 2, 9)), amount(TokenChunks(980, 1, 1)), amount(ModelUnits(50, 150, 3250))
    ('2 to 9 chunks', '1 chunk', '150 model units')
    """
    if isinstance(capacity, ModelUnits):
        return counted(capacity.units, "model unit")
    if capacity.min_chunks == capacity.max_chunks:
        return counted(capacity.min_chunks, "chunk")
    return f"{count(capacity.min_chunks)} to {counted(capacity.max_chunks, 'chunk')}"


def throughput(capacity: Capacity) -> str:
    """Return a capacity in tokens per second, from its minimum to its maximum.

    >>> from simulations.capacity import TokenChunks
    >>> throughput(TokenChunks(980, 2, 9)), throughput(TokenChunks(980, 4, 4))
    ('1,960 to 8,820 tokens/s', '3,920 tokens/s')
    """
    low = capacity.min_chunks * capacity.rated_tokens_per_s
    high = capacity.max_chunks * capacity.rated_tokens_per_s
    return tokens_per_s(high) if low == high else f"{count(low)} to {tokens_per_s(high)}"


def short_range(capacity: Capacity) -> str:
    """Return a capacity in the fewest characters, for the labels of a figure.

    >>> from simulations.capacity import ModelUnits, TokenChunks
    >>> [short_range(c) for c in (TokenChunks(980, 2, 9), TokenChunks(980, 4, 4), ModelUnits(50, 150, 3250))]
    ['2–9', '4', '150']
    """  # noqa: RUF002
    if isinstance(capacity, ModelUnits):
        return count(capacity.units)
    if capacity.min_chunks == capacity.max_chunks:
        return count(capacity.max_chunks)
    return f"{count(capacity.min_chunks)}\N{EN DASH}{count(capacity.max_chunks)}"
