"""What is known of each attempt: the rows of a report, and what spans and metrics are made of."""

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
    """The rest of an answer, of which a part was delivered."""


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETE = "complete"
    """The answer came to its end."""
    FAILED = "failed"
    """No answer began: no connection, an HTTP error, or an attempt that brought no answer."""
    INTERRUPTED = "interrupted"
    """An answer began and broke off."""
    CANCELLED = "cancelled"
    """The caller closed the stream, or cancelled the task."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and what came of it.

    Attributes:
        number: Its number in the call, from 1.
        kind: What it asked for.
        outcome: How it ended; None while it is under way.
        failure: Why it failed or was interrupted.
        status: The HTTP status of its response, if there was one.
        request_id: The `request-id` header of its response, if there was one.
        begun: Seconds from the beginning of the call to its own.
        waited: Seconds between the failure before it and this attempt, by the policy.
        received_chars: Characters of content that it brought: text, thinking, tool input.
        usage: The tokens it was billed, as far as they are known.
        first_event: Seconds from its beginning to the first event that was no ping.
        seconds: Seconds from its beginning to its end.
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
    usage: Usage | None = None
    first_event: float | None = None
    seconds: float | None = None
    seam: SeamKind | None = None
