"""Carries out a call for tasks. `sync` is the same for threads, line for line but for its lock."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

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

    # Once a stream was opened:
    _recovery: Recovery
    _chunks: AsyncIterator[bytes]

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

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes for the caller."""
        call = self._machine.call
        out = b""
        self._reading = True  # and then look at `_closing`: close() does it the other way round
        try:
            while not out:
                if self._closing:
                    raise self._door.closed()
                if call.phase is not _READING:
                    out = await self._move_on()
                    continue
                try:
                    chunk = await anext(self._chunks)
                except Exception as error:  # noqa: BLE001  # the door tells what it means
                    out = self._broke(error)
                else:
                    out = self._recovery.receive(chunk, self._clock.now())
                if call.events and call.phase is _READING:
                    await self._tell()  # how it ended is told when the caller has had what came
        except StopAsyncIteration:
            raise
        except BaseException:
            self._closing = True
            raise
        finally:
            self._reading = False
            if self._closing:
                await self.close()
        return out

    async def close(self) -> None:
        """End the call, and close its connection; from any task.

        Where somebody reads, that is woken up, and ends the call itself: nobody else touches the
        machine in the meantime.
        """
        self._closing = True
        self._interrupt.set()
        if not self._reading:
            self._machine.close(self._clock.now())
        upstream = self.upstream
        try:
            if upstream is not None and not (self._reading and upstream.shares_connection):
                self.upstream = None
                await upstream.abort()
        finally:
            if not self._reading:
                await self._tell()

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._clock.now() - self._machine.call.begun

    async def _step(self) -> None:
        call = self._machine.call
        if call.phase is Phase.WAITING:
            await self._clock.sleep(call.wait, self._interrupt)
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
        self._take_in(loss, self._clock.now())
        if loss is not None:
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
            self._recovery = machine
        else:
            machine.call.succeeded(now)

    def _broke(self, error: Exception) -> bytes:
        """The body ended, or its connection broke."""
        if self._closing:
            raise self._door.closed() from error
        now = self._clock.now()
        if isinstance(error, StopAsyncIteration):
            return self._recovery.ended(now)
        return self._recovery.broke(self._door.loss(error), now)

    async def _move_on(self) -> bytes:
        """Do what is to be done when there is nothing to read."""
        await self._tell()
        phase = self._machine.call.phase
        if phase is Phase.COMPLETE:
            await self._drain()
            raise StopAsyncIteration
        await self._release()
        if phase is Phase.LOST:
            return self._lose()
        await self._step()
        return b""

    async def _drain(self) -> None:
        """Look once for the end of the body, so that its connection can be used again."""
        with suppress(Exception):  # the message is whole, whatever the connection is
            await anext(self._chunks, None)
        await self._release()

    def _lose(self) -> bytes:
        """Tell the caller once how the call was lost."""
        if self._told_loss:
            raise StopAsyncIteration
        self._told_loss = True
        return self._door.surface(self._machine.call)

    async def _release(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            await upstream.close()

    async def _tell(self) -> None:
        for event in self._machine.call.take_events():
            await self._observer.tell(event)
