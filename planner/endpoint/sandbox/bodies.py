"""The JSON of the serving-endpoints API: what a request may hold, and what an answer holds.

Fields that are not named here are let through and kept: the API has more, and grows. One description serves the
workspace, which checks with it, and the OpenAPI document, which shows it.
*Source*: databricks-sdk 0.156.0 service/serving.py, and docs.databricks.com REST API 2.0, read 2026-11-22.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from planner.endpoint.sandbox.refusals import Refusal

INT64 = 2**63 - 1
MAX_ENTITIES = 15
"""More are refused. Source: databricks-sdk-py#1496, 2026-07; the documentation says 10."""

EndpointName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")]
"""Source: docs.databricks.com, REST API, create a serving endpoint, read 2026-11-22."""
EntityName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}$")]
Text = Annotated[str, Field(max_length=4096)]
Whole = Annotated[int, Field(ge=0, le=INT64)]
Percentage = Annotated[int, Field(ge=0, le=100)]


class Body(BaseModel):
    """JSON whose named fields have the right type, and whose other fields are kept."""

    model_config = ConfigDict(extra="allow", strict=True)


class Tag(Body):
    """One of the tags of an endpoint."""

    key: Annotated[str, Field(min_length=1, max_length=127)]
    value: Annotated[str, Field(max_length=255)] | None = None


class ServedEntityInput(Body):
    """A model behind an endpoint: a range of tokens/s, model units, or neither."""

    name: EntityName | None = None
    entity_name: Text | None = None
    entity_version: Text | Annotated[int, Field(ge=1)] | None = None
    min_provisioned_throughput: Whole | None = None
    max_provisioned_throughput: Whole | None = None
    provisioned_model_units: Whole | None = None
    burst_scaling_enabled: bool | None = None
    scale_to_zero_enabled: bool | None = None
    workload_size: Text | None = None
    workload_type: Text | None = None
    min_provisioned_concurrency: Whole | None = None
    max_provisioned_concurrency: Whole | None = None
    environment_vars: dict[str, str] | None = None
    external_model: dict[str, Any] | None = None
    instance_profile_arn: Text | None = None


class PtServedModel(Body):
    """A model behind an endpoint of model units."""

    entity_name: Text
    provisioned_model_units: Whole
    entity_version: Text | Annotated[int, Field(ge=1)] | None = None
    name: EntityName | None = None
    burst_scaling_enabled: bool | None = None


class Route(Body):
    """The share of traffic of one served entity; its name is in one of the two fields."""

    traffic_percentage: Percentage
    served_entity_name: EntityName | None = None
    served_model_name: EntityName | None = None


class TrafficConfig(Body):
    """How traffic is divided."""

    routes: list[Route] | None = None


class EndpointCoreConfigInput(Body):
    """What an endpoint serves; in an update it replaces all that was there."""

    served_entities: Annotated[list[ServedEntityInput], Field(min_length=1)]
    traffic_config: TrafficConfig | None = None


class PtEndpointCoreConfig(Body):
    """What an endpoint of model units serves."""

    served_entities: Annotated[list[PtServedModel], Field(min_length=1)]
    traffic_config: TrafficConfig | None = None


class AiGatewayRateLimit(Body):
    """A limit of calls or tokens."""

    renewal_period: Literal["minute"]
    calls: Whole | None = None
    tokens: Whole | None = None
    key: Literal["user", "endpoint", "user_group", "service_principal"] | None = None
    principal: Text | None = None


class AiGatewayConfig(Body):
    """The gateway before an endpoint; a request replaces all of it."""

    usage_tracking_config: dict[str, Any] | None = None
    inference_table_config: dict[str, Any] | None = None
    rate_limits: list[AiGatewayRateLimit] | None = None
    guardrails: dict[str, Any] | None = None
    fallback_config: dict[str, Any] | None = None


class CreateServingEndpoint(Body):
    """POST /api/2.0/serving-endpoints."""

    name: EndpointName
    config: EndpointCoreConfigInput
    tags: list[Tag] | None = None
    ai_gateway: AiGatewayConfig | None = None
    budget_policy_id: Text | None = None
    description: Text | None = None
    route_optimized: bool | None = None


class CreatePtEndpointRequest(Body):
    """POST /api/2.0/serving-endpoints/pt."""

    name: EndpointName
    config: PtEndpointCoreConfig
    tags: list[Tag] | None = None
    ai_gateway: AiGatewayConfig | None = None
    budget_policy_id: Text | None = None


class UpdatePtEndpointConfigRequest(Body):
    """PUT /api/2.0/serving-endpoints/pt/{name}/config."""

    config: PtEndpointCoreConfig


class PatchServingEndpointTags(Body):
    """PATCH /api/2.0/serving-endpoints/{name}/tags."""

    add_tags: list[Tag] | None = None
    delete_tags: list[str] | None = None


class RateLimit(Body):
    """A limit of calls, of the deprecated route."""

    calls: Whole
    renewal_period: Literal["minute"]
    key: Literal["user", "endpoint"] | None = None


class PutRequest(Body):
    """PUT /api/2.0/serving-endpoints/{name}/rate-limits."""

    rate_limits: list[RateLimit] | None = None


class ServedModelState(Body):
    """How far the deployment of a served entity is."""

    deployment: Literal[
        "DEPLOYMENT_CREATING",
        "DEPLOYMENT_READY",
        "DEPLOYMENT_RECOVERING",
        "DEPLOYMENT_FAILED",
        "DEPLOYMENT_ABORTED",
    ]
    deployment_state_message: str


class ServedEntityOutput(ServedEntityInput):
    """A served entity as it is told; without the burst flag, which the API does not tell."""

    name: EntityName
    creator: str
    creation_timestamp: int
    state: ServedModelState


class EndpointCoreConfigOutput(Body):
    """What is served now."""

    served_entities: list[ServedEntityOutput]
    traffic_config: TrafficConfig
    config_version: int


class EndpointPendingConfig(EndpointCoreConfigOutput):
    """What an update is bringing."""

    start_time: int


class EndpointState(Body):
    """Whether it serves, and whether it is changing."""

    ready: Literal["READY", "NOT_READY"]
    config_update: Literal["NOT_UPDATING", "IN_PROGRESS", "UPDATE_FAILED", "UPDATE_CANCELED"]


class ServingEndpointDetailed(Body):
    """An endpoint."""

    name: str
    id: str
    creator: str
    creation_timestamp: int
    last_updated_timestamp: int
    state: EndpointState
    config: EndpointCoreConfigOutput | None = None
    pending_config: EndpointPendingConfig | None = None
    tags: list[Tag]
    ai_gateway: AiGatewayConfig | None = None
    permission_level: Literal["CAN_MANAGE", "CAN_QUERY", "CAN_VIEW"]
    route_optimized: bool


class ServingEndpoint(Body):
    """An endpoint in a list: its entities are named, without their capacity."""

    name: str
    id: str
    state: EndpointState
    tags: list[Tag]


class ListEndpointsResponse(Body):
    """All endpoints."""

    endpoints: list[ServingEndpoint]


class EndpointTags(Body):
    """The tags after a change."""

    tags: list[Tag]


class ModelOptimizationInfo(Body):
    """Whether a model can be bought as provisioned throughput, and in what steps."""

    optimizable: bool
    model_type: str | None = None
    throughput_chunk_size: int | None = None
    dbus: float | None = None


class ObjectPermissions(Body):
    """Who may do what with an endpoint."""

    object_id: str
    object_type: str
    access_control_list: list[dict[str, Any]]


class PermissionLevels(Body):
    """What permissions there are."""

    permission_levels: list[dict[str, str]]


class HostMetadata(Body):
    """What clients ask a host about itself before anything else."""

    oidc_endpoint: str
    workspace_id: str


class Nothing(Body):
    """An empty object."""


class ErrorBody(Body):
    """Every refusal."""

    error_code: str
    message: str
    details: list[Any]


_RANGE = {
    "entity_name": "ml.llm-catalog.foundation-model",
    "entity_version": "3",
    "min_provisioned_throughput": 1960,
    "max_provisioned_throughput": 2940,
}
_UNITS = {
    "entity_name": "system.ai.gpt-oss-120b",
    "entity_version": "1",
    "provisioned_model_units": 100,
    "burst_scaling_enabled": False,
}
EXAMPLES: dict[type[Body], dict[str, Any]] = {
    CreateServingEndpoint: {"name": "chat", "config": {"served_entities": [_RANGE]}},
    CreatePtEndpointRequest: {"name": "chat-units", "config": {"served_entities": [_UNITS]}},
    EndpointCoreConfigInput: {"served_entities": [_RANGE]},
    UpdatePtEndpointConfigRequest: {"config": {"served_entities": [_UNITS]}},
    PatchServingEndpointTags: {"add_tags": [{"key": "team", "value": "ai"}]},
    AiGatewayConfig: {"usage_tracking_config": {"enabled": True}},
    PutRequest: {"rate_limits": [{"calls": 100, "key": "user", "renewal_period": "minute"}]},
}
"""A body of each request that the workspace takes as it stands."""

B = TypeVar("B", bound=Body)


def read(shape: type[B], body: Any) -> B:
    """Return a request's body as its shape.

    Raises:
        Refusal: 400, naming the first field that is wrong.

    >>> read(Tag, {"key": "team", "value": None, "new": 1}).model_dump(exclude_none=True)
    {'key': 'team', 'new': 1}
    """
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        more = error.error_count() - 1
        also = f" (and {more} more)" if more else ""
        raise Refusal(400, f"Invalid request: {where}: {first['msg']}{also}") from None
