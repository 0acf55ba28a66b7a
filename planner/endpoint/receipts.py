"""The receipt: what was done to an endpoint, step by step, written before and after each of them.

`Journal` keeps one on disk, whole at every moment, so that whatever stops the process leaves what to resume
from, and adds a line to an audit file that is only ever appended to.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from planner import files
from planner.endpoint import plans
from planner.endpoint.clock import Clock, stamp
from planner.line import one_line
from simulations.errors import InputError, Refused

SCHEMA_VERSION = 1
AUDIT_NAME = "audit.jsonl"

NEW, SENDING, SENT, DONE = "new", "sending", "sent", "done"
"""How far it came: nothing sent; perhaps sent; answered or seen to be taken; through."""


def begun(plan: Mapping[str, Any], *, version: str) -> dict[str, Any]:
    """Return the receipt of a plan of which nothing is done yet."""
    return {
        "schema_version": SCHEMA_VERSION,
        "ptplan_version": version,
        "plan_sha256": plan["sha256"],
        "endpoint": plan["endpoint"],
        "host": plan["host"],
        "state": "in_progress",
        "phase": NEW,
        "steps": [],
        "sends": 0,
        "endpoint_id": None,
        "conflict": None,
        "failure": None,
        "readback": None,
        "before": plan["before"],
        "burst": dict(plan["burst"]),
        "resume": None,
        "plan": dict(plan),
    }


def read(path: Path) -> dict[str, Any]:
    """Return a receipt from its file.

    Raises:
        InputError: it is no receipt, was changed after it was written, or is of a newer version.
    """
    return require_receipt(files.read(path, what="the receipt.json of `ptplan apply`"), str(path))


def require_receipt(data: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the data of a receipt, or refuse it."""
    if "plan_sha256" not in data or "steps" not in data:
        raise InputError(f"{where} is no receipt; give the receipt.json of `ptplan apply`")
    if data["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{where} has schema version {data['schema_version']!r}, and this ptplan reads {SCHEMA_VERSION}"
        )
    plans.require_plan(data["plan"], f"the plan in {where}")
    return data


def known_burst(receipt: Mapping[str, Any], endpoint: str, where: str) -> dict[str, bool]:
    """Return what a receipt states of burst scaling, by entity; nothing unless it was applied.

    Raises:
        InputError: it is of another endpoint.
    """
    if receipt["endpoint"] != endpoint:
        raise InputError(f"{where} is for {receipt['endpoint']} and not for {endpoint}")
    return dict(receipt["burst"]) if receipt["state"] == "applied" else {}


class Journal:
    """A receipt on disk.

    Args:
        path: where it is kept; the audit file lies beside it.
        data: the receipt.
        clock: for the time of each step.
        verb: what is being done, for the audit file.
    """

    def __init__(self, path: Path, data: dict[str, Any], clock: Clock, *, verb: str) -> None:
        self.path = path
        self.data = {key: value for key, value in data.items() if key != "sha256"}
        self.data["resume"] = f"ptplan apply {path}"
        self._clock = clock
        self._verb = verb

    @contextmanager
    def held(self) -> Iterator[None]:
        """Carry this receipt on alone, from where it stands on disk by now.

        Raises:
            Refused: somebody else is at it.
            InputError: another apply keeps its receipt there, and is not finished.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise Refused(
                f"{self.path} is being carried out by another ptplan; nothing was sent by this one; wait for that one "
                f"to end, then see what it did: ptplan verify {self.path}"
            ) from None
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be locked ({error.strerror or error}); nothing was sent; choose another --out"
            ) from error
        try:
            self._catch_up()
            yield
        finally:
            lock.release()

    def _catch_up(self) -> None:
        """Take what somebody else wrote after this was read."""
        if not self.path.exists():
            return
        there = read(self.path)
        if there["plan_sha256"] == self.data["plan_sha256"]:
            if there["phase"] != NEW and len(there["steps"]) > len(self.data["steps"]):
                self.data = {key: value for key, value in there.items() if key != "sha256"}
        elif there["state"] == "in_progress":
            raise _not_finished(self.path)

    def step(self, what: str, result: str, **changes: Any) -> None:
        """Write down a step, and what it changes in the receipt.

        Raises:
            InputError: it cannot be written; says whether something may have been sent.
        """
        may_be_sent = bool(self.data["sends"])
        step = {"at": stamp(self._clock.time()), "what": what, "result": result}
        self.data = {**self.data, **changes, "steps": [*self.data["steps"], step]}
        self.data["resume"] = (
            None if self.data["state"] == "applied" else f"ptplan apply {self.path}"
        )
        try:
            self.write()
        except InputError as error:
            if not may_be_sent:
                raise InputError(f"{error}; nothing was sent") from error
            raise InputError(
                f"{self.path} cannot be written ({error.__cause__ or error}), and a request was sent or may have been; "
                f"make room there, then go on from the receipt as it stands: ptplan apply {self.path}"
            ) from error

    def write(self) -> None:
        """Put the receipt in place, whole."""
        files.write(self.path, files.to_json(self.sealed()))

    def sealed(self) -> dict[str, Any]:
        """Return the receipt with its checksum."""
        return {**self.data, "sha256": files.checksum(self.data)}

    def audit(self, outcome: str) -> None:
        """Append one line that says who did what to which endpoint, and how it ended.

        Raises:
            InputError: it cannot be appended; the receipt is complete all the same.
        """
        path, plan = self.path, self.data["plan"]
        try:
            _append(
                path, plan, self._clock, self._verb, self.data["state"], outcome, receipt=str(path)
            )
        except OSError as error:
            raise InputError(
                f"{path.with_name(AUDIT_NAME)} cannot be appended to: {error.strerror or error}; the receipt {path} is "
                "complete"
            ) from error


def audit_refusal(
    path: Path, plan: Mapping[str, Any], clock: Clock, reason: object, *, verb: str
) -> None:
    """Append to the audit file that a plan was refused before anything was done, so that no receipt tells.

    What stands in the way of that is no matter: nothing was sent, and the refusal itself is what must be told.

    Args:
        path: where the receipt would be kept.
        reason: why it was refused.
    """
    with suppress(OSError):
        _append(path, plan, clock, verb, "refused", one_line(reason), receipt=None)


def _append(
    path: Path,
    plan: Mapping[str, Any],
    clock: Clock,
    verb: str,
    state: str,
    outcome: str,
    *,
    receipt: str | None,
) -> None:
    line = {
        "at": stamp(clock.time()),
        "who": _who(),
        "what": verb,
        "action": plan["action"],
        "endpoint": plan["endpoint"],
        "host": plan["host"],
        "plan_sha256": plan["sha256"],
        "state": state,
        "outcome": outcome,
        "receipt": receipt,
    }
    text = json.dumps(line, ensure_ascii=True) + "\n"
    # One write in append mode: two processes at once do not mix their lines.
    handle = os.open(path.with_name(AUDIT_NAME), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def make_room(path: Path, plan_sha256: str) -> Path | None:
    """Move the finished receipt of another plan aside, so that its before-image is not lost.

    Returns:
        where it lies now, or None if nothing was in the way.

    Raises:
        InputError: the receipt there is of an apply that is not finished, or it is no receipt.
    """
    if not path.exists():
        return None
    there = read(path)
    if there["plan_sha256"] == plan_sha256:
        return None
    if there["state"] == "in_progress":
        raise _not_finished(path)
    aside = path.with_name(f"{path.stem}-{there['plan_sha256'][:12]}{path.suffix}")
    path.rename(aside)
    return aside


def _not_finished(path: Path) -> InputError:
    return InputError(
        f"{path} is the receipt of another apply that is not finished; resume it with `ptplan apply {path}`, or "
        "choose another --out"
    )


def _who() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return "unknown"
