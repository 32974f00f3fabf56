"""The body of a response, piece by piece, stopped at an exact place."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from unbroken.testing.place import Frame, PlaceFinder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unbroken.testing.faults import Place

__all__ = ["Feed"]


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
        finder = PlaceFinder(place, ensure_ascii=self._ensure_ascii)
        for frame in self:
            before, behind = finder.take(frame)
            if before.data:
                yield before
            if behind is not None:
                self.arrived = True
                if behind.data:
                    self._back.append(behind)
                return
