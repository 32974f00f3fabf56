"""What a journal does: one protocol for threads, and one for tasks.

A journal that others write follows these rules, and passes `unbroken.journal.testkit`:

- Frames are opaque bytes. Each has a number in its entry: 1, 2, 3, ...
- Each method is atomic, also against other processes: all of its frames are written, or none.
- What was appended is there for every later reader, also if the writer is killed at once.
- Any thread may call any method at any time. Only `read()` waits, and for its `wait` at most.
- What fails raises `JournalUnavailable`, within seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from unbroken._core.journal.entries import (
    Claim,
    Deposed,
    Entry,
    EntryState,
    JournalUnavailable,
    Page,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AsyncJournal",
    "Claim",
    "Deposed",
    "Entry",
    "EntryState",
    "Journal",
    "JournalUnavailable",
    "Page",
]


class _Settings(Protocol):
    """What both protocols have.

    Attributes:
        lease: Seconds without a sign of life after which an entry counts as left.
        ttl: Seconds to keep an entry after its last sign of life; 0 to forget it when it is closed.
        required: Whether calls fail when the journal does, rather than go on without it.
    """

    lease: float
    ttl: float
    required: bool


class Journal(_Settings, Protocol):
    """A journal, for threads."""

    def claim(self, key: str, owner: str, *, about: str = "", note: bytes = b"") -> Claim:
        """Become the owner of an entry that is absent or left.

        Args:
            key: The entry, by any text.
            owner: Who asks: a text that is unique to this writer.
            about: What to say of an entry that is absent; kept as long as the entry.
            note: What to keep in an entry that is absent for the writer that takes it over; removed
                when it is closed.

        Raises:
            JournalUnavailable: If the journal fails.
        """

    def append(
        self, key: str, owner: str, first: int, frames: Sequence[bytes], *, closes: bool = False
    ) -> None:
        """Write frames, which is a sign of life, too.

        Args:
            key: The entry.
            owner: Who writes.
            first: The number of the first frame; the others follow.
            frames: The frames.
            closes: Whether the entry is complete with them.

        Raises:
            Deposed: If the writer is not the owner, or the number is not the next one. Nothing is
                written then.
            JournalUnavailable: If the journal fails.
        """

    def read(self, key: str, after: int = 0, *, wait: float = 0.0) -> Page:
        """Read the frames after a number.

        Args:
            key: The entry.
            after: The number of the last frame that is known.
            wait: Seconds to wait for a frame if there is none, and a writer is at it.

        Raises:
            JournalUnavailable: If the journal fails.
        """

    def renew(self, key: str, owner: str) -> None:
        """Show a sign of life.

        Raises:
            Deposed: If the writer is not the owner.
            JournalUnavailable: If the journal fails.
        """

    def close(self, key: str, owner: str) -> None:
        """Mark an entry as complete, and remove its note.

        Raises:
            Deposed: If the writer is not the owner.
            JournalUnavailable: If the journal fails.
        """

    def leave(self, key: str, owner: str) -> None:
        """Give an entry up, so that another writer can claim it at once; not if deposed.

        Raises:
            JournalUnavailable: If the journal fails.
        """

    def forget(self, key: str) -> bool:
        """Remove an entry, and return whether there was one.

        Raises:
            JournalUnavailable: If the journal fails.
        """

    def entries(self) -> list[Entry]:
        """All entries, the one seen last first.

        Raises:
            JournalUnavailable: If the journal fails.
        """

    def sweep(self) -> int:
        """Remove the entries that were kept for `ttl` seconds, and return how many.

        Raises:
            JournalUnavailable: If the journal fails.
        """

    def state(self, entry: Entry) -> EntryState:
        """What an entry of `entries()` is now."""

    def dispose(self) -> None:
        """Release connections and threads. The journal opens them again when it is used."""

    def for_tasks(self) -> AsyncJournal:
        """The same journal, for tasks."""


class AsyncJournal(_Settings, Protocol):
    """A journal, for tasks of asyncio or trio. Each method is as in `Journal`."""

    async def claim(self, key: str, owner: str, *, about: str = "", note: bytes = b"") -> Claim:
        """Become the owner of an entry that is absent or left."""

    async def append(
        self, key: str, owner: str, first: int, frames: Sequence[bytes], *, closes: bool = False
    ) -> None:
        """Write frames, which is a sign of life, too."""

    async def read(self, key: str, after: int = 0, *, wait: float = 0.0) -> Page:
        """Read the frames after a number."""

    async def renew(self, key: str, owner: str) -> None:
        """Show a sign of life."""

    async def close(self, key: str, owner: str) -> None:
        """Mark an entry as complete, and remove its note."""

    async def leave(self, key: str, owner: str) -> None:
        """Give an entry up, so that another writer can claim it at once; not if deposed."""

    async def forget(self, key: str) -> bool:
        """Remove an entry, and return whether there was one."""

    async def entries(self) -> list[Entry]:
        """All entries, the one seen last first."""

    async def sweep(self) -> int:
        """Remove the entries that were kept for `ttl` seconds, and return how many."""
