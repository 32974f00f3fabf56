"""A journal for tasks, made of one for threads."""

from __future__ import annotations

import _thread
import threading
import time
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import anyio
from anyio import to_thread

from unbroken.journal._waiters import TaskSignal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.journal._waiters import Waiters
    from unbroken.journal.protocol import Claim, Entry, Journal, Page

__all__ = ["Append", "Batches", "InThreads", "read_waiting"]

T = TypeVar("T")

_THREADS = 40
"""Calls of one journal that run at once."""
_RECHECK = 1.0
"""Seconds after which a reader looks again: the lease of a writer may have passed."""
_BATCH = 256
"""Appends to write at once."""
_IDLE = 0.5
"""Seconds after which the thread that writes ends, if there is nothing to write."""


class InThreads:
    """Runs each call of a journal in a worker thread.

    A journal that blocks for long in `read()` needs a `read()` of its own: each reader that waits
    occupies one of 40 threads.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._limiter: anyio.CapacityLimiter | None = None
        self.lease = journal.lease
        self.ttl = journal.ttl
        self.required = journal.required

    async def _run(self, work: Callable[[], T], *, abandon: bool = False) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_THREADS)
        return await to_thread.run_sync(work, abandon_on_cancel=abandon, limiter=self._limiter)

    async def claim(self, key: str, owner: str, *, about: str = "", note: bytes = b"") -> Claim:
        """Become the owner of an entry that is absent or left."""
        return await self._run(partial(self._journal.claim, key, owner, about=about, note=note))

    async def append(
        self, key: str, owner: str, first: int, frames: Sequence[bytes], *, closes: bool = False
    ) -> None:
        """Write frames, which is a sign of life, too."""
        await self._run(partial(self._journal.append, key, owner, first, frames, closes=closes))

    async def read(self, key: str, after: int = 0, *, wait: float = 0.0) -> Page:
        """Read the frames after a number."""
        return await self._run(partial(self._journal.read, key, after, wait=wait), abandon=True)

    async def renew(self, key: str, owner: str) -> None:
        """Show a sign of life."""
        await self._run(partial(self._journal.renew, key, owner))

    async def close(self, key: str, owner: str) -> None:
        """Mark an entry as complete, and remove its note."""
        await self._run(partial(self._journal.close, key, owner))

    async def leave(self, key: str, owner: str) -> None:
        """Give an entry up, so that another writer can claim it at once; not if deposed."""
        await self._run(partial(self._journal.leave, key, owner))

    async def forget(self, key: str) -> bool:
        """Remove an entry, and return whether there was one."""
        return await self._run(partial(self._journal.forget, key))

    async def entries(self) -> list[Entry]:
        """All entries, the one seen last first."""
        return await self._run(self._journal.entries)

    async def sweep(self) -> int:
        """Remove the entries that were kept for `ttl` seconds, and return how many."""
        return await self._run(self._journal.sweep)


class Append(NamedTuple):
    """One append."""

    key: str
    owner: str
    first: int
    frames: Sequence[bytes]
    closes: bool


class _Job(NamedTuple):
    """An append that a task waits for."""

    append: Append
    results: list[Exception | None]
    done: TaskSignal


class _Waking(Protocol):
    """What readers that wait need of a journal."""

    @property
    def waiters(self) -> Waiters:
        """The readers that wait."""

    def page(self, key: str, after: int) -> Page:
        """The frames after a number, without waiting."""

    def page_or_wake(self, key: str, after: int, wake: Callable[[], None]) -> Page | None:
        """A page with frames, or of an entry at which no writer is; else None, and wake later."""


class _Batching(_Waking, Protocol):
    lease: float
    ttl: float
    required: bool

    def append_all(self, jobs: Sequence[Append]) -> list[Exception | None]:
        """Carry out several appends at once, and return how each one failed."""


def read_waiting(journal: _Waking, key: str, after: int, wait: float) -> Page:
    """Read frames after a number, and wait for them in this thread."""
    until = time.monotonic() + wait
    while (left := until - time.monotonic()) > 0:
        woken = threading.Event()
        page = journal.page_or_wake(key, after, woken.set)
        if page is not None:
            return page
        woken.wait(min(left, _RECHECK))
        journal.waiters.discard(key, woken.set)
    return journal.page(key, after)


class Batches(InThreads):
    """A journal for tasks, in which one thread writes what all of them append, in batches.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal, batching: _Batching) -> None:
        super().__init__(journal)
        self._batching = batching
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._is_writing = False

    async def append(
        self, key: str, owner: str, first: int, frames: Sequence[bytes], *, closes: bool = False
    ) -> None:
        """Write frames, which is a sign of life, too."""
        job = _Job(Append(key, owner, first, frames, closes), [], TaskSignal())
        self._jobs.put(job)
        if not self._is_writing:
            self._is_writing = True
            _thread.start_new_thread(self._write, ())
        await job.done.wait()
        [error] = job.results
        if error is not None:
            raise error

    def _write(self) -> None:
        while True:
            try:
                jobs = [self._jobs.get(timeout=_IDLE)]
            except Empty:
                self._is_writing = False
                if self._jobs.empty():
                    return
                continue  # one came in between; another thread may write, too
            with suppress(Empty):
                while len(jobs) < _BATCH:
                    jobs.append(self._jobs.get_nowait())
            results = self._batching.append_all([job.append for job in jobs])
            for job, error in zip(jobs, results, strict=True):
                job.results.append(error)
                job.done.set()

    async def read(self, key: str, after: int = 0, *, wait: float = 0.0) -> Page:
        """Read the frames after a number."""
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0:
            page = await self._page_within(min(left, _RECHECK), key, after)
            if page is not None:
                return page
        return await self._run(partial(self._batching.page, key, after))

    async def _page_within(self, seconds: float, key: str, after: int) -> Page | None:
        """A page to return now; None if there was none, and something may have changed since."""
        signal = TaskSignal()
        try:
            look = partial(self._batching.page_or_wake, key, after, signal.set)
            page = await self._run(look)
            if page is None:
                with anyio.move_on_after(seconds):
                    await signal.wait()
            return page
        finally:
            self._batching.waiters.discard(key, signal.set)
