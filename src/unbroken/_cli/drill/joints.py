"""Judges a joint: whether text is doubled or lost there, where that can be told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Joint", "Verdict", "judge_joint"]

_BEFORE = (40, 20, 12)
"""How many characters before a joint find its place in the reference: the most that do."""
_AFTER = 20
_OFFSETS = (0, 20, 40, 80, 160)
"""Where to look for the text behind a joint, which may begin in other words."""
_FAR = 500
"""Beyond so many characters, two texts go different ways."""
_DOUBLED = 12
"""So many repeated characters are no accident."""
_SHOWN = 60


class Verdict(StrEnum):
    """What a joint did to the text, the worst first."""

    LOST = "lost"
    DOUBLED = "doubled"
    UNTOLD = "untold"
    CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class Joint:
    """One joint.

    Attributes:
        at: The characters before it.
        seam: What proved it, as in `Attempt.seam`.
        verdict: What it did to the text.
        chars: How many characters are lost or doubled.
        before: The text before it.
        after: The text behind it.
    """

    at: int
    seam: str
    verdict: Verdict
    chars: int
    before: str
    after: str


def judge_joint(reference: str, text: str, at: int, seam: str) -> Joint:
    """Judge one joint.

    Args:
        reference: The same answer without a cut, as far as a model repeats itself.
        text: The answer.
        at: The characters before the joint.
        seam: What proved it.
    """
    verdict, chars = _against(reference, text[:at], text[at:]) or _by_itself(text, at)
    shown = text[max(0, at - _SHOWN) : at], text[at : at + _SHOWN]
    return Joint(at, seam, verdict, chars, *shown)


def _against(reference: str, before: str, after: str) -> tuple[Verdict, int] | None:
    """The verdict where the reference has both sides of the joint."""
    ends = [end for length in _BEFORE for end in _ends_of(reference, before[-length:], length)]
    if not ends:
        return None
    begins = next(filter(None, (_begins_in(reference, after, at) for at in _OFFSETS)), [])
    gap = min((begin - end for begin in begins for end in ends), key=abs, default=_FAR)
    if abs(gap) >= _FAR:
        return None
    if gap == 0:
        return Verdict.CLEAN, 0
    return (Verdict.LOST, gap) if gap > 0 else (Verdict.DOUBLED, -gap)


def _ends_of(reference: str, words: str, length: int) -> Iterator[int]:
    if len(words) == length:
        for found in re.finditer(f"(?={re.escape(words)})", reference):
            yield found.start() + length


def _begins_in(reference: str, after: str, offset: int) -> list[int]:
    """Where the text behind a joint begins, by some of its characters."""
    words = after[offset : offset + _AFTER]
    if len(after) < _AFTER:  # the end of the answer
        return [len(reference) - len(after)] if reference.endswith(after) else []
    if len(words) < _AFTER:
        return []
    return [found.start() - offset for found in re.finditer(re.escape(words), reference)]


def _by_itself(text: str, at: int) -> tuple[Verdict, int]:
    """The verdict by the text alone: the same words on both sides are doubled."""
    for length in range(min(at, len(text) - at, _FAR), _DOUBLED - 1, -1):
        if text[at - length : at] == text[at : at + length]:
            return Verdict.DOUBLED, length
    return Verdict.UNTOLD, 0
