"""Request content in one normal form, so that requests can be compared with each other."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Turn", "blocks_of", "canonical", "conversation_key", "is_thinking", "text_of", "turns"]

THINKING = ("thinking", "redacted_thinking")


class Turn(NamedTuple):
    """What one side said before the other did: consecutive messages of a role are one turn."""

    role: str
    blocks: tuple[dict[str, Any], ...]


def blocks_of(content: Any) -> list[dict[str, Any]]:
    """Content as a list of blocks; a string is one text block, and nothing is none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content) if isinstance(content, list | tuple) else []


def turns(messages: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """Messages as turns."""
    found: list[Turn] = []
    for message in messages:
        blocks = tuple(blocks_of(message.get("content")))
        role = message.get("role", "")
        if found and found[-1].role == role:
            found[-1] = Turn(role, found[-1].blocks + blocks)
        else:
            found.append(Turn(role, blocks))
    return found


def text_of(blocks: Iterable[Mapping[str, Any]]) -> str:
    """The text of all text blocks, joined."""
    return "".join(block.get("text", "") for block in blocks if block.get("type") == "text")


def is_thinking(block: Mapping[str, Any]) -> bool:
    """Whether the block is thinking, readable or not."""
    return block.get("type") in THINKING


def canonical(block: Mapping[str, Any]) -> str:
    """One spelling for blocks that mean the same: cache markers and empty fields do not count."""
    kept = {key: value for key, value in block.items() if value is not None and value != []}
    return json.dumps(_unmarked(kept), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unmarked(item) for key, item in value.items() if key != "cache_control"}
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    return value


def conversation_key(conversation: Iterable[Turn]) -> str:
    """The same for conversations that mean the same."""
    found = hashlib.sha256()
    for part in _parts(conversation):
        found.update(part.encode())
    return found.hexdigest()


def _parts(conversation: Iterable[Turn]) -> Iterator[str]:
    for role, blocks in conversation:
        for block in blocks:
            yield f"{role}\n{canonical(block)}\n"
