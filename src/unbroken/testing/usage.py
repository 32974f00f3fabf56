"""Input tokens of a request, split as the prompt cache would."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken.testing.conversation import blocks_of, canonical
from unbroken.testing.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["InputTokens", "PromptCache"]

# Changing one of these keeps the cached tools and system prompt, but not the messages.
_MESSAGE_CACHE_FIELDS = ("thinking", "output_config", "tool_choice", "speed")


class InputTokens(NamedTuple):
    """What a request's input is billed as: the three add up to all of it."""

    uncached: int
    written: int
    read: int


class _Part(NamedTuple):
    text: str
    tokens: int
    marked: bool


class PromptCache:
    """Remembers each prefix that a request marked to be cached."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bill(self, body: Mapping[str, Any]) -> InputTokens:
        """Split the input tokens of a request, and cache what it marks."""
        total = read = marked = 0
        prefix = hashlib.sha256(str(body.get("model")).encode())
        new: list[str] = []
        parts = list(_parts(body))
        for number, part in enumerate(parts):
            total += part.tokens
            prefix.update(part.text.encode())
            key = prefix.hexdigest()
            if part.marked or ("cache_control" in body and number == len(parts) - 1):
                marked = total
                new.append(key)
            if key in self._known:
                read = total
        self._known.update(new)
        read = min(read, marked)
        return InputTokens(total - marked, marked - read, read)


def _parts(body: Mapping[str, Any]) -> Iterator[_Part]:
    for block in (*(body.get("tools") or ()), *blocks_of(body.get("system"))):
        yield _part("system", block)
    settings = {field: body.get(field) for field in _MESSAGE_CACHE_FIELDS}
    yield _Part(json.dumps(settings, sort_keys=True), 0, marked=False)
    for message in body["messages"]:
        for block in blocks_of(message.get("content")):
            yield _part(str(message.get("role")), block)


def _part(role: str, block: Mapping[str, Any]) -> _Part:
    marked = block.get("cache_control") is not None
    return _Part(f"{role}\n{canonical(block)}\n", count_tokens(block), marked)
