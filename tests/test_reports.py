"""The report: numbers, figures and the page, on small data made by hand."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reports
from reports import (
    Assumption,
    BaselineRow,
    Cost,
    Decision,
    Flip,
    Inputs,
    Interval,
    Limit,
    Neighbour,
    Pairing,
    Percentile,
    Promise,
    RangeRow,
    Report,
    Request,
    Timeline,
    Turn,
    Unloaded,
    VolumeRow,
    figures,
    numbers,
    render_html,
)
from reports.drawings import drawings
from reports.html import SECTIONS, render_section
from reports.svg import inline_svg
from simulations.capacity import ModelUnits, TokenChunks
from simulations.trace import Shape

HOSTILE = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}$x^2$&amp;\x00\u202e\ud800"
CHUNK = 980


def example() -> Report:
    """Return a report in which everything is filled in."""
    rows = [
        RangeRow(
            capacity=TokenChunks(CHUNK, 1, n),
            feasible=n >= 3,
            chosen=n == 3,
            why="" if n >= 3 else "TTFT p95 is 3.1 s",
            usd_per_month=10_000.0 * n,
            chunk_hours=24.0 * n,
            attainment_fraction=(0.5, 0.9, 0.97, 0.999, 1.0)[n - 1],
            refused_fraction=0.0,
            ttft_p50_s=0.2,
            ttft_p95_s=6.0 / n,
            ttft_p99_s=12.0 / n,
            e2e_p95_s=20.0,
            e2e_p99_s=30.0,
        )
        for n in range(1, 6)
    ]
    return Report(
        decision=Decision(capacity=rows[2].capacity, model="system.ai.model", endpoint="chat"),
        promise=Promise(
            limits=[
                Limit(metric="ttft", percentile=95, limit=2.0, reached_fraction=0.97, kept=True),
                Limit(metric="refused", limit=0.001, reached_fraction=0.0, kept=True),
            ],
            definition="95 % of arrived requests.",
            attainment_fraction=0.97,
        ),
        cost=Cost(chunk_hours=72.0, usd_per_hour=41.1, usd_per_month=30_000.0, note="one day"),
        inputs=Inputs(
            file="trace.csv",
            sha256="ab" * 32,
            format="azure",
            n_requests=12345,
            span_s=86400.0,
            dropped={"no arrival": 2},
            settings={"seed": "0"},
        ),
        request=Request(method="POST", path="/api", body='{"name": "chat"}', missing=["version"]),
        command="ptplan recommend trace.csv",
        created_at="2026-11-22",
        ptplan_version="0.1.0",
        reasons=["A reason."],
        warnings=["A warning."],
        next_cheaper=Neighbour(
            capacity=TokenChunks(CHUNK, 1, 2), why="TTFT p95 is 3.1 s.", usd_per_month=20_000.0
        ),
        next_safer=Neighbour(
            capacity=TokenChunks(CHUNK, 1, 4), why="More attained.", chunk_hours=96.0
        ),
        timeline=Timeline(
            t_s=[0.0, 60.0, 120.0],
            offered_tokens_per_s=[500.0, 2500.0, 900.0],
            ready_chunks=[1, 2, 3],
            refused=[0, 4, 0],
            started_s=[30.0, 90.0],
            released_s=[130.0],
        ),
        ranges=rows,
        search="All neighbours were tried.",
        baselines=[
            BaselineRow(
                name="Peak-minute", capacity=TokenChunks(CHUNK, 3, 3), usd_per_month=45_000.0
            ),
            BaselineRow(name="Pay-per-token", note="no promise"),
        ],
        unloaded=Unloaded(shape=Shape(2048, 256), ttft_s=0.12, tpot_s=0.02, e2e_s=5.2),
        percentiles=[
            Percentile(
                metric=metric,
                percent=percent,
                seconds=percent / 50,
                interval=Interval(
                    low=percent / 55, high=percent / 45, p05=percent / 60, p95=percent / 40
                ),
            )
            for metric in ("ttft", "e2e")
            for percent in (50, 90, 95, 99)
        ],
        turns=[
            Turn(
                parameter="growth",
                sentence="holds while traffic stays under 1.2 times",
                flips=True,
                value=1.0,
                low=0.5,
                high=2.0,
                below=Flip(at=0.9, fails=False),
                above=Flip(at=1.2, fails=True),
                effect=0.2,
                interaction=0.1,
            ),
            Turn(parameter="share", sentence="stands", flips=False),
        ],
        volumes=[
            VolumeRow(
                volume=volume,
                tokens_per_s=900 * volume,
                capacity=TokenChunks(CHUNK, 1, 3),
                usd_per_month=30_000.0,
                pay_per_token_usd_per_month=9_000.0 * volume,
            )
            for volume in (0.5, 1, 2)
        ],
        asked=["A further answer."],
        load_by_hour_of_week=[float(hour) for hour in range(168)],
        busiest_day=Timeline(
            t_s=[60.0, 65.0],
            offered_tokens_per_s=[500.0, 2500.0],
            ready_chunks=[1, 2],
            refused=[0, 4],
        ),
        sha256="cd" * 32,
        assumptions=[
            Assumption(name="start_delay_s", value="155 s", source="SageServe", date="2026-11-22")
        ],
    )


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


# Numbers

RENDERERS = (
    numbers.count,
    numbers.duration,
    numbers.latency,
    numbers.percent,
    numbers.share,
    numbers.tokens_per_s,
    numbers.usd,
)


@given(st.sampled_from(RENDERERS), st.floats() | st.none())
def test_no_number_is_ever_written_as_nan_or_infinity(render, value):
    text = render(value, unknown="-")
    assert "nan" not in text
    assert "inf" not in text
    assert (text == "-") == (value is None or not abs(value) <= 1e300)


@given(st.floats(0, 1))
def test_only_all_is_written_as_100_percent_and_only_none_as_0(fraction):
    assert (numbers.percent(fraction) == "100 %") == (fraction == 1)
    assert (numbers.percent(fraction) == "0 %") == (fraction == 0)


@given(st.floats(1e-6, 1e6))
def test_a_latency_is_read_back_to_three_digits(seconds):
    number, unit = numbers.latency(seconds).split()
    factor = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}[unit]
    assert float(number.replace(",", "")) * factor == pytest.approx(seconds, rel=0.0051)


def test_a_unit_is_chosen_for_the_rounded_number():
    assert numbers.latency(0.99951) == "1.00 s"
    assert numbers.latency(599.9) == "10.0 min"
    assert numbers.usd(99.999) == "USD 100"
    assert numbers.duration(86399.99) == "24 h"


# Figures


def load(n: int, **more):
    t = np.arange(n) * 60.0
    wave = 3000 + 2000 * np.sin(t / 9000)
    return figures.load_against_capacity(
        t, wave, np.ceil(wave / CHUNK), (t % 6000 == 0) * 3, chunk_tokens_per_s=CHUNK, **more
    )


def latency(n: int, **more):
    panel = figures.LatencyPanel(
        "TTFT", (50, 95, 99), [(0.1, 3 / (i + 1), 90 / (i + 1)) for i in range(n)], [(95, 2.0)]
    )
    return figures.latency_by_range(
        [str(i) for i in range(n)],
        [panel],
        kept=[i > 1 for i in range(n)],
        chosen=2 if n > 2 else None,
        **more,
    )


def cost(n: int, **more):
    return figures.cost_against_attainment(
        [100.0 * (i + 1) for i in range(n)],
        [1 - 0.8 ** (i + 1) for i in range(n)],
        labels=[str(i) for i in range(n)],
        kept=[i > 1 for i in range(n)],
        chosen=2 if n > 2 else None,
        promised_fraction=0.95,
        **more,
    )


@pytest.mark.parametrize("width_in", [figures.WIDE_IN, figures.NARROW_IN])
@pytest.mark.parametrize(
    ("draw", "n"),
    [(draw, n) for draw in (load, latency, cost) for n in (0, 1, 3, 40)] + [(load, 100_000)],
)
def test_a_figure_of_any_size_draws_small_and_whole(draw, n, width_in):
    figure = draw(n, width_in=width_in)
    drawn = inline_svg(figures.svg(figure), prefix="x", label="")
    assert len(drawn) < 150_000
    assert figure.get_figwidth() == width_in
    root = ElementTree.fromstring(drawn)
    coordinates = " ".join(
        value for e in root.iter() for name, value in e.items() if name in ("d", "x", "y")
    )
    assert "nan" not in coordinates
    assert "inf" not in coordinates


def test_the_same_figure_is_the_same_document():
    assert figures.svg(load(50)) == figures.svg(load(50))
    assert "<dc:date>" not in figures.svg(load(50))


def test_a_long_timeline_keeps_its_peaks_and_all_refusals():
    refused = np.zeros(50_000)
    refused[[7, 31_234]] = 1
    offered = np.full(50_000, 100.0)
    offered[20_001] = 9_999.0
    figure = figures.load_against_capacity(
        np.arange(50_000.0), offered, np.ones(50_000), refused, chunk_tokens_per_s=CHUNK
    )
    top, below = figure.axes
    assert top.get_ylim()[1] > 9_999
    assert below.get_ylim()[1] > 1


def test_refusals_have_a_panel_only_where_there_are_any():
    quiet = figures.load_against_capacity([0.0, 1.0], [5, 5], [1, 1], [0, 0], chunk_tokens_per_s=9)
    assert len(quiet.axes) == 1
    assert len(load(200).axes) == 2


def test_latencies_that_span_decades_stand_on_a_logarithmic_axis():
    def scale(*seconds):
        panel = figures.LatencyPanel("TTFT", (50, 99), [seconds])
        return figures.latency_by_range(["1"], [panel], kept=[True]).axes[0].get_xscale()

    assert scale(0.1, 30.0) == "log"
    assert scale(1.0, 3.0) == "linear"


def test_what_is_not_known_leaves_a_gap():
    panel = figures.LatencyPanel("TTFT", (50, 95), [(None, None), (0.5, None)])
    drawn = figures.svg(figures.latency_by_range(["1", "2"], [panel], kept=[False, False]))
    assert "no percentiles" in drawn
    empty = figures.svg(figures.cost_against_attainment([None], [0.5], labels=["1"], kept=[False]))
    assert "no range has both" in empty
    nothing = figures.LatencyPanel("TTFT", (50,), [(None,)])
    assert "no range has latency" in figures.svg(
        figures.latency_by_range(["1"], [nothing], kept=[False])
    )


@pytest.mark.parametrize("fractions", [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.95, 0.95]])
def test_attainment_of_all_or_nothing_is_drawn(fractions):
    figure = figures.cost_against_attainment(
        [1.0, 5000.0], fractions, labels=["1", "2"], kept=[True, False], promised_fraction=0.95
    )
    assert figure.axes[0].get_xscale() == "log"
    assert "nan" not in figures.svg(figure)


def test_hostile_labels_stay_text_in_a_figure():
    panel = figures.LatencyPanel(HOSTILE, (50,), [(1.0,)])
    figure = figures.latency_by_range([HOSTILE + "\n\ufffe"], [panel], kept=[True])
    element = inline_svg(figures.svg(figure), prefix="x", label=HOSTILE)
    page = Page(element.replace("\x00", ""))
    assert "script" not in page.tags
    assert "image" not in page.tags
    assert "onerror" not in dict(page.attributes)
    assert "</style><script>" in page.text


def test_figures_leave_the_users_settings_alone():
    import matplotlib

    with matplotlib.rc_context({"font.size": 31.0, "svg.fonttype": "path"}):
        figures.svg(load(3))
        assert matplotlib.rcParams["font.size"] == 31.0
        assert matplotlib.rcParams["svg.fonttype"] == "path"


# The page


def variants() -> dict[str, Report]:
    full = example()
    failed = [
        replace(row, feasible=False, chosen=i == 4, usd_per_month=None, ttft_p99_s=None)
        for i, row in enumerate(full.ranges)
    ]
    units = [
        RangeRow(capacity=ModelUnits(50, 50 * n, 3250), feasible=n > 1, chosen=n == 2)
        for n in (1, 2, 3)
    ]
    promise = replace(full.promise, limits=[], attainment_fraction=None)
    return {
        "everything": full,
        "no range feasible": replace(
            full,
            decision=replace(full.decision, feasible=False, endpoint=None),
            ranges=failed,
            next_cheaper=None,
            next_safer=None,
            request=None,
        ),
        "no money": replace(
            full,
            cost=Cost(
                chunk_hours=72.0,
                pairings=[Pairing(chunk_tokens_per_s=19000, usd_per_chunk_hour=7.4, usd_per_month=None)],
            ),
            ranges=[replace(row, usd_per_month=None) for row in full.ranges],
        ),
        "model units": replace(
            full, decision=Decision(capacity=ModelUnits(50, 100, 3250), model="m"), ranges=units
        ),
        "nothing but the answer": Report(
            decision=full.decision, promise=promise, cost=Cost(chunk_hours=None), inputs=full.inputs, command=""
        ),
        "one future": replace(
            full,
            promise=replace(full.promise, kept_in=1, futures=1),
            percentiles=[replace(row, interval=Interval()) for row in full.percentiles],
        ),
        "nothing refused, nothing scaled": replace(
            full,
            timeline=Timeline(
                t_s=[0.0, 60.0], offered_tokens_per_s=[5.0, 5.0], ready_chunks=[3, 3], refused=[0, 0]
            ),
            busiest_day=None,
            turns=[replace(full.turns[0], flips=False, below=None, above=None)],
        ),
        "tokens promised": replace(
            full,
            promise=replace(promise, limits=[Limit(metric="tpot", percentile=99.9, limit=0.05)]),
            ranges=[replace(row, tpot_p50_s=0.02, tpot_p99_s=0.04) for row in full.ranges] * 9,
        ),
    }  # fmt: skip


class Pages(dict[str, str]):
    """The page of each variant, drawn when it is first asked for."""

    def __missing__(self, name: str) -> str:
        self[name] = render_html(variants()[name])
        return self[name]


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages()


@pytest.mark.parametrize("name", list(variants()))
def test_the_page_stands_alone(pages, name):
    page = Page(pages[name])
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.values("src") == []
    assert all(target.startswith("#") for target in page.values("href"))
    assert "@import" not in pages[name]
    assert re.findall(r"url\((?!#)", pages[name]) == []
    assert "http" not in re.sub(r"http-equiv", "", pages[name])


@pytest.mark.parametrize("name", list(variants()))
def test_ids_are_unique_and_every_reference_has_its_id(pages, name):
    page = Page(pages[name])
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", pages[name])) <= set(ids)
    assert {target[1:] for target in page.values("href")} <= set(ids)


@pytest.mark.parametrize("name", list(variants()))
def test_every_figure_says_what_to_see(pages, name):
    page = Page(pages[name])
    expected = drawings(variants()[name])
    assert page.tags.count("figcaption") == len(expected)
    assert page.tags.count("svg") == page.values("role").count("img") == 2 * len(expected)
    for drawing in expected:
        label = f"{drawing.title}. {drawing.sentence}"
        assert page.values("aria-label").count(label) == 2
        assert drawing.sentence in page.text


@pytest.mark.parametrize("name", list(variants()))
def test_no_page_shows_a_python_value(pages, name):
    assert re.findall(r"\b(None(?! of|:| was)|nan|inf|True|False)\b", Page(pages[name]).text) == []


def test_the_page_says_what_was_decided(pages):
    text = Page(pages["everything"]).text
    assert "980 to 2,940 tokens/s 1 to 3 chunks of 980 tokens/s" in text
    assert "Cost a month USD 30,000" in text
    assert "TTFT p95 ≤ 2 s ✓ 97.0 % within 2 s" in text
    assert "one future, no interval" in text
    assert "Of 5 ranges tried, 3 keep the promise; the cheapest is 1 to 3 chunks" in text
    assert "Next cheaper: 1 to 2 chunks. TTFT p95 is 3.1 s." in text
    assert "Load peaks at 2,500 tokens/s (mean of 60 s), 60 s after the first request" in text
    assert "4 refusals" in text
    assert "12,345 over 1 day" in text
    assert "2: no arrival" in text
    assert "Still to be filled in: version." in text


def test_sections_stand_in_the_order_in_which_one_asks(pages):
    headings = re.findall(r"<h2>(.*?)</h2>", pages["everything"])
    assert headings == [
        "Why not cheaper",
        "Cost against attainment",
        "Load against capacity over time",
        "Latency percentiles",
        "Every range tried",
        "Load by hour of the week",
        "Against paying by the token",
        "What would change the answer",
        "Also asked",
        "What other ways of choosing would give",
        "What this rests on",
        "Inputs and checksums",
        "Request to send",
        "Command that gives this page again",
    ]


def test_without_a_feasible_range_the_page_names_the_nearest_miss(pages):
    text = Page(pages["no range feasible"]).text
    assert "No range keeps the promise The nearest is" in text
    assert "None of the 5 ranges tried keeps the promise." in text
    assert "✗ does not , nearest" in text
    assert "Request to send None:" in text


def test_without_a_price_the_page_ranks_by_chunk_hours(pages):
    text = Page(pages["no money"]).text
    assert "Cost a month unknown no price seen together with this chunk" in text
    assert "19,000 tokens/s USD 7.40 an hour" in text
    assert "Chunk-hours Within limits" in text
    assert "the cheapest is 1 to 3 chunks (72 chunk-hours" in text


def test_model_units_are_called_units(pages):
    text = Page(pages["model units"]).text
    assert "Recommended size for m 100 model units 2 steps of 50 units" in text
    assert "Every size tried Units against cost" in text
    assert "Of 3 sizes tried, 2 keep the promise. Units are held at all times" in text
    assert "72 step-hours over the trace" in text


def test_one_future_has_no_interval_and_the_page_says_so(pages):
    text = Page(pages["one future"]).text
    assert "How often it held in the one future tried says nothing of other days" in text
    assert "One future was judged, so there is no interval." in text
    assert "nine of ten futures" not in text


def test_where_nothing_happens_the_page_says_so(pages):
    text = Page(pages["nothing refused, nothing scaled"]).text
    assert "3 chunks stood ready throughout" in text
    assert "no request was refused." in text
    assert "requests refused, per" not in text
    assert "chunks started (up)" not in text
    assert (
        "Of 1 assumed number, each turned on its own on the 1 future nearest to failing, none"
        in text
    )


@pytest.mark.parametrize("name", [*SECTIONS, "decision", "warnings"])
def test_a_section_alone_is_the_one_of_the_page(name, pages):
    section = render_section(name, example())
    assert " ".join(section.split()) in " ".join(pages["everything"].split())


def test_a_week_of_five_million_requests_with_much_of_everything_is_a_small_page():
    """What grows with a trace are bins of time, scale events and ranges; each is at its bound here."""
    chance = np.random.default_rng(0)
    full = example()

    def timeline(n, width_s, events):
        return Timeline(
            t_s=[i * width_s for i in range(n)],
            offered_tokens_per_s=chance.uniform(0, 90_000, n).tolist(),
            ready_chunks=chance.uniform(1, 90, n).tolist(),
            refused=chance.integers(0, 400, n).tolist(),
            started_s=chance.uniform(0, n * width_s, events).tolist(),
            released_s=chance.uniform(0, n * width_s, events).tolist(),
        )

    ranges = [
        replace(
            full.ranges[0],
            capacity=TokenChunks(CHUNK, low, high),
            chosen=(low, high) == (5, 9),
            usd_per_month=float(chance.uniform(1e4, 9e4)),
            attainment_fraction=float(chance.uniform(0, 1)),
        )
        for high in range(1, 41)
        for low in range(1, high + 1)
    ]
    page = render_html(
        replace(
            full,
            inputs=replace(full.inputs, n_requests=5_000_000, span_s=604_800.0),
            timeline=timeline(10_080, 60, 2500),
            busiest_day=timeline(288, 300, 2500),
            ranges=ranges,
            assumptions=full.assumptions * 60,
        )
    )
    assert len(page.encode()) < 3_000_000


def test_a_promise_on_tokens_has_its_own_panel_and_few_of_many_ranges_are_drawn(pages):
    text = Page(pages["tokens promised"]).text
    assert "Time per output token" in text
    assert "TPOT p99.9 ≤ 50 ms not judged" in text
    assert "Shown are 15 of 45 ranges tried" in text


def poisoned(value):
    """Return the same plain data with every text replaced by a hostile one."""
    if isinstance(value, str):
        return HOSTILE if value else ""
    if is_dataclass(value) and not isinstance(value, TokenChunks | Shape):
        kept = {"metric"}
        return replace(
            value,
            **{
                field.name: poisoned(getattr(value, field.name))
                for field in fields(value)
                if field.name not in kept
            },
        )
    if isinstance(value, dict):
        return dict.fromkeys([HOSTILE][: len(value)], *map(poisoned, value.values()))
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return value


def test_hostile_texts_stay_text_everywhere(pages):
    page = render_html(poisoned(example()))
    page.encode("utf-8")
    hostile, benign = Page(page), Page(pages["everything"])
    assert hostile.tags == benign.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in benign.attributes]
    assert hostile.text.count("<script>alert(1)</script>") >= 25
    assert "{{ 7 * 7 }}$x^2$&amp;" in hostile.text
    assert "\x00" not in page


def test_the_same_report_gives_the_same_page(pages):
    assert render_html(example()) == pages["everything"]


# The view model


def test_a_timeline_of_unequal_lengths_is_refused():
    with pytest.raises(ValueError, match="must be equal"):
        Timeline(t_s=[0.0], offered_tokens_per_s=[], ready_chunks=[1], refused=[0])


def test_a_limit_on_latency_needs_a_percentile():
    with pytest.raises(ValueError, match="latencies need one"):
        Limit(metric="ttft", limit=2.0)


def test_importing_reports_does_not_import_what_draws():
    import subprocess

    code = "import sys, reports; print(sorted({'matplotlib', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_all_names_are_exported_sorted():
    assert list(reports.__all__) == sorted(reports.__all__)
    assert all(hasattr(reports, name) for name in reports.__all__)
