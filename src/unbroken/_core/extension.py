"""Whether more is asked for of an answer that the model ended: at `max_tokens`, or a pause.

Source: "Handling stop reasons" of the API's documentation. A tool call, thinking or a JSON document
that `max_tokens` cut is never extended: what is there cannot be sent back, or joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken._core.resume import Plan, PlanMode, wants_json
from unbroken._core.stream.blocks import Handling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken._core.delivered import Delivered
    from unbroken._core.stream.blocks import Block

__all__ = ["can_extend", "resume_pause"]


def can_extend(
    stop_reason: str | None, last: Block | None, delivered: Delivered, body: Mapping[str, Any]
) -> bool:
    """Whether more of an answer can be asked for.

    Args:
        stop_reason: Why the model ended it.
        last: The block that the model was in, or wrote last.
        delivered: What the caller has been given.
        body: The request.
    """
    if not delivered.understood() or delivered.calls_tools() or body.get("thread"):
        return False
    if stop_reason == "pause_turn":
        return bool(delivered.blocks)
    if stop_reason != "max_tokens" or last is None or wants_json(body):
        return False
    return last.handling is Handling.TEXT and bool(delivered.visible_blocks())


def resume_pause(body: Mapping[str, Any], delivered: Delivered) -> Plan:
    """The request after a `pause_turn`: what came is sent back as it is, and the model goes on."""
    turn = {"role": "assistant", "content": delivered.turn()}
    return Plan({**body, "messages": [*body["messages"], turn]}, PlanMode.PAUSED)
