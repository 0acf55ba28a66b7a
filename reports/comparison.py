"""Two reports side by side: what changed in what was asked, in what was assumed, and in the answer.

Every value is text made by `numbers` and `sentences`, so a comparison and a report agree to the digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reports import cells, numbers, sentences
from reports.report import Assumption, Report
from reports.tables import Table

ABSENT = numbers.MISSING
"""Where only one of the two has a row."""


CURRENT = "current configuration"
"""The name of the baseline that runs now."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a comparison.

    Args:
        name: what it is.
        before, after: as text; a dash where it is not there.
        difference: how much more or less, where that says more than the two.
    """

    name: str
    before: str
    after: str
    difference: str = ""

    @property
    def is_one(self) -> bool:
        """Whether the two differ."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is different between two reports.

    Args:
        before, after: the two.
        headline: what becomes of range and cost, in a sentence or two.
        answer: rows of the answer, unchanged ones too.
        inputs, assumptions: rows that changed.
        same_inputs, same_assumptions: how many rows did not.
    """

    before: Report
    after: Report
    headline: str
    answer: Sequence[Change]
    inputs: Sequence[Change]
    assumptions: Sequence[Change]
    same_inputs: int
    same_assumptions: int


def compare(before: Report, after: Report) -> Comparison:
    """Return what changed from one report to another."""
    inputs = _changes(_inputs(before), _inputs(after))
    assumptions = _assumption_changes(before, after)
    return Comparison(
        before,
        after,
        headline(before, after),
        _answer(before, after),
        [row for row in inputs if row.is_one],
        [row for row in assumptions if row.is_one],
        sum(not row.is_one for row in inputs),
        sum(not row.is_one for row in assumptions),
    )


def compare_to_current(report: Report) -> list[Change] | None:
    """Return what changes from what runs now to the answer of one report; None where it does not know what runs now."""
    now = next((row for row in report.baselines if row.name == CURRENT and row.capacity), None)
    if now is None or now.capacity is None:
        return None
    # What runs now was judged on the futures of the search, so the answer is taken from there too: like with like.
    capacity = report.decision.capacity
    then = next((row for row in report.ranges if row.chosen), None)
    if then is None:
        return None
    return [
        Change("Range", numbers.amount(now.capacity), numbers.amount(capacity)),
        Change("Throughput", numbers.throughput(now.capacity), numbers.throughput(capacity)),
        Change(
            "Cost a month",
            numbers.usd(now.usd_per_month),
            numbers.usd(then.usd_per_month),
            _apart(now.usd_per_month, then.usd_per_month),
        ),
        Change(
            "Requests within all limits",
            numbers.percent(now.attainment_fraction),
            numbers.percent(then.attainment_fraction),
        ),
        Change(
            "Refused",
            numbers.percent(now.refused_fraction),
            numbers.percent(then.refused_fraction),
        ),
    ]


def headline(before: Report, after: Report) -> str:
    """Return what becomes of range and cost."""
    first, second = (numbers.amount(report.decision.capacity) for report in (before, after))
    size = (
        f"The answer stays {second}."
        if first == second
        else f"The answer moves from {first} to {second}."
    )
    was, now = before.cost.usd_per_month, after.cost.usd_per_month
    if was is None or now is None:
        money = "What that does to the cost is unknown: a price is missing."
    elif was == now:
        money = f"It costs the same, {numbers.usd(now)} a month."
    else:
        word = "more" if now > was else "less"
        share = f" ({numbers.percent(abs(now - was) / was)})" if was > 0 else ""
        money = (
            f"A month costs {numbers.usd(abs(now - was))} {word}{share}: {numbers.usd(now)} instead of "
            f"{numbers.usd(was)}."
        )
    verdicts = {
        (True, False): " The promise was kept, and no longer is.",
        (False, True): " The promise was not kept, and now is.",
        (False, False): " Neither keeps the promise.",
    }
    return f"{size} {money}{verdicts.get((before.decision.feasible, after.decision.feasible), '')}"


def to_table(comparison: Comparison) -> Table:
    """Return a comparison as a table for programs; values are text."""
    rows = [
        [part, row.name, row.before, row.after, row.difference]
        for part in ("answer", "inputs", "assumptions")
        for row in getattr(comparison, part)
    ]
    return Table("comparison", ["part", "name", "before", "after", "difference"], rows)


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    names = dict.fromkeys([*before, *after])
    return [Change(name, before.get(name, ABSENT), after.get(name, ABSENT)) for name in names]


def _inputs(report: Report) -> dict[str, str]:
    rows = {
        name: text for name, text in cells.input_rows(report) if name != "SHA-256 of this answer"
    }
    rows["Promise"] = sentences.sentence(report.promise.definition)
    rows["Endpoint"] = report.decision.endpoint or ABSENT
    rows["ptplan"] = report.ptplan_version
    return rows


def _assumption_changes(before: Report, after: Report) -> list[Change]:
    """Return each number before and after, with its source where that is another one."""
    first, second = ({row.name: row for row in report.assumptions} for report in (before, after))
    changes = []
    for name in dict.fromkeys([*first, *second]):
        was, now = first.get(name), second.get(name)
        with_source = was is None or now is None or was.source != now.source
        changes.append(Change(name, _value(was, with_source), _value(now, with_source)))
    return changes


def _value(row: Assumption | None, with_source: bool) -> str:
    if row is None:
        return ABSENT
    if not with_source:
        return row.value
    return f"{row.value} ({'assumed' if row.assumed else 'known'}: {row.source})"


def _answer(before: Report, after: Report) -> list[Change]:
    first, second = before.decision.capacity, after.decision.capacity
    month = before.cost.usd_per_month, after.cost.usd_per_month
    hour = before.cost.usd_per_hour, after.cost.usd_per_hour
    rows = [
        Change("Range", numbers.amount(first), numbers.amount(second)),
        Change("Throughput", numbers.throughput(first), numbers.throughput(second)),
        Change("Cost a month", numbers.usd(month[0]), numbers.usd(month[1]), _apart(*month)),
        Change("Cost an hour", numbers.usd(hour[0]), numbers.usd(hour[1]), _apart(*hour)),
        *_changes(_verdicts(before), _verdicts(after)),
        Change(
            "How often it held",
            sentences.how_often(before.promise),
            sentences.how_often(after.promise),
        ),
        Change(
            "Requests within all limits",
            numbers.percent(before.promise.attainment_fraction),
            numbers.percent(after.promise.attainment_fraction),
        ),
        *_percentile_changes(before, after),
        *_changes(_neighbours(before), _neighbours(after)),
    ]
    return [
        row
        for row in rows
        if (row.before, row.after) != (numbers.UNKNOWN, numbers.UNKNOWN) or row.difference
    ]


def _apart(before: float | None, after: float | None) -> str:
    text = numbers.usd_apart(before, after, unknown="")
    return "" if text == "no change" else text


def _verdicts(report: Report) -> dict[str, str]:
    return {
        sentences.limit_label(limit): sentences.limit_verdict(limit)
        for limit in report.promise.limits
    }


def _percentile_changes(before: Report, after: Report) -> list[Change]:
    first, second = _percentiles(before), _percentiles(after)
    changes = _changes(
        *(
            {name: numbers.latency(s, unknown="never") for name, s in one.items()}
            for one in (first, second)
        )
    )
    return [
        replace(
            row,
            difference=numbers.latency_apart(first.get(row.name), second.get(row.name), unknown=""),
        )
        if row.is_one
        else row
        for row in changes
    ]


def _percentiles(report: Report) -> dict[str, float | None]:
    shown = [row for row in report.percentiles if row.metric != "tpot" and row.percent != 90]
    return {f"{sentences.METRIC_NAMES[row.metric]} p{row.percent}": row.seconds for row in shown}


def _neighbours(report: Report) -> dict[str, str]:
    near = {"Next cheaper": report.next_cheaper, "Next safer": report.next_safer}
    return {
        title: f"{numbers.amount(one.capacity)}, {sentences.cost(one.usd_per_month, one.chunk_hours, one.capacity)}"
        for title, one in near.items()
        if one is not None
    }
