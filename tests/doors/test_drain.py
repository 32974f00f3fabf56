"""Shutting down: waits end now, streams after a while, and nothing is asked for again."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import httpx
import pytest
from tests.doors.conftest import ANSWER, read, request

import unbroken
from unbroken import Policy, Reason, StreamInterrupted
from unbroken._drive import drain as drain_module
from unbroken.testing import FaultServer, faults
from unbroken.transport import AsyncRecoveryTransport

if TYPE_CHECKING:
    from collections.abc import Callable

OVERLOADED = [faults.status(529)] * 9
NOT_SOON = Policy(budget=None)  # 529: the next attempt is 30 s or more away

SYNC = """
import signal, sys
import anthropic, unbroken

signal.signal(signal.SIGTERM, lambda *_: unbroken.drain(timeout=0))
client = unbroken.wrap(
    anthropic.Anthropic(base_url=sys.argv[1], api_key="test"),
    on_event=lambda event: print(type(event).__name__, flush=True),
)
ask = dict(model="claude-opus-5-5", max_tokens=100, messages=[{"role": "user", "content": "Hi"}])
try:
    client.messages.create(**ask, stream=sys.argv[2] == "stream")
except unbroken.StreamInterrupted as error:
    print(error.report.reason, error.__cause__.status_code)
"""

ASYNC = """
import asyncio, signal, sys
import anthropic, unbroken

async def main():
    if sys.argv[2] == "stream":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, unbroken.drain)
    else:
        signal.signal(signal.SIGTERM, lambda *_: unbroken.drain())
    client = unbroken.wrap(
        anthropic.AsyncAnthropic(base_url=sys.argv[1], api_key="test"),
        on_event=lambda event: print(type(event).__name__, flush=True),
    )
    messages = [{"role": "user", "content": "Hi"}]
    ask = dict(model="claude-opus-5-5", max_tokens=100, messages=messages)
    try:
        await client.messages.create(**ask, stream=sys.argv[2] == "stream")
    except unbroken.StreamInterrupted as error:
        print(error.report.reason, error.__cause__.status_code)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["plain", "stream"])
@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["threads", "tasks"])
def test_sigterm_ends_the_wait_after_a_529(serve, program, how):
    server = serve(faults=OVERLOADED)
    with subprocess.Popen(
        [sys.executable, "-c", program, server.url, how], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line == "Waiting\n":
                os.kill(child.pid, signal.SIGTERM)
                break
        rest = child.stdout.read().splitlines()
    assert rest == ["GaveUp", "drained 529"]
    assert child.returncode == 0
    assert len(server.requests) == 1


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> drain_module.Drain:
    """The calls of a process of their own."""
    fresh = drain_module.Drain()
    monkeypatch.setattr(drain_module, "_process", fresh)
    return fresh


def interrupted(run: Callable[[], Any]) -> unbroken.RecoveryReport:
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        run()
    assert "unbroken.drain() was called" in str(raised.value)
    return raised.value.report


def when_waiting(act: Callable[[], object]) -> Callable[[Any], None]:
    def on_event(event: Any) -> None:
        if isinstance(event, unbroken.Waiting):
            act()

    return on_event


def client_of(server: FaultServer, **settings: Any) -> anthropic.Anthropic:
    client = anthropic.Anthropic(base_url=server.url, api_key="test")
    return unbroken.wrap(client, settings.pop("policy", NOT_SOON), **settings)


def test_waits_in_many_threads_end(serve):
    server = serve(faults=[faults.status(529)] * 5)
    waiting = threading.Barrier(6)
    reasons = []

    def ask() -> None:
        with client_of(server, on_event=when_waiting(waiting.wait)) as client:
            reasons.append(interrupted(lambda: read(client)).reason)

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    waiting.wait()
    unbroken.drain()
    unbroken.drain()
    for thread in threads:
        thread.join()
    assert reasons == [Reason.DRAINED] * 5


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_waits_in_event_loops_of_several_threads_end(serve, backend):
    server = serve(faults=[faults.status(529)] * 4)
    waiting = threading.Semaphore(0)
    reasons = []

    async def ask() -> None:
        bare = anthropic.AsyncAnthropic(base_url=server.url, api_key="test")
        async with unbroken.wrap(bare, NOT_SOON, on_event=when_waiting(waiting.release)) as client:
            with pytest.raises(StreamInterrupted) as raised:
                await client.messages.create(**request())
            reasons.append(raised.value.report.reason)

    async def two() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)

    threads = [threading.Thread(target=lambda: anyio.run(two, backend=backend)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        waiting.acquire()
    unbroken.drain()
    for thread in threads:
        thread.join()
    assert reasons == [Reason.DRAINED] * 4


def test_a_wait_after_a_drop_ends_with_what_was_delivered(serve):
    server = serve(faults=[faults.error_event(after_chars=30), *OVERLOADED])
    with client_of(server, on_event=when_waiting(unbroken.drain)) as client:
        report = interrupted(lambda: read(client))
    assert report.reason is Reason.DRAINED
    assert report.partial is not None
    assert report.partial.content[0].text == ANSWER[:30]


def test_calls_after_it_make_one_attempt(serve):
    unbroken.drain(timeout=0)
    server = serve(faults=[faults.status(500), None])
    with client_of(server) as client:
        assert interrupted(lambda: read(client)).reason is Reason.DRAINED
        assert read(client)[0] == ANSWER
    assert len(server.requests) == 2


def test_a_stream_goes_on_to_its_end(serve):
    with client_of(serve()) as client, client.messages.stream(**request()) as stream:
        next(stream)
        unbroken.drain()
        assert stream.get_final_text() == ANSWER


def test_a_stream_that_drops_is_not_resumed(serve):
    server = serve(faults=[faults.reset(after_chars=30)])
    with client_of(server) as client, client.messages.stream(**request()) as stream:
        next(stream)
        unbroken.drain()
        assert interrupted(stream.get_final_text).reason is Reason.DRAINED
    assert len(server.requests) == 1


def test_a_stream_ends_after_the_timeout(serve):
    server = serve(faults=[faults.stall(after_chars=30)])
    with client_of(server) as client, client.messages.stream(**request()) as stream:
        next(stream)
        unbroken.drain(timeout=0.1)
        report = interrupted(stream.get_final_text)
    assert report.reason is Reason.DRAINED
    assert len(server.requests) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_stream_in_a_task_ends_after_the_timeout(serve, backend):
    server = serve(faults=[faults.stall(after_chars=30)])

    async def run() -> None:
        bare = anthropic.AsyncAnthropic(base_url=server.url, api_key="test")
        async with (
            unbroken.wrap(bare, NOT_SOON) as client,
            client.messages.stream(**request()) as stream,
        ):
            await anext(stream)
            unbroken.drain(timeout=0.1)
            with pytest.raises(unbroken.StreamInterrupted) as raised:
                await stream.get_final_text()
        assert raised.value.report.reason is Reason.DRAINED

    anyio.run(run, backend=backend)


def when_sent(number: int, act: Callable[[], object]) -> Callable[[Any], None]:
    def on_event(event: Any) -> None:
        if isinstance(event, unbroken.AttemptStarted) and event.attempt.number == number:
            act()

    return on_event


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_request_in_a_task_ends_after_the_timeout(serve, stream, attempt, backend):
    server = serve(faults=[faults.status(500)] * (attempt - 1) + [faults.hang()])
    sent = when_sent(attempt, lambda: unbroken.drain(timeout=0.05))

    async def run() -> unbroken.RecoveryReport:
        bare = anthropic.AsyncAnthropic(base_url=server.url, api_key="test", timeout=None)
        async with unbroken.wrap(bare, NOT_SOON.replace(time_scale=0), on_event=sent) as client:
            with pytest.raises(StreamInterrupted) as raised:
                await client.messages.create(**request(stream=stream))
        return raised.value.report

    report = anyio.run(run, backend=backend)
    assert report.reason is Reason.DRAINED
    assert len(report.attempts) == attempt
    assert report.attempts[-1].failure.detail == "ended by unbroken.drain()"


@pytest.mark.anyio
async def test_a_request_of_a_transport_ends_after_the_timeout(serve):
    server = serve(faults=[faults.hang()])
    sent = when_sent(1, lambda: unbroken.drain(timeout=0.05))
    transport = AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), NOT_SOON, on_event=sent)
    async with httpx.AsyncClient(transport=transport, timeout=None) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="drain") as raised:
            await client.post(f"{server.url}/v1/messages", json=request(stream=True))
    assert unbroken.report(raised.value).reason is Reason.DRAINED


def test_a_request_in_a_thread_ends_by_its_own_timeout(serve):
    server = serve(faults=[faults.hang()] * 2)
    sent = when_sent(1, lambda: unbroken.drain(timeout=0))
    with client_of(server, on_event=sent) as client:
        report = interrupted(lambda: client.messages.create(**request(), timeout=0.2))
    assert report.reason is Reason.DRAINED
    assert report.attempts[-1].failure.kind is unbroken.FailureKind.STALLED
    assert len(server.requests) == 1


def test_calls_that_ended_are_forgotten(serve, process):
    with client_of(serve()) as client:
        for _ in range(5):
            read(client)
    gc.collect()
    assert not process._drivers


def test_a_loop_that_has_ended_does_no_harm(serve, process):
    left = []

    async def leave() -> None:
        bare = anthropic.AsyncAnthropic(base_url=serve().url, api_key="test")
        client = unbroken.wrap(bare, NOT_SOON)
        left.append(await client.messages.create(**request(stream=True)))
        await left[0].close()

    asyncio.run(leave())
    process._tell(reads=True)
    assert left


@pytest.mark.parametrize("timeout", [-1, float("nan"), "20"])
def test_a_timeout_that_makes_no_sense_is_refused(timeout):
    with pytest.raises(ValueError, match="timeout"):
        unbroken.drain(timeout)
