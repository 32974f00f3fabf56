"""Sends the requests of one call through the SDK, and says what their ends mean."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anthropic

from unbroken import _http, _sdk
from unbroken._core.call import Call, Loss
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.frames import Framing, ServerSentEvents
from unbroken._core.recovery import Machine, Recovery, Retrying
from unbroken._report import EXTENSION, Reporter
from unbroken.errors import StreamInterrupted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
    from unbroken._core.resume import Plan
    from unbroken._drive.clock import AsyncClock, Clock

__all__ = ["AsyncSdkDoor", "SdkDoor"]

_CONNECTION = {FailureKind.DROPPED, FailureKind.STALLED, FailureKind.UNREACHABLE}


class _Upstream:
    """A response of the SDK."""

    def __init__(self, response: Any, loss: Loss | None, *, streams: bool) -> None:
        self.response = response
        # Inner middleware may answer with something that is no response at all.
        self.http: Any = getattr(response, "http_response", None)
        self.status = 200 if self.http is None else self.http.status_code
        self.request_id = None if self.http is None else self.http.headers.get("request-id")
        self.streams = streams and self.http is not None
        self.loss = loss

    def framing(self) -> Framing:
        return ServerSentEvents()


class SdkUpstream(_Upstream):
    """A response of the SDK's sync client."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the body, with compression undone."""
        return iter(self.http.iter_bytes() if self.streams else ())

    def close(self) -> None:
        """Close the connection, or give it back."""
        if self.http is not None:
            self.http.close()


class AsyncSdkUpstream(_Upstream):
    """A response of the SDK's async client."""

    _chunks: Any = None

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the body, with compression undone."""
        chunks: AsyncIterator[bytes] = self.http.aiter_bytes() if self.streams else _nothing()
        self._chunks = chunks
        return chunks

    async def close(self) -> None:
        """Close the connection, or give it back."""
        if self.http is None:
            return
        await self.http.aclose()
        with suppress(RuntimeError):  # another task is reading, and finds the connection closed
            await self._chunks.aclose()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


class _SdkCall:
    """What both doors know of a call.

    Args:
        request: The caller's request.
        call_next: Sends a request.
        policy: The policy of the call.
        prefill: What is known of models and prefill.
        clock: The time.
    """

    _is_async: bool

    def __init__(
        self,
        request: anthropic.APIRequest,
        call_next: Callable[[anthropic.APIRequest], Any],
        policy: Policy,
        prefill: Prefill,
        clock: Clock | AsyncClock,
    ) -> None:
        self._request = request
        self._call_next = call_next
        self._policy = policy
        self._prefill = prefill
        self._clock = clock
        self._client = _sdk.client_of(call_next)
        self._timeout, self._timeout_is_set = _sdk.timeout_of(request, self._client)
        self._is_message = _sdk.is_message_call(request)
        self._last: Any = None
        body = _sdk.body_of(request)
        self._resumes = self._is_message and request.stream and _has_messages(body)
        self.machine: Machine = self._recovery(body) if self._resumes else self._retrying(body)
        beta = _sdk.is_beta(request)
        self.reporter = Reporter(self.machine, lambda data: _sdk.message_of(data, beta=beta))

    def _retrying(self, body: Any) -> Retrying:
        return Retrying(self._policy, body, self._clock.now())

    def _recovery(self, body: Any) -> Recovery:
        live = _sdk.eager_tool_input(self._request, body)
        if self._policy.thinking == "live":
            live |= {"thinking", "redacted_thinking"}
        return Recovery(
            self._policy,
            body,
            self._clock.now(),
            prefill=self._prefill,
            live=live,
            progress_timeout=self._progress_timeout(),
        )

    # Timeouts: what the caller set wins

    def _read_timeout(self) -> float | None:
        if self._resumes and not self._timeout_is_set:
            return self._policy.idle_timeout
        read: float | None = self._timeout.read
        return read

    def _progress_timeout(self) -> float | None:
        progress = self._policy.progress_timeout
        if progress is None or not self._timeout_is_set or self._timeout is None:
            return progress
        return None if self._timeout.read is None else max(progress, self._timeout.read)

    def _attempt_timeout(self, call: Call) -> anthropic.Timeout | None:
        """The timeouts of the next attempt; None to leave them as they are."""
        if self._timeout is None:
            return None
        read = self._read_timeout()
        if call.bounds.ends is not None:
            left = max(call.bounds.ends - self._clock.now(), 0.001)
            read = min(math.inf if read is None else read, left)
        if read == self._timeout.read:
            return None
        return _sdk.with_read_timeout(self._timeout, read)

    # Requests and what they mean

    def _next_request(self, plan: Plan, call: Call) -> anthropic.APIRequest:
        timeout = self._attempt_timeout(call)
        return _sdk.next_request(self._request, plan.body, call.attempt.number, timeout)

    def _loss_of(self, http: Any, body: bytes) -> Loss | None:
        """Why a response whose body was read is no answer, if it is none."""
        if not http.is_success:
            return _http.http_loss(http, body, self._clock.wall())
        try:
            json.loads(body)
        except ValueError as error:
            return Loss(
                Failure(FailureKind.DROPPED, "the body is no JSON", http.status_code), error
            )
        return None

    def _is_read_whole(self, http: Any) -> bool:
        return not http.is_success or (self._is_message and not self._request.stream)

    def loss(self, error: Exception) -> Loss:
        """Tell what an exception of `send()` or of a body means."""
        if isinstance(error, anthropic.APIStatusError):
            return _http.http_loss(error.response, b"", self._clock.wall())
        origin: BaseException = error
        if isinstance(error, anthropic.APIConnectionError) and error.__cause__ is not None:
            origin = error.__cause__
        failure = _http.transport_failure(origin)
        if failure is None:
            return Loss(Failure(FailureKind.REJECTED, type(origin).__name__), error)
        return Loss(failure, origin)

    # What the caller gets to see of a lost call

    def give_up(self) -> Any:
        """Raise the error of a call of which nothing was returned yet, or return what raises it."""
        call = self.machine.call
        if self._is_response(call.speaker) and call.first is call.speaker:
            self._last.http_response.headers["x-should-retry"] = "false"
            self._last.http_response.extensions[EXTENSION] = self.reporter
            return self._last
        error = self._error()
        if not isinstance(error, StreamInterrupted):
            raise error
        if not _sdk.retries_remain(self._request, self._client):
            raise error
        response = _http.raising_response(error, is_async=self._is_async)
        return _sdk.api_response(self._request, self._client, response, is_async=self._is_async)

    def surface(self, call: Call) -> bytes:
        """Raise what the caller gets to see of a lost call, or return the frame that says it."""
        if isinstance(call.speaker.origin, bytes):
            return call.speaker.origin
        raise self._error()

    def closed(self) -> Exception:
        """What a reader gets after somebody closed the stream."""
        error: Exception = _http.library_of(anthropic.DefaultHttpxClient).StreamClosed()
        return error

    def _is_response(self, loss: Loss) -> bool:
        return loss.origin is not None and not isinstance(loss.origin, bytes)

    def _error(self) -> BaseException:
        """The exception for a lost call, with what first went wrong as its cause."""
        call = self.machine.call
        error = self._error_of(call.speaker)
        if error.__cause__ is None and call.first is not None and call.first is not call.speaker:
            error.__cause__ = self._error_of(call.first)
        return error

    def _error_of(self, loss: Loss) -> BaseException:
        if self._is_response(loss):
            error = _sdk.status_error(self._client, loss.origin)
            if error is not None:
                loss.origin.headers["x-should-retry"] = "false"
                loss.origin.extensions[EXTENSION] = self.reporter
                return error
        elif loss.failure.kind not in _CONNECTION and loss.error is not None:
            return loss.error
        interrupted = self._interrupted()
        interrupted.__cause__ = loss.error
        return interrupted

    def _interrupted(self) -> StreamInterrupted:
        report = self.reporter.report()
        first = self.machine.call.speaker.failure
        kept = sum(attempt.received_chars for attempt in report.attempts)
        message = (
            f"The answer could not be brought to its end: {first.kind} ({first.detail}). "
            f"{len(report.attempts)} attempt(s) brought {kept} characters. "
            f"Given up because {report.reason}. What arrived is in .report.partial."
        )
        return StreamInterrupted(message, report=report, method="POST", url=self.url)

    @property
    def url(self) -> str:
        """The URL that requests go to, as far as it is known."""
        base = "" if self._client is None else str(self._client.base_url).rstrip("/")
        return base + self._request.url


class SdkDoor(_SdkCall):
    """Sends the requests of one call of a sync client."""

    _is_async = False

    def send(self, plan: Plan, call: Call) -> SdkUpstream:
        """Send a request, and return the response that began."""
        response = self._call_next(self._next_request(plan, call))
        http = getattr(response, "http_response", None)
        loss = None
        if http is not None and self._is_read_whole(http):
            loss = self._loss_of(http, http.read())
        self._last = response
        return SdkUpstream(response, loss, streams=self._resumes)


class AsyncSdkDoor(_SdkCall):
    """Sends the requests of one call of an async client."""

    _is_async = True

    async def send(self, plan: Plan, call: Call) -> AsyncSdkUpstream:
        """Send a request, and return the response that began."""
        response = await self._call_next(self._next_request(plan, call))
        http = getattr(response, "http_response", None)
        loss = None
        if http is not None and self._is_read_whole(http):
            loss = self._loss_of(http, await http.aread())
        self._last = response
        return AsyncSdkUpstream(response, loss, streams=self._resumes)


def _has_messages(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("messages"), list)
