"""One answer in this process: its last frames, and who waits for more of it."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.gateway.records import About, Saved

__all__ = ["Ending", "Stream"]

_TAIL = 32 * 1024
"""Bytes of frames kept in memory: a reader that is further behind reads the journal."""


class Ending(Enum):
    """How an answer ended in this process."""

    COMPLETE = auto()
    """It is whole, and the journal has it."""
    STOPPED = auto()
    """Somebody stopped it, for good."""
    FAILED = auto()
    """It was given up; `Stream.error` tells."""
    LEFT = auto()
    """This process goes on with it no more; another one can."""


class Stream:
    """One answer, as the readers in this process see it.

    Args:
        stream_id: Its id.
        about: What is known of it.
    """

    def __init__(self, stream_id: str, about: About) -> None:
        self.id = stream_id
        self.about = about
        self.last = 0
        """The number of the last frame that readers may have."""
        self.headers: tuple[tuple[str, str], ...] = ()
        """The headers of the upstream's response, for the client."""
        self.is_open = False
        """Whether the upstream's response began."""
        self.saved: Saved | None = None
        """The whole response, where it is not a stream: an answer or an error."""
        self.error = b""
        """The event that tells readers that it failed."""
        self.ending: Ending | None = None
        self.pings = 0
        """Pings of the upstream so far."""
        self.readers = 0
        self.on_unread: Callable[[], None] = _nothing
        """Called when the last reader leaves."""
        self.on_read: Callable[[], None] = _nothing
        """Called when a reader comes."""
        self._tail: deque[bytes] = deque()
        self._size = 0
        self._waiting: set[asyncio.Future[None]] = set()

    # What its writer does

    def opened(self, headers: Sequence[tuple[str, str]]) -> None:
        """The upstream's response began, and is a stream."""
        self.headers = tuple(headers)
        self.is_open = True
        self._wake()

    def publish(self, frames: Sequence[bytes]) -> None:
        """Hand out frames, which the journal has."""
        self.last += len(frames)
        self._tail.extend(frames)
        self._size += sum(map(len, frames))
        while self._size > _TAIL and len(self._tail) > 1:
            self._size -= len(self._tail.popleft())
        self._wake()

    def ping(self) -> None:
        """The upstream sent a ping."""
        self.pings += 1
        self._wake()

    def end(self, ending: Ending, *, saved: Saved | None = None, error: bytes = b"") -> None:
        """Nothing more comes in this process."""
        if self.ending is None:
            self.ending, self.saved, self.error = ending, saved, error
            self._wake()

    # What its readers do

    def after(self, number: int) -> list[bytes] | None:
        """The frames after a number; None if they are no longer in memory."""
        missing = self.last - number
        if missing > len(self._tail):
            return None
        return list(self._tail)[len(self._tail) - missing :] if missing > 0 else []

    async def changed(self, seconds: float) -> bool:
        """Wait until something happens to it; return False after so many seconds."""
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        timer = loop.call_later(seconds, _set, waiting)
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)
        return timer.when() > loop.time()

    def come(self) -> None:
        """A reader came."""
        self.readers += 1
        self.on_read()

    def leave(self) -> None:
        """A reader left."""
        self.readers -= 1
        if not self.readers:
            self.on_unread()

    def wake(self) -> None:
        """Let all readers look again."""
        self._wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            _set(waiting)


def _set(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _nothing() -> None:
    pass
