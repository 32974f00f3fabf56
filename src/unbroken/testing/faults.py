"""Faults that a `FaultServer` can be told to have, one for each request in order.

Some come in place of a response: `status`, `html`, `disconnect`, `reset_before`, `hang`. The others
come in the middle of one, where one of these says (by default before the first byte of the body):

- `after_bytes`: this many bytes of the body, wherever that cuts a frame or a character
- `after_chars`: this many characters of text, thinking and tool input, in complete frames
- `after_events`: this many events, pings not counted
- `after_block`: the end of the block with this index
- `after_stop_reason`: the `message_delta` event

A place that the response does not reach means no fault. In a response that is no stream, only
`after_bytes` is exact; the other places mean half of the body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from unbroken.testing.errors import DEFAULT_MESSAGES, ERROR_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Break",
    "ErrorEvent",
    "Fault",
    "Hang",
    "Html",
    "NoResponse",
    "Place",
    "Slow",
    "Stall",
    "Status",
    "Where",
    "close",
    "disconnect",
    "eof",
    "error_event",
    "garbage",
    "half_frame",
    "hang",
    "html",
    "reset",
    "reset_before",
    "slow",
    "stall",
    "status",
]

End = Literal["reset", "eof", "close"]
Unit = Literal["bytes", "chars", "events", "block", "stop_reason"]


class Where(TypedDict, total=False):
    """Where in a response a fault comes; at most one of these."""

    after_bytes: int
    after_chars: int
    after_events: int
    after_block: int
    after_stop_reason: Literal[True]


@dataclass(frozen=True)
class Place:
    """A place in a response, counted in one unit."""

    unit: Unit = "bytes"
    count: int = 0


@dataclass(frozen=True)
class Status:
    """An HTTP error in place of a response."""

    status: int
    type: str | None = None
    code: str | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes | Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Html:
    """A proxy's page in place of a response."""

    status: int = 200


@dataclass(frozen=True)
class NoResponse:
    """The connection ends before any byte of a response."""

    end: Literal["reset", "close"]


@dataclass(frozen=True)
class Hang:
    """No response at all, until the client closes the connection."""


@dataclass(frozen=True)
class Break:
    """The response ends early.

    Attributes:
        at: Where.
        end: How: `reset` sends an RST; `eof` ends the body as HTTP does when it is complete;
            `close` closes the connection before the body is.
        half_frame: Send the first half of the next frame before the end.
        garbage: Send this before the end.
    """

    at: Place
    end: End
    half_frame: bool = False
    garbage: bytes = b""


@dataclass(frozen=True)
class ErrorEvent:
    """An `error` event, and the end of the stream after it."""

    at: Place
    type: str
    message: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Stall:
    """Silence, or nothing but pings; for ever if `seconds` is `None`."""

    at: Place
    pings: bool = False
    ping_interval: float = 0.01
    seconds: float | None = None


@dataclass(frozen=True)
class Slow:
    """A wait before each event."""

    seconds: float


Fault = Status | Html | NoResponse | Hang | Break | ErrorEvent | Stall | Slow


def status(
    status: int,
    type: str | None = None,  # noqa: A002
    code: str | None = None,
    message: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | bytes | Mapping[str, Any] | None = None,
) -> Status:
    """Answer with an HTTP error.

    Args:
        status: The HTTP status.
        type: The error's type; by default the API's for this status. A status that the API does
            not document (408, 502, 503, ...) is answered with plain text if no type is given.
        code: The error's `details.error_code`.
        message: The error's message.
        headers: More headers, such as `{"retry-after": "3"}`.
        body: The whole body, in place of the API's JSON.

    Raises:
        ValueError: If `status` is no HTTP status.
    """
    given: Any = status
    if not isinstance(given, int) or not 100 <= status <= 599:
        raise ValueError(f"status must be an HTTP status, from 100 to 599, not {status!r}")
    kind = type or ERROR_TYPES.get(status) or ("api_error" if code else None)
    text = message or DEFAULT_MESSAGES.get(kind or "", "Error")
    return Status(status, kind, code, text, dict(headers or {}), body)


def html(status: int = 200) -> Html:
    """Answer with a page of HTML, as a captive portal or a broken proxy does."""
    return Html(status)


def disconnect() -> NoResponse:
    """Close the connection before any byte of a response."""
    return NoResponse("close")


def reset_before() -> NoResponse:
    """Reset the connection before any byte of a response."""
    return NoResponse("reset")


def hang() -> Hang:
    """Send nothing until the client closes the connection."""
    return Hang()


def reset(**where: Unpack[Where]) -> Break:
    """Reset the connection in the middle of the response."""
    return Break(_place(where), "reset")


def eof(**where: Unpack[Where]) -> Break:
    """End the body early, in a way that HTTP takes for its proper end."""
    return Break(_place(where), "eof")


def close(**where: Unpack[Where]) -> Break:
    """Close the connection before the body is complete."""
    return Break(_place(where), "close")


def half_frame(**where: Unpack[Where]) -> Break:
    """End the body, in a way that HTTP takes for its proper end, inside the next frame."""
    return Break(_place(where), "eof", half_frame=True)


def garbage(
    data: bytes = b"event: content_block_delta\ndata: {not json\n\n",
    *,
    then_close: bool = False,
    **where: Unpack[Where],
) -> Break:
    """Send bytes that are no event of the API, and end the body."""
    return Break(_place(where), "close" if then_close else "eof", garbage=data)


def error_event(
    type: str = "overloaded_error",  # noqa: A002
    message: str | None = None,
    code: str | None = None,
    **where: Unpack[Where],
) -> ErrorEvent:
    """Send an `error` event, and end the stream; a response that is no stream gets its status."""
    return ErrorEvent(_place(where), type, message or DEFAULT_MESSAGES.get(type, "Error"), code)


def stall(
    *,
    pings: bool = False,
    ping_interval: float = 0.01,
    seconds: float | None = None,
    **where: Unpack[Where],
) -> Stall:
    """Fall silent, or send pings only, until the client closes the connection.

    Args:
        pings: Whether to send pings.
        ping_interval: Seconds between two pings.
        seconds: Go on with the response after so many seconds.
        **where: Where.

    Raises:
        ValueError: If `seconds` or `ping_interval` is no number of at least 0.
    """
    _check_seconds("ping_interval", ping_interval)
    if seconds is not None:
        _check_seconds("seconds", seconds)
    return Stall(_place(where), pings, ping_interval, seconds)


def slow(seconds: float) -> Slow:
    """Wait so many seconds before each event."""
    _check_seconds("seconds", seconds)
    return Slow(seconds)


def _check_seconds(name: str, value: Any) -> None:
    if not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{name} must be a number of at least 0, not {value!r}")


_UNITS: dict[str, Unit] = {
    "after_bytes": "bytes",
    "after_chars": "chars",
    "after_events": "events",
    "after_block": "block",
    "after_stop_reason": "stop_reason",
}


def _place(where: Where) -> Place:
    if not where:
        return Place()
    if len(where) > 1:
        raise ValueError(f"a fault has one place, not {len(where)}: {', '.join(where)}")
    [(name, count)] = where.items()
    if name not in _UNITS:
        raise TypeError(f"unknown place {name!r}; use one of {', '.join(_UNITS)}")
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more, not {count!r}")
    return Place(_UNITS[name], count)
