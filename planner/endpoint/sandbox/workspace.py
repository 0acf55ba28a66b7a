"""The workspace itself: endpoints under one roof, what is asked of them, and what is refused. No sockets, no threads.

Time comes from a clock that is an argument, and nothing happens between two calls: an endpoint is a record of
what was asked when, and `endpoints.settled` says what has become of it by now. Every change goes to the store before the
call returns, so what a caller was told survives a kill.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from planner.endpoint.request import require_endpoint_name
from planner.endpoint.sandbox import bodies, configurations
from planner.endpoint.sandbox.endpoints import (
    CREATOR,
    Ending,
    Endpoint,
    Update,
    detailed,
    endpoint_from,
    settled,
    summary,
    told_tags,
)
from planner.endpoint.sandbox.offerings import Offerings
from planner.endpoint.sandbox.refusals import Refusal
from simulations.errors import InputError

Json = dict[str, Any]
Permission = Literal["CAN_MANAGE", "CAN_QUERY", "CAN_VIEW"]

_OWN = ("name", "config", "pending_config", "tags")
"""Fields that are kept as something else than they were sent, or not at all."""


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things take.

    Args:
        create_s, update_s: until a create or an update has ended; >= 0. A real workspace takes 90 s to 40 min.
        capacity_s: until one that finds no capacity has failed; >= 0.
    """

    create_s: float = 20.0
    update_s: float = 10.0
    capacity_s: float = 30.0


class Store(Protocol):
    """Where endpoints are kept between runs."""

    def load(self) -> tuple[dict[str, Json], Json]:
        """Return the endpoints by name, and the rest."""

    def save(self, name: str, data: Json | None, rest: Json) -> None:
        """Keep an endpoint, or forget it where `data` is None; on return it survives a kill."""


class Workspace:
    """Endpoints under one roof.

    Args:
        clock: Unix time in seconds.
        timings: how long things take.
        offerings: the models on sale.
        permission: of whoever asks; less than CAN_MANAGE may only look.
        ending: what every create and update comes to, unless `next_endings` says otherwise.
        store: where it is kept; in memory only where absent.

    >>> workspace = Workspace(clock=lambda: 0.0, timings=Timings(create_s=0))
    >>> entity = {"entity_name": "ml.llm-catalog.foundation-model", "entity_version": 3,
    ...           "min_provisioned_throughput": 1960, "max_provisioned_throughput": 2940}
    >>> workspace.create({"name": "chat", "config": {"served_entities": [entity]}})["state"]["config_update"]
    'IN_PROGRESS'
    >>> workspace.get("chat")["state"]["config_update"]
    'NOT_UPDATING'
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        timings: Timings | None = None,
        offerings: Offerings | None = None,
        permission: Permission = "CAN_MANAGE",
        ending: Ending = "succeed",
        store: Store | None = None,
    ) -> None:
        self._clock = clock
        self._store = store
        kept, rest = store.load() if store else ({}, {})
        self._endpoints = {name: endpoint_from(data) for name, data in kept.items()}
        self._n_created = int(rest.get("n_created", 0))
        self._advanced_s = float(rest.get("advanced_s", 0.0))
        self.timings = timings or Timings()
        self.offerings = offerings or Offerings()
        self.permission: Permission = permission
        self.ending: Ending = ending
        self.next_endings: list[Ending] = []

    # -------------------------------------------------------------------------------------- the API

    def create(self, body: Any) -> Json:
        """Create an endpoint: POST /serving-endpoints."""
        self._require_manage()
        bodies.read(bodies.CreateServingEndpoint, body)
        return self._create(body)

    def create_pt(self, body: Any) -> Json:
        """Create an endpoint of model units: POST /serving-endpoints/pt."""
        self._require_manage()
        bodies.read(bodies.CreatePtEndpointRequest, body)
        return self._create(body)

    def update(self, name: str, body: Any) -> Json:
        """Replace the configuration: PUT /serving-endpoints/{name}/config."""
        self._require_manage()
        endpoint = self._endpoint(name)
        bodies.read(bodies.EndpointCoreConfigInput, body)
        return self._update(endpoint, body)

    def update_pt(self, name: str, body: Any) -> Json:
        """Replace the configuration: PUT /serving-endpoints/pt/{name}/config, whose body is wrapped."""
        self._require_manage()
        endpoint = self._endpoint(name)
        bodies.read(bodies.UpdatePtEndpointConfigRequest, body)
        return self._update(endpoint, body["config"])

    def get(self, name: str) -> Json:
        """Return an endpoint: GET /serving-endpoints/{name}."""
        return self._detailed(self._endpoint(name))

    def list(self) -> Json:
        """Return all endpoints, their entities without capacity: GET /serving-endpoints."""
        return {
            "endpoints": [
                summary(self._endpoint(name), permission=self.permission, offerings=self.offerings)
                for name in self._endpoints
            ]
        }

    def delete(self, name: str) -> Json:
        """Delete an endpoint in whatever state it is: DELETE /serving-endpoints/{name}."""
        self._require_manage()
        self._endpoint(name)
        self._forget(name)
        return {}

    def patch_tags(self, name: str, body: Any) -> Json:
        """Add and delete tags: PATCH /serving-endpoints/{name}/tags."""
        self._require_manage()
        endpoint = self._endpoint(name)
        patch = bodies.read(bodies.PatchServingEndpointTags, body)
        tags = {key: value for key, value in endpoint.tags if key not in (patch.delete_tags or ())}
        tags |= {tag.key: tag.value or "" for tag in patch.add_tags or ()}
        self._keep(replace(endpoint, tags=tuple(tags.items()), updated_at_s=self.now_s()))
        return {"tags": told_tags(tuple(tags.items()))}

    def put_ai_gateway(self, name: str, body: Any) -> Json:
        """Replace the AI gateway: PUT /serving-endpoints/{name}/ai-gateway."""
        bodies.read(bodies.AiGatewayConfig, body)
        gateway: Json = self._put_detail(name, "ai_gateway", configurations.without_nulls(body))
        return gateway

    def put_rate_limits(self, name: str, body: Any) -> Json:
        """Replace the limits of the deprecated route: PUT /serving-endpoints/{name}/rate-limits."""
        bodies.read(bodies.PutRequest, body)
        limits = configurations.without_nulls(body).get("rate_limits", [])
        return {"rate_limits": self._put_detail(name, "rate_limits", limits)}

    def optimization_info(self, name: str, version: str) -> Json:
        """Say in what steps a model is sold: GET /serving-endpoints/get-model-optimization-info/..."""
        offering = self.offerings.find(name, version)
        if offering is None:
            raise Refusal(
                404,
                f"Registered model {name} version {version} does not exist; "
                "the sandbox sells the models of ptplan's catalogue and those given by --sell",
            )
        return offering.optimization_info()

    def permissions(self, endpoint_id: str) -> Json:
        """Say who may do what: GET /permissions/serving-endpoints/{id}."""
        self._require_id(endpoint_id)
        mine = {"permission_level": self.permission, "inherited": False}
        return {
            "object_id": f"/serving-endpoints/{endpoint_id}",
            "object_type": "serving-endpoint",
            "access_control_list": [{"user_name": CREATOR, "all_permissions": [mine]}],
        }

    def permission_levels(self, endpoint_id: str) -> Json:
        """Say what permissions there are: GET /permissions/serving-endpoints/{id}/permissionLevels."""
        self._require_id(endpoint_id)
        can = {"CAN_MANAGE": "manage", "CAN_QUERY": "query", "CAN_VIEW": "view"}
        return {
            "permission_levels": [
                {"permission_level": level, "description": f"Can {verb} the endpoint"}
                for level, verb in can.items()
            ]
        }

    # -------------------------------------------------------------------------------------- what only a sandbox can

    def now_s(self) -> float:
        """Return the time here: the clock, and what was advanced."""
        return self._clock() + self._advanced_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if not 0 <= seconds <= 1e9:
            raise Refusal(400, f"seconds is {seconds}; must be 0 to 1e9")
        self._advanced_s += seconds
        if self._store:
            self._store.save("", None, self._rest())

    def cancel(self, name: str) -> Json:
        """Cancel an update, as can be done in the console only."""
        endpoint = self._endpoint(name)
        if endpoint.update is None or endpoint.update.status != "IN_PROGRESS":
            raise Refusal(409, f"Serving endpoint {name} is not being updated")
        stopped = replace(
            endpoint.update, status="UPDATE_CANCELED", message="The update was cancelled."
        )
        self._keep(replace(endpoint, update=stopped, updated_at_s=self.now_s()))
        return self.get(name)

    def rival(
        self, name: str, action: str, config: Any = None, *, finished: bool = True
    ) -> Json | None:
        """Let somebody else `edit`, `delete` or `recreate` an endpoint; whoever asks needs no permission.

        Args:
            config: what the edit or the new endpoint serves, as in an update.
            finished: whether it is done at once, or takes its time.

        Returns:
            the endpoint, or None where it is gone.
        """
        if action not in ("edit", "delete", "recreate"):
            raise Refusal(400, f"action is {action!r}; must be edit, delete or recreate")
        endpoint = self._endpoint(name)
        if action != "delete":
            bodies.read(bodies.EndpointCoreConfigInput, config)
            configurations.checked(configurations.without_nulls(config), None, self.offerings)
        if action == "edit":
            self._update(endpoint, config, finished=finished)
            return self.get(name)
        self._forget(name)
        if action == "delete":
            return None
        self._create({"name": name, "config": config}, finished=finished)
        return self.get(name)

    def burst_flags(self, name: str) -> dict[str, bool | None]:
        """Return the burst flag of each served entity, which the API keeps to itself; None: left out, so on."""
        endpoint = self._endpoint(name)
        config = endpoint.config or (endpoint.update.config if endpoint.update else {})
        return {
            entity["name"]: entity.get("burst_scaling_enabled")
            for entity in config.get("served_entities", ())
        }

    # -------------------------------------------------------------------------------------- changing

    def _create(self, body: Json, *, finished: bool = False) -> Json:
        name = body["name"]
        try:
            require_endpoint_name(name)
        except InputError as error:
            raise Refusal(400, str(error)) from None
        if name in self._endpoints:
            raise Refusal(
                409,
                f"Serving endpoint with name {name} already exists",
                error_code="RESOURCE_ALREADY_EXISTS",
            )
        body = configurations.without_nulls(body)
        now_s = self.now_s()
        update = self._started(body["config"], None, self.timings.create_s, finished)
        self._n_created += 1
        given = {tag["key"]: tag.get("value", "") for tag in body.get("tags", ())}
        endpoint = Endpoint(
            name=name,
            id=f"{self._n_created:032x}",
            created_at_s=now_s,
            updated_at_s=now_s,
            update=update,
            tags=tuple(given.items()),
            details={key: value for key, value in body.items() if key not in _OWN},
        )
        self._keep(endpoint)
        return self._detailed(endpoint)

    def _update(self, endpoint: Endpoint, config: Json, *, finished: bool = False) -> Json:
        if endpoint.config_update == "IN_PROGRESS":
            raise Refusal(
                409,
                f"Serving endpoint {endpoint.name} is being updated; another update can not be made "
                "until it has ended",
            )
        update = self._started(
            configurations.without_nulls(config), endpoint.config, self.timings.update_s, finished
        )
        changed = replace(endpoint, update=update, updated_at_s=self.now_s())
        self._keep(changed)
        return self._detailed(changed)

    def _started(self, config: Json, before: Json | None, takes_s: float, finished: bool) -> Update:
        checked = configurations.checked(config, before, self.offerings)
        now_s = self.now_s()
        if finished:
            return Update(checked, now_s, now_s, "succeed")
        ends = self.next_endings.pop(0) if self.next_endings else self.ending
        done_at_s = {
            "succeed": now_s + takes_s,
            "capacity": now_s + self.timings.capacity_s,
            "hang": None,
        }[ends]
        return Update(checked, now_s, done_at_s, ends)

    def _detailed(self, endpoint: Endpoint) -> Json:
        return detailed(endpoint, permission=self.permission, offerings=self.offerings)

    def _put_detail(self, name: str, key: str, value: Any) -> Any:
        self._require_manage()
        endpoint = self._endpoint(name)
        details = {**endpoint.details, key: value}
        self._keep(replace(endpoint, details=details, updated_at_s=self.now_s()))
        return deepcopy(value)

    def _keep(self, endpoint: Endpoint) -> None:
        if self._store:
            self._store.save(endpoint.name, asdict(endpoint), self._rest())
        self._endpoints[endpoint.name] = endpoint

    def _forget(self, name: str) -> None:
        if self._store:
            self._store.save(name, None, self._rest())
        del self._endpoints[name]

    def _rest(self) -> Json:
        return {"n_created": self._n_created, "advanced_s": self._advanced_s}

    # -------------------------------------------------------------------------------------- refusing

    def _require_manage(self) -> None:
        if self.permission != "CAN_MANAGE":
            raise Refusal(
                403, f"User {CREATOR} has {self.permission} and not CAN_MANAGE on this workspace"
            )

    def _require_id(self, endpoint_id: str) -> None:
        if all(endpoint.id != endpoint_id for endpoint in self._endpoints.values()):
            raise Refusal(404, f"Serving endpoint with id {endpoint_id} not found")

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise Refusal(404, f"Serving endpoint with name {name} not found")
        return settled(endpoint, self.now_s())
