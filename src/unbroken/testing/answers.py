"""Answers that the model is meant to give: content blocks, and why it stops after them.

A plain string does for most tests; an `Answer` holds every kind of block:

    Answer([thinking("Let me look."), text("One moment."), tool_use("weather", {"city": "Oslo"})])
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from unbroken.testing.conversation import text_of

__all__ = [
    "Answer",
    "Block",
    "block",
    "cited_text",
    "compaction",
    "fallback",
    "mcp_tool",
    "redacted_thinking",
    "server_tool",
    "text",
    "thinking",
    "tool_use",
]

# Ids with this prefix are replaced by new ones each time an answer is generated.
AUTO_ID = "auto-"
_numbers = itertools.count()


@dataclass(frozen=True)
class Block:
    """One content block of an answer.

    Attributes:
        content: The block as a complete message holds it.
        deltas: The deltas to stream it with, for types the server does not know.
    """

    content: Mapping[str, Any]
    deltas: tuple[Mapping[str, Any], ...] = ()

    @property
    def type(self) -> str:
        """The type of the block."""
        return str(self.content["type"])

    @property
    def text(self) -> str:
        """The text of a text block, and nothing of any other."""
        return text_of([self.content])


class Answer:
    """All that the model is meant to say, in one turn.

    Args:
        blocks: Strings, blocks, and the pairs that `server_tool` and `mcp_tool` make.
        stop_reason: Why the turn ends; by default `tool_use` after a client tool call, else
            `end_turn`.
        stop_sequence: The matched sequence, for `stop_reason="stop_sequence"`.
        stop_details: What a refusal gives as its details.
        thinks_again: Whether a reply to "please continue" begins with new thinking, if this answer
            has thinking and the request did not turn it off.
    """

    def __init__(
        self,
        blocks: str | Block | Iterable[str | Block | Iterable[Block]],
        *,
        stop_reason: str | None = None,
        stop_sequence: str | None = None,
        stop_details: Mapping[str, Any] | None = None,
        thinks_again: bool = True,
    ) -> None:
        parts = (blocks,) if isinstance(blocks, str | Block) else blocks
        if isinstance(parts, Mapping) or not isinstance(parts, Iterable):
            raise TypeError(f"an answer is made of texts and blocks, not of {parts!r:.80}")
        self.blocks: tuple[Block, ...] = tuple(_flat(parts))
        self.stop_reason = stop_reason or self._natural_stop()
        self.stop_sequence = stop_sequence
        self.stop_details = stop_details
        self.thinks_again = thinks_again

    def __repr__(self) -> str:
        return f"Answer({[dict(b.content) for b in self.blocks]}, stop_reason={self.stop_reason!r})"

    @property
    def text(self) -> str:
        """The text of all text blocks, joined."""
        return "".join(block.text for block in self.blocks)

    def _natural_stop(self) -> str:
        return "tool_use" if self.blocks and self.blocks[-1].type == "tool_use" else "end_turn"


def _flat(parts: Iterable[str | Block | Iterable[Block]]) -> Iterable[Block]:
    for part in parts:
        if isinstance(part, str):
            yield text(part)
        elif isinstance(part, Block):
            yield part
        elif isinstance(part, tuple | list) and all(isinstance(one, Block) for one in part):
            yield from part
        else:
            raise TypeError(f"an answer is made of texts and blocks, not of {part!r:.80}")


def _auto_id() -> str:
    return f"{AUTO_ID}{next(_numbers)}"


def text(value: str) -> Block:
    """A text block."""
    if not isinstance(value, str):
        raise TypeError(f"the text of a block must be a str, not {value!r:.80}")
    return Block({"type": "text", "text": value})


def cited_text(value: str, citations: Iterable[Mapping[str, Any]]) -> Block:
    """A text block with citations, streamed one `citations_delta` each."""
    return Block({"type": "text", "text": value, "citations": [dict(c) for c in citations]})


def thinking(value: str) -> Block:
    """A thinking block; the server signs it."""
    return Block({"type": "thinking", "thinking": value, "signature": ""})


def redacted_thinking(data: str) -> Block:
    """A thinking block that only the API can read."""
    return Block({"type": "redacted_thinking", "data": data})


def tool_use(name: str, input: Mapping[str, Any], id: str | None = None) -> Block:  # noqa: A002
    """A call of a client's tool; without an `id` it gets a new one in each generation."""
    return Block({"type": "tool_use", "id": id or _auto_id(), "name": name, "input": dict(input)})


def server_tool(
    name: str,
    input: Mapping[str, Any],  # noqa: A002
    result_type: str = "web_search_tool_result",
    content: Any = (),
) -> tuple[Block, Block]:
    """A call of a server tool and its result."""
    tool_id = _auto_id()
    call = {"type": "server_tool_use", "id": tool_id, "name": name, "input": dict(input)}
    found = list(content) if isinstance(content, tuple) else content
    return Block(call), Block({"type": result_type, "tool_use_id": tool_id, "content": found})


def mcp_tool(
    name: str,
    input: Mapping[str, Any],  # noqa: A002
    server_name: str = "mcp",
    content: Any = (),
) -> tuple[Block, Block]:
    """A call of an MCP server's tool and its result."""
    tool_id = _auto_id()
    call = {
        "type": "mcp_tool_use",
        "id": tool_id,
        "name": name,
        "server_name": server_name,
        "input": dict(input),
    }
    found = list(content) if isinstance(content, tuple) else content
    result = {"tool_use_id": tool_id, "is_error": False, "content": found}
    return Block(call), Block({"type": "mcp_tool_result", **result})


def compaction(content: str | None) -> Block:
    """A summary that stands for the messages before it."""
    return Block({"type": "compaction", "content": content})


def fallback(from_model: str, to_model: str, category: str | None = None) -> Block:
    """The point where one model's output gives way to another's."""
    return Block(
        {
            "type": "fallback",
            "from": {"model": from_model},
            "to": {"model": to_model},
            "trigger": {"type": "refusal", "category": category},
        }
    )


def block(content: Mapping[str, Any], deltas: Iterable[Mapping[str, Any]] = ()) -> Block:
    """A block of any type, such as one the SDK does not know, with the deltas to stream it by."""
    return Block(dict(content), tuple(dict(delta) for delta in deltas))
