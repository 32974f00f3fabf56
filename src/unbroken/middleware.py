"""The SDK's door: a middleware for clients of the `anthropic` SDK, and `wrap()`, which adds it.

It knows how to send a request through the SDK and how to hand back what the caller expects. What to
send, when, and what to make of the answer is decided in `unbroken._core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import anthropic

from unbroken._core.actions import GiveUp
from unbroken._doors import sdk_facts
from unbroken._doors.report import EXTENSION
from unbroken._doors.responses import spliced_response
from unbroken._doors.sdk import AsyncSdkDoor, SdkDoor, ask_of
from unbroken._doors.setup import ClientState
from unbroken._drive.body import AsyncBody, Body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken._core.policy import Policy
    from unbroken._doors.call import HttpCall
    from unbroken._drive.aio import AsyncDriver
    from unbroken._drive.sync import Driver

__all__ = ["RecoveryMiddleware", "wrap"]


class _Client(Protocol):
    """What the SDK's clients of all platforms have in common."""

    @property
    def middleware(self) -> Sequence[Any]: ...

    @property
    def with_options(self) -> Callable[..., Any]: ...


ClientT = TypeVar("ClientT", bound=_Client)


class RecoveryMiddleware(anthropic.Middleware):
    """Saves the answers of the client whose middleware it is.

    `wrap()` adds it to a client that exists; give it to the constructor where a library builds the
    client. Switch the SDK's own retries off then (`max_retries=0`), or the two take turns.

    Args:
        policy: When to try again, how long to wait, and when to stop; `Policy.from_env()` if it is
            None.
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
        on_event: Called with each `RecoveryEvent`, at the time; with an async client it may be a
            coroutine function. What it raises is logged, and goes no further.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.

    Raises:
        ValueError: If `policy` is not a `Policy`, `on_event` cannot be called, or a variable of the
            environment is wrong.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        tracer_provider: Any = None,
        meter_provider: Any = None,
        on_event: Callable[[Any], Any] | None = None,
        clock: Any = None,
    ) -> None:
        self._state = ClientState(
            policy,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            on_event=on_event,
            clock=clock,
        )

    @property
    def policy(self) -> Policy:
        """The policy of calls outside every `override()`."""
        return self._state.policy

    def handle(self, request: Any, call_next: Any) -> Any:
        """Answer a call of a sync client."""
        state = self._state
        call = state.begin(ask_of(request, call_next), state.clock.now())
        door = SdkDoor(call, request, call_next, state.clock)
        driver = state.driver(call, door, request.method)
        action = driver.open()
        if isinstance(action, GiveUp):
            return door.final_response(action.lost)
        return _returned(call, door, driver, Body)

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        """Answer a call of an async client."""
        state = self._state
        call = state.begin(ask_of(request, call_next), state.async_clock.now())
        door = AsyncSdkDoor(call, request, call_next, state.async_clock)
        driver = state.async_driver(call, door, request.method)
        action = await driver.open()
        if isinstance(action, GiveUp):
            return door.final_response(action.lost)
        return _returned(call, door, driver, AsyncBody)


def _returned(
    call: HttpCall, door: SdkDoor | AsyncSdkDoor, driver: Driver | AsyncDriver, body: type
) -> Any:
    """The response for the caller, whose body is read through the driver if it is a stream."""
    upstream: Any = driver.upstream
    response, door.response = door.response, None
    http = upstream.http
    extensions = {EXTENSION: call.reporter}
    if upstream.is_stream:
        response.http_response = spliced_response(http, body, driver, extensions)
        response.http_response.stream.set_response(response.http_response)
    elif http is not None:
        http.extensions.update(extensions)
    return response


def wrap(
    client: ClientT,
    policy: Policy | None = None,
    *,
    tracer_provider: Any = None,
    meter_provider: Any = None,
    on_event: Callable[[Any], Any] | None = None,
    clock: Any = None,
) -> ClientT:
    """Give a client answers that reach their end.

    The result is a client of the same class, with one more middleware and with the SDK's own
    retries off. It shares the connections of the given client, which stays as it is. Wrapping a
    wrapped client replaces what it was wrapped with.

    Args:
        client: A sync or async client of the `anthropic` SDK, of any of its classes.
        policy: When to try again, how long to wait, and when to stop; `Policy.from_env()` if it is
            None.
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
        on_event: Called with each `RecoveryEvent`, at the time; with an async client it may be a
            coroutine function. What it raises is logged, and goes no further.
        clock: The time, for tests: an object with `now()`, `wall()` and `sleep()`.

    Raises:
        TypeError: If `client` is no client of the SDK.
        ValueError: If `policy` is not a `Policy`, `on_event` cannot be called, or a variable of the
            environment is wrong.
    """
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
    )
    others = [one for one in client.middleware if not isinstance(one, RecoveryMiddleware)]
    return cast("ClientT", sdk_facts.copy_with(client, [*others, recovery]))
