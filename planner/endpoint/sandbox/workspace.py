"""The workspace itself: endpoints, their update state machine, and what it refuses. No sockets, no threads.

Time comes from a clock that is an argument, and nothing happens between two calls: an endpoint is a record of
what was asked when, and `settled` says what has become of it by now. Every change goes to the store before the
call returns, so what a caller was told survives a kill.

    create  -> IN_PROGRESS, NOT_READY  --after create_s-->  NOT_UPDATING, READY, config_version 1
    update  -> IN_PROGRESS, the old config serves  --after update_s-->  NOT_UPDATING, config_version + 1
            -> or UPDATE_FAILED / UPDATE_CANCELED, the old config and its version stay

*Source* of states and texts: databricks-sdk 0.156.0 and docs.databricks.com, read 2026-11-22; what they do not say
is *assumed*, and listed in docs/sandbox.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol

from planner.endpoint.request import require_endpoint_name
from planner.endpoint.sandbox import bodies
from planner.endpoint.sandbox.offerings import Offering, Offerings
from planner.endpoint.sandbox.refusals import Refusal
from simulations.errors import InputError

Json = dict[str, Any]
Ending = Literal["succeed", "capacity", "hang"]
Status = Literal["IN_PROGRESS", "UPDATE_FAILED", "UPDATE_CANCELED"]
Permission = Literal["CAN_MANAGE", "CAN_QUERY", "CAN_VIEW"]

ENDINGS: tuple[Ending, ...] = ("succeed", "capacity", "hang")
CREATOR = "sandbox@localhost"
NO_CAPACITY = "The deployment timed out: there is not enough GPU capacity. Contact your Databricks account team."
"""*Assumed* text. Source of the behaviour: docs.databricks.com, deploy provisioned throughput foundation model
APIs, limitations, 2026-06-18."""


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


@dataclass(frozen=True, slots=True)
class Update:
    """What is being brought, or could not be.

    Args:
        config: what was asked.
        started_at_s: Unix time.
        done_at_s: when it ends; None for never.
        status: while it runs, and how it went where it did not succeed.
        message: why not.
        ends: what it comes to at `done_at_s`.
    """

    config: Json
    started_at_s: float
    done_at_s: float | None
    ends: Ending
    status: Status = "IN_PROGRESS"
    message: str = "Creating resources for served entity."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, as it was when it was last touched.

    Args:
        config: what serves, burst flags included; None until the first update succeeded.
        config_version: of `config`; 0 until then.
        update: the last one, unless it succeeded.
        details: the other fields of its creation: description, budget_policy_id, ai_gateway, unknown ones.
    """

    name: str
    id: str
    created_at_s: float
    updated_at_s: float
    config: Json | None = None
    config_version: int = 0
    update: Update | None = None
    tags: tuple[tuple[str, str], ...] = ()
    details: Json = field(default_factory=dict)

    @property
    def config_update(self) -> str:
        """NOT_UPDATING, or how the last update stands."""
        return self.update.status if self.update else "NOT_UPDATING"


def settled(endpoint: Endpoint, now_s: float) -> Endpoint:
    """Return the endpoint as it is at this time: an update that is due has ended."""
    update = endpoint.update
    if (
        update is None
        or update.status != "IN_PROGRESS"
        or update.done_at_s is None
        or now_s < update.done_at_s
    ):
        return endpoint
    if update.ends == "succeed":
        return replace(
            endpoint,
            config=update.config,
            config_version=endpoint.config_version + 1,
            updated_at_s=update.done_at_s,
            update=None,
        )
    failed = replace(update, status="UPDATE_FAILED", message=NO_CAPACITY)
    return replace(endpoint, update=failed, updated_at_s=update.done_at_s)


def endpoint_from(data: Mapping[str, Any]) -> Endpoint:
    """Return an endpoint from what `asdict` made of it."""
    update = Update(**data["update"]) if data["update"] else None
    tags = tuple((key, value) for key, value in data["tags"])
    return Endpoint(**{**data, "update": update, "tags": tags})


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
        return {"endpoints": [self._summary(self._endpoint(name)) for name in self._endpoints]}

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
        return {"tags": _tags(tuple(tags.items()))}

    def put_ai_gateway(self, name: str, body: Any) -> Json:
        """Replace the AI gateway: PUT /serving-endpoints/{name}/ai-gateway."""
        bodies.read(bodies.AiGatewayConfig, body)
        gateway: Json = self._put_detail(name, "ai_gateway", without_nulls(body))
        return gateway

    def put_rate_limits(self, name: str, body: Any) -> Json:
        """Replace the limits of the deprecated route: PUT /serving-endpoints/{name}/rate-limits."""
        bodies.read(bodies.PutRequest, body)
        limits = without_nulls(body).get("rate_limits", [])
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
            self._checked_config(without_nulls(config), None)
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
        body = without_nulls(body)
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
            without_nulls(config), endpoint.config, self.timings.update_s, finished
        )
        changed = replace(endpoint, update=update, updated_at_s=self.now_s())
        self._keep(changed)
        return self._detailed(changed)

    def _started(self, config: Json, before: Json | None, takes_s: float, finished: bool) -> Update:
        checked = self._checked_config(config, before)
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

    def _checked_config(self, config: Json, before: Json | None) -> Json:
        """Return a configuration with what the workspace fills in.

        Raises:
            Refusal: it cannot be served.
        """
        entities = config["served_entities"]
        if len(entities) > bodies.MAX_ENTITIES:
            raise Refusal(
                400,
                f"There are {len(entities)} served entities; at most {bodies.MAX_ENTITIES} are allowed",
            )
        entities = [self._checked_entity(entity) for entity in entities]
        names = [entity["name"] for entity in entities]
        if len(set(names)) < len(names):
            raise Refusal(400, f"Served entity names must be unique; they are {', '.join(names)}")
        kinds = {_kind(entity) for entity in entities}
        if len(kinds) > 1:
            raise Refusal(
                400, f"One endpoint cannot serve {' and '.join(sorted(kinds))} models together"
            )
        if before is not None:
            external = "external" in {_kind(entity) for entity in before["served_entities"]}
            if external != ("external" in kinds):
                raise Refusal(
                    400, "An external model cannot be added to or removed from an endpoint"
                )
        traffic = _traffic(config.get("traffic_config"), names)
        return {**config, "served_entities": entities, "traffic_config": traffic}

    def _checked_entity(self, given: Json) -> Json:
        entity = dict(given)
        kind = _kind(entity)
        if kind == "external":
            taken = [key for key in ("entity_name", "entity_version", *_RANGE) if key in entity]
            if taken:
                raise Refusal(
                    400, f"{', '.join(taken)} cannot be given together with external_model"
                )
            # Nothing here calls the model, so its keys are neither told nor kept.
            entity["external_model"] = _without_secrets(entity["external_model"])
            default_name = str(entity["external_model"].get("name", "external"))
        else:
            for key in ("entity_name", "entity_version"):
                if key not in entity:
                    raise Refusal(400, f"Served entity has no {key}")
            version = str(entity["entity_version"])
            if not (version.isascii() and version.isdigit() and int(version[:9]) >= 1):
                raise Refusal(400, f"entity_version is {version!r}; must be a whole number >= 1")
            entity["entity_version"] = version
            default_name = f"{entity['entity_name'].rpartition('.')[2]}-{version}"
        if "name" not in entity:
            entity["name"] = re.sub(r"[^A-Za-z0-9_]+", "-", default_name)[-63:] or "entity"
        if kind == "provisioned":
            self._require_on_sale(entity)
        return entity

    def _require_on_sale(self, entity: Json) -> None:
        name, version = entity["entity_name"], entity["entity_version"]
        offering = self.offerings.find(name, version)
        if offering is None:
            raise Refusal(
                400,
                f"Registered model {name} version {version} does not exist; "
                "the sandbox sells the models of ptplan's catalogue and those given by --sell",
            )
        in_tokens = [key for key in _RANGE if key in entity]
        if in_tokens and "provisioned_model_units" in entity:
            raise Refusal(
                400, f"provisioned_model_units cannot be given together with {', '.join(in_tokens)}"
            )
        # Source of the text: databricks-sdk-py#1081, 2025-10.
        if offering.kind == "not_eligible" or (offering.kind == "model_units") != (not in_tokens):
            raise Refusal(400, f"Served entity {name} is not eligible for Provisioned Throughput.")
        if in_tokens:
            _require_range(entity, offering)
        else:
            _require_units(entity, offering)

    # -------------------------------------------------------------------------------------- telling

    def _detailed(self, endpoint: Endpoint) -> Json:
        told: Json = {
            **endpoint.details,
            "name": endpoint.name,
            "id": endpoint.id,
            "creator": CREATOR,
            "creation_timestamp": _ms(endpoint.created_at_s),
            "last_updated_timestamp": _ms(endpoint.updated_at_s),
            "state": _state(endpoint),
            "tags": _tags(endpoint.tags),
            "permission_level": self.permission,
            "route_optimized": False,
        }
        if endpoint.config is not None:
            told["config"] = self._told_config(
                endpoint.config, endpoint.config_version, "DEPLOYMENT_READY", "", endpoint
            )
        update = endpoint.update
        if update is not None:
            deployment = {
                "IN_PROGRESS": "DEPLOYMENT_CREATING",
                "UPDATE_FAILED": "DEPLOYMENT_FAILED",
                "UPDATE_CANCELED": "DEPLOYMENT_ABORTED",
            }[update.status]
            told["pending_config"] = {
                **self._told_config(
                    update.config, endpoint.config_version + 1, deployment, update.message, endpoint
                ),
                "start_time": _ms(update.started_at_s),
            }
        return deepcopy(told)

    def _told_config(
        self, config: Json, version: int, deployment: str, message: str, endpoint: Endpoint
    ) -> Json:
        return {
            **config,
            "served_entities": [
                {
                    **self._told_entity(entity),
                    "creator": CREATOR,
                    "creation_timestamp": _ms(endpoint.created_at_s),
                    "state": {"deployment": deployment, "deployment_state_message": message},
                }
                for entity in config["served_entities"]
            ],
            "config_version": version,
        }

    def _told_entity(self, entity: Json) -> Json:
        """Return an entity without the burst flag, which the API does not tell, and with what it adds."""
        told = {key: value for key, value in entity.items() if key != "burst_scaling_enabled"}
        if _kind(entity) != "provisioned":
            return told
        offering = self.offerings.find(entity["entity_name"], entity["entity_version"])
        told["foundation_model"] = {
            "name": entity["entity_name"],
            "display_name": entity["entity_name"].rpartition(".")[2],
        }
        if offering and offering.dbu_per_h is not None and offering.kind == "token_chunks":
            # Source: responses of 2024 and 2025 in public notebooks; databricks-sdk drops these fields.
            low = entity.get("min_provisioned_throughput", 0) / offering.size
            high = entity["max_provisioned_throughput"] / offering.size
            told["min_dbus"] = low * offering.dbu_per_h
            told["max_dbus"] = high * offering.dbu_per_h
        return told

    def _summary(self, endpoint: Endpoint) -> Json:
        detailed = self._detailed(endpoint)
        for key in ("config", "pending_config"):
            if key in detailed:
                detailed[key] = {
                    "served_entities": [
                        {field: entity[field] for field in _SUMMARY if field in entity}
                        for entity in detailed[key]["served_entities"]
                    ]
                }
        detailed.pop("pending_config", None)
        return detailed


_RANGE = ("min_provisioned_throughput", "max_provisioned_throughput")
_OWN = ("name", "config", "pending_config", "tags")
"""Fields that are kept as something else than they were sent, or not at all."""
_SUMMARY = ("name", "entity_name", "entity_version", "foundation_model", "external_model")
"""What a list tells of an entity. Source: databricks-sdk 0.156.0, ServedEntitySpec, read 2026-11-22."""


def without_nulls(value: Any) -> Any:
    """Return JSON without its nulls: to the API a null is a field left out.

    >>> without_nulls({"a": None, "b": [{"c": None, "d": 0}]})
    {'b': [{'d': 0}]}
    """
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value


def _kind(entity: Json) -> str:
    if "external_model" in entity:
        return "external"
    if "provisioned_model_units" in entity or any(key in entity for key in _RANGE):
        return "provisioned"
    return "custom"


def _require_range(entity: Json, offering: Offering) -> None:
    name, chunk = entity["entity_name"], offering.size
    low, high = entity.get(_RANGE[0], 0), entity.get(_RANGE[1])
    if not high:
        raise Refusal(
            400, f"Served entity {name}: max_provisioned_throughput must be a positive number"
        )
    for key, value in zip(_RANGE, (low, high), strict=True):
        if value % chunk:
            raise Refusal(
                400,
                f"Served entity {name}: {key} is {value}; must be a multiple of {chunk}, "
                "the throughput_chunk_size of the model",
            )
    if low > high:
        raise Refusal(
            400,
            f"Served entity {name}: min_provisioned_throughput {low} is above "
            f"max_provisioned_throughput {high}",
        )


def _require_units(entity: Json, offering: Offering) -> None:
    units, step = entity["provisioned_model_units"], offering.size
    if units < 1 or units % step:
        raise Refusal(
            400,
            f"Served entity {entity['entity_name']}: provisioned_model_units is {units}; "
            f"must be a positive multiple of {step}",
        )


def _traffic(given: Json | None, names: list[str]) -> Json:
    """Return the traffic config, each route with both of its names; all traffic goes to a sole entity."""
    routes = (given or {}).get("routes") or []
    if not routes:
        if len(names) > 1:
            raise Refusal(400, f"traffic_config must divide the traffic of {', '.join(names)}")
        routes = [{"served_entity_name": names[0], "traffic_percentage": 100}]
    told = []
    for route in routes:
        name = route.get("served_entity_name", route.get("served_model_name"))
        if name not in names:
            raise Refusal(
                400,
                f"traffic_config names {name}, which is not among the served entities "
                f"({', '.join(names)})",
            )
        if route.get("served_model_name", name) != name:
            raise Refusal(400, f"a route names both {name} and {route['served_model_name']}")
        told.append({**route, "served_entity_name": name, "served_model_name": name})
    total = sum(route["traffic_percentage"] for route in told)
    if total != 100:
        raise Refusal(400, f"traffic_percentage adds up to {total}; must be 100")
    if len({route["served_entity_name"] for route in told}) < len(told):
        raise Refusal(400, "traffic_config has two routes to one served entity")
    return {**(given or {}), "routes": told}


def _state(endpoint: Endpoint) -> Json:
    return {
        "ready": "NOT_READY" if endpoint.config is None else "READY",
        "config_update": endpoint.config_update,
        "suspend": "NOT_SUSPENDED",
    }


def _tags(tags: tuple[tuple[str, str], ...]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in tags]


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_secrets(one)
            for key, one in value.items()
            if not key.endswith("_plaintext")
        }
    return value


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
