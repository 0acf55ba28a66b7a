"""Who served a row: what a log says of it, and the names that an export of served_entities adds.

`system.serving.served_entities` has a row for each change of an entity; the latest one counts.
Source: docs.databricks.com, ai-gateway/configure-ai-gateway-endpoints, read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulations.errors import TraceError
from simulations.ingest.clock import DATES, DATES_AS_TEXT
from simulations.ingest.database import Table
from simulations.ingest.layout import listed, position
from simulations.ingest.shown import shown

ID = "served_entity_id"
CHANGED = "change_time"

NAMES = ("endpoint_name", "served_entity_name", "entity_name")
"""What an entity may be called besides its id, the endpoint first."""

N_LISTED = 5

NO_ID = "(none)"
"""How rows without an id are called."""


@dataclass(frozen=True, slots=True)
class Served:
    """One of those that served the rows of a log.

    Args:
        id: as the log has it.
        rows: of it in the log.
        names: of `NAMES`, those that are known, in that order.
    """

    id: str
    rows: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        who = " ".join(dict.fromkeys([*self.names[:1], *self.names[-1:]])) or self.id
        if self.names:
            who += f" {self.id}"
        return f"{shown(who)}: {_counted(self.rows)}"


def is_served_entities(columns: Sequence[str]) -> bool:
    """Return whether a file with such columns is an export of served_entities.

    >>> is_served_entities(["served_entity_id", "endpoint_name", "change_time"])
    True
    """
    plain = {name.strip().casefold() for name in columns}
    return {ID, CHANGED} <= plain and not plain.isdisjoint(NAMES)


def names_by_id(tables: Sequence[Table]) -> dict[str, tuple[str, ...]]:
    """Return what each entity was called last.

    Raises:
        TraceError: a column is there twice, or a file has no change that can be read.
    """
    latest: dict[str, tuple[int, tuple[str, ...]]] = {}
    for table in tables:
        plain = {name.strip().casefold() for name in table.columns}
        who, when = position(ID, table.columns), position(CHANGED, table.columns)
        clock = DATES_AS_TEXT if table.types[when] == "VARCHAR" else DATES
        cells = [
            f"CAST(c{position(name, table.columns)} AS VARCHAR)" if name in plain else "NULL"
            for name in NAMES
        ]
        rows = table.rows(
            f"SELECT CAST(c{who} AS VARCHAR), {clock.instant.format(cell=f'c{when}')}, "
            f"{', '.join(cells)} FROM {table.scan} WHERE c{who} IS NOT NULL"
        )
        for identity, changed, *names in rows:
            at = -(2**63) if changed is None else changed
            if identity not in latest or at >= latest[identity][0]:
                latest[identity] = (at, tuple(name for name in names if name))
    return {identity: names for identity, (_, names) in latest.items()}


def count_served(table: Table, cell: str, names: Mapping[str, tuple[str, ...]]) -> list[Served]:
    """Return who served the rows of a log, those with the most rows first."""
    counts = table.rows(
        f"SELECT CAST({cell} AS VARCHAR) AS who, count(*) AS n FROM {table.scan} "
        "GROUP BY who ORDER BY n DESC, who"
    )
    return [Served(who or NO_ID, n, names.get(who or NO_ID, ())) for who, n in counts]


def choose(served: Sequence[Served], wanted: str) -> list[str]:
    """Return the ids of those that are called so: by id, endpoint, name or entity.

    Raises:
        TraceError: none is.

    >>> choose([Served("e1", 5, ("chat", "llama")), Served("e2", 3, ("search",))], "chat")
    ['e1']
    """
    chosen = [one.id for one in served if wanted in (one.id, *one.names)]
    if not chosen:
        raise TraceError(
            f"nothing in it was served by {shown(wanted)!r}; found "
            f"{listed([one.names[0] if one.names else one.id for one in served])}"
        )
    return chosen


def served_notes(
    served: Sequence[Served], names: Mapping[str, tuple[str, ...]], chosen: Sequence[str]
) -> list[str]:
    """Return what is to be said of who served a log.

    Args:
        chosen: ids of those that were asked for; empty where nobody was.
    """
    notes = []
    if names:
        unknown = [one for one in served if one.id not in names]
        if unknown:
            rows = sum(one.rows for one in unknown)
            notes.append(
                f"the export of served_entities does not know who served {_counted(rows)}: "
                f"{_some(unknown)}"
            )
    if chosen:
        mine = [one for one in served if one.id in chosen]
        rest = sum(one.rows for one in served) - sum(one.rows for one in mine)
        notes.append(
            f"only what these served was read: {_some(mine)}; {_counted(rest)} are of others"
        )
    elif len(served) > 1:
        notes.append(
            f"{len(served):,} endpoints, entities or models served this log ({_some(served)}): what "
            "has capacity of its own is sized on its own; choose with --served-by NAME"
        )
    return notes


def _counted(rows: int) -> str:
    return f"{rows:,} row" if rows == 1 else f"{rows:,} rows"


def _some(served: Sequence[Served]) -> str:
    text = ", ".join(str(one) for one in served[:N_LISTED])
    rest = len(served) - N_LISTED
    return text if rest <= 0 else f"{text} and {rest:,} more"
