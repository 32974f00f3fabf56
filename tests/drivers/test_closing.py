"""Whoever reads ends the call: nobody else touches the machine in the meantime."""

from __future__ import annotations

import asyncio
import gc
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from unbroken._core.actions import READ, GiveUp
from unbroken._core.bounds import Reason
from unbroken._core.call import FailedAttempt
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.framing.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.policy import Policy
from unbroken._core.recovery import Recovery
from unbroken._doors.upstream import AsyncHttpUpstream
from unbroken._drive.aio import AsyncDriver
from unbroken._drive.clock import SystemAsyncClock, SystemClock
from unbroken._drive.finalizers import finalizers
from unbroken._drive.sync import Driver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    *(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in "abc"
    ),
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]
FRAMES = [ServerSentEvents().encode(event["type"], event) for event in EVENTS]


class ClosedError(Exception):
    """What a reader gets of a stream that somebody closed."""


class Machine(Recovery):
    """Writes down who touches it, and when."""

    def __init__(self) -> None:
        super().__init__(Policy(), {"messages": []}, 0.0, prefill=Prefill())
        self.log: list[str] = []
        self.while_receiving: Callable[[], Any] = list

    def receive(self, data: bytes, now: float) -> bytes:
        self.log.append("receives")
        self.while_receiving()
        out = super().receive(data, now)
        self.log.append("received")
        return out

    def close(self, now: float) -> None:
        super().close(now)
        self.log.append("closed")


class Around:
    """The door, the response and the observer of a driver."""

    status, request_id, answer = 200, None, None
    is_stream = True
    framing = ServerSentEvents
    opened = None

    def __init__(self, log: list[str], *, shares_connection: bool) -> None:
        self.log = log
        self.shares_connection = shares_connection
        self.while_waiting: Callable[[], Any] = list
        self.while_notifying: Callable[[], Any] = list

    def send(self, request: Any) -> Any:
        return self

    def closed(self) -> Exception:
        return ClosedError()

    def chunks(self) -> Iterator[bytes]:
        for frame in FRAMES:
            self.while_waiting()
            yield frame

    def close(self) -> None:
        self.log.append("released")

    def abort(self) -> None:
        self.log.append("hung up")

    def hang_up(self) -> None:
        self.log.append("shut down")

    def sending(self) -> Any:
        return nullcontext()

    def notify(self, event: Any) -> None:
        self.log.append(type(event).__name__)
        self.while_notifying()


class Call:
    """A call whose stream is open."""

    def __init__(self, *, shares_connection: bool = False) -> None:
        self.machine = Machine()
        self.log = self.machine.log
        self.around: Any = Around(self.log, shares_connection=shares_connection)
        self.driver = Driver(self.machine, self.around, SystemClock(), self.around, None)
        self.driver.open()
        self.log.clear()


def test_a_stream_that_nobody_reads_is_ended_at_once():
    call = Call()
    next(call.driver)
    call.log.clear()
    call.driver.close()
    assert call.log == ["closed", "hung up", "Cancelled"]
    with pytest.raises(ClosedError):
        next(call.driver)


def test_closed_while_the_machine_is_at_work_it_is_ended_after_that():
    """As a signal's handler may do it, in the middle of anything."""
    call = Call()
    call.machine.while_receiving = call.driver.close
    assert next(call.driver) == FRAMES[0]
    assert call.log == ["receives", "hung up", "received", "closed", "Cancelled"]
    with pytest.raises(ClosedError):
        next(call.driver)


def test_closed_while_it_waits_its_reader_ends_it():
    call = Call()

    def close() -> None:
        call.driver.close()
        call.log.append("came back")
        raise OSError("the socket was shut down")

    call.around.while_waiting = close
    with pytest.raises(ClosedError) as raised:
        next(call.driver)
    assert isinstance(raised.value.__cause__, OSError)
    assert call.log == ["hung up", "came back", "closed", "Cancelled"]


def test_a_connection_with_other_streams_on_it_is_left_to_the_reader():
    call = Call(shares_connection=True)

    def close() -> None:
        call.driver.close()
        call.log.append("came back")

    call.around.while_waiting = close
    assert next(call.driver) == FRAMES[0]
    assert call.log == ["came back", "receives", "received", "closed", "hung up", "Cancelled"]


def test_closed_by_who_is_told_what_happens_it_is_ended_once():
    call = Call()
    while call.machine.action is READ:
        next(call.driver)
    call.log.clear()
    call.around.while_notifying = call.driver.close
    with pytest.raises((ClosedError, StopIteration)):
        next(call.driver)
    assert call.log.count("closed") == 1
    assert call.log.count("Completed") == 1
    assert "Cancelled" not in call.log


def test_the_end_stays_the_end():
    call = Call()
    assert b"".join(call.driver) == b"".join(FRAMES)
    assert list(call.driver) == []
    call.driver.close()
    assert "Cancelled" not in call.log


# Tasks: the same, and what only they can do


class AsyncAround(Around):
    """The door, the response and the observer of an async driver."""

    async def send(self, request: Any) -> Any:
        return self

    async def chunks(self) -> AsyncIterator[bytes]:  # type: ignore[override]
        for frame in FRAMES:
            waited = self.while_waiting()
            if asyncio.iscoroutine(waited):
                await waited
            yield frame

    async def close(self) -> None:  # type: ignore[override]
        super().close()

    async def abort(self) -> None:  # type: ignore[override]
        super().abort()

    async def notify(self, event: Any) -> None:  # type: ignore[override]
        self.log.append(type(event).__name__)
        notified = self.while_notifying()
        if asyncio.iscoroutine(notified):
            await notified

    def notify_now(self, event: Any) -> None:
        self.log.append(f"{type(event).__name__} now")


class AsyncCall:
    """A call whose stream is open, in a task."""

    def __init__(self, *, shares_connection: bool = False) -> None:
        self.machine = Machine()
        self.log = self.machine.log
        self.around: Any = AsyncAround(self.log, shares_connection=shares_connection)
        self.driver = AsyncDriver(self.machine, self.around, SystemAsyncClock(), self.around, None)

    async def open(self) -> AsyncCall:
        await self.driver.open()
        self.log.clear()
        return self


def test_in_a_task_a_stream_that_nobody_reads_is_ended_at_once():
    async def run() -> None:
        call = await AsyncCall().open()
        await anext(call.driver)
        call.log.clear()
        await call.driver.close()
        assert call.log == ["closed", "hung up", "Cancelled"]
        with pytest.raises(ClosedError):
            await anext(call.driver)

    asyncio.run(run())


def test_in_a_task_closed_while_it_waits_its_reader_ends_it():
    async def run() -> None:
        call = await AsyncCall().open()

        async def close() -> None:
            await call.driver.close()
            call.log.append("came back")
            raise OSError("the connection was closed")

        call.around.while_waiting = close
        with pytest.raises(ClosedError) as raised:
            await anext(call.driver)
        assert isinstance(raised.value.__cause__, OSError)
        assert call.log == ["hung up", "came back", "closed", "Cancelled"]

    asyncio.run(run())


def test_in_a_task_a_connection_with_other_streams_on_it_is_left_to_the_reader():
    async def run() -> None:
        call = await AsyncCall(shares_connection=True).open()

        async def close() -> None:
            await call.driver.close()
            call.log.append("came back")

        call.around.while_waiting = close
        assert await anext(call.driver) == FRAMES[0]
        assert call.log == ["came back", "receives", "received", "closed", "hung up", "Cancelled"]

    asyncio.run(run())


def test_in_a_task_closed_by_who_is_notified_it_is_ended_once():
    async def run() -> None:
        call = await AsyncCall().open()
        while call.machine.action is READ:
            await anext(call.driver)
        call.log.clear()
        call.around.while_notifying = call.driver.close
        with pytest.raises((ClosedError, StopAsyncIteration)):
            await anext(call.driver)
        assert call.log.count("closed") == 1
        assert call.log.count("Completed") == 1
        assert "Cancelled" not in call.log

    asyncio.run(run())


def test_in_a_task_the_end_stays_the_end():
    async def run() -> None:
        call = await AsyncCall().open()
        assert b"".join([chunk async for chunk in call.driver]) == b"".join(FRAMES)
        assert [chunk async for chunk in call.driver] == []
        await call.driver.close()
        assert "Cancelled" not in call.log

    asyncio.run(run())


def test_a_cancelled_reader_ends_the_call_before_it_is_gone():
    async def run() -> None:
        call = await AsyncCall().open()
        call.around.while_waiting = asyncio.Event().wait
        reader = asyncio.ensure_future(anext(call.driver))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert call.log == ["closed", "hung up", "Cancelled"]

    asyncio.run(run())


def test_a_call_cancelled_while_it_opens_is_closed():
    """Also one that has a response by then: its connection must not leak."""

    async def run() -> None:
        call = AsyncCall()
        told: list[str] = []

        async def second_event() -> None:
            told.append("")
            if call.driver.upstream is not None or len(told) == 1:
                raise asyncio.CancelledError

        call.around.while_notifying = second_event
        with pytest.raises(asyncio.CancelledError):
            await call.driver.open()
        assert "closed" in call.log

    asyncio.run(run())


def test_a_call_that_is_abandoned_is_ended_elsewhere():
    call = Call()
    call.driver.abandon()
    assert finalizers().finish()
    assert call.log == ["shut down", "closed", "hung up", "Cancelled"]


def test_a_call_that_is_abandoned_is_ended_without_an_event_loop():
    call = asyncio.run(AsyncCall().open())
    call.driver.abandon()
    assert finalizers().finish()
    assert call.log == ["shut down", "closed", "Cancelled now"]


def test_a_closed_call_is_not_abandoned_again():
    async def run() -> AsyncCall:
        call = await AsyncCall().open()
        await call.driver.close()
        return call

    call = asyncio.run(run())
    call.log.clear()
    call.driver.abandon()
    assert finalizers().finish()
    assert call.log == []


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "dropped"])
def test_inside_the_garbage_collector_only_the_socket_is_shut_down(closes):
    class Closing:
        """Closes a stream at its end, as generators of the SDK do."""

        def __init__(self, driver: Driver) -> None:
            self.driver, self.cycle = driver, self

        def __del__(self) -> None:
            inside.append(finalizers().is_collecting())
            if closes:
                self.driver.close()
            log.append("left")

    inside: list[bool] = []
    call = Call()
    log = call.log
    Closing(call.driver)
    del call
    with finalizers()._working:  # so that the other thread comes after
        gc.collect()
        assert inside == [True]
        assert set(log) == {"shut down", "left"}
    assert finalizers().finish()
    after = log[log.index("left") :]
    assert after[:4] == ["left", "closed", "hung up", "Cancelled"]
    assert log.count("Cancelled") == 1


# The budget


class Budget:
    """Grants so many retries."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, now: float) -> bool:
        self.left -= 1
        return self.left >= 0


class Failing(Around):
    """Every request fails, and an HTTP library says why."""

    def send(self, request: Any) -> Any:
        self.log.append("sent")
        raise ConnectionResetError

    def failed_attempt(self, error: Exception) -> FailedAttempt:
        return FailedAttempt(Failure(FailureKind.DROPPED, "reset"), error)


def test_each_retry_is_paid_by_the_budget_of_the_driver():
    now = SystemClock().now()
    machine = Recovery(Policy(time_scale=0), {"messages": []}, now, prefill=Prefill())
    around: Any = Failing([], shares_connection=False)
    driver = Driver(machine, around, SystemClock(), around, Budget(2))
    action = driver.open()
    assert around.log.count("sent") == 3
    assert isinstance(action, GiveUp)
    assert action.lost.reason is Reason.BUDGET


# Connections that cannot even be closed


def failing() -> None:
    raise OSError("closing failed")


def break_once(around: Around) -> None:
    """The first response breaks after a frame, and cannot be closed; the next ones are whole."""
    frames = iter(FRAMES)

    def wait() -> None:
        if next(frames, None) is not FRAMES[0]:
            around.while_waiting = list
            raise ConnectionResetError

    around.while_waiting = wait


class BrokenAround(Around):
    """Its responses cannot be closed."""

    def failed_attempt(self, error: Exception) -> FailedAttempt:
        return FailedAttempt(Failure(FailureKind.DROPPED, "reset"), error)

    def close(self) -> None:
        failing()


class AsyncBrokenAround(AsyncAround):
    """Its responses cannot be closed."""

    failed_attempt = BrokenAround.failed_attempt

    async def close(self) -> None:  # type: ignore[override]
        failing()


def test_a_connection_that_cannot_be_closed_ends_no_recovery():
    machine = Machine()
    around: Any = BrokenAround(machine.log, shares_connection=False)
    driver = Driver(machine, around, SystemClock(), around, None)
    break_once(around)
    driver.open()
    assert b"".join(driver) == b"".join(FRAMES)


def test_in_a_task_a_connection_that_cannot_be_closed_ends_no_recovery():
    async def run() -> None:
        machine = Machine()
        around: Any = AsyncBrokenAround(machine.log, shares_connection=False)
        driver = AsyncDriver(machine, around, SystemAsyncClock(), around, None)
        break_once(around)
        await driver.open()
        assert b"".join([chunk async for chunk in driver]) == b"".join(FRAMES)

    asyncio.run(run())


def test_an_iterator_without_aclose_is_closed_with_its_response():
    class Chunks:
        def __aiter__(self) -> Chunks:
            return self

        async def __anext__(self) -> bytes:
            return b""

    class Body(httpx.AsyncByteStream):
        closed = False

        def __aiter__(self) -> Any:
            return Chunks()

        async def aclose(self) -> None:
            self.closed = True

    async def run() -> None:
        body = Body()
        request = httpx.Request("POST", "http://127.0.0.1")
        response = httpx.Response(200, stream=body, request=request)
        upstream = AsyncHttpUpstream(response, None, is_stream=True)
        assert await anext(upstream.chunks()) == b""
        await upstream.close()
        assert body.closed

    asyncio.run(run())


class Nested(httpx.AsyncByteStream):
    """A body read through two generators, as those of `httpx` are.

    Args:
        after_closing: What the inner one does when it is read after the body was closed.
    """

    def __init__(self, after_closing: Callable[[], Any]) -> None:
        self.after_closing = after_closing
        self.is_closed = False
        self.ended: list[str] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.inner():
                yield chunk
        finally:
            self.ended.append("outer")

    async def inner(self) -> AsyncIterator[bytes]:
        try:
            while True:
                if self.is_closed:
                    await self.after_closing()
                yield b"x"
        finally:
            self.ended.append("inner")

    async def aclose(self) -> None:
        self.is_closed = True


async def raise_closed() -> None:
    raise httpx.ReadError("closed")


def upstream_of(body: httpx.AsyncByteStream) -> AsyncHttpUpstream:
    request = httpx.Request("POST", "http://127.0.0.1")
    return AsyncHttpUpstream(
        httpx.Response(200, stream=body, request=request), None, is_stream=True
    )


@pytest.mark.anyio
@pytest.mark.parametrize("after_closing", [raise_closed, anyio.sleep_forever])
async def test_all_generators_of_a_closed_body_end(after_closing):
    body = Nested(after_closing)
    upstream = upstream_of(body)
    assert await anext(upstream.chunks()) == b"x"
    await upstream.close()
    assert body.ended == ["inner", "outer"]


@pytest.mark.anyio
async def test_a_body_without_end_can_be_closed():
    class Endless(Nested):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x"
            finally:
                self.ended.append("outer")

    body = Endless(raise_closed)
    upstream = upstream_of(body)
    assert await anext(upstream.chunks()) == b"x"
    await upstream.close()
    assert body.ended == ["outer"]


@pytest.mark.anyio
async def test_a_body_that_another_task_reads_can_be_closed():
    woken = anyio.Event()

    class Waiting(Nested):
        async def inner(self) -> AsyncIterator[bytes]:
            await woken.wait()
            await self.after_closing()
            yield b"never"

    body = Waiting(raise_closed)
    upstream = upstream_of(body)
    chunks = upstream.chunks()
    met = []

    async def read() -> None:
        with pytest.raises(httpx.ReadError) as raised:
            await anext(chunks)
        met.append(raised.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await upstream.close()
        assert met == []
        woken.set()
    assert len(met) == 1
    assert body.ended == ["outer"]
