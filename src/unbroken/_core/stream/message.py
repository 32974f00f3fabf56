"""The message that the caller reads, as far as it has been delivered.

Whatever the attempts bring, the caller gets one `message_start`, contiguous indices, each block
opened, filled and closed once, one `message_delta` and one `message_stop`. Frames are passed on as
they came wherever that gives the same message.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import Event
from unbroken._core.stream.blocks import Block, Handling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken._core.framing.frames import Framing
    from unbroken._core.stream.held import Held

__all__ = ["Message"]

_MESSAGE_STOP = {"type": "message_stop"}


class Message:
    """What the caller has. Its methods add to it, and return the bytes that tell the caller.

    Args:
        framing: Encodes events for the caller.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self.start: dict[str, Any] | None = None
        """The message of the `message_start` that was delivered."""
        self.blocks: list[Block] = []
        """The content blocks, in order."""
        self.open: Block | None = None
        """The last block, until its end is delivered."""
        self.end: dict[str, Any] | None = None
        """The `message_delta` that was delivered."""
        self.growth = 0
        """How many times content was delivered: the one record that the caller got something."""
        self._stop: bytes | None = None  # the end of the open text block, not delivered yet

    def begin(self, event: Event) -> bytes:
        """Deliver a `message_start`, unless one was delivered."""
        if self.start is not None:
            return b""
        self.start = {**event.data["message"], "content": []}
        return event.frame

    def chars_since(self, sizes: Sequence[tuple[int, int]]) -> int:
        """Characters of content that were delivered since its blocks had these sizes."""
        before = chain(sizes, repeat((0, 0)))
        return sum(block.chars_since(size) for block, size in zip(self.blocks, before))  # noqa: B905

    def has_thinking(self) -> bool:
        """Whether a thinking block was delivered."""
        return any(block.handling is Handling.THINKING for block in self.blocks)

    # Blocks that are delivered as they come

    def open_block(self, block: Block, event: Event) -> bytes:
        """Open a block with the `content_block_start` that it came with."""
        out = self.close()
        self.blocks.append(block)
        self.open = block
        if block.handling is not Handling.TEXT:
            self.growth += 1
        return out + self._renumbered(event)

    def open_text(self, event: Event) -> bytes:
        """Open a text block. Text in its `content_block_start` is left to `add_text()`."""
        event = _without_text(event, self._framing)
        return self.open_block(Block(event.data["content_block"]), event)

    def can_grow(self) -> bool:
        """Whether the last block is a text block that more text can join."""
        if self.open is None or self.open.handling is not Handling.TEXT:
            return False
        return self._stop is None or not self.open.is_cited()

    def reopen(self) -> None:
        """Drop the end of the last text block: more text joins it."""
        self._stop = None

    def add_text(self, text: str, event: Event | None = None) -> bytes:
        """Add text to the open block.

        Args:
            text: The text.
            event: The `content_block_delta` that carries exactly this text, if there is one.
        """
        assert self.open is not None
        delta = {"type": "text_delta", "text": text}
        self.open.add(delta)
        self.growth += 1
        return (
            self._renumbered(event) if event else self._encode("content_block_delta", delta=delta)
        )

    def add_citation(self, event: Event) -> bytes:
        """Add a citation, or any other delta without text, to the open text block."""
        assert self.open is not None
        self.open.add(event.data["delta"])
        return self._renumbered(event)

    def add_delta(self, event: Event) -> bytes:
        """Add a delta to the open block, which is no text block."""
        assert self.open is not None
        self.open.add(event.data["delta"])
        self.growth += 1
        return self._renumbered(event)

    def close_text(self, event: Event) -> None:
        """End the open text block, but deliver its end later: the next text may join it."""
        self._stop = self._renumbered(event)

    def close_block(self, event: Event) -> bytes:
        """Close the open block with the `content_block_stop` that it came with."""
        self.open = None
        return self._renumbered(event)

    def close(self) -> bytes:
        """Close the open block, if there is one."""
        if self.open is None:
            return b""
        out = self._stop or self._encode("content_block_stop")
        self.open = self._stop = None
        return out

    # Blocks that are delivered whole

    def put(self, held: Held) -> bytes:
        """Deliver a whole block, in the frames that it came in where its index can stay."""
        out = self.close()
        self.blocks.append(held.block)
        self.growth += 1
        if held.frames and held.index == self.last_index:
            return out + b"".join(held.frames)
        start = self._encode("content_block_start", content_block=held.block.start)
        deltas = (self._encode("content_block_delta", delta=d) for d in held.block.deltas())
        return out + start + b"".join(deltas) + self._encode("content_block_stop")

    # The end

    def finish(
        self, end: dict[str, Any], frame: bytes | None = None, stop: bytes | None = None
    ) -> bytes:
        """Deliver the end.

        Args:
            end: The `message_delta`.
            frame: The frame that it came in; None to encode it.
            stop: The frame of the `message_stop`; None to encode one.
        """
        out = self.close()
        self.end = end
        frame = frame or self._framing.encode("message_delta", end)
        return out + frame + (stop or self._framing.encode("message_stop", _MESSAGE_STOP))

    def so_far(self) -> dict[str, Any] | None:
        """The message as JSON, as far as it was delivered; None before its start."""
        if self.start is None:
            return None
        return {**self.without_content(), "content": [block.content() for block in self.blocks]}

    def without_content(self, end: dict[str, Any] | None = None) -> dict[str, Any]:
        """The message as JSON, as far as it was delivered, but for its blocks.

        Args:
            end: The `message_delta` that it would end with, if none was delivered.
        """
        message, end = dict(self.start or {}), self.end or end
        if end is not None:
            message |= end["delta"]
            message["usage"] = {**(message.get("usage") or {}), **(end.get("usage") or {})}
        return message

    # Encoding

    @property
    def last_index(self) -> int:
        """The index of the last block."""
        return len(self.blocks) - 1

    def _renumbered(self, event: Event) -> bytes:
        """The frame of an event, with the index of the last block."""
        if event.data["index"] == self.last_index:
            return event.frame
        return self._framing.encode(event.name, {**event.data, "index": self.last_index})

    def _encode(self, name: str, **data: Any) -> bytes:
        """A frame of our own, about the last block."""
        return self._framing.encode(name, {"type": name, "index": self.last_index, **data})


def _without_text(start: Event, framing: Framing) -> Event:
    """The start of a text block, without text in it (the API sends none)."""
    content_block = start.data["content_block"]
    if not content_block.get("text"):
        return start
    data = {**start.data, "content_block": {**content_block, "text": ""}}
    return Event(start.name, data, framing.encode(start.name, data))
