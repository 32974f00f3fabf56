"""What spans, metrics and log lines say alike of a call, told from its events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from unbroken._core.attempts import Outcome
from unbroken._core.events import Completed, GaveUp
from unbroken._telemetry import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken._core.attempts import Attempt
    from unbroken._core.events import Cancelled
    from unbroken._core.failures import Failure
    from unbroken._core.usage import Usage

__all__ = [
    "DEFAULT_PROVIDER",
    "CallOutcome",
    "Endpoint",
    "call_outcome",
    "error_type",
    "identifier",
    "input_tokens",
    "known",
    "of_target",
    "time_to_first_chunk",
]

DEFAULT_PROVIDER = "anthropic"

_PORTS = {"http": 80, "https": 443}
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
_IDENTIFIER = re.compile(r"[\w.:-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a call asks, and whom.

    Attributes:
        method: The HTTP method, or `_OTHER`.
        host: The host, if the URL names one.
        port: The port.
        creates_message: Whether it asks for a message.
        provider: Who serves the model, as the conventions name it.
    """

    method: str
    host: str | None
    port: int | None
    creates_message: bool
    provider: str

    @classmethod
    def of(cls, method: str, url: str, *, creates_message: bool, provider: str) -> Self:
        """The endpoint of a request."""
        method = method.upper()
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            host = port = None
        method = method if method in _METHODS else "_OTHER"
        return cls(method, host, port, creates_message, provider)


class CallOutcome(StrEnum):
    """How a call ended."""

    COMPLETE = "complete"
    """Its first attempt brought the answer."""
    SAVED = "saved"
    """Something failed, and the caller got the whole answer."""
    FAILED = "failed"
    """It was given up."""
    CANCELLED = "cancelled"
    """The caller closed the stream, dropped it, or cancelled the task."""


def call_outcome(end: Completed | GaveUp | Cancelled) -> CallOutcome:
    """How a call ended, by its last event."""
    if isinstance(end, GaveUp):
        return CallOutcome.FAILED
    if not isinstance(end, Completed):
        return CallOutcome.CANCELLED
    unharmed = all(attempt.outcome is Outcome.COMPLETE for attempt in end.attempts)
    return CallOutcome.COMPLETE if unharmed else CallOutcome.SAVED


def error_type(failure: Failure) -> str:
    """The `error.type` of a failure: an HTTP status, the API's type of an event, or our kind."""
    if failure.status is not None and failure.status >= 400:
        return str(failure.status)
    return identifier(failure.error_type) or failure.kind.value


def identifier(text: str | None) -> str | None:
    """A name that came over the wire; None where it is no name but a text of any kind."""
    return text if text is not None and _IDENTIFIER.fullmatch(text) else None


def input_tokens(usage: Usage | None) -> int | None:
    """All input tokens, cache reads and writes included; None if they are not known."""
    return None if usage is None else usage.input_total()


def of_target(attempt: Attempt) -> dict[str, Any]:
    """Which target an attempt asked, and for which model; nothing where there is one target."""
    if attempt.target is None:
        return {}
    return known({names.TARGET: attempt.target, names.REQUEST_MODEL: attempt.model})


def time_to_first_chunk(attempts: Sequence[Attempt]) -> tuple[float, Attempt] | None:
    """Seconds from the call's beginning to its first event, and the attempt that brought it."""
    for attempt in attempts:
        if attempt.first_event is not None:
            return attempt.begun + attempt.first_event, attempt
    return None


def known(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}
