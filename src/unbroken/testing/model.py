"""The model: what it says to a request, given the answer it means to give."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.testing.answers import AUTO_ID, Block, text, thinking
from unbroken.testing.conversation import is_thinking
from unbroken.testing.limits import cut_at_sequence, cut_to_tokens
from unbroken.testing.memory import Task, rest
from unbroken.testing.voices import Cue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from unbroken.testing.voices import Voice

__all__ = ["Speech", "speak"]

_SECOND_THOUGHTS = "The answer was interrupted. I will go on from there."
_ENOUGH_TO_TELL = 20
_ID_PREFIXES = {
    "tool_use": "toolu_01",
    "server_tool_use": "srvtoolu_01",
    "mcp_tool_use": "mcptoolu_01",
}


@dataclass(frozen=True)
class Speech:
    """What the model said, and why it stopped.

    Attributes:
        blocks: The content.
        wording: The text it was going to say, before any limit cut it.
        stop_reason: Why it stopped.
        stop_sequence: The sequence it stopped at.
        stop_details: Details of a refusal.
    """

    blocks: tuple[Block, ...]
    wording: str
    stop_reason: str
    stop_sequence: str | None = None
    stop_details: Mapping[str, Any] | None = None


def speak(task: Task, body: Mapping[str, Any], voice: Voice) -> Speech:
    """What the model says to this request, within the limits that it sets."""
    answer = task.answer
    blocks = list(answer.blocks) if task.kind == "fresh" else _go_on(task, body, voice)
    wording = "".join(block.text for block in blocks)
    stopped = cut_at_sequence(blocks, body.get("stop_sequences") or ())
    limited = cut_to_tokens(stopped.blocks, _token_limit(body))
    cut = limited if limited.reason else stopped
    said = _with_new_ids(_as_displayed(limited.blocks, body))
    if cut.reason:
        return Speech(said, wording, cut.reason, cut.sequence)
    reason = answer.stop_reason
    if reason == "pause_turn" and task.kind != "fresh":
        reason = "end_turn"
    return Speech(said, wording, reason, answer.stop_sequence, answer.stop_details)


def _token_limit(body: Mapping[str, Any]) -> int:
    limit = body.get("max_tokens")
    return limit if isinstance(limit, int) else 2**31


def _go_on(task: Task, body: Mapping[str, Any], voice: Voice) -> list[Block]:
    left = rest(task.answer, task.place)
    asked = _continuation(task, left)
    said = voice(asked)
    later = left[1:] if left and left[0].type == "text" else left
    if not _goes_on(said, asked):
        later = []
    elif task.kind == "prefill" and not task.place.block and not task.place.chars:
        return left
    blocks = [_worded_as(left, said), *later] if said else later
    return [*_new_thinking(task, blocks, body), *blocks]


def _continuation(task: Task, left: list[Block]) -> Cue:
    place, blocks = task.place, task.answer.blocks
    cut = left[0].text if left else ""
    before = "".join(b.text for b in blocks[: place.block])
    if left and left[0].type == "text":
        before += blocks[place.block].text[: place.chars]
    complete = not any(b.type != "text" or b.text.strip() for b in left)
    return Cue(before + cut, len(before), task.prompt, complete)


def _goes_on(said: str, asked: Cue) -> bool:
    """Whether these words lead to the end of the answer; if not, they are all there is."""
    tail = asked.remaining[-_ENOUGH_TO_TELL:].strip()
    return said.rstrip().endswith(tail) or asked.answer.endswith(said)


def _worded_as(left: list[Block], said: str) -> Block:
    if left and left[0].type == "text":
        return Block({**left[0].content, "text": said})
    return text(said)


def _new_thinking(task: Task, blocks: list[Block], body: Mapping[str, Any]) -> list[Block]:
    wanted = (
        task.kind == "user_turn"
        and task.answer.thinks_again
        and (body.get("thinking") or {}).get("type") != "disabled"
        and any(block.type == "thinking" for block in task.answer.blocks)
        and not (blocks and is_thinking(blocks[0].content))
    )
    return [thinking(_SECOND_THOUGHTS)] if wanted else []


def _as_displayed(blocks: Iterable[Block], body: Mapping[str, Any]) -> list[Block]:
    if (body.get("thinking") or {}).get("display") != "omitted":
        return list(blocks)
    return [Block({**b.content, "thinking": ""}) if b.type == "thinking" else b for b in blocks]


def _with_new_ids(blocks: Iterable[Block]) -> tuple[Block, ...]:
    ids: dict[str, str] = {}
    return tuple(_renamed(block, ids) for block in blocks)


def _renamed(block: Block, ids: dict[str, str]) -> Block:
    content = dict(block.content)
    for field in ("id", "tool_use_id"):
        old = content.get(field)
        if isinstance(old, str) and old.startswith(AUTO_ID):
            prefix = _ID_PREFIXES.get(block.type, "toolu_01")
            content[field] = ids.setdefault(old, prefix + uuid.uuid4().hex[:22])
    return Block(content, block.deltas)
