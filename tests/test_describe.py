"""`ptplan describe`: the data, the warnings, the terminal page and the HTML page, on small files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import traces

from planner.artifacts import to_json
from planner.description import describe
from planner.terminal.description import description_lines, show_description
from reports import figures
from reports.svg import inline_svg
from reports.trace_page import render_trace_page
from simulations.ingest import Reading, read, write_trace
from simulations.trace import Trace

HOSTILE = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}$x^2$&amp;\x00\x1b[2J\u202e\ud800"
MONDAY_NS = 1_767_571_200 * 10**9
"""2026-01-05 00:00 UTC."""


def weeks(n: int = 6000) -> Trace:
    """Return nine days with nights, a few outputs of 0, and dates."""
    rng = np.random.default_rng(6)
    arrival_s = np.sort(rng.uniform(0, 9 * 86_400, n))
    arrival_s = arrival_s[
        rng.uniform(size=n) < 0.55 - 0.45 * np.cos(arrival_s / 86_400 * 2 * np.pi)
    ]
    n = len(arrival_s)
    return Trace.build(
        arrival_s,
        rng.lognormal(6, 1, n).astype(int) + 1,
        np.where(rng.uniform(size=n) < 0.05, 0, rng.exponential(300, n).astype(int) + 1),
        span_s=9 * 86_400,
        epoch_ns=MONDAY_NS,
    )


def reading_of(trace: Trace, **more) -> Reading:
    said = {
        "path": Path("log.csv"),
        "format": "ptplan",
        "container": "csv",
        "rows_read": len(trace),
        "dropped": {},
        "bad_rows": (),
        "notes": (),
    }
    reading = Reading(trace=trace, **(said | more))
    vars(reading)["sha256"] = "ab" * 32
    return reading


def described(trace: Trace, **more) -> dict:
    return describe(reading_of(trace, **more))


def warnings_of(arrival_s, **more) -> str:
    arrival_s = list(arrival_s)
    rng = np.random.default_rng(1)
    tokens = rng.integers(1, 900, (2, len(arrival_s)))
    return "\n".join(described(Trace.build(arrival_s, *tokens, **more))["warnings"])


@pytest.fixture(scope="module")
def full() -> dict:
    return described(weeks(), dropped={"input_tokens is 0": 2}, rows_read=10**6, notes=("A note.",))


# The data


def test_the_data_have_the_keys_that_scripts_rely_on(full):
    contract = {
        *("requests", "span_s", "mean_rate_per_s", "input_tokens", "output_tokens", "format"),
        *("peak_to_mean", "dispersion", "interarrival_cv", "dropped", "warnings"),
    }
    assert contract <= set(full)
    assert set(full["input_tokens"]) == set(full["output_tokens"])
    assert set(full["input_tokens"]) >= {"mean", "p50", "p95", "p99", "max"}
    assert set(full["peak_to_mean"]) >= {"1s", "1m", "5m"}
    assert set(full["dispersion"]) >= {"1s", "1m"}


def test_the_data_are_the_same_after_json(full):
    assert json.loads(to_json(full)) == full


def test_rates_over_time_add_up_to_all_requests(full):
    rates = full["rate_over_time"]
    assert len(rates["t_s"]) <= 480
    assert sum(rates["requests_per_s"]) * rates["width_s"] == pytest.approx(full["requests"])
    assert sum(rates["tokens_per_s"]) * rates["width_s"] == pytest.approx(full["total_tokens"])


def test_hours_of_the_week_need_dates_and_days(full):
    assert len(full["load_by_hour_of_week"]) == 168
    assert re.fullmatch(r"2026-01-05T00:\d\d:\d\d\.\d{9}Z", full["epoch"])
    undated = described(Trace.build([0, 1, 2], [1] * 3, [1] * 3))
    assert undated["load_by_hour_of_week"] is None
    assert undated["epoch"] is None


def test_a_file_written_and_read_again_has_the_same_description(tmp_path):
    write_trace(weeks(), tmp_path / "weeks.parquet")
    write_trace(weeks(), tmp_path / "weeks.csv.gz")
    one, other = (describe(read(tmp_path / name)) for name in ("weeks.parquet", "weeks.csv.gz"))
    of_the_file = ("path", "container", "sha256")
    assert {key: value for key, value in one.items() if key not in of_the_file} == {
        key: value for key, value in other.items() if key not in of_the_file
    }


@given(traces(), st.sampled_from([1, 1000, 10**6]), st.sampled_from([None, 0, MONDAY_NS]))
def test_any_trace_becomes_json_lines_and_a_sentence_for_each_warning(trace, stretch, epoch_ns):
    longer = Trace(
        trace.arrival_ticks * stretch,
        trace.input_tokens,
        trace.cached_tokens,
        trace.output_tokens,
        trace.span_ticks * stretch,
        epoch_ns,
    )
    data = described(longer)
    assert json.loads(to_json(data)) == data
    assert all(warning and "\n" not in warning for warning in data["warnings"])
    for width in (60, 80, 118):
        lines = [line for line, _ in description_lines(data, width)]
        assert max(map(len, lines)) <= max(width, 78)
        assert re.findall(r"\b(None|nan|inf)\b", " ".join(lines)) == []


# Warnings


def test_what_was_noted_while_reading_comes_first(full):
    assert full["warnings"][0] == "A note."
    assert full["warnings"][1] == "2 of 1,000,000 rows are left out (input_tokens is 0: 2)"


def test_a_peak_that_averages_hide_is_said_in_words():
    times = [*range(0, 3600, 10), *np.arange(1800, 1801, 0.01)]
    assert (
        "5-minute averages hide a 233x one-second peak: 101 requests in the busiest second, "
        "0.433 a second in the busiest 5 minutes"
    ) in warnings_of(times, span_s=3600)


def test_a_few_requests_in_one_second_are_no_peak():
    assert "hide" not in warnings_of([*range(0, 3600, 100), *np.arange(50, 50.5, 0.1)])


def test_what_is_too_short_is_said():
    few = warnings_of(range(60))
    assert "too few requests for p99: 0 of 60 are beyond it; of 1,000, ten would be" in few
    assert "too short for peaks at 1 min and 5 min: the recording lasts 59 s" in few
    assert "less than a day" in few
    many = warnings_of(range(0, 3 * 86_400, 60))
    assert "p99" not in many
    assert "less than a week" in many
    assert "less than" not in warnings_of(range(0, 8 * 86_400, 600))


def test_no_time_at_all_is_said():
    assert "one request: there is no rate" in warnings_of([3.0])
    assert "all requests arrive at one instant: there is no rate" in warnings_of([3.0] * 40)


def test_a_coarse_clock_is_said_with_its_ties():
    text = warnings_of(np.repeat(np.arange(0, 900, 3), 2))
    assert "all arrivals are multiples of 3 s" in text
    assert "peaks at 1 s are those of the clock (50.0 % arrive together" in text
    assert "hide" not in text


def test_a_clock_of_ten_milliseconds_is_found_and_not_warned_of():
    arrival_s = np.cumsum(np.arange(1, 101) % 7 + 1) * 0.01
    data = described(Trace.build(arrival_s, range(1, 101), range(1, 101)))
    assert data["clock_step_s"] == 0.01
    assert not any("multiples" in warning for warning in data["warnings"])


def test_ties_on_a_fine_clock_are_said():
    fine = np.cumsum(np.random.default_rng(2).exponential(1, 500))
    assert "50.0 % of requests arrive at the very instant" in warnings_of(np.repeat(fine, 2))
    assert "instant" not in warnings_of(fine)


def test_holes_are_said_and_listed():
    times = [*range(0, 3000, 10), *range(20_000, 23_000, 10), *range(40_000, 43_000, 10)]
    text = warnings_of(times)
    assert (
        "2 holes of 9.45 h together; in the longest nothing arrives for 4.72 h, from "
        "49.8 min after the first request; if nothing was recorded then, the mean rate is 4.8x as high"
    ) in text
    column = [5] * len(times)
    data = described(Trace.build(times, column, column))
    assert data["n_holes"] == 2
    assert data["holes"][0] == {"start_s": 2990.0, "length_s": 17_010.0}


def test_silence_to_the_very_end_divides_by_nothing():
    assert "nothing arrives for 2.78 h" in warnings_of([0.0] * 50, span_s=10_000)


def test_outputs_of_zero_are_said():
    tokens = np.arange(1, 101)
    all_zero = described(Trace.build(range(100), tokens, tokens * 0))["warnings"]
    some_zero = described(Trace.build(range(100), tokens, np.where(tokens < 11, 0, tokens)))
    assert any("every output is 0 tokens" in text for text in all_zero)
    assert not any("made, not measured" in text for text in all_zero)
    assert any(text.startswith("10.0 % of outputs are 0") for text in some_zero["warnings"])


def test_tokens_that_never_vary_are_said():
    data = described(Trace.build(range(100), [7] * 100, range(100)))
    assert "every input is 7 tokens: made, not measured?" in data["warnings"]


# The terminal


def test_the_terminal_page_of_a_small_trace_is_this_one():
    arrival_s = [*range(0, 1200, 4), *np.arange(600, 660, 0.5)]
    tokens = [16] * 300 + [1000] * 120
    data = described(Trace.build(arrival_s, tokens, tokens, span_s=1200), notes=("Noted.",))
    text = "\n".join(line.rstrip() for line, _ in description_lines(data, 60))
    assert text.startswith(
        "log.csv: 420 requests over 20 min (ptplan)\n\n  rows      420 read, 420"
    )
    assert "  1 min        2.25    6.43        34.3" in text
    chart = text[text.index("tokens/s over time") :].splitlines()[1:7]
    assert chart == [
        "      4,009                          █▂",
        "                                     ██",
        "                                    ▄██",
        "                                    ███",
        "          0  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁",
        "             0                                        20 min",
    ]
    assert "  16  32  64  128    1,024" in text
    assert "\n! Noted." in text


def test_the_map_of_the_week_has_a_row_for_each_day(full):
    lines = [line for line, _ in description_lines(full, 80)]
    days = [
        line for line in lines if line[2:5] in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    ]
    assert len(days) == 7
    assert {len(line) for line in days} == {7 + 48}
    assert "██" in "".join(days)
    assert any("0 to" in line and "tokens/s" in line for line in lines)


def test_the_page_fits_80_columns(full):
    assert max(len(line) for line, _ in description_lines(full, 80)) <= 80


def test_in_a_pipe_there_are_no_escape_codes(full, capsys):
    show_description(full)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "tokens of a request" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_without_block_characters_ascii_draws(full):
    for line, _ in description_lines(full, 80, plain=True):
        assert line.isascii()


def test_hostile_names_are_printed_as_their_escapes():
    data = described(
        weeks(50), path=Path(HOSTILE), format=HOSTILE, dropped={HOSTILE: 1}, notes=(HOSTILE,)
    )
    text = "\n".join(line for line, _ in description_lines(data, 80))
    assert "\x1b" not in text
    assert "\x00" not in text


def test_describing_in_a_terminal_does_not_import_what_draws():
    code = (
        "import sys, planner.description, planner.terminal.description; "
        "print(sorted({'matplotlib', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# The figures


def rate(n: int, **more):
    wave = 3 + 2 * np.sin(np.arange(n) / 9)
    return figures.rate_over_time(np.arange(n) * 60.0, wave, wave * 900, width_s=60.0, **more)


def week(n: int, **more):
    seen = [float(hour % 24) if hour < n else None for hour in range(168)]
    return figures.load_by_hour_of_week(seen, **more)


def lengths(n: int, **more):
    edges = [0, *(2**i for i in range(n))]
    panel = figures.LengthPanel(
        "input", edges, [1] * n, [(50, 1), (95, edges[-1]), (99, edges[-1])]
    )
    return figures.token_lengths([panel, panel], **more)


@pytest.mark.parametrize("width_in", [figures.WIDE_IN, figures.NARROW_IN])
@pytest.mark.parametrize(
    ("draw", "n"),
    [*((rate, n) for n in (0, 1, 3, 480, 100_000)), *((week, n) for n in (0, 1, 50, 168))]
    + [(lengths, n) for n in (1, 2, 24)],
)
def test_a_figure_of_any_size_draws_small_and_whole(draw, n, width_in):
    figure = draw(n, width_in=width_in)
    document = figures.svg(figure)
    assert document == figures.svg(draw(n, width_in=width_in))
    drawn = inline_svg(document, prefix="x", label="")
    assert len(drawn) < 150_000
    assert figure.get_figwidth() == width_in
    root = ElementTree.fromstring(drawn)
    coordinates = " ".join(
        value for e in root.iter() for name, value in e.items() if name in ("d", "x", "y")
    )
    assert "nan" not in coordinates
    assert "inf" not in coordinates


def test_a_long_series_keeps_its_peak():
    requests = np.ones(50_000)
    requests[31_234] = 77.0
    figure = figures.rate_over_time(np.arange(50_000.0), requests, requests, width_s=1.0)
    assert figure.axes[0].get_ylim()[1] > 77


def test_an_hour_never_seen_has_no_colour():
    seen = figures.load_by_hour_of_week([5.0] * 100 + [None] * 68)
    squares = sum(len(patch.get_path().vertices) // 5 for patch in seen.axes[0].patches)
    assert squares == 100


# The page


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes and text, properly nested."""

    VOID = ("meta", "br")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture(scope="module")
def pages(full) -> dict[str, str]:
    one = described(Trace.build([0], [9], [0]))
    return {"full": render_trace_page(full), "one": render_trace_page(one)}


@pytest.mark.parametrize("name", ["full", "one"])
def test_the_page_stands_alone(pages, name):
    page = Page(pages[name])
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.values("src") == []
    assert all(target.startswith("#") for target in page.values("href"))
    assert "@import" not in pages[name]
    assert re.findall(r"url\((?!#)", pages[name]) == []
    assert "http" not in re.sub(r"http-equiv", "", pages[name])
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", pages[name])) <= set(ids)


@pytest.mark.parametrize(("name", "n"), [("full", 3), ("one", 2)])
def test_every_figure_says_what_to_see(pages, name, n):
    page = Page(pages[name])
    assert page.tags.count("figcaption") == n
    assert page.tags.count("svg") == page.values("role").count("img") == 2 * n
    assert re.findall(r"\b(None|nan|inf|True|False)\b", page.text) == []


def test_the_page_says_what_the_file_holds(pages, full):
    text = Page(pages["full"]).text
    assert f"Traffic in log.csv {full['requests']:,} requests over 9 days, from 2026-01-05" in text
    assert "A note." in text
    assert "Bins start at the first arrival and only full ones count." in text
    assert "sample variance over mean" in text
    assert "The busiest hour begins" in text
    assert "Half of the inputs have at most" in text
    assert "2: input_tokens is 0" in text
    assert "1,000,000 read" in text


def test_sections_stand_in_the_order_in_which_one_asks(pages):
    assert re.findall(r"<h2>(.*?)</h2>", pages["full"]) == [
        "Rate over time",
        "Peaks and burstiness",
        "Load by hour of the week",
        "Input and output tokens",
        "Tokens of a request",
        "What was read",
    ]


def test_holes_have_a_table_with_their_rule():
    times = [*range(0, 3000, 10), *range(20_000, 23_000, 10)]
    text = Page(render_trace_page(described(Trace.build(times, [5] * 600, [5] * 600)))).text
    assert "Holes After the first request Nothing arrives for 49.8 min 4.72 h" in text
    assert "longer than 10 min and than 50 times the mean of the gaps around it" in text


def test_hostile_texts_stay_text_everywhere(full, pages):
    data = deepcopy(full) | {
        "path": HOSTILE,
        "format": HOSTILE,
        "container": HOSTILE,
        "sha256": HOSTILE,
        "dropped": {HOSTILE: 2},
        "warnings": [HOSTILE] * len(full["warnings"]),
    }
    page = render_trace_page(data)
    page.encode("utf-8")
    hostile, benign = Page(page), Page(pages["full"])
    assert hostile.tags == benign.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in benign.attributes]
    assert hostile.text.count("<script>alert(1)</script>") >= 6
    assert "\x00" not in page
    assert "\x1b" not in page


def test_the_same_data_give_the_same_page_also_after_json(full, pages):
    assert render_trace_page(json.loads(to_json(full))) == pages["full"]


# Real traffic


def test_the_azure_trace_is_described(shared, tmp_path):
    data = describe(read(shared / "traces" / "AzureLLMInferenceTrace_conv.csv.gz"))
    assert data["requests"] == 19_366
    assert data["format"].startswith("azure")
    assert round(data["peak_to_mean"]["1m"], 2) == 1.52
    assert any("no time zone" in warning for warning in data["warnings"])
    page = render_trace_page(data)
    assert len(page) < 250_000
    assert "19,366 requests" in Page(page).text
