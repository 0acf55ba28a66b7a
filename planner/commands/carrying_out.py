"""A reviewed plan at the command line: show it, ask, carry it out, and keep a line of what was refused."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.version import version
from simulations.errors import InputError, PtplanError, Refused, Stopped


def show(made: dict[str, Any], *, as_json: bool, asks: bool) -> None:
    """Print a plan; also where stdout is for a program, if somebody is asked to approve it."""
    from planner.terminal.plan import show_plan

    if asks or not as_json:
        show_plan(made, stderr=as_json)


@contextmanager
def refusal_audited(made: dict[str, Any], out: Path, *, verb: str) -> Iterator[None]:
    """Let a plan that is refused before it has a receipt leave its line beside where that would be."""
    from planner.endpoint import receipts
    from planner.endpoint.clock import SystemClock

    try:
        yield
    except (InputError, Refused) as error:
        receipts.audit_refusal(out, made, SystemClock(), error, verb=verb)
        raise


@contextmanager
def _ended_like_by_ctrl_c() -> Iterator[None]:
    """Take the signals by which a terminal or a batch system ends a process for Ctrl-C, unless they are ignored."""
    taken = [
        number
        for name in ("SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) and signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in taken:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def approve(made: dict[str, Any], *, auto_approve: bool, force: bool, verb: str) -> None:
    """Ask, unless told not to.

    Raises:
        Refused: a safety rule trips, and it is not forced.
        InputError: the answer is no, or nobody is there to answer.
    """
    from planner.endpoint.gate import require_safe

    require_safe(made, force=force)
    if auto_approve:
        return
    name = made["endpoint"]
    wanted = name if made["safety"] else "yes"
    what = f"the endpoint's name, {name}," if made["safety"] else "yes"
    doing = "apply this to" if verb == "apply" else "roll back"
    sys.stderr.write(f"{doing} {name} on {made['host']}? Type {what} to go on: ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stderr.write("\n")
        raise InputError("nobody answered, so nothing was sent; in a script give --auto-approve")
    if answer.strip() != wanted:
        raise InputError("not approved; nothing was sent")


def begin(
    connected: Any,
    made: dict[str, Any],
    path: Path,
    timeout_s: float,
    *,
    verb: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Carry out a plan of which nothing is done yet."""
    from planner.endpoint import receipts
    from planner.terminal import screen

    aside = receipts.make_room(path, made["sha256"])
    if aside is not None and not as_json:
        screen.show_lines([f"the receipt that was at {path} is now {aside}"])
    receipt = receipts.begun(made, version=version())
    carry_out(connected, receipt, path, timeout_s, verb=verb, as_json=as_json, quiet=quiet)


def carry_out(
    connected: Any,
    receipt: dict[str, Any],
    path: Path,
    timeout_s: float,
    *,
    verb: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Carry a plan out from wherever its receipt says it stopped, and print the receipt."""
    from planner import files
    from planner.endpoint import rollout
    from planner.endpoint.clock import SystemClock
    from planner.endpoint.receipts import Journal
    from planner.terminal import screen
    from planner.terminal.plan import show_receipt

    clock = SystemClock()
    journal = Journal(path, receipt, clock, verb=verb)
    try:
        with _ended_like_by_ctrl_c(), screen.progress(quiet=quiet or as_json) as tell:
            done = rollout.carry_out(
                connected, journal, clock=clock, timeout_s=timeout_s, tell=tell
            )
    except KeyboardInterrupt:
        raise Stopped(f"stopped; to go on: ptplan apply {path}") from None
    except PtplanError:
        if as_json and path.exists():
            # As it lies there: another may be at it, and what could not be written is not so.
            screen.show_text(path.read_text(encoding="utf-8"))
        raise
    if as_json:
        screen.show_text(files.to_json(done))
    else:
        show_receipt(done, str(path))
