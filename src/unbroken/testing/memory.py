"""What the server remembers of its conversations: which answers it began, and how far each got.

A request that goes on from an interrupted answer is told by what it sends back: the conversation
up to the partial is one that the server has answered, and the partial is how that answer begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from unbroken.testing.conversation import (
    Turn,
    blocks_of,
    conversation_key,
    is_thinking,
    text_of,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from unbroken.testing.answers import Answer, Block

__all__ = ["Kind", "Memory", "Place", "Served", "Task"]

Kind = Literal["fresh", "prefill", "user_turn"]


class Place(NamedTuple):
    """How far an answer was given: the block, and the characters of it if it is text."""

    block: int
    chars: int


BEGINNING = Place(0, 0)


@dataclass
class Served:
    """An answer that the server began to give.

    Attributes:
        answer: All of it.
        start: Where in the answer this response began.
        lead: Text of the caller's own prefill, which is no part of the answer.
        text: The text of the response as the model worded it.
        complete: Whether a response that ends this answer has been sent whole.
        before: The response that this one goes on from.
    """

    answer: Answer
    start: Place = BEGINNING
    lead: str = ""
    text: str = ""
    complete: bool = False
    before: Served | None = None

    def finish(self) -> None:
        """Note that the answer has reached its end."""
        served: Served | None = self
        while served is not None:
            served.complete = True
            served = served.before


@dataclass(frozen=True)
class Task:
    """What one request asks the model for.

    Attributes:
        kind: A new answer, or the rest of one by prefill or in a new turn.
        answer: The answer it is about.
        place: Where in the answer to begin.
        prompt: The text of the last user turn.
        served: What later requests may go on from.
        unmatched: Whether it goes on from an interrupted answer, but not with words of that answer.
    """

    kind: Kind
    answer: Answer
    place: Place
    prompt: str | None
    served: Served
    unmatched: bool = False


class Memory:
    """All conversations of one server."""

    def __init__(self) -> None:
        self._served: dict[str, Served] = {}

    def paused(self, messages: Iterable[Mapping[str, Any]]) -> bool:
        """Whether the last turn sends back an answer that paused, to be gone on with."""
        served = self._served.get(conversation_key(turns(messages)[:-1]))
        return served is not None and served.answer.stop_reason == "pause_turn"

    def kind(self, body: Any, answer: Answer | None) -> Kind:
        """What kind of task a request is, before it is known to be valid.

        Args:
            body: The request.
            answer: What would answer it if it is new, as far as that is fixed.
        """
        if not isinstance(body, dict) or not _well_formed(body.get("messages")):
            return "fresh"
        conversation = turns(body["messages"])
        if conversation and conversation[-1].role == "assistant":
            return "prefill"
        return "user_turn" if self._continued(conversation, lambda: answer) else "fresh"

    def task(self, body: Mapping[str, Any], choose: Callable[[], Answer]) -> Task:
        """What this request asks for.

        Args:
            body: The request.
            choose: Gives the answer to a request that does not go on from an earlier one.
        """
        conversation = turns(body["messages"])
        last = conversation[-1] if conversation else Turn("user", ())
        if last.role == "assistant":
            return self._after_prefill(conversation, choose)
        continued = self._continued(conversation, choose)
        if continued is None:
            return self._fresh(conversation, choose)
        served, matched = continued
        self._served[conversation_key(conversation)] = served
        prompt = text_of(last.blocks)
        return Task("user_turn", served.answer, served.start, prompt, served, not matched)

    def _after_prefill(self, conversation: list[Turn], choose: Callable[[], Answer]) -> Task:
        key, sent = conversation_key(conversation[:-1]), conversation[-1]
        served = self._served.get(key)
        answer = served.answer if served else choose()
        place = _locate(sent, answer, served)
        if place is None:
            begun = Served(answer, lead=text_of(sent.blocks))
            unmatched = served is not None and not served.complete
            if not unmatched:
                self._served[key] = begun
            return Task("prefill", answer, BEGINNING, None, begun, unmatched)
        served = self._served.setdefault(key, Served(answer))
        return Task("prefill", answer, place, None, served)

    def _continued(
        self, conversation: list[Turn], choose: Callable[[], Answer | None]
    ) -> tuple[Served, bool] | None:
        """What a new turn goes on with, and whether it sends back what was said so far."""
        sent = _sent_back(conversation)
        if sent is None:
            return None
        before = self._served.get(conversation_key(conversation[:-2]))
        answer = before.answer if before else choose()
        place = _locate(sent, answer, before) if answer else None
        over = before is None or before.complete
        if answer is None or (over and (place is None or not _is_partial(answer, place, before))):
            return None
        return Served(answer, place or BEGINNING, before=before), place is not None

    def _fresh(self, conversation: list[Turn], choose: Callable[[], Answer]) -> Task:
        served = Served(choose())
        self._served[conversation_key(conversation)] = served
        prompt = text_of(conversation[-1].blocks) if conversation else ""
        return Task("fresh", served.answer, BEGINNING, prompt, served)


def _well_formed(messages: Any) -> bool:
    return isinstance(messages, list) and all(
        isinstance(message, dict)
        and all(isinstance(block, dict) for block in blocks_of(message.get("content")))
        for message in messages
    )


def _sent_back(conversation: list[Turn]) -> Turn | None:
    """The assistant turn before a last user turn of nothing but text."""
    if len(conversation) < 3 or conversation[-2].role != "assistant":
        return None
    if any(block.get("type") != "text" for block in conversation[-1].blocks):
        return None
    return conversation[-2]


def _is_partial(answer: Answer, place: Place, before: Served | None) -> bool:
    """Whether an answer was cut here, and not ended as far as the server knows."""
    return before is None or any(b.type != "text" or b.text.strip() for b in rest(answer, place))


def rest(answer: Answer, place: Place) -> list[Block]:
    """The blocks from this place on, the first one cut."""
    blocks = list(answer.blocks[place.block :])
    if blocks and place.chars:
        first = blocks[0]
        cut = {**first.content, "text": first.text[place.chars :]}
        blocks[0] = type(first)(cut)
    return blocks


def _locate(sent: Turn, answer: Answer, served: Served | None) -> Place | None:
    blocks = answer.blocks
    if served is None:
        return _advance(blocks, BEGINNING, sent.blocks)
    said = _without(served.lead, sent.blocks)
    place = _advance(blocks, served.start, said)
    if place is None and served.start != BEGINNING:
        place = _advance(blocks, BEGINNING, said) or _by_wording(served, text_of(said))
    return place


def _without(lead: str, blocks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = list(blocks)
    if lead and text_of(kept).startswith(lead):
        kept[0:1] = blocks_of(kept[0].get("text", "")[len(lead) :])
    return kept


def _by_wording(served: Served, said: str) -> Place | None:
    """The place reached when the model reworded the seam, counted back from the end of the text."""
    if not served.text.startswith(said):
        return None
    left = len(served.text) - len(said)
    for number in reversed(range(served.start.block, len(served.answer.blocks))):
        here = served.answer.blocks[number]
        if here.type == "text" and left <= len(here.text):
            return max(Place(number, len(here.text) - left), served.start)
        left -= len(here.text)
    return served.start


def _advance(
    blocks: tuple[Block, ...], place: Place, sent: Iterable[Mapping[str, Any]]
) -> Place | None:
    """The place after what was sent back, or `None` if the answer says something else."""
    reached: Place | None = place
    for item in sent:
        if reached is None:
            break
        if item.get("type") == "text":
            reached = _over_text(blocks, reached, item.get("text", ""))
        elif not is_thinking(item):
            reached = _over_block(blocks, reached, item.get("type"))
    return reached


def _over_text(blocks: tuple[Block, ...], place: Place, said: str) -> Place | None:
    number, chars = place
    while number < len(blocks):
        here = blocks[number]
        left = here.text[chars:]
        if here.type == "text" and said and left.startswith(said):
            return Place(number, chars + len(said))
        if here.type == "text" and left and said.startswith(left):
            said = said[len(left) :]
        elif not _may_pass(here, left):
            return None
        number, chars = number + 1, 0
    return None if said else Place(number, 0)


def _over_block(blocks: tuple[Block, ...], place: Place, kind: Any) -> Place | None:
    number, chars = place
    while number < len(blocks):
        here = blocks[number]
        if here.type == kind:
            return Place(number + 1, 0)
        if not _may_pass(here, here.text[chars:]):
            return None
        number, chars = number + 1, 0
    return None


def _may_pass(block: Block, left: str) -> bool:
    """Whether a client may leave this out: thinking, and white space it cannot send at an end."""
    return is_thinking(block.content) or (block.type == "text" and not left.strip())
