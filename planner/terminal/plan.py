"""What plan, apply, verify and rollback print: a plan as lines and as a Markdown block, the steps of a receipt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planner.endpoint.drift import Drift
from planner.endpoint.eligibility import Eligibility
from planner.endpoint.images import Difference
from planner.endpoint.rollback import create_text
from planner.line import one_line
from planner.plan_words import SUMMARIES, TITLES, facts, value_text
from planner.terminal import screen
from planner.terminal.screen import Line
from reports import markdown_text, numbers

STYLES = {"create": "green", "update": "yellow", "no_op": "", "blocked": "bold red"}
ARROW = "\N{RIGHTWARDS ARROW}"


def show_eligibility(found: Eligibility) -> None:
    """Print what a workspace says of a model."""
    name = f"{found.model} version {found.version}"
    if found.kind == "token_chunks":
        lines = [
            f"{name}: chunk of {numbers.tokens_per_s(found.chunk_tokens_per_s)}",
            f"  recommend with --model {found.model}:{found.version} --chunk-tokens-per-s {found.chunk_tokens_per_s}",
        ]
    elif found.kind == "model_units":
        lines = [
            f"{name}: sold in model units; the workspace does not say in what steps",
            "  asked for tokens/s it answers 'not eligible for Provisioned Throughput'",
        ]
    else:
        lines = [f"{name}: not eligible for provisioned throughput"]
    if found.dbus is not None:
        per = "step" if found.kind == "model_units" else "chunk"
        lines.append(f"  {found.dbus:g} DBU/h per {per}: --dbu-per-chunk-hour {found.dbus:g}")
    screen.show_lines(lines[:1])
    for line in lines[1:]:
        screen.print_lines(screen.console(), [(line, "")])


def show_plan(plan: Mapping[str, Any], *, stderr: bool = False) -> None:
    """Print a plan as its reviewer reads it."""
    out = screen.console(stderr=stderr)
    width = screen.width_of(out)
    action = plan["action"]
    back = (plan["source"] or {}).get("kind") == "rollback"
    head = f"{plan['endpoint']} on {plan['host']}: " + (
        "roll back" if back and action == "update" else TITLES[action]
    )
    lines: list[Line] = [(one_line(head), f"bold {STYLES[action]}".strip())]
    lines += _diff_lines(plan["diff"], width)
    for label, text in facts(plan):
        lines += screen.labelled_lines(label, text, width)
    for reason in plan["blocked"]:
        lines += screen.wrapped_lines(f"! {reason}", width, hanging=2, style="bold red")
    for rule in plan["safety"]:
        lines += screen.wrapped_lines(
            f"! {rule['rule']}: {rule['text']}", width, hanging=2, style="bold yellow"
        )
    for note in plan["notes"]:
        lines += screen.wrapped_lines(f"! {note}", width, hanging=2)
    if plan["safety"]:
        lines += screen.wrapped_lines(
            f"A safety rule trips: {'rollback' if back else 'apply'} needs --force, and the endpoint's name typed.",
            width,
        )
    summary = SUMMARIES[action]
    if back and action == "no_op":
        summary = "No changes: the endpoint already is as it was before."
    screen.print_lines(out, [*lines, (summary, "bold"), ("", "")])


def _diff_lines(diff: Sequence[Mapping[str, Any]], width: int) -> Iterator[Line]:
    """Yield the fields that change, below what they are fields of, each with its reason if it has one."""
    shown = None
    for one in diff:
        where, _, name = one["path"].rpartition(".")
        if where != shown:
            shown = where
            if where:
                yield f"  {one_line(where)}", ""
        mark = "+" if one["before"] is None else "-" if one["after"] is None else "~"
        text = f"{mark} {one_line(name)}: {_change_text(one)}"
        if one.get("reason"):
            text += f" ({one['reason']})"
        for line, style in screen.wrapped_lines(
            text, width - 4, hanging=4, style=_mark_style(mark)
        ):
            yield f"    {line}", style


def show_steps(receipt: Mapping[str, Any]) -> None:
    """Print what a receipt tells so far."""
    screen.show_lines([f"{receipt['endpoint']} on {receipt['host']}: going on from the receipt"])
    for step in receipt["steps"]:
        screen.show_lines([f"  {step['at']}  {step['what']}: {step['result']}"])


def show_receipt(receipt: Mapping[str, Any], path: str) -> None:
    """Print how an apply ended."""
    last = receipt["steps"][-1]["result"]
    lines = [f"{receipt['endpoint']}: {last}"]
    if "nothing to do" in last:
        screen.show_lines(lines)
        return
    lines.append(f"written: {path}, audit.jsonl")
    if receipt["plan"]["action"] == "update":
        lines.append(f"to check later: ptplan verify {path}; to go back: ptplan rollback {path}")
    elif receipt["plan"]["action"] == "create":
        lines.append(f"to check later: ptplan verify {path}. {create_text(receipt['plan'])}.")
    screen.show_lines(lines)


def show_drift(receipt: Mapping[str, Any], found: Drift, path: str) -> None:
    """Print whether an endpoint still is as applied."""
    at = next(
        step["at"] for step in reversed(receipt["steps"]) if step["what"] in ("read back", "check")
    )
    name = f"{receipt['endpoint']} on {receipt['host']}"
    if found.drifted:
        screen.show_lines([f"{name}: DRIFTED from what was applied at {at}"])
        out = screen.console()
        rows = [one._asdict() for one in found.differences]
        screen.print_lines(out, [*_diff_lines(rows, screen.width_of(out)), ("", "")])
    else:
        screen.show_lines([f"{name}: as applied at {at}"])
    if found.notes:
        screen.show_lines(list(found.notes), mark="!")
    if found.drifted:
        back = (
            f"; to go back to what was before the apply: ptplan rollback {path}"
            if receipt["plan"]["action"] == "update"
            else ""
        )
        screen.show_lines(
            [
                f"to put back what was applied: plan again from its recommendation, and apply that{back}"
            ]
        )


def markdown(plan: Mapping[str, Any]) -> str:
    """Return a plan as a block for a pull request."""
    action, escape, code = plan["action"], markdown_text.escape, markdown_text.code
    lines = [f"### ptplan: {TITLES[action]} {code(plan['endpoint'])}", ""]
    if plan["diff"]:
        rows = [
            [code(one["path"]), value_text(one["before"]), value_text(one["after"]), one["reason"]]
            for one in plan["diff"]
        ]
        lines += [markdown_text.table(["field", "before", "after", "why"], rows), ""]
    lines += [
        f"- **{label}**: {escape(text)}" if label else f"- {escape(text)}"
        for label, text in facts(plan)
    ]
    lines += [f"- **blocked**: {escape(reason)}" for reason in plan["blocked"]]
    lines += [
        f"- **safety rule {rule['rule']}**: {escape(rule['text'])}" for rule in plan["safety"]
    ]
    lines += [f"- {escape(note)}" for note in plan["notes"]]
    lines += ["", f"{SUMMARIES[action]} Plan `{plan['sha256'][:12]}`."]
    return "\n".join(lines) + "\n"


def _change_text(one: Mapping[str, Any] | Difference) -> str:
    data = one if isinstance(one, Mapping) else one._asdict()
    if data["before"] is None:
        return value_text(data["after"])
    return f"{value_text(data['before'])} {ARROW} {value_text(data['after'])}"


def _mark_style(mark: str) -> str:
    return {"+": "green", "-": "red", "~": "yellow"}[mark]
