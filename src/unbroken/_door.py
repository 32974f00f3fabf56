"""What all doors share: a call over HTTP, its responses, and how a lost call is told."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken import _http, _sdk
from unbroken._core.call import FailedAttempt
from unbroken._core.eventstream import CONTENT_TYPE, EventStream
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.frames import Framing, ServerSentEvents, from_json
from unbroken._core.recovery import Recovery
from unbroken._core.resume import PlanMode
from unbroken._report import EXTENSION, Reporter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    from unbroken._core.actions import Send
    from unbroken._core.call import LostCall
    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
    from unbroken._drive.clock import AsyncClock, Clock
    from unbroken._report import RecoveryReport

__all__ = [
    "CONNECTION",
    "Ask",
    "AsyncHttpUpstream",
    "HttpCall",
    "HttpDoor",
    "HttpUpstream",
    "ReadTimeout",
    "explain",
    "is_response",
]

CONNECTION = frozenset({FailureKind.DROPPED, FailureKind.STALLED, FailureKind.UNREACHABLE})
"""The failures of the connection, rather than errors of the API."""

_EAGER_HEADER = "fine-grained-tool-streaming-"


@dataclass(frozen=True, slots=True)
class ReadTimeout:
    """How long the caller's request waits for the next byte.

    Attributes:
        seconds: The seconds; None for no limit.
        is_set: Whether the caller set it. Otherwise the policy decides.
    """

    seconds: float | None
    is_set: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """What the caller asks for.

    Attributes:
        body: The JSON body, with the model in it.
        headers: The headers that the caller set, names in lower case.
        is_message: Whether it creates a message.
        streams: Whether the answer is to come as a stream.
        beta: Whether it is for the beta API.
        timeout: How long it waits for a byte; None if that is unknown, and cannot be changed.
        is_signed: Whether a signature covers the body, so that no other body can be sent.
    """

    body: Any
    headers: Mapping[str, str]
    is_message: bool
    streams: bool
    beta: bool
    timeout: ReadTimeout | None
    is_signed: bool = False

    @property
    def resumes(self) -> bool:
        """Whether a stream that drops can be resumed."""
        return self.is_message and self.streams and _has_messages(self.body)


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One call over HTTP.

    Attributes:
        ask: What the caller asks for.
        policy: The policy of the call.
        machine: Decides what to do.
        reporter: Makes the report.
    """

    ask: Ask
    policy: Policy
    machine: Recovery
    reporter: Reporter

    @classmethod
    def begin(cls, ask: Ask, policy: Policy, prefill: Prefill, now: float) -> HttpCall:
        """Start a call at this time, in monotonic seconds."""
        if ask.is_signed:
            policy = policy.replace(continuation="off")
        machine = Recovery(
            policy,
            ask.body,
            now,
            prefill=prefill,
            live=_live_blocks(policy, ask) if ask.resumes else (),
            progress_timeout=_progress_timeout(policy, ask),
        )
        reporter = Reporter(machine, lambda data: _sdk.message_of(data, beta=ask.beta))
        return cls(ask, policy, machine, reporter)


class _Upstream:
    """A response of the HTTP library; None where something else answered."""

    def __init__(self, http: Any, answer: dict[str, Any] | None, *, is_stream: bool) -> None:
        self.http = http
        self.status = 200 if http is None else http.status_code
        self.request_id = None if http is None else _http.request_id(http)
        self.is_stream = is_stream and http is not None
        self.answer = answer
        self.shares_connection = http is not None and http.http_version == "HTTP/2"

    def _is_compressed(self) -> bool:
        return "content-encoding" in self.http.headers

    def framing(self) -> Framing:
        """A new reader of the events of the body."""
        kind = self.http.headers.get("content-type", "")
        return EventStream() if kind.startswith(CONTENT_TYPE) else ServerSentEvents()


class HttpUpstream(_Upstream):
    """A response of a sync client."""

    _chunks: Iterator[bytes]

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the body, decompressed."""
        if not self.is_stream:
            self._chunks = _nothing()
        elif self._is_compressed():
            self._chunks = self.http.iter_bytes()
        else:  # what is not compressed need not go through the library's decoders
            self._chunks = iter(self.http.stream)
        return self._chunks

    def close(self) -> None:
        """Close the connection, or return it to the pool."""
        if self.http is not None:
            self.http.close()

    def abort(self) -> None:
        """Close the connection while another thread may be reading from it."""
        if self.http is not None:
            _http.hang_up(self.http)
            self.http.close()


def _nothing() -> Iterator[bytes]:
    return iter(())


class AsyncHttpUpstream(_Upstream):
    """A response of an async client."""

    _chunks: AsyncGenerator[bytes]

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the body, decompressed."""
        if not self.is_stream:
            self._chunks = _async_nothing()
        elif self._is_compressed():
            self._chunks = self.http.aiter_bytes()
        else:  # what is not compressed need not go through the library's decoders
            self._chunks = aiter(self.http.stream)
        return self._chunks

    async def close(self) -> None:
        """Close the connection, or return it to the pool."""
        if self.http is None:
            return
        await self.http.aclose()
        with suppress(RuntimeError):  # another task is reading, and finds the connection closed
            await self._chunks.aclose()

    async def abort(self) -> None:
        """Close the connection while another task may be reading from it."""
        await self.close()


async def _async_nothing() -> AsyncGenerator[bytes]:
    return
    yield b""


class _NoAnswerError(Exception):
    """A response came that is no answer."""

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

    def _read_timeout(self, time_left: float | None) -> float | None:
        """Seconds that the next attempt waits for a byte; what the caller set wins."""
        assert self._ask.timeout is not None
        read = self._ask.timeout.seconds
        if self._ask.resumes and not self._ask.timeout.is_set:
            read = self._policy.idle_timeout
        if time_left is None:
            return read
        return min(math.inf if read is None else read, max(time_left, 0.001))

    # What responses and exceptions mean

    def _is_read_whole(self, http: Any) -> bool:
        return not http.is_success or (self._ask.is_message and not self._ask.streams)

    def _answer(self, http: Any, body: bytes) -> dict[str, Any] | None:
        """The message in a response whose body was read; None if it is JSON of another kind.

        Raises:
            Exception: If it is no answer.
        """
        if not http.is_success:
            raise _NoAnswerError(_http.failed_response(http, body, self._clock.wall()))
        try:
            message = from_json(body)
        except ValueError as error:
            failure = Failure(FailureKind.DROPPED, "the body is no JSON", http.status_code)
            failed = FailedAttempt(failure, error, request_id=_http.request_id(http))
            raise _NoAnswerError(failed) from None
        return message if isinstance(message, dict) else None

    def failed_attempt(self, error: Exception) -> FailedAttempt:
        """What an exception of `send()` or of a body means."""
        if isinstance(error, _NoAnswerError):
            return error.failed
        cause = self._cause(error)
        failure = _http.transport_failure(cause)
        if failure is None:
            return FailedAttempt(Failure(FailureKind.REJECTED, type(cause).__name__), error)
        return FailedAttempt(failure, cause)

    def _cause(self, error: Exception) -> BaseException:
        """The exception of the HTTP library behind this one."""
        return error

    def _forget_request(self, request: Send, http: Any) -> None:
        """Drop what a continuation sent when its answer starts: it holds the partial answer."""
        if request.plan.mode is not PlanMode.AGAIN and http is not None:
            _http.forget_request(http)

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
        http.extensions[EXTENSION] = self._reporter
        return http


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
        f"Given up because {report.reason}. What arrived is in .report.partial."
    )


def _progress_timeout(policy: Policy, ask: Ask) -> float | None:
    """Seconds with nothing but pings that are too long; a longer timeout of the caller wins."""
    progress, timeout = policy.progress_timeout, ask.timeout
    if progress is None or timeout is None or not timeout.is_set:
        return progress
    return None if timeout.seconds is None else max(progress, timeout.seconds)


def _live_blocks(policy: Policy, ask: Ask) -> set[str]:
    """The types of blocks to deliver as they come; for tools, also `tool_use name`."""
    live = {"thinking", "redacted_thinking"} if policy.thinking == "live" else set()
    if _EAGER_HEADER in ask.headers.get("anthropic-beta", ""):
        return live | {"tool_use"}
    tools = (tool for tool in ask.body.get("tools") or () if isinstance(tool, dict))
    return live | {f"tool_use {t.get('name')}" for t in tools if t.get("eager_input_streaming")}


def _has_messages(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("messages"), list)
