"""The workspace over HTTP: its routes, the control routes, the OpenAPI document, and the server on 127.0.0.1.

Each route parses JSON and calls one method of the workspace; the rest is in `wire`, which stands before them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from planner import listening
from planner.endpoint.request import CREATE_PATH, CREATE_UNITS_PATH
from planner.endpoint.sandbox import bodies
from planner.endpoint.sandbox.endpoints import ENDINGS
from planner.endpoint.sandbox.faults import HOST_METADATA, Fault, Faults
from planner.endpoint.sandbox.refusals import Refusal
from planner.endpoint.sandbox.throttle import Throttle
from planner.endpoint.sandbox.wire import CONTROL, Protocol, Wire, exchange_dicts
from planner.endpoint.sandbox.workspace import Timings, Workspace
from simulations.errors import InputError

WORKSPACE_ID = "1"
_DEPTH = 100
"""Brackets within brackets that are read; more is no configuration."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A workspace and all that stands before it; `application` is what a server serves."""

    workspace: Workspace
    faults: Faults
    wire: Wire

    @property
    def application(self) -> Any:
        """The ASGI application."""
        return self.wire


def build(
    workspace: Workspace,
    *,
    faults: Faults | None = None,
    throttle: Throttle | None = None,
    token: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Sandbox:
    """Return a sandbox that is not yet served.

    Args:
        faults: what goes wrong on purpose.
        throttle: how many requests a second; all where absent.
        token: the bearer token that is asked for; any where absent.
        tell: takes a line for each request.
    """
    faults = faults or Faults()
    application = _application(workspace)
    wire = Wire(
        application,
        faults=faults,
        throttle=throttle or Throttle(),
        token=token,
        now_s=workspace.now_s,
        tell=tell,
        rival=lambda edit: _rival(workspace, edit),
    )
    _add_control(application, workspace, faults, wire)
    return Sandbox(workspace, faults, wire)


def server_of(sandbox: Sandbox) -> uvicorn.Server:
    """Return the server of a sandbox, not yet running; see `listening.server_of`."""
    return listening.server_of(sandbox.application, http=Protocol)


# ------------------------------------------------------------------------------------------ answers


class Answer(JSONResponse):
    """JSON in ASCII, so that any text that came in can go out."""

    def render(self, content: Any) -> bytes:
        """Return the bytes."""
        return json.dumps(content, allow_nan=False).encode()


def parse_object(data: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object.

    Raises:
        Refusal: it is something else.

    >>> parse_object(b'{"a": 1}')
    {'a': 1}
    """
    try:
        value = json.loads(data, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "too deeply nested"
        raise Refusal(
            400, f"The body is not JSON: {reason}", error_code="MALFORMED_REQUEST"
        ) from None
    if not isinstance(value, dict):
        raise Refusal(400, "The body must be a JSON object", error_code="MALFORMED_REQUEST")
    if _deeper(value, _DEPTH):
        raise Refusal(400, "The body is too deeply nested", error_code="MALFORMED_REQUEST")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _deeper(value: Any, depth: int) -> bool:
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return depth == 0 or any(_deeper(child, depth - 1) for child in children)


async def _json_object(request: Request) -> dict[str, Any]:
    return parse_object(await request.body())


JsonObject = Annotated[dict[str, Any], Depends(_json_object)]


def _shows(answer: type[bodies.Body], body: type[bodies.Body] | None = None) -> dict[str, Any]:
    """Return how a route stands in the OpenAPI document."""
    shown: dict[str, Any] = {
        "response_class": Answer,
        "responses": {
            200: {"model": answer},
            "default": {"model": bodies.ErrorBody, "description": "Refused"},
        },
    }
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        content = {"schema": schema, "example": bodies.EXAMPLES[body]}
        shown["openapi_extra"] = {
            "requestBody": {"required": True, "content": {"application/json": content}}
        }
    return shown


def _openapi(application: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the API, without the control routes."""
    document = get_openapi(
        title="ptplan sandbox",
        version="2.0",
        description="The part of the Databricks serving-endpoints API that ptplan sandbox speaks.",
        routes=application.routes,
    )
    _, schemas = models_json_schema(
        [(shape, "validation") for shape in bodies.EXAMPLES],
        ref_template="#/components/schemas/{model}",
    )
    components = document.setdefault("components", {})
    components["schemas"] = {**schemas["$defs"], **components.get("schemas", {})}
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            # Every body and every path is checked by the workspace, which answers 400 and not FastAPI's 422.
            operation["responses"].pop("422", None)
            if not path.startswith("/.well-known"):
                operation["security"] = [{"bearer": []}]
    return document


# ------------------------------------------------------------------------------------------ the API


def _application(workspace: Workspace) -> FastAPI:
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    document: dict[str, Any] = {}

    @api.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return Answer(refusal.as_dict(), status_code=refusal.status)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        refusal = Refusal(400, "Invalid request: " + "; ".join(e["msg"] for e in error.errors()))
        return Answer(refusal.as_dict(), status_code=400)

    @api.exception_handler(404)
    async def unknown(request: Request, error: HTTPException) -> Response:
        return Answer(_no_api(request, 404, "ENDPOINT_NOT_FOUND"), status_code=404)

    @api.exception_handler(405)
    async def not_allowed(request: Request, error: HTTPException) -> Response:
        # The error knows the methods of the first route only, and its path has several routes.
        routes = [route for route in api.routes if isinstance(route, APIRoute)]
        first = next(route for route in routes if route.path_regex.match(request.url.path))
        allowed = {m for route in routes if route.path == first.path for m in route.methods or ()}
        headers = {"Allow": ", ".join(sorted(allowed))}
        return Answer(_no_api(request, 405, "BAD_REQUEST"), status_code=405, headers=headers)

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        if not document:
            document.update(_openapi(api))
        return Answer(document)

    @api.get(HOST_METADATA, **_shows(bodies.HostMetadata))
    async def host_metadata(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        return Answer({"oidc_endpoint": f"{base}/oidc", "workspace_id": WORKSPACE_ID})

    @api.get(
        f"{CREATE_PATH}/get-model-optimization-info/{{model}}/{{version}}",
        **_shows(bodies.ModelOptimizationInfo),
    )
    async def optimization_info(model: str, version: str) -> Response:
        return Answer(workspace.optimization_info(model, version))

    @api.get(CREATE_PATH, **_shows(bodies.ListEndpointsResponse))
    async def list_endpoints() -> Response:
        return Answer(workspace.list())

    @api.post(CREATE_PATH, **_shows(bodies.ServingEndpointDetailed, bodies.CreateServingEndpoint))
    async def create(body: JsonObject) -> Response:
        return Answer(workspace.create(body))

    @api.post(
        CREATE_UNITS_PATH,
        **_shows(bodies.ServingEndpointDetailed, bodies.CreatePtEndpointRequest),
    )
    async def create_units(body: JsonObject) -> Response:
        return Answer(workspace.create_pt(body))

    @api.get(f"{CREATE_PATH}/{{name}}", **_shows(bodies.ServingEndpointDetailed))
    async def get(name: str) -> Response:
        return Answer(workspace.get(name))

    @api.delete(f"{CREATE_PATH}/{{name}}", **_shows(bodies.Nothing))
    async def delete(name: str) -> Response:
        return Answer(workspace.delete(name))

    @api.put(
        f"{CREATE_PATH}/{{name}}/config",
        **_shows(bodies.ServingEndpointDetailed, bodies.EndpointCoreConfigInput),
    )
    async def update(name: str, body: JsonObject) -> Response:
        return Answer(workspace.update(name, body))

    @api.put(
        f"{CREATE_UNITS_PATH}/{{name}}/config",
        **_shows(bodies.ServingEndpointDetailed, bodies.UpdatePtEndpointConfigRequest),
    )
    async def update_units(name: str, body: JsonObject) -> Response:
        return Answer(workspace.update_pt(name, body))

    @api.patch(
        f"{CREATE_PATH}/{{name}}/tags",
        **_shows(bodies.EndpointTags, bodies.PatchServingEndpointTags),
    )
    async def patch_tags(name: str, body: JsonObject) -> Response:
        return Answer(workspace.patch_tags(name, body))

    @api.put(
        f"{CREATE_PATH}/{{name}}/ai-gateway",
        **_shows(bodies.AiGatewayConfig, bodies.AiGatewayConfig),
    )
    async def put_ai_gateway(name: str, body: JsonObject) -> Response:
        return Answer(workspace.put_ai_gateway(name, body))

    @api.put(f"{CREATE_PATH}/{{name}}/rate-limits", **_shows(bodies.PutRequest, bodies.PutRequest))
    async def put_rate_limits(name: str, body: JsonObject) -> Response:
        return Answer(workspace.put_rate_limits(name, body))

    @api.get(
        "/api/2.0/permissions/serving-endpoints/{endpoint_id}", **_shows(bodies.ObjectPermissions)
    )
    async def permissions(endpoint_id: str) -> Response:
        return Answer(workspace.permissions(endpoint_id))

    @api.get(
        "/api/2.0/permissions/serving-endpoints/{endpoint_id}/permissionLevels",
        **_shows(bodies.PermissionLevels),
    )
    async def permission_levels(endpoint_id: str) -> Response:
        return Answer(workspace.permission_levels(endpoint_id))

    return api


def _no_api(request: Request, status: int, error_code: str) -> dict[str, Any]:
    text = f"No API found for '{request.method} {request.url.path}'"
    return Refusal(status, text, error_code=error_code).as_dict()


# ------------------------------------------------------------------------------------------ control


def _add_control(api: FastAPI, workspace: Workspace, faults: Faults, wire: Wire) -> None:
    """Add what no real workspace has: time, faults, rivals, and what was received."""

    def route(method: str, path: str) -> Callable[[Callable[..., Awaitable[Response]]], Any]:
        return api.api_route(
            f"{CONTROL}{path}", methods=[method], include_in_schema=False, response_class=Answer
        )

    def state() -> dict[str, Any]:
        return {
            "now_s": workspace.now_s(),
            "timings": asdict(workspace.timings),
            "ending": workspace.ending,
            "next_endings": workspace.next_endings,
            "permission": workspace.permission,
            "faults": faults.listed(),
        }

    @route("GET", "")
    async def show() -> Response:
        return Answer(state())

    @route("POST", "/advance")
    async def advance(body: JsonObject) -> Response:
        workspace.advance(_number(body, "seconds"))
        return Answer(state())

    @route("POST", "/timings")
    async def timings(body: JsonObject) -> Response:
        known = asdict(workspace.timings)
        for key in body:
            _require_known(key, known)
            known[key] = _number(body, key)
        workspace.timings = Timings(**known)
        return Answer(state())

    @route("POST", "/endings")
    async def endings(body: JsonObject) -> Response:
        """`{"ending": E}` for all to come, `{"next": [E, ...]}` for the next ones."""
        following = body.get("next", workspace.next_endings)
        if not isinstance(following, list):
            raise Refusal(400, f"next is {following!r}; must be a list of endings")
        given = [body.get("ending", workspace.ending), *following]
        if any(ending not in ENDINGS for ending in given):
            raise Refusal(400, f"endings are {given}; each must be one of {', '.join(ENDINGS)}")
        workspace.ending = body.get("ending", workspace.ending)
        workspace.next_endings = following
        return Answer(state())

    @route("POST", "/permission")
    async def permission(body: JsonObject) -> Response:
        level = body.get("permission")
        if level not in ("CAN_MANAGE", "CAN_QUERY", "CAN_VIEW"):
            raise Refusal(
                400, f"permission is {level!r}; must be CAN_MANAGE, CAN_QUERY or CAN_VIEW"
            )
        workspace.permission = level
        return Answer(state())

    @route("POST", "/faults")
    async def add_fault(body: JsonObject) -> Response:
        try:
            fault = Fault(**body)
        except (InputError, TypeError) as error:
            raise Refusal(400, f"The fault cannot be used: {error}") from None
        faults.add(fault)
        return Answer(state())

    @route("DELETE", "/faults")
    async def clear_faults() -> Response:
        faults.clear()
        return Answer(state())

    @route("POST", "/models")
    async def add_model(body: JsonObject) -> Response:
        """`{"model": "NAME[:VERSION]=SIZE"}`, as the flag --sell."""
        try:
            workspace.offerings.add(str(body.get("model")))
        except InputError as error:
            raise Refusal(400, str(error)) from None
        return Answer(state())

    @route("POST", "/rival")
    async def rival(body: JsonObject) -> Response:
        return Answer(_rival(workspace, body))

    @route("POST", "/cancel")
    async def cancel(body: JsonObject) -> Response:
        return Answer(workspace.cancel(str(body.get("name"))))

    @route("GET", "/requests")
    async def requests() -> Response:
        return Answer({"requests": exchange_dicts(wire.exchanges)})

    @route("DELETE", "/requests")
    async def forget_requests() -> Response:
        wire.exchanges.clear()
        return Answer({})

    @route("GET", "/burst/{name}")
    async def burst(name: str) -> Response:
        return Answer({"burst_scaling_enabled": workspace.burst_flags(name)})


def _rival(workspace: Workspace, edit: dict[str, Any]) -> dict[str, Any]:
    """Carry out a rival's edit: `{"name", "action", "config", "finished"}`."""
    told = workspace.rival(
        str(edit.get("name")),
        str(edit.get("action", "edit")),
        edit.get("config"),
        finished=edit.get("finished", True) is not False,
    )
    return told or {}


def _number(body: dict[str, Any], key: str) -> float:
    value = body.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1e9:
        raise Refusal(400, f"{key} is {value!r}; must be a number from 0 to 1e9")
    return float(value)


def _require_known(key: str, known: dict[str, Any]) -> None:
    if key not in known:
        raise Refusal(400, f"{key} is not known; must be one of {', '.join(known)}")
