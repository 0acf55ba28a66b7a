"""The app as its user has it: pages in a real Chromium, an endpoint in the sandbox, and a receipt between them."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from app_server import QUESTION, log_of, running_app
from rehearsal import SALE, TOKENS_MODEL, served
from workspace import INSTANT, TOKEN, Clock, running_workspace

from planner.app import runs
from planner.endpoint.sandbox.workspace import Timings
from planner.recommendation import recommend
from reports.numbers import counted

AXE = Path(__file__).parents[1] / ".axe/node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")

PATIENCE_MS = 180_000
"""With a machine that has much else to do, and a kernel that may still have to be compiled."""

# What htmx says of a question that a later one overtook, or that was still out when the page was
# left: both are meant. A refused or failed one is a responseError or a sendError besides.
OVERTAKEN = ("htmx:afterRequest, ", "htmx:sendAbort, ")

LASTING = Timings(create_s=60.0, update_s=60.0, capacity_s=60.0)
"""What is applied ends when the test lets the time pass, so that no page is missed on a slow machine."""

HOSTILE = "<img src=x onerror=alert(1)>.csv"


@pytest.fixture(scope="module")
def sandbox():
    with running_workspace(models=SALE, token=TOKEN, clock=Clock(time.time())) as running:
        yield running


@pytest.fixture(scope="module")
def app(sandbox, tmp_path_factory):
    with running_app(tmp_path_factory.mktemp("app"), sandbox.url) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # The system's own: Playwright's download is never asked for.
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=PATIENCE_MS
        )
        yield launched
        launched.close()


@pytest.fixture
def workspace(sandbox):
    sandbox.forget()
    sandbox.workspace.timings = INSTANT
    return sandbox


@pytest.fixture
def context(browser, app):
    made = browser.new_context()
    made.set_default_timeout(PATIENCE_MS)
    page = made.new_page()
    page.goto(app.first_url)
    assert "token" not in page.url
    page.close()
    yield made
    made.close()


@pytest.fixture
def paced(monkeypatch):
    """A recommendation that waits, whenever it tells of its progress, for the test to have looked."""
    pace = Pace()
    monkeypatch.setattr(runs, "recommend", pace.recommend)
    yield pace
    pace.let_go()


class Pace:
    """Of a real search, in a thread of the app's."""

    def __init__(self) -> None:
        self._told = threading.Semaphore(0)
        self._looked = threading.Semaphore(0)
        self._gone = threading.Event()

    def recommend(self, *given, progress, **more):
        def tell(what: str, tried: int) -> None:
            progress(what, tried)
            self._told.release()
            assert self._gone.is_set() or self._looked.acquire(timeout=300)

        return recommend(*given, progress=tell, **more)

    def wait(self) -> None:
        """Return when something was told; the search waits."""
        assert self._told.acquire(timeout=300)

    def go_on(self) -> None:
        """Let it come to what it tells next."""
        self._looked.release()

    def let_go(self) -> None:
        """Hold it no more."""
        self._gone.set()
        self._looked.release()


def is_fault(said) -> bool:
    return said.type == "error" and not said.text.startswith(OVERTAKEN)


@pytest.fixture
def page(context, app):
    """A tab, in which nothing may go wrong unseen and nothing may be asked of another server."""
    opened, faults = context.new_page(), []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if is_fault(said) else None)
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    opened.on(
        "request",
        lambda r: None if r.url.startswith((app.url, "data:")) else faults.append(r.url),
    )
    opened.goto(app.url)
    yield opened
    assert faults == []


def bring(page, text: str = "", name: str = "log.csv") -> None:
    file = {"name": name, "mimeType": "text/csv", "buffer": (text or log_of()).encode()}
    page.set_input_files("input[type=file]", file)
    page.click("text=Read it")
    page.wait_for_url("**/traces/*")


def fill_in(page, **given: str) -> None:
    """Fill in the question and leave it there."""
    page.click("text=Go on to the question >> nth=0")
    page.fill("[name=model]", QUESTION["model"])
    page.click("summary")
    page.fill("[name=base_model]", QUESTION["base_model"])
    page.fill("[name=usd_per_chunk_hour]", QUESTION["usd_per_chunk_hour"])
    page.locator("[name=ttft_s]").fill("5")
    page.select_option("[name=max_refused]", "1%")
    page.select_option("[name=futures]", "1")
    page.uncheck("[name=sensitivity]")
    for name, value in given.items():
        page.select_option(f"[name={name}]", value)


def ask(page) -> None:
    """Press the button by keyboard: what is asked of the workspace meanwhile is of no account."""
    page.locator("text=Find the cheapest range").press("Enter")
    page.wait_for_url("**/runs/*")


def answered(page) -> None:
    ask(page)
    page.wait_for_selector("#act")


@pytest.fixture(scope="module")
def run_url(browser, app, sandbox) -> str:
    """An answer that the tests of plans share."""
    made = browser.new_context()
    tab = made.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(app.first_url)
    bring(tab)
    fill_in(tab)
    tab.fill("[name=chunk_tokens_per_s]", "980")
    answered(tab)
    made.close()
    return str(tab.url)


def plan(page, run_url: str, endpoint: str) -> None:
    page.goto(run_url)
    page.fill("#act [name=endpoint]", endpoint)
    page.locator("text=Show the plan").press("Enter")
    page.wait_for_selector("#apply")


def diff_of(page) -> list[tuple[str, str, str]]:
    """Return the diff as the page shows it: path, before, after."""
    rows = page.locator("#diff tbody tr").all()
    return [
        (
            ".".join(reversed(row.locator("td").nth(0).inner_text().split("\n"))),
            row.locator("td.before").inner_text(),
            row.locator("td.after").inner_text(),
        )
        for row in rows
    ]


def shown(value: object) -> str:
    return "(absent)" if value is None else str(value)


def receipt_of(page, app) -> dict:
    answer = page.request.get(
        app.url + page.locator("a:text('receipt.json')").get_attribute("href")
    )
    return dict(answer.json())


def writes(workspace) -> list:
    return [e for e in workspace.exchanges() if e.method != "GET"]


def pass_time(workspace, n_writes: int = 1) -> None:
    """Let what was sent end, once so many writes have come in."""
    deadline = time.monotonic() + 120
    while sum(e.handled for e in writes(workspace)) < n_writes:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workspace.clock.advance(61)


def test_from_an_upload_to_an_endpoint_that_is_what_the_page_said(workspace, app, page):
    workspace.workspace.create({"name": "chat", "config": {"served_entities": [served("ours")]}})
    workspace.sandbox.wire.exchanges.clear()
    workspace.workspace.timings = LASTING
    bring(page, name=HOSTILE)
    assert "600 requests" in page.inner_text("h1")
    assert HOSTILE in page.inner_text("header")
    fill_in(page)
    page.click("button:has-text('Ask http')")
    page.wait_for_selector(".note.good")
    assert page.input_value("[name=chunk_tokens_per_s]") == "980"
    page.wait_for_selector("[name=own_max] >> text=3,920 tokens/s (4 chunks)", state="attached")
    page.select_option("[name=own_max]", "4")
    page.select_option("[name=own_min]", "3")
    answered(page)
    headline = page.inner_text(".decision h1")
    assert "tokens/s" in headline
    page.wait_for_selector("#seen tbody tr >> nth=1")
    ranges = page.locator("#seen td.name").all_inner_texts()
    assert "3 to 4 chunks" in ranges[1]
    before = page.inner_text("#seen")
    page.locator("[name=growth]").fill("4")
    page.wait_for_function("was => document.querySelector('#seen').innerText !== was", arg=before)
    assert "breaks it" in page.inner_text("#seen tbody tr >> nth=0")
    assert page.locator("figure svg[role=img]").count() > 2

    page.fill("#act [name=endpoint]", "chat")
    page.click("text=Show the plan")
    page.wait_for_selector("#apply")
    assert writes(workspace) == []
    checksum, diff = page.inner_text("#checksum"), diff_of(page)
    body = json.loads(page.locator("#body").text_content())
    name = page.locator("[name=typed]")
    if name.count():
        name.fill("chat")
    page.click("#apply button")
    page.wait_for_selector("progress")
    page.wait_for_selector(".steps >> text=about to send")
    pass_time(workspace)
    page.wait_for_selector("#state")
    assert page.inner_text("#state") == "applied"
    receipt = receipt_of(page, app)
    assert (
        receipt["plan_sha256"]
        == receipt["plan"]["sha256"]
        == checksum
        == page.inner_text("#checksum")
    )
    stated = [(r["path"], shown(r["before"]), shown(r["after"])) for r in receipt["plan"]["diff"]]
    assert diff == stated == diff_of(page)
    (sent,) = writes(workspace)
    assert sent.body == receipt["plan"]["request"]["body"] == body
    (live,) = workspace.workspace.get("chat")["config"]["served_entities"]
    low, high = (live[f"{which}_provisioned_throughput"] for which in ("min", "max"))
    for said in {low, high}:
        assert f"{said:,}" in headline
    page.click("text=Plan the roll back")
    page.wait_for_selector("#apply")
    assert [(path, then, now) for path, now, then in diff_of(page)] == diff
    typed = page.locator("[name=typed]")
    if typed.count():
        typed.fill("chat")
    page.click("#apply button")
    page.wait_for_selector(".steps >> text=about to send")
    pass_time(workspace, n_writes=2)
    page.wait_for_selector("#state")
    assert page.inner_text("#state") == "applied"
    assert "Rolled back" in page.inner_text("h1")
    (live,) = workspace.workspace.get("chat")["config"]["served_entities"]
    assert live["max_provisioned_throughput"] == 980


@pytest.mark.parametrize("width", [1440, 390])
def test_a_button_that_is_being_pressed_stays_where_it_is(page, width):
    """The mouse takes the focus from a field; what its value changes comes before the button is let go."""
    page.set_viewport_size({"width": width, "height": 900})
    bring(page)
    with page.expect_response("**/sizes?*"):
        fill_in(page)
    page.wait_for_selector("#sizes select, #sizes [role=alert]", state="attached")
    page.fill("[name=chunk_tokens_per_s]", "980")
    button = page.locator("text=Find the cheapest range")
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.wait_for_selector("#sizes option >> text=3,920 tokens/s (4 chunks)", state="attached")
    assert button.bounding_box() == box
    page.mouse.up()
    page.wait_for_url("**/runs/*")


def test_the_example_is_answered_too(page):
    page.click("text=Take the example")
    page.wait_for_url("**/traces/*")
    assert "over 2 h" in page.inner_text("header")
    assert page.locator("figure svg[role=img]").count() >= 2


def test_a_stale_plan_is_refused_on_the_page(workspace, page, run_url):
    workspace.workspace.create({"name": "stale", "config": {"served_entities": [served("ours")]}})
    plan(page, run_url, "stale")
    edit = {"served_entities": [served("ours", max_provisioned_throughput=4900)]}
    workspace.workspace.rival("stale", "edit", edit)
    workspace.sandbox.wire.exchanges.clear()
    typed = page.locator("[name=typed]")
    if typed.count():
        typed.fill("stale")
    page.click("#apply button")
    page.wait_for_selector("#state")
    assert "Not applied" in page.inner_text("h1")
    told = page.inner_text("[role=alert]")
    assert "stale" in told
    assert "nothing was sent; plan again" in told
    assert writes(workspace) == []
    (live,) = workspace.workspace.get("stale")["config"]["served_entities"]
    assert live["max_provisioned_throughput"] == 4900


def test_a_wrong_name_keeps_the_button_shut(workspace, page, run_url):
    large = {"min_provisioned_throughput": 98_000, "max_provisioned_throughput": 98_000}
    workspace.workspace.create(
        {"name": "guarded", "config": {"served_entities": [served("ours", **large)]}}
    )
    workspace.sandbox.wire.exchanges.clear()
    plan(page, run_url, "guarded")
    assert "shrink" in page.inner_text("#apply")
    button, name = page.locator("#apply button"), page.locator("[name=typed]")
    assert button.is_disabled()
    for typed in ("guarde", "Guarded", "yes", "guarded2"):
        name.fill(typed)
        assert button.is_disabled()
        name.press("Enter")
    assert writes(workspace) == []
    assert "/plans/" in page.url
    name.fill("guarded")
    assert button.is_enabled()
    button.click()
    page.wait_for_selector("#state")
    assert page.inner_text("#state") == "applied"
    assert len(writes(workspace)) == 1


def test_a_second_tab_does_not_apply_twice(workspace, context, page, run_url):
    workspace.workspace.timings = LASTING
    plan(page, run_url, "twice")
    second = context.new_page()
    second.goto(page.url)
    for tab in (page, second):
        tab.locator("#apply button").click(no_wait_after=True)
    for tab in (page, second):
        tab.wait_for_selector(".steps >> text=about to send")
    pass_time(workspace)
    for tab in (page, second):
        tab.wait_for_selector("#state")
        assert tab.inner_text("#state") == "applied"
    assert page.url == second.url
    assert len(writes(workspace)) == 1
    second.go_back()
    second.reload()
    assert "never sent twice" in second.inner_text("#apply")
    assert second.locator("#apply button").count() == 0


def test_cancel_ends_a_run(app, page, paced):
    bring(page, log_of(7200))
    fill_in(page, futures="120")
    page.fill("[name=chunk_tokens_per_s]", "980")
    page.check("[name=sensitivity]")
    ask(page)
    paced.wait()
    page.click("text=Cancel")
    page.wait_for_selector("h1:has-text('Cancelled')")
    run = next(r for r in app.gate.site.desk.runs.everything() if r.state == "cancelled")
    assert run.busy
    paced.go_on()
    run.wait(300)
    assert not run.busy
    assert (run.state, run.made) == ("cancelled", None)
    page.reload()
    assert "Cancelled" in page.inner_text("h1")
    page.click("text=Change the question")
    assert page.input_value("[name=model]") == f"{TOKENS_MODEL}:1"
    assert page.input_value("[name=futures]") == "120"


def test_a_page_whose_server_is_gone_says_so(browser, tmp_path, monkeypatch):
    """Reload finds the run at work; once the server has ended, the page does not wait for ever."""
    over = threading.Event()

    def held(*_, **__):
        assert over.wait(600)
        raise runs.Cancelled

    monkeypatch.setattr(runs, "recommend", held)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    try:
        with running_app(tmp_path) as short:
            tab = context.new_page()
            tab.goto(short.first_url)
            bring(tab)
            fill_in(tab)
            tab.fill("[name=chunk_tokens_per_s]", "980")
            ask(tab)
            tab.wait_for_selector("progress")
            tab.reload()
            tab.wait_for_selector("text=0 ranges tried")
            assert tab.locator("[role=alert]").count() == 0
        tab.wait_for_selector("[role=alert]")
        assert "its runs ended with it" in tab.inner_text("[role=alert]")
    finally:
        over.set()
        context.close()


def test_progress_is_told_as_it_goes(app, page, paced):
    bring(page, log_of(3600))
    fill_in(page, futures="61")
    page.fill("[name=chunk_tokens_per_s]", "980")
    ask(page)
    told = []
    for _ in range(4):
        paced.wait()
        run = next(r for r in app.gate.site.desk.runs.everything() if r.state == "running")
        told.append(f"{counted(run.tried, 'range')} tried; {run.told}")
        page.wait_for_selector(f"[sse-connect] >> text={told[-1]}")
        paced.go_on()
    assert len(set(told)) == 4
    paced.let_go()
    page.wait_for_selector("#act")


class Keyboard:
    """Somebody without a mouse, and on the way axe-core, in light and in dark."""

    def __init__(self, page) -> None:
        self.page = page
        self.looked_at: list[str] = []

    def go_to(self, selector: str) -> None:
        """Press Tab until something has the focus, which must be seen."""
        for _ in range(80):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
                ring = "getComputedStyle(document.activeElement).outlineStyle"
                assert self.page.evaluate(ring) != "none", selector
                return
        raise AssertionError(f"Tab never reaches {selector}")

    def press(self, selector: str, key: str = "Enter") -> None:
        self.go_to(selector)
        self.page.keyboard.press(key)

    def look(self, name: str) -> None:
        """Let axe-core look at the page as it stands."""
        self.looked_at.append(name)
        if not AXE.exists():
            return
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        for scheme in ("dark", "light"):
            self.page.emulate_media(color_scheme=scheme)
            # What is dark differs in its colours alone.
            rules = "" if scheme == "light" else "{runOnly: ['color-contrast']}"
            found = self.page.evaluate(f"axe.run({rules})")["violations"]
            wrong = [f"{one['impact']} {one['id']}: {one['nodes'][0]['html']}" for one in found]
            assert wrong == [], (name, scheme)


def test_by_keyboard_alone_to_apply_and_axe_finds_nothing_on_any_page(workspace, page, paced):
    workspace.workspace.timings = LASTING
    keys = Keyboard(page)
    keys.look("start")
    keys.press("button.second")
    page.wait_for_url("**/traces/*")
    keys.look("trace")
    keys.press("a.button")
    page.wait_for_selector("#sizes select")
    keys.go_to("[name=model]")
    page.keyboard.press("Control+A")
    page.keyboard.type(QUESTION["model"])
    keys.go_to("[name=chunk_tokens_per_s]")
    page.keyboard.type("980")
    keys.press("summary")
    keys.go_to("[name=base_model]")
    page.keyboard.type(QUESTION["base_model"])
    keys.go_to("[name=usd_per_chunk_hour]")
    page.keyboard.type("2")
    keys.press("[name=ttft_s]", "ArrowRight")
    assert page.inner_text("output[for=ttft_s]") == "2.1 s"
    keys.go_to("[name=futures]")
    page.keyboard.type("the rec")
    keys.press("[name=sensitivity]", "Space")
    assert page.input_value("[name=futures]") == "1"
    assert not page.is_checked("[name=sensitivity]")
    keys.look("question")
    keys.go_to("[name=endpoint]")
    page.keyboard.type("by-keyboard")
    page.keyboard.press("Enter")
    page.wait_for_selector("progress")
    paced.wait()
    keys.look("running")
    paced.let_go()
    page.wait_for_selector("#seen tbody tr")
    keys.look("answer")
    keys.go_to("#act [name=endpoint]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#apply")
    assert writes(workspace) == []
    keys.look("plan")
    if page.locator("[name=typed]").count():
        keys.go_to("[name=typed]")
        page.keyboard.type("by-keyboard")
    keys.press("#apply button")
    page.wait_for_selector("progress")
    keys.look("applying")
    pass_time(workspace)
    page.wait_for_selector("#state")
    assert page.inner_text("#state") == "applied"
    keys.look("receipt")
    assert len(writes(workspace)) == 1
    page.go_back()
    page.reload()
    assert "never sent twice" in page.inner_text("#apply")
    keys.look("plan that was begun")
    keys.press("nav a")
    page.wait_for_selector("#desk")
    keys.look("desk")
    assert len(keys.looked_at) == 10


def test_axe_finds_nothing_on_a_page_that_refuses(context, app):
    """Of its own: the browser logs an answer of 404 as an error."""
    page = context.new_page()
    page.goto(f"{app.url}/plans/none")
    keys = Keyboard(page)
    keys.look("refusal")
    keys.press("a.button")
    page.wait_for_url(f"{app.url}/")
