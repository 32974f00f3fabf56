"""How much of the delivered text a request sends back, and what it leaves out to prove the seam.

What is left out is generated again, so a continuation begins with words that are known. A model
also goes on better from the end of a word than from the middle of one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from unbroken._core.overlap import PROOF, fold

__all__ = ["Parts", "cut_for_prefill", "cut_for_user_turn", "sayable", "whole_characters"]

# So far back, and no further, is looked for a better place to cut.
_FAR = 160
# A word this long is no word.
_LONG_WORD = 40
# The prompt quotes about this much: what others found to give clean seams.
_ANCHOR = 40

_SPACE = re.compile(r"\s+")
_HALF_CHARACTERS = "".join(map(chr, range(0xD800, 0xE000)))


class Parts(NamedTuple):
    """The delivered text in two parts, and the end of it that a prompt may quote."""

    sent: str
    """What the request sends back: it does not end in white space, and is not blank."""
    tail: str
    """The rest, which an exact continuation begins with."""
    anchor: str
    """The last words of the text."""


def cut_for_prefill(text: str, *, heal: bool) -> Parts:
    """Cut at the text's white space, or where its last word begins if it may end inside that."""
    end = _end(text)
    at = _last_space(text, end) if heal and end == len(text) and text[-1].isalnum() else end
    if end - at > _LONG_WORD or not text[:at].strip():
        at = end
    return _parts(text, at)


def cut_for_user_turn(text: str) -> Parts:
    """Cut off some of the last words, so many that they stand nowhere else in the text."""
    end = _end(text)
    if end == 0:
        return Parts("", text, "")
    known = fold(text[:end])
    tails = {at: fold(text[at:end].strip()) for at in _places(text, end) if text[:at].strip()}
    proofs = [at for at, tail in tails.items() if len(tail) >= PROOF]
    nearest = proofs[0] if proofs else _last_space(text, end)
    at = next((at for at in proofs if _ends_alone(known, tails[at])), nearest)
    return _parts(text, at if text[:at].strip() else end)


def _ends_alone(text: str, ending: str) -> bool:
    """Whether the end of a text stands nowhere else in it."""
    return text.find(ending) == len(text) - len(ending)


def whole_characters(text: str) -> str:
    """The text without half a character (in UTF-16) at its end, which cannot be sent."""
    return text.rstrip(_HALF_CHARACTERS)


def sayable(text: str) -> str:
    """What of the text can be the end of a turn: whole characters, and no white space."""
    return whole_characters(text.rstrip()).rstrip()


def _end(text: str) -> int:
    return len(sayable(text))


def _places(text: str, end: int) -> list[int]:
    """Where the text may be cut, the nearest to its end first: before white space, if there is."""
    begin = max(end - _FAR, len(text) - len(text.lstrip()))
    last = end - PROOF
    spaces = [match.start() for match in _SPACE.finditer(text, begin, max(last, 0))]
    return spaces[::-1] or list(range(last, begin, -1))


def _last_space(text: str, end: int) -> int:
    """Where the last white space before a position begins."""
    word = end - len(text[max(end - _FAR, 0) : end].rsplit(maxsplit=1)[-1])
    return len(text[:word].rstrip())


def _parts(text: str, at: int) -> Parts:
    sent = text[:at].rstrip()
    end = _end(text)
    begin = min(len(sent), max(end - _ANCHOR, 0))
    word = _SPACE.search(text, begin, len(sent) + 1)
    anchor = text[word.end() if word and begin > 0 else begin : end].strip()
    return Parts(sent, text[len(sent) :], anchor)
