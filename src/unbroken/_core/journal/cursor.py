"""Where a call stands in its entry of the journal: it reads what is there, then writes the rest.

The frames that are read are fed to the machine, which returns them unchanged. A call that was
deposed reads its entry again from the beginning; what its caller has already is left out.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from unbroken._core.journal.entries import EntryState, JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken._core.framing.frames import Framing
    from unbroken._core.journal.entries import Claim, Page

__all__ = ["Cursor", "Mode", "Step", "frames_of"]

_CHUNK = 100
"""Frames to take in at once: more would hold up an event loop."""


class Mode(Enum):
    """What a call does with its entry."""

    OFF = "nothing"
    READING = "it reads what is there"
    WRITING = "it writes the rest"


class Step(Enum):
    """What follows an empty page."""

    WAIT = auto()
    """Read on: a writer is at it."""
    CLAIM = auto()
    """Claim the entry: its writer left it."""
    END = auto()
    """There are no more frames."""


class Cursor:
    """The position of one call in its entry."""

    def __init__(self) -> None:
        self.mode = Mode.OFF
        """What the call does with its entry."""
        self.last = 0
        """The number of the last frame that was read or written."""
        self.owns = False
        """Whether the call is to write the entry, or writes it."""
        self._delivered = 0  # bytes that the caller has
        self._skip = 0  # bytes that come again
        self._frames: list[bytes] = []  # read, and not taken in yet

    def claimed(self, claim: Claim) -> None:
        """The entry was asked for.

        Raises:
            JournalUnavailable: If it was removed meanwhile.
        """
        if claim.found is EntryState.ABSENT and self._delivered:
            raise JournalUnavailable("the entry was removed while it was written")
        self.owns = claim.granted
        if self.mode is Mode.OFF:
            self.mode, self.last, self._skip = Mode.READING, 0, self._delivered
            self._frames.clear()
            if claim.granted and not claim.last and not self._delivered:
                self.mode = Mode.WRITING

    def take(self, page: Page) -> Step | None:
        """Take in a page; return what follows if it is empty, None if `chunk()` has frames."""
        if page.frames:
            self._frames += page.frames
            self.last = page.last
            return None
        if self.owns:
            self.mode = Mode.WRITING
            return Step.END
        if page.state is EntryState.CLOSED:
            self.stop()
            return Step.END
        return Step.WAIT if page.state is EntryState.ALIVE else Step.CLAIM

    def peek(self) -> bytes:
        """The first frame that was read, and not taken in yet; empty if there is none."""
        return self._frames[0] if self._frames else b""

    def chunk(self) -> bytes:
        """The next frames for the machine; empty if another page is to be read."""
        out = b"".join(self._frames[:_CHUNK])
        del self._frames[:_CHUNK]
        return out

    def wrote(self, count: int, *, ends: bool) -> None:
        """So many frames were appended."""
        self.last += count
        if ends:
            self.stop()

    def stop(self) -> None:
        """Leave the entry alone from now on."""
        self.mode, self.owns = Mode.OFF, False

    def deliver(self, data: bytes) -> bytes:
        """What the caller gets of bytes that the machine returned."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._delivered += len(data)
        return data


def frames_of(data: bytes, framing: Callable[[], Framing]) -> list[bytes]:
    """The frames in bytes for the caller, of which all are whole."""
    frames = list(framing().split(data))
    rest = data[sum(map(len, frames)) :]
    if rest:  # its end is one byte of which more could follow
        frames.append(rest)
    return frames
