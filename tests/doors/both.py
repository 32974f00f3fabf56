"""Calls through the sync or the async client of the SDK, told alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import pytest
from tests.doors.conftest import AsyncClock, Clock, request
from tests.samples import AT_ONCE

import unbroken
from unbroken._doors.http import sdk_library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.testing import FaultServer

LIBRARY: Any = sdk_library()


class Both:
    """Makes calls of one kind.

    Attributes:
        is_async: Whether in tasks.
        streams: Whether as streams.
    """

    def __init__(self, is_async: bool, streams: bool) -> None:
        self.is_async = is_async
        self.streams = streams
        self.clock = AsyncClock() if is_async else Clock()

    def call(
        self,
        server: FaultServer,
        policy: Any = AT_ONCE,
        *,
        send: Callable[[Any], None] = lambda _: None,
        inner: Sequence[Any] = (),
        outer: Sequence[Any] = (),
        change: Callable[[Any], Any] = lambda client: client,
        **settings: Any,
    ) -> Any:
        """The message of a call; a stream that it came from is its `stream`.

        Args:
            server: Answers.
            policy: The policy.
            send: Called with each request before it is sent; may raise.
            inner: Middlewares between the recovery and the SDK.
            outer: Middlewares between the caller and the recovery.
            change: Makes the client that calls of the wrapped one.
            settings: Of the client.
        """
        options = {"base_url": server.url, "api_key": "test", "max_retries": 0, **settings}
        recovery = unbroken.RecoveryMiddleware(policy, clock=self.clock)
        options["middleware"] = [*outer, recovery, *inner]
        if self.is_async:
            return anyio.run(self._await, options, send, change)
        http = options.pop("http_client", None) or LIBRARY.Client(transport=Sending(send))
        with anthropic.Anthropic(http_client=http, **options) as client:
            ask = change(client).messages
            if not self.streams:
                return ask.create(**request())
            with ask.stream(**request()) as stream:
                return _with(stream.get_final_message(), stream)

    async def _await(self, options: Any, send: Any, change: Any) -> Any:
        http = options.pop("http_client", None) or LIBRARY.AsyncClient(transport=AsyncSending(send))
        async with anthropic.AsyncAnthropic(http_client=http, **options) as client:
            ask = change(client).messages
            if not self.streams:
                return await ask.create(**request())
            async with ask.stream(**request()) as stream:
                return _with(await stream.get_final_message(), stream)

    def middleware(self, before: Callable[[Any], None], after: Any = lambda _: None) -> Any:
        """A middleware that calls these with each request, and with each response."""

        def handle(request: Any, call_next: Any) -> Any:
            before(request)
            response = call_next(request)
            after(response)
            return response

        async def handle_async(request: Any, call_next: Any) -> Any:
            before(request)
            response = await call_next(request)
            after(response)
            return response

        return handle_async if self.is_async else handle


def _with(message: Any, stream: Any) -> Any:
    object.__setattr__(message, "stream", stream)
    return message


class Sending(LIBRARY.HTTPTransport):  # type: ignore[misc]
    """A transport that calls a function before it sends."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        super().__init__()
        self._before = send

    def handle_request(self, request: Any) -> Any:
        self._before(request)
        return super().handle_request(request)


class AsyncSending(LIBRARY.AsyncHTTPTransport):  # type: ignore[misc]
    """The same, for tasks."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        super().__init__()
        self._before = send

    async def handle_async_request(self, request: Any) -> Any:
        self._before(request)
        return await super().handle_async_request(request)


class Raising:
    """Raises these errors, one at each call, and then none; or the last one again and again."""

    def __init__(self, *errors: Exception, forever: bool = False) -> None:
        self.errors = list(errors)
        self.forever = forever
        self.calls = 0

    def __call__(self, _: Any) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors[0] if self.forever else self.errors.pop(0)


@pytest.fixture(params=["sync", "async"])
def is_async(request: Any) -> bool:
    return bool(request.param == "async")


@pytest.fixture(params=["stream", "plain"])
def both(request: Any, is_async: bool) -> Both:
    return Both(is_async, request.param == "stream")
