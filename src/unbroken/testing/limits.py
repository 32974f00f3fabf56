"""Where `max_tokens` and `stop_sequences` cut what the model was going to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from unbroken.testing.answers import Block
from unbroken.testing.tokens import CHARS_PER_TOKEN, count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Cut", "cut_at_sequence", "cut_to_tokens"]

_CUTTABLE = ("text", "thinking")


class Cut(NamedTuple):
    """What is left of an answer, and why no more: `None` if it was not cut."""

    blocks: list[Block]
    reason: str | None = None
    sequence: str | None = None


def cut_to_tokens(blocks: Iterable[Block], limit: int) -> Cut:
    """Keep this many tokens; a block other than text and thinking is kept whole or not at all."""
    kept: list[Block] = []
    for block in blocks:
        cost = count_tokens(block.content)
        if cost > limit:
            short = _shortened(block, limit * CHARS_PER_TOKEN)
            return Cut([*kept, short] if short else kept, "max_tokens")
        kept.append(block)
        limit -= cost
    return Cut(kept)


def cut_at_sequence(blocks: Iterable[Block], sequences: Iterable[str]) -> Cut:
    """Stop before the first of these sequences in the text."""
    wanted = tuple(sequences)
    kept: list[Block] = []
    for block in blocks:
        found = [(at, s) for s in wanted if (at := block.text.find(s)) >= 0]
        if found:
            at, sequence = min(found)
            short = _shortened(block, at)
            return Cut([*kept, short] if short else kept, "stop_sequence", sequence)
        kept.append(block)
    return Cut(kept)


def _shortened(block: Block, chars: int) -> Block | None:
    if block.type not in _CUTTABLE or chars <= 0:
        return None
    return Block({**block.content, block.type: block.content[block.type][:chars]})
