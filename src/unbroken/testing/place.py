"""Finds the place of a fault in a body, frame by frame, without I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken.testing.events import chars_of, encode, halves
from unbroken.testing.faults import Break, Place, Stall

if TYPE_CHECKING:
    from unbroken.testing.faults import Fault

__all__ = ["Frame", "PlaceFinder", "in_bytes"]


class Frame(NamedTuple):
    """A part of a body: an event, or bytes that are none."""

    data: bytes
    event: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """The type of the event."""
        return self.event["type"] if self.event else ""


class PlaceFinder:
    """Takes the frames of a body in order, and cuts them at a place.

    Args:
        place: The place.
        ensure_ascii: Whether the JSON of a frame that is cut in two escapes what is not ASCII.
    """

    def __init__(self, place: Place, *, ensure_ascii: bool = False) -> None:
        self._place = place
        self._left = place.count
        self._ensure_ascii = ensure_ascii

    def take(self, frame: Frame) -> tuple[Frame, Frame | None]:
        """Return what is before the place, and what is behind it; None if it is not reached yet."""
        match self._place.unit:
            case "bytes":
                return self._take_bytes(frame)
            case "chars":
                return self._take_chars(frame)
            case "events":
                return self._take_event(frame)
            case _:
                return frame, Frame(b"") if self._is_last_before(frame) else None

    def _take_bytes(self, frame: Frame) -> tuple[Frame, Frame | None]:
        left, self._left = self._left, self._left - len(frame.data)
        if len(frame.data) < left:
            return frame, None
        if len(frame.data) == left:
            return frame, Frame(b"")
        if not left:
            return Frame(b""), frame
        return Frame(frame.data[:left]), Frame(frame.data[left:])

    def _take_chars(self, frame: Frame) -> tuple[Frame, Frame | None]:
        chars = chars_of(frame.event) if frame.event else 0
        left, self._left = self._left, self._left - chars
        if not chars or chars < left:
            return frame, None
        if chars == left:
            return frame, Frame(b"")
        if not left:
            return Frame(b""), frame
        assert frame.event is not None
        first, second = halves(frame.event, left)
        return self._frame(first), self._frame(second)

    def _frame(self, event: dict[str, Any]) -> Frame:
        return Frame(encode(event, ensure_ascii=self._ensure_ascii), event)

    def _take_event(self, frame: Frame) -> tuple[Frame, Frame | None]:
        if not self._left:
            return Frame(b""), frame
        self._left -= frame.kind != "ping"
        return frame, None if self._left else Frame(b"")

    def _is_last_before(self, frame: Frame) -> bool:
        if self._place.unit == "stop_reason":
            return frame.kind == "message_delta"
        event = frame.event or {}
        return frame.kind == "content_block_stop" and event.get("index") == self._place.count


def in_bytes(fault: Fault | None, length: int) -> Fault | None:
    """Return the fault as a body without events, and so without pings, can have it.

    Args:
        fault: The fault.
        length: The number of bytes of the body.
    """
    if not isinstance(fault, Break | Stall) or fault.at.unit == "bytes":
        return fault
    half = Place("bytes", length // 2)
    if isinstance(fault, Stall):
        return replace(fault, at=half, pings=False)
    return replace(fault, at=half)
