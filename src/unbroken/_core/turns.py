"""The turns that produced an answer, as the API would take them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken._core.delivered import Delivered
from unbroken._core.resume import Plan, PlanMode
from unbroken._core.stream.blocks import Block, Handling

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Request"]


class Request(NamedTuple):
    """A request that was sent, and the content that was delivered before it."""

    plan: Plan
    before: Sequence[tuple[Block, tuple[int, int]]]
    """The blocks, and their sizes at the time."""

    def turns(
        self, delivered: Sequence[Block], received: Sequence[Block]
    ) -> tuple[dict[str, Any], ...]:
        """The turns, given what was delivered by now, and what the response brought.

        After a user turn the answer of the model is a turn of its own, with its own thinking.
        """
        if self.plan.mode is not PlanMode.USER_TURN:
            return _assistant_turn(delivered)
        before = Delivered([block.until(size) for block, size in self.before], None)
        asked = before.turns(self.plan.sent, self.plan.prompt)
        return asked + _assistant_turn(_complete(received, delivered))


def _assistant_turn(blocks: Sequence[Block]) -> tuple[dict[str, Any], ...]:
    content = Delivered(blocks, None).turn()
    return ({"role": "assistant", "content": content},) if content else ()


def _complete(received: Sequence[Block], delivered: Sequence[Block]) -> list[Block]:
    """What was received, without the blocks that were still held when the response broke off."""
    known = set(map(id, delivered))
    return [
        block
        for block in received
        if block.handling is Handling.TEXT
        or id(block) in known
        or (block.handling is Handling.THINKING and block.closed)
    ]
