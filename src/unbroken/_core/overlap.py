"""How much of a continuation repeats the text before it: pure functions of two texts.

Texts are compared folded: a run of white space is one space, curly quotes are straight ones.
Positions are positions in folded texts, save where a function says otherwise.
"""

from __future__ import annotations

import itertools
import re

__all__ = ["PROOF", "Known", "after_preamble", "fold", "starts", "unfold"]

PROOF = 12
"""An overlap this long is no chance; a shorter one counts at the beginning of a text only."""

# At the beginning, and of whole words, an overlap this long counts.
_WORD = 3

_STRAIGHT = tuple(
    zip("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f", "''''\"\"\"\"", strict=True)
)
# White space that is not one space: a match for every single one would be slow in a long text.
_SPACE = re.compile(r"[^\S ]\s*| \s+")
_FOLDED = re.compile(r"\s+|\S")

# What models say before they go on, to the end of that sentence or line: how it begins, what it
# speaks of, how it ends.
_PREAMBLE = re.compile(
    r"""(?:continuing|resuming|picking|as\ i\ was|here(?:'s|\u2019s|\ is)|i(?:'ll|\u2019ll|\ will)
        |let\ me|(?:sure|sorry|apologies|of\ course|certainly|okay|no\ problem|understood)\b)
        [^\n]{0,120}?
        (?:left\ off|cut\ off|interrupt|dropp|stopp|the\ rest\ of|continuation|continu\w+\ from)
        [^\n:.\u2026]{0,80}(?:[:\n\u2026]|\.{1,3})\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_START = re.compile(r"[.:!?\u2026]\s+|\n\s*")
_PREAMBLE_LENGTH = 200


def fold(text: str) -> str:
    """The text as it is compared."""
    for curly, straight in _STRAIGHT:
        text = text.replace(curly, straight)
    return _SPACE.sub(" ", text)


def unfold(text: str, position: int) -> int:
    """Where in the text as it is a position in the folded text lies: behind that character."""
    if position == 0:
        return 0
    return next(itertools.islice(_FOLDED.finditer(text), position - 1, None)).end()


def starts(text: str) -> list[int]:
    """Where, in a text not yet folded, something may begin after a preamble of any wording."""
    ends = [match.end() for match in _START.finditer(text, 0, _PREAMBLE_LENGTH)]
    # Each ends with all of its white space, so that the parts can be folded one by one.
    parts = (text[begin:end] for begin, end in itertools.pairwise([0, *ends]))
    return list(itertools.accumulate(len(fold(part)) for part in parts))


def after_preamble(text: str) -> int:
    """The length, in a text not yet folded, of a preamble that says that it goes on; 0 if none."""
    match = _PREAMBLE.match(text)
    return len(fold(match[0])) if match else 0


class Known:
    """The text that the caller has, folded, and the parts of its end that were asked for.

    Args:
        text: All of it.
        expected: Parts of its end that a continuation may well begin with, the likeliest first.
    """

    def __init__(self, text: str, expected: tuple[str, ...]) -> None:
        self.text = fold(text.strip())
        self._expected = [folded for part in expected if (folded := fold(part.strip()))]
        # What holds all of the likeliest part is proof enough, be that ever so short.
        self._enough = min(
            [PROOF, *(len(part) for part in self._expected[:1] if len(part) >= _WORD)]
        )

    def holds(self, said: str) -> bool:
        """Whether it has these words, with more of them to come."""
        return self.text.find(said, 0, -1) >= 0

    def places(self, said: str, most: int = 64) -> list[int]:
        """Where it has these words: the positions behind them, of the last ones."""
        found: list[int] = []
        at = self.text.rfind(said)
        while at >= 0 and len(found) < most:
            found.append(at + len(said))
            at = self.text.rfind(said, 0, at + len(said) - 1)
        return found

    def overlap(self, said: str, *, words: bool) -> int:
        """How many characters at the beginning of `said` are the last ones that it has.

        Args:
            said: What the model says.
            words: Whether a few whole words count, too.
        """
        lengths = [n for n in range(len(said), 0, -1) if self.text.endswith(said[:n])]
        counted = [
            n for n in lengths if n >= self._enough or said[:n] in self._expected
            or (words and n >= _WORD and self._begins_a_word(n))
        ]  # fmt: skip
        if counted and _is_periodic(said[: counted[0]]):
            # What repeats by itself cannot tell how often; what was asked for can.
            return self.asked(said)
        return counted[0] if counted else 0

    def _begins_a_word(self, length: int) -> bool:
        at = len(self.text) - length
        return at == 0 or not (self.text[at - 1].isalnum() and self.text[at].isalnum())

    def asked(self, said: str) -> int:
        """How many characters at the beginning of `said` are what it was asked to begin with."""
        return next((len(part) for part in self._expected if said.startswith(part)), 0)

    def found_in(self, said: str) -> int:
        """Where its end, as it was asked for, ends in `said`; 0 if it is not there."""
        for part in self._expected:
            at = said.find(part) if len(part) >= PROOF else -1
            if at >= 0:
                return at + len(part)
        return 0


def _is_periodic(text: str) -> bool:
    """Whether the text is one string at least twice over, the last time perhaps cut short."""
    return any(
        repeated[period:] == repeated[:-period]
        for repeated in (text, text + " ")
        for period in range(1, len(repeated) // 2 + 1)
    )
