"""Carries out a call for tasks. `sync` is the same for threads, line for line but for its lock."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from unbroken._core.actions import (
    READ,
    AskBudget,
    GiveUp,
    Recall,
    Send,
    Sleep,
    is_end,
    is_retry,
)
from unbroken._drive.clock import AsyncInterrupt
from unbroken._drive.drain import AsyncRunner, process
from unbroken._drive.finalizers import finalizers
from unbroken._drive.limit import AsyncReadLimit, AsyncSendLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from unbroken._core.actions import Action
    from unbroken._core.framing.frames import Framing
    from unbroken._core.recovery import Recovery
    from unbroken._drive.clock import AsyncClock
    from unbroken._drive.ports import (
        AsyncBudget,
        AsyncDoor,
        AsyncLog,
        AsyncObserver,
        AsyncUpstream,
    )

__all__ = ["AsyncDriver"]


class AsyncDriver:
    """Carries out the actions of one call, and iterates over the bytes for the caller.

    Args:
        machine: Decides what to do.
        door: Sends.
        clock: The time.
        observer: Is notified of what happens.
        budget: Is asked before each retry; None if the policy has none.
        log: Its entry in a journal, if it has one.
    """

    _chunks: AsyncIterator[bytes]  # once a response started
    _framing: Callable[[], Framing]  # once a stream was opened
    _is_open = False

    def __init__(
        self,
        machine: Recovery,
        door: AsyncDoor,
        clock: AsyncClock,
        observer: AsyncObserver,
        budget: AsyncBudget | None,
        log: AsyncLog | None = None,
    ) -> None:
        self._machine = machine
        self._door = door
        self._clock = clock
        self._observer = observer
        self._budget = budget
        self._log = log
        self._interrupt = AsyncInterrupt()
        self._closing = False
        self._reading = False
        self._gave_up = False
        self._limit = AsyncReadLimit()
        self._send_limit = AsyncSendLimit()
        self._has_limit = False
        self._process = process()
        self._is_drained = False
        self._finalizers = finalizers()
        self._pid = os.getpid()
        self.upstream: AsyncUpstream | None = None
        """The response that is read, or was returned last."""

    async def open(self) -> Action:
        """Make requests until one is answered or the call is lost; return what is to do then."""
        self._is_open = True
        self._process.register(self, AsyncRunner())
        try:
            while await self._prepare(self._machine.action):
                pass
        except BaseException:
            await self.close()
            raise
        if isinstance(self._machine.action, GiveUp):
            self._leave_log()
        return self._machine.action

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes for the caller."""
        machine = self._machine
        out = b""
        self._reading = True  # before it looks at `_closing`: close() does it the other way round
        try:
            while not out:
                if self._closing:
                    raise self._door.closed()
                if machine.action is not READ or self._is_drained:
                    out = await self._move_on()
                    continue
                try:
                    chunk = await (self._limited() if self._has_limit else anext(self._chunks))
                except Exception as error:  # noqa: BLE001  # the door tells what it means
                    out = self._body_over(error)
                else:
                    out = machine.receive(chunk, self._clock.now())
                if out and self._log is not None:
                    out = await self._journaled(out)
                if machine.events and machine.action is READ:
                    await self._notify()  # other actions are told of after the caller got its bytes
        except BaseException as error:
            self._closing |= not isinstance(error, StopAsyncIteration)
            raise
        finally:
            self._reading = False
            if self._closing:
                await self.close()
        return out

    async def close(self) -> None:
        """End the call, and close its connection; from any task.

        A reader is woken up, and ends the call itself: nobody else uses the machine meanwhile.
        """
        if self._finalizers.is_collecting() or self._is_foreign():
            self.abandon()
            return
        self._closing = True
        self._interrupt.set()
        self._send_limit.end()
        self._limit.off()
        try:
            if not self._reading:
                self._machine.close(self._clock.now())
        finally:
            await self._abort()
        if not self._reading:
            self._leave_log()
            await self._notify()

    async def _abort(self) -> None:
        """Close the connection, unless the reader does it."""
        upstream = self.upstream or self._door.opened
        if upstream is None or (self._reading and upstream.shares_connection):
            return
        try:
            await upstream.abort()
        except BaseException:  # `abandon()` tries again
            upstream.hang_up()
            raise
        self.upstream = self._door.opened = None

    def abandon(self) -> None:
        """End a call that nobody reads any more, in another thread; a finalizer may call it."""
        upstream = self.upstream or self._door.opened
        if upstream is not None and not upstream.is_stream:
            upstream = None  # the caller has it
        is_over = is_end(self._machine.action) and upstream is None
        if is_over or self._is_foreign() or self._finalizers.is_closed:
            return
        if upstream is not None:
            upstream.hang_up()
        self._finalizers.hand_over(self.finish)

    def _is_foreign(self) -> bool:
        """Whether a parent process makes the call, and this one has a copy since a fork."""
        return self._pid != os.getpid()

    def finish(self) -> None:
        """End a call that nobody reads any more, where nothing can be awaited."""
        self._closing = True
        self._leave_log()
        self.upstream = self._door.opened = None
        self._machine.close(self._clock.now())
        for event in self._machine.take_events():
            self._observer.notify_now(event)

    async def drain(self, *, reads: bool) -> None:
        """Wait no more, as the process shuts down.

        Args:
            reads: Whether to end a stream that is open, too, or a request that is sent.
        """
        self._is_drained |= reads
        self._interrupt.set()
        if reads:
            self._send_limit.end()
            await self._abort_read()

    def elapsed(self) -> float:
        """Seconds since the call started."""
        return self._clock.now() - self._machine.call.begun

    async def _prepare(self, action: Action) -> bool:
        """Carry out an action that leads to a response; return whether it is one."""
        if self._process.is_requested and is_retry(action):
            self._machine.drain(self._clock.now())
            await self._notify()
        elif isinstance(action, Send):
            await self._send(action)
        elif isinstance(action, Sleep):
            await self._clock.sleep(action.seconds, self._interrupt)
            self._machine.waited(self._clock.now())
        elif isinstance(action, AskBudget):
            await self._ask_budget()
        elif isinstance(action, Recall):
            await self._recall()
        else:
            return False
        return True

    async def _send(self, request: Send) -> None:
        machine = self._machine
        machine.begin(self._clock.now())
        await self._notify()
        try:
            with self._observer.sending(), self._send_limit.within(request.time_left):
                upstream = await self._door.send(request)
        except Exception as error:  # noqa: BLE001  # the door tells what it means
            self._not_sent(error)
        else:
            self._take_in(upstream)
            if self._log is not None and not upstream.is_stream:
                await self._journal_answer(upstream)
        await self._notify()

    async def _recall(self) -> None:
        """Read what the journal holds, if it holds anything."""
        try:
            upstream = await self._recalled_in_time()
        except (ConnectionAbortedError, TimeoutError):
            if self._closing:
                raise
            self._machine.recall_overdue(self._clock.now())
        else:
            self._machine.recalled(self._clock.now(), found=upstream is not None)
            if upstream is not None:
                await self._notify()
                self._take_in(upstream)
        await self._notify()

    async def _recalled_in_time(self) -> AsyncUpstream | None:
        """What the journal holds; another process may be at it, and is waited for."""
        log, ends = self._log, self._machine.deadline
        assert log is not None
        if ends is None:
            return await log.recall()
        try:
            with self._limit.until(ends, self._clock.now(), log.abort):
                return await log.recall()
        finally:
            self._limit.off()

    async def _journaled(self, out: bytes) -> bytes:
        """Append what the caller is to get, and return it."""
        assert self._log is not None
        ends = self._machine.is_complete
        delivered = await self._log.deliver(out, self._framing, ends=ends)
        if delivered is not None:
            return delivered
        self._machine.deposed(self._clock.now())
        return b""

    async def _journal_answer(self, upstream: AsyncUpstream) -> None:
        assert self._log is not None
        answer = upstream.content() if upstream.answer is not None else None
        if not await self._log.put(answer):
            self._machine.deposed(self._clock.now())

    def _leave_log(self) -> None:
        if self._log is not None:
            self._log.leave()

    def _not_sent(self, error: Exception) -> None:
        """No answer started."""
        if self._closing:
            raise self._door.closed() from error
        now = self._clock.now()
        if self._send_limit.is_ended:
            self._machine.drain(now)
        else:
            self._machine.no_response(self._door.failed_attempt(error), now)

    def _take_in(self, upstream: AsyncUpstream) -> None:
        """Report a response to the machine."""
        self.upstream, self._door.opened = upstream, None
        machine, now = self._machine, self._clock.now()
        self._framing = upstream.framing
        self._chunks = upstream.chunks()
        status, request_id = upstream.status, upstream.request_id
        if upstream.is_stream:
            machine.opened(upstream.framing, now, status=status, request_id=request_id)
            self._has_limit = machine.read_ends < math.inf
        else:
            machine.answered(upstream.answer, now, status=status, request_id=request_id)

    async def _limited(self) -> bytes:
        """The next chunk, while a bound of the call limits the read."""
        ends = self._machine.read_ends
        if ends == math.inf:
            self._has_limit = False
            self._limit.off()
            return await anext(self._chunks)
        with self._limit.until(ends, self._clock.now(), self._abort_read):
            return await anext(self._chunks)

    async def _abort_read(self) -> None:
        """End the read that is under way, if its connection is its own."""
        upstream = self.upstream
        if upstream is not None and not upstream.shares_connection:
            with suppress(Exception):  # the reader meets what is wrong with it
                await upstream.abort()

    async def _ask_budget(self) -> None:
        now = self._clock.now()
        granted = self._budget is None or await self._budget.take(now)
        self._machine.charged(granted=granted, now=now)
        await self._notify()

    def _body_over(self, error: Exception) -> bytes:
        """The body ended, or its connection broke."""
        if self._closing:
            raise self._door.closed() from error
        now = self._clock.now()
        if self._is_drained:
            return self._machine.drain(now)
        if isinstance(error, StopAsyncIteration):
            return self._machine.body_ended(now)
        return self._machine.connection_lost(self._door.failed_attempt(error), now)

    async def _move_on(self) -> bytes:
        """Carry out an action other than reading."""
        await self._notify()
        action = self._machine.action
        if action is READ:
            out = self._machine.drain(self._clock.now())
            return await self._journaled(out) if out and self._log is not None else out
        if isinstance(action, GiveUp):
            return await self._give_up(action)
        if isinstance(action, Recall | Send | Sleep | AskBudget):
            await self._release()
            await self._prepare(action)
            return b""
        await self._drain()
        rest = self._machine.take_rest()
        if rest:
            return await self._journaled(rest) if self._log is not None else rest
        raise StopAsyncIteration

    async def _give_up(self, action: GiveUp) -> bytes:
        """Tell the caller, once, how the call was lost."""
        await self._release()
        self._leave_log()
        if self._gave_up:
            raise StopAsyncIteration
        self._gave_up = True
        return self._door.raise_or_frame(action.lost)

    async def _drain(self) -> None:
        """Read to the end of the body once, so that its connection can be used again."""
        with suppress(Exception):  # the message is complete, whatever the connection does
            await anext(self._chunks, None)
        await self._release()

    async def _release(self) -> None:
        self._limit.off()
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            with suppress(Exception):  # nothing more is wanted of it, and it may be broken
                await upstream.close()

    async def _notify(self) -> None:
        for event in self._machine.take_events():
            await self._observer.notify(event)

    def __del__(self) -> None:
        if self._is_open:
            self.abandon()
