"""How calls end that are not whole: given up, closed, cancelled, or out of time."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
from typing import Any

import anthropic
import pytest
from tests.doors.conftest import ANSWER, read, request
from tests.samples import AT_ONCE

import unbroken
from unbroken import FailureKind, Outcome, Policy
from unbroken.testing import faults


@pytest.fixture
def interrupted(serve, connect) -> unbroken.StreamInterrupted:
    server = serve(faults=[faults.reset(after_chars=30), *[faults.reset()] * 9])
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        read(connect(server, unbroken.Policy(max_fruitless=4)))
    return raised.value


def test_a_broken_connection_surfaces_as_an_error_that_callers_catch_already(interrupted):
    assert issubclass(unbroken.StreamInterrupted, anthropic.APIConnectionError)
    assert type(interrupted.__cause__).__name__ == "ReadError"
    assert interrupted.report.partial.content[0].text == ANSWER[:30]
    assert "max_fruitless" in interrupted.report.explanation
    assert unbroken.report(interrupted) is interrupted.report


def test_the_error_pickles_and_copies_without_the_request(interrupted):
    pickled = pickle.dumps(interrupted)
    assert b"Tell me a story" not in pickled
    assert b"test" not in pickled.replace(b"tests.", b"").replace(b"pytest", b"")
    for other in (pickle.loads(pickled), copy.deepcopy(interrupted), copy.copy(interrupted)):
        assert str(other) == str(interrupted)
        assert other.report.attempts == interrupted.report.attempts
        assert other.report.partial == interrupted.report.partial
        assert not other.request.headers.get("x-api-key")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_error_names_the_method_of_the_request(serve, connect, method):
    server = serve()
    client = connect(server, AT_ONCE)
    server.close()
    ask = client.models.list if method == "GET" else lambda: client.messages.create(**request())
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        ask()
    assert raised.value.request.method == method
    assert pickle.loads(pickle.dumps(raised.value)).request.method == method


def test_the_first_failure_is_not_masked_by_what_came_after(serve, connect):
    server = serve(faults=[faults.reset(after_chars=30), faults.status(401)])
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        read(connect(server))
    assert type(raised.value.__cause__).__name__ == "ReadError"
    report = raised.value.report
    kinds = [attempt.failure.kind for attempt in report.attempts]
    assert kinds == [FailureKind.DROPPED, FailureKind.REJECTED]
    assert [report.failure.kind, report.last_failure.kind] == kinds
    both = "the last attempt failed with rejected (HTTP status 401), after dropped (ReadError)"
    assert report.explanation == f"this kind of failure is not retried; {both}"
    assert both in str(raised.value)


def test_where_nothing_was_delivered_the_last_failure_speaks(serve, connect):
    server = serve(faults=[faults.status(429), faults.status(401)])
    with pytest.raises(anthropic.AuthenticationError) as raised:
        read(connect(server))
    assert isinstance(raised.value.__cause__, anthropic.RateLimitError)


def test_an_http_error_while_the_stream_is_being_read_is_typed_too(serve, connect):
    server = serve(faults=[faults.eof(after_bytes=0), faults.status(403)])
    with pytest.raises(anthropic.PermissionDeniedError) as raised:
        read(connect(server))
    assert len(unbroken.report(raised.value).attempts) == 2


@pytest.mark.parametrize("pings", [False, True], ids=["silence", "pings"])
def test_a_stall_is_resumed(serve, connect, pings):
    server = serve(faults=[faults.stall(after_chars=30, pings=pings)])
    policy = Policy(time_scale=0, idle_timeout=0.2, progress_timeout=0.3)
    text, stream = read(connect(server, policy, clock=None))
    assert text == ANSWER
    assert unbroken.report(stream).attempts[0].failure.kind is FailureKind.STALLED


def test_a_read_timeout_of_the_callers_takes_the_place_of_idle_timeout(serve, connect):
    server = serve(faults=[faults.stall(after_chars=30)])
    client = connect(server, AT_ONCE).with_options(timeout=0.2)
    assert read(client)[0] == ANSWER


@pytest.mark.parametrize(
    "fault", [faults.stall(after_chars=30), faults.slow(0.05)], ids=["silence", "trickle"]
)
def test_the_deadline_ends_a_call_in_the_middle_of_its_answer(serve, connect, fault):
    server = serve(faults=[fault])
    with pytest.raises(unbroken.StreamInterrupted) as raised:
        read(connect(server, Policy(deadline=0.4), clock=None))
    assert "deadline" in raised.value.report.explanation
    assert server.wait_idle()
    assert len(server.requests) == 1


@pytest.mark.parametrize("reads", [0, 3])
def test_closing_a_stream_closes_its_connection_at_once(serve, connect, reads):
    server = serve(faults=[faults.stall(after_chars=60)])
    stream = connect(server).messages.create(**request(stream=True))
    events = iter(stream)
    for _ in range(reads):
        next(events)
    report = unbroken.report(stream)
    stream.close()
    assert server.wait_idle()
    assert len(server.requests) == 1
    assert unbroken.report(stream).attempts[0].outcome is Outcome.CANCELLED
    assert report.attempts[0].outcome is None


def test_a_stream_that_nobody_reads_is_closed_when_it_is_forgotten(serve, connect):
    server = serve(faults=[faults.stall(after_chars=30)])
    stream = connect(server).messages.create(**request(stream=True))
    del stream
    gc.collect()
    assert server.wait_idle()


@pytest.mark.parametrize(
    "fault",
    [faults.stall(after_chars=30), faults.error_event("overloaded_error", after_chars=30)],
    ids=["while reading", "while waiting"],
)
def test_a_stop_from_another_thread_is_no_drop(serve, connect, fault):
    server = serve(faults=[fault])
    waits = threading.Event()
    client = connect(
        server, clock=None, on_event=lambda e: isinstance(e, unbroken.Waiting) and waits.set()
    )
    stream = client.messages.create(**request(stream=True))
    ended: list[Any] = []

    def reader() -> None:
        try:
            for event in stream:
                ended.append(event)
                if len(ended) == 5:
                    waits.set()
        except Exception as error:  # noqa: BLE001
            ended.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    assert waits.wait(5)
    stream.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(ended[-1], Exception)
    assert not isinstance(ended[-1], anthropic.APIError)
    assert server.wait_idle()
    assert len(server.requests) == 1


def test_leaving_the_with_block_early_closes_the_connection_of_a_continuation(serve, connect):
    script = [faults.reset(after_chars=30), faults.stall(after_chars=60)]
    server = serve(faults=script)
    with connect(server).messages.stream(**request()) as stream:
        got = ""
        for text in stream.text_stream:
            got += text
            if len(got) > 50:
                break
    assert server.wait_idle()
    assert len(server.requests) == 2


def with_async_client(server: Any, policy: Policy, use: Any, **options: Any) -> Any:
    async def run() -> Any:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            result = await use(unbroken.wrap(client, policy, **options))
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            # asyncio closes the HTTP library's generators in tasks of their own, which end at once.
            _, left = await asyncio.wait(tasks, timeout=5) if tasks else ((), ())
            assert not left
            return result

    return asyncio.run(run())


@pytest.mark.parametrize("first", [True, False], ids=["first attempt", "continuation"])
def test_cancelling_a_task_closes_the_connection(serve, first):
    script = [faults.stall(after_chars=30)]
    server = serve(faults=script if first else [faults.reset(after_chars=20), *script])

    async def use(client: anthropic.AsyncAnthropic) -> None:
        stream = await client.messages.create(**request(stream=True))
        got = asyncio.Event()

        async def reader() -> None:
            chars = 0
            async for event in stream:
                chars += len(event.delta.text) if event.type == "content_block_delta" else 0
                if chars >= 24:
                    got.set()

        task = asyncio.create_task(reader())
        await got.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_idle)

    with_async_client(server, AT_ONCE, use)
    assert len(server.requests) == (1 if first else 2)


def test_cancelling_a_task_in_a_wait_makes_no_further_request(serve):
    server = serve(faults=[faults.status(529)] * 3)
    waits = asyncio.Event()

    def note(event: unbroken.RecoveryEvent) -> None:
        if isinstance(event, unbroken.Waiting):
            waits.set()  # and between here and the sleep, the task does not give way

    async def use(client: anthropic.AsyncAnthropic) -> None:
        task = asyncio.create_task(client.messages.create(**request()))
        await waits.wait()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_async_client(server, Policy(), use, on_event=note)
    assert len(server.requests) == 1


@pytest.mark.parametrize("reads", [0, 3])
def test_an_async_stream_can_be_closed_early(serve, reads):
    server = serve(faults=[faults.stall(after_chars=60)])

    async def use(client: anthropic.AsyncAnthropic) -> None:
        stream = await client.messages.create(**request(stream=True))
        events = aiter(stream)
        for _ in range(reads):
            await anext(events)
        await stream.close()
        assert await asyncio.to_thread(server.wait_idle)

    with_async_client(server, AT_ONCE, use)
    assert len(server.requests) == 1


def test_an_async_stream_can_be_closed_by_another_task(serve):
    server = serve(faults=[faults.stall(after_chars=30)])

    async def use(client: anthropic.AsyncAnthropic) -> None:
        stream = await client.messages.create(**request(stream=True))

        async def reader() -> None:
            async for _ in stream:
                started.set()

        started = asyncio.Event()
        task = asyncio.create_task(reader())
        await started.wait()
        await stream.close()
        with pytest.raises(Exception) as raised:  # noqa: PT011
            await task
        assert not isinstance(raised.value, anthropic.APIError)

    with_async_client(server, AT_ONCE, use)
    assert len(server.requests) == 1


def test_a_recovery_leaves_no_thread_behind(serve, connect):
    server = serve(faults=[faults.reset(after_chars=30), faults.status(500)])
    before = set(threading.enumerate())
    seen: set[threading.Thread] = set()
    events: list[Any] = []

    def look(event: Any) -> None:
        events.append(event)
        seen.update(threading.enumerate())

    read(connect(server, AT_ONCE, clock=None, on_event=look))
    assert any(isinstance(event, unbroken.Resumed) for event in events)
    ours = [t for t in seen - before if not t.name.startswith("FaultServer")]
    assert {t.name for t in ours} <= {"unbroken read limit"}
    for thread in ours:
        thread.join(10)
        assert not thread.is_alive()
