"""The other door: transports for any client that is built on `httpx` or `httpx2`.

    import httpx
    from unbroken.transport import RecoveryTransport

    client = httpx.Client(transport=RecoveryTransport(httpx.HTTPTransport()))

Requests that create a message (a POST to `.../v1/messages`, to Bedrock's `/model/.../invoke` or
`/invoke-with-response-stream`, or to a Claude model of Vertex AI) get the answers that `wrap()`
gives, whole or streamed; all others go to the inner transport as they are.

A transport stands below authentication: later attempts are sent with the headers of the first. A
body that is signed (AWS Signature Version 4) cannot be changed, so that a drop after the first text
is passed on; `wrap()` has no such limit.

What the caller gets of a call that was given up is what `httpx` gives: an error response is
returned (with `x-should-retry: false`), a broken connection raises the transport's own exception
(`ReadError`, `ConnectTimeout`, ...), a body that ended early raises `RemoteProtocolError`, a
stalled one `ReadTimeout`; an HTTP error that ends a stream already begun comes as an `error` event.
`unbroken.report()` takes the response or the exception.

Streams whose timeouts are the library's default or that of the `anthropic` SDK wait
`Policy.idle_timeout` for the next byte; other timeouts are taken as they are.

A client of the SDK (or another one that retries) on top of this retries lost connections anew: set
`max_retries=0` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from unbroken import _http
from unbroken._core.states import Phase
from unbroken._drive.body import AsyncBody, Body
from unbroken._report import EXTENSION
from unbroken._responses import spliced_response
from unbroken._setup import Setup
from unbroken._transport_door import AsyncTransportDoor, TransportDoor, ask_of, may_create_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import httpx
    import httpx2

    from unbroken._core.policy import Policy
    from unbroken._drive.aio import AsyncDriver
    from unbroken._drive.sync import Driver

    class _SyncBase(httpx.BaseTransport, httpx2.BaseTransport):
        """What a type checker is to take it for."""

        def handle_request(self, request: Any) -> Any: ...

    class _AsyncBase(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):
        """What a type checker is to take it for."""

        async def handle_async_request(self, request: Any) -> Any: ...

else:  # `_Recovering` finds the base that fits the inner transport
    _SyncBase = _AsyncBase = object

__all__ = ["AsyncRecoveryTransport", "RecoveryTransport"]


class _Recovering:
    """What both transports are set up with."""

    _base: str

    def __new__(cls, inner: Any, *_: Any, **__: Any) -> Self:
        base = getattr(_http.library_of(inner), cls._base)
        if not isinstance(inner, base):
            raise TypeError(f"inner must be an {cls._base}, not {type(inner).__name__}")
        made: Self = object.__new__(_http.joined_class(cls, base))
        return made

    def __init__(
        self,
        inner: Any,
        policy: Policy | None = None,
        *,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        on_event: Callable[[Any], Any] | None = None,
        clock: Any = None,
    ) -> None:
        self._inner = inner
        self._setup = Setup(
            policy,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            on_event=on_event,
            clock=clock,
        )
        if self._base == "BaseTransport":
            self._setup.check_for_threads()


class RecoveryTransport(_Recovering, _SyncBase):
    """A transport that gives messages their end, for `httpx.Client` and `httpx2.Client`.

    It is an `httpx.BaseTransport` or an `httpx2.BaseTransport`, as the inner transport is.

    Args:
        inner: The transport that sends, such as `httpx.HTTPTransport()`.
        policy: When to try again, how long to wait, and when to stop; `Policy.from_env()` if it is
            None.
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
        on_event: Called with each `RecoveryEvent`, at the time; no coroutine function. What it
            raises is logged, and goes no further.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.

    Raises:
        TypeError: If `inner` is no sync transport of httpx or httpx2.
        ValueError: If `policy` is not a `Policy`, `on_event` cannot be called, or a variable of the
            environment is wrong.
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
        setup = self._setup
        door = TransportDoor(
            self._inner, request, ask, setup.call_policy(), setup.prefill, setup.clock
        )
        driver = setup.driver(door, request.method)
        phase = driver.open()
        if phase is Phase.LOST:
            return door.give_up()
        return _handed_back(door, driver, phase, Body)

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
    """A transport that gives messages their end, for the async clients of httpx and httpx2.

    It is an `httpx.AsyncBaseTransport` or an `httpx2.AsyncBaseTransport`, as the inner transport
    is.

    Args:
        inner: The transport that sends, such as `httpx.AsyncHTTPTransport()`.
        policy: When to try again, how long to wait, and when to stop; `Policy.from_env()` if it is
            None.
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
        on_event: Called with each `RecoveryEvent`, at the time; it may be a coroutine function.
            What it raises is logged, and goes no further.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.

    Raises:
        TypeError: If `inner` is no async transport of httpx or httpx2.
        ValueError: If `policy` is not a `Policy`, `on_event` cannot be called, or a variable of the
            environment is wrong.
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
        setup = self._setup
        door = AsyncTransportDoor(
            self._inner, request, ask, setup.call_policy(), setup.prefill, setup.async_clock
        )
        driver = setup.async_driver(door, request.method)
        phase = await driver.open()
        if phase is Phase.LOST:
            return door.give_up()
        return _handed_back(door, driver, phase, AsyncBody)

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


def _handed_back(
    door: TransportDoor | AsyncTransportDoor, driver: Driver | AsyncDriver, phase: Phase, body: type
) -> Any:
    """The response for the caller, read through the driver if it is a stream."""
    upstream: Any = driver.upstream
    if phase is Phase.READING:
        return spliced_response(upstream.http, body, driver, {EXTENSION: door.reporter})
    upstream.http.extensions[EXTENSION] = door.reporter
    return door.unread(upstream.http)
