"""Chunk, plan, apply, verify, roll back and emit for a notebook: the verbs of the command line, values in and out.

Nobody is asked here: whoever calls `apply` has read the plan that it is given. Files are written as by the commands, the receipt
above all, so that `ptplan apply receipt.json` goes on with what a notebook began.

>>> from tempfile import TemporaryDirectory
>>> from planner import Trace, make_offer, recommend, rehearse
>>> trace = Trace.build([0.0, 1.0, 60.0], [200, 300, 100], [20, 10, 30])
>>> offer = make_offer("system.ai.meta_llama_v3_1_8b_instruct:3")
>>> answer = recommend(trace, offer, endpoint="chat", futures=1)
>>> with rehearse() as workspace, TemporaryDirectory() as folder:  # Workspace(profile="PROD") is the real one
...     change = plan(answer, workspace)
...     receipt = apply(change, workspace, receipt=Path(folder, "receipt.json"))
...     print(change["action"], receipt["state"], verify(receipt, workspace).drifted)
create applied False
>>> print(emit(answer, "console").splitlines()[4])
5. In the list "Up to" choose 19000 tokens per second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from planner import artifacts
from planner.endpoint import receipts
from planner.endpoint.client import Workspace
from planner.endpoint.clock import Clock, SystemClock, stamp
from planner.endpoint.drift import Drift, drift
from planner.endpoint.eligibility import Eligibility, ask
from planner.endpoint.emit import emit as emit_order
from planner.endpoint.emit import from_plan, from_wish
from planner.endpoint.gate import require_current, require_safe
from planner.endpoint.planning import plan_live
from planner.endpoint.rollback import plan_rollback
from planner.endpoint.rollout import TIMEOUT_S, carry_out
from planner.endpoint.safety import MOST_COST_INCREASE
from planner.endpoint.terms import VALID_S, Terms
from planner.endpoint.wish import Wish, wish_of
from planner.recommendation import Recommendation
from planner.version import version
from simulations.errors import InputError, Refused

Recommended = Recommendation | Mapping[str, Any] | str | Path
"""What `recommend` returns, the data of a recommendation.json, or its path."""

Plan = dict[str, Any]
Receipt = dict[str, Any]


def chunk(model: str, version: str | int, workspace: Workspace) -> Eligibility:
    """Return whether a workspace provisions a model, and in what steps.

    Raises:
        NotFound: it has no such model or version.
    """
    return ask(workspace, model, str(version))


def plan(
    recommendation: Recommended,
    workspace: Workspace,
    *,
    endpoint: str | None = None,
    model_version: str | int | None = None,
    entity: str | None = None,
    burst: bool | Mapping[str, bool] | None = None,
    last: Mapping[str, Any] | None = None,
    valid_s: float = VALID_S,
    most_cost_increase: float = MOST_COST_INCREASE,
    clock: Clock | None = None,
) -> Plan:
    """Return the exact change that brings a live endpoint to a recommendation; changes nothing.

    Args:
        recommendation: what is wanted.
        workspace: where.
        endpoint, model_version: where the recommendation leaves them open, or instead of its own.
        entity: the served entity to change, where it is not plain.
        burst: for model units, whether it may burst; by name where there are several.
        last: the receipt of the last apply, which states burst too.
        valid_s: how long the plan may be applied, in seconds.
        most_cost_increase: share by which the bill may rise before the rule `cost-up` trips.
        clock: tells when it was made.

    Returns:
        the content of plan.json; its `action` is create, update, no_op or blocked, its `diff` what changes and why.

    Raises:
        InputError: something must be said first.
        WorkspaceError: the workspace could not be asked.
    """
    wish = _wish(recommendation, endpoint, model_version)
    known = {} if last is None else receipts.known_burst(last, wish.endpoint, "the last receipt")
    terms = _terms(
        workspace,
        burst,
        clock,
        entity=entity,
        known_burst=known,
        valid_s=valid_s,
        most_cost_increase=most_cost_increase,
    )
    return plan_live(wish, workspace, terms)


def apply(
    plan: Mapping[str, Any],
    workspace: Workspace,
    *,
    receipt: str | Path = "receipt.json",
    force: bool = False,
    timeout_s: float = TIMEOUT_S,
    tell: Callable[[str], None] = lambda text: None,
    clock: Clock | None = None,
) -> Receipt:
    """Carry out a plan that was read, exactly, wait until the endpoint is ready, and return the receipt.

    Called again after whatever stopped it, it goes on from the receipt and creates nothing twice.

    Args:
        plan: of `plan` or `rollback`.
        workspace: the one it was made for.
        receipt: where the receipt is kept, and audit.jsonl beside it.
        force: although a safety rule trips; never although stale or expired.
        timeout_s: how long to wait for the endpoint.
        tell: is called with what is being done.
        clock: for the waits.

    Raises:
        Refused: it is stale, expired, blocked or unsafe, or somebody's edit came between.
        WorkspaceError: it failed, or is not ready in time; the receipt says how to go on.
    """
    clock, path = clock or SystemClock(), Path(receipt)
    verb = "rollback" if (plan["source"] or {}).get("kind") == "rollback" else "apply"
    data = receipts.read(path) if path.exists() else None
    if data is None or data["plan_sha256"] != plan["sha256"] or data["phase"] == receipts.NEW:
        live = workspace.get(plan["endpoint"])
        try:
            if not require_current(plan, live, clock.time()):
                require_safe(plan, force=force)
        except Refused as error:
            receipts.audit_refusal(path, plan, clock, error, verb=verb)
            raise
        receipts.make_room(path, plan["sha256"])
        data = receipts.begun(plan, version=version())
    journal = receipts.Journal(path, data, clock, verb=verb)
    return carry_out(workspace, journal, clock=clock, timeout_s=timeout_s, tell=tell)


def verify(receipt: Mapping[str, Any] | str | Path, workspace: Workspace) -> Drift:
    """Return how a live endpoint differs from what was applied; `.drifted` says whether it does.

    Raises:
        InputError: nothing was applied by this receipt.
    """
    data = _receipt(receipt)
    if data["host"] != workspace.host:
        raise Refused(f"the receipt is for {data['host']}, and this is {workspace.host}")
    return drift(data, workspace.get(data["endpoint"]))


def rollback(
    receipt: Mapping[str, Any] | str | Path,
    workspace: Workspace,
    *,
    burst: bool | Mapping[str, bool] | None = None,
    most_cost_increase: float = MOST_COST_INCREASE,
    clock: Clock | None = None,
) -> Plan:
    """Return the plan that puts back the configuration from before an apply; `apply` carries it out.

    Raises:
        Refused: a create, which only a deletion would undo; the endpoint is gone; or burst was not known before.
    """
    data = _receipt(receipt)
    terms = _terms(workspace, burst, clock, valid_s=3600.0, most_cost_increase=most_cost_increase)
    return plan_rollback(data, workspace.get(data["endpoint"]), terms)


def emit(
    request: Recommended,
    form: str = "rest",
    *,
    endpoint: str | None = None,
    model_version: str | int | None = None,
    burst: bool | None = None,
) -> str:
    """Return the request of a recommendation (a create) or of a plan in the form of another tool; sends nothing.

    Args:
        form: rest, curl, requests, sdk, mlflow, terraform, bundle, cli or console.

    Raises:
        InputError: there is no such form, or something must be said first.
    """
    if isinstance(request, Mapping) and "action" in request:
        return emit_order(from_plan(request), form)
    return emit_order(from_wish(_wish(request, endpoint, model_version), burst=burst), form)


def _wish(
    recommendation: Recommended, endpoint: str | None, model_version: str | int | None
) -> Wish:
    if isinstance(recommendation, Recommendation):
        # Of its traffic nothing is carried into a plan.
        source = artifacts.Workload(path="", sha256="", format="")
        data: Mapping[str, Any] = artifacts.artifact(
            recommendation,
            source,
            command="",
            created_at=stamp(SystemClock().time()),
            version=version(),
        )
    elif isinstance(recommendation, Mapping):
        data = recommendation
    else:
        data = artifacts.read(Path(recommendation))
    text = None if model_version is None else str(model_version)
    return wish_of(data, endpoint=endpoint, model_version=text)


def _terms(
    workspace: Workspace,
    burst: bool | Mapping[str, bool] | None,
    clock: Clock | None,
    **given: Any,
) -> Terms:
    said = {} if burst is None else {"": burst} if isinstance(burst, bool) else burst
    now = (clock or SystemClock()).time()
    return Terms(host=workspace.host, now=now, version=version(), burst=said, **given)


def _receipt(receipt: Mapping[str, Any] | str | Path) -> Mapping[str, Any]:
    if isinstance(receipt, Mapping):
        if "plan_sha256" not in receipt:
            raise InputError("this is no receipt; give what `apply` returned, or its file")
        return receipt
    return receipts.read(Path(receipt))
