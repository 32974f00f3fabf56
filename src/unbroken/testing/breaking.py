"""What a fault does to the body of a real response, without I/O."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from unbroken.testing.errors import error_body
from unbroken.testing.events import PING, encode
from unbroken.testing.faults import Break, ErrorEvent, Slow, Stall
from unbroken.testing.place import Frame, PlaceFinder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Breaking", "End", "Pause", "Step"]

_FRAME_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


@dataclass(frozen=True)
class Pause:
    """Nothing comes for so many seconds; without end if they are None."""

    seconds: float | None


@dataclass(frozen=True)
class End:
    """The body is over: in a way that HTTP takes for its end, or with its connection."""

    how: Literal["reset", "eof", "close"]


Step = bytes | Pause | End


class Breaking:
    """Passes the bytes of one body on, up to the place of a fault.

    Args:
        fault: What goes wrong.
        request_id: The `request-id` of the response.
        is_sse: Whether the body has server-sent events; else each chunk is a frame without one.

    Attributes:
        happened: Whether the fault took effect.
    """

    def __init__(
        self, fault: Break | ErrorEvent | Stall | Slow, request_id: str, *, is_sse: bool
    ) -> None:
        self._fault = fault
        self._request_id = request_id
        self._is_sse = is_sse
        self._finder = None if isinstance(fault, Slow) else PlaceFinder(fault.at)
        self._cuts_next_frame = False
        self._buffer = b""
        self.happened = False

    def feed(self, data: bytes) -> Iterator[Step]:
        """What becomes of the next bytes of the body; nothing follows an `End`."""
        for frame in self._frames(data):
            yield from self._pass_on(frame)

    def finish(self) -> Iterator[Step]:
        """What becomes of the end of the body."""
        if self._buffer:
            yield from self._pass_on(Frame(self._buffer))
        if self._cuts_next_frame:
            yield End("eof")

    def _frames(self, data: bytes) -> Iterator[Frame]:
        if not self._is_sse:
            yield Frame(data)
            return
        self._buffer += data
        while end := _FRAME_END.search(self._buffer):
            frame, self._buffer = self._buffer[: end.end()], self._buffer[end.end() :]
            yield Frame(frame, _event_in(frame))

    def _pass_on(self, frame: Frame) -> Iterator[Step]:
        if isinstance(self._fault, Slow):
            self.happened = True
            yield Pause(self._fault.seconds)
        if self._cuts_next_frame:
            yield frame.data[: len(frame.data) // 2]
            yield End("eof")
            return
        if self._finder is None:
            yield frame.data
            return
        before, behind = self._finder.take(frame)
        yield before.data
        if behind is not None:
            self._finder, self.happened = None, True
            yield from self._fail(behind)

    def _fail(self, behind: Frame) -> Iterator[Step]:
        match self._fault:
            case Break(half_frame=True) if not behind.data:
                self._cuts_next_frame = True
            case Break() as fault:
                yield behind.data[: len(behind.data) // 2] if fault.half_frame else fault.garbage
                yield End(fault.end)
            case ErrorEvent(_, kind, message, code):
                yield encode(error_body(kind, message or "", code, self._request_id))
                yield End("eof")
            case Stall() as fault:
                yield from _silence(fault)
                yield behind.data


def _silence(fault: Stall) -> Iterator[Step]:
    if not fault.pings:
        yield Pause(fault.seconds)
        return
    left = float("inf") if fault.seconds is None else fault.seconds
    while left > 0:
        yield encode(PING)
        yield Pause(min(fault.ping_interval, left))
        left -= fault.ping_interval


def _event_in(frame: bytes) -> dict[str, Any] | None:
    """The event of a frame, if it is one of the API."""
    lines = frame.splitlines()
    data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
    try:
        event = json.loads(data)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("type"), str) else None
