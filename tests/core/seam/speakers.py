"""How models go on, and what they say before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.core.seam.joints import speaking

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.core.seam.joints import View

    from unbroken.testing.voices import Cue, Voice

__all__ = ["KNOWN_PREFIXES", "UNKNOWN_PREFIXES", "VOICES", "as_told", "behind", "quoted"]

_OTHER_QUOTES = str.maketrans(
    {"'": "\u2019", '"': "\u201d", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}
)


def _from(place: Callable[[View], int]) -> Voice:
    return speaking(lambda told: told.answer[place(told) :])


def _restarted(boundary: str, count: int = 1, *, of: Callable[[View], int]) -> Voice:
    def place(told: View) -> int:
        until = told.answer[: of(told)].rstrip()
        ends = [match.end() for match in re.finditer(boundary, until)]
        return ends[-count] if len(ends) >= count else 0

    return _from(place)


def _sent(told: View) -> int:
    return told.asked.said


def _quoted(told: View) -> int:
    return told.end


as_told = _from(lambda told: told.begin)
told_in_other_signs = speaking(
    lambda told: (
        re.sub(r"\s+", " ", told.answer[told.begin : told.end]).translate(_OTHER_QUOTES)
        + told.answer[told.end :]
    )
)
_WORD, _LINE, _SENTENCE = r"\s+", r"\n", r"[.!?\u3002]\s*"

VOICES: dict[str, Voice] = {
    "as told": as_told,
    "as told, in other signs": told_in_other_signs,
    "straight on": _from(lambda told: told.end),
    "straight on from what was sent": _from(lambda told: told.asked.said),
    "restarts the word": _restarted(_WORD, of=_sent),
    "restarts the line": _restarted(_LINE, of=_sent),
    "restarts two lines": _restarted(_LINE, 2, of=_sent),
    "restarts the sentence": _restarted(_SENTENCE, of=_sent),
    "says all again": _from(lambda told: 0),
    "restarts the quoted word": _restarted(_WORD, of=_quoted),
    "restarts the quoted line": _restarted(_LINE, of=_quoted),
    "restarts two quoted lines": _restarted(_LINE, 2, of=_quoted),
    "restarts the quoted sentence": _restarted(_SENTENCE, of=_quoted),
}

KNOWN_PREFIXES = {
    "nothing": "",
    "dots": "...",
    "an ellipsis": "\u2026 ",
    "a fence": "```\n",
    "a named fence": "```text\n",
    "a preamble": "Continuing from where I left off:\n\n",
    "another preamble": "Sure! Here is the rest of the answer:\n\n",
}
UNKNOWN_PREFIXES = {
    "English": "Right you are, on we go.\n\n",
    "German": "Nat\u00fcrlich, hier geht es weiter:\n\n",
    "French": "Bien s\u00fbr, je reprends l\u00e0 o\u00f9 j\u2019en \u00e9tais :\n\n",
    "Chinese": "\u597d\u7684\uff0c\u63a5\u7740\u5199\uff1a\n\n",
    "Arabic": "\u062d\u0633\u0646\u0627\u060c \u0623\u0643\u0645\u0644:\n\n",
}


def behind(prefix: str, then: Voice) -> Voice:
    """Says this, and then goes on."""

    def voice(asked: Cue) -> str:
        return prefix + then(asked)

    return voice


def quoted(opens: str, closes: str) -> Voice:
    """As told, with the words in quotation marks."""

    def say(told: View) -> str:
        words = told.answer[told.begin : told.end]
        return f"{opens}{words}{closes}{told.answer[told.end :]}"

    return speaking(say)
