"""Whatever becomes of a stream, each of its spans ends, and ends once."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from opentelemetry.trace import StatusCode
from tenacity import wait_fixed
from tests.telemetry.recording import ASK, SDK_TRACES, of, values

from unbroken import FailureKind, Policy, Rule, Waiting
from unbroken._drive.finalizers import finalizers
from unbroken.testing import faults

if TYPE_CHECKING:
    from tests.telemetry.recording import Recording

SDK = [True, False] if SDK_TRACES else [False]


def assert_cancelled(recording: Recording) -> None:
    [attempt] = recording.attempts
    assert of(attempt, "unbroken.attempt.outcome") == "cancelled"
    assert attempt.status.status_code is StatusCode.UNSET
    assert recording.call.status.status_code is StatusCode.UNSET
    assert of(attempt, "error.type") is None
    assert recording.count("unbroken.calls", unbroken__call__outcome="cancelled") == 1


@pytest.mark.parametrize("sdk", SDK)
@pytest.mark.parametrize("events", [0, 3])
def test_closed(recording, server, sdk, events):
    opened = recording.client(server, sdk=sdk).messages.create(stream=True, **ASK)
    for _ in range(events):
        next(opened)
    opened.close()
    opened.close()
    assert_cancelled(recording)
    assert of(recording.attempts[0], "http.response.status_code") == 200


@pytest.mark.parametrize("sdk", SDK)
@pytest.mark.parametrize("events", [0, 3])
def test_dropped(recording, server, sdk, events):
    client = recording.client(server, sdk=sdk)
    opened = client.messages.create(stream=True, **ASK)
    for _ in range(events):
        next(opened)
    del opened
    gc.collect()
    assert finalizers().finish()
    assert_cancelled(recording)


def test_closed_by_another_thread_while_it_stalls(recording, server):
    server.script(faults.stall(after_chars=10))
    opened = recording.client(server).messages.create(stream=True, **ASK)
    begun = threading.Event()

    def close() -> None:
        begun.wait()
        opened.close()

    closer = threading.Thread(target=close)
    closer.start()
    next(opened)
    begun.set()
    with pytest.raises(Exception) as raised:  # noqa: PT011  # httpx's or httpx2's
        list(opened)
    assert type(raised.value).__name__ in ("StreamClosed", "ReadError")
    closer.join()
    assert_cancelled(recording)


def test_closed_while_waiting(recording, server):
    server.script(faults.reset(after_chars=10))
    waits = threading.Event()

    def on_event(event: Any) -> None:
        if isinstance(event, Waiting):
            waits.set()

    rules = {FailureKind.DROPPED: Rule(wait=wait_fixed(60))}
    client = recording.client(server, policy=Policy(rules=rules), on_event=on_event)
    opened = client.messages.create(stream=True, **ASK)

    def close() -> None:
        waits.wait()
        opened.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(Exception) as raised:  # noqa: PT011  # httpx's or httpx2's
        list(opened)
    assert type(raised.value).__name__ == "StreamClosed"
    closer.join()
    assert values(recording.attempts, "unbroken.attempt.outcome") == ["interrupted"]
    assert recording.call.status.status_code is StatusCode.UNSET
    assert recording.count("unbroken.recoveries", unbroken__recovery__outcome="cancelled") == 1


def test_an_exception_in_the_callers_code(recording, server):
    client = recording.client(server)

    def ask() -> None:
        with client.messages.stream(**ASK) as opened:
            for _ in opened:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask()
    assert_cancelled(recording)


# The HTTP library and the SDK leave generators to the garbage collector, which trio does not like.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.anyio
@pytest.mark.parametrize("sdk", SDK)
@pytest.mark.parametrize("events", [0, 3])
async def test_closed_async(recording, server, sdk, events):
    async with recording.async_client(server, sdk=sdk) as client:
        opened = await client.messages.create(stream=True, **ASK)
        for _ in range(events):
            await anext(opened)
        await opened.close()
    assert_cancelled(recording)


@pytest.mark.parametrize("sdk", SDK)
def test_dropped_async(recording, server, sdk):
    async def ask() -> None:
        async with recording.async_client(server, sdk=sdk) as client:
            opened = await client.messages.create(stream=True, **ASK)
            del opened
            gc.collect()

    asyncio.run(ask())
    assert finalizers().finish()
    assert_cancelled(recording)


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.anyio
@pytest.mark.parametrize("sdk", SDK)
async def test_cancelled_while_reading(recording, server, sdk):
    server.script(faults.stall(after_chars=10))
    reads = anyio.Event()

    async def ask(client: Any) -> None:
        async with client.messages.stream(**ASK) as opened:
            async for _ in opened.text_stream:
                reads.set()

    async with recording.async_client(server, sdk=sdk) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client)
            await reads.wait()
            tasks.cancel_scope.cancel()
        gc.collect()
    assert_cancelled(recording)


@pytest.mark.anyio
@pytest.mark.parametrize("sdk", SDK)
async def test_cancelled_while_asking(recording, server, sdk):
    server.script(faults.hang())
    async with recording.async_client(server, sdk=sdk) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.messages.create(stream=True, **ASK))
            await anyio.to_thread.run_sync(server.wait_for_requests, 1)
            tasks.cancel_scope.cancel()
        gc.collect()
    assert_cancelled(recording)


@pytest.mark.parametrize("sdk", SDK)
def test_cancelled_by_asyncio(recording, server, sdk):
    server.script(faults.hang())

    async def ask() -> None:
        async with recording.async_client(server, sdk=sdk) as client:
            task = asyncio.create_task(client.messages.create(stream=True, **ASK))
            await asyncio.to_thread(server.wait_for_requests, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(ask())
    assert_cancelled(recording)
