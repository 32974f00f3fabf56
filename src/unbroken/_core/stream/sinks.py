"""Where the deltas of a block go: each block of an attempt gets its sink when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from unbroken._core.framing.frames import Event
    from unbroken._core.seam import Seam
    from unbroken._core.stream.blocks import Block
    from unbroken._core.stream.held import Held
    from unbroken._core.stream.message import Message

__all__ = ["HeldBack", "Live", "Muted", "Sink", "TextJoin"]


class Sink(Protocol):
    """Takes in the events of one block. Its methods return what the caller gets for them."""

    def delta(self, event: Event) -> bytes:
        """Take in a `content_block_delta`."""

    def stop(self, event: Event) -> bytes:
        """Take in the `content_block_stop`."""


class Muted:
    """A block that is not delivered.

    Args:
        block: The block.
    """

    def __init__(self, block: Block) -> None:
        self._block = block

    def delta(self, event: Event) -> bytes:
        """Keep a delta, for the report."""
        self._block.add(event.data["delta"])
        return b""

    def stop(self, event: Event) -> bytes:  # noqa: ARG002
        """Nothing follows."""
        return b""


class HeldBack:
    """A block that is delivered when it is complete.

    Args:
        held: The block, and its frames.
    """

    def __init__(self, held: Held) -> None:
        self._held = held

    def delta(self, event: Event) -> bytes:
        """Keep a delta until the block is released."""
        self._held.block.add(event.data["delta"])
        self._held.keep(event.frame)
        return b""

    def stop(self, event: Event) -> bytes:
        """Keep the stop until the block is released."""
        self._held.keep(event.frame)
        return b""


class Live:
    """A block, other than text, that is delivered as it comes.

    Args:
        message: The message whose open block it is.
    """

    def __init__(self, message: Message) -> None:
        self._message = message

    def delta(self, event: Event) -> bytes:
        """Deliver a delta."""
        return self._message.add_delta(event)

    def stop(self, event: Event) -> bytes:
        """Deliver the stop."""
        return self._message.close_block(event)


class TextJoin:
    """The text blocks of an attempt, the first of which may join the text delivered before.

    A text block is opened with its first characters and closed when something follows it, so that
    a drop between the two leaves an open block to continue.

    Args:
        message: The message that the text is added to.
        seam: Joins the first text to the text delivered before; None if nothing was.
        continues: Whether the attempt continues a partial answer.
    """

    def __init__(self, message: Message, seam: Seam | None, *, continues: bool) -> None:
        self._message = message
        self._seam = seam
        self._joins = seam is not None  # whether the next text may grow the last block
        self._continues = continues
        self._start: Event | None = None  # of the last text block
        self._received: Block | None = None
        self._is_open = False  # whether the text has a block in the message
        self._citations: list[Event] = []  # not delivered before the block is open
        self._after_space = False  # whether the seam was fed white space last

    def start(self, event: Event, received: Block | None) -> bytes:
        """Start a text block.

        Args:
            event: Its `content_block_start`.
            received: Gets the text as it comes, before the seam cuts it; None if nothing does.
        """
        self._start, self._received = event, received
        return self._feed(str(event.data["content_block"].get("text") or ""))

    def delta(self, event: Event) -> bytes:
        """Deliver what the seam leaves of a delta."""
        delta = event.data["delta"]
        if self._received is not None:
            self._received.add(delta)
        if delta.get("type") == "text_delta":
            return self._feed(str(delta.get("text") or ""), event)
        self._citations.append(event)
        return self._deliver_citations() if self._is_open else b""

    def stop(self, event: Event) -> bytes:
        """End the block: its end is delivered when something follows."""
        out = self._deliver(self._seam.end_block()) if self._seam is not None else b""
        if not self._continues and not self._joins:
            out += self._open()  # an empty block of a first attempt is delivered, too
        if self._is_open:
            out += self._deliver_citations()
            self._message.close_text(event)
        self._is_open = False
        self._citations.clear()
        return out

    def interrupt(self) -> bytes:
        """A block other than text starts: no later text joins the text before it."""
        out = self.end(None) if self._start is not None else b""
        self._seam, self._joins = None, False
        return out

    def end(self, stop_reason: str | None) -> bytes:
        """No more text comes: deliver what the seam still holds.

        Args:
            stop_reason: Why the message ended; None if it did not.
        """
        if self._seam is None:
            return b""
        out = self._deliver(self._seam.end(stop_reason))
        self._seam, self._is_open = None, False
        return out

    def takes_plain_text(self) -> bool:
        """Whether the next delta may bypass the seam, unless it has the seam's trigger."""
        seam = self._seam
        passes = seam is None or (seam.joined and not seam.holding and not self._after_space)
        return self._is_open and passes

    @property
    def trigger(self) -> bytes | None:
        """What a delta that bypasses the seam must not contain; None if no seam is left."""
        return None if self._seam is None else self._seam.trigger

    def _feed(self, text: str, event: Event | None = None) -> bytes:
        if self._seam is None:
            return self._deliver(text, event)
        joined = self._seam.feed(text)
        self._after_space = text[-1:].isspace()
        if self._seam.settled:
            self._seam = None
        return self._deliver(joined, event if joined == text else None)

    def _deliver(self, text: str, event: Event | None = None) -> bytes:
        if not text:
            return b""
        out = self._open() + self._deliver_citations()
        return out + self._message.add_text(text, event)

    def _deliver_citations(self) -> bytes:
        out = b"".join([self._message.add_citation(event) for event in self._citations])
        self._citations.clear()
        return out

    def _open(self) -> bytes:
        """Find the block that the text goes to: the last one if the text joins it, or a new one."""
        if self._is_open:
            return b""
        joins, self._joins = self._joins and self._message.can_grow(), False
        self._is_open = True
        if joins:
            self._message.reopen()
            return b""
        assert self._start is not None
        return self._message.open_text(self._start)
