"""How a cell says when: SQL that turns dates and numbers of any unit into exact instants.

An instant is a whole number of nanoseconds (dates) or a decimal whose last place is a tick
(numbers), never a float: a day in seconds has no room for ticks in 53 bits. It knows one cell.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulations.errors import TraceError
from simulations.ticks import TICKS_PER_S

TICKS_PER_UNIT = {
    "ns": TICKS_PER_S // 10**9,
    "us": TICKS_PER_S // 10**6,
    "ms": TICKS_PER_S // 10**3,
    "s": TICKS_PER_S,
    "min": TICKS_PER_S * 60,
    "h": TICKS_PER_S * 3600,
}

NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
"""How the names of DuckDB's numeric types begin, after a `U` for the unsigned ones."""


@dataclass(frozen=True, slots=True)
class Clock:
    """One way of reading an arrival.

    Args:
        slow: SQL with `{cell}` for the cell; NULL where it cannot be read.
        ticks_per_instant: what 1 of an instant's last place is worth.
        decimals: places of the instant; 0 where it is a BIGINT.
        must_be: what a good cell looks like, for errors.
        quick: SQL for the usual forms of text alone, NULL for any other; tried before `slow`.
    """

    slow: str
    ticks_per_instant: int
    decimals: int
    must_be: str
    quick: str | None = None

    @property
    def instant(self) -> str:
        """SQL with `{cell}` for the cell; NULL where it cannot be read."""
        return self.slow if self.quick is None else f"coalesce({self.quick}, {self.slow})"

    @property
    def has_date(self) -> bool:
        """Whether instants count from 1970-01-01 UTC."""
        return self.decimals == 0


DATES = Clock("epoch_ns(TRY_CAST({cell} AS TIMESTAMP_NS))", 100, 0, "a date and time")

_ZONELESS = ", ".join(
    f"'%Y-%m-%d{gap}%H:%M:%S{fraction}{zone}'"
    for zone in ("", "+00:00", "Z")
    for gap in (" ", "T")
    for fraction in (".%n", "")
)

_1900_NS = -2_208_988_800 * 10**9

DATES_AS_TEXT = Clock(
    # DuckDB's type of nanoseconds reads an offset and ignores it, and the one with zones has only
    # microseconds: together they give both, at four times the cost.
    "epoch_ns(TRY_CAST({cell} AS TIMESTAMP_NS)) "
    "+ (epoch_us(TRY_CAST({cell} AS TIMESTAMPTZ)) - epoch_us(TRY_CAST({cell} AS TIMESTAMP)))"
    " * 1000",
    100,
    0,
    "a date and time such as 2023-11-16 18:15:46.6805900",
    # What is of these very forms is UTC. The words infinity and epoch are read as 1900.
    quick=f"nullif(epoch_ns(try_strptime({{cell}}, [{_ZONELESS}])), {_1900_NS})",
)

HAS_ZONE = (
    "CASE WHEN quick IS NULL THEN NOT regexp_matches(trim({cell}), '^[^T ]*([T ][0-9:.]*)?$') "
    "WHEN suffix({cell}, 'Z') THEN true ELSE contains({cell}, '+') END"
)
"""SQL that says of a readable date as text whether it has a zone; `quick` is what that clock reads."""


def numbers(unit: str) -> Clock:
    """Return the clock of numbers in a unit.

    Raises:
        TraceError: the unit is none of `TICKS_PER_UNIT`.

    >>> numbers("ms").decimals
    8
    """
    if unit not in TICKS_PER_UNIT:
        raise TraceError(f"time unit is {unit!r}; must be one of {', '.join(TICKS_PER_UNIT)}")
    decimals = {"ms": 8, "us": 5, "ns": 2}.get(unit, 11)
    seconds = TICKS_PER_UNIT[unit] // TICKS_PER_S
    instant = f"TRY_CAST({{cell}} AS DECIMAL(38, {decimals}))"
    if seconds > 1:
        instant = (
            f"CAST(TRY_CAST({{cell}} AS DECIMAL(30, 13)) * CAST({seconds} AS DECIMAL(4, 0)) "
            f"AS DECIMAL(38, {decimals}))"
        )
    return Clock(instant, 1, decimals, f"a number of {unit}")


def is_number(sql_type: str) -> bool:
    """Return whether a column's type is a number.

    >>> is_number("UBIGINT"), is_number("DECIMAL(18,6)"), is_number("TIMESTAMP")
    (True, True, False)
    """
    return sql_type.removeprefix("U").startswith(NUMBERS)
