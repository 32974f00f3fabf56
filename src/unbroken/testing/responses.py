"""Responses that are no stream: JSON as the API sends it, and what a fault puts in its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unbroken.testing.delivery import Response
from unbroken.testing.errors import error_body
from unbroken.testing.faults import Html

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unbroken.testing.faults import Status

__all__ = ["api_headers", "failure_response", "json_response"]

_PAGE = b"<!DOCTYPE html><html><head><title>Proxy</title></head><body>Proxy</body></html>\n"


def api_headers(request_id: str) -> dict[str, str]:
    """The headers of every response of the API."""
    return {"request-id": request_id, "anthropic-organization-id": "org-test"}


def json_response(
    body: Mapping[str, Any],
    request_id: str,
    ended: Callable[[bool], None] = lambda _complete: None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    ensure_ascii: bool = False,
) -> Response:
    """A response with JSON.

    Args:
        body: The JSON.
        request_id: Its `request-id`.
        ended: Called once, with whether all of it was sent.
        status: The HTTP status.
        headers: More headers.
        ensure_ascii: Whether JSON escapes what is not ASCII.
    """
    raw = json.dumps(body, ensure_ascii=ensure_ascii, separators=(",", ":"))
    every = {**api_headers(request_id), "content-type": "application/json", **(headers or {})}
    return Response(status, every, raw.encode(), ended)


def failure_response(
    fault: Status | Html, request_id: str, *, ensure_ascii: bool = False
) -> Response:
    """The response that stands in place of the right one.

    Args:
        fault: What it is.
        request_id: Its `request-id`.
        ensure_ascii: Whether JSON escapes what is not ASCII.
    """
    if isinstance(fault, Html):
        return Response(fault.status, {"content-type": "text/html; charset=utf-8"}, _PAGE)
    headers = {**api_headers(request_id), **fault.headers}
    body = fault.body
    if body is None and fault.type is None:
        body = (fault.message or "") + "\n"
    elif body is None:
        body = error_body(fault.type or "", fault.message or "", fault.code, request_id)
    if isinstance(body, str | bytes):
        raw = body.encode() if isinstance(body, str) else body
        return Response(fault.status, {"content-type": "text/plain", **headers}, raw)
    return json_response(
        body, request_id, status=fault.status, headers=fault.headers, ensure_ascii=ensure_ascii
    )
