"""The record of an attempt, for reports, spans and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken._core.failures import Failure
    from unbroken._core.seam import SeamKind
    from unbroken._core.usage import Usage

__all__ = ["Attempt", "AttemptKind", "Outcome"]


class AttemptKind(StrEnum):
    """What an attempt asked for."""

    INITIAL = "initial"
    """The caller's request, for the first time."""
    RETRY = "retry"
    """The caller's request again."""
    CONTINUATION = "continuation"
    """The rest of an answer that was delivered in part."""
    REPLAY = "replay"
    """What a journal holds of the answer: no request."""
    EXTENSION = "extension"
    """More of an answer that ended with `max_tokens` or `pause_turn`."""


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETE = "complete"
    """The answer is complete."""
    FAILED = "failed"
    """No answer started: no connection, an HTTP error, or a response without an event."""
    INTERRUPTED = "interrupted"
    """An answer started and broke off."""
    CANCELLED = "cancelled"
    """The caller closed the stream, or cancelled the task."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and its result.

    Attributes:
        number: Its number in the call, from 1; 0 for a replay.
        kind: What it asked for.
        outcome: How it ended; None while it is under way.
        failure: Why it failed or was interrupted.
        status: The HTTP status of its response, if there was one.
        request_id: The `request-id` header of its response, if there was one.
        begun: Seconds from the start of the call to its own start.
        waited: Seconds that the policy made it wait after the failure before it.
        received_chars: Characters of content that its stream brought: text, thinking, tool input.
        delivered_chars: Characters that the caller got of these.
        usage: The tokens it was billed, as far as known.
        first_event: Seconds from its start to its first event other than a ping.
        seconds: Seconds from its start to its end.
        target: The name of the target that it went to, if the call has fallbacks.
        model: The model that it asked for.
        seam: What proved where its text joins the text before it; None if there was none to join.
    """

    number: int
    kind: AttemptKind
    outcome: Outcome | None = None
    failure: Failure | None = None
    status: int | None = None
    request_id: str | None = None
    begun: float = 0.0
    waited: float = 0.0
    received_chars: int = 0
    delivered_chars: int = 0
    usage: Usage | None = None
    first_event: float | None = None
    seconds: float | None = None
    target: str | None = None
    model: str | None = None
    seam: SeamKind | None = None
