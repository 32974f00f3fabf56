"""Plain deltas in a row, which differ in their text alone: the short way of nearly every event."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from unbroken._core.frames import TEXT_AND_END

if TYPE_CHECKING:
    from unbroken._core.blocks import Block
    from unbroken._core.frames import PlainDelta
    from unbroken._core.held import Held

__all__ = ["Run"]


class Run:
    """Deltas of one block and one kind, taken in without being parsed.

    Args:
        delta: The first of them, which is yet to be added.
        block: The block that they add to.
        held: Where their frames wait; None if the caller gets each as it comes.
    """

    __slots__ = ("_held", "_size", "_text", "_texts_in")

    def __init__(self, delta: PlainDelta, block: Block, held: Held | None) -> None:
        # `findall` gives the text itself, without an object for the match.
        pattern = rb"\A" + re.escape(delta.before) + TEXT_AND_END + rb"\Z"
        self._texts_in = re.compile(pattern).findall
        self._held = held
        self._text = block.tail(delta.kind.decode())
        self._size = len(self._text)

    def add(self, frame: bytes) -> bytes | None:
        """Take in one more delta, and return what the caller gets for it; None if it is none."""
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

    def chars(self) -> int:
        """How many characters came: counted at once, as it would be slow for each delta."""
        return len(json.loads(b'"%s"' % self._text[self._size :]))
