"""What all doors share: what responses and exceptions mean, and how a lost call is told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from unbroken._core.call import FailedAttempt
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.framing.frames import from_json
from unbroken._core.resume import PlanMode
from unbroken._doors import http as http_facts
from unbroken._doors.report import EXTENSION
from unbroken._telemetry.propagation import trace_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken._core.actions import Send
    from unbroken._core.call import LostCall
    from unbroken._doors.call import HttpCall
    from unbroken._doors.report import RecoveryReport
    from unbroken._drive.clock import AsyncClock, Clock

__all__ = ["CONNECTION", "HttpDoor", "NoAnswerError", "callers_own", "explain", "is_response"]

CONNECTION = frozenset({FailureKind.DROPPED, FailureKind.STALLED, FailureKind.UNREACHABLE})
"""The failures of the connection, rather than errors of the API."""

_CONNECTING = 10
"""A connection, and its place in the pool, are waited for as long as this part of what is left."""

_SHORTEST_CONNECT = 1.0
"""Seconds that they are waited for at least, if so much is left."""


class NoAnswerError(Exception):
    """No answer came, and it is known what that means.

    Args:
        failed: What it means.
    """

    def __init__(self, failed: FailedAttempt) -> None:
        super().__init__()
        self.failed = failed


class HttpDoor:
    """What the doors of all clients and transports share.

    Args:
        call: The call.
        clock: The time.
    """

    def __init__(self, call: HttpCall, clock: Clock | AsyncClock) -> None:
        self._ask = call.ask
        self._policy = call.policy
        self._reporter = call.reporter
        self._clock = clock

    def _trace_headers(self) -> dict[str, str]:
        """The headers that tell in which trace the attempt is; none if the caller has its own."""
        headers = trace_headers()
        return {} if headers.keys() & self._ask.headers.keys() else headers

    def _timeouts(self, given: Mapping[str, float | None], request: Send) -> dict[str, Any]:
        """The timeouts of an attempt: those of the caller, capped to the time that is left.

        They follow each other, so that their sum counts: connecting gets a part, and a stream the
        rest for its headers. Where that rest is short it gets all, as a whole answer does: what is
        cut off early would never come.
        """
        left = request.time_left
        if left is None:
            return {**given, "read": self._read_timeout()}
        timeouts = {phase: _capped(seconds, left) for phase, seconds in given.items()}
        most = min(max(left / _CONNECTING, _SHORTEST_CONNECT), left)
        before = {phase: _capped(given[phase], most) for phase in ("pool", "connect")}
        read = left
        if self._ask.resumes and request.longest_silence is not None:
            rest = left - before["pool"] - 2 * before["connect"]  # TLS has this timeout once more
            read = min(request.longest_silence, left if rest < left / 2 else rest)
        return {**timeouts, **before, "read": _capped(self._read_timeout(), read)}

    def _read_timeout(self) -> float | None:
        """Seconds that an attempt waits for a byte; what the caller set wins."""
        assert self._ask.timeout is not None
        if self._ask.resumes and not self._ask.timeout.is_set:
            return self._policy.idle_timeout
        return self._ask.timeout.seconds

    def _started(self, request: Send, http: Any) -> None:
        """A response started; it is None where something else than the library answered."""
        if http is not None:
            self._restore_read_timeout(http)
            if request.plan.mode is not PlanMode.AGAIN:
                http_facts.forget_request(http)  # it holds the partial answer

    def _restore_read_timeout(self, http: Any) -> None:
        """Take back the cap of the read timeout: from the headers on, the driver ends the reads.

        Not on HTTP/2, where no thread can end the read of another one.
        """
        if self._ask.timeout is not None and self._ask.resumes:
            http_facts.set_read_timeout(http, self._read_timeout())

    # What responses and exceptions mean

    def _is_read_whole(self, http: Any) -> bool:
        return not http.is_success or (self._ask.is_message and not self._ask.streams)

    def _answer(self, http: Any, body: bytes) -> dict[str, Any] | None:
        """The message in a response whose body was read; None if it is JSON of another kind.

        Raises:
            Exception: If it is no answer.
        """
        if not http.is_success:
            raise NoAnswerError(http_facts.failed_response(http, body, self._clock.wall()))
        try:
            message = from_json(body)
        except ValueError as error:
            if self._asked_for_events(http):
                return None
            failure = Failure(FailureKind.DROPPED, "the body is no JSON", http.status_code)
            failed = FailedAttempt(failure, error, request_id=http_facts.request_id(http))
            raise NoAnswerError(failed) from None
        return message if isinstance(message, dict) else None

    def _asked_for_events(self, http: Any) -> bool:
        """Whether the body says `stream`, but not to the SDK, so that events come as a text."""
        kind = http.headers.get("content-type", "")
        return bool(self._ask.body.get("stream")) and kind.startswith("text/event-stream")

    def failed_attempt(self, error: Exception) -> FailedAttempt:
        """What an exception of `send()` or of a body means."""
        if isinstance(error, NoAnswerError):
            return error.failed
        failure = http_facts.transport_failure(error)
        return callers_own(error) if failure is None else FailedAttempt(failure, error)

    def replayed(self, content_type: str, content: bytes) -> Any:
        """A response for the caller, for an answer that a journal holds."""
        raise NotImplementedError

    # How a lost call is told

    def final_response(self, lost: LostCall) -> Any:
        """Raise the error of a call of which nothing was returned, or return a response for it."""
        response = self._error_response(lost)
        if response is None:
            raise self._error(lost)
        return response

    def raise_or_frame(self, lost: LostCall) -> bytes:
        """Raise the error of a call whose stream is read, or return an error frame for it."""
        frame = self._error_frame(lost.reported)
        if frame is None:
            raise self._error(lost)
        return frame

    def _error_response(self, lost: LostCall) -> Any:
        """A response that tells the caller; None to raise."""
        raise NotImplementedError

    def _error_frame(self, failed: FailedAttempt) -> bytes | None:
        """A frame that tells the caller; None to raise."""
        return failed.origin if isinstance(failed.origin, bytes) else None

    def _error(self, lost: LostCall) -> BaseException:
        """The exception that tells the caller."""
        raise NotImplementedError

    def _given_up(self, http: Any) -> Any:
        """An error response as the caller gets it: no outer retry loop shall start again."""
        http.headers["x-should-retry"] = "false"
        return self._reported(http)

    def _reported(self, http: Any) -> Any:
        """A response with the report of its call."""
        http.extensions[EXTENSION] = self._reporter
        return http


def _capped(seconds: float | None, most: float) -> float:
    return min(math.inf if seconds is None else seconds, max(most, 0.001))


def callers_own(error: Exception, kind: FailureKind = FailureKind.REJECTED) -> FailedAttempt:
    """An exception of the caller's own code, which the caller gets as it is."""
    return FailedAttempt(Failure(kind, type(error).__name__), error, is_callers=True)


def is_response(failed: FailedAttempt) -> bool:
    """Whether the API answered with an HTTP error."""
    return failed.origin is not None and not isinstance(failed.origin, bytes)


def explain(lost: LostCall, report: RecoveryReport) -> str:
    """Why a call was given up, in a few sentences."""
    failure = lost.reported.failure
    received = sum(attempt.received_chars for attempt in report.attempts)
    return (
        f"The answer could not be completed: {failure.kind} ({failure.detail}). "
        f"{len(report.attempts)} attempt(s) brought {received} characters. "
        f"Given up because {report.explanation}. What arrived is in .report.partial."
    )
