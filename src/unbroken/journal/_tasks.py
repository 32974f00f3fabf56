"""A journal for tasks, made of one for threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.journal.protocol import Claim, Entry, Journal, Page

__all__ = ["InThreads"]

T = TypeVar("T")

_THREADS = 40
"""Calls of one journal that run at once."""


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
