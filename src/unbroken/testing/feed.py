"""The body of a response, piece by piece, stopped at an exact place."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken.testing.events import chars_of, encode, halves

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unbroken.testing.faults import Place

__all__ = ["Feed", "Frame"]


class Frame(NamedTuple):
    """One write: an event, or bytes that are none."""

    data: bytes
    event: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """The type of the event."""
        return self.event["type"] if self.event else ""


class Feed:
    """Frames, taken one after the other, or up to a place.

    Attributes:
        arrived: Whether the place that `until` was given has been reached.
    """

    def __init__(self, frames: Iterable[Frame], *, ensure_ascii: bool = False) -> None:
        self._frames = iter(frames)
        self._back: deque[Frame] = deque()
        self._ensure_ascii = ensure_ascii
        self.arrived = False

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return self._back.popleft() if self._back else next(self._frames)

    def until(self, place: Place) -> Iterator[Frame]:
        """The frames before this place; one that it is inside of is cut in two."""
        match place.unit:
            case "bytes":
                yield from self._until_bytes(place.count)
            case "chars":
                yield from self._until_chars(place.count)
            case "events":
                yield from self._until_events(place.count)
            case _:
                yield from self._until_after(place)

    def _until_bytes(self, left: int) -> Iterator[Frame]:
        while left:
            frame = next(self, None)
            if frame is None:
                return
            if len(frame.data) > left:
                self._back.append(Frame(frame.data[left:]))
                frame = Frame(frame.data[:left])
            left -= len(frame.data)
            yield frame
        self.arrived = True

    def _until_chars(self, left: int) -> Iterator[Frame]:
        for frame in self:
            chars = chars_of(frame.event) if frame.event else 0
            if chars > left:
                frame = self._cut(frame, left)  # noqa: PLW2901
            left -= chars
            if frame.data:
                yield frame
            if chars and left <= 0:
                self.arrived = True
                return

    def _cut(self, frame: Frame, chars: int) -> Frame:
        if chars == 0 or frame.event is None:
            self._back.append(frame)
            return Frame(b"")
        first, second = halves(frame.event, chars)
        self._back.append(self._frame(second))
        return self._frame(first)

    def _frame(self, event: dict[str, Any]) -> Frame:
        return Frame(encode(event, ensure_ascii=self._ensure_ascii), event)

    def _until_events(self, left: int) -> Iterator[Frame]:
        while left:
            frame = next(self, None)
            if frame is None:
                return
            left -= frame.kind != "ping"
            yield frame
        self.arrived = True

    def _until_after(self, place: Place) -> Iterator[Frame]:
        for frame in self:
            yield frame
            if _is_place(frame, place):
                self.arrived = True
                return


def _is_place(frame: Frame, place: Place) -> bool:
    if place.unit == "stop_reason":
        return frame.kind == "message_delta"
    event = frame.event or {}
    return frame.kind == "content_block_stop" and event.get("index") == place.count
