"""What goes wrong on purpose: which requests, when, how. Rules only; `wire` carries them out.

A fault strikes before the handler, so that nothing has happened, or after it, so that all has happened and the
client does not know.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from simulations.errors import InputError

Kind = Literal["drop", "reset", "slow", "status", "truncate", "html", "huge", "rival"]
Moment = Literal["before", "after"]

HOST_METADATA = "/.well-known/databricks-config"
"""Clients ask for it unbidden, some before every call; a fault strikes it only where its path says so, or
`times=1` would be spent on it."""

KINDS: dict[str, str] = {
    "drop": "the connection is closed, without an answer",
    "reset": "the connection is reset (RST), without an answer",
    "slow": "the answer comes `seconds` later",
    "status": "the answer is an error of this `status`, with Retry-After where `retry_after` is given",
    "truncate": "the answer ends in its middle",
    "html": "the answer is a page of HTML with this `status`",
    "huge": "the answer is 10 MB of JSON",
    "rival": "somebody else edits the endpoint; by the control route only, with `edit`",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule.

    Args:
        kind: what happens, one of `KINDS`.
        moment: before the handler (nothing was done) or after it (all was done).
        method: of the requests that are struck; empty for any.
        path: what their path must contain; empty for any but `HOST_METADATA`.
        times: how many are struck; None for all.
        skip: how many are let through first.
        seconds: of `slow`.
        status: of `status` and `html`.
        retry_after: the header's value, of `status`.
        edit: of `rival`: name, action, config, finished.
    """

    kind: Kind
    moment: Moment = "before"
    method: str = ""
    path: str = ""
    times: int | None = None
    skip: int = 0
    seconds: float = 5.0
    status: int = 503
    retry_after: str = ""
    edit: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in _TYPES.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise InputError(f"{name} of the fault is {value!r}; must be {_CALLED[kind]}")
        if self.kind not in get_args(Kind):
            raise InputError(f"fault is {self.kind!r}; must be one of {', '.join(KINDS)}")
        if self.moment not in get_args(Moment):
            raise InputError(f"moment of the fault is {self.moment!r}; must be before or after")
        if self.times is not None and self.times < 1:
            raise InputError(f"times of the fault is {self.times}; must be >= 1")
        if self.skip < 0:
            raise InputError(f"skip of the fault is {self.skip}; must be >= 0")
        if not 0 <= self.seconds <= 3600:
            raise InputError(f"seconds of the fault is {self.seconds}; must be 0 to 3600")
        if not 200 <= self.status <= 599:
            raise InputError(f"status of the fault is {self.status}; must be 200 to 599")
        if not (self.retry_after.isascii() and self.retry_after.isprintable()):
            raise InputError(f"retry_after of the fault is {self.retry_after!r}; must be ASCII")

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is one of those that are struck."""
        if path == HOST_METADATA and not self.path:
            return False
        return self.method.upper() in ("", method) and self.path in path


_CALLED: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    int | None: "a whole number",
    int | float: "a number",
    dict: "an object",
}
_TYPES: dict[str, Any] = {
    "kind": str,
    "moment": str,
    "method": str,
    "path": str,
    "times": int | None,
    "skip": int,
    "seconds": int | float,
    "status": int,
    "retry_after": str,
    "edit": dict,
}


def parse_fault(text: str) -> Fault:
    """Return a fault from `KIND[:before|after] [METHOD] [/PATH] [KEY=VALUE ...]`.

    Raises:
        InputError: it does not read so.

    >>> fault = parse_fault("drop:after PUT /config times=1")
    >>> fault.kind, fault.moment, fault.method, fault.path, fault.times
    ('drop', 'after', 'PUT', '/config', 1)
    >>> parse_fault("status status=429 retry_after=2").retry_after
    '2'
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"--fault is {text!r}: {error}") from None
    if not words:
        raise InputError(
            f"--fault is empty; must be one of {', '.join(KINDS)}, then what it strikes"
        )
    kind, _, moment = words[0].partition(":")
    given: dict[str, Any] = {"kind": kind}
    if moment:
        given["moment"] = moment
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if word.startswith("/"):
            given["path"] = word
        elif not equals and word.isalpha() and word.isupper():
            given["method"] = word
        elif equals and key in _NUMBERS:
            try:
                given[key] = _NUMBERS[key](value)
            except ValueError:
                raise InputError(f"--fault: {key} is {value!r}; must be a number") from None
        else:
            raise InputError(
                f"--fault: {word!r} is not understood; after {kind} come a METHOD, a /PATH, and any of "
                f"{', '.join(_NUMBERS)} as in times=1"
            )
    if kind == "rival":
        raise InputError("--fault: a rival's edit has a body; POST it to /sandbox/faults")
    return Fault(**given)


_NUMBERS: dict[str, Any] = {
    "times": int,
    "skip": int,
    "seconds": float,
    "status": int,
    "retry_after": str,
}


class Faults:
    """The rules in force; the first that matches a request strikes it."""

    def __init__(self, faults: list[Fault] | None = None) -> None:
        self._faults = list(faults or ())
        self._seen = [0] * len(self._faults)

    def add(self, fault: Fault) -> None:
        """Put a rule in force, after those that are."""
        self._faults.append(fault)
        self._seen.append(0)

    def clear(self) -> None:
        """Put all rules out of force."""
        self._faults.clear()
        self._seen.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Return the rules in force, and how many requests each has seen."""
        return [
            {**asdict(fault), "seen": seen}
            for fault, seen in zip(self._faults, self._seen, strict=True)
        ]

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes this request, and count it.

        >>> faults = Faults([Fault("drop", method="PUT", times=1, skip=1)])
        >>> [faults.strike("PUT", "/x") is not None for _ in range(3)]
        [False, True, False]
        """
        for place, (fault, seen) in enumerate(zip(self._faults, self._seen, strict=True)):
            spent = fault.times is not None and seen >= fault.skip + fault.times
            if spent or not fault.matches(method, path):
                continue
            self._seen[place] += 1
            if seen >= fault.skip:
                return fault
        return None
