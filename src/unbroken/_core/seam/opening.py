"""What may stand before the known words of a reply: marks that open a quotation, and preambles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unbroken._core.seam.fold import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["after_closing", "after_marks", "after_preamble", "closing"]

# In a folded text: dots, a block quote, a code fence, quotation marks and emphasis.
_MARK = re.compile(r"(?:\.{2,6}|\u2026|>|```\w*(?= )|[\"'`\u00ab\u300c(\[*_]) ?")
_MAX_MARKS = 6
_QUOTATION = re.compile(r"[\"'`\u00ab\u300c(\[*_]{1,4}(?= ?\Z)")
_CLOSED = re.compile(r"[\"'`\u00bb\u300d)\]*_]{1,4} ?")
_SAME = re.compile(r"\*+|_+|`+|.")
_CLOSING = str.maketrans("([\u00ab\u300c", ")]\u00bb\u300d")

# What models say before they go on, to the end of that sentence or line: how it begins, what it
# speaks of, how it ends.
_PREAMBLE = re.compile(
    r"""(?:continuing|resuming|picking|as\ i\ was|here(?:'s|\u2019s|\ is)|i(?:'ll|\u2019ll|\ will)
        |let\ me|(?:sure|sorry|apologies|of\ course|certainly|okay|no\ problem|understood)\b)
        [^\n]{0,120}?
        (?:left\ off|cut\ off|interrupt|dropp|stopp|the\ rest\b|continuation|continu\w+\ from)
        [^\n:.\u2026]{0,80}(?:[:\n\u2026]|\.{1,3})\s*""",
    re.IGNORECASE | re.VERBOSE,
)


def after_marks(said: str, begin: int = 0) -> Iterator[int]:
    """Where, in a folded text, a quotation may begin: at once, or behind marks that open it."""
    yield begin
    for _ in range(_MAX_MARKS):
        match = _MARK.match(said, begin)
        if match is None:
            return
        begin = match.end()
        yield begin


def after_closing(said: str, begin: int) -> int:
    """Where, in a folded text, the text goes on behind marks that close a quotation, if any."""
    match = _CLOSED.match(said, begin)
    return begin if match is None else match.end()


def after_preamble(reply: str) -> int:
    """The length of a preamble that announces a continuation, folded; 0 if there is none.

    Args:
        reply: The text, not folded: a preamble may end with its line.
    """
    match = _PREAMBLE.match(reply)
    return len(fold(match[0])) if match else 0


def closing(opening: str, delivered: str) -> str:
    """The marks that close the quotation which a folded text opens at its end.

    Args:
        opening: The text.
        delivered: The text that was delivered. A quotation that it left open is still to be closed
            by the answer itself, so nothing is taken off then.
    """
    marks = _QUOTATION.search(opening)
    # What follows a word closes a quotation.
    if marks is None or opening.rstrip().endswith("```") or opening[: marks.start()][-1:].isalnum():
        return ""
    line = fold(delivered.rpartition("\n")[2])
    pairs = [(mark, mark.translate(_CLOSING)) for mark in _SAME.findall(marks[0])]
    if any(_is_open(line, opens, closes) for opens, closes in pairs):
        return ""
    return "".join(closes for _, closes in reversed(pairs))


def _is_open(line: str, opens: str, closes: str) -> bool:
    if opens == closes:
        return line.count(opens) % 2 == 1
    return line.count(opens) > line.count(closes)
