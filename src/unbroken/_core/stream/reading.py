"""One attempt, read into the caller's message.

Nothing is delivered that could not be sent back to the API: blocks that cannot be resumed are held
until they are complete (`Handling` says which and why), and the end is delivered in one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken._core.framing.frames import Event, FrameError
from unbroken._core.resume import PlanMode
from unbroken._core.stream.blocks import Block, Handling
from unbroken._core.stream.fast_lane import FastLane, Track
from unbroken._core.stream.held import HeldBlocks
from unbroken._core.stream.shapes import check_shape
from unbroken._core.stream.sinks import HeldBack, Live, Muted, Sink, TextJoin

if TYPE_CHECKING:
    from collections.abc import Collection

    from unbroken._core.framing.frames import Framing
    from unbroken._core.ledger import Ledger
    from unbroken._core.seam import Seam
    from unbroken._core.stream.message import Message

__all__ = ["Reading"]


class _Incoming(NamedTuple):
    """The block that the attempt is in."""

    block: Block
    source_index: int
    """Its index, as it came."""
    sink: Sink


class Reading:
    """What one attempt brings: made when its response begins, dropped when it ends.

    Args:
        message: The caller's message, which it adds to.
        ledger: Counts its tokens.
        framing: How its events are framed.
        live: Types of blocks to deliver as they come, though a drop in them cannot be resumed; for
            tools, also `tool_use name`.
        mode: What was asked for.
        seam: Joins its first text to the text delivered before; None if nothing was.
        whole: Whether texts, too, are delivered when the message ends.
        replays: Whether it was delivered before, so that nothing need be held back.
    """

    def __init__(
        self,
        message: Message,
        ledger: Ledger,
        framing: Framing,
        live: Collection[str] = (),
        *,
        mode: PlanMode = PlanMode.AGAIN,
        seam: Seam | None = None,
        whole: bool = False,
        replays: bool = False,
    ) -> None:
        continues = mode is not PlanMode.AGAIN
        self.framing = framing
        """How its events are framed."""
        self.lane = FastLane(framing)
        """Takes in nearly every event."""
        self.ended = False
        """Whether the model told why it stopped."""
        self.stopped = False
        """Whether the `message_stop` came, too."""
        self.stop_reason: str | None = None
        """Why the model stopped."""
        self.last_block: Block | None = None
        """The block that the model is in, or wrote last."""
        self._message = message
        self._ledger = ledger
        self._live = frozenset(live)
        self._replays = replays
        self._keeps = mode is PlanMode.USER_TURN
        # Its thinking is bound to turns that the caller's history does not have, or comes twice.
        self._mutes_thinking = continues or message.has_thinking()
        self._text = TextJoin(message, seam, continues=continues)
        self._whole = whole and not replays
        self._held = HeldBlocks(until_end=self._whole)
        self._incoming: _Incoming | None = None
        self._received: list[Block] = []
        self._ending: list[Event] = []  # its message_deltas, and its message_stop

    def received(self) -> list[Block]:
        """What a continuation by user turn brought, as the model wrote it."""
        self.lane.flush()
        return self._received

    def received_chars(self) -> int:
        """Characters of content that the attempt brought: text, thinking, tool input."""
        self.lane.flush()
        return self.lane.chars

    def plain_delta(self, frame: bytes) -> bytes | None:
        """Take in a plain delta without parsing it; None if it must be parsed."""
        out = self.lane.take(frame)
        if out:
            self._message.growth += 1
        return out

    @staticmethod
    def brings_content(event: Event) -> bool:
        """Whether an event brings the answer further: pings and empty deltas do not."""
        if event.name == "content_block_delta":
            delta = event.data.get("delta")
            return isinstance(delta, dict) and any(delta[key] for key in delta if key != "type")
        return event.name in _HANDLERS

    def take(self, event: Event) -> bytes:
        """Take in an event, and return what the caller gets for it.

        Raises:
            FrameError: If the event makes no sense where it stands.
            SeamError: If the text of a continuation cannot be joined to the text before it.
        """
        handler = _HANDLERS.get(event.name)
        if handler is None:
            return event.frame
        self.lane.flush()
        check_shape(event)
        return handler(self, event)

    def _message_start(self, event: Event) -> bytes:
        self._ledger.started(event.data["message"])
        return self._message.begin(event)

    # Blocks

    def _block_start(self, event: Event) -> bytes:
        if self._message.start is None or self._incoming is not None:
            raise FrameError("a content block that starts out of order")
        block, index = Block(event.data["content_block"]), event.data["index"]
        self.last_block = block
        if self._keeps:
            self._received.append(block)
        if self._mutes_thinking and block.handling is Handling.THINKING:
            self._incoming = _Incoming(block, index, Muted(block))
            return b""
        out = self._release(next_began=True)
        if block.handling is Handling.TEXT and not (self._held or self._whole):
            self._incoming = _Incoming(block, index, self._text)
            out += self._text.start(event, block if self._keeps else None)
            self._enter_lane_with_text()
            return out
        out += self._text.interrupt()
        if self._held or not self._is_live(block):
            held = self._held.add(block, index, event.frame)
            self._incoming = _Incoming(block, index, HeldBack(held))
            self.lane.enter(Track(block, index, index, held))
            return out
        self._incoming = _Incoming(block, index, Live(self._message))
        out += self._message.open_block(block, event)
        self.lane.enter(Track(block, index, self._message.last_index))
        return out

    def _is_live(self, block: Block) -> bool:
        if self._replays or block.handling is Handling.UNKNOWN:
            return True
        named = f"{block.type} {block.start.get('name')}"
        return not self._live.isdisjoint((block.type, named))

    def _block_delta(self, event: Event) -> bytes:
        incoming = self._incoming_at(event)
        self.lane.chars += _content_length(event.data["delta"])
        out = incoming.sink.delta(event)
        if incoming.sink is self._text:
            self._enter_lane_with_text()
        return out

    def _block_stop(self, event: Event) -> bytes:
        incoming = self._incoming_at(event)
        incoming.block.closed = True
        self._incoming = None
        self.lane.leave()
        out = incoming.sink.stop(event)
        return out if incoming.sink is self._text else out + self._release(next_began=False)

    def _incoming_at(self, event: Event) -> _Incoming:
        if self._incoming is None or event.data["index"] != self._incoming.source_index:
            raise FrameError("an event for a content block that is not open")
        return self._incoming

    def _enter_lane_with_text(self) -> None:
        """Let deltas of a text take the fast lane while no seam needs to see them."""
        if not self._text.takes_plain_text():
            self.lane.leave()
            return
        assert self._incoming is not None
        assert self._message.open is not None
        self.lane.enter(
            Track(
                self._message.open,
                self._incoming.source_index,
                self._message.last_index,
                received=self._incoming.block if self._keeps else None,
                trigger=self._text.trigger,
            )
        )

    def _release(self, *, next_began: bool, stop_reason: str | None = None) -> bytes:
        """Deliver the held blocks that need to wait no longer."""
        released = self._held.release(next_began=next_began, stop_reason=stop_reason)
        return b"".join([self._message.put(held) for held in released])

    # The end

    def _message_delta(self, event: Event) -> bytes:
        if self._message.start is None:
            raise FrameError("a message that ends before it starts")
        self._ledger.counted(event.data.get("usage"))
        self._ending.append(event)
        stop_reason = event.data["delta"].get("stop_reason")
        if stop_reason is None:
            return b""
        out = self._stop_open_block()
        out += self._text.end(stop_reason)
        out += self._release(next_began=True, stop_reason=stop_reason)
        self.ended, self.stop_reason = True, stop_reason
        return out

    def _stop_open_block(self) -> bytes:
        """The message stopped inside a block, as it may where a limit cuts it: end the block."""
        if self._incoming is None:
            return b""
        name = "content_block_stop"
        data = {"type": name, "index": self._incoming.source_index}
        return self._block_stop(Event(name, data, self.framing.encode(name, data)))

    def _message_stop(self, event: Event) -> bytes:
        if not self.ended:
            raise FrameError("a message that stops without a reason")
        self._ending.append(event)
        self.stopped = True
        return b""

    def finish(self) -> bytes:
        """End the message as the model did, even if its `message_stop` did not come."""
        stop = next((event.frame for event in self._ending if event.name == "message_stop"), None)
        deltas = [event for event in self._ending if event.name == "message_delta"]
        if len(deltas) == 1 and self._ledger.is_first:
            return self._message.finish(deltas[0].data, deltas[0].frame, stop)
        return self._message.finish(self.ending(), stop=stop)

    def ending(self) -> dict[str, Any]:
        """The `message_delta` with which the model ended the message."""
        end = _merged([event.data for event in self._ending if event.name == "message_delta"])
        return {**end, "usage": self._ledger.of_message(end["usage"])}

    def finish_with(self, end: dict[str, Any]) -> bytes:
        """End the message here, as the model did before more of it was asked for.

        Args:
            end: Its `message_delta` then.
        """
        usage = end["usage"]
        if not self.ended:
            carried = self._ledger.unfinished(self.received_chars())
            usage = {**usage, "output_tokens": max(usage.get("output_tokens") or 0, carried)}
        return self._message.finish({**end, "usage": usage})

    def finish_as(self, stop_reason: str) -> bytes:
        """End the message here, for a reason that the API did not tell."""
        usage = {"output_tokens": self._ledger.unfinished(self.received_chars())}
        delta = {"stop_reason": stop_reason, "stop_sequence": None}
        return self._message.finish({"type": "message_delta", "delta": delta, "usage": usage})


_HANDLERS = {
    "message_start": Reading._message_start,  # noqa: SLF001
    "content_block_start": Reading._block_start,  # noqa: SLF001
    "content_block_delta": Reading._block_delta,  # noqa: SLF001
    "content_block_stop": Reading._block_stop,  # noqa: SLF001
    "message_delta": Reading._message_delta,  # noqa: SLF001
    "message_stop": Reading._message_stop,  # noqa: SLF001
}


def _merged(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """Several `message_delta`s as one: later values win, as the API's counts are cumulative."""
    merged: dict[str, Any] = {}
    for data in deltas:
        inner = {
            name: {**(merged.get(name) or {}), **(data.get(name) or {})}
            for name in ("delta", "usage")
        }
        merged = {**merged, **data, **inner}
    return merged


def _content_length(delta: dict[str, Any]) -> int:
    return sum(len(str(delta.get(key) or "")) for key in ("text", "thinking", "partial_json"))
