"""A message as the events of a stream, and as the JSON of a whole response."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.testing.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from unbroken.testing.answers import Block
    from unbroken.testing.usage import InputTokens

__all__ = ["PING", "Event", "Message", "chars_of", "encode", "halves", "with_pings"]

Event = dict[str, Any]

PING: Event = {"type": "ping"}

_WORD = re.compile(r"\s*\S{1,8}|\s+")
# The field that deltas of a type carry their characters in.
_CARRIERS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


@dataclass(frozen=True)
class Message:
    """A complete message, as the model finished it.

    Attributes:
        id: Its id.
        model: The model's id, as the request spelled it.
        blocks: Its content.
        input_tokens: What its request is billed as.
        stop_reason: Why it ends.
        stop_sequence: The sequence that ended it.
        stop_details: Details of a refusal.
    """

    id: str
    model: str
    blocks: tuple[Block, ...]
    input_tokens: InputTokens
    stop_reason: str
    stop_sequence: str | None
    stop_details: Mapping[str, Any] | None

    @property
    def content(self) -> list[Mapping[str, Any]]:
        """The content as JSON."""
        return [block.content for block in self.blocks]

    @property
    def output_tokens(self) -> int:
        """What the answer is billed as; even an empty one has a token."""
        return max(1, count_tokens(self.content))

    def json(self) -> Event:
        """The whole message."""
        content = [dict(block) for block in self.content]
        return {
            **self._envelope(content, self.output_tokens),
            **self._stop(),
        }

    def events(self, delta_chars: int | None = None) -> Iterator[Event]:
        """The events of its stream, with deltas of this many characters, or of about a word."""
        yield {"type": "message_start", "message": self._envelope([], 1)}
        for index, block in enumerate(self.blocks):
            yield {"type": "content_block_start", "index": index, "content_block": _opening(block)}
            if index == 0:
                yield PING
            for delta in _deltas(block, delta_chars):
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        usage = {**self._input_usage(), "output_tokens": self.output_tokens, **self._tool_usage()}
        yield {"type": "message_delta", "delta": self._stop(), "usage": usage}
        yield {"type": "message_stop"}

    def _envelope(self, content: list[dict[str, Any]], output_tokens: int) -> Event:
        written = self.input_tokens.written
        usage = {
            **self._input_usage(),
            "cache_creation": {
                "ephemeral_5m_input_tokens": written,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        }
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage, **(self._tool_usage() if content else {})},
        }

    def _stop(self) -> dict[str, Any]:
        stop = {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence}
        return stop if self.stop_details is None else {**stop, "stop_details": self.stop_details}

    def _input_usage(self) -> dict[str, int]:
        return {
            "input_tokens": self.input_tokens.uncached,
            "cache_creation_input_tokens": self.input_tokens.written,
            "cache_read_input_tokens": self.input_tokens.read,
        }

    def _tool_usage(self) -> dict[str, Any]:
        calls = [b.content["name"] for b in self.blocks if b.type == "server_tool_use"]
        counts = {f"{name}_requests": calls.count(name) for name in ("web_search", "web_fetch")}
        return {"server_tool_use": counts} if any(counts.values()) else {}


def _opening(block: Block) -> dict[str, Any]:
    """The block as its start event shows it: without what its deltas bring."""
    content = dict(block.content)
    match block.type:
        case "text":
            content["text"] = ""
            if "citations" in content:
                content["citations"] = []
        case "thinking":
            content.update(thinking="", signature="")
        case "compaction":
            content["content"] = None
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            content["input"] = {}
    return content


def _deltas(block: Block, size: int | None) -> Iterator[Mapping[str, Any]]:
    content = block.content
    match block.type:
        case "text":
            yield from ({"type": "text_delta", "text": s} for s in _pieces(content["text"], size))
            for citation in content.get("citations") or ():
                yield {"type": "citations_delta", "citation": citation}
        case "thinking":
            for piece in _pieces(content["thinking"], size) if content["thinking"] else [""]:
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": content["signature"]}
        case "compaction":
            yield {"type": "compaction_delta", "content": content["content"]}
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            yield {"type": "input_json_delta", "partial_json": ""}
            written = json.dumps(content["input"], ensure_ascii=False) if content["input"] else ""
            yield from (
                {"type": "input_json_delta", "partial_json": s} for s in _pieces(written, size)
            )
        case _:
            yield from block.deltas


def _pieces(text: str, size: int | None) -> Iterator[str]:
    if size is None:
        return (match.group() for match in _WORD.finditer(text))
    return (text[at : at + size] for at in range(0, len(text), size))


def encode(event: Mapping[str, Any], *, ensure_ascii: bool = False) -> bytes:
    """The event as its frame stands on the wire."""
    data = json.dumps(event, ensure_ascii=ensure_ascii, separators=(",", ":"))
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def chars_of(event: Mapping[str, Any]) -> int:
    """How many characters of text, thinking or tool input the event brings."""
    delta = event.get("delta") or {}
    return len(delta.get(_CARRIERS.get(delta.get("type", ""), ""), ""))


def halves(event: Event, chars: int) -> tuple[Event, Event]:
    """A delta as two, the first with this many characters."""
    delta = event["delta"]
    field = _CARRIERS[delta["type"]]
    first, second = delta[field][:chars], delta[field][chars:]
    return (
        {**event, "delta": {**delta, field: first}},
        {**event, "delta": {**delta, field: second}},
    )


def with_pings(events: Iterable[Event], every: int | None) -> Iterator[Event]:
    """The events, with a ping after each so many of them."""
    for number, event in enumerate(events, 1):
        yield event
        if every and number % every == 0 and event["type"] != "message_stop":
            yield PING
