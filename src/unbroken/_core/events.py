"""The events of a call. Spans, metrics, log lines and `on_event` are made from them.

They contain no prompt, no answer, no key and no header value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken._core.attempts import Attempt
    from unbroken._core.bounds import Reason
    from unbroken._core.failures import Failure
    from unbroken._core.usage import Usage

__all__ = [
    "AttemptFailed",
    "AttemptStarted",
    "Cancelled",
    "Completed",
    "Extended",
    "GaveUp",
    "RecoveryEvent",
    "Replayed",
    "Resumed",
    "Waiting",
]


@dataclass(frozen=True, slots=True)
class RecoveryEvent:
    """Something that happened in a call.

    Attributes:
        call_id: The id of the call: all its events, spans and log records have it.
        model: The model that the request names, if it names one.
        attempt: The attempt that it is about, as known at the time.
    """

    call_id: str
    model: str | None
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AttemptStarted(RecoveryEvent):
    """A request is about to be sent."""


@dataclass(frozen=True, slots=True)
class AttemptFailed(RecoveryEvent):
    """An attempt failed, or its stream broke off.

    Attributes:
        failure: Why.
    """

    failure: Failure


@dataclass(frozen=True, slots=True)
class Extended(RecoveryEvent):
    """The model ended the answer with `max_tokens` or `pause_turn`, and more is asked for."""


@dataclass(frozen=True, slots=True)
class Waiting(RecoveryEvent):
    """The next attempt follows after a wait.

    Attributes:
        seconds: How long the wait is; 0 for none.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Resumed(RecoveryEvent):
    """The caller gets new content again, after a failure.

    Attributes:
        kept_chars: Characters of text that the caller had already.
        outage: Seconds since the caller last got new content, or since the call started.
    """

    kept_chars: int
    outage: float


@dataclass(frozen=True, slots=True)
class Replayed(RecoveryEvent):
    """The caller got what the journal holds of the answer.

    Attributes:
        chars: Characters of content in it: text, thinking, tool input.
        whole: Whether it is the whole answer; otherwise the rest is requested.
    """

    chars: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Completed(RecoveryEvent):
    """The call is complete.

    Attributes:
        attempts: All its attempts.
        seconds: How long the call took.
        message_id: The id of the message that the caller got, if it is a message.
        served_by: The model that the message names.
        stop_reason: Why the model stopped.
        usage: The tokens of the message, as in its last `message_delta`.
    """

    attempts: tuple[Attempt, ...]
    seconds: float
    message_id: str | None = None
    served_by: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class GaveUp(RecoveryEvent):
    """The call failed.

    Attributes:
        reason: Why no further attempt was made.
        failure: The failure that the caller gets: what broke the answer, if some was delivered.
        last_failure: The failure that ended the recovery.
        attempts: All its attempts.
        seconds: How long the call took.
    """

    reason: Reason
    failure: Failure
    last_failure: Failure
    attempts: tuple[Attempt, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Cancelled(RecoveryEvent):
    """The caller closed the stream before its end, or cancelled the task.

    Attributes:
        attempts: All its attempts.
        seconds: How long the call took.
    """

    attempts: tuple[Attempt, ...]
    seconds: float
