"""Sends the requests of one call through the SDK, and says what their ends mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic

from unbroken import _http, _sdk
from unbroken._core.resume import PlanMode
from unbroken._door import (
    CONNECTION,
    Ask,
    AsyncHttpUpstream,
    HttpCall,
    HttpUpstream,
    ReadTimeout,
    explain,
)
from unbroken._responses import raising_response
from unbroken.errors import StreamInterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken._core.call import Call, Loss
    from unbroken._core.models import Prefill
    from unbroken._core.policy import Policy
    from unbroken._core.resume import Plan
    from unbroken._drive.clock import AsyncClock, Clock

__all__ = ["AsyncSdkDoor", "SdkDoor"]


class _SdkCall(HttpCall):
    """What both doors of the SDK know of a call.

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
        self._client = _sdk.client_of(call_next)
        self._timeout, is_set = _sdk.timeout_of(request, self._client)
        self.response: Any = None
        """The SDK's response of the last attempt, until the caller has one."""
        ask = Ask(
            body=_sdk.body_of(request),
            headers=_sdk.headers_of(request),
            is_message=_sdk.is_message_call(request),
            streams=request.stream,
            beta=_sdk.is_beta(request),
            timeout=None if self._timeout is None else ReadTimeout(self._timeout.read, is_set),
        )
        super().__init__(ask, policy, prefill, clock)

    # Requests and what they mean

    def _next_request(self, plan: Plan, call: Call) -> anthropic.APIRequest:
        timeout = None
        if self._timeout is not None:
            read = self._read_timeout(call)
            if read != self._timeout.read:
                timeout = _sdk.with_read_timeout(self._timeout, read)
        return _sdk.next_request(self._request, plan.body, call.attempt.number, timeout)

    def loss(self, error: Exception) -> Loss:
        """Tell what an exception of `send()` or of a body means."""
        if isinstance(error, anthropic.APIStatusError):
            return _http.http_loss(error.response, b"", self._clock.wall())
        origin: BaseException = error
        if isinstance(error, anthropic.APIConnectionError) and error.__cause__ is not None:
            origin = error.__cause__
        return self._exception_loss(error, origin)

    # What the caller gets to see of a lost call

    def give_up(self) -> Any:
        """Raise the error of a call of which nothing was returned yet, or return what raises it."""
        call = self.machine.call
        if self._is_response(call.speaker) and call.first is call.speaker:
            self._given_up(self.response.http_response)
            return self.response
        error = self._error()
        if not isinstance(error, StreamInterrupted):
            raise error
        if not _sdk.retries_remain(self._request, self._client):
            raise error
        response = raising_response(error, is_async=self._is_async)
        return _sdk.api_response(self._request, self._client, response, is_async=self._is_async)

    def surface(self, call: Call) -> bytes:
        """Raise what the caller gets to see of a lost call, or return the frame that says it."""
        if isinstance(call.speaker.origin, bytes):
            return call.speaker.origin
        raise self._error()

    def closed(self) -> Exception:
        """What a reader gets after somebody closed the stream."""
        error: Exception = _http.sdk_library().StreamClosed()
        return error

    def _error(self) -> BaseException:
        """The exception for a lost call, with what first went wrong as its cause."""
        call = self.machine.call
        error = self._error_of(call.speaker)
        if error.__cause__ is None and call.first is not None and call.first is not call.speaker:
            error.__cause__ = call.first.error or self._error_of(call.first)
        return error

    def _error_of(self, loss: Loss) -> BaseException:
        if self._is_response(loss):
            error = _sdk.status_error(self._client, loss.origin)
            if error is not None:
                self._given_up(loss.origin)
                return error
        elif loss.failure.kind not in CONNECTION and loss.error is not None:
            return loss.error
        interrupted = self._interrupted()
        interrupted.__cause__ = loss.error
        return interrupted

    def _interrupted(self) -> StreamInterrupted:
        report = self.reporter.report()
        message = explain(self.machine.call, report)
        return StreamInterrupted(message, report=report, method="POST", url=self.url)

    @property
    def url(self) -> str:
        """The URL that requests go to, as far as it is known."""
        base = "" if self._client is None else str(self._client.base_url).rstrip("/")
        return base + self._request.url


class SdkDoor(_SdkCall):
    """Sends the requests of one call of a sync client."""

    _is_async = False

    def send(self, plan: Plan, call: Call) -> HttpUpstream:
        """Send a request, and return the response that began."""
        response = self._call_next(self._next_request(plan, call))
        # Inner middleware may answer with something else. What goes on is read, not handed back.
        http = getattr(response, "http_response", None)
        self.response = response if plan.mode is PlanMode.AGAIN else None
        loss = None
        if http is not None and self._is_read_whole(http):
            loss = self._loss_of(http, http.read())
        self._let_go(plan, http, loss)
        return HttpUpstream(http, loss, streams=self._resumes)


class AsyncSdkDoor(_SdkCall):
    """Sends the requests of one call of an async client."""

    _is_async = True

    async def send(self, plan: Plan, call: Call) -> AsyncHttpUpstream:
        """Send a request, and return the response that began."""
        response = await self._call_next(self._next_request(plan, call))
        # Inner middleware may answer with something else. What goes on is read, not handed back.
        http = getattr(response, "http_response", None)
        self.response = response if plan.mode is PlanMode.AGAIN else None
        loss = None
        if http is not None and self._is_read_whole(http):
            loss = self._loss_of(http, await http.aread())
        self._let_go(plan, http, loss)
        return AsyncHttpUpstream(http, loss, streams=self._resumes)
