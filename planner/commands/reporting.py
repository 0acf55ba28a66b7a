"""The command that renders a recommendation again, or compares two. Heavy imports are inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.flags import OUTPUT, Config, GroupedCommand, Json
from simulations.errors import InputError

if TYPE_CHECKING:
    from reports import Report
    from reports.comparison import Comparison

FORMATS = ("html", "md", "csv", "parquet", "json", "png")

app = typer.Typer(rich_markup_mode=None)

Files = dict[str, "str | bytes"]
"""What to write, by path below the folder."""


@app.command(cls=GroupedCommand)
def report(
    recommendation: Annotated[
        Path,
        typer.Argument(help="a recommendation.json", metavar="RECOMMENDATION", show_default=False),
    ],
    *,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="one or more, with commas [html; with --compare or -o markdown nothing is written]",
            metavar="html,md,csv,parquet,json,png",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for the files", metavar="DIR")] = Path(
        "ptplan-report"
    ),
    compare: Annotated[
        Path | None,
        typer.Option(
            help="a recommendation.json from before: say what changed since",
            metavar="OTHER",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    json: Json = False,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="text, json, or markdown for a pull request: against --compare OTHER, else against what runs now",
            rich_help_panel=OUTPUT,
            metavar="text|json|markdown",
        ),
    ] = "text",
) -> None:
    """Render a recommendation again, or say what changed from another one."""
    from planner import files
    from planner.terminal import screen

    shown = _shown(json, output)
    formats = _formats(
        form, writing=compare is None and shown != "markdown", comparing=compare is not None
    )
    files.require_writable(out)
    after = _report(recommendation)
    if compare is None:
        _show(after, shown)
        written = _write(out, _render(after, formats))
    else:
        from reports.comparison import compare as compare_reports

        comparison = compare_reports(_report(compare), after)
        _show_comparison(comparison, shown)
        written = _write(out, _render_comparison(comparison, formats))
    if shown == "text" and written:
        screen.show_lines([f"written: {', '.join(written)}"])


def _shown(json: bool, output: str) -> str:
    allowed = ("text", "json", "markdown")
    if output not in allowed:
        raise InputError(f"--output is {output!r}; must be {', '.join(allowed)}")
    return "json" if json else output


def _formats(form: str | None, *, writing: bool, comparing: bool) -> list[str]:
    if form is None:
        return ["html"] if writing else []
    wanted = [name.strip() for name in form.split(",")]
    allowed = [name for name in FORMATS if not (comparing and name == "png")]
    wrong = [name for name in wanted if name not in allowed]
    if wrong:
        what = "a comparison has" if comparing else "there are"
        raise InputError(f"--format has {wrong[0]!r}; {what} {', '.join(allowed)}")
    return list(dict.fromkeys(wanted))


def _report(path: Path) -> Report:
    """Return what a recommendation shows.

    Raises:
        InputError: it is none, was changed, or lacks what this version shows.
    """
    from planner import artifacts
    from planner.rendering import report_of

    data = artifacts.read(path)
    try:
        return report_of(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} lacks what a report shows ({type(error).__name__}: {error}); make it anew with `recommend`"
        ) from error


def _show(report: Report, shown: str) -> None:
    from planner import files
    from planner.terminal import screen
    from planner.terminal.answer import show_report

    if shown == "json":
        screen.show_text(files.to_json(_plain(report)))
    elif shown == "markdown":
        from reports.comparison_page import render_current_diff

        block = render_current_diff(report)
        if block is None:
            raise InputError(
                "--output markdown compares with what runs now, which the file does not hold; `recommend` with "
                "--current-min-chunks and --current-max-chunks, or give --compare OTHER"
            )
        screen.show_text(block)
    else:
        show_report(report)


def _show_comparison(comparison: Comparison, shown: str) -> None:
    from planner import files
    from planner.terminal import screen
    from planner.terminal.comparison import show_comparison

    if shown == "json":
        screen.show_text(files.to_json(_plain_comparison(comparison)))
    elif shown == "markdown":
        from reports.comparison_page import render_cost_diff

        screen.show_text(render_cost_diff(comparison))
    else:
        show_comparison(comparison)


def _render(report: Report, formats: list[str]) -> Files:
    made: Files = {}
    for name in formats:
        made |= _RENDERERS[name](report)
    return made


def _html(report: Report) -> Files:
    from reports.html import render_html

    return {"report.html": render_html(report)}


def _markdown(report: Report) -> Files:
    from reports.markdown import render_markdown

    text, pictures = render_markdown(report)
    return {"report.md": text, **pictures}


def _csv(report: Report) -> Files:
    from reports.tables import tables, to_csv

    return {f"tables/{table.name}.csv": to_csv(table) for table in tables(report)}


def _parquet(report: Report) -> Files:
    from reports.tables import tables, to_parquet

    return {f"tables/{table.name}.parquet": to_parquet(table) for table in tables(report)}


def _json(report: Report) -> Files:
    from planner import files

    return {"report.json": files.to_json(_plain(report))}


def _png(report: Report) -> Files:
    from reports.markdown import pngs

    return {**pngs(report)}


_RENDERERS: dict[str, Callable[[Report], Files]] = {
    "html": _html,
    "md": _markdown,
    "csv": _csv,
    "parquet": _parquet,
    "json": _json,
    "png": _png,
}


def _render_comparison(comparison: Comparison, formats: list[str]) -> Files:
    from planner import files
    from reports import comparison_page
    from reports.comparison import to_table
    from reports.tables import to_csv, to_parquet

    renderers: dict[str, Callable[[], str | bytes]] = {
        "html": lambda: comparison_page.render_comparison_html(comparison),
        "md": lambda: comparison_page.render_comparison_markdown(comparison),
        "csv": lambda: to_csv(to_table(comparison)),
        "parquet": lambda: to_parquet(to_table(comparison)),
        "json": lambda: files.to_json(_plain_comparison(comparison)),
    }
    return {f"comparison.{name}": renderers[name]() for name in formats}


def _write(folder: Path, made: Files) -> list[str]:
    """Put files in place together, and return their names."""
    from planner import files

    paths = {folder / name: content for name, content in made.items()}
    files.write_together(paths)
    return [str(path) for path in paths]


def _plain(report: Report) -> dict[str, Any]:
    """Return a report as plain data: its fields under their names, and what is said of each figure."""
    from dataclasses import asdict

    from reports.drawings import drawings

    said = [
        {"name": one.name, "title": one.title, "sentence": one.sentence} for one in drawings(report)
    ]
    return {"schema_version": 1, **asdict(report), "figures": said}


def _plain_comparison(comparison: Comparison) -> dict[str, Any]:
    from dataclasses import asdict

    costs = [side.cost.usd_per_month for side in (comparison.before, comparison.after)]
    return {
        "schema_version": 1,
        "headline": comparison.headline,
        "usd_per_month": dict(zip(("before", "after"), costs, strict=True)),
        **{
            part: [asdict(row) for row in getattr(comparison, part)]
            for part in ("answer", "inputs", "assumptions")
        },
    }
