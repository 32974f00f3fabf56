"""What a journal keeps of an answer, and who may write to it.

Each entry is one answer, known by an opaque key. Its frames have numbers, from 1 without a gap. A
writer claims an entry as its owner and shows signs of life. Without one for `lease` seconds the
entry counts as left, and another writer may claim it. Whoever appends a number first has written
it: a writer whose number is taken, or whose entry has another owner, was deposed and follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Claim", "Deposed", "Entry", "EntryState", "JournalUnavailable", "Page"]


class EntryState(StrEnum):
    """What is to be done about an entry."""

    ABSENT = "absent"
    """Nobody wrote it: claim it."""
    ALIVE = "alive"
    """A writer is at it: follow it."""
    LEFT = "left"
    """Its writer gave it up, or has shown no sign of life for a lease: claim it, and go on."""
    CLOSED = "closed"
    """It is complete: replay it."""


class JournalUnavailable(Exception):  # noqa: N818  # it reads as what happened
    """The journal cannot be read or written now: no space, no permission, no connection."""


class Deposed(Exception):  # noqa: N818  # it reads as what happened
    """Another writer owns the entry, or it is closed or gone: follow it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a journal keeps of an answer, but for its frames.

    Attributes:
        key: Its key.
        about: What the first writer said of it.
        owner: Who writes it; None if its writer gave it up.
        last: The number of its last frame; 0 if it has none.
        size: The bytes of its frames.
        seen: Seconds since the epoch at which its writer last showed a sign of life.
        closed: Whether it is complete.
    """

    key: str
    about: str
    owner: str | None
    last: int
    size: int
    seen: float
    closed: bool

    def state(self, now: float, lease: float) -> EntryState:
        """What is to be done about it.

        Args:
            now: Seconds since the epoch.
            lease: Seconds without a sign of life after which it counts as left.
        """
        if self.closed:
            return EntryState.CLOSED
        if self.owner is None or now - self.seen >= lease:
            return EntryState.LEFT
        return EntryState.ALIVE

    def takes(self, owner: str, first: int) -> bool:
        """Whether this writer may append frames from this number on."""
        return self.owner == owner and not self.closed and first == self.last + 1

    def is_expired(self, now: float, ttl: float) -> bool:
        """Whether nobody needs it any more.

        Args:
            now: Seconds since the epoch.
            ttl: Seconds to keep it after the last sign of life.
        """
        return now - self.seen >= ttl


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a writer who asked for an entry.

    Attributes:
        granted: Whether the writer owns it now.
        found: What the entry was before.
        last: The number of its last frame; the owner goes on with the next one.
        about: What its first writer said of it.
        note: What its first writer kept in it for the next one; empty once it is closed.
    """

    granted: bool
    found: EntryState
    last: int
    about: str
    note: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Frames of an entry, in order.

    Attributes:
        frames: The frames; none if there are no more now.
        last: The number of the last one; the number that was read from if there are none.
        state: What the entry is. While there are frames, read on, whatever it says.
    """

    frames: tuple[bytes, ...]
    last: int
    state: EntryState
