"""The workspace: JSON out, JSON in, over databricks-sdk, which brings its authentication, profiles and retries.

Raw JSON, since the SDK's typed classes drop fields that a full replacement would then lose. A read is tried
again for some seconds; a write is sent once and never blindly again, because whoever sends a replacement twice
cannot tell afterwards whether somebody else's edit lay between. Every failure becomes one line with a remedy:

    WorkspaceError
    |-- Unanswered      no answer, or half of one: a write may have been carried out or not
    |-- Throttled       429: not carried out, come back later
    |-- Conflict        409: it exists already, or an update is in progress
    |-- NotFound        404
    `-- Rejected        the workspace understood and said no: 400, 401, 403, ...
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, TypeVar, cast
from urllib.parse import quote

import requests

from planner.endpoint.clock import Clock, SystemClock
from planner.endpoint.request import CREATE_PATH
from planner.line import one_line
from simulations.errors import InputError, WorkspaceError

T = TypeVar("T")

PROBE_S = 5.0
"""Limit of the first contact, which asks for the host's metadata and may fail."""

SIGN_IN_S = 60.0
"""Limit of signing in as a whole, for which somebody may have to go to a browser."""

ATTEMPT_S = 15.0
"""Limit of one attempt. Together with the probe and READ_BUDGET_S an unreachable host fails within 30 s."""

CALL_S = 25.0
"""Limit of a call as a whole: what comes byte by byte keeps within the limit of one attempt for ever."""

READ_BUDGET_S = 10
"""No read is begun anew after so many seconds; the SDK's default of 300 s would take 10 minutes."""

LONGEST_PAUSE_S = 15.0
"""A longer Retry-After is reported and not waited for."""

MOST_BYTES = 5 * 2**20
"""A longer answer is no description of an endpoint; the largest seen in public have some 10 kB (assumed)."""

_MOST_TEXT = 300


class Unanswered(WorkspaceError):
    """No answer came, or not a whole one; whether a write was carried out is unknown."""


class Throttled(WorkspaceError):
    """The workspace asks for patience; the request was not carried out.

    Args:
        after_s: what it asks for, in seconds.
    """

    def __init__(self, text: str, after_s: float) -> None:
        super().__init__(text)
        self.after_s = after_s


class Rejected(WorkspaceError):
    """The workspace answered that it will not do this."""


class Conflict(WorkspaceError):
    """The endpoint exists already, or an update of it is in progress."""


class NotFound(WorkspaceError):
    """There is no such endpoint, or no such model."""


class _GaveUp(Exception):
    """Raised where the SDK would pause before it tries again; what went wrong is its context."""


class _OutOfTime(OSError):
    """Raised where a call as a whole takes too long."""


class _Patience:
    """The clock that the SDK waits on between attempts.

    A write has none. A read has some, but not for what time cannot mend.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.again = True

    def time(self) -> float:
        return self.clock.time()

    def sleep(self, seconds: float) -> None:
        if not self.again or seconds > LONGEST_PAUSE_S or _is_hopeless(sys.exception()):
            raise _GaveUp
        self.clock.sleep(max(0.0, seconds))


class Workspace:
    """A Databricks workspace, or something that speaks its serving-endpoints API.

    Args:
        host: such as https://adb-1.azuredatabricks.net; else as databricks-sdk finds it (DATABRICKS_HOST,
            profiles of ~/.databrickscfg).
        profile: of ~/.databrickscfg.
        token: a personal access token; else as databricks-sdk finds it.
        clock: for the pauses between attempts.

    Raises:
        WorkspaceError: there is no host, or no way to sign in.
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        profile: str | None = None,
        token: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        # Late, since it takes more than a second.
        from databricks.sdk.core import ApiClient, Config

        # A failed probe is no warning: the call that follows says what is wrong.
        logging.getLogger("databricks.sdk").addHandler(logging.NullHandler())
        self._patience = _Patience(clock or SystemClock())

        def configure() -> Config:
            return Config(
                host=host,
                profile=profile,
                token=token,
                # Beside a given token, what the environment holds of another way to sign in is no matter.
                auth_type=None if token is None else "pat",
                product="ptplan",
                product_version=_semver(metadata.version("ptplan")),
                clock=cast(Any, self._patience),
                http_timeout_seconds=PROBE_S,
                retry_timeout_seconds=1,
                debug_headers=False,
            )

        try:
            config = _within(SIGN_IN_S, configure)
        except _OutOfTime:
            raise Unanswered(
                f"{profile or host or 'the workspace'}: signing in took longer than {SIGN_IN_S:g} s; check --host or "
                "--profile, VPN and firewall, then try again"
            ) from None
        except _GaveUp:
            raise WorkspaceError(
                "the workspace's host does not answer; see --host or --profile"
            ) from None
        except Exception as error:
            raise WorkspaceError(_sign_in_text(error, host=host, profile=profile)) from None
        if not config.host:
            raise WorkspaceError(
                "no workspace is named; give --host URL or --profile NAME, or set DATABRICKS_HOST"
            )
        config.http_timeout_seconds = ATTEMPT_S
        config.retry_timeout_seconds = READ_BUDGET_S
        self.host: str = config.host
        self._config = config
        self._api = ApiClient(config)
        # A write that is redirected becomes a read, or goes, configuration and all, to somebody else.
        self._api._api_client._session.max_redirects = 0

    def optimization_info(self, model: str, version: str) -> dict[str, Any]:
        """Return what the workspace says of a model's chunk, as it says it.

        Raises:
            NotFound: it has no such model or version.
        """
        path = f"{CREATE_PATH}/get-model-optimization-info/{_part(model)}/{_part(version)}"
        return self._read(path)

    def get(self, endpoint: str) -> dict[str, Any] | None:
        """Return an endpoint as the workspace shows it, or None if there is none of this name."""
        try:
            return self._read(f"{CREATE_PATH}/{_part(endpoint)}")
        except NotFound:
            return None

    def send(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a write, once, and return the answer.

        Raises:
            Unanswered: it may have been carried out; look before it is sent again.
        """
        self._patience.again = False
        return self._call(method, path, body)

    def _read(self, path: str) -> dict[str, Any]:
        self._patience.again = True
        return self._call("GET", path, None)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        from databricks.sdk.core import DatabricksError

        where = f"{method} {self.host}{path}"

        def call() -> dict[str, Any]:
            answer = self._api.do(
                method, path, body=body, headers={"Accept": "application/json"}, raw=True
            )
            return self._object(answer["contents"], where)

        try:
            return _within(CALL_S, call)
        except (_GaveUp, TimeoutError) as error:
            cause = error.__cause__ or error.__context__
            raise self._explained(cause or error, where) from None
        except (
            DatabricksError,
            requests.RequestException,
            ArithmeticError,  # of the SDK's sum, where a Retry-After has hundreds of digits
            OSError,
            ValueError,
        ) as error:
            raise self._explained(error, where) from None

    def _object(self, contents: Any, where: str) -> dict[str, Any]:
        """Return the JSON object of an answer, and close the connection whatever it is."""
        try:
            with contents:
                data = contents.read(MOST_BYTES + 1)
        finally:
            contents.close()
        if len(data) > MOST_BYTES:
            raise Unanswered(
                f"{where}: the answer has more than {MOST_BYTES // 2**20} MB, which no endpoint has; "
                "check --host: this may not be a workspace"
            )
        try:
            value = json.loads(data, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            text = data[:2000].decode("utf-8", "replace")
            if "<html" in text.lower() or "<!doctype" in text.lower():
                title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
                named = f" ({self._clean(title[1])})" if title else ""
                raise Unanswered(
                    f"{where}: the answer is a web page{named} and not JSON; check --host: it must be the "
                    "workspace's own address, and sign-in or a proxy may stand before it"
                ) from None
            raise Unanswered(
                f"{where}: the answer is not JSON, or was cut off ({len(data)} bytes: "
                f"{self._clean(text[:60])!r}); try again, and check --host if it stays so"
            ) from None
        if not isinstance(value, dict):
            raise Unanswered(
                f"{where}: the answer is JSON but no object; check --host: this may not be a workspace"
            )
        return value

    def _explained(self, error: BaseException, where: str) -> WorkspaceError:
        """Return a failure of the SDK, or of what lies below it, as one line with its remedy."""
        from databricks.sdk import errors
        from databricks.sdk.core import DatabricksError

        text = self._clean(error)
        host = self.host
        match error:
            case WorkspaceError():
                return error
            case errors.Unauthenticated():
                return Rejected(
                    f"{where}: the workspace does not accept the sign-in (401: {text}); get a new token, or "
                    "choose another --profile"
                )
            case errors.PermissionDenied():
                return Rejected(
                    f"{where}: not permitted (403: {text}); CAN_MANAGE on the endpoint is needed, and for the "
                    "model EXECUTE, USE CATALOG and USE SCHEMA"
                )
            case errors.TooManyRequests() | errors.ResourceExhausted():
                after_s = float(min(max(0, getattr(error, "retry_after_secs", None) or 1), 10**9))
                return Throttled(
                    f"{where}: the workspace limits the rate of requests (429: {text}); try again in "
                    f"{after_s:g} s",
                    after_s,
                )
            case errors.TemporarilyUnavailable():
                return Unanswered(
                    f"{where}: the workspace is unavailable (503: {text}); try again in a few minutes"
                )
            case errors.NotFound():
                return NotFound(f"{where}: not found ({text}); check the name and --host")
            case errors.ResourceConflict() | errors.Aborted():
                return Conflict(f"{where}: {text}; wait for it to end, then plan again")
            case errors.InternalError() | errors.DeadlineExceeded() | errors.Unknown():
                return Unanswered(
                    f"{where}: the workspace failed ({text}); try again, and if it stays so, ask Databricks"
                )
            case errors.BadRequest() if "not eligible for provisioned throughput" in text.lower():
                return Rejected(
                    f"{where}: {text} This is the workspace's answer where a model sold in model units is asked for "
                    "tokens/s, or the other way round; `ptplan chunk MODEL VERSION` tells which"
                )
            case DatabricksError() if type(error) is DatabricksError:
                # Of no class that the SDK knows: a gateway, as a rule.
                return Unanswered(
                    f"{where}: something between here and the workspace failed ({text}); try again, and "
                    "check --host"
                )
            case DatabricksError():
                return Rejected(f"{where}: refused ({text}); mend what it names, or recommend anew")
            case requests.exceptions.SSLError():
                return Unanswered(
                    f"{host}: no trusted TLS connection ({_innermost(error)}); check --host, the clock, and "
                    "REQUESTS_CA_BUNDLE if a proxy signs with a certificate of its own"
                )
            case (
                requests.exceptions.ChunkedEncodingError()
                | requests.exceptions.ContentDecodingError()
            ):
                return Unanswered(f"{where}: the answer broke off half-way; try again")
            case requests.exceptions.Timeout():
                return Unanswered(
                    f"{where}: no answer within {ATTEMPT_S:g} s; check --host, VPN and firewall, then try again"
                )
            case requests.exceptions.TooManyRedirects():
                target = None if error.response is None else error.response.headers.get("Location")
                return Rejected(
                    f"{where}: redirected to {self._clean(target)}, which is not followed: neither token nor "
                    "configuration goes anywhere else; check --host"
                )
            case _OutOfTime():
                return Unanswered(
                    f"{where}: no whole answer within {CALL_S:g} s; check --host, VPN and firewall, then try again"
                )
            case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema():
                return WorkspaceError(
                    f"{host} is no address of a workspace; give --host https://..."
                )
            case requests.exceptions.ConnectionError() if _is_unknown_name(error):
                return Unanswered(f"{host}: the name of this host is not known; check --host")
            case requests.exceptions.ConnectionError():
                return Unanswered(
                    f"{where}: no connection ({_innermost(error)}); check --host, VPN and firewall, then try "
                    "again"
                )
            case _:
                return Unanswered(f"{where}: {text}; check --host, then try again")

    def _clean(self, text: object) -> str:
        """Return text on one line, short, and without any secret of ours."""
        line = re.sub(r"[. ]*Config: host=.*", "", one_line(text))
        for secret in self._secrets():
            line = line.replace(secret, "***")
        line = (
            line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"
        )
        return line.rstrip(". ")

    def _secrets(self) -> Iterator[str]:
        for attribute in self._config.attributes():
            secret = getattr(self._config, attribute.name, None) if attribute.sensitive else None
            if secret:
                yield str(secret)


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or give up; what it then still does is of no consequence.

    Raises:
        _OutOfTime: it takes longer.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True, name="ptplan-call")
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise _OutOfTime
    return results[0]


def _is_hopeless(error: BaseException | None) -> bool:
    return isinstance(error, requests.exceptions.SSLError) or _is_unknown_name(error)


def _is_unknown_name(error: BaseException | None) -> bool:
    text = str(error)
    return "NameResolutionError" in text or "Failed to resolve" in text


def _innermost(error: BaseException) -> str:
    """Return what went wrong at the bottom of a tower of wrapped errors."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None)
        inner = inner if isinstance(inner, BaseException) else None
        inner = inner or next((a for a in reason.args if isinstance(a, BaseException)), None)
        if inner is None:
            return one_line(reason.args[-1] if reason.args else type(reason).__name__)[:_MOST_TEXT]
        reason = inner


def _sign_in_text(error: Exception, *, host: str | None, profile: str | None) -> str:
    text = re.sub(r"[. ]*(Config:|See https|For more information).*", "", one_line(error))
    asked = f"profile {profile}" if profile else host or "the workspace"
    return (
        f"cannot sign in to {asked} ({text[:_MOST_TEXT]}); give --profile NAME, or set DATABRICKS_HOST and "
        "DATABRICKS_TOKEN"
    )


def _semver(version: str) -> str:
    """Return a version as the User-Agent must have it, three numbers."""
    found = re.match(r"\d+\.\d+\.\d+", version)
    return found[0] if found else "0.0.0"


def _part(name: str) -> str:
    if not name.strip("."):
        # Nothing, or dots alone, would make another address of it.
        raise InputError(f"{name!r} is no name of a model, a version or an endpoint")
    return quote(name, safe=".")


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")
