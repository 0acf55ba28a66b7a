"""From cells to columns of whole numbers: every row is kept, or counted with the rule it breaks.

DuckDB turns text into numbers on all cores; they leave it as Arrow batches and are judged and
copied into arrays that grow. It knows the four fields, not what a file calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from simulations.ingest.clock import HAS_ZONE, Clock
from simulations.ingest.database import Table
from simulations.ingest.rules import BROKEN_LINE, LEAST, MISSING, Rule, is_plain, judge, rules
from simulations.ticks import NEVER
from simulations.trace import IntArray, TokenArray

N_PROBED = 101
"""Arrivals that are looked at beforehand."""

BLANKS = ("", "null", "none")
"""How text says that there is no number, in any case."""

CHOSEN = "chosen"
"""The variable of DuckDB that holds what `served_by` may be."""

BATCH_ROWS = 1 << 18
"""Rows that leave DuckDB at a time; larger gains nothing and costs memory."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Which cell of a row is which field.

    Args:
        arrival, input_tokens, output_tokens: c0, c1, ...
        clock: how the arrival is read.
        zero: the instant from which arrivals are counted, in the clock's last place; near the
            file's first, so that differences fit into 64 bits whatever the epoch.
        cached_tokens, thinking_tokens, status: c0, c1, ... or None.
        zero_means_failed: the counts of tokens that are all 0 where a request failed.
        blank_is_none: the counts of which an empty cell means 0.
        served_by: cell that is looked up in the variable `CHOSEN`, where rows are chosen.
        requests: of how many requests a row is the sum, else None.
        has_means: whether token counts are means of those, not sums.
        since_1970: whether numbers of the clock count from 1970-01-01 UTC.
    """

    arrival: str
    input_tokens: str
    output_tokens: str
    clock: Clock
    zero: int
    cached_tokens: str | None = None
    thinking_tokens: str | None = None
    status: str | None = None
    zero_means_failed: tuple[str, ...] = ()
    blank_is_none: tuple[str, ...] = ()
    served_by: str | None = None
    requests: str | None = None
    has_means: bool = False
    since_1970: bool = False

    @property
    def tokens(self) -> list[str]:
        """The fields that count tokens."""
        return [name for name in LEAST if getattr(self, name) is not None]

    @property
    def numbers(self) -> list[str]:
        """The fields that are numbers: tokens, and what else there is."""
        others = ("requests", "status")
        return self.tokens + [name for name in others if getattr(self, name) is not None]

    @property
    def rules(self) -> list[Rule]:
        """The rules of a row, in the order in which they are tried."""
        return rules(
            self.tokens,
            arrival_must_be=self.clock.must_be,
            has_status=self.status is not None,
            zero_means_failed=self.zero_means_failed,
            has_choice=self.served_by is not None,
            has_sums=self.requests is not None,
        )

    def of(self, subject: str) -> str:
        """Return the cell of a field."""
        return str(getattr(self, subject))


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read: columns of the rows kept, and what became of the others.

    Args:
        arrival_ticks: int64[n] after `Cells.zero`, in the file's order.
        input_tokens, output_tokens, cached_tokens: int32[n]; cached is None without a column,
            output includes thinking. int64 where a row is a sum.
        requests: int64[n], where a row is a sum.
        n_zoned, n_zoneless: arrivals as text that can be read, with a zone and without.
        broken: (rule, rows that broke it) for each rule that was broken.
        first_broken: (ordinal, rule) of the first few, counted from 0; failures are not among them.
    """

    arrival_ticks: IntArray
    input_tokens: TokenArray | IntArray
    output_tokens: TokenArray | IntArray
    cached_tokens: TokenArray | IntArray | None
    broken: Sequence[tuple[Rule, int]]
    first_broken: Sequence[tuple[int, Rule]]
    requests: IntArray | None = None
    n_zoned: int = 0
    n_zoneless: int = 0


def probe(table: Table, cell: str, clocks: Sequence[Clock]) -> tuple[Clock, int] | None:
    """Return the first clock that reads the first readable cell, and a usual instant.

    The instant is the median of the first few, so that one that is far off does not make the others so.

    None if no cell of the column can be read by any of them.
    """
    instants = [clock.instant.format(cell=cell) for clock in clocks]
    readable = " OR ".join(f"({instant}) IS NOT NULL" for instant in instants)
    selected = ", ".join(f"CAST({instant} AS VARCHAR)" for instant in instants)
    found = table.rows(f"SELECT {selected} FROM {table.scan} WHERE {readable} LIMIT {N_PROBED}")
    if not found:
        return None
    place = next(at for at, instant in enumerate(found[0]) if instant is not None)
    with localcontext(prec=60):
        usual = sorted(Decimal(row[place]) for row in found if row[place] is not None)
        clock = clocks[place]
        return clock, int(usual[(len(usual) - 1) // 2].scaleb(clock.decimals))


def extract(
    table: Table, cells: Cells, *, n_examples: int, progress: Callable[[int], object]
) -> Rows:
    """Return every row of a file as whole numbers.

    Args:
        n_examples: how many bad rows to remember.
        progress: called now and then with the rows read so far.
    """
    judged_by = cells.rules
    only_requests = (
        cells.status is None
        and cells.served_by is None
        and cells.requests is None
        and not cells.zero_means_failed
    )
    n_rows = table.n_rows or 0
    arrivals = _Growing(np.int64, n_rows)
    names = [name for name in cells.tokens if name != "thinking_tokens"]
    if cells.requests is None:
        tokens = {name: _Growing(np.int32, n_rows) for name in names}
    else:
        tokens = {name: _Growing(np.int64, n_rows) for name in [*names, "requests"]}
    n_read = n_zoned = n_zoneless = 0
    n_broken = np.zeros(1 + len(judged_by), np.int64)
    is_fault = np.array([False, *(rule.kind == "bad" for rule in judged_by)])
    first_broken: list[tuple[int, Rule]] = []
    for batch in _batches(table, cells):
        kept: Any = slice(None)
        is_good = only_requests and is_plain(batch, cells.tokens)
        verdict = None if is_good else judge(batch, judged_by)
        if verdict is not None and verdict.any():
            kept = verdict == 0
            n_broken += np.bincount(verdict, minlength=len(n_broken))
            wrong = np.flatnonzero(is_fault[verdict])
            for at in wrong[: n_examples - len(first_broken)].tolist():
                first_broken.append((n_read + at, judged_by[verdict[at] - 1]))
        if cells.thinking_tokens is not None:
            batch["output_tokens"] = batch["output_tokens"] + batch["thinking_tokens"]
        arrivals.extend(batch["arrival_ticks"][kept])
        for name, column in tokens.items():
            column.extend(batch[name][kept])
        n_read += len(batch["arrival_fault"])
        if "has_zone" in batch:
            is_readable = batch["arrival_fault"] == 0
            n_with = int(np.count_nonzero(batch["has_zone"][is_readable]))
            n_zoned += n_with
            n_zoneless += int(np.count_nonzero(is_readable)) - n_with
        progress(n_read)
    columns = {name: column.finish() for name, column in tokens.items()}
    counts = zip(judged_by, n_broken[1:].tolist(), strict=True)
    return Rows(
        arrivals.finish(),
        columns["input_tokens"],
        columns["output_tokens"],
        columns.get("cached_tokens"),
        [(rule, count) for rule, count in counts if count],
        first_broken,
        columns.get("requests"),
        n_zoned,
        n_zoneless,
    )


def cell_of(table: Table, cell: str, ordinal: int) -> str | None:
    """Return the text of a cell, None where it is empty."""
    found = table.rows(f"SELECT CAST({cell} AS VARCHAR) FROM {table.scan} LIMIT 1 OFFSET {ordinal}")
    return found[0][0] if found else None


def _batches(table: Table, cells: Cells) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Yield batches as `rules` want them, with arrival_ticks int64 (anything in a bad row)."""
    rows, further = table.scan, ""
    fields = f"{cells.clock.slow.format(cell=cells.arrival)} AS arrival"
    if cells.clock.quick is not None:
        # On its own, so that it is computed once.
        rows = f"(SELECT *, {cells.clock.quick.format(cell=cells.arrival)} AS quick FROM {rows})"
        fields = (
            f"coalesce(quick, {cells.clock.slow.format(cell=cells.arrival)}) AS arrival, "
            f"{HAS_ZONE.format(cell=cells.arrival)} AS has_zone"
        )
        further = ", CAST(has_zone AS UTINYINT) AS has_zone"
    for name in cells.numbers:
        cell = cells.of(name)
        # No NULL leaves here, and no comparison of doubles is made: both cost DuckDB more than
        # all rules cost numpy.
        blank = 0.0 if name in cells.blank_is_none else MISSING
        is_blank = f"{cell} IS NULL"
        if table.types[int(cell[1:])] == "VARCHAR":
            # DuckDB would look at every cell for what may be NULL here.
            is_blank = f"{cell} IS NULL OR lower({cell}) IN {BLANKS}"
        otherwise = f"CASE WHEN {is_blank} THEN {blank!r}::DOUBLE ELSE 'nan'::DOUBLE END"
        fields += f", coalesce(TRY_CAST({cell} AS DOUBLE), {otherwise}) AS {name}"
    if cells.served_by is not None:
        fields += (
            f", CASE WHEN list_contains(getvariable('{CHOSEN}'), CAST({cells.served_by} AS VARCHAR)) "
            "THEN 1::DOUBLE ELSE 0::DOUBLE END AS served_by"
        )
        further += ", served_by"
    fault = (
        f"CASE WHEN {_near(cells)} THEN 0 WHEN NOT is_sound THEN {BROKEN_LINE} WHEN {cells.arrival} IS NULL THEN 1 "
        "WHEN arrival IS NULL THEN 2 ELSE 3 END"
    )
    query = (
        f"WITH fields AS (SELECT {table.is_sound} AS is_sound, {cells.arrival}, {fields} FROM {rows}) "
        f"SELECT arrival, CAST({fault} AS UTINYINT) AS arrival_fault, {', '.join(cells.numbers)}{further} "
        "FROM fields"
    )
    for batch in table.batches(query, BATCH_ROWS):
        instants = _values(batch.column("arrival"), np.int64)
        if cells.clock.decimals:
            # A decimal is its last place counted in 128 bits. The low half is enough: taken
            # modulo 2^64, the distance from zero is right wherever it fits into 64 bits.
            instants = instants[::2]
        columns = {name: _values(batch.column(name), np.float64) for name in cells.numbers}
        if cells.served_by is not None:
            columns["served_by"] = _values(batch.column("served_by"), np.float64)
        if cells.clock.quick is not None:
            columns["has_zone"] = _values(batch.column("has_zone"), np.uint8)
        if cells.has_means:
            for name in cells.tokens:
                columns[name] = _sums(columns[name], columns["requests"])
        columns["arrival_ticks"] = (
            instants - _low_half(cells.zero)
        ) * cells.clock.ticks_per_instant
        columns["arrival_fault"] = _values(batch.column("arrival_fault"), np.uint8)
        yield columns


def _values(column: Any, dtype: type) -> npt.NDArray[Any]:
    """Return the numbers of an Arrow column as they lie in memory; anything where it is NULL."""
    width = column.type.bit_width // 8
    n_words = len(column) * width // np.dtype(dtype).itemsize
    return np.frombuffer(column.buffers()[1], dtype, count=n_words, offset=column.offset * width)


def _sums(
    means: npt.NDArray[np.float64], requests: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return means times requests in whole tokens; what is no mean stays as it is."""
    with np.errstate(invalid="ignore", over="ignore"):
        good = (means >= 0) & (requests >= 0) & np.isfinite(means)
        return np.where(good, np.rint(means * requests), means)


def _low_half(number: int) -> np.int64:
    return np.uint64(number % 2**64).astype(np.int64)


def _near(cells: Cells) -> str:
    """Return SQL for an arrival whose distance from zero, in ticks, fits into 63 bits."""
    reach = (NEVER - 1) // cells.clock.ticks_per_instant
    low, high = cells.zero - reach, cells.zero + reach
    if cells.clock.decimals == 0:
        # Wider than BIGINT, the comparison would be done in 128 bits.
        low, high = max(low, -(2**63) + 1), min(high, 2**63 - 1)
    return f"arrival BETWEEN {_literal(low, cells.clock)} AND {_literal(high, cells.clock)}"


def _literal(instant: int, clock: Clock) -> str:
    if clock.decimals == 0:
        return f"CAST({instant} AS BIGINT)"
    with localcontext(prec=60):
        number = Decimal(instant).scaleb(-clock.decimals)
    return f"CAST('{number:f}' AS DECIMAL(38, {clock.decimals}))"


@dataclass(slots=True)
class _Growing:
    """An array that is appended to; a quarter of it is spare at most."""

    dtype: Any
    expected: int
    values: npt.NDArray[Any] = field(init=False)
    used: int = 0

    def __post_init__(self) -> None:
        # numpy fills what an array grows by, which costs as much as reading it.
        self.values = np.empty(self.expected, self.dtype)

    def extend(self, part: npt.NDArray[Any]) -> None:
        end = self.used + len(part)
        if end > len(self.values):
            self.values.resize(max(end, len(self.values) * 5 // 4), refcheck=False)
        np.copyto(self.values[self.used : end], part, casting="unsafe")
        self.used = end

    def finish(self) -> npt.NDArray[Any]:
        self.values.resize(self.used, refcheck=False)
        return self.values
