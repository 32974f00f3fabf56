"""Folded texts: how a reply is compared with the text that was delivered.

A run of white space is one space, and curly quotes are straight ones, since models write both
differently the second time. Folding a prefix gives a prefix of the folded text, so what is found
in a folded text does not depend on how the text came in chunks.
"""

from __future__ import annotations

import itertools
import re

__all__ = ["fold", "unfold"]

_STRAIGHT = tuple(
    zip("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f", "''''\"\"\"\"", strict=True)
)
# White space that is not one space: a match for every single one would be slow in a long text.
_SPACE = re.compile(r"[^\S ]\s*| \s+")
_FOLDED = re.compile(r"\s+|\S")


def fold(text: str) -> str:
    """The text as it is compared."""
    for curly, straight in _STRAIGHT:
        text = text.replace(curly, straight)
    return _SPACE.sub(" ", text)


def unfold(text: str, position: int) -> int:
    """Translate a position in the folded text to the position in the text behind that character."""
    if position == 0:
        return 0
    return next(itertools.islice(_FOLDED.finditer(text), position - 1, None)).end()
