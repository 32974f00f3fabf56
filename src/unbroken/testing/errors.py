"""Errors as the API words them: status, type, code, message, and the JSON around these."""

from __future__ import annotations

from typing import Any

__all__ = ["DEFAULT_MESSAGES", "ERROR_TYPES", "STATUS_OF", "ApiError", "error_body"]

# Statuses with a documented type; the others are answered by whatever stands before the API.
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

STATUS_OF = {kind: status for status, kind in ERROR_TYPES.items()}

DEFAULT_MESSAGES = {
    "api_error": "Internal server error",
    "authentication_error": "invalid x-api-key",
    "overloaded_error": "Overloaded",
    "rate_limit_error": "This request would exceed your organization's rate limit.",
    "timeout_error": "Request timed out",
}


class ApiError(Exception):
    """A refusal that the server answers with, in place of a message."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind or ERROR_TYPES[status]
        self.code = code


def error_body(kind: str, message: str, code: str | None, request_id: str) -> dict[str, Any]:
    """The JSON of an error, for a response as for an `error` event."""
    error: dict[str, Any] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": request_id}
