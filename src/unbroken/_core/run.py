"""Plain deltas in a row, which differ in their text alone: the short way of nearly every event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken._core.blocks import Block
    from unbroken._core.held import Held

__all__ = ["Run"]


class Run:
    """Deltas of one block and one kind, taken in without being parsed.

    Args:
        block: The block that they add to.
        kind: Their type, as it stands in the JSON.
        held: Where their frames wait; None if the caller gets each as it comes.
    """

    __slots__ = ("_begin", "_held", "_text", "kind")

    def __init__(self, block: Block, kind: bytes, held: Held | None) -> None:
        self.kind = kind
        self._held = held
        self._text = block.tail(kind.decode())
        self._begin = len(self._text)

    def add(self, text: bytes, frame: bytes) -> bytes:
        """Take in one more delta, and return what the caller gets for it.

        Args:
            text: Its text, as it stands in the JSON.
            frame: The frame that it came in.
        """
        self._text += text
        if self._held is None:
            return frame
        self._held.keep(frame)
        return b""

    def chars(self) -> int:
        """How many characters came: counted at once, as it would be slow for each delta."""
        return len(json.loads(b'"%s"' % self._text[self._begin :]))
