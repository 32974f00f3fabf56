"""What to ask next when an answer broke off: the table of the README, in order, as one function.

A continuation only appends to the request. `system`, `tools`, earlier turns, thinking, effort and
`tool_choice` stay as they are, so that the prompt cache and the signatures of thinking blocks stay
valid; `max_tokens` alone is lowered to what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unbroken._core.bounds import Reason
from unbroken._core.prompts import (
    PROMPT,
    PROMPT_AFTER_RESULT,
    PROMPT_AGAIN,
    write_prompt,
)
from unbroken._core.replies import NO_REPLIES
from unbroken._core.seam import ExactSeam, Expected, FreeSeam
from unbroken._core.seam.quote import (
    MIN_TEXT,
    MIN_TEXT_AGAIN,
    Quote,
    cut_for_prefill,
    is_shorter,
    quote_again,
    quote_ending,
    strip_lone_surrogates,
    strip_trailing,
)
from unbroken._core.stream.blocks import Handling
from unbroken._core.usage import CHARS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from unbroken._core.delivered import Delivered
    from unbroken._core.policy import Continuation
    from unbroken._core.replies import Replies
    from unbroken._core.seam import Seam
    from unbroken._core.stream.blocks import Block

__all__ = ["END_TURN", "EndTurn", "Plan", "PlanMode", "Situation", "resume", "wants_json"]


class PlanMode(Enum):
    """What a request asks for."""

    AGAIN = "the caller's request, from the beginning"
    PREFILL = (
        "the rest of the answer: the partial answer is the last turn, and the model extends it"
    )
    USER_TURN = "the rest of the answer: a user turn after the partial answer asks for it"
    PAUSED = "the rest of a turn that the API paused: the partial answer is the last turn"


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
        extends: Whether it asks for more of an answer that the model ended.
    """

    body: Mapping[str, Any]
    mode: PlanMode = PlanMode.AGAIN
    seam: Seam | None = None
    trimmed_word: bool = False
    sent: int = 0
    prompt: str = ""
    extends: bool = False

    @property
    def prompt_tokens(self) -> int:
        """About how many input tokens our own words to the model are."""
        return len(self.prompt) // CHARS_PER_TOKEN


class EndTurn:
    """No request: the finished tool calls that the caller has end the turn."""


END_TURN = EndTurn()


@dataclass(frozen=True)
class Situation:
    """What is known when an answer broke off.

    Attributes:
        body: The caller's request.
        delivered: The content that was delivered.
        continuation: The policy's settings.
        takes_prefill: Whether the model is thought to go on from a last assistant turn.
        trim_word: Whether a prefill may be cut where its last word begins.
        replies: The replies since then that could not be joined.
        paid: Characters of the last texts that `max_tokens` of earlier requests paid for.
    """

    body: Mapping[str, Any]
    delivered: Delivered
    continuation: Continuation
    takes_prefill: bool
    trim_word: bool = True
    replies: Replies = NO_REPLIES
    paid: int = 0

    @cached_property
    def text(self) -> str:
        """The text at the end of what was delivered."""
        return "".join(block.text() for block in self.delivered.last_texts())

    @cached_property
    def visible(self) -> list[Block]:
        """The blocks that were delivered, without thinking and blank texts."""
        return self.delivered.visible_blocks()

    def is_only_text(self) -> bool:
        """Whether one text is all that was delivered, and nothing followed it."""
        is_text = len(self.visible) == 1 and self.visible[0].handling is Handling.TEXT
        return is_text and bool(strip_trailing(self.text))

    def continues_thread(self) -> bool:
        """Whether the request holds the new turns of a thread only."""
        return (self.body.get("thread") or {}).get("type") == "continue"

    def prefills(self) -> bool:
        """Whether the model can go on from the text as the last turn."""
        mode = self.continuation.mode
        allowed = (
            self.takes_prefill and not _thinks(self.body) if mode == "auto" else (mode == "prefill")
        )
        return allowed and bool(strip_trailing(self.text))

    def is_short(self) -> bool:
        """Whether the same request, made again, may well be answered with the same few words."""
        least = MIN_TEXT if self.replies.unproven == 0 else MIN_TEXT_AGAIN
        return self.is_only_text() and not self.replies.diverged and is_shorter(self.text, least)


def resume(now: Situation) -> Plan | Reason | EndTurn:
    """Decide what to ask next: the request to make, why there is none to make, or `END_TURN`."""
    return next(follows(now) for applies, follows in _TABLE if applies(now))


def _refuse(reason: Reason) -> Callable[[Situation], Reason]:
    return lambda _: reason


def _again_if_only_text(otherwise: Reason) -> Callable[[Situation], Plan | Reason]:
    return lambda now: _again(now) if now.is_only_text() else otherwise


def wants_json(body: Mapping[str, Any]) -> bool:
    """Whether the answer is a JSON document, which no continuation can go on with."""
    config = body.get("output_config")
    return bool(body.get("output_format") or (isinstance(config, dict) and config.get("format")))


def _thinks(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") != "disabled"


def _again(now: Situation) -> Plan:
    text = strip_lone_surrogates(now.text)
    return Plan(now.body, seam=ExactSeam(text) if text else None)


def _by_prefill(now: Situation) -> Plan:
    cut = cut_for_prefill(now.text, trim_word=now.trim_word)
    return Plan(
        _appended(now, now.delivered.turns(len(cut.sent), ""), cut.sent),
        PlanMode.PREFILL,
        seam=ExactSeam(strip_lone_surrogates(cut.rest)),
        trimmed_word=bool(strip_trailing(cut.rest)),
        sent=len(cut.sent),
    )


def _by_user_turn(now: Situation) -> Plan:
    quote, default = _quote(now)
    prompt = write_prompt(now.continuation, default, quote.words, now.text, now.body)
    asked_before = now.continuation.unproven == "ask_again" and now.replies.unproven > 0
    joins = asked_before or now.continuation.unproven == "join"
    expected = Expected(
        now.text,
        asked=quote.asked,
        words=quote.words,
        mark=prompt.mark,
        join_unproven=joins and quote.is_ending,
        empty_is_whole=now.replies.empty > 0,
        before=now.replies.before,
    )
    return Plan(
        _appended(now, now.delivered.turns(len(quote.sent), prompt.text), quote.sent),
        PlanMode.USER_TURN,
        seam=FreeSeam(expected),
        sent=len(quote.sent),
        prompt=prompt.text,
    )


def _quote(now: Situation) -> tuple[Quote, str]:
    """What to quote, and the prompt for it: after a reply that could not be joined, other words."""
    if not strip_trailing(now.text):
        return Quote("", "", ""), PROMPT_AFTER_RESULT
    default = PROMPT if now.replies.count == 0 else PROMPT_AGAIN
    quote = quote_again if now.replies.count % 2 else quote_ending
    return quote(now.text), default


_TABLE: tuple[
    tuple[Callable[[Situation], bool], Callable[[Situation], Plan | Reason | EndTurn]], ...
] = (
    (lambda now: now.delivered.breaks_live(), _refuse(Reason.LIVE_BLOCK)),
    (lambda now: now.continues_thread(), _refuse(Reason.THREAD)),
    (lambda now: not now.delivered.understood(), _refuse(Reason.UNKNOWN_BLOCK)),
    (lambda now: now.delivered.calls_tools(), lambda _: END_TURN),
    (lambda now: not now.visible, _again),
    (lambda now: now.continuation.mode == "off", _refuse(Reason.CONTINUATION_OFF)),
    (lambda now: now.continuation.mode == "restart", _again_if_only_text(Reason.DIVERGED)),
    (lambda now: wants_json(now.body), _again_if_only_text(Reason.JSON_OUTPUT)),
    (lambda now: now.prefills(), _by_prefill),
    (lambda now: now.is_short(), _again),
    (lambda _: True, _by_user_turn),
)
"""What follows from what was delivered: the first row that applies."""


def _appended(now: Situation, turns: Sequence[dict[str, Any]], sent: str) -> dict[str, Any]:
    body, sent = now.body, sent[now.paid :]
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
