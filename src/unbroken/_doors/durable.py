"""The entry of one call in a journal: it is read like a response, and the rest is appended."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from unbroken._core.framing.eventstream import CONTENT_TYPE
from unbroken._core.framing.frames import from_json
from unbroken._core.journal.block import current_block
from unbroken._core.journal.cursor import Cursor, Mode, Step, frames_of
from unbroken._core.journal.entries import (
    Claim,
    Deposed,
    EntryState,
    JournalUnavailable,
)
from unbroken._core.journal.identity import IDEMPOTENCY_KEY, identify
from unbroken._doors.upstream import AsyncHttpUpstream, HttpUpstream
from unbroken.journal.signs import SignsOfLife
from unbroken.journal.urls import from_env

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from unbroken._core.framing.frames import Framing
    from unbroken._core.journal.identity import Identity
    from unbroken._doors.call import Ask
    from unbroken._doors.door import HttpDoor
    from unbroken._telemetry.calls import CallTelemetry
    from unbroken.journal.protocol import AsyncJournal, Journal

__all__ = [
    "AsyncEntryLog",
    "EntryLog",
    "JournalState",
    "JournaledCall",
    "identity_of",
    "journal_state",
]

_log = logging.getLogger("unbroken")

_SLICE = 0.25
"""Seconds to wait for frames at once: a reader that is closed meanwhile notices it then."""


def identity_of(ask: Ask) -> Identity | None:
    """How a call is known in the journal; None if it is not to be journaled."""
    if not ask.is_message:
        return None
    block, key = current_block(), ask.headers.get(IDEMPOTENCY_KEY)
    if block is None and not key:
        return None
    return identify(ask.fingerprint(), block, key)


def journal_state(journal: Journal | None) -> JournalState | None:
    """What the calls of a client share; None if it has no journal, nor has the environment.

    Raises:
        ValueError: If `journal` is not a journal, or the environment has an invalid value.
    """
    if journal is None:
        journal = from_env()
    if journal is None:
        return None
    if not hasattr(journal, "for_tasks"):
        raise ValueError(f"journal must be a Journal, such as SqliteJournal, not {journal!r}")
    return JournalState(journal)


class JournalState:
    """What the calls of a client share: its journal, and the signs of life of their entries.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        """The journal, for threads."""
        self.async_journal = journal.for_tasks()
        """The journal, for tasks."""
        self.signs = SignsOfLife(journal)
        """The signs of life."""


@dataclass(frozen=True, slots=True)
class JournaledCall:
    """What a log needs of its call.

    Attributes:
        identity: How it is known.
        streams: Whether its answer is a stream.
        door: Makes responses for the caller.
        telemetry: Counts failures of the journal.
    """

    identity: Identity
    streams: bool
    door: HttpDoor
    telemetry: CallTelemetry


class _EntryLog:
    """What both logs share."""

    def __init__(self, state: JournalState, call: JournaledCall) -> None:
        self._state = state
        self._call = call
        self._key = call.identity.key
        self._owner = uuid.uuid4().hex
        self._cursor = Cursor()
        self._is_over = False

    def leave(self) -> None:
        """The call is over: another one may go on with what is missing."""
        self._is_over = True
        if self._cursor.owns:
            self._cursor.stop()
            self._state.signs.leave(self._key, self._owner)

    def abort(self) -> None:
        """Wait for frames no more."""
        self._is_over = True

    def _stop(self) -> None:
        """Leave the entry alone from now on."""
        self._cursor.stop()
        self._state.signs.remove(self._key, self._owner)

    def _failed(self, error: JournalUnavailable) -> None:
        """Go on without the journal.

        Raises:
            JournalUnavailable: If it is required.
        """
        self._stop()
        self._call.telemetry.journal_failed()
        if self._state.journal.required:
            raise error
        _log.warning("a journal failed, the call goes on without it: %s", error)

    def _claimed(self, claim: Claim) -> None:
        self._call.identity.check(claim.about)
        self._cursor.claimed(claim)
        if claim.granted and self._cursor.owns:
            self._state.signs.add(self._key, self._owner)

    def _check_open(self) -> None:
        if self._is_over:
            raise ConnectionAbortedError

    def _replayed_response(self) -> tuple[Any, dict[str, Any] | None]:
        """The response for the caller, and the answer in it if it is not a stream."""
        first = self._cursor.peek()
        if self._call.streams:
            kind = "text/event-stream; charset=utf-8" if first[:1] != b"\x00" else CONTENT_TYPE
            return self._call.door.replayed(kind, b""), None
        return self._call.door.replayed("application/json", first), from_json(first)

    def _wrote(self, count: int, *, ends: bool) -> None:
        self._cursor.wrote(count, ends=ends)
        if ends:
            self._state.signs.remove(self._key, self._owner)


class EntryLog(_EntryLog):
    """The entry of a call that a thread makes."""

    def __init__(self, state: JournalState, call: JournaledCall) -> None:
        super().__init__(state, call)
        self._journal: Journal = state.journal

    def recall(self) -> ReplayUpstream | None:
        """Claim the entry, and return what it holds of the answer; None if that is nothing."""
        try:
            self._claim()
            found = self._cursor.mode is Mode.READING and self._read_on()
        except JournalUnavailable as error:
            self._failed(error)
            found = False
        return ReplayUpstream(*self._replayed_response(), self) if found else None

    def next_chunk(self) -> bytes:
        """The next bytes that the journal holds; empty at their end."""
        chunk = self._cursor.chunk()
        if chunk or self._cursor.mode is not Mode.READING:
            return chunk
        try:
            return self._cursor.chunk() if self._read_on() else b""
        except JournalUnavailable as error:
            self._failed(error)
            return b""

    def deliver(self, data: bytes, framing: Callable[[], Framing], *, ends: bool) -> bytes | None:
        """Append bytes for the caller, unless they were read from there, and return them."""
        if self._cursor.mode is Mode.WRITING:
            frames = frames_of(data, framing)
            if not self._append(frames, ends=ends):
                return None
        return self._cursor.deliver(data)

    def put(self, answer: bytes | None) -> bool:
        """Append a whole answer; None for a response that is none."""
        if answer is None:
            self.leave()
        elif self._cursor.mode is Mode.WRITING:
            return self._append([answer], ends=True)
        return True

    def _claim(self) -> None:
        about = self._call.identity.about
        self._claimed(self._journal.claim(self._key, self._owner, about=about))

    def _read_on(self) -> bool:
        """Wait for frames; return False if there are no more."""
        while True:
            if self._is_over:
                raise ConnectionAbortedError
            wait = 0.0 if self._cursor.owns else _SLICE
            page = self._journal.read(self._key, self._cursor.last, wait=wait)
            step = self._cursor.take(page)
            if step is None or step is Step.END:
                return step is None
            if step is Step.CLAIM:
                self._claim()

    def _append(self, frames: list[bytes], *, ends: bool) -> bool:
        """Write frames; return False if another process took the answer over."""
        first = self._cursor.last + 1
        try:
            self._journal.append(self._key, self._owner, first, frames, closes=ends)
        except Deposed:
            self._stop()
            return self._is_removed()
        except JournalUnavailable as error:
            self._failed(error)
        else:
            self._wrote(len(frames), ends=ends)
        return True

    def _is_removed(self) -> bool:
        """Whether the entry was removed, rather than taken over: the call then goes on alone."""
        try:
            page = self._journal.read(self._key)
        except JournalUnavailable as error:
            self._failed(error)
            return True
        return page.state is EntryState.ABSENT


class ReplayUpstream(HttpUpstream):
    """What a journal holds of an answer, as a response to a thread.

    Args:
        http: The response for the caller.
        answer: The answer in it; None if it is a stream.
        log: Reads the journal.
    """

    def __init__(self, http: Any, answer: dict[str, Any] | None, log: EntryLog) -> None:
        super().__init__(http, answer, is_stream=answer is None)
        self._log = log

    def chunks(self) -> Iterator[bytes]:
        """The bytes that the journal holds."""
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = self._log.next_chunk()
        if not chunk:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Wait for frames no more."""
        self._log.abort()


class AsyncEntryLog(_EntryLog):
    """The entry of a call that a task makes."""

    def __init__(self, state: JournalState, call: JournaledCall) -> None:
        super().__init__(state, call)
        self._journal: AsyncJournal = state.async_journal

    async def recall(self) -> AsyncReplayUpstream | None:
        """Claim the entry, and return what it holds of the answer; None if that is nothing."""
        try:
            await self._claim()
            found = self._cursor.mode is Mode.READING and await self._read_on()
        except JournalUnavailable as error:
            self._failed(error)
            found = False
        return AsyncReplayUpstream(*self._replayed_response(), self) if found else None

    async def next_chunk(self) -> bytes:
        """The next bytes that the journal holds; empty at their end."""
        chunk = self._cursor.chunk()
        if chunk or self._cursor.mode is not Mode.READING:
            return chunk
        try:
            return self._cursor.chunk() if await self._read_on() else b""
        except JournalUnavailable as error:
            self._failed(error)
            return b""

    async def deliver(
        self, data: bytes, framing: Callable[[], Framing], *, ends: bool
    ) -> bytes | None:
        """Append bytes for the caller, unless they were read from there, and return them."""
        if self._cursor.mode is Mode.WRITING:
            frames = frames_of(data, framing)
            if not await self._append(frames, ends=ends):
                return None
        return self._cursor.deliver(data)

    async def put(self, answer: bytes | None) -> bool:
        """Append a whole answer; None for a response that is none."""
        if answer is None:
            self.leave()
        elif self._cursor.mode is Mode.WRITING:
            return await self._append([answer], ends=True)
        return True

    async def _claim(self) -> None:
        about = self._call.identity.about
        self._claimed(await self._journal.claim(self._key, self._owner, about=about))

    async def _read_on(self) -> bool:
        """Wait for frames; return False if there are no more."""
        while True:
            if self._is_over:
                raise ConnectionAbortedError
            wait = 0.0 if self._cursor.owns else _SLICE
            page = await self._journal.read(self._key, self._cursor.last, wait=wait)
            step = self._cursor.take(page)
            if step is None or step is Step.END:
                return step is None
            if step is Step.CLAIM:
                await self._claim()

    async def _append(self, frames: list[bytes], *, ends: bool) -> bool:
        """Write frames; return False if another process took the answer over."""
        first = self._cursor.last + 1
        try:
            await self._journal.append(self._key, self._owner, first, frames, closes=ends)
        except Deposed:
            self._stop()
            return await self._is_removed()
        except JournalUnavailable as error:
            self._failed(error)
        else:
            self._wrote(len(frames), ends=ends)
        return True

    async def _is_removed(self) -> bool:
        """Whether the entry was removed, rather than taken over: the call then goes on alone."""
        try:
            page = await self._journal.read(self._key)
        except JournalUnavailable as error:
            self._failed(error)
            return True
        return page.state is EntryState.ABSENT


class AsyncReplayUpstream(AsyncHttpUpstream):
    """What a journal holds of an answer, as a response to a task.

    Args:
        http: The response for the caller.
        answer: The answer in it; None if it is a stream.
        log: Reads the journal.
    """

    def __init__(self, http: Any, answer: dict[str, Any] | None, log: AsyncEntryLog) -> None:
        super().__init__(http, answer, is_stream=answer is None)
        self._log = log

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes that the journal holds."""
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._log.next_chunk()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def close(self) -> None:
        """Nothing is open."""

    async def abort(self) -> None:
        """Wait for frames no more."""
        self._log.abort()
