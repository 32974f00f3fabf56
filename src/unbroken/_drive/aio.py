"""Carries out a call for tasks. `sync` is the same for threads, line for line but for its lock."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase
from unbroken._drive.clock import AsyncInterrupt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken._core.call import Loss
    from unbroken._core.recovery import Machine
    from unbroken._drive.clock import AsyncClock
    from unbroken._drive.door import AsyncDoor, AsyncObserver, AsyncUpstream

__all__ = ["AsyncDriver"]

_READING = Phase.READING  # asked for with every event, and slow to look up before Python 3.12


class AsyncDriver:
    """Makes the requests of one call, and reads its stream.

    Args:
        machine: What decides.
        door: What sends.
        clock: The time.
        observer: Is told what happens.
    """

    def __init__(
        self, machine: Machine, door: AsyncDoor, clock: AsyncClock, observer: AsyncObserver
    ) -> None:
        self._machine = machine
        self._door = door
        self._clock = clock
        self._observer = observer
        self._interrupt = AsyncInterrupt()
        self._closing = False
        self._reading = False
        self._told_loss = False
        self._chunks: AsyncIterator[bytes] | None = None
        self.upstream: AsyncUpstream | None = None
        """The response that is being read, or was returned last."""

    async def open(self) -> Phase:
        """Make requests until one is answered, or the call is lost."""
        call = self._machine.call
        try:
            while call.phase in (Phase.ASKING, Phase.WAITING):
                await self._step()
        except BaseException:
            await self.close()
            raise
        return call.phase

    async def read(self) -> bytes | None:
        """The next bytes for the caller; None at the end."""
        call = self._machine.call
        out = b""
        try:
            if call.events:
                await self._tell()
            while not out:
                if self._closing:
                    raise self._door.closed()
                if call.phase is _READING:
                    out = await self._read_chunk()
                elif call.phase is Phase.COMPLETE:
                    await self._drain()
                    return None
                elif call.phase is Phase.LOST:
                    return self._lose()
                else:
                    await self._step()
        except BaseException:
            await self.close()
            raise
        return out

    async def close(self) -> None:
        """End the call, whatever it is doing, and close its connection; from any task."""
        self._closing = True
        self._interrupt.set()
        self._machine.close(self._clock.now())
        upstream = self.upstream
        try:
            if upstream is not None and not (self._reading and upstream.shares_connection):
                self.upstream = None
                await upstream.abort()
        finally:
            await self._tell()

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._clock.now() - self._machine.call.begun

    async def _step(self) -> None:
        call = self._machine.call
        if call.phase is Phase.WAITING:
            await self._clock.sleep(call.wait, self._interrupt)
            if not self._closing:
                call.waited()
            return
        self._machine.begin(self._clock.now())
        await self._tell()
        loss: Loss | None
        try:
            with self._observer.sending():
                upstream = await self._door.send(self._machine.plan, call)
        except Exception as error:  # noqa: BLE001  # the door tells what it means
            loss = self._door.loss(error)
        else:
            self.upstream = upstream
            self._chunks = upstream.chunks()
            call.note(status=upstream.status, request_id=upstream.request_id)
            loss = upstream.loss
        now = self._clock.now()
        if not self._closing:
            self._take_in(loss, now)
        if self._closing or loss is not None:
            await self._release()
        await self._tell()

    def abandon(self) -> None:
        """Write the call off: nobody will read it, and nothing can be awaited any more."""
        if not self._closing:
            self._machine.close(self._clock.now())
            for event in self._machine.call.take_events():
                self._observer.tell_now(event)

    def _take_in(self, loss: Loss | None, now: float) -> None:
        machine, upstream = self._machine, self.upstream
        if loss is not None:
            machine.failed(loss, now)
        elif isinstance(machine, Recovery) and upstream is not None and upstream.streams:
            machine.opened(upstream.framing, now)
        else:
            machine.call.succeeded(now)

    async def _read_chunk(self) -> bytes:
        machine, call = self._machine, self._machine.call
        assert isinstance(machine, Recovery)
        loss = None
        chunk: bytes | None = None
        self._reading = True  # and then look at `_closing`: close() does it the other way round
        try:
            if self._chunks is not None and not self._closing:
                chunk = await anext(self._chunks, None)
        except Exception as error:
            if self._closing:
                raise self._door.closed() from error
            loss = self._door.loss(error)
        finally:
            self._reading = False
        now = self._clock.now()
        if self._closing:
            return b""
        if chunk is not None:
            out = machine.receive(chunk, now)
        elif loss is not None:
            out = machine.broke(loss, now)
        else:
            out = machine.ended(now)
        if call.events:  # without one, nothing has ended
            if call.phase in (Phase.WAITING, Phase.LOST):
                await self._release()
            if call.phase is Phase.READING or not out:
                await self._tell()  # how it ended is told when the caller has had what came
        return out

    async def _drain(self) -> None:
        """Look once for the end of the body, so that its connection can be used again."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            with suppress(Exception):  # the message is whole, whatever the connection is
                await anext(chunks, None)
        await self._release()

    def _lose(self) -> bytes | None:
        """Tell the caller once how the call was lost."""
        if self._told_loss:
            return None
        self._told_loss = True
        return self._door.surface(self._machine.call)

    async def _release(self) -> None:
        upstream, self.upstream = self.upstream, None
        self._chunks = None
        if upstream is not None:
            await upstream.close()

    async def _tell(self) -> None:
        for event in self._machine.call.take_events():
            await self._observer.tell(event)
