"""Asks the upstream for one answer: each frame goes to the journal, then to the readers."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import ServerSentEvents
from unbroken._doors.report import report
from unbroken.gateway.errors import error_body, error_frame
from unbroken.gateway.headers import for_client
from unbroken.gateway.records import Saved
from unbroken.gateway.stream import Ending
from unbroken.journal import Deposed, JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.gateway.stream import Stream
    from unbroken.journal import AsyncJournal

__all__ = ["Generation"]

_log = logging.getLogger("unbroken.gateway")

_PING = (b"event: ping", b":")
_ERROR = b"event: error"
_STOP = b"event: message_stop"


class Generation:
    """One answer that this process asks for.

    Args:
        stream: Its readers.
        entry: Its key in the journal.
        owner: Who writes there.
        journal: The journal; None to keep nothing.
        send: Sends the request, and returns the response.
        claimed: Is awaited before the first frame is written.
        has_users: Whether clients share the upstream's account.
    """

    def __init__(
        self,
        stream: Stream,
        entry: str,
        owner: str,
        journal: AsyncJournal,
        send: Callable[[], Awaitable[Any]],
        *,
        claimed: Awaitable[object] | None = None,
        has_users: bool,
    ) -> None:
        self._stream = stream
        self._entry = entry
        self._owner = owner
        self._journal = journal
        self._send = send
        self._claimed = claimed
        self._has_users = has_users
        self._is_durable = True
        self._task: asyncio.Task[None] | None = None
        self._wanted = Ending.LEFT
        self._is_started = self._is_stopped = False
        self.is_deposed = False
        """Whether another process writes the answer."""

    def start(self) -> asyncio.Task[None]:
        """Begin, in a task of its own."""
        self._task = asyncio.create_task(self._run(), name=f"generation {self._stream.id}")
        return self._task

    def stop(self, ending: Ending) -> None:
        """End the request to the upstream now."""
        if self._task is not None and not self._task.done() and self._stream.ending is None:
            self._wanted = ending
            self._is_stopped = True
            if self._is_started:  # a task that was not would never tell how it ended
                self._task.cancel()

    async def renew(self) -> None:
        """Show a sign of life in the journal."""
        if not self._is_durable or self._stream.ending is not None:
            return
        try:
            await self._journal.renew(self._entry, self._owner)
        except Deposed:
            self._depose()
        except JournalUnavailable as error:
            self._go_on_without(error)

    async def _run(self) -> None:
        ending, saved, error = Ending.FAILED, None, b""
        self._is_started = True
        try:
            if self._is_stopped:
                raise asyncio.CancelledError
            ending, saved, error = await self._ask()
        except asyncio.CancelledError:
            ending = self._wanted
        except Deposed:
            self.is_deposed, ending = True, Ending.LEFT
        except Exception as failed:  # noqa: BLE001  # whatever it is, its readers must be told
            _log.error("a call failed in the gateway: %s", type(failed).__name__)
            saved, error = _told(500, "the gateway failed; its log tells more")
        await self._settle(ending)
        if not self.is_deposed:
            self._stream.end(ending, saved=saved, error=error)

    async def _ask(self) -> tuple[Ending, Saved | None, bytes]:
        try:
            response = await self._send()
        except Exception as error:  # noqa: BLE001  # the transport's own, of two libraries
            return Ending.FAILED, *_lost(error)
        try:
            kind = response.headers.get("content-type", "")
            if response.status_code == 200 and kind.startswith("text/event-stream"):
                return await self._relay(response)
            return await self._keep_whole(response)
        finally:
            await response.aclose()

    async def _keep_whole(self, response: Any) -> tuple[Ending, Saved | None, bytes]:
        """The response is the whole answer, or an error."""
        try:
            body = await response.aread()
        except Exception as error:  # noqa: BLE001
            return Ending.FAILED, *_lost(error)
        headers = self._client_headers(response)
        saved = Saved(response.status_code, tuple(headers), body)
        if not response.is_success:
            return Ending.FAILED, saved, b""
        await self._append([saved.to_frame()], closes=True)
        return Ending.COMPLETE, saved, b""

    async def _relay(self, response: Any) -> tuple[Ending, Saved | None, bytes]:
        """The response is a stream of events."""
        self._stream.opened(self._client_headers(response))
        framing = ServerSentEvents()
        ending = Ending.FAILED
        error = error_frame(500, "the answer ended early")
        try:
            async for chunk in response.stream:
                frames = []
                for frame in framing.split(chunk):
                    if frame.startswith(_PING):
                        self._stream.ping()
                    elif frame.startswith(_ERROR):
                        error = frame
                    else:
                        frames.append(frame)
                if frames and frames[-1].startswith(_STOP):
                    ending, error = Ending.COMPLETE, b""
                await self._write(frames, closes=ending is Ending.COMPLETE)
        except Deposed:
            raise
        except Exception as failed:  # noqa: BLE001
            if ending is Ending.FAILED:
                error = _lost(failed)[1]
        return ending, None, error

    async def _write(self, frames: list[bytes], *, closes: bool) -> None:
        """Append frames to the journal, then hand them out."""
        if frames:
            await self._append(frames, closes=closes)
            self._stream.publish(frames)

    async def _append(self, frames: list[bytes], *, closes: bool) -> None:
        if not self._is_durable:
            return
        try:
            if self._claimed is not None:
                claimed, self._claimed = self._claimed, None
                await claimed
            first = self._stream.last + 1
            await self._journal.append(self._entry, self._owner, first, frames, closes=closes)
        except JournalUnavailable as error:
            self._go_on_without(error)

    def _go_on_without(self, error: JournalUnavailable) -> None:
        """A journal that fails costs durability, not the answer."""
        self._is_durable = False
        _log.warning("a stream goes on without its journal: %s", error)

    def _depose(self) -> None:
        self.is_deposed = True
        self.stop(Ending.LEFT)

    async def _settle(self, ending: Ending) -> None:
        """Tell the journal how it ended."""
        if not self._is_durable or self.is_deposed or ending is Ending.COMPLETE:
            return
        with suppress(Deposed, JournalUnavailable):
            if self._claimed is not None:
                await self._claimed
            if ending is Ending.STOPPED:
                await self._journal.close(self._entry, self._owner)
            elif ending is Ending.FAILED and not self._stream.last:
                await self._journal.forget(self._entry)
            else:
                await self._journal.leave(self._entry, self._owner)

    def _client_headers(self, response: Any) -> list[tuple[str, str]]:
        given = [(name.lower(), value) for name, value in response.headers.multi_items()]
        return for_client(given, has_users=self._has_users, is_decoded=True)


def _lost(error: Exception) -> tuple[Saved, bytes]:
    """How a client is told of a connection to the upstream that was lost."""
    status = 504 if "Timeout" in type(error).__name__ else 502
    try:
        explanation = report(error).explanation or type(error).__name__
    except TypeError:
        explanation = type(error).__name__
    return _told(status, f"the upstream could not answer: {explanation}")


def _told(status: int, message: str) -> tuple[Saved, bytes]:
    headers = (("content-type", "application/json"), ("x-should-retry", "false"))
    return Saved(status, headers, error_body(status, message)), error_frame(status, message)
