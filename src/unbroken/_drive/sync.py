"""Carries out a call for threads. `aio` is the same for tasks, line for line but for the lock."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

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
        self._chunks: Iterator[bytes] | None = None
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

    def read(self) -> bytes | None:
        """The next bytes for the caller; None at the end."""
        call = self._machine.call
        out = b""
        try:
            if call.events:
                self._tell()
            while not out:
                if self._closing:
                    raise self._door.closed()
                if call.phase is _READING:
                    out = self._read_chunk()
                elif call.phase is Phase.COMPLETE:
                    self._drain()
                    return None
                elif call.phase is Phase.LOST:
                    return self._lose()
                else:
                    self._step()
        except BaseException:
            self.close()
            raise
        return out

    def close(self) -> None:
        """End the call, whatever it is doing, and close its connection; from any thread."""
        self._closing = True
        self._interrupt.set()
        with self._lock:
            self._machine.close(self._clock.now())
        upstream = self.upstream
        try:
            if upstream is not None and not (self._reading and upstream.shares_connection):
                self.upstream = None
                upstream.abort()
        finally:
            self._tell()

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._clock.now() - self._machine.call.begun

    def _step(self) -> None:
        call = self._machine.call
        if call.phase is Phase.WAITING:
            self._clock.sleep(call.wait, self._interrupt)
            with self._lock:
                if not self._closing:
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
        with self._lock:
            now = self._clock.now()
            if not self._closing:
                self._take_in(loss, now)
        if self._closing or loss is not None:
            self._release()
        self._tell()

    def _take_in(self, loss: Loss | None, now: float) -> None:
        machine, upstream = self._machine, self.upstream
        if loss is not None:
            machine.failed(loss, now)
        elif isinstance(machine, Recovery) and upstream is not None and upstream.streams:
            machine.opened(upstream.framing, now)
        else:
            machine.call.succeeded(now)

    def _read_chunk(self) -> bytes:
        machine, call = self._machine, self._machine.call
        assert isinstance(machine, Recovery)
        loss = None
        chunk: bytes | None = None
        self._reading = True  # and then look at `_closing`: close() does it the other way round
        try:
            if self._chunks is not None and not self._closing:
                chunk = next(self._chunks, None)
        except Exception as error:
            if self._closing:
                raise self._door.closed() from error
            loss = self._door.loss(error)
        finally:
            self._reading = False
        with self._lock:
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
                self._release()
            if call.phase is Phase.READING or not out:
                self._tell()  # how it ended is told when the caller has had what came
        return out

    def _drain(self) -> None:
        """Look once for the end of the body, so that its connection can be used again."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            with suppress(Exception):  # the message is whole, whatever the connection is
                next(chunks, None)
        self._release()

    def _lose(self) -> bytes | None:
        """Tell the caller once how the call was lost."""
        if self._told_loss:
            return None
        self._told_loss = True
        return self._door.surface(self._machine.call)

    def _release(self) -> None:
        upstream, self.upstream = self.upstream, None
        self._chunks = None
        if upstream is not None:
            upstream.close()

    def _tell(self) -> None:
        for event in self._machine.call.take_events():
            self._observer.tell(event)
