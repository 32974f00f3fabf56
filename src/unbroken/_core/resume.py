"""What to ask next when an answer broke off: the table of the README, in order, as one function.

A continuation only appends to the request. `system`, `tools`, earlier turns, thinking, effort and
`tool_choice` stay as they are, so that the prompt cache and the signatures of thinking blocks stay
valid; `max_tokens` alone is lowered to what is left.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from unbroken._core.bounds import Reason
from unbroken._core.cut import cut_for_prefill, cut_for_user_turn, sayable, whole_characters
from unbroken._core.seam import ExactSeam, FreeSeam
from unbroken._core.stream.blocks import Block, Handling
from unbroken._core.usage import CHARS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken._core.policy import Continuation
    from unbroken._core.seam import Seam

__all__ = ["END_TURN", "Delivered", "EndTurn", "Plan", "PlanMode", "resume"]

# Of these, the first that the answer itself does not have is used.
MARKS = ("[[DONE]]", "[[NOTHING LEFT]]", "[[THAT WAS ALL]]")

PROMPT = """\
My connection dropped while you were answering. The last words that reached me are:

{anchor}

Please go on with the same answer. Begin by repeating exactly those words, then continue from \
there as if nothing had happened, with no introduction and no remark. If nothing was left to say \
after them, reply with {mark} and nothing else."""

PROMPT_AFTER_RESULT = """\
My connection dropped while you were answering, right after the last result above. Please go on \
with the same answer from there as if nothing had happened, with no introduction and no remark. If \
nothing was left to say, reply with {mark} and nothing else."""


class PlanMode(Enum):
    """What a request asks for."""

    AGAIN = "the caller's request, from the beginning"
    PREFILL = (
        "the rest of the answer: the partial answer is the last turn, and the model extends it"
    )
    USER_TURN = "the rest of the answer: a user turn after the partial answer asks for it"


@dataclass(frozen=True, slots=True)
class Plan:
    """One request to make.

    Attributes:
        body: The request's JSON body.
        mode: What it asks for.
        seam: Where its first text joins the text that the caller has, if it does.
        trimmed_word: Whether the partial answer was cut where its last word begins.
        sent: How many characters of the last texts it sends back.
        prompt: Our own words to the model.
    """

    body: Mapping[str, Any]
    mode: PlanMode = PlanMode.AGAIN
    seam: Seam | None = None
    trimmed_word: bool = False
    sent: int = 0
    prompt: str = ""

    @property
    def prompt_tokens(self) -> int:
        """About how many input tokens our own words to the model are."""
        return len(self.prompt) // CHARS_PER_TOKEN


class EndTurn:
    """No request: the finished tool calls that the caller has end the turn."""


END_TURN = EndTurn()


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the caller has been given.

    Attributes:
        blocks: The content blocks, in order.
        open: The last of them, if the caller has not seen it closed.
    """

    blocks: Sequence[Block]
    open: Block | None

    def breaks_live(self) -> bool:
        """Whether a block that is delivered as it comes is unfinished."""
        return self.open is not None and self.open.handling is not Handling.TEXT

    def understood(self) -> bool:
        """Whether all of it can be sent back."""
        return all(block.understood() for block in self.blocks)

    def calls_tools(self) -> bool:
        """Whether it has finished tool calls for the caller to run."""
        return any(block.handling is Handling.CLIENT_TOOL for block in self.blocks)

    def spoken(self) -> list[Block]:
        """The blocks without thinking and without blank texts."""
        return [
            block
            for block in self.blocks
            if block.handling is not Handling.THINKING
            and (block.handling is not Handling.TEXT or sayable(block.text()))
        ]

    def last_texts(self) -> list[Block]:
        """The text blocks that it ends with."""
        backwards = itertools.takewhile(
            lambda block: block.handling is Handling.TEXT, reversed(self.blocks)
        )
        return list(backwards)[::-1]

    def turn(self) -> list[dict[str, Any]]:
        """The content of an assistant turn that holds it all."""
        return _turn([_sendable(block.content()) for block in self.blocks])

    def turns(self, text_length: int, prompt: str) -> tuple[dict[str, Any], ...]:
        """The turns that ask to go on from it, or from so many characters of the last texts."""
        said = {"role": "assistant", "content": self._partial(text_length)}
        return (said, {"role": "user", "content": prompt}) if prompt else (said,)

    def _partial(self, text_length: int) -> list[dict[str, Any]]:
        """The content of an assistant turn with this many characters of the last texts."""
        texts = self.last_texts()
        before = self.blocks[: len(self.blocks) - len(texts)]
        content = [_sendable(block.content()) for block in before]
        for block in texts:
            text = block.text()[:text_length]
            text_length -= len(text)
            content.append({**_sendable(block.content()), "text": text})
        content = _turn(content)
        if content and content[-1]["type"] == "text":
            content[-1]["text"] = content[-1]["text"].rstrip()
        return content


def resume(
    body: Mapping[str, Any],
    delivered: Delivered,
    continuation: Continuation,
    *,
    takes_prefill: bool,
    heal: bool = True,
) -> Plan | Reason | EndTurn:
    """Decide what to ask next, after what has been delivered.

    Args:
        body: The caller's request.
        delivered: What the caller has been given.
        continuation: The policy's say.
        takes_prefill: Whether the model is thought to go on from a last assistant turn.
        heal: Whether a prefill may be cut where its last word begins.

    Returns:
        The request to make, or why there is none to make, or `END_TURN`.
    """
    text = "".join(block.text() for block in delivered.last_texts())
    spoken = delivered.spoken()
    if delivered.breaks_live():
        return Reason.LIVE_BLOCK
    if (body.get("thread") or {}).get("type") == "continue":
        return Reason.THREAD
    if not delivered.understood():
        return Reason.UNKNOWN_BLOCK
    if delivered.calls_tools():
        return END_TURN
    if not spoken:
        return Plan(body, seam=ExactSeam(whole_characters(text)) if text else None)
    if continuation.mode == "off":
        return Reason.CONTINUATION_OFF
    if continuation.mode == "restart":
        alone = len(spoken) == 1 and spoken[0].handling is Handling.TEXT
        return Plan(body, seam=ExactSeam(text)) if alone else Reason.DIVERGED
    if _wants_json(body):
        return Reason.JSON_OUTPUT
    if _prefills(body, continuation, takes_prefill=takes_prefill) and sayable(text):
        return _by_prefill(body, delivered, text, heal=heal)
    return _by_user_turn(body, delivered, text, continuation)


def _wants_json(body: Mapping[str, Any]) -> bool:
    config = body.get("output_config")
    return bool(body.get("output_format") or (isinstance(config, dict) and config.get("format")))


def _thinks(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") != "disabled"


def _prefills(body: Mapping[str, Any], continuation: Continuation, *, takes_prefill: bool) -> bool:
    if continuation.mode == "auto":
        return takes_prefill and not _thinks(body)
    return continuation.mode == "prefill"


def _by_prefill(body: Mapping[str, Any], delivered: Delivered, text: str, *, heal: bool) -> Plan:
    parts = cut_for_prefill(text, heal=heal)
    return Plan(
        _appended(body, delivered.turns(len(parts.sent), ""), parts.sent),
        mode=PlanMode.PREFILL,
        seam=ExactSeam(whole_characters(parts.tail)),
        trimmed_word=bool(sayable(parts.tail)),
        sent=len(parts.sent),
    )


def _by_user_turn(
    body: Mapping[str, Any], delivered: Delivered, text: str, continuation: Continuation
) -> Plan:
    parts = cut_for_user_turn(text)
    prompt = _prompt(continuation, text, parts.anchor)
    asked = prompt.replace(parts.anchor, "") if parts.anchor else prompt
    mark = next((mark for mark in MARKS if mark in asked), None)
    return Plan(
        _appended(body, delivered.turns(len(parts.sent), prompt), parts.sent),
        mode=PlanMode.USER_TURN,
        seam=FreeSeam(
            text,
            tail=parts.tail,
            anchor=parts.anchor,
            mark=mark,
            may_be_whole=not sayable(text),
        ),
        sent=len(parts.sent),
        prompt=prompt,
    )


def _prompt(continuation: Continuation, text: str, anchor: str) -> str:
    prompt = continuation.prompt
    if callable(prompt):
        said: Any = prompt(text)
        if not isinstance(said, str) or not said.strip():
            raise ValueError("Continuation.prompt must return a text that is not blank")
        return said
    if prompt is None:
        prompt = PROMPT if anchor else PROMPT_AFTER_RESULT
    # The mark first: the anchor is the model's text, and may hold the name of a field.
    mark = next((mark for mark in MARKS if mark not in text), "")
    return prompt.replace("{mark}", mark).replace("{anchor}", anchor)


def _appended(
    body: Mapping[str, Any], turns: Sequence[dict[str, Any]], sent: str
) -> dict[str, Any]:
    appended = {**body, "messages": [*body["messages"], *turns]}
    limit = body.get("max_tokens")
    if isinstance(limit, int):
        # Erring low: text of four characters a token has twice as many tokens as this.
        spent = min(len(sent) // 8, len(sent.split()))
        thinking = body.get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        least = budget + 1 if isinstance(budget, int) else 1
        appended["max_tokens"] = max(limit - spent, min(least, limit), 1)
    return appended


def _turn(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of it the API takes as an assistant turn: no blank text, and no thinking at its end."""
    content = [block for block in content if not _is_blank(block)]
    while content and content[-1]["type"] in ("thinking", "redacted_thinking"):
        content.pop()
    return content


def _is_blank(block: Mapping[str, Any]) -> bool:
    return block["type"] == "text" and not block["text"].strip()


def _sendable(block: dict[str, Any]) -> dict[str, Any]:
    """A block without what is only there to say that it is not there."""
    return {key: value for key, value in block.items() if value is not None}
