"""Plans that were shown, and what was done with them: each is carried out once, and only as it was shown.

A plan is known by its checksum alone. The button names that checksum, so that it can send no other plan, and the
second press finds what the first began. The receipt on disk is that of `ptplan apply`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from planner import files
from planner.endpoint import receipts, safety
from planner.endpoint.client import Workspace
from planner.endpoint.clock import SystemClock
from planner.endpoint.planning import plan_live
from planner.endpoint.receipts import Journal
from planner.endpoint.rollback import plan_rollback
from planner.endpoint.rollout import carry_out
from planner.endpoint.terms import Terms
from planner.endpoint.wish import wish_of
from simulations.errors import InputError, PtplanError, Refused

MOST_PLANS = 200
"""Kept in memory, of all users together; the files stay."""

Connect = Callable[[], Workspace]


class Applying:
    """One plan being carried out.

    Args:
        plan: as it was shown.
        journal: its receipt.
        verb: apply or rollback.
    """

    def __init__(self, plan: Mapping[str, Any], journal: Journal, verb: str) -> None:
        self.plan = plan
        self.journal = journal
        self.verb = verb
        self.told = "beginning"
        self.error = ""
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def receipt(self) -> dict[str, Any]:
        """What was done so far."""
        return self.journal.sealed()

    def begin(self, connect: Connect) -> None:
        """Go on from wherever the receipt says it stopped."""
        self.error = ""
        self._thread = threading.Thread(
            target=self._work, args=(connect,), daemon=True, name="ptplan-apply"
        )
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Return when it has ended, or after so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self, connect: Connect) -> None:
        try:
            carry_out(connect(), self.journal, clock=SystemClock(), tell=self._tell)
        except PtplanError as error:
            self.error = str(error)
        except Exception:
            self.error = (
                f"something went wrong inside ptplan; to go on: ptplan apply {self.journal.path}"
            )
            raise

    def _tell(self, text: str) -> None:
        self.told = text


class Register:
    """Every plan that was shown, and every apply.

    Args:
        folder: for the receipts.
        version: of ptplan.
    """

    def __init__(self, folder: Path, *, version: str) -> None:
        self.folder = folder
        self.version = version
        self._plans: dict[tuple[str, str], dict[str, Any]] = {}
        self._applying: dict[tuple[str, str], Applying] = {}
        self._lock = threading.Lock()

    def plan(
        self,
        who: str,
        recommendation: Mapping[str, Any],
        workspace: Workspace,
        *,
        endpoint: str | None,
        model_version: str | None,
        entity: str | None,
        burst: bool | None,
    ) -> str:
        """Make a plan against what is live, and return its checksum."""
        wish = wish_of(recommendation, endpoint=endpoint, model_version=model_version)
        known = self._known_burst(who, wish.endpoint, workspace.host)
        terms = self._terms(workspace.host, entity=entity, burst=burst, known_burst=known)
        return self._keep(who, plan_live(wish, workspace, terms))

    def plan_return(
        self, who: str, sha256: str, workspace: Workspace, *, burst: bool | None
    ) -> str:
        """Make the plan that puts back what was before an apply, and return its checksum."""
        before = self.applying(who, sha256)
        if before is None:
            raise InputError("there is no such apply to roll back")
        receipt = before.receipt
        terms = self._terms(workspace.host, burst=burst)
        live = workspace.get(receipt["endpoint"])
        return self._keep(who, plan_rollback(receipt, live, terms))

    def shown(self, who: str, sha256: str) -> dict[str, Any] | None:
        """Return a plan that was made for somebody, by its whole checksum."""
        return self._plans.get((who, sha256))

    def applying(self, who: str, sha256: str) -> Applying | None:
        """Return what was begun with a plan."""
        return self._applying.get((who, sha256))

    def all_of(self, who: str) -> list[Applying]:
        """Return what somebody began, the latest first."""
        return [one for (owner, _), one in reversed(self._applying.items()) if owner == who]

    def unfinished(self) -> list[Path]:
        """Return the receipts of what is at work."""
        return [one.journal.path for one in self._applying.values() if one.running]

    def apply(self, who: str, sha256: str, connect: Connect, *, typed: str) -> Applying:
        """Carry a plan out, once; asked again, return what was begun then.

        Args:
            typed: the endpoint's name, where a safety rule trips.

        Raises:
            Refused: there is no such plan, a rule trips and the name is not typed, or another plan for this endpoint
                is being carried out.
        """
        with self._lock:
            begun = self._applying.get((who, sha256))
            if begun is not None:
                return begun
            plan = self._plans.get((who, sha256))
            if plan is None:
                raise Refused(
                    "there is no plan of this checksum any more; nothing was sent; plan again"
                )
            content = {key: value for key, value in plan.items() if key != "sha256"}
            if files.checksum(content) != sha256:
                raise Refused("the plan is not what was shown; nothing was sent; plan again")
            if plan["safety"] and typed.strip() != plan["endpoint"]:
                raise Refused(
                    f"{plan['endpoint']} is not changed, for safety: {safety.as_texts(plan['safety'])}; nothing was "
                    "sent; to go on all the same, type the endpoint's name as it stands there"
                )
            for one in self._applying.values():
                same = (one.plan["host"], one.plan["endpoint"]) == (plan["host"], plan["endpoint"])
                if same and one.running:
                    raise Refused(
                        f"another plan for {plan['endpoint']} is being carried out; nothing was sent; wait, then plan "
                        "again"
                    )
            applying = self._new(plan)
            self._applying[who, sha256] = applying
            applying.begin(connect)
            return applying

    def resume(self, who: str, sha256: str, connect: Connect) -> None:
        """Go on with what was begun and is not finished."""
        with self._lock:
            applying = self._applying.get((who, sha256))
            if applying is None or applying.running:
                return
            if applying.journal.data["state"] == "in_progress":
                applying.begin(connect)

    def _new(self, plan: dict[str, Any]) -> Applying:
        verb = "rollback" if (plan["source"] or {}).get("kind") == "rollback" else "apply"
        path = self.folder / f"receipt-{plan['sha256'][:12]}.json"
        receipt = (
            receipts.read(path) if path.exists() else receipts.begun(plan, version=self.version)
        )
        return Applying(plan, Journal(path, receipt, SystemClock(), verb=verb), verb)

    def _keep(self, who: str, plan: dict[str, Any]) -> str:
        files.write(self.folder / f"plan-{plan['sha256'][:12]}.json", files.to_json(plan))
        with self._lock:
            self._plans[who, plan["sha256"]] = plan
            for name in list(self._plans)[:-MOST_PLANS]:
                del self._plans[name]
        return str(plan["sha256"])

    def _known_burst(self, who: str, endpoint: str, host: str) -> dict[str, bool]:
        """Return what the last apply to an endpoint stated of burst scaling, which the workspace does not show."""
        for one in self.all_of(who):
            receipt = one.journal.data
            if (receipt["endpoint"], receipt["host"], receipt["state"]) == (
                endpoint,
                host,
                "applied",
            ):
                return dict(receipt["burst"])
        return {}

    def _terms(
        self,
        host: str,
        *,
        entity: str | None = None,
        burst: bool | None = None,
        known_burst: Mapping[str, bool] | None = None,
    ) -> Terms:
        return Terms(
            host=host,
            now=SystemClock().time(),
            version=self.version,
            entity=entity,
            burst={} if burst is None else {"": burst},
            known_burst=known_burst or {},
        )
