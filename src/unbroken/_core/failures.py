"""What can go wrong, and how it is told: the failure table of the README as data.

An error is told by `error.details.error_code`, then by `error.type`, then by the HTTP status: an
`error` event inside a stream comes with status 200, so the status is the weakest witness. A few
statuses say more than the type that comes with them (`TELLING_STATUS`), because the API sends
`invalid_request_error` or `api_error` for whatever has no type of its own.
"""

from __future__ import annotations

import email.utils
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Failure", "FailureKind", "classify", "error_in", "retry_after"]


class FailureKind(StrEnum):
    """The kinds of failure; `Policy.rules` holds a rule for each."""

    RATE_LIMITED = "rate_limited"
    """429, `rate_limit_error`, `ramp_limit_exceeded`."""
    OVERLOADED = "overloaded"
    """529, `overloaded_error`."""
    REQUEST_TIMEOUT = "request_timeout"
    """408."""
    SERVER_ERROR = "server_error"
    """Every 5xx but 501 and 529, `api_error`, `timeout_error`."""
    CONFLICT = "conflict"
    """409."""
    UNREACHABLE = "unreachable"
    """No connection: DNS, connect, TLS handshake, a full pool, a connect timeout."""
    DROPPED = "dropped"
    """The connection broke, the stream ended before `message_stop`, or what came is no stream."""
    STALLED = "stalled"
    """The connection is open, and nothing comes, or nothing but pings."""
    SPEND_LIMITED = "spend_limited"
    """429 with a `*_spend_limit_*` code, 402: waiting does not help before somebody pays."""
    REJECTED = "rejected"
    """Every other 4xx, the same types inside a stream, 501, and what nobody knows."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, told without a word of the prompt, the answer or a header value.

    Attributes:
        kind: Which row of the failure table applies.
        detail: What happened, in the library's own words.
        status: The HTTP status; 200 for an error event inside a stream; None without a response.
        error_type: `error.type` of the API's error body.
        error_code: `error.details.error_code` of the API's error body.
        retry_after: Seconds that the service asked to wait.
        should_retry: What the `x-should-retry` header says.
    """

    kind: FailureKind
    detail: str
    status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None


_SPEND_LIMIT_CODE = re.compile(r"(^|_)spend_limit(_|$)")

BY_CODE = {"ramp_limit_exceeded": FailureKind.RATE_LIMITED}

BY_TYPE = {
    "rate_limit_error": FailureKind.RATE_LIMITED,
    "overloaded_error": FailureKind.OVERLOADED,
    "api_error": FailureKind.SERVER_ERROR,
    "timeout_error": FailureKind.SERVER_ERROR,
    "conflict_error": FailureKind.CONFLICT,
    "billing_error": FailureKind.SPEND_LIMITED,
    "authentication_error": FailureKind.REJECTED,
    "invalid_request_error": FailureKind.REJECTED,
    "not_found_error": FailureKind.REJECTED,
    "permission_error": FailureKind.REJECTED,
    "request_too_large": FailureKind.REJECTED,
    "memory_precondition_failed_error": FailureKind.REJECTED,
    "memory_path_conflict_error": FailureKind.REJECTED,
}

# The types that come with these statuses are the generic ones, so the status knows better.
TELLING_STATUS = {
    402: FailureKind.SPEND_LIMITED,
    408: FailureKind.REQUEST_TIMEOUT,
    409: FailureKind.CONFLICT,
    501: FailureKind.REJECTED,
    529: FailureKind.OVERLOADED,
}

BY_STATUS = TELLING_STATUS | {429: FailureKind.RATE_LIMITED}


def classify(
    status: int, error_type: str | None = None, error_code: str | None = None
) -> FailureKind:
    """Tell the kind of an API error.

    Args:
        status: The HTTP status, 200 for an error event inside a stream.
        error_type: `error.type` of the body, if it has one.
        error_code: `error.details.error_code` of the body, if it has one.
    """
    if error_code is not None:
        if _SPEND_LIMIT_CODE.search(error_code):
            return FailureKind.SPEND_LIMITED
        if error_code in BY_CODE:
            return BY_CODE[error_code]
    if status in TELLING_STATUS:
        return TELLING_STATUS[status]
    if error_type in BY_TYPE:
        return BY_TYPE[error_type]
    if status in BY_STATUS:
        return BY_STATUS[status]
    return FailureKind.SERVER_ERROR if status >= 500 else FailureKind.REJECTED


def error_in(body: bytes | str | Mapping[str, Any]) -> tuple[str | None, str | None, str]:
    """Read `(error.type, error.details.error_code, error.message)` out of an error body.

    The message serves to recognise one refusal (see `unbroken._core.models`); it is not kept.
    """
    if isinstance(body, (bytes, str)):
        try:
            body = from_json(body)
        except ValueError:
            return None, None, ""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None, None, ""
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return _text_or_none(error.get("type")), _text_or_none(code), str(error.get("message") or "")


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def retry_after(headers: Mapping[str, str], wall_time: float) -> float | None:
    """Seconds that the service asks to wait: `retry-after-ms`, else `retry-after`.

    Args:
        headers: The response's headers; a mapping that ignores case.
        wall_time: Seconds since the epoch, for a `retry-after` that is a date.

    Returns:
        Seconds, above 0, or None where the service did not say, or nothing that makes sense. "Now",
        or a time that has passed, is no reason to hurry: the wait is then that of the kind.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None and milliseconds > 0:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None:
        seconds = _until(value, wall_time)
    return seconds if seconds is not None and seconds > 0 else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _until(value: str | None, wall_time: float) -> float | None:
    parsed = email.utils.parsedate_tz(value) if value else None
    try:
        return None if parsed is None else email.utils.mktime_tz(parsed) - wall_time
    except (ValueError, OverflowError):  # a date that no calendar has
        return None
