"""Calls for messages that recover, and that go on where another process left them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from unbroken._core.actions import Finish, GiveUp
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._doors.responses import spliced_response
from unbroken._doors.setup import ClientState
from unbroken._doors.transport import AsyncTransportDoor, ask_of
from unbroken._drive.body import AsyncBody

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from unbroken._core.events import RecoveryEvent
    from unbroken._core.policy import Policy
    from unbroken._core.recovery import Recovery

__all__ = ["Calls"]

_AT_ONCE = 100
"""Frames to take in at once: more would hold up the event loop."""
_EVENTS = {"content-type": "text/event-stream"}


class Calls:
    """Makes calls through a transport.

    Args:
        inner: The transport.
        policy: When to retry, how long to wait, and when to give up.
        on_event: Called with what happens in each call.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        policy: Policy,
        on_event: Callable[[RecoveryEvent], object],
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._inner = inner
        self._state = ClientState(
            policy,
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            on_event=on_event,
            clock=None,
            journal=None,
        )

    async def make(self, request: httpx.Request, frames: Sequence[bytes] = ()) -> Any:
        """Send a request, and return its response, of which the body is resumed after drops.

        Args:
            request: The request.
            frames: What was delivered of the answer before: the response brings the rest.

        Raises:
            Exception: The transport's own, if the call was given up without a response.
        """
        ask = ask_of(request)
        if ask is None:
            return await self._inner.handle_async_request(request)
        state = self._state
        now = state.async_clock.now
        call = state.begin(ask, now())
        door = AsyncTransportDoor(call, self._inner, request, state.async_clock)
        driver = state.async_driver(call, door, request.method)
        rest = await _restore(call.machine, frames, now) if frames else b""
        action = await driver.open()
        if isinstance(action, GiveUp):
            return door.final_response(action.lost)
        upstream: Any = driver.upstream
        if upstream is None and isinstance(action, Finish):
            return httpx.Response(200, headers=_EVENTS, stream=httpx.ByteStream(rest))
        if upstream.is_stream:
            return spliced_response(upstream.http, AsyncBody, driver, {})
        return door.unread(upstream.http)


async def _restore(machine: Recovery, frames: Sequence[bytes], now: Callable[[], float]) -> bytes:
    """Bring a call to where it was; return what ends the message, if nothing need be asked."""
    machine.recalled(now(), found=True)
    machine.opened(ServerSentEvents, now(), status=200)
    ahead = 0  # bytes that came out, less those that went in
    for at in range(0, len(frames), _AT_ONCE):
        part = b"".join(frames[at : at + _AT_ONCE])
        ahead += len(machine.receive(part, now())) - len(part)
        await asyncio.sleep(0)
    assert ahead == 0, "what was delivered comes out as it is"
    return machine.body_ended(now())
