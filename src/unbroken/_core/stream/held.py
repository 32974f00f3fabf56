"""Blocks that are held until they are complete, in order.

`Handling` says which types are held, and until when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken._core.framing.frames import FrameError
from unbroken._core.stream.blocks import Handling

if TYPE_CHECKING:
    from unbroken._core.stream.blocks import Block

__all__ = ["Held", "HeldBlocks", "InvalidToolInputError"]

# With these, the API may end a message in the middle of a tool call.
_CUT_SHORT = {"max_tokens", "model_context_window_exceeded", "refusal"}

# Frames of a block are kept up to this size; a longer block is encoded again.
_MAX_KEPT = 48 * 1024


class InvalidToolInputError(FrameError):
    """The model wrote a tool call whose input cannot be read: asking again may help once."""


class Held:
    """A block that is held, with its frames while they are few.

    Args:
        block: The block.
        index: Its index, as it came.
    """

    __slots__ = ("_size", "block", "frames", "index")

    def __init__(self, block: Block, index: int) -> None:
        self.block = block
        self.index = index
        self.frames: list[bytes] = []
        """Its frames as they came; none if they would be too long."""
        self._size = 0

    def keep(self, frame: bytes) -> None:
        """A frame of the block came."""
        self._size += len(frame)
        if self._size > _MAX_KEPT:
            self.frames.clear()
        else:
            self.frames.append(frame)


class HeldBlocks:
    """The blocks of one attempt that are held.

    Args:
        until_end: Whether they wait until the message ends.
    """

    def __init__(self, *, until_end: bool = False) -> None:
        self._until_end = until_end
        self._queue: list[Held] = []

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, block: Block, index: int, frame: bytes) -> Held:
        """Hold a block that began with this frame."""
        held = Held(block, index)
        held.keep(frame)
        self._queue.append(held)
        return held

    def release(self, *, next_began: bool, stop_reason: str | None = None) -> list[Held]:
        """Remove and return the blocks that need not be held any longer.

        Args:
            next_began: Whether something follows them.
            stop_reason: Why the message ended, if it did.

        Raises:
            InvalidToolInputError: If the message ended, and the input of a tool call is not JSON.
        """
        if self._until_end and stop_reason is None:
            return []
        count = self._releasable(next_began, stop_reason)
        released = self._queue[:count]
        del self._queue[:count]
        return released

    def _releasable(self, next_began: bool, stop_reason: str | None) -> int:
        count = 0
        unanswered = set()
        for number, held in enumerate(self._queue, 1):
            block = held.block
            followed = next_began or number < len(self._queue)
            if not block.closed or (block.handling is Handling.THINKING and not followed):
                break
            if block.handling is Handling.CLIENT_TOOL and not block.valid_input():
                if stop_reason is None:
                    break
                if stop_reason not in _CUT_SHORT:
                    raise InvalidToolInputError("a tool call whose input is not a JSON object")
            if block.handling is Handling.SERVER_TOOL:
                unanswered.add(block.start.get("id"))
            unanswered.discard(block.start.get("tool_use_id"))
            if not unanswered or stop_reason is not None:
                count = number
        return count
