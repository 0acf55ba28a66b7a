"""Carrying a reviewed plan out: look, send, wait, read back, with a receipt before and after every step.

The API has no compare-and-set. It is emulated: the endpoint is looked at right before the one request, and again
when it is through; an edit that fell between shows in the count of configurations or in what is read back, and
is named. A request whose answer was lost is never sent again before a look at what became of it. Nothing here
deletes anything. Whatever stops the process, `carry_out` goes on from the receipt.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, NoReturn

from planner.endpoint import images, plans
from planner.endpoint.client import Conflict, NotFound, Throttled, Unanswered, Workspace
from planner.endpoint.clock import Clock
from planner.endpoint.condition import deployment_messages, in_progress, state_words, update_state
from planner.endpoint.gate import before_id, require_current, told
from planner.endpoint.images import Difference
from planner.endpoint.receipts import DONE, NEW, SENDING, SENT, Journal
from planner.line import one_line
from reports import numbers
from simulations.errors import PtplanError, Refused, WorkspaceError

TIMEOUT_S = 3600.0
"""How long to wait for an endpoint (assumed; creations of 30 minutes and more were reported, others wait 20 to 45)."""

MOST_SENDS = 5
"""Requests without an answer, or refused for one in progress that then is not there, before it is given up."""

LONGEST_POLL_S = 10.0
SET_BY_WORKSPACE = ("workload_size", "workload_type")
"""Fields that may change with a capacity by the workspace's own doing; reported, and no drift."""

CAPACITY_HINT = (
    "GPU capacity may be short, which is a documented limitation: contact your Databricks account team; "
    "another range does not help"
)

Tell = Callable[[str], None]
Seen = Literal["taken", "untouched", "foreign"]


def carry_out(
    workspace: Workspace,
    journal: Journal,
    *,
    clock: Clock,
    timeout_s: float = TIMEOUT_S,
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Carry a plan out, from wherever its receipt says it stopped, and return the receipt.

    Args:
        workspace: the one the plan was made for.
        journal: the receipt.
        clock: for the waits.
        timeout_s: how long to wait for the endpoint.
        tell: is called with what is being done.

    Raises:
        Refused: stale, expired, or somebody else's edit came between; the receipt says which. Or the receipt is
            being carried out already.
        WorkspaceError: it failed, or did not get ready in time; the receipt says how to go on.
    """
    with journal.held():
        return _carried_out(_Rollout(workspace, journal, clock, timeout_s, tell))


def _carried_out(rollout: _Rollout) -> dict[str, Any]:
    journal = rollout.journal
    try:
        rollout.run()
    except PtplanError as error:
        # What failed is told, and not that its audit line failed too.
        with suppress(PtplanError):
            journal.audit(one_line(error))
        raise
    except KeyboardInterrupt:
        with suppress(PtplanError):
            journal.audit("interrupted")
        raise
    journal.audit(journal.data["steps"][-1]["result"])
    return journal.sealed()


class _Rollout:
    """One run of the steps. The receipt's phase says where to begin, and each step ends in writing it."""

    def __init__(
        self, workspace: Workspace, journal: Journal, clock: Clock, timeout_s: float, tell: Tell
    ) -> None:
        self.workspace = workspace
        self.journal = journal
        self.clock = clock
        self.deadline = clock.time() + timeout_s
        self.timeout_s = timeout_s
        self.tell = tell
        self.plan: dict[str, Any] = journal.data["plan"]
        self.endpoint: str = self.plan["endpoint"]
        self.creates: bool = self.plan["action"] == "create"

    @property
    def phase(self) -> str:
        return str(self.journal.data["phase"])

    def run(self) -> None:
        plan, data = self.plan, self.journal.data
        if plan["host"] != self.workspace.host:
            raise Refused(
                f"the plan is for {plan['host']}, and this is {self.workspace.host}; nothing was sent; check --host "
                "and --profile"
            )
        if data["state"] == "applied":
            self._still_applied()
            return
        if data["conflict"]:
            raise Refused(f"this apply ended in a conflict: {data['conflict']['text']}")
        self.journal.step("begin" if not data["steps"] else "resume", f"phase {self.phase}")
        if self.phase == NEW:
            self._check()
        elif self.phase == SENDING:
            self._look_again("it was not known whether the request was sent", ambiguous=True)
        while self.phase in (NEW, SENDING):
            self._send()
        if self.phase == SENT:
            self._read_back(self._wait())

    # -------------------------------------------------------------------------------- before

    def _still_applied(self) -> None:
        live = self._get()
        applied = images.active_config(self.journal.data["readback"])
        if live is not None and not images.differences(applied, images.active_config(live)):
            self.journal.step("begin", "already applied; nothing to do")
            return
        raise Refused(
            f"this plan was applied, and {self.endpoint} was changed since; `ptplan verify {self.journal.path}` says "
            "how; nothing was sent; plan again"
        )

    def _check(self) -> None:
        """Look once more before anything is sent."""
        live = self._get()
        try:
            done = require_current(self.plan, live, self.clock.time())
        except Refused as error:
            # What is being created as planned may be this very plan's doing, with its receipt lost.
            if live is not None and self.creates and self._seen(live) == "taken":
                self.journal.step("check", "it is being created as planned", phase=SENT)
                return
            self.journal.step("check", one_line(error), state="failed", failure=str(error))
            raise
        if done:
            unseen = self.creates and self.plan["burst"]
            self.journal.step(
                "check",
                "already as planned; nothing to do"
                + (
                    "; whether it may burst cannot be seen: plan again with --burst to send it"
                    if unseen
                    else ""
                ),
                state="applied",
                phase=DONE,
                readback=live,
                # Found and not sent, so what only a sender knows is not known.
                **({"burst": {}} if unseen else {}),
            )
            return
        self.journal.step(
            "check", "the endpoint is what the plan was made for", state="in_progress"
        )

    # -------------------------------------------------------------------------------- the request

    def _send(self) -> None:
        request, data = self.plan["request"], self.journal.data
        late = plans.invalid(self.plan, self.clock.time())
        if late:
            text = f"the plan for {self.endpoint} {late}; it was not carried out; plan again"
            self._fail("send", text, phase=NEW, error=Refused)
        if data["sends"] >= MOST_SENDS:
            self._fail(
                "send",
                f"{MOST_SENDS} requests to change {self.endpoint} had no answer and no effect; try again later: "
                f"ptplan apply {self.journal.path}",
                phase=NEW,
                sends=0,
            )
        self.tell(f"{self.endpoint}: sending {request['method']} {request['path']}")
        # Written first: whoever finds this and no answer must look before he sends.
        self.journal.step(
            "send",
            f"about to send {request['method']} {request['path']}",
            phase=SENDING,
            sends=data["sends"] + 1,
        )
        try:
            answer = self.workspace.send(request["method"], request["path"], request["body"])
        except Throttled as error:
            # Said not to be carried out, so it does not count, and waiting is all there is to do.
            self.journal.step("send", one_line(error), phase=NEW, sends=data["sends"])
            self._pause(error.after_s, error)
            self._check()
        except Unanswered as error:
            self._look_again(one_line(error), ambiguous=True)
        except Conflict as error:
            self._look_again(one_line(error), ambiguous=False)
        except NotFound as error:
            self._fail(
                "send",
                f"the plan for {self.endpoint} is stale: the endpoint is gone ({error}); plan again",
                phase=NEW,
                error=Refused,
            )
        except WorkspaceError as error:
            self._fail("send", str(error), phase=NEW)
        else:
            self.journal.step(
                "send", "accepted", phase=SENT, endpoint_id=answer.get("id") or self._known_id()
            )

    def _look_again(self, why: str, *, ambiguous: bool) -> None:
        """Find out what became of a request, and only then decide whether to send it again."""
        self.journal.step("send", why)
        self._pause(1.0, None)
        live = self._get()
        seen = self._seen(live, ambiguous=ambiguous)
        if seen == "taken":
            identity = live.get("id") if live else None
            self.journal.step("look", "it was carried out", phase=SENT, endpoint_id=identity)
        elif seen == "untouched":
            self.journal.step("look", "it was not carried out", phase=NEW)
            self._check()
        else:
            self._foreign(live, ambiguous=ambiguous)

    def _seen(self, live: Mapping[str, Any] | None, *, ambiguous: bool = True) -> Seen:
        """Return what an endpoint shows of our request."""
        after = self.plan["after"]
        if self.creates:
            if live is None:
                return "untouched"
            known = self.journal.data["endpoint_id"]
            if known is not None and live.get("id") != known:
                return "foreign"
            coming = images.coming_config(live)
            if not images.entities_of(coming):
                return (
                    "taken" if update_state(live) in ("UPDATE_FAILED", "IN_PROGRESS") else "foreign"
                )
            return "foreign" if images.unmet(after, coming) else "taken"
        if live is None or live.get("id") != before_id(self.plan):
            return "foreign"
        first = self.plan["config_version"]
        if in_progress(live):
            coming = images.coming_config(live)
            version = images.version_of(coming)
            ours = first is None or version in (None, first, first + 1)
            return "taken" if ours and not images.differences(after, coming) else "foreign"
        if images.fingerprint(live) == self.plan["fingerprint"] and first == images.version_of(
            images.active_config(live)
        ):
            ended = update_state(live) in ("UPDATE_FAILED", "UPDATE_CANCELED")
            new = update_state(live) != update_state(self.plan["before"])
            return "taken" if ambiguous and ended and new else "untouched"
        return "foreign" if images.differences(after, images.active_config(live)) else "taken"

    def _foreign(self, live: Mapping[str, Any] | None, *, ambiguous: bool) -> NoReturn:
        """End where somebody else changed the endpoint around our request."""
        if live is None:
            what = "somebody deleted the endpoint"
        elif live.get("id") != self._known_id() and self._known_id() is not None:
            what = "somebody deleted the endpoint and created it anew"
        elif self.creates:
            apart = told(images.unmet(self.plan["after"], images.coming_config(live)))
            what = (
                f"somebody else created an endpoint of this name, which is not as planned: {apart}"
            )
        elif in_progress(live):
            what = "somebody else's update is in progress"
        else:
            apart = told(
                images.differences(
                    images.active_config(self.plan["before"]), images.active_config(live)
                )
            )
            what = f"somebody else changed it: {apart}"
        if not ambiguous:
            self._fail(
                "look",
                f"the plan for {self.endpoint} is stale: {what}; it was not carried out; plan again",
                phase=NEW,
                error=Refused,
            )
        self._conflict(
            "lost-answer",
            f"{what}, and whether the request was carried out before is not known",
            live,
            [],
        )

    # -------------------------------------------------------------------------------- after

    def _wait(self) -> dict[str, Any]:
        """Return the endpoint when it is up and ready."""
        began, said, polls = self.clock.time(), "", 0
        trouble: WorkspaceError | None = None
        while True:
            words = "no answer"
            try:
                live = self.workspace.get(self.endpoint)
            except (Unanswered, Throttled) as error:
                # An endpoint does not stop because its workspace is slow to answer.
                trouble = error
            else:
                trouble = None
                if live is None or self._is_another(live):
                    what = "somebody deleted the endpoint" + (
                        "" if live is None else " and created it anew"
                    )
                    self._conflict("deleted", f"{what} while it was waited for", live, [])
                words = state_words(live)
                if self._is_over(live):
                    return live
            elapsed = self.clock.time() - began
            self.tell(f"{self.endpoint}: {words}, {numbers.duration(round(elapsed))}")
            if words not in (said, "no answer"):
                said = words
                self.journal.step("wait", words)
            if self.clock.time() >= self.deadline:
                last = f"; last: {trouble}" if trouble else ""
                self._fail(
                    "wait",
                    f"{self.endpoint} is not ready after {numbers.duration(self.timeout_s)}: {said or words}{last}; "
                    f"nothing was deleted; {CAPACITY_HINT}; to wait on: ptplan apply {self.journal.path}",
                    state="in_progress",
                )
            polls += 1
            self.clock.sleep(
                min(polls, LONGEST_POLL_S, max(0.0, self.deadline - self.clock.time()))
            )

    def _is_over(self, live: Mapping[str, Any]) -> bool:
        """Return whether there is nothing left to wait for; fail if the update did."""
        update = update_state(live)
        if update in ("UPDATE_FAILED", "UPDATE_CANCELED"):
            config = images.active_config(live)
            first = self.plan["config_version"]
            moved = first is not None and images.version_of(config) != first
            if not self.creates and moved:
                # Ours is through, and it was a later one that failed; the read-back judges.
                return True
            messages = deployment_messages(live)
            what = "was cancelled" if update == "UPDATE_CANCELED" else "failed"
            said = f" ({'; '.join(messages)})" if messages else ""
            left = (
                "the endpoint exists and serves nothing"
                if self.creates
                else "the configuration from before still serves"
            )
            self._fail(
                "wait",
                f"{'creating' if self.creates else 'updating'} {self.endpoint} {what}: {state_words(live)}{said}; "
                f"{left}, nothing was deleted; {CAPACITY_HINT}; to go on: ptplan apply {self.journal.path}",
                phase=SENT if self.creates else NEW,
                sends=0,
            )
        return update == "NOT_UPDATING" and (live.get("state") or {}).get("ready") == "READY"

    def _read_back(self, live: dict[str, Any]) -> None:
        """Compare what stands with what was planned."""
        config = images.active_config(live)
        if self.creates:
            apart = images.unmet(self.plan["after"], config)
            expected = found = None
        else:
            apart = images.differences(self.plan["after"], config)
            first = self.plan["config_version"]
            expected = None if first is None else first + 1
            found = images.version_of(config)
        own = [one for one in apart if one.path.endswith(SET_BY_WORKSPACE)]
        if found == expected and len(own) == len(apart):
            note = f"; set by the workspace: {told(own)}" if own else ""
            self.journal.step(
                "read back",
                "applied: the endpoint is ready and reads back as planned" + note,
                state="applied",
                phase=DONE,
                readback=live,
                failure=None,
                burst=self._named_burst(config),
            )
            return
        jumped = (
            f"its config_version is {found}, and {expected} was expected"
            if found != expected
            else ""
        )
        if not apart:
            twice = (
                " (or a request of ours whose answer was lost was carried out twice)"
                if self.journal.data["sends"] > 1
                else ""
            )
            self._conflict(
                "overwritten",
                f"somebody else's edit came between the last look and the request{twice}: {jumped}. The plan is in "
                "effect and that edit is not; the API keeps no history, so ask who made it. What stood before is in "
                "the receipt",
                live,
                apart,
            )
        self._conflict(
            "edited",
            f"the endpoint does not read back as planned: {told(apart)}"
            + (f"; {jumped}: somebody else changed it since" if jumped else "")
            + ". What was planned and what stood before are in the receipt",
            live,
            apart,
        )

    def _named_burst(self, config: Mapping[str, Any]) -> dict[str, bool]:
        """Return burst scaling as sent, by the names that the workspace gave where a create left them out."""
        sent = images.entities_of(self.plan["after"])
        found = images.entities_of(config)
        return {
            images.label_of(there, index): bool(ours[images.BURST])
            for index, (ours, there) in enumerate(zip(sent, found, strict=False))
            if images.BURST in ours
        }

    # -------------------------------------------------------------------------------- the ways out

    def _conflict(
        self, kind: str, text: str, live: Mapping[str, Any] | None, apart: list[Difference]
    ) -> NoReturn:
        """End in a conflict: named, in the receipt, with what can be recovered."""
        path = shlex.quote(str(self.journal.path))
        advice = (
            f"to put it back: ptplan rollback {path}"
            if live is not None and self.plan["before"] is not None
            else "plan again if it is still wanted"
        )
        text = f"{text}; {advice}"
        self.journal.step(
            "conflict",
            text,
            state="failed",
            phase=DONE,
            failure=text,
            readback=live,
            conflict={
                "kind": kind,
                "text": text,
                "differences": [one._asdict() for one in apart],
                "recoverable": {
                    "before": self.plan["before"] is not None,
                    "planned": True,
                    "edit_between": kind == "edited",
                },
            },
        )
        raise Refused(f"{self.endpoint}: {text}")

    def _fail(
        self,
        what: str,
        text: str,
        *,
        error: type[PtplanError] = WorkspaceError,
        state: str = "failed",
        **changes: Any,
    ) -> NoReturn:
        self.journal.step(what, one_line(text), state=state, failure=text, **changes)
        raise error(text)

    # -------------------------------------------------------------------------------- looking

    def _get(self) -> dict[str, Any] | None:
        """Return the endpoint; what passes is waited for."""
        while True:
            try:
                return self.workspace.get(self.endpoint)
            except Throttled as error:
                self._pause(error.after_s, error)
            except Unanswered as error:
                self._pause(5.0, error)

    def _pause(self, seconds: float, error: WorkspaceError | None) -> None:
        """Wait; give up where there is no time left to."""
        if self.clock.time() + seconds >= self.deadline:
            text = f"{error}; to go on: ptplan apply {self.journal.path}"
            self.journal.step("look", one_line(text), state="in_progress", failure=text)
            raise WorkspaceError(text)
        if error is not None:
            self.tell(f"{self.endpoint}: {error}")
        self.clock.sleep(seconds)

    def _known_id(self) -> Any:
        return self.journal.data["endpoint_id"] or (None if self.creates else before_id(self.plan))

    def _is_another(self, live: Mapping[str, Any]) -> bool:
        known = self._known_id()
        return known is not None and live.get("id") != known
