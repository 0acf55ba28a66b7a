"""Which column means what: the layouts that are recognised, and one's own mapping.

A `Layout` is data; a new format is a new one in `formats`. It knows names only, never cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulations.errors import TraceError
from simulations.ingest.shown import shown

ROLES = {
    "arrival": "arrival",
    "input": "input_tokens",
    "output": "output_tokens",
    "cached": "cached_tokens",
    "status": "status",
    "served": "served_by",
    "requests": "requests",
    "mean_input": "input_tokens",
    "mean_output": "output_tokens",
}
"""The words of `--columns` and the fields they name; only the first three must be there."""

OPTIONAL = ("cached_tokens", "thinking_tokens", "status", "served_by", "requests")
"""Fields that are read where a file has them."""

MAPPED = "columns"
"""The name of a layout that the user described."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a format, by the names that its files give them.

    Args:
        name: what `describe` calls it.
        arrival, input_tokens, output_tokens: column names; case and outer spaces do not matter.
        cached_tokens: read where the column is there; None where the format has none.
        unit: of an arrival that is a number (a key of `clock.TICKS_PER_UNIT`); None where the
            format writes dates, so that a number is refused unless its unit is said.
        thinking_tokens: generated besides the output, to which they are added.
        status: HTTP status codes; what is not 2xx is a failed request.
        marks: further columns without which a file is not of this layout.
        zero_output_failed: whether no output means that the request failed, where others have some.
        blank_is_none: whether empty cached and thinking tokens mean none.
        no_output_is_none: whether no output was made where no row has a count of it.
        note: what is to be said of every file of this layout.
        payload: the column with answers, from which the token counts come.
        sampled: the column with the share of requests that was logged.
        served_by: the column that says which endpoint or entity answered.
        requests: of how many requests a row is the sum.
        has_means: whether token counts are means of those requests, not sums.
        since_1970: whether an arrival that is a number counts from 1970-01-01 UTC.
        unit_note: how the unit is known, or what it may be where `unit` is None.
    """

    name: str
    arrival: str
    input_tokens: str
    output_tokens: str
    cached_tokens: str | None = None
    unit: str | None = None
    thinking_tokens: str | None = None
    status: str | None = None
    marks: tuple[str, ...] = ()
    zero_output_failed: bool = False
    blank_is_none: bool = False
    note: str | None = None
    unit_note: str | None = None
    payload: str | None = None
    sampled: str | None = None
    served_by: str | None = None
    requests: str | None = None
    has_means: bool = False
    since_1970: bool = False
    no_output_is_none: bool = False

    @property
    def is_mapped(self) -> bool:
        """Whether the user described it, column by column."""
        return self.name == MAPPED

    @property
    def required(self) -> tuple[str, str, str]:
        """The names that a file must have to be of this layout."""
        return (self.arrival, self.input_tokens, self.output_tokens)

    @property
    def names(self) -> list[str]:
        """All names that it may look for."""
        more = (self.cached_tokens, self.payload, self.sampled, *self.marks)
        named = (*self.required, *more, *(getattr(self, field) for field in OPTIONAL))
        return [name for name in named if name is not None]

    def optional(self, columns: Sequence[str]) -> dict[str, str]:
        """Return field and column of what else is to be read: what is there or the user names."""
        there = {_plain(name) for name in columns}
        named = {field: getattr(self, field) for field in OPTIONAL}
        return {
            field: name
            for field, name in named.items()
            if name is not None and (self.is_mapped or _plain(name) in there)
        }

    def missing(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the required names that a file lacks.

        >>> Layout("own", "t", "in", "out").missing(["T", "in "])
        ('out',)
        """
        there = {_plain(name) for name in columns}
        return tuple(name for name in (*self.required, *self.marks) if _plain(name) not in there)


def mapped(columns: Mapping[str, str]) -> Layout:
    """Return the layout that a mapping from role to column name describes.

    Args:
        columns: keys of `ROLES`, values are column names. With `requests`, the tokens may be
            `mean_input` and `mean_output`, both of them.

    Raises:
        TraceError: a role is unknown or missing.

    >>> mapped({"arrival": "ts", "input": "in", "output": "out"}).required
    ('ts', 'in', 'out')
    """
    for role in columns:
        if role not in ROLES:
            raise TraceError(f"--columns: {shown(role)!r} is none of {', '.join(ROLES)}")
    has_means = "mean_input" in columns or "mean_output" in columns
    tokens = ("mean_input", "mean_output") if has_means else ("input", "output")
    for role in ("arrival", *tokens, *(("requests",) if has_means else ())):
        if not columns.get(role, "").strip():
            raise TraceError(f"--columns: {role} is missing; write {role}=NAME")
    if has_means and ("input" in columns or "output" in columns):
        raise TraceError("--columns: give sums of tokens (input, output) or means, not both")
    return Layout(
        MAPPED,
        columns["arrival"],
        columns[tokens[0]],
        columns[tokens[1]],
        columns.get("cached"),
        status=columns.get("status"),
        served_by=columns.get("served"),
        requests=columns.get("requests"),
        has_means=has_means,
    )


def parse_columns(text: str) -> dict[str, str]:
    """Return the mapping that `arrival=ts,input=in,output=out` writes.

    Raises:
        TraceError: an entry is no `role=name`, or a role comes twice.

    >>> parse_columns("arrival=ts, input=prompt tokens, output=out")
    {'arrival': 'ts', 'input': 'prompt tokens', 'output': 'out'}
    """
    columns: dict[str, str] = {}
    for entry in text.split(","):
        role, equals, name = (part.strip() for part in entry.partition("="))
        if not equals:
            raise TraceError(f"--columns: {shown(entry)!r} must be written role=name")
        if role in columns:
            raise TraceError(f"--columns: {shown(role)} is given twice")
        columns[role] = name
    mapped(columns)
    return columns


def position(name: str, columns: Sequence[str]) -> int:
    """Return where a column stands: by its exact name, else by its name in any case.

    Raises:
        TraceError: it is not there, or more than once.

    >>> position("Tokens", ["time", "TOKENS"])
    1
    """
    exact = [index for index, column in enumerate(columns) if column == name]
    found = exact or [i for i, column in enumerate(columns) if _plain(column) == _plain(name)]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} columns are called" if found else "there is no column"
    raise TraceError(f"{problem} {shown(name)!r}; found {listed(columns)}")


def listed(names: Sequence[str]) -> str:
    """Return names as one short line."""
    some = ", ".join(shown(name)[:60] for name in names[:20])
    return some if len(names) <= 20 else f"{some} and {len(names) - 20} more"


def _plain(name: str) -> str:
    return name.strip().casefold()
