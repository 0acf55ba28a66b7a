"""The commands that act on a workspace: ask, plan, apply, verify, roll back, emit.

Thin over `planner.endpoint`: files and flags in, a prompt, exit codes out. Heavy imports are inside the commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.commands.carrying_out import approve, begin, carry_out, refusal_audited, show
from planner.flags import Config, Form, GroupedCommand, Json, Quiet, takes
from planner.version import version
from simulations.errors import InputError, Refused

WORKSPACE, SAFETY = "Workspace", "Safety"

app = typer.Typer(rich_markup_mode=None)


def _option(help_text: str, panel: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *names, help=help_text, rich_help_panel=panel, metavar=metavar, show_default=False
    )


@dataclass(frozen=True, slots=True)
class WorkspaceFlags:
    """Which workspace; a token is never a flag, since every user of the machine can read those."""

    profile: Annotated[str | None, _option("of ~/.databrickscfg", WORKSPACE, metavar="NAME")] = None
    host: Annotated[
        str | None, _option("its address [as databricks-sdk finds it]", WORKSPACE, metavar="URL")
    ] = None


@dataclass(frozen=True, slots=True)
class WishFlags:
    """What a recommendation leaves open."""

    endpoint: Annotated[
        str | None,
        _option("name of the endpoint [the recommendation's]", WORKSPACE, metavar="NAME"),
    ] = None
    model_version: Annotated[
        str | None, _option("version of the model [the recommendation's]", WORKSPACE, metavar="N")
    ] = None


@dataclass(frozen=True, slots=True)
class BurstFlags:
    """What GET does not show of model units, so that it has to be said."""

    burst: Annotated[
        list[str] | None,
        _option(
            "for model units: may it burst beyond them; repeatable as ENTITY=on|off",
            WORKSPACE,
            metavar="on|off",
        ),
    ] = None

    @property
    def said(self) -> dict[str, bool]:
        """What was said, by entity; "" is the one that is planned."""
        found = {}
        for text in self.burst or []:
            name, equals, value = text.rpartition("=")
            if value not in ("on", "off") or (equals and not name):
                raise InputError(f"--burst is {text!r}; must be on or off, or ENTITY=on|off")
            found[name] = value == "on"
        return found


@dataclass(frozen=True, slots=True)
class PlanningFlags:
    """How a plan is made against what is live."""

    entity: Annotated[
        str | None,
        _option("which served entity to change, where it is not plain", WORKSPACE, metavar="NAME"),
    ] = None
    receipt: Annotated[
        Path | None,
        _option("of the last apply, which states --burst", WORKSPACE, metavar="FILE"),
    ] = None
    valid_for: Annotated[
        str | None, _option("until the plan expires [24h]", SAFETY, metavar="DURATION")
    ] = None


@dataclass(frozen=True, slots=True)
class CostFlags:
    """How much dearer it may become."""

    max_cost_increase: Annotated[
        str | None,
        _option("more trips the rule cost-up [50%]", SAFETY, metavar="SHARE"),
    ] = None

    @property
    def share(self) -> float | None:
        """The share, which may be above 1; None if nothing was said."""
        text = self.max_cost_increase
        if text is None:
            return None
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share < 1e6:
            raise InputError(f"--max-cost-increase is {text!r}; must be a share such as 50% or 0.5")
        return share


@dataclass(frozen=True, slots=True)
class ActFlags:
    """How a plan is carried out."""

    timeout: Annotated[
        str, typer.Option(help="how long to wait until it is ready", metavar="DURATION")
    ] = "60m"
    auto_approve: Annotated[
        bool, typer.Option("--auto-approve", help="do not ask", rich_help_panel=SAFETY)
    ] = False
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="although a safety rule trips; never although stale or expired",
            rich_help_panel=SAFETY,
        ),
    ] = False
    quiet: Quiet = False

    @property
    def timeout_s(self) -> float:
        """The time, in seconds."""
        return _duration(self.timeout, "--timeout")


@dataclass(frozen=True, slots=True)
class OutputFlags:
    """What is printed."""

    json: Json = False
    output: Form = "text"

    @property
    def as_json(self) -> bool:
        """Whether stdout is for a program."""
        return _form(self.json, self.output) == "json"


PlanForm = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="text, json, or markdown for a pull request",
        rich_help_panel="Output",
        metavar="text|json|markdown",
    ),
]


@app.command(cls=GroupedCommand)
@takes(OutputFlags, WorkspaceFlags)
def chunk(
    model: Annotated[str, typer.Argument(help="in Unity Catalog", show_default=False)],
    version: Annotated[str, typer.Argument(help="of the model", show_default=False)],
    *,
    config: Config = None,
    output: OutputFlags,
    workspace: WorkspaceFlags,
) -> None:
    """Ask the workspace whether a model can be provisioned, and in what steps."""
    from planner import files
    from planner.endpoint.eligibility import ask
    from planner.terminal import screen
    from planner.terminal.plan import show_eligibility

    as_json = output.as_json
    found = ask(_connect(workspace), model, version)
    if as_json:
        screen.show_text(files.to_json(found.as_dict()))
    else:
        show_eligibility(found)


@app.command(cls=GroupedCommand)
@takes(WishFlags, BurstFlags, PlanningFlags, CostFlags, WorkspaceFlags)
def plan(
    recommendation: Annotated[
        Path,
        typer.Argument(help="a recommendation.json", metavar="RECOMMENDATION", show_default=False),
    ],
    *,
    out: Annotated[Path, typer.Option(help="the plan", metavar="FILE")] = Path("plan.json"),
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="2 if there is something to change"),
    ] = False,
    config: Config = None,
    json: Json = False,
    output: PlanForm = "text",
    wish: WishFlags,
    burst: BurstFlags,
    planning: PlanningFlags,
    cost: CostFlags,
    workspace: WorkspaceFlags,
) -> None:
    """Show the exact change against the live endpoint, and write it down; change nothing."""
    from planner import artifacts, files
    from planner.terminal import screen
    from planner.terminal.plan import markdown, show_plan

    form = _form(json, output, also="markdown")
    files.require_writable(out.parent)
    connected = _connect(workspace)
    made = _planned(artifacts.read(recommendation), wish, burst, planning, cost, connected)
    text = files.to_json(made)
    files.write(out, text)
    if form == "json":
        screen.show_text(text)
    elif form == "markdown":
        screen.show_text(markdown(made))
    else:
        show_plan(made)
        screen.show_lines([f"written: {out}"])
    if made["action"] == "blocked":
        raise typer.Exit(4)
    if detailed_exitcode and made["action"] != "no_op":
        raise typer.Exit(2)


@app.command(cls=GroupedCommand)
@takes(ActFlags, WishFlags, BurstFlags, PlanningFlags, CostFlags, OutputFlags, WorkspaceFlags)
def apply(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="a plan; a recommendation, planned now; or a receipt, to go on from",
            metavar="PLAN|RECOMMENDATION|RECEIPT",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="the receipt [receipt.json]", metavar="FILE", show_default=False),
    ] = None,
    config: Config = None,
    act: ActFlags,
    wish: WishFlags,
    burst: BurstFlags,
    planning: PlanningFlags,
    cost: CostFlags,
    output: OutputFlags,
    workspace: WorkspaceFlags,
) -> None:
    """Show the plan, ask, send exactly that, wait until it is ready, and read it back."""
    from planner import files
    from planner.endpoint import plans, receipts
    from planner.endpoint.gate import require_current
    from planner.terminal import screen
    from planner.terminal.plan import show_steps

    as_json, timeout_s = output.as_json, act.timeout_s
    data = files.read(file, what="a plan, a recommendation or a receipt")
    if "plan_sha256" in data:
        _only_with_recommendation(context, "a receipt")
        receipt = receipts.require_receipt(data, str(file))
        if out not in (None, file):
            raise InputError(
                f"--out is {out}, and a receipt is carried on where it lies; leave --out away"
            )
        if not as_json:
            show_steps(receipt)
        carry_out(
            _connect(workspace),
            receipt,
            file,
            timeout_s,
            verb="apply",
            as_json=as_json,
            quiet=act.quiet,
        )
        return
    out = out or Path("receipt.json")
    files.require_writable(out.parent)
    connected = _connect(workspace)
    if "action" in data:
        _only_with_recommendation(context, "a plan")
        made = plans.require_plan(data, str(file))
    else:
        from planner import artifacts

        made = _planned(artifacts.read(file), wish, burst, planning, cost, connected)
    with refusal_audited(made, out, verb="apply"):
        if made["host"] != connected.host:
            raise Refused(
                f"the plan is for {made['host']}, and this is {connected.host}; nothing was sent; check --host and "
                "--profile"
            )
    before = receipts.read(out) if out.exists() else None
    if before is not None and before["plan_sha256"] == made["sha256"] and before["phase"] != "new":
        # The same plan again: go on, or find that nothing is left to do.
        carry_out(connected, before, out, timeout_s, verb="apply", as_json=as_json, quiet=act.quiet)
        return
    live = connected.get(made["endpoint"])
    show(made, as_json=as_json, asks=not act.auto_approve)
    with refusal_audited(made, out, verb="apply"):
        done = require_current(made, live, _now())
        if not done:
            approve(made, auto_approve=act.auto_approve, force=act.force, verb="apply")
    if done and before is not None:
        # A receipt that may be wanted for going back is not replaced by one that did nothing.
        screen.show_text(
            files.to_json(before)
            if as_json
            else f"{made['endpoint']}: already as planned; nothing to do\n"
        )
        return
    begin(connected, made, out, timeout_s, verb="apply", as_json=as_json, quiet=act.quiet)


@app.command(cls=GroupedCommand)
@takes(OutputFlags, WorkspaceFlags)
def verify(
    receipt: Annotated[
        Path, typer.Argument(help="of an apply", metavar="RECEIPT", show_default=False)
    ],
    *,
    config: Config = None,
    output: OutputFlags,
    workspace: WorkspaceFlags,
) -> None:
    """Say whether the live endpoint still equals what was applied; exit code 2 if not."""
    from planner import files
    from planner.endpoint import receipts
    from planner.endpoint.drift import drift
    from planner.terminal import screen
    from planner.terminal.plan import show_drift

    as_json = output.as_json
    data = receipts.read(receipt)
    connected = _connect(workspace)
    _require_host(data, connected)
    found = drift(data, connected.get(data["endpoint"]))
    if as_json:
        screen.show_text(files.to_json(found.as_dict()))
    else:
        show_drift(data, found, str(receipt))
    if found.drifted:
        raise typer.Exit(2)


@app.command(cls=GroupedCommand)
@takes(ActFlags, BurstFlags, CostFlags, OutputFlags, WorkspaceFlags)
def rollback(
    receipt: Annotated[
        Path, typer.Argument(help="of an apply", metavar="RECEIPT", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option(help="the receipt of going back", metavar="FILE")] = Path(
        "rollback.json"
    ),
    config: Config = None,
    act: ActFlags,
    burst: BurstFlags,
    cost: CostFlags,
    output: OutputFlags,
    workspace: WorkspaceFlags,
) -> None:
    """Put back the configuration from before; by the same rules as apply. Deletes nothing."""
    from planner import files
    from planner.endpoint import receipts
    from planner.endpoint.gate import require_current
    from planner.endpoint.rollback import create_text, plan_rollback

    as_json, timeout_s = output.as_json, act.timeout_s
    data = receipts.read(receipt)
    if out.absolute() == receipt.absolute():
        raise InputError(f"--out is {out}, the receipt that is rolled back; choose another")
    files.require_writable(out.parent)
    with refusal_audited(data["plan"], out, verb="rollback"):
        if data["plan"]["action"] == "create":
            raise Refused(create_text(data["plan"]))
        connected = _connect(workspace)
        live = connected.get(data["endpoint"])
        terms = _terms(connected.host, burst, cost, valid_for="1h")
        made = plan_rollback(data, live, terms)
    show(made, as_json=as_json, asks=not act.auto_approve)
    with refusal_audited(made, out, verb="rollback"):
        if not require_current(made, live, _now()):
            approve(made, auto_approve=act.auto_approve, force=act.force, verb="rollback")
    begin(connected, made, out, timeout_s, verb="rollback", as_json=as_json, quiet=act.quiet)


@app.command(cls=GroupedCommand)
@takes(WishFlags, BurstFlags)
def emit(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="a recommendation (create) or a plan (create or update)",
            metavar="RECOMMENDATION|PLAN",
            show_default=False,
        ),
    ],
    *,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="what the request is wanted as",
            metavar="rest|curl|requests|sdk|mlflow|terraform|bundle|cli|console",
        ),
    ] = "rest",
    out: Annotated[
        Path | None, typer.Option(help="write it [to stdout]", metavar="FILE", show_default=False)
    ] = None,
    config: Config = None,
    wish: WishFlags,
    burst: BurstFlags,
) -> None:
    """Print the request in the form that your tooling wants; send nothing."""
    from planner import files
    from planner.endpoint import emit as emitting
    from planner.endpoint import plans
    from planner.endpoint.wish import wish_of
    from planner.terminal import screen

    data = files.read(file, what="a recommendation or a plan")
    if "plan_sha256" in data:
        raise InputError(f"{file} is a receipt; give the plan or the recommendation")
    if "action" in data:
        _only_with_recommendation(context, "a plan")
        wanted = emitting.from_plan(plans.require_plan(data, str(file)))
    else:
        from planner import artifacts

        asked = wish_of(
            artifacts.read(file), endpoint=wish.endpoint, model_version=wish.model_version
        )
        wanted = emitting.from_wish(asked, burst=burst.said.get(""))
    text = emitting.emit(wanted, form)
    if out is None:
        screen.show_text(text)
    else:
        files.write(out, text)
        screen.show_lines([f"written: {out}"])


# ------------------------------------------------------------------------------------------ the pieces


def _connect(flags: WorkspaceFlags) -> Any:
    from planner.endpoint.client import Workspace

    return Workspace(host=flags.host, profile=flags.profile)


def _planned(
    data: dict[str, Any],
    wish: WishFlags,
    burst: BurstFlags,
    planning: PlanningFlags,
    cost: CostFlags,
    connected: Any,
) -> dict[str, Any]:
    """Return the plan for a recommendation, made against what is live now."""
    from planner.endpoint import receipts
    from planner.endpoint.planning import plan_live
    from planner.endpoint.wish import wish_of

    wanted = wish_of(data, endpoint=wish.endpoint, model_version=wish.model_version)
    known: dict[str, bool] = {}
    if planning.receipt is not None:
        receipt = receipts.read(planning.receipt)
        _require_host(receipt, connected)
        known = receipts.known_burst(receipt, wanted.endpoint, f"--receipt {planning.receipt}")
    terms = _terms(
        connected.host,
        burst,
        cost,
        entity=planning.entity,
        known_burst=known,
        valid_for=planning.valid_for,
    )
    return plan_live(wanted, connected, terms)


def _terms(
    host: str,
    burst: BurstFlags,
    cost: CostFlags,
    *,
    entity: str | None = None,
    known_burst: dict[str, bool] | None = None,
    valid_for: str | None = None,
) -> Any:
    from planner.endpoint import safety, terms

    share = cost.share
    return terms.Terms(
        host=host,
        now=_now(),
        version=version(),
        entity=entity,
        burst=burst.said,
        known_burst=known_burst or {},
        valid_s=terms.VALID_S if valid_for is None else _duration(valid_for, "--valid-for"),
        most_cost_increase=safety.MOST_COST_INCREASE if share is None else share,
    )


def _only_with_recommendation(context: typer.Context, what: str) -> None:
    """Refuse flags on the command line that would change what was reviewed; defaults in a file may stand."""
    given = [
        "--" + name.replace("_", "-")
        for group in (WishFlags, BurstFlags, PlanningFlags, CostFlags)
        for name in group.__dataclass_fields__
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given:
        raise InputError(
            f"{what} is taken as it was reviewed; leave {', '.join(given)} away, or plan again with it"
        )


def _require_host(receipt: dict[str, Any], connected: Any) -> None:
    if receipt["host"] != connected.host:
        raise Refused(
            f"the receipt is for {receipt['host']}, and this is {connected.host}; check --host and --profile"
        )


def _duration(text: str, name: str) -> float:
    from planner.quantities import parse_duration

    return parse_duration(text, name=name)


def _form(json: bool, output: str, *, also: str | None = None) -> str:
    allowed = ["text", "json"] + ([also] if also else [])
    if output not in allowed:
        raise InputError(f"--output is {output!r}; must be {' or '.join(allowed)}")
    return "json" if json else output


def _now() -> float:
    from planner.endpoint.clock import SystemClock

    return SystemClock().time()
