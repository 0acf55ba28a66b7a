"""The pages in a real Chromium, opened from disk with the network cut; axe-core looks for what shuts people out.

Skipped where there is no chromium. axe-core is fetched by `.ci/run` (npm) into `.axe` and ships with nothing.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_reports import example, variants

from reports import render_html
from reports.comparison import compare
from reports.comparison_page import render_comparison_html

playwright = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")
AXE = ROOT / ".axe/node_modules/axe-core/axe.min.js"
WIDTHS = (1440, 390)
SCHEMES = ("light", "dark")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=180_000
        )
        yield launched
        launched.close()


class Pages(dict[str, Path]):
    """The page of each variant and of a comparison as a file, drawn when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __missing__(self, name: str) -> Path:
        if name == "comparison":
            other = replace(example(), cost=replace(example().cost, usd_per_month=12_000.0))
            text = render_comparison_html(compare(example(), other))
        else:
            text = render_html(variants()[name])
        self[name] = self.folder / f"{name.replace(' ', '-')}.html"
        self[name].write_text(text, encoding="utf-8")
        return self[name]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("pages"))


NAMES = ("everything", "no range feasible", "no money", "model units", "comparison")


QUICK = {("everything", 1440, "light"), ("everything", 390, "dark"), ("comparison", 390, "light")}
"""Every other look at a page is for `make slow`."""

LOOKS = [
    pytest.param(*look, marks=[] if look in QUICK else [pytest.mark.slow])
    for look in itertools.product(NAMES, WIDTHS, SCHEMES)
]


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKS)
def test_a_page_opens_from_disk_with_the_network_cut(name, width, scheme, pages, browser):
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        offline=True,
        bypass_csp=True,  # for axe alone: the pages themselves have no script
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    address = pages[name].as_uri()
    page.goto(address)
    assert asked == [address]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").count() == 1
    shown = page.locator("figure svg:visible")
    assert shown.count() == page.locator("figure").count()
    # What scrolls sideways must be reachable by keyboard.
    regions = page.locator(".scroll")
    for place in range(regions.count()):
        regions.nth(place).focus()
        assert regions.nth(place).evaluate("one => document.activeElement === one")
    if AXE.exists():
        assert violations(page) == []
    context.close()


def violations(page: playwright.Page) -> list[str]:
    """Return what axe-core holds against a page, the moderate and minor included."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['impact']}: {one['id']} at {one['nodes'][0]['html']}" for one in found]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not in .axe (npm, see .ci/run)")
def test_axe_finds_what_is_wrong(browser):
    """So that finding nothing says something."""
    page = browser.new_page()
    page.set_content("<html><body><img src='x.png'><p style='color: #ccc'>pale</p></body></html>")
    found = " ".join(violations(page))
    assert "image-alt" in found
    assert "color-contrast" in found
    page.close()


def test_printed_it_is_whole(pages, browser):
    """On paper nothing scrolls: what is cut off is lost."""
    page = browser.new_page(viewport={"width": 700, "height": 900})
    page.goto(pages["everything"].as_uri())
    page.emulate_media(media="print")
    heights = "one => [one.scrollHeight, one.clientHeight]"
    for region in page.locator(".scroll").all():
        needed, shown = region.evaluate(heights)
        assert needed <= shown + 1
    assert page.locator("figure .narrow svg:visible").count() == 0
    assert page.pdf()[:4] == b"%PDF"
    page.close()
