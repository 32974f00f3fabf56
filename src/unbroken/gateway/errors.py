"""Errors that the gateway itself answers with, in the shape of the Messages API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GatewayError", "error_body", "error_frame", "error_response"]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class GatewayError(Exception):
    """A request that the gateway refuses, or cannot answer.

    Attributes:
        status: The HTTP status.
        message: What is wrong, and what to do. It must contain nothing that is secret.
        headers: Headers of the response.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def error_body(status: int, message: str) -> bytes:
    """The JSON of an error."""
    error = {"type": _TYPES.get(status, "api_error"), "message": message}
    return json.dumps({"type": "error", "error": error}).encode()


def error_frame(status: int, message: str) -> bytes:
    """The same as an `error` event, for a response whose headers were sent."""
    return b"event: error\ndata: %s\n\n" % error_body(status, message)


def error_response(error: GatewayError) -> Response:
    """The response for an error; the clients do not retry what is final."""
    headers = dict(error.headers)
    if error.status not in (429, 502, 503, 504):
        headers.setdefault("x-should-retry", "false")
    body = error_body(error.status, error.message)
    return Response(body, error.status, headers, "application/json")
