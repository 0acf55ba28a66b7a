"""`ptplan report` from outside: what it writes and prints, and that what others wrote stays text in all of it."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

from planner.cli import run
from planner.files import checksum
from planner.rendering import report_of
from planner.terminal.plan import markdown
from reports import Report, numbers, render_html, sentences
from reports.comparison import CURRENT, compare
from reports.comparison_page import (
    render_comparison_html,
    render_comparison_markdown,
    render_current_diff,
)
from reports.markdown import render_markdown
from reports.tables import Table, tables, to_csv, to_parquet

HEADER = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
LOG = HEADER + "".join(f"{t},{900 + 37 * t % 400},{20 + t % 60}\n" for t in range(0, 300, 2))
MODEL = ("--model", "system.ai.meta_llama_v3_1_8b_instruct", "--chunk-tokens-per-s", "9500")
MONEY = ("--usd-per-chunk-hour", "5")
FORMULAS = ("=1+1", "+1", "-1+2", "@SUM(A1)", " =1", "\t=1", "\r=1", "\uff1d1")
HOSTILE = (
    "=cmd|'/c calc'!A1</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)> [a](javascript:alert(3)) "
    "![b](http://x.y/z.png) www.x.y http://x.y `` ` `` *e* | c |\n# h\n{{ 7 * 7 }}{% if %}\u202e\x00"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two recommendations, b for twice the traffic of a, and their log."""
    folder = tmp_path_factory.mktemp("made")
    log = folder / "log.csv"
    log.write_text(LOG, encoding="utf-8")
    now = ("--current-min-chunks", "1", "--current-max-chunks", "3")
    for name, more in (("a", ()), ("b", ("--growth", "40", *now))):
        arguments = [
            "recommend",
            str(log),
            *MODEL,
            *MONEY,
            "--futures",
            "3",
            "--out",
            str(folder / name),
        ]
        assert run([*arguments, "--quiet", *more]) == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a.json and b.json in it."""
    for name in ("a", "b"):
        shutil.copy(made / name / "recommendation.json", tmp_path / f"{name}.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@functools.cache
def loaded(path: Path) -> Report:
    return report_of(json.loads(path.read_text(encoding="utf-8")))


def poisoned(path: Path) -> Report:
    """Return a report in which every text that others can choose is hostile, read back from a genuine file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    data["inputs"]["workload"] |= {"path": HOSTILE, "format": HOSTILE, "dropped": {HOSTILE: 2}}
    data["inputs"] |= {"model": HOSTILE, "model_version": HOSTILE}
    data |= {"endpoint": HOSTILE, "command": HOSTILE, "confidence": HOSTILE, "search_note": HOSTILE}
    data |= {
        "reasons": [HOSTILE],
        "warnings": [HOSTILE],
        "created_at": HOSTILE,
        "ptplan_version": HOSTILE,
    }
    data["request"] |= {"path": HOSTILE, "missing": [HOSTILE]}
    for row in data["assumptions"]:
        row |= {"name": HOSTILE, "value": HOSTILE, "source": HOSTILE, "date": HOSTILE}
    for row in [*data["alternatives"]]:
        row["why"] = HOSTILE
    for row in data["baselines"]:
        row |= {"name": HOSTILE, "note": HOSTILE}
    for row in data["sensitivity"]:
        row |= {"parameter": HOSTILE, "sentence": HOSTILE}
    return report_of(data)


class Tags(HTMLParser):
    """The elements and attributes that a browser makes of a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def shown(markdown: str) -> Tags:
    """Return what a reader of GitHub's Markdown that lets HTML through would show."""
    renderer = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    return Tags(renderer.render(markdown))


# What it writes


def test_every_format_is_written(folder, capsys):
    assert (
        run(["report", "a.json", "--format", "html,md,csv,parquet,json,png", "--out", "out"]) == 0
    )
    written = {
        path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()
    }
    names = (
        "ranges",
        "baselines",
        "percentiles",
        "sensitivity",
        "break_even",
        "timeline",
        "assumptions",
    )
    expected = {"report.html", "report.md", "report.json"}
    expected |= {f"tables/{name}.{kind}" for name in names for kind in ("csv", "parquet")}
    assert expected <= written
    assert {
        path for path in written - expected if not re.fullmatch(r"figures/\w+\.png", path)
    } == set()
    printed = capsys.readouterr().out
    assert "RECOMMENDED" in printed
    assert "out/report.html" in printed


def test_the_page_is_the_one_that_recommend_wrote(made, folder, capsys):
    assert run(["report", "a.json"]) == 0
    assert Path("ptplan-report/report.html").read_bytes() == (made / "a/report.html").read_bytes()


def test_markdown_shows_pictures_that_are_there(folder):
    assert run(["report", "a.json", "--format", "md", "--out", "out"]) == 0
    text = Path("out/report.md").read_text(encoding="utf-8")
    shown_pictures = re.findall(r"\]\((figures/\w+\.png)\)", text)
    assert len(shown_pictures) == len(set(shown_pictures)) >= 6
    for path in shown_pictures:
        assert Path("out", path).read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in Path("out/figures").iterdir()} == {
        path.removeprefix("figures/") for path in shown_pictures
    }


def test_csv_and_parquet_hold_the_same_numbers(folder):
    for table in tables(loaded(folder / "a.json")):
        rows = list(csv.reader(to_csv(table).splitlines()))
        Path("t.parquet").write_bytes(to_parquet(table))
        columns = pq.read_table("t.parquet").to_pydict()
        assert rows[0] == list(table.columns) == list(columns)
        assert len(rows) - 1 == len(table.rows)
        for place, name in enumerate(table.columns):
            for row, value in zip(rows[1:], columns[name], strict=True):
                if isinstance(value, float):
                    assert float(row[place]) == value
                elif value is None:
                    assert row[place] == ""


def test_json_goes_alone_to_stdout(folder, capsys):
    assert run(["report", "a.json", "--json", "--out", "out"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["decision"]["feasible"] is True
    assert [figure["name"] for figure in data["figures"]][:2] == ["cost", "load"]


# The same digits everywhere


def test_page_markdown_and_terminal_write_the_same_numbers(folder, capsys):
    report = loaded(folder / "a.json")
    assert run(["report", "a.json", "--format", "md", "--out", "out"]) == 0
    terminal = " ".join(capsys.readouterr().out.split())
    page = re.sub(r"<[^>]+>", " ", render_html(report)).replace("\N{NO-BREAK SPACE}", " ")
    page = " ".join(page.split())
    markdown = Path("out/report.md").read_text(encoding="utf-8")
    facts = [
        numbers.amount(report.decision.capacity),
        numbers.throughput(report.decision.capacity),
        numbers.usd(report.cost.usd_per_month),
        *(numbers.percent(limit.reached_fraction) for limit in report.promise.limits),
        sentences.how_often(report.promise),
    ]
    for fact in facts:
        assert fact in page
        assert fact in terminal
        assert fact in markdown
    seconds = [row.ttft_p95_s for row in report.ranges if row.ttft_p95_s is not None]
    for text in map(numbers.latency, seconds):
        assert text in page
        assert text in markdown
    figure = re.compile(r"USD [\d,.]*\d")
    assert set(figure.findall(terminal)) <= set(
        figure.findall(
            page + markdown + "".join(f" USD {cell}" for cell in re.findall(r"[\d,]+", page))
        )
    )


# Two of them


def test_a_comparison_says_what_changed(folder, capsys):
    assert run(["report", "b.json", "--compare", "a.json"]) == 0
    printed = capsys.readouterr().out
    first, second = loaded(folder / "a.json"), loaded(folder / "b.json")
    assert first.cost.usd_per_month < second.cost.usd_per_month
    assert "~ Growth" in printed
    assert "40 times" in printed
    apart = numbers.usd_apart(first.cost.usd_per_month, second.cost.usd_per_month)
    assert apart in printed
    assert not Path("ptplan-report").exists()
    assert apart in render_comparison_html(compare(first, second))
    assert apart in render_comparison_markdown(compare(first, second))


def test_nothing_changed_between_one_and_itself(folder, capsys):
    same = compare(loaded(folder / "a.json"), loaded(folder / "a.json"))
    assert [row for row in same.answer if row.is_one] == []
    assert same.inputs == same.assumptions == []
    assert "It costs the same" in same.headline
    assert "no change" not in render_comparison_markdown(same)


def test_the_block_for_a_pull_request_is_all_that_is_printed(folder, capsys):
    assert run(["report", "b.json", "--compare", "a.json", "-o", "markdown"]) == 0
    block = capsys.readouterr().out
    assert block.startswith("### ptplan: USD ")
    assert len(block.splitlines()) < 20
    tags = shown(block).tags
    assert tags.count("table") == 1
    assert "strong" in tags


def test_one_file_is_enough_for_the_block_against_what_runs_now(folder, capsys):
    assert run(["report", "b.json", "-o", "markdown"]) == 0
    block = capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json"]
    data = json.loads(Path("b.json").read_text(encoding="utf-8"))
    (now,) = [row for row in data["baselines"] if row["name"] == "current configuration"]
    was, then = now["usd_per_month"], data["outcome"]["usd_per_month"]["value"]
    head = block.splitlines()[0]
    assert f"{numbers.usd(was)} → {numbers.usd(then)} a month" in head
    assert "| Range | 1 to 3 chunks |" in block
    assert shown(block).tags.count("table") == 1
    hostile = poisoned(Path("b.json"))
    rows = [replace(row, name=CURRENT) for row in hostile.baselines]
    block = render_current_diff(replace(hostile, baselines=rows))
    assert not {"script", "img", "a"} & set(shown(block).tags)


def test_a_comparison_is_written_in_every_format(folder, capsys):
    arguments = ["report", "b.json", "--compare", "a.json", "--format", "html,md,csv,parquet,json"]
    assert run([*arguments, "--out", "out"]) == 0
    assert {path.name for path in Path("out").iterdir()} == {
        f"comparison.{kind}" for kind in ("html", "md", "csv", "parquet", "json")
    }
    data = json.loads(Path("out/comparison.json").read_text(encoding="utf-8"))
    assert {row["name"] for row in data["inputs"]} == {"Growth", "Requests"}


def test_without_a_price_a_comparison_says_so(folder):
    data = json.loads(Path("a.json").read_text(encoding="utf-8"))
    figure = data["outcome"]["usd_per_month"]
    figure |= dict.fromkeys(("value", "low", "high", "p05", "p95"))
    unknown = compare(loaded(folder / "b.json"), report_of(data))
    assert "unknown: a price is missing" in unknown.headline
    assert "The cost is unknown" in render_comparison_html(unknown)
    assert "unknown" in render_comparison_markdown(unknown)


# What it refuses


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("none.json",), "none.json cannot be read: No such file or directory"),
        (
            ("a.json", "--format", "pdf"),
            "--format has 'pdf'; there are html, md, csv, parquet, json, png",
        ),
        (("a.json", "-o", "markdown"), "give --compare OTHER"),
        (("a.json", "-o", "yaml"), "--output is 'yaml'; must be text, json, markdown"),
        (
            ("a.json", "--compare", "b.json", "--format", "png"),
            "--format has 'png'; a comparison has html",
        ),
        (("a.json", "--compare", "none.json"), "none.json cannot be read"),
        (("a.json", "--out", "a.json"), "a.json cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, complaint, folder, capsys):
    before = sorted(Path().rglob("*"))
    assert run(["report", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert complaint in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("lost", ["outcome", "held_in", "timeline", "alternatives"])
def test_a_genuine_file_that_lacks_something_is_refused(lost, folder, capsys):
    data = json.loads(Path("a.json").read_text(encoding="utf-8"))
    del data[lost], data["sha256"]
    Path("less.json").write_text(json.dumps(data | {"sha256": checksum(data)}), encoding="utf-8")
    assert run(["report", "less.json"]) == 1
    assert f"less.json lacks what a report shows (KeyError: '{lost}')" in capsys.readouterr().err


# Hostile input


def test_hostile_texts_stay_text_in_markdown(folder):
    text = render_markdown(poisoned(Path("a.json"))).text
    benign = shown(render_markdown(loaded(folder / "a.json")).text)
    hostile = shown(text)
    assert sorted(set(hostile.tags)) == sorted(set(benign.tags))
    assert hostile.tags.count("img") == benign.tags.count("img")
    assert hostile.tags.count("table") == benign.tags.count("table")
    assert hostile.tags.count("tr") == benign.tags.count("tr")
    assert hostile.tags.count("td") == benign.tags.count("td")
    assert {name for name, _ in hostile.attributes} == {name for name, _ in benign.attributes}
    pictures = [value for name, value in hostile.attributes if name == "src"]
    assert all(re.fullmatch(r"figures/\w+\.png", picture or "") for picture in pictures)
    assert "{{ 7 \\* 7 }}" in text
    assert "\x00" not in text
    assert "\u202e" not in text


def test_hostile_texts_stay_text_in_the_block_of_a_plan():
    plan = {
        **{key: [HOSTILE] for key in ("kept_entities", "unknown_keys", "blocked", "notes")},
        **dict.fromkeys(("cost_delta", "predicted", "request")),
        "action": "update",
        "endpoint": HOSTILE,
        "diff": [{"path": HOSTILE, "before": HOSTILE, "after": HOSTILE, "reason": HOSTILE}],
        "safety": [{"rule": "cost-up", "text": HOSTILE}],
        "sha256": "ab" * 32,
    }
    tags = shown(markdown(plan)).tags
    assert {"script", "img", "a"}.isdisjoint(tags)
    assert tags.count("td") == 4


def test_hostile_texts_stay_text_in_comparisons(folder):
    comparison = compare(loaded(folder / "a.json"), poisoned(Path("b.json")))
    markdown, page = (
        shown(render_comparison_markdown(comparison)),
        Tags(render_comparison_html(comparison)),
    )
    assert {"script", "img", "a"}.isdisjoint(markdown.tags)
    assert {"script", "img", "a"}.isdisjoint(page.tags)


def test_no_cell_is_a_formula(folder):
    for table in tables(poisoned(Path("a.json"))):
        for row in csv.reader(to_csv(table).splitlines()):
            for cell in row:
                if not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", cell):
                    assert not cell.strip().startswith(tuple("=+-@")), cell


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas_are_text_and_numbers_numbers(formula):
    text = to_csv(Table("t", ["a", "b"], [[formula, -1.5]]))
    ((cell, number),) = list(csv.reader(text.splitlines()))[1:]
    assert cell.startswith("'")
    assert float(number) == -1.5
