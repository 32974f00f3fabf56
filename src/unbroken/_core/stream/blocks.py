"""Content blocks: how each type is handled, and the content of one so far.

Source of the types and deltas: the API's streaming reference and `anthropic.types` (GA and beta).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import STRINGS, from_json, string_of, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Block", "Handling", "handling"]


class Handling(Enum):
    """How blocks of a type reach the caller, and what a drop means for them."""

    TEXT = "delivered as it comes; a drop inside it is resumed"
    THINKING = "held until the next block begins, as half of one cannot be sent back"
    CLIENT_TOOL = "held until it is complete, as half of one must never be run"
    SERVER_TOOL = "held until its result is there, as it cannot be sent back without"
    WHOLE = "held until it is complete"
    UNKNOWN = "delivered as it comes; a drop after it is not resumed"


_TYPES = {
    "text": Handling.TEXT,
    "thinking": Handling.THINKING,
    "redacted_thinking": Handling.THINKING,
    "tool_use": Handling.CLIENT_TOOL,
    "server_tool_use": Handling.SERVER_TOOL,
    "mcp_tool_use": Handling.SERVER_TOOL,
    "mcp_tool_listing": Handling.WHOLE,
    "container_upload": Handling.WHOLE,
    "compaction": Handling.WHOLE,
    "fallback": Handling.WHOLE,
}


def handling(block_type: str) -> Handling:
    """How blocks of this type are handled; every `*_tool_result` is the result of a server tool."""
    if block_type.endswith("_tool_result"):
        return Handling.WHOLE
    return _TYPES.get(block_type, Handling.UNKNOWN)


class _DeltaBuffer:
    """Deltas of one type in a row, as one: the string they add up to is kept as JSON text."""

    __slots__ = ("delta", "string", "text")

    def __init__(self, delta: dict[str, Any], string: str | None) -> None:
        self.delta = delta
        self.string = string
        self.text = bytearray()

    def until(self, length: int) -> _DeltaBuffer:
        earlier = _DeltaBuffer(self.delta, self.string)
        earlier.text += self.text[:length]
        return earlier

    def chars(self) -> int:
        if self.string is not None:
            return len(self.value())
        strings = [self.delta.get(name) for name in STRINGS.values()]
        return sum(len(one) for one in strings if isinstance(one, str))

    def whole(self) -> dict[str, Any]:
        return self.delta if self.string is None else {**self.delta, self.string: self.value()}

    def value(self) -> str:
        return string_of(self.text)


class Block:
    """One content block, as far as it was received.

    Args:
        start: The `content_block` of its `content_block_start`.
    """

    __slots__ = ("_buffers", "_tail_kind", "closed", "handling", "start", "type")

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.type = str(start.get("type"))
        self.handling = handling(self.type)
        self.closed = False
        self._buffers: list[_DeltaBuffer] = []
        self._tail_kind: str | None = None  # of the last buffer, if more can be added to it

    def add(self, delta: dict[str, Any]) -> None:
        """Take in one delta."""
        kind = str(delta.get("type"))
        string = STRINGS.get(kind)  # deltas with any other key are kept separate
        if string is None or delta.keys() != {"type", string} or not isinstance(delta[string], str):
            self._buffers.append(_DeltaBuffer(delta, None))
            self._tail_kind = None
        else:
            self.tail(kind).extend(to_json(delta[string])[1:-1])

    def tail(self, kind: str) -> bytearray:
        """Where to add the JSON text of deltas of this type, as `add()` would."""
        if kind != self._tail_kind:
            self._buffers.append(_DeltaBuffer({"type": kind}, STRINGS[kind]))
            self._tail_kind = kind
        return self._buffers[-1].text

    def ends_with(self, text: bytearray) -> bool:
        """Whether deltas can still be added to this text, which `tail()` returned."""
        return self._tail_kind is not None and self._buffers[-1].text is text

    def size(self) -> tuple[int, int]:
        """How much was received."""
        return len(self._buffers), len(self._buffers[-1].text) if self._buffers else 0

    def chars_since(self, size: tuple[int, int]) -> int:
        """Characters of text, thinking or tool input that were received since it had this size."""
        count, length = size
        more = len(string_of(self._buffers[count - 1].text[length:])) if count else 0
        return more + sum(buffer.chars() for buffer in self._buffers[count:])

    def until(self, size: tuple[int, int]) -> Block:
        """The block as it was at this size."""
        count, length = size
        earlier = Block(self.start)
        earlier._buffers = self._buffers[:count]
        if earlier._buffers:
            earlier._buffers[-1] = earlier._buffers[-1].until(length)
        return earlier

    def deltas(self) -> list[dict[str, Any]]:
        """The deltas received, with deltas of one type in a row merged into one."""
        return [buffer.whole() for buffer in self._buffers]

    def text(self) -> str:
        """The text of a text block."""
        added = (
            buffer.whole().get("text")
            for buffer in self._buffers
            if buffer.delta["type"] == "text_delta"
        )
        return str(self.start.get("text") or "") + "".join(text or "" for text in added)

    def is_cited(self) -> bool:
        """Whether it has citations, which would then apply to text that joins it, too."""
        return any(buffer.delta.get("type") == "citations_delta" for buffer in self._buffers)

    def content(self) -> dict[str, Any]:
        """The block as it stands in a message."""
        content = dict(self.start)
        written = ""
        for delta in self.deltas():
            written += delta.get("partial_json") or ""
            apply = _APPLY.get(str(delta.get("type")))
            if apply is not None:
                apply(content, delta)
        if written:
            content["input"] = _parsed(written, {})
        return content

    def understood(self) -> bool:
        """Whether every part of it can be sent back."""
        known = all(buffer.delta.get("type") in _APPLY for buffer in self._buffers)
        return known and self.handling is not Handling.UNKNOWN

    def valid_input(self) -> bool:
        """Whether the tool input is a JSON object, as the API promises of a finished tool call."""
        written = "".join(delta.get("partial_json") or "" for delta in self.deltas())
        return not written or isinstance(_parsed(written, None), dict)


def _parsed(written: str, otherwise: Any) -> Any:
    try:
        return from_json(written)
    except ValueError:
        return otherwise


def _append(key: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def apply(content: dict[str, Any], delta: dict[str, Any]) -> None:
        content[key] = (content.get(key) or "") + (delta.get(key) or "")

    return apply


def _replace(content: dict[str, Any], delta: dict[str, Any]) -> None:
    content.update({key: value for key, value in delta.items() if key != "type"})


def _citation(content: dict[str, Any], delta: dict[str, Any]) -> None:
    content["citations"] = [*(content.get("citations") or ()), delta.get("citation")]


def _input(content: dict[str, Any], delta: dict[str, Any]) -> None:
    """Nothing to do: the pieces of JSON are joined in `Block.content()`."""


_APPLY: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "text_delta": _append("text"),
    "thinking_delta": _append("thinking"),
    "signature_delta": _replace,
    "input_json_delta": _input,
    "citations_delta": _citation,
    "compaction_delta": _replace,
}
