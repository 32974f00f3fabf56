"""Streams that are closed while the response of a further attempt is awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import httpx
import pytest
from anyio import to_thread
from tests.doors.both import LIBRARY
from tests.doors.conftest import request

import unbroken
from unbroken.testing import FaultServer, faults
from unbroken.transport import AsyncRecoveryTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NO_WAIT = unbroken.Policy(time_scale=0, budget=None)
DROP = faults.reset(after_chars=30)
SCRIPTS = {
    "continuation": [DROP, faults.hang()],
    "retry": [DROP, faults.status(529), faults.hang()],
}


async def closed_while_awaited(
    server: FaultServer, attempts: int, chunks: Any, close: Callable[[], Awaitable[None]]
) -> list[Exception]:
    """What a reader gets when another task closes its stream as the last attempt is awaited."""
    raised: list[Exception] = []

    async def read() -> None:
        try:
            async for _ in chunks:
                pass
        except Exception as error:  # noqa: BLE001  # the test looks at it
            raised.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        assert await to_thread.run_sync(server.wait_for_requests, attempts)
        await close()
    assert await to_thread.run_sync(server.wait_idle), "the connection was left open"
    return raised


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_stream_in_a_task_is_closed_at_once(serve, script, backend):
    server = serve(faults=script)
    events: list[unbroken.RecoveryEvent] = []

    async def run() -> list[Exception]:
        bare = anthropic.AsyncAnthropic(base_url=server.url, api_key="test", timeout=None)
        async with unbroken.wrap(bare, NO_WAIT, on_event=events.append) as client:
            stream = await client.messages.create(**request(stream=True))
            return await closed_while_awaited(server, len(script), stream, stream.close)

    [error] = anyio.run(run, backend=backend)
    assert isinstance(error, LIBRARY.StreamClosed)
    assert isinstance(events[-1], unbroken.Cancelled)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stream_of_a_transport_in_a_task_is_closed_at_once(serve, backend):
    server = serve(faults=SCRIPTS["continuation"])
    events: list[unbroken.RecoveryEvent] = []

    async def run() -> list[Exception]:
        inner = httpx.AsyncHTTPTransport()
        transport = AsyncRecoveryTransport(inner, NO_WAIT, on_event=events.append)
        headers = {"x-api-key": "test", "anthropic-version": "2023-06-01"}
        async with (
            httpx.AsyncClient(transport=transport, timeout=None, headers=headers) as client,
            client.stream("POST", f"{server.url}/v1/messages", json=request(stream=True)) as got,
        ):
            return await closed_while_awaited(server, 2, got.aiter_bytes(), got.aclose)

    [error] = anyio.run(run, backend=backend)
    assert isinstance(error, httpx.StreamClosed)
    assert isinstance(events[-1], unbroken.Cancelled)
