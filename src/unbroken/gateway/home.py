"""The streams of this process, and how it finds those of others in the journal."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.gateway.control import Control, Told
from unbroken.gateway.errors import GatewayError, error_frame
from unbroken.gateway.generation import Generation
from unbroken.gateway.records import About, Call, Saved
from unbroken.gateway.stream import Ending, Stream
from unbroken.journal import EntryState, JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from unbroken.gateway.joining import Signs
    from unbroken.journal import AsyncJournal

    Sender = Callable[[Call, list[bytes]], Awaitable[Any]]

__all__ = ["Home"]

_log = logging.getLogger("unbroken.gateway")

_FOLLOW = 2.0
"""Seconds for which one read of the journal waits."""
_READING = 9.0
"""Seconds for which a process counts as a reader after it said so."""
_STOP = 10.0
"""Seconds for another process to stop a stream."""
_LOOK = 0.05


def _entry(stream_id: str) -> str:
    return f"gateway/stream/{stream_id}"


def _sign(name: str) -> str:
    return f"gateway/sign/{name}"


@dataclass(slots=True)
class _Running:
    """An answer that this process asks for."""

    generation: Generation
    call: Call
    names: tuple[str, ...]
    over: Callable[[], None]
    timer: asyncio.TimerHandle | None = None
    read_until: float = -math.inf


class Home:
    """The streams of one process.

    Args:
        journal: Where they are kept.
        linger: Seconds that a stream without a key can be joined after its reader left.
        has_users: Whether clients share the upstream's account.
        may_be_killed: Whether a client can kill the process that asks for its answer: a demo.
    """

    def __init__(
        self,
        journal: AsyncJournal,
        *,
        linger: float,
        has_users: bool,
        may_be_killed: bool = False,
    ) -> None:
        self.journal = journal
        self.name = secrets.token_hex(8)
        """What this process is called in the journal."""
        self.is_draining = False
        self.control = Control(journal, self._hear)
        self._linger = linger
        self._has_users = has_users
        self._may_be_killed = may_be_killed
        self._streams: dict[str, Stream] = {}
        self._running: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._finding = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    # Beginning

    async def begin(
        self, about: About, call: Call, signs: Signs, send: Sender, over: Callable[[], None]
    ) -> Stream:
        """Ask the upstream for an answer.

        Args:
            about: What is known of it.
            call: What to ask.
            signs: Under which names later requests find it.
            send: Sends the request.
            over: Called when this process no longer asks for it.

        Raises:
            GatewayError: If this process is about to end.
        """
        try:
            self._check_not_draining()
        except GatewayError:
            over()
            raise
        stream = Stream(secrets.token_urlsafe(24), about)
        claiming = self._task(self._claim_new(stream, call, signs))
        if signs.joins:
            taken: Stream | None = await claiming
            if taken is not None:
                over()
                return taken
        self._generate(stream, call, signs.found_by, send, over, claimed=claiming)
        return stream

    async def join(self, signs: Signs, digest: str, owner: str, send: Sender) -> Stream | None:
        """Find the answer that a request joins; None if there is none.

        Raises:
            GatewayError: If the key was used for another request.
        """
        for name in signs.joins:
            claim = await self._look(_sign(name))
            if claim is None:
                continue
            stream = await self.find(claim, owner, send)
            if stream is None:
                await self.journal.forget(_sign(name))
                continue
            if stream.about.digest != digest:
                raise GatewayError(
                    422, "idempotency-key: it was used for another request; take a new key"
                )
            return stream
        return None

    async def find(
        self, stream_id: str, owner: str | None, send: Sender | None = None
    ) -> Stream | None:
        """Find a stream, here or in the journal; None if there is none.

        Args:
            stream_id: Its id.
            owner: Whose it must be; None for anybody's.
            send: Sends its request if it is left, with the credentials of the client who asks.
        """
        async with self._finding:
            stream = self._streams.get(stream_id)
            if stream is None:
                stream = await self._find_in_journal(stream_id, owner, send)
            return None if stream is None or owner not in (None, stream.about.owner) else stream

    async def stop(self, stream: Stream) -> None:
        """Stop an answer for good, upstream included.

        Raises:
            GatewayError: If another process that has it does not stop it.
        """
        running = self._running.get(stream.id)
        if running is not None:
            running.generation.stop(Ending.STOPPED)
            await self._ended(stream)
            return
        if stream.ending in (Ending.COMPLETE, Ending.STOPPED):
            return
        await self.control.tell(Told("stop", stream.id))
        until = time.monotonic() + _STOP
        while not await self._is_over(stream):
            if time.monotonic() > until:
                raise GatewayError(503, "the stream could not be stopped; try again")
            await asyncio.sleep(_LOOK)
        stream.end(Ending.STOPPED)

    # What a process does

    def drain(self) -> None:
        """Begin nothing more, and hand over what is under way."""
        self.is_draining = True
        for running in list(self._running.values()):
            running.generation.stop(Ending.LEFT)
        for stream in list(self._streams.values()):
            if stream.id not in self._running:
                stream.end(Ending.LEFT)

    async def aclose(self) -> None:
        """End everything."""
        self.drain()
        for timer in self._timers:
            timer.cancel()
        if self._renewing is not None:
            self._renewing.cancel()
        generations = [task for task in self._tasks if task.get_name().startswith("generation")]
        if generations:
            await asyncio.wait(generations, timeout=5)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def active(self) -> int:
        """How many answers this process asks for."""
        return len(self._running)

    # Inside

    def _hear(self, told: Told) -> None:
        """Another process tells something."""
        running = self._running.get(told.stream)
        if running is None:
            return
        if told.what == "stop":
            running.generation.stop(Ending.STOPPED)
        elif told.what == "kill" and self._may_be_killed:
            os.kill(os.getpid(), signal.SIGKILL)
        elif told.what == "reading":
            running.read_until = asyncio.get_running_loop().time() + _READING

    async def _is_over(self, stream: Stream) -> bool:
        """Whether nobody goes on with a stream to be stopped; one that is left is closed."""
        entry = _entry(stream.id)
        state = (await self.journal.read(entry, _FAR)).state
        if state is EntryState.LEFT and (await self.journal.claim(entry, self.name)).granted:
            await self.journal.close(entry, self.name)
            return True
        return state in (EntryState.CLOSED, EntryState.ABSENT)

    def _check_not_draining(self) -> None:
        if self.is_draining:
            raise GatewayError(503, "this process is about to end; try again", {"retry-after": "1"})

    async def _claim_new(self, stream: Stream, call: Call, signs: Signs) -> Stream | None:
        """Make the entries of a stream; return another one if its key has been taken meanwhile."""
        await self.journal.claim(
            _entry(stream.id), self.name, about=stream.about.to_text(), note=call.to_note()
        )
        for name in signs.found_by:
            claim = await self.journal.claim(_sign(name), self.name, about=stream.id)
            if claim.about != stream.id:
                other = (
                    await self.find(claim.about, stream.about.owner)
                    if name in signs.joins
                    else None
                )
                if other is not None:
                    await self.journal.forget(_entry(stream.id))
                    return other
                await self.journal.forget(_sign(name))
                await self.journal.claim(_sign(name), self.name, about=stream.id)
        return None

    async def _look(self, sign: str) -> str | None:
        """The id of the stream that a sign is of."""
        page = await self.journal.read(sign)
        if page.state is EntryState.ABSENT:
            return None
        claim = await self.journal.claim(sign, self.name)
        if claim.found is EntryState.ABSENT:  # it was forgotten meanwhile
            await self.journal.forget(sign)
        return claim.about or None

    async def _find_in_journal(
        self, stream_id: str, owner: str | None, send: Sender | None
    ) -> Stream | None:
        page = await self.journal.read(_entry(stream_id), _FAR)
        if page.state is EntryState.ABSENT:
            return None
        claim = await self.journal.claim(_entry(stream_id), self.name)
        about = About.from_text(claim.about)
        if about is None or owner not in (None, about.owner):
            if claim.granted:
                await self.journal.leave(_entry(stream_id), self.name)
            return None
        stream = Stream(stream_id, about)
        stream.last = claim.last
        if claim.found is EntryState.CLOSED:
            await self._replay(stream)
            return stream
        call = Call.from_note(claim.note)
        if claim.granted:
            if call is not None and send is not None and not self.is_draining:
                self._generate(stream, call, (), send, _nothing)
                return stream
            await self.journal.leave(_entry(stream_id), self.name)
        self._streams[stream.id] = stream
        self._start_background()
        stream.is_open = about.streams
        self._task(self._follow(stream))
        return stream

    async def _replay(self, stream: Stream) -> None:
        """The answer is over: what there is of it is in the journal."""
        if stream.about.streams:
            stream.is_open = True
            stream.end(Ending.COMPLETE)
            return
        page = await self.journal.read(_entry(stream.id))
        if page.frames:
            stream.end(Ending.COMPLETE, saved=Saved.from_frame(page.frames[0]))
        else:
            stream.end(Ending.STOPPED)

    def _generate(
        self,
        stream: Stream,
        call: Call,
        names: tuple[str, ...],
        send: Sender,
        over: Callable[[], None],
        *,
        claimed: asyncio.Task[Any] | None = None,
    ) -> None:
        async def ask() -> Any:
            frames = await self.frames(stream) if stream.last else []
            return await send(call, frames)

        generation = Generation(
            stream,
            _entry(stream.id),
            self.name,
            self.journal,
            ask,
            claimed=claimed,
            has_users=self._has_users,
        )
        running = _Running(generation, call, names, over)
        self._streams[stream.id] = stream
        self._running[stream.id] = running
        stream.on_unread = lambda: self._unread(stream, running)
        stream.on_read = lambda: self._read(running)
        task = generation.start()
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._generated(stream, running, task))
        self._start_background()

    def _generated(self, stream: Stream, running: _Running, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._running.pop(stream.id, None)
        self._streams.pop(stream.id, None)
        self._read(running)
        running.over()
        stream.on_unread = stream.on_read = _nothing
        if running.generation.is_deposed:
            self._streams[stream.id] = stream
            self._task(self._follow(stream))
        elif not running.call.has_key and not self.is_draining:
            self._later(self._linger, lambda: self._forget(stream, running.names))

    def _unread(self, stream: Stream, running: _Running) -> None:
        """Nobody here reads the answer: let it go on as long as it may."""
        linger = running.call.linger
        if stream.ending is not None or linger == math.inf:
            return
        elsewhere = running.read_until - asyncio.get_running_loop().time()
        if elsewhere > 0:
            running.timer = self._later(elsewhere, lambda: self._unread(stream, running))
        elif linger <= 0:
            running.generation.stop(Ending.LEFT)
        else:
            running.timer = self._later(linger, lambda: running.generation.stop(Ending.LEFT))

    def _read(self, running: _Running) -> None:
        timer, running.timer = running.timer, None
        if timer is not None:
            timer.cancel()
            self._timers.discard(timer)

    def _forget(self, stream: Stream, names: tuple[str, ...]) -> None:
        """Nobody can ask for this answer again by its request."""
        self._task(self._forget_all(stream, names))

    async def _forget_all(self, stream: Stream, names: tuple[str, ...]) -> None:
        with suppress(JournalUnavailable):
            for name in names:
                if await self._look(_sign(name)) == stream.id:
                    await self.journal.forget(_sign(name))
            page = await self.journal.read(_entry(stream.id), _FAR)
            if page.state is EntryState.LEFT and stream.ending is not Ending.COMPLETE:
                await self.journal.forget(_entry(stream.id))

    async def _follow(self, stream: Stream) -> None:
        """Hand out what another process writes."""
        stream.on_unread = lambda: stream.end(Ending.LEFT)
        told = -math.inf
        try:
            while stream.ending is None:
                if stream.readers and time.monotonic() - told >= _READING / 3:
                    told = time.monotonic()
                    await self.control.tell(Told("reading", stream.id))
                page = await self.journal.read(_entry(stream.id), stream.last, wait=_FOLLOW)
                if page.frames:
                    self._hand_out(stream, page.frames)
                elif page.state is not EntryState.ALIVE:
                    await self._followed(stream, page.state)
        except JournalUnavailable:
            stream.end(Ending.LEFT)
        finally:
            stream.on_unread = _nothing
            if self._streams.get(stream.id) is stream:
                del self._streams[stream.id]

    def _hand_out(self, stream: Stream, frames: tuple[bytes, ...]) -> None:
        if stream.about.streams:
            stream.publish(frames)
        else:
            stream.end(Ending.COMPLETE, saved=Saved.from_frame(frames[0]))

    async def _followed(self, stream: Stream, state: EntryState) -> None:
        """Its writer is done with it."""
        if state is EntryState.CLOSED:
            await self._replay(stream)
        elif state is EntryState.LEFT:
            stream.end(Ending.LEFT)
        else:
            stream.end(Ending.FAILED, error=error_frame(500, "the answer could not be completed"))

    async def frames(self, stream: Stream) -> list[bytes]:
        """All frames so far."""
        frames: list[bytes] = []
        while len(frames) < stream.last:
            page = await self.journal.read(_entry(stream.id), len(frames))
            if not page.frames:
                break
            frames.extend(page.frames)
        return frames

    async def read(self, stream: Stream, after: int) -> tuple[bytes, ...]:
        """Frames of a stream that are no longer in memory."""
        return (await self.journal.read(_entry(stream.id), after)).frames

    async def _ended(self, stream: Stream) -> None:
        while stream.ending is None:
            await stream.changed(1.0)

    def _start_background(self) -> None:
        if self._renewing is None:
            self._renewing = self._task(self._renew())
            self._task(self.control.listen())

    async def _renew(self) -> None:
        """Show signs of life of all that is under way."""
        while True:
            await asyncio.sleep(self.journal.lease / 3)
            await self.control.renew()
            for running in list(self._running.values()):
                await running.generation.renew()

    def _task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("work on the journal failed: %s", type(task.exception()).__name__)

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        def run() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)
        return timer


def _nothing() -> None:
    pass


_FAR = 1 << 40
"""A number that no frame has, to read the state of an entry alone."""
