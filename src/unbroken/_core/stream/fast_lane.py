"""The fast lane of an attempt: plain deltas in a row, taken in without being parsed.

Nearly every event of a stream is a delta that differs from the one before in its text alone. One
regular expression recognises it, and its JSON text is added to the block as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from unbroken._core.framing.frames import string_of, text_and_end

if TYPE_CHECKING:
    from unbroken._core.framing.frames import Framing, PlainDelta
    from unbroken._core.stream.blocks import Block
    from unbroken._core.stream.held import Held

__all__ = ["DeltaRun", "FastLane", "Track"]


class Track(NamedTuple):
    """Where the deltas of one block go."""

    block: Block
    """The block that they add to."""
    source_index: int
    """Its index, as it comes."""
    message_index: int
    """Its index for the caller."""
    held: Held | None = None
    """Where their frames wait; None if the caller gets each as it comes."""
    received: Block | None = None
    """The block as the attempt brought it, if that is another one."""
    trigger: bytes | None = None
    """Deltas that contain this byte, or end in white space, do not take the fast lane."""


class DeltaRun:
    """Deltas of one block and one type.

    Args:
        delta: The first of them, which is yet to be added.
        track: Where they go.
    """

    __slots__ = ("_counted", "_held", "_text", "_texts_in", "_track", "before")

    def __init__(self, delta: PlainDelta, track: Track) -> None:
        self.before = delta.before
        """What each frame begins with, up to its text."""
        # `findall` gives the text itself, without an object for the match.
        pattern = rb"\A" + re.escape(delta.before) + text_and_end(track.trigger) + rb"\Z"
        self._texts_in = re.compile(pattern).findall
        self._track = track
        self._held = track.held
        self._text = track.block.tail(delta.kind.decode())
        self._counted = len(self._text)

    def add(self, frame: bytes) -> bytes | None:
        """Take in one delta, and return what the caller gets for it; None if it must be parsed."""
        texts = self._texts_in(frame)
        if not texts:
            return None
        text = texts[0]
        if not text.isascii():
            try:
                text.decode()
            except UnicodeDecodeError:
                return None
        self._text += text
        if self._held is None:
            return frame
        self._held.keep(frame)
        return b""

    def continues(self, track: Track) -> bool:
        """Whether the run can go on: deltas go where they went, and nothing else came between."""
        return track == self._track and track.block.ends_with(self._text)

    def flush(self) -> int:
        """Count the characters that came since the last time: for each delta it would be slow."""
        came = self._text[self._counted :]
        self._counted = len(self._text)
        if self._track.received is not None and came:
            self._track.received.tail("text_delta").extend(came)
        return len(string_of(came))

    def skip(self) -> None:
        """Leave out of the count what was added to the block since the last time."""
        self._counted = len(self._text)


class _RenumberedRun(DeltaRun):
    """Deltas of a block that has another index for the caller."""

    __slots__ = ("_new_before",)

    def __init__(self, delta: PlainDelta, track: Track) -> None:
        super().__init__(delta, track)
        self._new_before = delta.renumbered(track.message_index)

    def add(self, frame: bytes) -> bytes | None:
        """Take in one delta, and return what the caller gets for it; None if it must be parsed."""
        out = super().add(frame)
        return self._new_before + out[len(self.before) :] if out else out


class FastLane:
    """Takes in the plain deltas of the block that an attempt is in.

    Args:
        framing: How the events are framed.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._track: Track | None = None
        self._last: DeltaRun | None = None
        self.run: DeltaRun | None = None
        """What the next delta may add to without being parsed."""
        self.chars = 0
        """Characters that came, as of the last `flush()`."""

    def enter(self, track: Track) -> None:
        """Take in plain deltas that go this way, after the event that came last was parsed."""
        self._track = track
        if self._last is not None and self._last.continues(track):
            self._last.skip()
            self.run = self._last

    def leave(self) -> None:
        """Take in no more deltas."""
        self.flush()
        self._track = None

    def take(self, frame: bytes) -> bytes | None:
        """Take in a delta, and return what the caller gets for it; None if it must be parsed."""
        if self._track is None:
            return None
        out = None if self.run is None else self.run.add(frame)
        if out is None:
            run = self._new_run(frame, self._track, self.run)
            out = None if run is None else run.add(frame)
            if out is not None:
                self.run = self._last = run
        return out

    def _new_run(self, frame: bytes, track: Track, refused_by: DeltaRun | None) -> DeltaRun | None:
        delta = self._framing.plain_delta(frame)
        if delta is None or delta.block_index != b"%d" % track.source_index:
            return None
        if refused_by is not None and refused_by.before == delta.before:
            return None
        self.flush()
        is_renumbered = track.held is None and track.message_index != track.source_index
        return (_RenumberedRun if is_renumbered else DeltaRun)(delta, track)

    def flush(self) -> None:
        """End the row of deltas: something else comes, or the count is asked for."""
        if self.run is not None:
            self.chars += self.run.flush()
            self.run = None
