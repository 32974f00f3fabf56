"""Transports for any client that is built on `httpx` or `httpx2`.

    import httpx
    from unbroken.transport import RecoveryTransport

    client = httpx.Client(transport=RecoveryTransport(httpx.HTTPTransport()))

Requests that create a message (a POST to `.../v1/messages`, to Bedrock's `/model/.../invoke` or
`/invoke-with-response-stream`, or to a Claude model of Vertex AI) are retried and resumed as by
`wrap()`, streamed or not. All others are passed to the inner transport unchanged.

A transport runs below authentication: later attempts are sent with the headers of the first. A
signed body (AWS Signature Version 4) cannot be changed, so a drop after the first text is not
resumed; `wrap()` has no such limit.

A call that was given up ends as it does in `httpx`: an error response is returned (with
`x-should-retry: false`), a broken connection raises the transport's own exception (`ReadError`,
`ConnectTimeout`, ...), a body that ended early raises `RemoteProtocolError`, a stalled one
`ReadTimeout`. An HTTP error after the stream started is delivered as an `error` event.
`unbroken.report()` takes the response or the exception.

Streams with the default timeouts of the library or of the `anthropic` SDK wait
`Policy.idle_timeout` for the next byte. Other timeouts are respected.

Set `max_retries=0` on a client that retries by itself, such as one of the SDK: otherwise it retries
lost connections again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from unbroken._core.actions import GiveUp
from unbroken._doors import http
from unbroken._doors.report import EXTENSION
from unbroken._doors.responses import spliced_response
from unbroken._doors.setup import ClientState
from unbroken._doors.targets import Fallbacks
from unbroken._doors.transport import AsyncTransportDoor, TransportDoor, ask_of, may_create_message
from unbroken._drive.body import AsyncBody, Body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import httpx
    import httpx2
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from unbroken._core.events import RecoveryEvent
    from unbroken._core.policy import Policy
    from unbroken._doors.call import HttpCall
    from unbroken._doors.targets import Target
    from unbroken._drive.aio import AsyncDriver
    from unbroken._drive.clock import AsyncClock, Clock
    from unbroken._drive.ports import Fleet
    from unbroken._drive.sync import Driver
    from unbroken.journal.protocol import Journal

    class _SyncBase(httpx.BaseTransport, httpx2.BaseTransport):
        """The base class, for type checkers."""

        def handle_request(self, request: Any) -> Any: ...

    class _AsyncBase(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):
        """The base class, for type checkers."""

        async def handle_async_request(self, request: Any) -> Any: ...

else:  # `_Recovering` finds the base that fits the inner transport
    _SyncBase = _AsyncBase = object

__all__ = ["AsyncRecoveryTransport", "RecoveryTransport"]


class _Recovering:
    """The settings of both transports."""

    _base: str

    def __new__(cls, inner: Any, *_: Any, **__: Any) -> Self:
        made: Self = object.__new__(http.transport_class(cls, cls._base, inner))
        return made

    def __init__(
        self,
        inner: Any,
        policy: Policy | None = None,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        on_event: Callable[[RecoveryEvent], object] | None = None,
        clock: Clock | AsyncClock | None = None,
        journal: Journal | None = None,
        fallbacks: Sequence[Target] = (),
        fleet: Fleet | None = None,
    ) -> None:
        self._inner = inner
        self._state = ClientState(
            policy,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            on_event=on_event,
            clock=clock,
            journal=journal,
            fallbacks=Fallbacks(fallbacks, _refuse),
            fleet=fleet,
        )
        if self._base == "BaseTransport":
            self._state.check_for_threads()


def _refuse(_: Any) -> Any:
    raise ValueError("fallbacks: a transport has one host; leave Target(client=...) to wrap()")


class RecoveryTransport(_Recovering, _SyncBase):
    """A transport that retries and resumes, for `httpx.Client` and `httpx2.Client`.

    It is an `httpx.BaseTransport` or an `httpx2.BaseTransport`, as the inner transport is.

    Args:
        inner: The transport that sends, such as `httpx.HTTPTransport()`.
        policy: When to retry, how long to wait, and when to give up; `Policy.from_env()` if None.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
        on_event: Called with each `RecoveryEvent` as it happens. Exceptions that it raises are
            logged and suppressed.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.
        journal: Keeps the answers of `unbroken.durable()` and of calls with an `Idempotency-Key`
            header; that of the variable `UNBROKEN_JOURNAL` if None.
        fallbacks: Other models, which are asked in this order where the request's own would have to
            be waited for longer than `Policy.patience`; without a client of their own.
        fleet: A `RedisFleet`, with whose processes cooldowns and the retry budget are shared.

    Raises:
        TypeError: If `inner` is not a sync transport of httpx or httpx2.
        ValueError: If `policy` is not a `Policy`, `on_event` is not callable or is a coroutine
            function, or an environment variable has an invalid value.
    """

    _base = "BaseTransport"

    def handle_request(self, request: Any) -> Any:
        """Answer a request."""
        if not may_create_message(request):
            return self._inner.handle_request(request)
        request.read()
        ask = ask_of(request)
        if ask is None:
            return self._inner.handle_request(request)
        state = self._state
        call = state.begin(ask, state.clock.now())
        door = TransportDoor(call, self._inner, request, state.clock)
        driver = state.driver(call, door, request.method)
        action = driver.open()
        if isinstance(action, GiveUp):
            return door.final_response(action.lost)
        try:
            return _returned(call, door, driver, Body)
        except BaseException:
            driver.close()
            raise

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


class AsyncRecoveryTransport(_Recovering, _AsyncBase):
    """A transport that retries and resumes, for the async clients of httpx and httpx2.

    It is an `httpx.AsyncBaseTransport` or an `httpx2.AsyncBaseTransport`, as the inner transport
    is.

    Args:
        inner: The transport that sends, such as `httpx.AsyncHTTPTransport()`.
        policy: When to retry, how long to wait, and when to give up; `Policy.from_env()` if None.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
        on_event: Called with each `RecoveryEvent` as it happens; it may be a coroutine function.
            Exceptions that it raises are logged and suppressed.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.
        journal: Keeps the answers of `unbroken.durable()` and of calls with an `Idempotency-Key`
            header; that of the variable `UNBROKEN_JOURNAL` if None.
        fallbacks: Other models, which are asked in this order where the request's own would have to
            be waited for longer than `Policy.patience`; without a client of their own.
        fleet: A `RedisFleet`, with whose processes cooldowns and the retry budget are shared.

    Raises:
        TypeError: If `inner` is not an async transport of httpx or httpx2.
        ValueError: If `policy` is not a `Policy`, `on_event` is not callable, or an environment
            variable has an invalid value.
    """

    _base = "AsyncBaseTransport"

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request."""
        if not may_create_message(request):
            return await self._inner.handle_async_request(request)
        await request.aread()
        ask = ask_of(request)
        if ask is None:
            return await self._inner.handle_async_request(request)
        state = self._state
        call = state.begin(ask, state.async_clock.now())
        door = AsyncTransportDoor(call, self._inner, request, state.async_clock)
        driver = state.async_driver(call, door, request.method)
        action = await driver.open()
        if isinstance(action, GiveUp):
            return door.final_response(action.lost)
        try:
            return _returned(call, door, driver, AsyncBody)
        except BaseException:
            await driver.close()
            raise

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)


def _returned(
    call: HttpCall,
    door: TransportDoor | AsyncTransportDoor,
    driver: Driver | AsyncDriver,
    body: type,
) -> Any:
    """The response for the caller, whose body is read through the driver if it is a stream."""
    upstream: Any = driver.upstream
    if upstream.is_stream:
        return spliced_response(upstream.http, body, driver, {EXTENSION: call.reporter})
    upstream.http.extensions[EXTENSION] = call.reporter
    return door.unread(upstream.http)
