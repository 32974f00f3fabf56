"""Sends the requests of one call through the SDK."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anthropic

from unbroken._core.bounds import Reason
from unbroken._core.call import FailedAttempt
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.framing.eventstream import EventStream
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.journal.identity import IDEMPOTENCY_KEY
from unbroken._core.resume import PlanMode
from unbroken._doors import http as http_facts
from unbroken._doors import sdk_clients, sdk_facts
from unbroken._doors.call import Ask, ReadTimeout
from unbroken._doors.door import HttpDoor, NoAnswerError, callers_own, explain, is_response
from unbroken._doors.interrupted import StreamInterrupted, StreamTimedOut
from unbroken._doors.report import attach
from unbroken._doors.responses import raising_response, replayed_response
from unbroken._doors.targets import NO_FALLBACKS, arguments_of
from unbroken._doors.upstream import AsyncHttpUpstream, HttpUpstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken._core.actions import Send
    from unbroken._core.call import LostCall
    from unbroken._core.framing.frames import Framing
    from unbroken._doors.call import HttpCall
    from unbroken._doors.targets import Fallbacks
    from unbroken._drive.clock import AsyncClock, Clock
    from unbroken._drive.ports import AsyncUpstream, Upstream

__all__ = ["AsyncSdkDoor", "SdkDoor", "ask_of"]


def ask_of(request: anthropic.APIRequest, client: Any) -> Ask:
    """What a request of a client asks for; the client is None if it is unknown."""
    timeout, is_set = sdk_facts.timeout_of(request, client)
    body = sdk_facts.body_of(request)
    sends_stream = body.get("stream") is not False if isinstance(body, dict) else True
    return Ask(
        body=body,
        headers=sdk_facts.headers_of(request),
        is_message=sdk_facts.is_message_call(request),
        streams=request.stream and sends_stream,
        beta=sdk_facts.is_beta(request),
        timeout=None if timeout is None else ReadTimeout(timeout.read, is_set),
        host="" if client is None else str(client.base_url),
        path=request.url,
        provider=sdk_facts.provider_of(client),
        owner=sdk_facts.owner_of(request, client),
    )


class _SdkDoor(HttpDoor):
    """What both doors of the SDK share.

    Args:
        call: The call.
        request: The caller's request.
        call_next: Sends a request.
        client: The caller's client; None if it is unknown.
        clock: The time.
        fallbacks: The fallbacks of the client.
        is_outermost: Whether no other middleware gets what it returns or raises.
    """

    _is_async: bool

    def __init__(
        self,
        call: HttpCall,
        request: anthropic.APIRequest,
        call_next: Callable[[anthropic.APIRequest], Any],
        client: Any,
        clock: Clock | AsyncClock,
        fallbacks: Fallbacks = NO_FALLBACKS,
        *,
        is_outermost: bool = True,
    ) -> None:
        super().__init__(call, clock)
        self._fallbacks = fallbacks
        self._is_outermost = is_outermost
        self._request = request
        if call.identity is not None:
            self._request = sdk_facts.without_header(request, IDEMPOTENCY_KEY)
        self._call_next = call_next
        self._client = client
        self._timeout, _ = sdk_facts.timeout_of(request, self._client)
        self._begun = clock.now()
        self._replays = sdk_facts.streams_body(request)
        self._asked = self._client  # with which the last request was made
        self.response: Any = None
        """The SDK's response of the last attempt, until the caller has one."""

    def _next_request(self, request: Send) -> anthropic.APIRequest:
        self._asked = self._client
        self.response = timeout = None
        if self._timeout is not None:
            given = self._timeout.as_dict()
            timeouts = self._timeouts(given, request)
            if timeouts != given:
                timeout = anthropic.Timeout(**timeouts)
        headers = self._trace_headers() if sdk_facts.takes_trace_headers(self._client) else {}
        return sdk_facts.next_request(
            self._request, request.plan.body, request.number, timeout, headers
        )

    def _renews_token(self, response: Any) -> bool:
        """Whether the token was refused, and the request is to be sent with a new one."""
        if sdk_facts.retries_remain(self._request, self._client):
            return False  # the SDK does it
        return sdk_facts.renew_token(self._client, response)

    # Fallbacks

    def _ask_fallback(self, client: Any, request: Send) -> Any:
        """The context manager of a fallback's response."""
        self._asked, timeout = client, self._timeout
        if timeout is not None:
            timeout = anthropic.Timeout(**self._timeouts(timeout.as_dict(), request))
        arguments = arguments_of(self._ask, request.plan.body, timeout)
        return sdk_facts.ask_message(client, beta=self._ask.beta, arguments=arguments)

    def _as_own(self, response: Any) -> Any:
        """The response of a fallback, as one of the caller's own client."""
        return sdk_facts.api_response(
            self._request, self._client, response.http_response, is_async=self._is_async
        )

    @property
    def _framing(self) -> type[Framing] | None:
        """How the caller's own client reads streams, where a fallback may write them otherwise."""
        if not self._fallbacks:
            return None
        own = sdk_clients.reads_event_streams(self._client)
        return EventStream if own else ServerSentEvents

    # Responses

    def _http_response(self, request: Send, response: Any) -> Any:
        """The HTTP response behind one of the SDK, which is kept for the caller."""
        # The response of a continuation is read, but not returned.
        self.response = response if request.plan.mode is PlanMode.AGAIN else None
        if isinstance(response, http_facts.sdk_library().Response):
            return response  # the caller asked for one, with `cast_to`
        # Another middleware may answer with something else.
        return getattr(response, "http_response", None)

    def _read(self, response: Any, http: Any, raw: bytes) -> tuple[Any, bytes]:
        """A response whose raw body was read, for a caller who reads it, and the body."""
        seconds = self._clock.now() - self._begun
        replayed, content = replayed_response(http, raw, seconds, is_async=self._is_async)
        response.http_response = replayed
        return replayed, content

    def failed_attempt(self, error: Exception) -> FailedAttempt:
        """What an exception of `send()` or of a body means."""
        if isinstance(error, anthropic.APIStatusError):  # of a fallback
            response = error.response
            body = response.content if response.is_stream_consumed else b""
            return http_facts.failed_response(response, body, self._clock.wall())
        if isinstance(error, anthropic.APIConnectionError):
            return self._connection_failed(error)
        return super().failed_attempt(error)

    def _not_called(self, error: Exception) -> FailedAttempt:
        """What an exception out of `call_next` means.

        It is a lost connection if the SDK or its HTTP library says so. All else was raised by
        another middleware, or by a provider of credentials, and is retried if the SDK would.
        """
        if http_facts.is_of_library(error):
            return super().failed_attempt(error)
        retried = sdk_facts.retried_by_sdk(error)
        if isinstance(retried, anthropic.APIStatusError):
            body = retried.body if isinstance(retried.body, dict) else b""
            failed = http_facts.failed_response(retried.response, body, self._clock.wall())
            return dataclasses.replace(failed, error=error, origin=None, is_callers=True)
        if isinstance(retried, anthropic.APIConnectionError):
            failed = self._connection_failed(retried)
            is_own = error is not retried
            return dataclasses.replace(failed, error=error, is_callers=True) if is_own else failed
        kind = FailureKind.REJECTED if retried is None else FailureKind.SERVER_ERROR
        return callers_own(error, kind)

    def _connection_failed(self, error: anthropic.APIConnectionError) -> FailedAttempt:
        """A lost connection, whatever its cause is."""
        cause = error.__cause__ or error
        if self._asked is not None and self._asked.is_closed():
            return FailedAttempt(Failure(FailureKind.REJECTED, "the client is closed"), cause)
        failure = http_facts.transport_failure(cause)
        return FailedAttempt(failure or http_facts.connection_failure(cause), cause)

    def replayed(self, content_type: str, content: bytes) -> Any:
        """A response for the caller, for an answer that a journal holds."""
        library = http_facts.sdk_library()
        http = library.Response(
            200,
            headers={"content-type": content_type},
            content=content,
            request=library.Request("POST", self.url),
        )
        self.response = sdk_facts.api_response(
            self._request, self._client, http, is_async=self._is_async
        )
        return http

    # How a lost call is told

    def _error_response(self, lost: LostCall) -> Any:
        if self._returns_response(lost):
            http = self._given_up(lost.reported.origin)
            if self.response is http:  # it is no error to the SDK, which would return it
                return self._api_response(http)
            return self.response
        error = self._error(lost)
        if sdk_facts.retried_by_sdk(error) is None or isinstance(error, anthropic.APIStatusError):
            return None
        if not sdk_facts.retries_remain(self._request, self._client):
            return None
        return self._api_response(raising_response(error, self.url, is_async=self._is_async))

    def _api_response(self, http: Any) -> Any:
        return sdk_facts.api_response(self._request, self._client, http, is_async=self._is_async)

    def _returns_response(self, lost: LostCall) -> bool:
        """Whether the caller gets the response: the SDK raises its error, without a cause.

        Another middleware is to see each response.
        """
        # The caller may have asked for the response itself; of a fallback there is none.
        http = getattr(self.response, "http_response", self.response)
        has_cause = lost.cause is not None and self._is_outermost
        told = http is not None and http is lost.reported.origin
        return told and lost.reason is not Reason.DRAINED and not has_cause

    def raise_or_frame(self, lost: LostCall) -> bytes:
        """Raise the error of a call whose stream is read, or return an error frame for it."""
        if lost.reason is Reason.DRAINED:
            raise self._error(lost)
        return super().raise_or_frame(lost)

    def _error(self, lost: LostCall) -> BaseException:
        """The exception for a lost call, with what first went wrong as its cause."""
        if lost.reason is Reason.DRAINED:
            return self._drained(lost)
        error = self._error_of(lost.reported, lost)
        if error.__cause__ is None and lost.cause is not None:
            cause = lost.cause.error or self._error_of(lost.cause, lost)
            error.__cause__ = None if cause is error else cause
        return error

    def _error_of(self, failed: FailedAttempt, lost: LostCall) -> BaseException:
        if failed.is_callers:
            assert failed.error is not None
            if isinstance(failed.error, anthropic.APIStatusError):
                self._given_up(failed.error.response)
            return failed.error
        if is_response(failed):
            error = sdk_facts.status_error(self._client, failed.origin)
            if error is not None:
                self._given_up(failed.origin)
                return error
        return self._interrupted(lost, failed.error)

    def _given_up(self, http: Any) -> Any:
        """An error response as the caller gets it."""
        attach(http, self._reporter)
        retries = sdk_facts.retries_remain(self._request, self._client)
        return super()._given_up(http) if retries else http

    def _drained(self, lost: LostCall) -> StreamInterrupted:
        failed = lost.reported
        cause = failed.error
        if is_response(failed):
            cause = sdk_facts.status_error(self._client, failed.origin)
        return self._interrupted(lost, cause)

    def _interrupted(self, lost: LostCall, cause: BaseException | None) -> StreamInterrupted:
        report = self._reporter.report()
        message = explain(lost, report)
        cls = StreamTimedOut if http_facts.timed_out(lost.reported) else StreamInterrupted
        method = self._request.method.upper()
        interrupted = cls(message, report=report, method=method, url=self.url)
        interrupted.__cause__ = cause
        return interrupted

    def closed(self) -> Exception:
        """What a reader gets after the stream was closed."""
        error: Exception = http_facts.sdk_library().StreamClosed()
        return error

    @property
    def url(self) -> str:
        """The URL that requests go to, as far as it is known."""
        if urlsplit(self._request.url).scheme:
            return self._request.url
        base = "" if self._client is None else str(self._client.base_url).rstrip("/")
        return base + self._request.url


class SdkDoor(_SdkDoor):
    """Sends the requests of one call of a sync client."""

    opened: Upstream | None = None
    _is_async = False

    def _called(self, request: anthropic.APIRequest) -> Any:
        try:
            return self._call_next(request)
        except Exception as error:  # noqa: BLE001  # what it means depends on where it is from
            raise NoAnswerError(self._not_called(error)) from None

    def send(self, request: Send) -> HttpUpstream:
        """Send a request, and return the response that started."""
        client = self._fallbacks.client(request.target)
        if client is None:
            response = self._called(self._next_request(request))
            if self._renews_token(response):
                getattr(response, "http_response", response).close()
                response = self._called(self._next_request(request))
        else:  # the driver closes it
            response = self._as_own(self._ask_fallback(client, request).__enter__())
        http, answer = self._http_response(request, response), None
        try:
            if http is not None and self._is_read_whole(http):
                http, content = self._read_whole(response, http)
                answer = self._answer(http, content)
            self._started(request, http)
            upstream = HttpUpstream(
                http, answer, is_stream=self._ask.resumes, read_as=self._framing
            )
            self.opened = upstream
        except BaseException:
            if http is not None:
                http.close()
            raise
        return upstream

    def _read_whole(self, response: Any, http: Any) -> tuple[Any, bytes]:
        if not (self._replays and http.is_success):
            return http, http.read()
        raw = bytearray()
        for part in http.iter_raw():
            raw += part
        return self._read(response, http, bytes(raw))


class AsyncSdkDoor(_SdkDoor):
    """Sends the requests of one call of an async client."""

    opened: AsyncUpstream | None = None
    _is_async = True

    async def _called(self, request: anthropic.APIRequest) -> Any:
        try:
            return await self._call_next(request)
        except Exception as error:  # noqa: BLE001  # what it means depends on where it is from
            raise NoAnswerError(self._not_called(error)) from None

    async def send(self, request: Send) -> AsyncHttpUpstream:
        """Send a request, and return the response that started."""
        client = self._fallbacks.client(request.target)
        if client is None:
            response = await self._called(self._next_request(request))
            if self._renews_token(response):
                await getattr(response, "http_response", response).aclose()
                response = await self._called(self._next_request(request))
        else:  # the driver closes it
            response = self._as_own(await self._ask_fallback(client, request).__aenter__())
        http, answer = self._http_response(request, response), None
        try:
            if http is not None and self._is_read_whole(http):
                http, content = await self._read_whole(response, http)
                answer = self._answer(http, content)
            self._started(request, http)
            upstream = AsyncHttpUpstream(
                http, answer, is_stream=self._ask.resumes, read_as=self._framing
            )
            self.opened = upstream
        except BaseException:
            if http is not None:
                await http.aclose()
            raise
        return upstream

    async def _read_whole(self, response: Any, http: Any) -> tuple[Any, bytes]:
        if not (self._replays and http.is_success):
            return http, await http.aread()
        raw = bytearray()
        async for part in http.aiter_raw():
            raw += part
        return self._read(response, http, bytes(raw))
