"""Carries out a call for threads. `aio` is the same for tasks, line for line but for the lock."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from unbroken._core.recovery import Recovery
from unbroken._core.states import Phase
from unbroken._drive.clock import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken._core.call import Loss
    from unbroken._core.recovery import Machine
    from unbroken._drive.clock import Clock
    from unbroken._drive.door import Door, Observer, Upstream

__all__ = ["Driver"]

_READING = Phase.READING  # asked for with every event, and slow to look up before Python 3.12


class Driver:
    """Makes the requests of one call, and reads its stream.

    Args:
        machine: What decides.
        door: What sends.
        clock: The time.
        observer: Is told what happens.
    """

    # Once a stream was opened:
    _recovery: Recovery
    _chunks: Iterator[bytes]

    def __init__(self, machine: Machine, door: Door, clock: Clock, observer: Observer) -> None:
        self._machine = machine
        self._door = door
        self._clock = clock
        self._observer = observer
        self._lock = threading.Lock()  # tasks need none: one thread runs them all
        self._interrupt = Interrupt()
        self._closing = False
        self._reading = False
        self._told_loss = False
        self.upstream: Upstream | None = None
        """The response that is being read, or was returned last."""

    def open(self) -> Phase:
        """Make requests until one is answered, or the call is lost."""
        call = self._machine.call
        try:
            while call.phase in (Phase.ASKING, Phase.WAITING):
                self._step()
        except BaseException:
            self.close()
            raise
        return call.phase

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next bytes for the caller."""
        call = self._machine.call
        out = b""
        self._reading = True  # and then look at `_closing`: close() does it the other way round
        try:
            while not out:
                if self._closing:
                    raise self._door.closed()
                if call.phase is not _READING:
                    out = self._move_on()
                    continue
                try:
                    chunk = next(self._chunks)
                except Exception as error:  # noqa: BLE001  # the door tells what it means
                    out = self._broke(error)
                else:
                    out = self._recovery.receive(chunk, self._clock.now())
                if call.events and call.phase is _READING:
                    self._tell()  # how it ended is told when the caller has had what came
        except StopIteration:
            raise
        except BaseException:
            self._closing = True
            raise
        finally:
            self._reading = False
            if self._closing:
                self.close()
        return out

    def close(self) -> None:
        """End the call, and close its connection; from any thread.

        Where somebody reads, that is woken up, and ends the call itself: nobody else touches the
        machine in the meantime.
        """
        self._closing = True
        self._interrupt.set()
        if not self._reading:
            with self._lock:
                self._machine.close(self._clock.now())
        upstream = self.upstream
        try:
            if upstream is not None and not (self._reading and upstream.shares_connection):
                self.upstream = None
                upstream.abort()
        finally:
            if not self._reading:
                self._tell()

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._clock.now() - self._machine.call.begun

    def _step(self) -> None:
        call = self._machine.call
        if call.phase is Phase.WAITING:
            self._clock.sleep(call.wait, self._interrupt)
            call.waited()
            return
        self._machine.begin(self._clock.now())
        self._tell()
        loss: Loss | None
        try:
            with self._observer.sending():
                upstream = self._door.send(self._machine.plan, call)
        except Exception as error:  # noqa: BLE001  # the door tells what it means
            loss = self._door.loss(error)
        else:
            self.upstream = upstream
            self._chunks = upstream.chunks()
            call.note(status=upstream.status, request_id=upstream.request_id)
            loss = upstream.loss
        self._take_in(loss, self._clock.now())
        if loss is not None:
            self._release()
        self._tell()

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
        if isinstance(error, StopIteration):
            return self._recovery.ended(now)
        return self._recovery.broke(self._door.loss(error), now)

    def _move_on(self) -> bytes:
        """Do what is to be done when there is nothing to read."""
        self._tell()
        phase = self._machine.call.phase
        if phase is Phase.COMPLETE:
            self._drain()
            raise StopIteration
        self._release()
        if phase is Phase.LOST:
            return self._lose()
        self._step()
        return b""

    def _drain(self) -> None:
        """Look once for the end of the body, so that its connection can be used again."""
        with suppress(Exception):  # the message is whole, whatever the connection is
            next(self._chunks, None)
        self._release()

    def _lose(self) -> bytes:
        """Tell the caller once how the call was lost."""
        if self._told_loss:
            raise StopIteration
        self._told_loss = True
        return self._door.surface(self._machine.call)

    def _release(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()

    def _tell(self) -> None:
        for event in self._machine.call.take_events():
            self._observer.tell(event)
