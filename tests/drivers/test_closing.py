"""Whoever reads ends the call: nobody else touches the machine in the meantime."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from unbroken._core.frames import ServerSentEvents
from unbroken._core.models import Prefill
from unbroken._core.policy import Policy
from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase
from unbroken._drive.clock import SystemClock
from unbroken._drive.sync import Driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

    status, request_id, loss = 200, None, None
    streams = True
    framing = ServerSentEvents

    def __init__(self, log: list[str], *, shares_connection: bool) -> None:
        self.log = log
        self.shares_connection = shares_connection
        self.while_waiting: Callable[[], Any] = list
        self.while_telling: Callable[[], Any] = list

    def send(self, plan: Any, call: Any) -> Any:
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

    def sending(self) -> Any:
        return nullcontext()

    def tell(self, event: Any) -> None:
        self.log.append(type(event).__name__)
        self.while_telling()


class Call:
    """A call whose stream is open."""

    def __init__(self, *, shares_connection: bool = False) -> None:
        self.machine = Machine()
        self.log = self.machine.log
        self.around: Any = Around(self.log, shares_connection=shares_connection)
        self.driver = Driver(self.machine, self.around, SystemClock(), self.around)
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
    while call.machine.call.phase is Phase.READING:
        next(call.driver)
    call.log.clear()
    call.around.while_telling = call.driver.close
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
