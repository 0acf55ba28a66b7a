"""The app over real sockets: who is let in, what is taken, what is refused, and what a plan may do."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest
import requests
import yaml
from app_server import HEADER, QUESTION, ask, bring, ended, log_of, planned, running_app
from rehearsal import SALE, TOKENS_MODEL, UNITS_MODEL, served
from workspace import TOKEN, running_workspace

from planner.app import asked, reader, runs, serving, whatif
from planner.app.desk import MOST_AT_ONCE
from planner.app.gate import MOST_UPLOAD_BYTES
from simulations.errors import InputError

HOSTILE = '"><img src=x onerror=alert(1)>.csv'


@pytest.fixture(scope="module")
def sandbox():
    with running_workspace(models=SALE, token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def app(sandbox, tmp_path_factory):
    with running_app(tmp_path_factory.mktemp("app"), sandbox.url) as running:
        yield running


@pytest.fixture(scope="module")
def client(app):
    with app.client() as session:
        yield session


@pytest.fixture(scope="module")
def trace_url(app, client):
    return bring(client, app.url, log_of()).url


@pytest.fixture(scope="module")
def run_url(app, client, trace_url):
    return ask(client, app.url, trace_url)


@pytest.fixture
def workspace(sandbox):
    sandbox.forget()
    return sandbox


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """An app that takes little."""
    with running_app(tmp_path_factory.mktemp("narrow"), most_upload_bytes=1 << 20) as running:
        yield running


def writes(workspace) -> list:
    return [e for e in workspace.exchanges() if e.method != "GET"]


# --- who is let in --------------------------------------------------------------------------


def test_the_first_address_becomes_a_cookie_that_scripts_and_other_sites_do_not_have(app):
    answer = requests.get(app.first_url, allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        rf"ptplan-{app.port}=[\w-]{{43}}; Path=/; HttpOnly; SameSite=Strict", cookie
    )
    assert "first-address" not in cookie


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/static/app.js", "/sizes"])
def test_without_the_cookie_nothing_is_shown(path, app):
    answer = requests.get(f"{app.url}{path}", timeout=30)
    assert answer.status_code == 401
    assert "Open the address" in answer.text


def test_a_cookie_of_somebody_else_is_none(app):
    cookies = {f"ptplan-{app.port}": "x" * 43}
    assert requests.get(app.url, cookies=cookies, timeout=30).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:{port}", "127.0.0.1:1", "", "0.0.0.0:{port}"]
)
def test_a_forged_host_is_refused(host, app, client):
    answer = client.get(app.url, headers={"host": host.format(port=app.port)}, timeout=30)
    assert answer.status_code == 403


def test_two_hosts_are_refused(app):
    answer = app.exchange(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nHost: evil.example\r\n\r\n".encode()
    )
    assert answer.split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": None},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": None, "sec-fetch-site": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/example", "/traces", "/plans/0/apply", "/no/such"])
def test_a_post_from_elsewhere_is_refused_with_the_cookie_too(headers, path, app, client):
    answer = client.post(f"{app.url}{path}", headers=headers, timeout=30)
    assert answer.status_code == 403
    assert "other sites" in answer.text


def test_a_page_may_run_no_script_but_ours(app, client, trace_url):
    for path in (app.url, trace_url, f"{trace_url}/question", f"{app.url}/no/such"):
        answer = client.get(path, timeout=60)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        scripts = re.findall(r"<script[^>]*>[^<]*", answer.text)
        assert [
            s for s in scripts if not re.fullmatch(r'<script src="/static/[\w.-]+" defer>', s)
        ] == []
        assert re.findall(r"<[^>]*\son\w+=", answer.text) == []
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//', answer.text) == []


# --- what is taken --------------------------------------------------------------------------


def test_two_gigabytes_are_refused_before_they_are_sent(app, client):
    cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    answer = app.exchange(
        f"POST /traces HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nOrigin: {app.url}\r\nCookie: {cookie}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {2 << 30}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than 256 MiB" in answer
    assert MOST_UPLOAD_BYTES == 256 << 20


def test_an_upload_without_a_length_is_cut_off_at_the_limit(narrow):
    with narrow.client() as client:
        cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    head = (
        f"POST /traces HTTP/1.1\r\nHost: 127.0.0.1:{narrow.port}\r\nOrigin: {narrow.url}\r\nCookie: {cookie}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    block = b"%x\r\n%s\r\n" % (1 << 16, b"x" * (1 << 16))
    sent, answer = 0, b""
    with closing(socket.create_connection(("127.0.0.1", narrow.port), timeout=30)) as wire:
        wire.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(part), part))
        try:
            while sent < 2 << 30:
                wire.sendall(block)
                sent += len(block)
        except OSError:
            pass
        try:
            while piece := wire.recv(65_536):
                answer += piece
        except OSError:
            pass  # A connection that is reset takes with it what was not read.
    assert sent < 64 << 20
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    with narrow.client() as client:
        assert "desk" not in client.get(narrow.url, timeout=30).text


def test_an_upload_that_does_not_come_is_given_up(tmp_path):
    with running_app(tmp_path, most_idle_s=0.3) as app, app.client() as client:
        cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.get_dict().items())
        head = (
            f"POST /traces HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nOrigin: {app.url}\r\nCookie: {cookie}\r\n"
            "Connection: close\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: "
        )
        body = f'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n{log_of(60)}\r\n--b--\r\n'
        answer = app.exchange(f"{head}9000\r\n\r\n{body[:100]}".encode())
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"stopped half way" in answer
        # One that came whole is not given up, however long it is read.
        answer = app.exchange(f"{head}{len(body)}\r\n\r\n{body}".encode())
        assert answer.startswith(b"HTTP/1.1 303")


def test_a_form_is_small(app, client, trace_url):
    answer = client.post(f"{trace_url}/runs", data={"model": "x" * 70_000}, timeout=30)
    assert answer.status_code == 413


def test_a_gzip_bomb_is_refused(app, client):
    member = gzip.compress(b"0,9,1\n" * (1 << 20))
    bomb = gzip.compress(HEADER.encode()) + member * 200
    assert len(bomb) < 4 << 20
    answer = bring(client, app.url, bomb, "log.csv.gz")
    assert answer.status_code == 400
    assert "log.csv.gz holds more than 1,073,741,824 bytes" in answer.text


def test_a_reader_has_a_limit_of_time_and_of_memory(tmp_path):
    path = tmp_path / "brought"
    path.write_text(log_of())
    given = {"name": "log.csv", "flags": {}, "folder": tmp_path}
    with pytest.raises(InputError, match=r"log\.csv: reading took more than 0\.05 s"):
        reader.read_apart(path, most_s=0.05, **given)
    with pytest.raises(InputError, match=r"log\.csv: reading was ended"):
        reader.read_apart(path, most_bytes=1 << 28, **given)
    assert len(reader.read_apart(path, **given).trace) == 600


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "zip archive"),
        (b"import os\nos.abort()\n", "log.csv"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix", "binary"),
        (HEADER.encode() + b"0,0,0\n", "row"),
    ],
)
def test_what_is_no_trace_is_refused_in_one_sentence_by_its_own_name(content, why, app, client):
    answer = bring(client, app.url, content)
    assert answer.status_code == 400
    (told,) = re.findall(r'<p role="alert">(.*?)</p>', answer.text)
    assert "log.csv" in told
    assert why in told
    assert "/brought" not in told


def test_a_form_without_a_file_says_so(app, client):
    answer = client.post(f"{app.url}/traces", files={"other": ("", b"")}, timeout=30)
    assert (answer.status_code, "no file was chosen" in answer.text) == (400, True)


def test_names_and_models_that_are_markup_stay_text(app, client):
    trace = bring(client, app.url, log_of(60), HOSTILE)
    model = "<script>alert(1)</script>:1"
    run = client.post(
        f"{trace.url}/runs", data=QUESTION | {"model": model, "base_model": ""}, timeout=60
    )
    deadline = time.monotonic() + 300
    while "Looking for" in (page := client.get(run.url, timeout=30).text):
        assert time.monotonic() < deadline
    for text in (trace.text, page, client.get(app.url, timeout=30).text):
        assert "<img" not in text
        assert "<script>" not in text
        assert "onerror=alert(1)&gt;" in text


def test_a_name_that_turns_the_direction_of_a_line_does_not(app, client):
    page = bring(client, app.url, log_of(60), name="a\u202egpj.\u2066csv").text
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(page)
    assert "gpj" in page


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2f..%2fpages.py",
        "/static/%2fetc%2fpasswd",
        "/traces/..%2f..",
        "/runs/%00",
        "/plans/../plans",
        "//evil.example/x",
        "/traces/" + "x" * 4000,
    ],
)
def test_no_path_leads_out_of_the_app(path, app, client):
    cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.get_dict().items())
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    assert app.exchange(request.encode()).startswith(b"HTTP/1.1 404")


def test_the_way_back_from_a_complaint_stays_on_this_server(app, client):
    asked = {"url": f"{app.url}/traces", "files": {"file": ("a.csv", "nothing")}}
    for place, back in (("//evil.example/", "/evil.example/"), ("/\\evil", "/evil"), ("/", "/")):
        page = client.post(**asked, headers={"referer": f"{app.url}{place}"}, timeout=60).text
        assert f'class="button" href="{back}"' in page
    page = client.post(**asked, headers={"referer": "https://evil.example/x"}, timeout=60).text
    assert "evil" not in page


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "../../../etc",
        "a\r\nSet-Cookie: x=1",
        "a\u202eb",
        "x" * 300,
        "?q#f",
        "=cmd|' /C calc'!A0",
        " ",
    ],
)
def test_a_hostile_name_of_an_endpoint_reaches_neither_page_nor_workspace(
    name, workspace, client, run_url
):
    answer = client.post(f"{run_url}/plans", data={"endpoint": name}, timeout=60)
    assert answer.status_code == 400
    assert "<script>alert" not in answer.text
    assert "x" not in answer.cookies
    assert writes(workspace) == []


def test_a_growth_that_no_memory_holds_is_refused(client, trace_url):
    answer = client.post(f"{trace_url}/runs", data=QUESTION | {"growth": "1000000"}, timeout=60)
    assert answer.status_code == 400
    assert "600,000,000 requests, and the app takes 20,000,000" in answer.text


def test_bad_columns_of_a_form_name_the_field(app, client, trace_url):
    answer = client.post(f"{trace_url}/runs", data=QUESTION | {"futures": "<b>"}, timeout=30)
    assert answer.status_code == 400
    assert "futures is &#39;&lt;b&gt;&#39;; must be a whole number" in answer.text


# --- questions and answers ------------------------------------------------------------------


def test_the_form_asks_what_the_command_line_asks():
    form = {**QUESTION, "own_min": "2", "own_max": "4", "e2e_s": "30", "endpoint": "chat"}
    made = asked.asked_of(form)
    assert (made.own, made.promise.ttft_p95, made.promise.e2e_p95) == ((2, 4), "5s", "30s")
    words = made.command("log.csv", {"on_bad": "drop"})
    assert words[:3] == ["ptplan", "recommend", "log.csv"]
    assert not [word for word in words if "current" in word]
    for flag, value in (
        ("--model", f"{TOKENS_MODEL}:1"),
        ("--on-bad", "drop"),
        ("--futures", "1"),
    ):
        assert words[words.index(flag) + 1] == value


def test_what_the_app_answers_is_what_the_command_line_answers(
    client, run_url, tmp_path, monkeypatch
):
    import shlex

    from planner import artifacts
    from planner.cli import run

    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text(log_of(), encoding="utf-8")
    mine = client.get(f"{run_url}/recommendation.json", timeout=60).json()
    Path("app.json").write_text(client.get(f"{run_url}/recommendation.json", timeout=60).text)
    assert artifacts.read(Path("app.json"))["sha256"] == mine["sha256"]
    assert run([*shlex.split(mine["command"])[1:], "--out", "out", "--quiet"]) == 0
    theirs = artifacts.read(Path("out/recommendation.json"))
    apart = (
        "created_at",
        "command",
        "sha256",
        "sensitivity",
        "break_even",
        "break_even_from_volume",
    )
    assert {k: v for k, v in mine.items() if k not in apart} == {
        k: v for k, v in theirs.items() if k not in apart
    }


def test_selections_are_multiples_of_the_chunk(app, client):
    page = client.get(f"{app.url}/sizes", params=QUESTION, timeout=30).text
    assert '<option value="3">2,940 tokens/s (3 chunks)</option>' in page
    assert "Up to" in page
    assert "Modify minimum" in page
    units = {"model": "system.ai.llama-4-maverick"}
    page = client.get(f"{app.url}/sizes", params=units, timeout=30).text
    assert "Model units" in page
    assert "Modify minimum" not in page


def test_a_choice_of_ones_own_stands_beside_the_answer_and_does_not_move_it(app, client, trace_url):
    alone = ask(client, app.url, trace_url, futures="20")
    beside = ask(client, app.url, trace_url, futures="20", own_min="5", own_max="9")
    kept = [client.get(f"{url}/recommendation.json", timeout=60).json() for url in (alone, beside)]
    assert kept[0]["capacity"] == kept[1]["capacity"]
    assert kept[0]["alternatives"] == kept[1]["alternatives"]
    page = client.get(beside, timeout=60).text
    assert "5 to 9 chunks, 4,900 to 8,820 tokens/s" in page
    assert "keeps the promise in 20 of 20 futures" in page
    run = max(app.gate.site.desk.runs.all_of("local"), key=lambda row: row[0] in beside)[1]
    itself = whatif.judge(run.made, (run.made.chosen.min_chunks, run.made.chosen.max_chunks))
    assert itself.evidence.spreads() == run.made.evidence.spreads()
    assert itself.holds == run.made.feasible
    assert not whatif.judge(run.made, (0, 1)).holds


def test_a_what_if_that_changes_nothing_is_the_run_of_the_answer(app, client, run_url):
    run = app.gate.site.desk.runs.get("local", run_url.rpartition("/")[2])
    seen = whatif.look(run.made, whatif.WhatIf(own=(2, 4)))
    chosen, own = seen.chosen, seen.own
    assert seen.part is None
    assert chosen.outcome.figures() == run.made.evidence.outcomes[-1].figures()
    assert own.outcome.mean_chunks >= 2
    slower = whatif.look(run.made, whatif.WhatIf(growth=3.0, start_delay_s=600)).chosen
    assert slower.outcome.arrived == pytest.approx(3 * chosen.outcome.arrived, rel=0.05)
    page = client.get(f"{run_url}/whatif", params={"growth": "3", "own_max": "4"}, timeout=30).text
    assert page.count("<tr") == 3
    page = client.get(
        f"{run_url}/whatif", params={"growth": "nan"}, headers={"hx-request": "true"}, timeout=30
    ).text
    assert "growth is &#39;nan&#39;; must be between 0.25 and 4" in page


def test_a_what_if_on_long_traffic_is_of_its_busiest_part_and_says_so(
    app, client, run_url, monkeypatch
):
    run = app.gate.site.desk.runs.get("local", run_url.rpartition("/")[2])
    whole = whatif.look(run.made, whatif.WhatIf())
    seen = whatif.look(run.made, whatif.WhatIf(own=(2, 4)), most_requests=200)
    assert seen.part is not None
    assert 200 <= len(seen.part) < 210
    assert seen.chosen.outcome.arrived == seen.own.outcome.arrived == len(seen.part)
    assert whole.chosen.outcome.usd_per_month is not None
    assert seen.chosen.outcome.usd_per_month is None
    grown = whatif.look(run.made, whatif.WhatIf(growth=2.0), most_requests=200)
    assert grown.chosen.outcome.arrived == pytest.approx(2 * len(grown.part), rel=0.1)
    assert len(grown.part) < 110
    look = whatif.look
    monkeypatch.setattr(whatif, "look", lambda made, wanted: look(made, wanted, most_requests=200))
    page = client.get(f"{run_url}/whatif", timeout=30).text
    assert "the busiest part alone, 20" in page


def test_of_what_ifs_that_overtake_each_other_only_the_last_is_simulated(
    app, client, run_url, monkeypatch
):
    began, go_on, looked = threading.Event(), threading.Event(), []
    look = whatif.look

    def slow(made, wanted):
        looked.append(wanted.growth)
        began.set()
        assert go_on.wait(300)
        return look(made, wanted)

    monkeypatch.setattr(whatif, "look", slow)
    latest = app.gate.site.desk.runs.get("local", run_url.rpartition("/")[2]).what_if
    before = latest.asked

    def ask_for(growth: float) -> tuple[float, int]:
        asked = requests.get(
            f"{run_url}/whatif",
            params={"growth": f"{growth:g}"},
            cookies=client.cookies.get_dict(),
            timeout=60,
        )
        return growth, asked.status_code

    answers = []
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(ask_for, 1.0)
        assert began.wait(300)
        others = []
        for n, growth in enumerate((1.5, 2.0, 2.5, 3.0), start=2):
            others.append(pool.submit(ask_for, growth))
            deadline = time.monotonic() + 180
            while latest.asked < before + n:
                assert time.monotonic() < deadline
                time.sleep(0.005)
        go_on.set()
        answers = [one.result() for one in (first, *others)]
    assert answers == [(1.0, 200), (1.5, 204), (2.0, 204), (2.5, 204), (3.0, 200)]
    assert looked == [1.0, 3.0]


def test_a_run_that_is_cancelled_frees_its_place_whatever_it_is_at(
    app, client, trace_url, monkeypatch
):
    """What comes after the search tells of itself too, from threads, and is stopped by that."""
    at_it, go_on = threading.Event(), threading.Event()
    real = runs.recommend

    def slowly(*given, progress, **more):
        """Recommend as ever, but stay at what would change the answer until it is cancelled."""

        def tell(what, n):
            progress(what, n)
            if what == "what would change the answer":
                at_it.set()
                assert go_on.wait(300)

        return real(*given, progress=tell, **more)

    monkeypatch.setattr(runs, "recommend", slowly)
    everything = app.gate.site.desk.runs.everything
    for run in everything():
        run.wait(300)
    asked = QUESTION | {"sensitivity": "on"}
    urls = []
    for _ in range(MOST_AT_ONCE):
        urls.append(client.post(f"{trace_url}/runs", data=asked, timeout=60).url)
    assert at_it.wait(300)
    refused = client.post(f"{trace_url}/runs", data=asked, timeout=60)
    assert "questions are being answered already" in refused.text
    deadline = time.monotonic() + 300
    while "what would change the answer" not in client.get(urls[0], timeout=30).text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for url in urls:
        assert "Cancelled" in client.post(f"{url}/cancel", timeout=30).text
    go_on.set()
    while any(run.busy for run in everything()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_model_that_is_not_known_ends_in_a_sentence(app, client, trace_url):
    run = client.post(f"{trace_url}/runs", data={"model": "ml.no.such"}, timeout=60)
    deadline = time.monotonic() + 300
    while "No answer" not in (page := client.get(run.url, timeout=30).text):
        assert time.monotonic() < deadline
    assert "ml.no.such" in page
    assert "Change the question" in page


def test_model_units_are_answered_planned_and_applied(workspace, app, client, trace_url):
    units = {
        "model": f"{UNITS_MODEL}:1",
        "chunk_tokens_per_s": "",
        "base_model": "system.ai.llama-4-maverick",
        "unit_step": "50",
        "tokens_per_s_per_step": "2000",
        "own_max": "3",
    }
    run_url = ask(client, app.url, trace_url, **units)
    page = client.get(run_url, timeout=60).text
    assert "Modify minimum" not in page
    assert '<option value="3" selected>150 model units</option>' in page
    page = client.get(f"{run_url}/whatif", params={"own_max": "3"}, timeout=30).text
    assert "150 model units" in page
    form = {"endpoint": "units"}
    answer = client.post(f"{run_url}/plans", data=form, timeout=60)
    assert (answer.status_code, "may burst" in answer.text) == (400, True)
    plan = client.post(f"{run_url}/plans", data=form | {"burst": "off"}, timeout=60)
    client.post(f"{plan.url}/apply", data={"typed": "units"}, timeout=60)
    assert ended(client, plan.url.replace("/plans/", "/applies/"))["state"] == "applied"
    assert list(workspace.workspace.burst_flags("units").values()) == [False]


def test_where_nothing_keeps_the_promise_the_page_says_so_and_the_name_is_asked_for(
    workspace, app, client, trace_url
):
    run_url = ask(client, app.url, trace_url, ttft_s="0.001", usd_per_chunk_hour="")
    page = client.get(run_url, timeout=60).text
    assert "No range keeps the promise" in page
    assert "✗ breaks it" in client.get(f"{run_url}/whatif", timeout=30).text
    plan = client.post(f"{run_url}/plans", data={"endpoint": "hopeless"}, timeout=60).text
    assert "promise-missed" in plan
    assert "data-wanted" in plan


def test_the_files_of_a_databricks_app_start_it():
    folder = Path(__file__).parents[1] / "examples" / "databricks-app"
    command = yaml.safe_load((folder / "app.yaml").read_text(encoding="utf-8"))["command"]
    assert command == ["ptplan", "app"]
    wheel = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()[-1]
    assert wheel == f"./ptplan-{metadata.version('ptplan')}-py3-none-any.whl"


def test_the_command_prints_an_address_that_lets_in_and_keeps_its_token_to_itself(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "planner.cli", "app", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        found = re.match(
            r"open (http://127\.0\.0\.1:\d+)/\?token=([\w-]{32})\n", process.stdout.readline()
        )
        assert found
        with requests.Session() as session:
            answer = session.get(found[0].split()[1], timeout=30)
            assert (answer.status_code, answer.url) == (200, f"{found[1]}/")
            assert found[2] not in answer.text + str(session.cookies)
        assert requests.get(found[1], timeout=30).status_code == 401
    finally:
        process.send_signal(signal.SIGINT)
        printed, complained = process.communicate(timeout=180)
    assert (process.returncode, complained) == (130, "ptplan: stopped\n")
    assert found[2] not in printed + complained


# --- plans ----------------------------------------------------------------------------------


def test_one_plan_is_sent_once_however_often_it_is_pressed(workspace, client, run_url):
    plan_url = planned(client, run_url, "once")
    with ThreadPoolExecutor(8) as pool:
        pressed = [pool.submit(client.post, f"{plan_url}/apply", timeout=60) for _ in range(8)]
        assert {one.result().status_code for one in pressed} == {200}
    receipt = ended(client, plan_url.replace("/plans/", "/applies/"))
    assert receipt["state"] == "applied"
    assert [e.method for e in writes(workspace)] == ["POST"]
    assert "never sent twice" in client.get(plan_url, timeout=30).text


def test_an_older_plan_for_an_endpoint_that_moved_is_stale(workspace, client, run_url):
    first = planned(client, run_url, "moved")
    time.sleep(1.1)  # Made within one second they would be one plan.
    second = planned(client, run_url, "moved")
    client.post(f"{second}/apply", timeout=60)
    assert ended(client, second.replace("/plans/", "/applies/"))["state"] == "applied"
    edit = {"served_entities": [served("ours", max_provisioned_throughput=9800)]}
    workspace.workspace.rival("moved", "edit", edit)
    client.post(f"{first}/apply", timeout=60)
    assert ended(client, first.replace("/plans/", "/applies/"))["state"] == "failed"
    assert len(writes(workspace)) == 1


def test_the_name_is_asked_for_by_the_server_too(workspace, client, run_url):
    large = {"min_provisioned_throughput": 98_000, "max_provisioned_throughput": 98_000}
    workspace.workspace.create(
        {"name": "chat", "config": {"served_entities": [served("ours", **large)]}}
    )
    plan_url = planned(client, run_url)
    for typed in ("", "Chat", "chat2"):
        answer = client.post(f"{plan_url}/apply", data={"typed": typed}, timeout=60)
        assert (answer.status_code, "shrink" in answer.text) == (403, True)
    assert writes(workspace) == []
    client.post(f"{plan_url}/apply", data={"typed": "chat"}, timeout=60)
    assert ended(client, plan_url.replace("/plans/", "/applies/"))["state"] == "applied"


def test_a_plan_that_nobody_was_shown_is_not_sent(workspace, app, client):
    answer = client.post(f"{app.url}/plans/{'0' * 64}/apply", timeout=30)
    assert answer.status_code == 403
    assert workspace.exchanges() == []


def test_an_apply_that_did_not_finish_is_resumed_and_sends_nothing_twice(
    workspace, client, run_url
):
    plan_url = planned(client, run_url, "resumed")
    workspace.fault("status", method="GET", path="/serving-endpoints", status=403, skip=1)
    client.post(f"{plan_url}/apply", timeout=60)
    apply_url = plan_url.replace("/plans/", "/applies/")
    assert ended(client, apply_url)["state"] == "in_progress"
    workspace.clear_faults()
    assert "Go on" in client.get(apply_url, timeout=30).text
    client.post(f"{apply_url}/resume", timeout=60)
    assert ended(client, apply_url)["state"] == "applied"
    assert len(writes(workspace)) == 1


def test_no_page_and_no_file_shows_a_token(workspace, app, client, run_url):
    plan_url = planned(client, run_url, "quiet")
    client.post(f"{plan_url}/apply", timeout=60)
    apply_url = plan_url.replace("/plans/", "/applies/")
    ended(client, apply_url)
    for url in (app.url, run_url, plan_url, apply_url, f"{apply_url}/receipt.json"):
        text = client.get(url, timeout=60).text
        assert TOKEN not in text
        assert "first-address" not in text
    kept = [path.read_text() for path in app.folder.rglob("*") if path.is_file()]
    assert len(kept) > 2
    assert [text for text in kept if TOKEN in text or "first-address" in text] == []


# --- as a Databricks App --------------------------------------------------------------------

PUBLIC = "ptplan-1.aws.databricksapps.com"
BEHIND = {
    "x-forwarded-host": PUBLIC,
    "origin": f"https://{PUBLIC}",
    "x-forwarded-user": "1@2",
}


@pytest.fixture(scope="module")
def hosted(sandbox, tmp_path_factory):
    door = serving.proxied_door({})
    of_door = {"names": door.names, "port": None, "proxied": True, "url_token": None}
    with running_app(tmp_path_factory.mktemp("hosted"), sandbox.url, **of_door) as running:
        yield running


def behind(**further: str) -> requests.Session:
    session = requests.Session()
    session.headers.update(BEHIND | {k.replace("_", "-"): v for k, v in further.items()})
    return session


def test_behind_a_proxy_only_its_users_come_in_and_only_by_its_name(hosted):
    with behind() as user:
        assert user.get(hosted.url, timeout=30).status_code == 200
        assert (
            user.get(hosted.url, headers={"x-forwarded-user": None}, timeout=30).status_code == 401
        )
        for host in (
            "evil.example",
            "databricksapps.com",
            "xdatabricksapps.com",
            f"{PUBLIC}.evil.example",
        ):
            answer = user.get(hosted.url, headers={"x-forwarded-host": host}, timeout=30)
            assert answer.status_code == 403
        no_proxy = {"x-forwarded-host": None}
        assert user.get(hosted.url, headers=no_proxy, timeout=30).status_code == 403
        # What is said twice was forged on the way: no proxy sends it.
        for name, value in (
            ("X-Forwarded-User", "1@2"),
            ("X-Forwarded-Host", PUBLIC),
            ("X-Forwarded-Access-Token", "t"),
        ):
            sent = {**BEHIND, "x-forwarded-access-token": "t"}
            head = "".join(f"{key}: {text}\r\n" for key, text in sent.items())
            for extra, status in (("", 200), (f"{name}: {value}\r\n", 403)):
                request = (
                    f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}{extra}Connection: close\r\n\r\n"
                )
                answer = hosted.exchange(request.encode())
                assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer[:200]
        evil = {"origin": "https://other.databricksapps.com"}
        assert user.post(f"{hosted.url}/example", headers=evil, timeout=30).status_code == 403


def test_behind_a_proxy_it_acts_with_the_users_token_and_else_reads(workspace, hosted):
    with behind() as reads, behind(x_forwarded_access_token=TOKEN) as acts:
        trace_path = "/" + bring_behind(reads, hosted)
        run_path = ask_behind(reads, hosted, trace_path)
        page = reads.get(f"{hosted.url}{run_path}", timeout=60).text
        assert "only reads" in page
        assert "Show the plan" not in page
        form = {"endpoint": "hosted"}
        answer = reads.post(f"{hosted.url}{run_path}/plans", data=form, timeout=60)
        assert (answer.status_code, "was not given your token" in answer.text) == (403, True)
        assert workspace.exchanges() == []
        plan = acts.post(
            f"{hosted.url}{run_path}/plans", data=form, timeout=60, allow_redirects=False
        ).headers["location"]
        answer = reads.post(f"{hosted.url}{plan}/apply", timeout=60)
        assert answer.status_code == 403
        assert writes(workspace) == []
        answer = acts.post(
            f"{hosted.url}{plan}/apply", data={"typed": "hosted"}, timeout=60, allow_redirects=False
        )
        assert answer.status_code == 303, answer.text
        apply_url = f"{hosted.url}{plan.replace('/plans/', '/applies/')}"
        assert ended(acts, apply_url)["state"] == "applied"
        with behind(x_forwarded_user="3@4", x_forwarded_access_token=TOKEN) as other:
            for path in (trace_path, run_path, plan, plan.replace("/plans/", "/applies/")):
                assert other.get(f"{hosted.url}{path}", timeout=30).status_code == 404
            answer = other.post(f"{hosted.url}{plan}/apply", timeout=30)
            assert answer.status_code == 403


def test_started_as_the_platform_starts_it_each_user_has_his_own(sandbox, tmp_path):
    """The real process, with the environment and the headers of a Databricks App."""
    # Bound and not listening: nobody else gets the port, and the app may still have it.
    free = socket.socket()
    free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    own = {
        "DATABRICKS_APP_PORT": str(port),
        "DATABRICKS_APP_NAME": "ptplan",
        "DATABRICKS_HOST": sandbox.url,
        "DATABRICKS_CLIENT_ID": "app-id",
        "DATABRICKS_CLIENT_SECRET": "app-secret",
        "PYTHONUNBUFFERED": "1",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DATABRICKS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "planner.cli", "app"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=kept | own,
    )
    url = f"http://127.0.0.1:{port}"
    of_platform = {
        "x_forwarded_email": "a@example.com",
        "x_forwarded_preferred_username": "a",
        "x_real_ip": "192.0.2.1",
        "x_request_id": "7",
    }
    printed = process.stdout.readline()
    free.close()
    try:
        assert "behind the proxy of Databricks Apps" in printed
        assert "token=" not in printed
        with (
            behind(**of_platform, x_forwarded_access_token=TOKEN) as acts,
            behind(**of_platform, x_forwarded_user="other@2") as reads,
        ):
            paths = {}
            for session in (acts, reads):
                sent = session.post(
                    f"{url}/traces",
                    files={"file": ("log.csv", log_of(60))},
                    timeout=60,
                    allow_redirects=False,
                )
                paths[session] = sent.headers["location"]
                question = session.get(f"{url}{paths[session]}/question", timeout=60).text
                assert ("Your token is not forwarded" in question) == (session is reads)
                assert "Set-Cookie" not in sent.headers
            for session, other in ((acts, reads), (reads, acts)):
                assert session.get(f"{url}{paths[other]}", timeout=30).status_code == 404
                assert paths[other] not in session.get(url, timeout=30).text
                assert paths[session] in session.get(url, timeout=30).text
            asked = {"model": f"{TOKENS_MODEL}:1"}
            assert "in chunks of" in acts.post(f"{url}/chunk", data=asked, timeout=60).text
            refused = reads.post(f"{url}/chunk", data=asked, timeout=60)
            assert (refused.status_code, "only reads" in refused.text) == (403, True)
        assert requests.get(url, timeout=30).status_code == 403
    finally:
        process.terminate()
        printed += process.communicate(timeout=180)[0]
    assert TOKEN not in printed
    assert "app-secret" not in printed


def bring_behind(session: requests.Session, hosted) -> str:
    answer = session.post(
        f"{hosted.url}/traces",
        files={"file": ("log.csv", log_of(120))},
        timeout=60,
        allow_redirects=False,
    )
    return answer.headers["location"].lstrip("/")


def ask_behind(session: requests.Session, hosted, trace_path: str) -> str:
    answer = session.post(
        f"{hosted.url}{trace_path}/runs", data=QUESTION, timeout=60, allow_redirects=False
    )
    path = answer.headers["location"]
    deadline = time.monotonic() + 300
    while 'id="act"' not in session.get(f"{hosted.url}{path}", timeout=60).text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path


def test_where_it_runs_is_said_by_the_environment():
    here = serving.place_of({})
    assert (here.address, here.port, here.door.proxied) == ("127.0.0.1", 8321, False)
    assert here.door.url_token not in (None, serving.place_of({}).door.url_token)
    hosted = {"DATABRICKS_APP_PORT": "8000", "DATABRICKS_HOST": "w.cloud.databricks.com"}
    there = serving.place_of(hosted)
    assert (there.address, there.port, there.where()) == (
        "0.0.0.0",
        8000,
        "https://w.cloud.databricks.com",
    )
    assert (there.door.proxied, there.door.url_token) == (True, None)
    with pytest.raises(InputError, match="leave --port, --listen"):
        serving.place_of(hosted, listen="192.0.2.7")
    with pytest.raises(InputError, match="must be an IP address"):
        serving.place_of({}, listen="example.org")


def test_its_own_sign_in_is_never_used_for_a_user(monkeypatch):
    """Beside the user's token stands the app's own id and secret in the environment."""
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", "id")
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "secret")
    with running_workspace(token="the-users") as running:
        hosted = {"DATABRICKS_APP_PORT": "8000", "DATABRICKS_HOST": running.url}
        place = serving.place_of(hosted)
        assert place.connect("the-users").get("chat") is None
        from simulations.errors import WorkspaceError

        with pytest.raises(WorkspaceError):
            place.connect("not-theirs").get("chat")
        with pytest.raises(WorkspaceError):
            place.connect(None)
