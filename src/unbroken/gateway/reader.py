"""One reader of a stream: waits for frames, and for the reader to leave."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import Receive

    from unbroken.gateway.home import Home
    from unbroken.gateway.stream import Stream

__all__ = ["PING", "Lost", "Reader"]

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class Lost(Exception):  # noqa: N818  # it reads as what happened
    """Frames that the reader lacks cannot be had here."""


class Reader:
    """Reads one stream for one client.

    Args:
        home: Where streams are.
        stream: The stream.
        after: The number of the last frame that the client has.
        ping_every: Seconds of silence after which `next()` returns `None`.
    """

    def __init__(self, home: Home, stream: Stream, after: int, ping_every: float) -> None:
        self._home = home
        self._stream = stream
        self._ping_every = ping_every
        self._pings = stream.pings
        self._came = time.monotonic()
        self.first: float | None = None
        """Seconds to the first frame that was returned."""
        self.after = after
        """The number of the last frame that was returned."""
        self.has_left = False
        """Whether the client is gone."""

    def left(self) -> None:
        """The client is gone."""
        self.has_left = True
        self._stream.wake()

    @asynccontextmanager
    async def watching(self, receive: Receive) -> AsyncIterator[None]:
        """Notice when the client leaves, inside the block."""
        watcher = asyncio.create_task(self._watch(receive))
        self._stream.come()
        try:
            yield
        finally:
            self._stream.leave()
            watcher.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left()

    async def until_open(self, seconds: float) -> None:
        """Wait until the answer begins or ends, the client leaves, or so many seconds passed."""
        stream, loop = self._stream, asyncio.get_running_loop()
        until = loop.time() + seconds
        while not (stream.is_open or stream.ending or self.has_left):
            if not await stream.changed(max(0.0, until - loop.time())):
                return

    async def until_ended(self) -> None:
        """Wait until the answer ends, or the client leaves."""
        while not (self._stream.ending or self.has_left):
            await self._stream.changed(60.0)

    async def next(self) -> Sequence[bytes] | None:
        """The next frames; none at the end of the stream, `None` where a ping is due.

        Raises:
            Lost: If frames are missing.
        """
        stream = self._stream
        while not self.has_left:
            frames: Sequence[bytes] | None = stream.after(self.after)
            if frames is None:
                frames = await self._home.read(stream, self.after)
                if not frames:
                    raise Lost
            if frames:
                if self.first is None:
                    self.first = time.monotonic() - self._came
                self.after += len(frames)
                return frames
            if stream.ending:
                return ()
            if self._pings != stream.pings or not await stream.changed(self._ping_every):
                self._pings = stream.pings
                return None
        return ()
