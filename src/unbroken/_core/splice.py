"""The one message that the caller reads, put together from what the attempts bring.

It keeps these promises, whatever the attempts do: one `message_start`, contiguous indices, each
block opened, filled and closed once, one `message_delta`, one `message_stop`; and nothing reaches
the caller that could not be sent back to the API. For that, blocks that cannot be resumed are held
until they are whole (`Handling` says which and why), a text block is opened with its first
characters and closed when something follows it, and the end is delivered in one piece.

Frames are passed on as they came wherever that gives the same message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken._core.blocks import Block, Handling
from unbroken._core.frames import Event, FrameError, Framing
from unbroken._core.held import HeldBlocks
from unbroken._core.run import Run
from unbroken._core.usage import AttemptUsage, logical, unfinished

if TYPE_CHECKING:
    from collections.abc import Collection

    from unbroken._core.held import Held
    from unbroken._core.seam import Seam

__all__ = ["Splice"]


class Splice:
    """The caller's message, and the attempt that is being read into it.

    Args:
        framing: How events are written for the caller; the attempts are framed alike.
        live: Types of blocks to deliver as they come, though a drop in them cannot be mended; of
            tools, also `tool_use name`.
    """

    def __init__(self, framing: Framing, live: Collection[str] = ()) -> None:
        self._framing = framing
        self._live = frozenset(live)
        self.message: dict[str, Any] | None = None
        """The message of the first `message_start`, as the caller got it."""
        self.blocks: list[Block] = []
        """What the caller has been given, in order."""
        self.open: Block | None = None
        """The last of the blocks, where the caller has not seen it closed yet."""
        self.end: dict[str, Any] | None = None
        """The `message_delta` that ended the message, once the model said why it stopped."""
        self.whole = False
        """Whether the caller has been given the whole message."""
        self.progressed = False
        """Whether content was delivered since somebody last set this to False."""
        self._stop: bytes | None = None  # of the open text block, whose end the caller awaits
        self._first_usage: AttemptUsage | None = None
        self.begin_attempt(None, continues=False)

    # The attempt

    def begin_attempt(
        self,
        seam: Seam | None,
        *,
        continues: bool,
        keeps: bool = False,
        prompt_tokens: int = 0,
    ) -> None:
        """Forget what the last attempt left unfinished, and read the next one.

        Args:
            seam: Where the attempt's first text joins the text that the caller has, if it does.
            continues: Whether the attempt goes on from the partial answer, so that its thinking
                is bound to turns which the caller's history does not have.
            keeps: Whether to keep what it brings as the model wrote it, in `received`.
            prompt_tokens: About how many input tokens our own words to the model are.
        """
        self.usage = AttemptUsage()
        self.received: list[Block] = []
        """What a continuation brought, as the model wrote it."""
        self._received_chars = 0
        self.end = None
        self._seam = seam
        self._joins = seam is not None
        self._continues = continues
        self._keeps = keeps
        self._prompt_tokens = prompt_tokens
        self._mutes_thinking = continues or self._has_thinking()
        self._held = HeldBlocks()
        self._ending: list[Event] = []  # its message_deltas, and its message_stop
        # The block that the attempt is in.
        self._incoming: Block | None = None
        self._incoming_index: object = None
        # Text that goes to the caller as it comes.
        self._in_text = False  # whether the attempt is in such a block
        self._text_start: Event | None = None  # how its last one began
        self._text_block: Block | None = None  # the caller's block that it goes to
        self._citations: list[Event] = []  # which wait until there is one
        # Where deltas may take the short way: the block, and its index as it stands in the JSON.
        self._plain_block: Block | None = None
        self._plain_index = b""
        self.run: Run | None = None
        """The plain deltas that came last, if nothing else has come since."""

    def _has_thinking(self) -> bool:
        return any(block.handling is Handling.THINKING for block in self.blocks)

    # What comes

    def plain_delta(self, frame: bytes) -> bytes | None:
        """Take in a plain delta as it came; None if it must be taken apart."""
        out = None if self.run is None else self.run.add(frame)
        if out is None:
            out = self._begin_run(frame)
        if out:
            self.progressed = True
        return out

    def _begin_run(self, frame: bytes) -> bytes | None:
        block = self._plain_block
        delta = None if block is None else self._framing.plain_delta(frame)
        if block is None or delta is None or delta.block_index != self._plain_index:
            return None
        self._end_run()
        self.run = Run(delta, block, self._held.last(block))
        return self.run.add(frame)

    def _end_run(self) -> None:
        if self.run is not None:
            self._received_chars += self.run.chars()
            self.run = None

    def received_chars(self) -> int:
        """Characters of content that the attempt brought: text, thinking, tool input."""
        self._end_run()
        return self._received_chars

    def take(self, event: Event) -> bytes:
        """Take in one event, and return what the caller gets for it.

        Raises:
            FrameError: If the event makes no sense where it stands.
            SeamError: If a continuation's text cannot be joined to the text before it.
        """
        handler = _HANDLERS.get(event.name)
        if handler is None:
            return event.frame
        self._end_run()
        for name, kind in _SHAPES[event.name].items():
            if not isinstance(event.data.get(name), kind):
                raise FrameError(f"a {event.name} event without its {name}")
        return handler(self, event)

    def _message_start(self, event: Event) -> bytes:
        message = event.data["message"]
        self.usage.started(message)
        if self.message is not None:
            return b""
        self.message = {**message, "content": []}
        self._first_usage = self.usage
        return event.frame

    def _block_start(self, event: Event) -> bytes:
        if self.message is None or self._incoming is not None:
            raise FrameError("a content block that begins out of order")
        block = Block(event.data["content_block"])
        self._incoming, self._incoming_index = block, event.data["index"]
        if self._keeps:
            self.received.append(block)
        if self._is_muted(block):
            return b""
        out = self._release(next_began=True)
        if block.handling is Handling.TEXT and not self._held:
            self._text_start, self._in_text = event, True
            return out + self._deliver(str(block.start.get("text") or ""))
        out += self._end_seam(None) if self._text_start is not None else b""
        self._seam, self._joins = None, False
        if self._held or not self._is_live(block):
            self._hold(block, event)
            return out
        return out + self._open(block, event)

    def _is_muted(self, block: Block) -> bool:
        return self._mutes_thinking and block.handling is Handling.THINKING

    def _is_live(self, block: Block) -> bool:
        named = f"{block.type} {block.start.get('name')}"
        return block.handling is Handling.UNKNOWN or not self._live.isdisjoint((block.type, named))

    def _block_delta(self, event: Event) -> bytes:
        block = self._incoming_at(event)
        delta = event.data["delta"]
        self._received_chars += _content_length(delta)
        if self._in_text:
            return self._text_content(block, event, delta)
        block.add(delta)
        if block is self.open:
            self.progressed = True
            return self._at(event, len(self.blocks) - 1)
        self._held.keep(block, event.frame)
        return b""

    def _block_stop(self, event: Event) -> bytes:
        block = self._incoming_at(event)
        block.closed = True
        self._incoming = self._plain_block = None
        if self._in_text:
            return self._end_text(event)
        if block is self.open:
            self.open = None
            return self._at(event, len(self.blocks) - 1)
        self._held.keep(block, event.frame)
        return self._release(next_began=False)

    def _message_delta(self, event: Event) -> bytes:
        if self.message is None or self._incoming is not None:
            raise FrameError("a message that ends before it begins, or inside a content block")
        self.usage.counted(event.data.get("usage"))
        self._ending.append(event)
        stop_reason = event.data["delta"].get("stop_reason")
        if stop_reason is None:
            return b""
        out = self._end_seam(stop_reason)
        out += self._release(next_began=True, stop_reason=stop_reason)
        self.end = event.data
        return out

    def _message_stop(self, event: Event) -> bytes:
        if self.end is None:
            raise FrameError("a message that stops without a reason")
        self._ending.append(event)
        return self.finish()

    def _incoming_at(self, event: Event) -> Block:
        if self._incoming is None or event.data["index"] != self._incoming_index:
            raise FrameError("an event for a content block that is not open")
        return self._incoming

    # Text

    def _text_content(self, block: Block, event: Event, delta: dict[str, Any]) -> bytes:
        if self._keeps:
            block.add(delta)
        if delta.get("type") == "text_delta":
            return self._deliver(str(delta.get("text") or ""), event)
        self._citations.append(event)
        return self._deliver_citations() if self._text_block is not None else b""

    def _deliver(self, text: str, event: Event | None = None) -> bytes:
        """Give the caller what the seam leaves of the text."""
        if self._seam is None:
            return self._deliver_joined(text, event if text else None)
        joined = self._seam.feed(text)
        if self._seam.settled:
            self._seam = None
        return self._deliver_joined(joined, event if joined == text else None)

    def _deliver_joined(self, text: str, event: Event | None = None) -> bytes:
        if not text:
            return b""
        out = self._open_text() + self._deliver_citations()
        assert self._text_block is not None
        delta = {"type": "text_delta", "text": text}
        self._text_block.add(delta)
        self.progressed = True
        if event is not None:
            return out + self._at(event, len(self.blocks) - 1)
        return out + self._write("content_block_delta", delta=delta)

    def _deliver_citations(self) -> bytes:
        """Give the caller the citations, which wait until it is clear which block they are of."""
        assert self._text_block is not None
        out = b""
        for event in self._citations:
            self._text_block.add(event.data["delta"])
            out += self._at(event, len(self.blocks) - 1)
        self._citations.clear()
        return out

    def _open_text(self) -> bytes:
        """Find the block that the text goes to: the open one where it joins that, else its own."""
        if self._text_block is not None:
            return b""
        assert self._text_start is not None
        out = b""
        if self._joins_open_text():
            self._text_block, self._stop = self.open, None
        else:
            event = _without_text(self._text_start, self._framing)
            self._text_block = Block(event.data["content_block"])
            out = self._open(self._text_block, event)
        self._joins = False
        if self._seam is None and not self._continues and self._text_block is not None:
            self._take_short_way(self._text_block)
        return out

    def _joins_open_text(self) -> bool:
        if not self._joins or self.open is None or self.open.handling is not Handling.TEXT:
            return False
        return self._stop is None or not self.open.is_cited()

    def _end_text(self, event: Event) -> bytes:
        out = self._deliver_joined(self._seam.end_block()) if self._seam is not None else b""
        if not self._continues and not self._joins:
            out += self._open_text()  # an empty block comes to the caller as it came to us
        if self._text_block is not None:
            out += self._deliver_citations()
            self._stop = self._at(event, len(self.blocks) - 1)
        self._in_text, self._text_block = False, None
        self._citations.clear()
        return out

    def _end_seam(self, stop_reason: str | None) -> bytes:
        """No text follows that the seam would wait for."""
        if self._seam is None:
            return b""
        out = self._deliver_joined(self._seam.end(stop_reason))
        self._seam = self._text_block = None
        return out

    # Blocks

    def _hold(self, block: Block, event: Event) -> None:
        self._held.add(block, event.data["index"], event.frame)
        self._take_short_way(block)

    def _release(self, *, next_began: bool, stop_reason: str | None = None) -> bytes:
        """Hand out the held blocks that need to wait no longer."""
        released = self._held.release(next_began=next_began, stop_reason=stop_reason)
        return b"".join([self._hand_out(held) for held in released])

    def _hand_out(self, held: Held) -> bytes:
        out = self._close()
        self.blocks.append(held.block)
        self.progressed = True
        if held.frames and held.index == len(self.blocks) - 1:
            return out + b"".join(held.frames)
        deltas = (self._write("content_block_delta", delta=d) for d in held.block.deltas())
        start = self._write("content_block_start", content_block=held.block.start)
        return out + start + b"".join(deltas) + self._write("content_block_stop")

    def _open(self, block: Block, event: Event) -> bytes:
        out = self._close()
        self.blocks.append(block)
        self.open = block
        if block.handling is not Handling.TEXT:
            self.progressed = True
            self._take_short_way(block)
        return out + self._at(event, len(self.blocks) - 1)

    def _take_short_way(self, block: Block) -> None:
        """Let plain deltas of this block take the short way, unless their index must change."""
        if block is not self.open or self._incoming_index == len(self.blocks) - 1:
            self._plain_index = str(self._incoming_index).encode()
            self._plain_block = block

    def _close(self) -> bytes:
        if self.open is None:
            return b""
        out = self._stop or self._write("content_block_stop")
        self.open = self._stop = None
        return out

    # The end

    def finish(self) -> bytes:
        """The end of a message whose stop reason has arrived, also where its last frame has not."""
        return self._finish(*self._last_frames())

    def finish_as(self, stop_reason: str) -> bytes:
        """End the message here, for a reason that the API did not come to tell."""
        received_chars = self.received_chars()
        output = unfinished(self._first_usage, self.usage, self._prompt_tokens, received_chars)
        self.end = {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": None},
            "usage": {"output_tokens": output},
        }
        return self._finish(self._framing.encode("message_delta", self.end), None)

    def _finish(self, message_delta: bytes, message_stop: bytes | None) -> bytes:
        out = self._close() + message_delta
        self.whole = True
        return out + (
            message_stop or self._framing.encode("message_stop", {"type": "message_stop"})
        )

    def _last_frames(self) -> tuple[bytes, bytes | None]:
        deltas = [event for event in self._ending if event.name == "message_delta"]
        stop = next((event.frame for event in self._ending if event.name == "message_stop"), None)
        assert self._first_usage is not None
        if len(deltas) == 1 and self._first_usage is self.usage:
            return deltas[0].frame, stop
        merged = _merged([event.data for event in deltas])
        if self._first_usage is not self.usage:
            prompt_tokens = self._prompt_tokens if self._continues else None
            merged["usage"] = logical(
                self._first_usage, self.usage, merged.get("usage") or {}, prompt_tokens
            )
        self.end = merged
        return self._framing.encode("message_delta", merged), stop

    def so_far(self) -> dict[str, Any] | None:
        """The message as the caller has been given it."""
        if self.message is None:
            return None
        message = {**self.message, "content": [block.content() for block in self.blocks]}
        if self.whole and self.end is not None:
            message |= self.end["delta"]
            message["usage"] = {**(message.get("usage") or {}), **(self.end.get("usage") or {})}
        return message

    # Writing

    def _at(self, event: Event, index: int) -> bytes:
        if event.data["index"] == index:
            return event.frame
        return self._framing.encode(event.name, {**event.data, "index": index})

    def _write(self, name: str, **data: Any) -> bytes:
        """Write an event of the last block."""
        return self._framing.encode(name, {"type": name, "index": len(self.blocks) - 1, **data})


_HANDLERS = {
    "message_start": Splice._message_start,  # noqa: SLF001
    "content_block_start": Splice._block_start,  # noqa: SLF001
    "content_block_delta": Splice._block_delta,  # noqa: SLF001
    "content_block_stop": Splice._block_stop,  # noqa: SLF001
    "message_delta": Splice._message_delta,  # noqa: SLF001
    "message_stop": Splice._message_stop,  # noqa: SLF001
}

_SHAPES: dict[str, dict[str, type]] = {
    "message_start": {"message": dict},
    "content_block_start": {"index": int, "content_block": dict},
    "content_block_delta": {"index": int, "delta": dict},
    "content_block_stop": {"index": int},
    "message_delta": {"delta": dict},
    "message_stop": {},
}


def _without_text(start: Event, framing: Framing) -> Event:
    """The start of a text block, whose first characters (the API sends none) come as a delta."""
    content_block = start.data["content_block"]
    if not content_block.get("text"):
        return start
    data = {**start.data, "content_block": {**content_block, "text": ""}}
    return Event(start.name, data, framing.encode(start.name, data))


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
