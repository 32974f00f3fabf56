"""The content that was delivered, as a request can send it back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken._core.models import THINKING
from unbroken._core.seam.quote import strip_trailing
from unbroken._core.stream.blocks import Block, Handling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Delivered", "sendable_turn"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The content that was delivered.

    Attributes:
        blocks: The content blocks, in order.
        open: The last of them, if it is not closed.
        thinks_alike: Whether the model that it is sent to can read its thinking.
    """

    blocks: Sequence[Block]
    open: Block | None
    thinks_alike: bool = True

    def breaks_live(self) -> bool:
        """Whether a block that is delivered as it comes is unfinished."""
        return self.open is not None and self.open.handling is not Handling.TEXT

    def understood(self) -> bool:
        """Whether all of it can be sent back."""
        return all(block.understood() for block in self.blocks)

    def calls_tools(self) -> bool:
        """Whether it has finished tool calls for the caller to run."""
        return any(block.handling is Handling.CLIENT_TOOL for block in self.blocks)

    def visible_blocks(self) -> list[Block]:
        """The blocks without thinking and without blank texts."""
        return [
            block
            for block in self.blocks
            if block.handling is not Handling.THINKING
            and (block.handling is not Handling.TEXT or strip_trailing(block.text()))
        ]

    def last_texts(self) -> list[Block]:
        """The text blocks that it ends with."""
        backwards = itertools.takewhile(
            lambda block: block.handling is Handling.TEXT, reversed(self.blocks)
        )
        return list(backwards)[::-1]

    def turn(self) -> list[dict[str, Any]]:
        """The content of an assistant turn that holds it all."""
        return sendable_turn([block.content() for block in self._readable(self.blocks)])

    def _readable(self, blocks: Sequence[Block]) -> list[Block]:
        """The blocks that the model can read."""
        alike = self.thinks_alike
        return [one for one in blocks if alike or one.handling is not Handling.THINKING]

    def turns(self, text_length: int, prompt: str) -> tuple[dict[str, Any], ...]:
        """The turns that ask to go on from it, or from so many characters of the last texts."""
        said = {"role": "assistant", "content": self._partial(text_length)}
        return (said, {"role": "user", "content": prompt}) if prompt else (said,)

    def _partial(self, text_length: int) -> list[dict[str, Any]]:
        """The content of an assistant turn with this many characters of the last texts."""
        texts = self.last_texts()
        before = self._readable(self.blocks[: len(self.blocks) - len(texts)])
        content = [_sendable(block.content()) for block in before]
        for block in texts:
            text = block.text()[:text_length]
            text_length -= len(text)
            content.append({**_sendable(block.content()), "text": text})
        content = _turn(content)
        if content and content[-1]["type"] == "text":
            content[-1]["text"] = content[-1]["text"].rstrip()
        return content


def sendable_turn(content: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content of an assistant turn, from the content of a message."""
    return _turn([_sendable(block) for block in content])


def _turn(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of it the API takes as an assistant turn: no blank text, and no thinking at its end."""
    content = [block for block in content if not _is_blank(block)]
    while content and content[-1]["type"] in THINKING:
        content.pop()
    return content


def _is_blank(block: Mapping[str, Any]) -> bool:
    return block["type"] == "text" and not (block.get("text") or "").strip()


def _sendable(block: dict[str, Any]) -> dict[str, Any]:
    """A block without what is only there to say that it is not there."""
    return {key: value for key, value in block.items() if value is not None}
