"""The SDK's door: a middleware for clients of the `anthropic` SDK, and `wrap()`, which adds it.

It knows how to send a request through the SDK and how to hand back what the caller expects. What to
send, when, and what to make of the answer is decided in `unbroken._core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import anthropic

from unbroken import _sdk, _sdk_clients
from unbroken._core.states import Phase
from unbroken._drive.body import AsyncBody, Body
from unbroken._report import EXTENSION
from unbroken._responses import spliced_response
from unbroken._sdk_door import AsyncSdkDoor, SdkDoor
from unbroken._setup import Setup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken._core.policy import Policy
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
        self._setup = Setup(
            policy,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            on_event=on_event,
            clock=clock,
        )

    @property
    def policy(self) -> Policy:
        """The policy of calls outside every `override()`."""
        return self._setup.policy

    def check_for(self, client: Any) -> None:
        """Raise `ValueError` if this cannot serve a client: a sync one, and `on_event` is async."""
        if not _sdk_clients.is_async(client):
            self._setup.check_for_threads()

    def handle(self, request: Any, call_next: Any) -> Any:
        """Answer a call of a sync client."""
        setup = self._setup
        door = SdkDoor(request, call_next, setup.call_policy(), setup.prefill, setup.clock)
        driver = setup.driver(door, request.method)
        phase = driver.open()
        if phase is Phase.LOST:
            return door.give_up()
        return _handed_back(door, driver, phase, Body)

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        """Answer a call of an async client."""
        setup = self._setup
        policy = setup.call_policy()
        door = AsyncSdkDoor(request, call_next, policy, setup.prefill, setup.async_clock)
        driver = setup.async_driver(door, request.method)
        phase = await driver.open()
        if phase is Phase.LOST:
            return door.give_up()
        return _handed_back(door, driver, phase, AsyncBody)


def _handed_back(
    door: SdkDoor | AsyncSdkDoor, driver: Driver | AsyncDriver, phase: Phase, body: type
) -> Any:
    """The response for the caller, read through the driver if it is a stream."""
    upstream: Any = driver.upstream
    response, door.response = door.response, None
    http = upstream.http
    extensions = {EXTENSION: door.reporter}
    if phase is Phase.READING:
        response.http_response = spliced_response(http, body, driver, extensions)
        response.http_response.stream.tell(response.http_response)
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
        ValueError: If `policy` is not a `Policy`, `on_event` cannot be called, or is a coroutine
            function and the client a sync one, or a variable of the environment is wrong.
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
    recovery.check_for(client)
    others = [one for one in client.middleware if not isinstance(one, RecoveryMiddleware)]
    return cast("ClientT", _sdk.copy_with(client, [*others, recovery]))
