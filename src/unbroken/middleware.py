"""A middleware for clients of the `anthropic` SDK, and `wrap()`, which adds it to a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import anthropic

from unbroken._core.actions import GiveUp
from unbroken._doors import sdk_clients, sdk_facts
from unbroken._doors.plain import as_plain, is_made_as_stream, streamed
from unbroken._doors.report import attach
from unbroken._doors.responses import spliced_response
from unbroken._doors.sdk import AsyncSdkDoor, SdkDoor, ask_of
from unbroken._doors.setup import ClientState
from unbroken._doors.targets import Fallbacks
from unbroken._drive.body import AsyncBody, Body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from unbroken._core.events import RecoveryEvent
    from unbroken._core.policy import Policy
    from unbroken._doors.call import Ask, HttpCall
    from unbroken._doors.targets import Target
    from unbroken._drive.aio import AsyncDriver
    from unbroken._drive.clock import AsyncClock, Clock
    from unbroken._drive.ports import Fleet
    from unbroken._drive.sync import Driver
    from unbroken.journal.protocol import Journal

__all__ = ["RecoveryMiddleware", "wrap"]


class _Client(Protocol):
    """What the SDK's clients of all platforms share."""

    @property
    def middleware(self) -> Sequence[Any]: ...

    @property
    def with_options(self) -> Callable[..., Any]: ...


ClientT = TypeVar("ClientT", bound=_Client)


class RecoveryMiddleware(anthropic.Middleware):
    """Retries the calls of a client, and resumes its streams.

    `wrap()` adds it to an existing client. Where a library builds the client, pass it to the
    constructor, and disable the SDK's own retries (`max_retries=0`): otherwise both retry.

    Args:
        policy: When to retry, how long to wait, and when to give up; `Policy.from_env()` if None.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
        on_event: Called with each `RecoveryEvent` as it happens; with an async client it may be a
            coroutine function. Exceptions that it raises are logged and suppressed.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.
        journal: Keeps the answers of `unbroken.durable()` and of calls with an `Idempotency-Key`
            header; that of the variable `UNBROKEN_JOURNAL` if None.
        fallbacks: Other models, accounts, regions or platforms, which are asked in this order where
            the client's own would have to be waited for longer than `Policy.patience`.
        fleet: A `RedisFleet`, with whose processes cooldowns and the retry budget are shared.

    Raises:
        ValueError: If `policy` is not a `Policy`, `on_event` is not callable, or an environment
            variable has an invalid value.
    """

    def __init__(
        self,
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
        self._state = ClientState(
            policy,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            on_event=on_event,
            clock=clock,
            journal=journal,
            fallbacks=Fallbacks(fallbacks, _bare),
            fleet=fleet,
        )

    @property
    def policy(self) -> Policy:
        """The policy of calls outside every `override()`."""
        return self._state.policy

    def check_for(self, client: Any) -> None:
        """Check that it can serve a client.

        Raises:
            ValueError: If `on_event` is a coroutine function, and the client a sync one, or if a
                fallback has a client of the other kind.
        """
        self._state.fallbacks.check_for(client)
        self.check_events_for(client)

    def check_events_for(self, client: Any) -> None:
        """Check that it can tell a client's events.

        Raises:
            ValueError: If `on_event` is a coroutine function, and the client a sync one.
        """
        if not sdk_clients.is_async(client):
            self._state.check_for_threads()

    def handle(self, request: Any, call_next: Any) -> Any:
        """Answer a call of a sync client."""
        client = sdk_facts.client_of(call_next)
        ask = ask_of(request, client)
        if not is_made_as_stream(ask, client, self._state.current_policy()):
            return self._answer(ask, request, call_next, client)
        ask = streamed(ask)
        streaming = sdk_facts.streamed_request(request, client, ask.body)
        response = self._answer(ask, streaming, call_next, client)
        if response.http_response.is_success:
            for _ in response.parse():
                pass
        return as_plain(request, client, response)

    def _answer(self, ask: Ask, request: Any, call_next: Any, client: Any) -> Any:
        state = self._state
        call = state.begin(ask, state.clock.now(), client)
        outermost = sdk_facts.is_outermost(client, self)
        door = SdkDoor(
            call, request, call_next, client, state.clock, state.fallbacks, is_outermost=outermost
        )
        driver = state.driver(call, door, request.method)
        action = driver.open()
        if isinstance(action, GiveUp):
            return door.final_response(action.lost)
        try:
            return _returned(call, door, driver, Body)
        except BaseException:
            driver.close()
            raise

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        """Answer a call of an async client."""
        client = sdk_facts.client_of(call_next)
        ask = ask_of(request, client)
        if not is_made_as_stream(ask, client, self._state.current_policy()):
            return await self._answer_async(ask, request, call_next, client)
        ask = streamed(ask)
        streaming = sdk_facts.streamed_request(request, client, ask.body)
        response = await self._answer_async(ask, streaming, call_next, client)
        if response.http_response.is_success:
            async for _ in await response.parse():
                pass
        return as_plain(request, client, response)

    async def _answer_async(self, ask: Ask, request: Any, call_next: Any, client: Any) -> Any:
        state = self._state
        call = state.begin(ask, state.async_clock.now(), client)
        outermost = sdk_facts.is_outermost(client, self)
        door = AsyncSdkDoor(
            call,
            request,
            call_next,
            client,
            state.async_clock,
            state.fallbacks,
            is_outermost=outermost,
        )
        driver = state.async_driver(call, door, request.method)
        action = await driver.open()
        if isinstance(action, GiveUp):
            return door.final_response(action.lost)
        try:
            return _returned(call, door, driver, AsyncBody)
        except BaseException:
            await driver.close()
            raise


def _returned(
    call: HttpCall, door: SdkDoor | AsyncSdkDoor, driver: Driver | AsyncDriver, body: type
) -> Any:
    """The response for the caller, whose body is read through the driver if it is a stream."""
    upstream: Any = driver.upstream
    response, door.response = door.response, None
    http = upstream.http
    if upstream.is_stream:
        spliced = spliced_response(http, body, driver, {})
        spliced.stream.set_response(spliced)
        attach(spliced, call.reporter)
        if response is http:  # the caller asked for it, with `cast_to`
            return spliced
        response.http_response = spliced
    elif http is not None:
        attach(http, call.reporter)
    return response


def wrap(
    client: ClientT,
    policy: Policy | None = None,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    on_event: Callable[[RecoveryEvent], object] | None = None,
    clock: Clock | AsyncClock | None = None,
    journal: Journal | None = None,
    fallbacks: Sequence[Target] = (),
    fleet: Fleet | None = None,
) -> ClientT:
    """Return a client that retries its calls and resumes its streams.

    It is a client of the same class, with one more middleware, and with the SDK's own retries
    disabled. It shares the connections of the given client, which is not changed. Wrapping a
    wrapped client replaces its policy and its settings.

    Args:
        client: A sync or async client of the `anthropic` SDK, of any of its classes.
        policy: When to retry, how long to wait, and when to give up; `Policy.from_env()` if None.
            All clients that are wrapped with the same policy share its retry budget.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
        on_event: Called with each `RecoveryEvent` as it happens, in the context of the thread or
            task that opens, reads or closes the stream; with an async client it may be a coroutine
            function. Exceptions that it raises are logged and suppressed.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.
        journal: Keeps the answers of `unbroken.durable()` and of calls with an `Idempotency-Key`
            header; that of the variable `UNBROKEN_JOURNAL` if None.
        fallbacks: Other models, accounts, regions or platforms, which are asked in this order where
            the client's own would have to be waited for longer than `Policy.patience`.
        fleet: A `RedisFleet`, with whose processes cooldowns and the retry budget are shared.

    Raises:
        TypeError: If `client` is not a client of the SDK.
        ValueError: If `policy` is not a `Policy`, `on_event` is not callable, or a coroutine
            function with a sync client, or an environment variable has an invalid value.
    """
    if isinstance(client, type):
        raise TypeError(f"client must be a client, not a class: wrap({client.__name__}())")
    if not hasattr(client, "with_options") or not hasattr(client, "middleware"):
        raise TypeError(
            f"client must be a client of anthropic 0.108 or later, not {type(client).__name__}"
        )
    recovery = RecoveryMiddleware(
        policy,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        on_event=on_event,
        clock=clock,
        journal=journal,
        fallbacks=fallbacks,
        fleet=fleet,
    )
    recovery.check_for(client)
    return cast("ClientT", sdk_facts.copy_with(client, [*_others(client), recovery]))


def _bare(client: Any) -> Any:
    """A copy of a client that neither retries nor recovers, nor makes a second span for a call."""
    with sdk_clients.unhooked():
        return sdk_facts.copy_with(client, _others(client), traces=False)


def _others(client: Any) -> list[Any]:
    """The other middleware of a client."""
    return [one for one in client.middleware if not isinstance(one, RecoveryMiddleware)]
