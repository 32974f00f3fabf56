"""`RecoveryReport`, and `report()`, which finds the one of a call."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unbroken._core.attempts import Outcome
from unbroken._core.bounds import explanation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anthropic.types import Message
    from anthropic.types.beta import BetaMessage

    from unbroken._core.attempts import Attempt
    from unbroken._core.bounds import Reason
    from unbroken._core.failures import Failure
    from unbroken._core.recovery import Recovery

__all__ = ["EXTENSION", "RecoveryReport", "Reporter", "report"]

EXTENSION = "unbroken"
"""The key of a response's extensions under which its report is found."""


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """The attempts of a call and their results, as of the time of `report()`.

    Attributes:
        attempts: The requests that were made, in order.
        partial: The message as far as it was delivered; None if nothing was.
        turns: The turns that produced the answer, to be appended to the messages of the request:
            the answer alone, or the partial answer, the user turn that asked to continue, and the
            rest. Unlike the delivered message, they contain the thinking of continuations.
        reason: Why the call was given up; None if it was not.
        explanation: The same in a sentence, with both failures if they are two.
        failure: The failure that the caller gets, if the call was given up: what broke the answer,
            if some of it was delivered.
        last_failure: The failure that ended the recovery.
        extra_tokens: Tokens, of input and output, that recovery cost: those of all attempts but the
            first that was billed and those that `Continuation.extend` asked for, as far as known.
        skipped_targets: The fallbacks that could not take the request, and why, in a few words.
    """

    attempts: tuple[Attempt, ...]
    partial: Message | BetaMessage | None
    turns: tuple[dict[str, Any], ...]
    reason: Reason | None = None
    explanation: str | None = None
    failure: Failure | None = None
    last_failure: Failure | None = None
    extra_tokens: int = 0
    skipped_targets: Mapping[str, str] = field(default_factory=dict)

    @property
    def recovered(self) -> bool:
        """Whether the answer is complete, and an attempt failed on the way."""
        outcomes = [attempt.outcome for attempt in self.attempts]
        return outcomes[-1:] == [Outcome.COMPLETE] and set(outcomes) != {Outcome.COMPLETE}


class Reporter:
    """Makes the report of a call.

    Args:
        machine: Decides in that call.
        message: Makes a message of the SDK from its JSON.
    """

    def __init__(self, machine: Recovery, message: Callable[[dict[str, Any]], Any]) -> None:
        self._machine = machine
        self._message = message

    def message(self) -> dict[str, Any] | None:
        """The message as JSON, as far as it was delivered; None if nothing was."""
        return self._machine.partial()

    def report(self) -> RecoveryReport:
        """Make the report, as of now."""
        call = self._machine.call
        partial = self._machine.partial()
        made = RecoveryReport(
            attempts=tuple(call.attempts),
            partial=None if partial is None else self._message(partial),
            turns=self._machine.turns(),
            extra_tokens=call.extra_tokens,
            skipped_targets=call.route.skipped(),
        )
        if call.reason is None:
            return made
        failure, last = call.lost.reported.failure, call.lost.last.failure
        return dataclasses.replace(
            made,
            reason=call.reason,
            explanation=explanation(call.reason, failure, last),
            failure=failure,
            last_failure=last,
        )


def report(source: object) -> RecoveryReport:
    """Return the report of a call.

    Args:
        source: A stream (`messages.stream()`, `create(stream=True)`), a raw response, or an error
            that one of them raised.

    Raises:
        TypeError: If it has none: it did not come through a wrapped client, or it is a message. Use
            `with_raw_response`, or pass the stream, instead.
    """
    own = getattr(source, "report", None)
    if isinstance(own, RecoveryReport):
        return own
    for holder in (
        source,
        *(getattr(source, name, None) for name in ("response", "http_response")),
    ):
        extensions = getattr(holder, "extensions", None)
        if isinstance(extensions, dict) and isinstance(extensions.get(EXTENSION), Reporter):
            reporter: Reporter = extensions[EXTENSION]
            return reporter.report()
    raise TypeError(
        f"no report in {type(source).__name__}: pass a stream, a raw response, or an error that "
        "came through a client wrapped by unbroken"
    )
