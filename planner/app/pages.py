"""The pages: routes in, HTML out. Each calls one thing that lives elsewhere and fills a template.

What changes something is a POST that ends in a redirect, so that a reload does nothing twice.
"""

from __future__ import annotations

import asyncio
import tempfile
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from planner import files
from planner.app import asked, reader, whatif
from planner.app.applying import Applying, Register
from planner.app.desk import Desk
from planner.app.gate import TooLarge, TooSlow
from planner.app.reader import Brought
from planner.app.runs import Run, parts_of
from planner.endpoint.client import Workspace
from planner.endpoint.eligibility import ask as ask_eligibility
from planner.endpoint.rollback import create_text
from planner.line import one_line
from planner.plan_words import facts as plan_facts
from planner.plan_words import value_text
from reports.page import render
from reports.trace_page import render_trace_page
from simulations.errors import InputError, PtplanError, Refused

STATIC = {
    "htmx.min.js": "text/javascript",
    "htmx-sse.min.js": "text/javascript",
    "app.js": "text/javascript",
    "app.css": "text/css",
    "htmx-LICENSE.txt": "text/plain",
}
EXAMPLE = "support-morning.toml"
POLL_S = 0.15
"""Between two looks at what a thread does, for the events of a page."""

MOST_READING = 2
"""Uploads that are read at the same time."""


class Site:
    """Everything that the routes share.

    Args:
        desk: traces and runs.
        register: plans and applies.
        connect: signs in to the workspace, given the token that a proxy forwarded.
        where: says which workspace that is, or None where there is none.
        most_upload: the limit of an upload, in words.
        proxied: whether a proxy signs users in.
    """

    def __init__(
        self,
        desk: Desk,
        register: Register,
        *,
        connect: Callable[[str | None], Workspace],
        where: Callable[[], str | None],
        most_upload: str,
        proxied: bool = False,
    ) -> None:
        self.desk = desk
        self.register = register
        self.connect = connect
        self.where = where
        self.most_upload = most_upload
        self.proxied = proxied
        self.reading = asyncio.Semaphore(MOST_READING)

    def page(self, template: str, status: int = 200, **content: Any) -> HTMLResponse:
        """Return a page."""
        return HTMLResponse(self.fragment(template, **content), status_code=status)

    def fragment(self, template: str, **content: Any) -> str:
        """Return a piece of a page."""
        return render(template, package="planner.app", **content)

    def may_act(self, request: Request) -> bool:
        """Return whether whoever asks may change something in the workspace."""
        return not self.proxied or bool(request.state.token)

    def workspace(self, request: Request) -> Workspace:
        """Return the workspace, as whoever asks.

        Raises:
            Refused: the proxy forwarded no token, so there is nobody to act as.
        """
        if not self.may_act(request):
            raise Refused(
                "the app was not given your token, so it only reads; let it act for you under User authorization "
                "(see docs/app.md), or use ptplan apply in a terminal"
            )
        return self.connect(request.state.token)

    def brought(self, request: Request, name: str) -> Brought:
        """Return a trace of whoever asks."""
        found = self.desk.traces.get(request.state.who, name)
        if found is None:
            raise HTTPException(404)
        return found

    def run(self, request: Request, name: str) -> Run:
        """Return a run of whoever asks."""
        found = self.desk.runs.get(request.state.who, name)
        if found is None:
            raise HTTPException(404)
        return found

    def answered(self, request: Request, name: str) -> Run:
        """Return a run that has its answer."""
        run = self.run(request, name)
        if run.state != "done":
            raise HTTPException(404)
        return run

    def applying(self, request: Request, sha256: str) -> Applying:
        """Return an apply of whoever asks."""
        found = self.register.applying(request.state.who, sha256)
        if found is None:
            raise HTTPException(404)
        return found


def application(site: Site) -> FastAPI:
    """Return the app, not yet behind its gate."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _add_failures(app, site)
    _add_static(app)
    _add_traffic(app, site)
    _add_questions(app, site)
    _add_runs(app, site)
    _add_plans(app, site)
    return app


# ------------------------------------------------------------------------------------------ failures, files


def _add_failures(app: FastAPI, site: Site) -> None:
    @app.exception_handler(PtplanError)
    async def failed(request: Request, error: PtplanError) -> Response:
        status = 403 if isinstance(error, Refused) else 400
        if request.headers.get("hx-request"):
            # htmx swaps in nothing that is an error.
            return HTMLResponse(site.fragment("complaint.html", text=str(error)))
        back = request.headers.get("referer", "")
        host = request.headers.get("x-forwarded-host", request.headers.get("host", ""))
        here = back.partition("://")[2].partition("/")
        return site.page(
            "failed.html",
            status,
            title="This does not work",
            text=str(error),
            # Two slashes would lead to another server.
            back="/" + here[2].lstrip("/\\") if here[0] == host else "/",
        )

    @app.exception_handler(TooLarge)
    async def too_large(request: Request, error: TooLarge) -> Response:
        answer = site.page("failed.html", 413, title="This is too large", text=str(error), back="/")
        answer.headers["connection"] = "close"
        return answer

    @app.exception_handler(TooSlow)
    async def too_slow(request: Request, error: TooSlow) -> Response:
        answer = site.page(
            "failed.html", 408, title="This took too long", text=str(error), back="/"
        )
        answer.headers["connection"] = "close"
        return answer

    @app.exception_handler(404)
    async def unknown(request: Request, error: HTTPException) -> Response:
        text = "There is no such page, or what it was about is no longer kept: the app keeps it in memory alone."
        return site.page("failed.html", 404, title="Not here", text=text, back="/")

    @app.exception_handler(500)
    async def defect(request: Request, error: Exception) -> Response:
        traceback.print_exception(error)
        text = "Something went wrong inside ptplan; the terminal shows what."
        return site.page("failed.html", 500, title="A defect", text=text, back="/")


def _add_static(app: FastAPI) -> None:
    contents = {
        name: (resources.files("planner.app").joinpath("static", name).read_bytes(), kind)
        for name, kind in STATIC.items()
    }
    report = resources.files("reports").joinpath("templates", "style.css").read_bytes()
    contents["report.css"] = (report, "text/css")

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in contents:
            raise HTTPException(404)
        content, kind = contents[name]
        headers = {"cache-control": "private, max-age=600"}
        return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)


# ------------------------------------------------------------------------------------------ traffic


def _add_traffic(app: FastAPI, site: Site) -> None:
    @app.get("/")
    def home(request: Request) -> Response:
        who = request.state.who
        return site.page(
            "home.html",
            traces=site.desk.traces.all_of(who),
            runs=site.desk.runs.all_of(who),
            applied=site.register.all_of(who),
            most_upload=site.most_upload,
            most_s=reader.MOST_S,
        )

    @app.post("/traces")
    async def bring(request: Request) -> Response:
        async with request.form(max_files=1, max_fields=12) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile) or not upload.filename:
                raise InputError("no file was chosen; choose one, or take the example")
            name = one_line(upload.filename.replace("\\", "/").rpartition("/")[2])[:200]
            flags = {
                key: text
                for key in ("columns", "on_bad", "time_unit", "aggregate", "served_by")
                if (text := _text(form, key)) and (key, text) != ("on_bad", "fail")
            }
            async with site.reading:
                brought = await run_in_threadpool(_read, upload, name, flags)
        return _to(f"/traces/{site.desk.traces.add(request.state.who, brought)}")

    @app.post("/example")
    async def example(request: Request) -> Response:
        async with site.reading:
            brought = await run_in_threadpool(_read_example)
        return _to(f"/traces/{site.desk.traces.add(request.state.who, brought)}")

    @app.get("/traces/{name}")
    def described(request: Request, name: str) -> Response:
        brought = site.brought(request, name)
        parts = parts_of(render_trace_page(brought.facts))
        return site.page("trace.app.html", name=name, brought=brought, parts=parts)


def _read(upload: UploadFile, name: str, flags: Mapping[str, str]) -> Brought:
    with tempfile.TemporaryDirectory(prefix="ptplan-") as folder:
        # The sender's name decides one thing: whether it is a description. The rest is told by content.
        path = Path(folder) / ("brought.toml" if name.endswith(".toml") else "brought")
        with path.open("wb") as file:
            while block := upload.file.read(1 << 20):
                file.write(block)
        return reader.read_apart(path, name=name, flags=flags, folder=Path(folder))


def _read_example() -> Brought:
    content = resources.files("planner.app").joinpath("example.toml").read_bytes()
    with tempfile.TemporaryDirectory(prefix="ptplan-") as folder:
        path = Path(folder) / "brought.toml"
        path.write_bytes(content)
        return reader.read_apart(path, name=EXAMPLE, flags={}, folder=Path(folder))


# ------------------------------------------------------------------------------------------ questions


def _add_questions(app: FastAPI, site: Site) -> None:
    @app.get("/traces/{name}/question")
    def question(request: Request, name: str) -> Response:
        before = site.desk.runs.get(request.state.who, request.query_params.get("from", ""))
        form = {**asked.DEFAULTS} if before is None else dict(before.asked.form)
        return site.page(
            "question.html",
            name=name,
            brought=site.brought(request, name),
            form=form,
            models=asked.catalogue_names(),
            choices=asked,
            where=site.where(),
            may_act=site.may_act(request),
        )

    @app.get("/sizes")
    def sizes(request: Request) -> Response:
        form = dict(request.query_params)
        return site.page("sizes.html", size=asked.size_of(form), form=form)

    @app.post("/chunk")
    async def chunk(request: Request) -> Response:
        form = _texts(await request.form(max_files=0, max_fields=60))
        return await run_in_threadpool(ask_workspace, request, form)

    def ask_workspace(request: Request, form: Mapping[str, str]) -> Response:
        name, colon, version = form.get("model", "").strip().rpartition(":")
        if not colon or not name:
            raise InputError(
                "the workspace is asked for a version: write the model as NAME:VERSION"
            )
        workspace = site.workspace(request)
        found = ask_eligibility(workspace, name, version)
        answer = site.page("chunk.html", found=found, host=workspace.host, form=form)
        answer.headers["hx-trigger-after-settle"] = "sized"
        return answer

    @app.post("/traces/{name}/runs")
    async def ask(request: Request, name: str) -> Response:
        form = _texts(await request.form(max_files=0, max_fields=60))
        brought = site.brought(request, name)
        run = await run_in_threadpool(
            lambda: site.desk.ask(request.state.who, brought, asked.asked_of(form))
        )
        return _to(f"/runs/{run}")


# ------------------------------------------------------------------------------------------ runs


def _add_runs(app: FastAPI, site: Site) -> None:
    @app.get("/runs/{name}")
    def show(request: Request, name: str) -> Response:
        run = site.run(request, name)
        trace = next(
            (key for key, one in site.desk.traces.all_of(request.state.who) if one is run.brought),
            None,
        )
        # Read once: it may turn while the page is made.
        state = run.state
        if state != "done":
            return site.page("running.html", name=name, run=run, state=state, trace=trace)
        assert run.made is not None
        return site.page(
            "answer.html",
            name=name,
            run=run,
            made=run.made,
            trace=trace,
            parts=run.parts,
            sliders=whatif.SLIDERS,
            size=_size_of(run),
            where=site.where(),
            may_act=site.may_act(request),
        )

    @app.get("/runs/{name}/events")
    async def events(request: Request, name: str) -> Response:
        run = site.run(request, name)

        def fragment() -> str:
            return site.fragment("progress.html", name=name, run=run, state=run.state)

        return _stream(fragment, lambda: run.state != "running")

    @app.get("/runs/{name}/ended")
    def ended() -> Response:
        return Response(status_code=204, headers={"hx-refresh": "true"})

    @app.post("/runs/{name}/cancel")
    def cancel(request: Request, name: str) -> Response:
        site.run(request, name).cancel()
        return _to(f"/runs/{name}")

    @app.get("/runs/{name}/whatif")
    def what_if(request: Request, name: str) -> Response:
        run = site.answered(request, name)
        assert run.made is not None
        wanted = whatif.what_if_of(request.query_params)
        made = run.made
        try:
            look = run.what_if.answer(lambda: whatif.look(made, wanted))
        except whatif.Overtaken:
            return Response(status_code=204)  # the page has asked again, and waits for that
        return site.page("whatif.html", made=made, look=look)

    @app.get("/runs/{name}/report.html")
    def report(request: Request, name: str) -> Response:
        return _download(site.answered(request, name).page, "report.html", "text/html")

    @app.get("/runs/{name}/recommendation.json")
    def recommendation(request: Request, name: str) -> Response:
        text = files.to_json(site.answered(request, name).data)
        return _download(text, "recommendation.json", "application/json")


def _size_of(run: Run) -> asked.Size:
    """Return in what steps the model of an answer is sold."""
    step = run.offer.step
    units = getattr(step, "step_units", None)
    return asked.Size(run.offer.in_units, step.rated_tokens_per_s, units, run.offer.size_source)


# ------------------------------------------------------------------------------------------ plans


def _add_plans(app: FastAPI, site: Site) -> None:
    @app.post("/runs/{name}/plans")
    async def plan(request: Request, name: str) -> Response:
        form = _texts(await request.form(max_files=0, max_fields=8))
        run = site.answered(request, name)
        sha256 = await run_in_threadpool(
            lambda: site.register.plan(
                request.state.who,
                run.data,
                site.workspace(request),
                endpoint=form.get("endpoint") or None,
                model_version=form.get("model_version") or None,
                entity=form.get("entity") or None,
                burst=_burst(form),
            )
        )
        return _to(f"/plans/{sha256}")

    @app.get("/plans/{sha256}")
    def show(request: Request, sha256: str) -> Response:
        made = site.register.shown(request.state.who, sha256)
        if made is None:
            raise HTTPException(404)
        begun = site.register.applying(request.state.who, sha256)
        return site.page(
            "plan.html",
            plan=made,
            facts=list(plan_facts(made)),
            value=value_text,
            begun=begun,
            back=(made["source"] or {}).get("kind") == "rollback",
            body=files.to_json(made["request"]["body"]) if made["request"] else "",
        )

    @app.get("/plans/{sha256}/plan.json")
    def plan_file(request: Request, sha256: str) -> Response:
        made = site.register.shown(request.state.who, sha256)
        if made is None:
            raise HTTPException(404)
        return _download(files.to_json(made), "plan.json", "application/json")

    @app.post("/plans/{sha256}/apply")
    async def apply(request: Request, sha256: str) -> Response:
        form = _texts(await request.form(max_files=0, max_fields=4))
        if not site.may_act(request):
            site.workspace(request)
        token = request.state.token
        await run_in_threadpool(
            lambda: site.register.apply(
                request.state.who,
                sha256,
                lambda: site.connect(token),
                typed=form.get("typed", ""),
            )
        )
        return _to(f"/applies/{sha256}")

    @app.get("/applies/{sha256}")
    def applied(request: Request, sha256: str) -> Response:
        one = site.applying(request, sha256)
        return site.page("applying.html", **_applied(one), value=value_text)

    @app.get("/applies/{sha256}/events")
    async def events(request: Request, sha256: str) -> Response:
        one = site.applying(request, sha256)

        def fragment() -> str:
            return site.fragment("steps.html", **_applied(one))

        return _stream(fragment, lambda: not one.running)

    @app.get("/applies/{sha256}/ended")
    def ended() -> Response:
        return Response(status_code=204, headers={"hx-refresh": "true"})

    @app.get("/applies/{sha256}/receipt.json")
    def receipt(request: Request, sha256: str) -> Response:
        text = files.to_json(site.applying(request, sha256).receipt)
        return _download(text, "receipt.json", "application/json")

    @app.post("/applies/{sha256}/resume")
    def resume(request: Request, sha256: str) -> Response:
        if not site.may_act(request):
            site.workspace(request)
        token = request.state.token
        site.register.resume(request.state.who, sha256, lambda: site.connect(token))
        return _to(f"/applies/{sha256}")

    @app.post("/applies/{sha256}/rollback")
    async def roll_back(request: Request, sha256: str) -> Response:
        form = _texts(await request.form(max_files=0, max_fields=4))
        back = await run_in_threadpool(
            lambda: site.register.plan_return(
                request.state.who, sha256, site.workspace(request), burst=_burst(form)
            )
        )
        return _to(f"/plans/{back}")


def _applied(one: Applying) -> dict[str, Any]:
    # Asked first: what is read after the thread has ended is complete.
    running = one.running
    receipt = one.receipt
    creates = one.plan["action"] == "create" and receipt["state"] == "applied"
    return {
        "one": one,
        "running": running,
        "receipt": receipt,
        "leaving": create_text(one.plan) if creates else "",
    }


# ------------------------------------------------------------------------------------------ the pieces


def _to(path: str) -> Response:
    return RedirectResponse(path, status_code=303)


def _download(text: str, name: str, kind: str) -> Response:
    headers = {"content-disposition": f"attachment; filename={quote(name)}"}
    return Response(
        text.encode("utf-8", "replace"), media_type=f"{kind}; charset=utf-8", headers=headers
    )


def _stream(fragment: Callable[[], str], ended: Callable[[], bool]) -> Response:
    """Return a stream of server-sent events: the fragment whenever it is another one, until it has ended."""

    async def events() -> AsyncIterator[str]:
        shown = None
        while True:
            last = ended()
            text = await run_in_threadpool(fragment)
            if text != shown:
                shown = text
                lines = "".join(f"data: {line}\n" for line in text.splitlines())
                yield f"event: state\n{lines}\n"
            if last:
                yield "event: ended\ndata: ended\n\n"
                return
            await asyncio.sleep(POLL_S)

    return StreamingResponse(
        events(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


def _text(form: FormData, key: str) -> str:
    value = form.get(key)
    return value.strip()[:4096] if isinstance(value, str) else ""


def _texts(form: FormData) -> dict[str, str]:
    return {key: _text(form, key) for key in form}


def _burst(form: Mapping[str, str]) -> bool | None:
    return {"on": True, "off": False}.get(form.get("burst", ""))
