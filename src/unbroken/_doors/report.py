"""What a call went through: `RecoveryReport`, and `report()`, which finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken._core.attempts import Outcome
from unbroken._core.bounds import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from anthropic.types import Message
    from anthropic.types.beta import BetaMessage

    from unbroken._core.attempts import Attempt
    from unbroken._core.recovery import Recovery

__all__ = ["EXTENSION", "RecoveryReport", "Reporter", "report"]

EXTENSION = "unbroken"
"""The key of a response's extensions under which its report is found."""


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What a call went through, up to the moment at which it was asked for.

    Attributes:
        attempts: The requests that were made, in order.
        partial: The message as the caller has been given it; None if nothing was.
        turns: The turns that produced the answer, to be appended to the request's messages: the
            answer alone, or the partial answer, the user turn that asked to go on, and the rest.
            Unlike the one message that the caller has, they hold the thinking of continuations.
        reason: Why the call was given up, in a sentence; None if it was not.
    """

    attempts: tuple[Attempt, ...]
    partial: Message | BetaMessage | None
    turns: tuple[dict[str, Any], ...]
    reason: str | None = None

    @property
    def recovered(self) -> bool:
        """Whether the answer is whole, and took more than one attempt."""
        ended = bool(self.attempts) and self.attempts[-1].outcome is Outcome.COMPLETE
        return ended and len(self.attempts) > 1


class Reporter:
    """Makes the report of a call, whenever it is asked for.

    Args:
        machine: Decides in that call.
        message: Makes a message of the JSON that is one.
    """

    def __init__(self, machine: Recovery, message: Callable[[dict[str, Any]], Any]) -> None:
        self._machine = machine
        self._message = message

    def report(self) -> RecoveryReport:
        """The report, as of now."""
        call = self._machine.call
        partial = self._machine.partial()
        return RecoveryReport(
            attempts=tuple(call.attempts),
            partial=None if partial is None else self._message(partial),
            turns=self._machine.turns(),
            reason=None if call.reason is None else REASONS[call.reason],
        )


def report(source: object) -> RecoveryReport:
    """The report of a call.

    Args:
        source: A stream (`messages.stream()`, `create(stream=True)`), a raw response, or an error
            that one of them raised.

    Raises:
        TypeError: If it has none: it did not come through a wrapped client, or it is a message,
            which does not know its call. Ask `with_raw_response`, or the stream, instead.
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
