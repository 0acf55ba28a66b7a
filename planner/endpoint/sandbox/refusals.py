"""How the workspace says no: a status and the body `{"error_code", "message", "details"}`, nothing else.

Clients choose their exception by `error_code` before they look at the status (databricks-sdk), or rebuild the
status from it (mlflow), so every refusal has one that fits.
"""

from __future__ import annotations

from typing import Any

ERROR_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    405: "BAD_REQUEST",
    409: "RESOURCE_CONFLICT",
    413: "MAX_REQUEST_SIZE_EXCEEDED",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    501: "NOT_IMPLEMENTED",
    502: "BAD_GATEWAY",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The code of each status. Source: databricks-sdk 0.156.0 errors/platform.py and mlflow 3.17.2, read 2026-11-22;
405, 413 and 502: *assumed*."""


class Refusal(Exception):
    """The workspace's answer to what it does not do.

    Args:
        status: of HTTP.
        message: for people.
        error_code: for programs; that of the status where absent.

    >>> Refusal(409, "is being updated").as_dict()
    {'error_code': 'RESOURCE_CONFLICT', 'message': 'is being updated', 'details': []}
    """

    def __init__(self, status: int, message: str, *, error_code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_code = error_code or ERROR_CODES.get(status, "UNKNOWN")

    def as_dict(self) -> dict[str, Any]:
        """Return the body."""
        return {"error_code": self.error_code, "message": self.message, "details": []}
