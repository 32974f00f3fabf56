"""A whole recovery of a text that was cut: what came of it, and what the model was asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.core.service import AT_ONCE, Service, request

from unbroken._core.prompts import PROMPT, PROMPT_AGAIN
from unbroken._core.seam.fold import fold
from unbroken._core.states import Phase
from unbroken.testing import Answer, voices

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.core.service import Run

    from unbroken._core.policy import Policy
    from unbroken.testing.voices import Cue, Voice

__all__ = ["CutService", "Joint", "View", "cue", "join", "quoted_in", "speaking"]


@dataclass
class CutService(Service):
    """A service whose first stream breaks behind so many characters of text.

    Attributes:
        at: These characters.
        then_delta_chars: Characters of each delta of the streams after the first.
    """

    at: int = 1
    then_delta_chars: int | None = None

    def __post_init__(self) -> None:
        self.delta_chars = self.at
        super().__post_init__()

    def run(self, body: dict[str, Any], policy: Policy = AT_ONCE, **settings: Any) -> Run:
        whole = Service(self.api.settings.answer, delta_chars=self.at).respond(body)[1]
        self.cuts = [whole.index(b"\n\n", whole.index(b"text_delta")) + 2]
        return super().run(body, policy, **settings)

    def respond(self, body: dict[str, Any]) -> tuple[int, bytes, Any]:
        if self.requests:
            self.api.settings.delta_chars = self.then_delta_chars
        return super().respond(body)


@dataclass(frozen=True)
class Joint:
    """What came of a cut text.

    Attributes:
        answer: The whole text.
        at: Where it was cut.
        text: What the caller got.
        run: The recovery.
    """

    answer: str
    at: int
    text: str
    run: Run = field(repr=False)

    @property
    def outcome(self) -> str:
        """`exact`, `raised`, `doubled`, or `eaten` if something of the rest is missing."""
        if self.text == self.answer:
            return "exact"
        if self.run.phase is Phase.LOST:
            return "raised" if self.answer.startswith(self.text) else "eaten"
        came, rest = fold(self.text[self.at :]), fold(self.answer[self.at :].strip())
        kept = self.text.startswith(self.answer[: self.at]) and came.rstrip().endswith(rest)
        return "doubled" if kept else "eaten"

    @property
    def requests(self) -> int:
        """How many requests were made, the first included."""
        return len(self.run.service.requests)

    @property
    def seams(self) -> list[str | None]:
        """What proved the seam of each attempt after the first."""
        return [attempt.seam for attempt in self.run.machine.call.attempts[1:]]


def join(
    answer: str | Answer,
    at: int,
    voice: Voice,
    *,
    delta: int | None = 5,
    policy: Policy = AT_ONCE,
    **fields: Any,
) -> Joint:
    """Cut a text, and have a model that speaks like this go on."""
    service = CutService(answer, voice=voice, at=at, then_delta_chars=delta)
    run = service.run(request(**fields), policy)
    said = run.machine.partial() or {"content": []}
    text = "".join(block.get("text", "") for block in said["content"])
    whole = answer.text if isinstance(answer, Answer) else answer
    assert service.refusals == []
    return Joint(whole, at, text, run)


# What a model reads in the request


@dataclass(frozen=True)
class View:
    """Where in the answer the quoted words stand.

    Attributes:
        asked: What the model has before it.
        begin: Where the quoted words begin.
        end: Where those end that it is to begin with.
        last: Where the delivered text ends, but for white space.
    """

    asked: Cue
    begin: int
    end: int
    last: int

    @property
    def answer(self) -> str:
        """The whole answer."""
        return self.asked.answer


_QUOTED = [
    re.compile(re.escape(prompt).replace(r"\{anchor\}", "(.*)").replace(r"\{beyond\}", "(.*)")
               .replace(r"\{mark\}", r"\[\[[^\n]*\]\]"), re.DOTALL)
    for prompt in (PROMPT_AGAIN, PROMPT)
]  # fmt: skip


def quoted_in(prompt: str) -> tuple[str, ...]:
    """The words that a prompt quotes: those to begin with, and those beyond them, if any."""
    matches = (pattern.fullmatch(prompt) for pattern in _QUOTED)
    return next(match for match in matches if match).groups()


def cue(asked: Cue) -> View:
    """Read the quoted words in the prompt, and find them in the answer, beside what was sent."""
    words, *beyond = quoted_in(asked.prompt or "")
    gap = len(asked.remaining) - len(asked.remaining.lstrip())
    begin = asked.said + gap
    if not asked.answer.startswith(words, begin):
        begin = asked.partial.rindex(words)  # nothing was left out: there is nothing before it
    end = last = begin + len(words)
    if beyond:
        last = asked.answer.index(beyond[0], end) + len(beyond[0])
    return View(asked, begin, end, last)


def speaking(say: Callable[[View], str]) -> Voice:
    """A voice that knows where the quoted words stand, and says this in a new turn."""

    def voice(asked: Cue) -> str:
        return voices.exact(asked) if asked.prompt is None else say(cue(asked))

    voice.__name__ = say.__name__
    return voice
