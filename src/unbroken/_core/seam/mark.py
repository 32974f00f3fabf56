"""The mark: the word by which a model says that nothing was left to say."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Mark", "choose_mark"]

_MARKS = ("[[NOTHING WAS LEFT]]", "[[THAT WAS ALL]]")

# White space held before what may be the mark; more of it is text.
_MAX_SPACE = 64
_SPACE = rf"\s{{0,{_MAX_SPACE}}}"


def choose_mark(is_used: Callable[[str], bool]) -> str:
    """Choose a mark that is not used elsewhere.

    Args:
        is_used: Whether a word stands in the answer or anywhere in the request.
    """
    numbered = (f"[[NOTHING WAS LEFT {number}]]" for number in itertools.count(2))
    return next(mark for mark in itertools.chain(_MARKS, numbered) if not is_used(mark))


class Mark:
    """Takes a mark off the end of a text that comes in chunks.

    It counts at the end only: alone, alone on its line, or after the last word. Anywhere else, it
    is text.

    Args:
        mark: The mark.
    """

    def __init__(self, mark: str) -> None:
        self._whole = re.compile(rf"{_SPACE}{re.escape(mark)}{_SPACE}\Z")
        begun = "".join(f"(?:{re.escape(c)}" for c in mark[:-1]) + ")?" * (len(mark) - 1)
        self._held_back = re.compile(
            rf"{_SPACE}{re.escape(mark)}{_SPACE}\Z|{_SPACE}{begun}\Z",
        )
        self._most = len(mark) + 2 * _MAX_SPACE
        self.trigger = mark[:1].encode()
        self.held = ""
        """The end of the text so far, if it may be the mark."""
        self.seen = False
        """Whether the text ended with it."""

    def strip(self, text: str) -> str:
        """Take in text, and return what of it is surely not the mark."""
        text = self.held + text
        at = self._begins(text)
        self.held = text[at:]
        return text[:at]

    def _begins(self, text: str) -> int:
        """Where what may be the mark begins."""
        found = self._held_back.search(text, max(len(text) - self._most, 0))
        assert found is not None
        return found.start()

    def end_block(self) -> str:
        """A block of the text is over: return what is held, unless it is the mark."""
        if self._whole.fullmatch(self.held):
            return ""
        held, self.held = self.held, ""
        return held

    def end(self) -> str:
        """The text is over: return what is held, unless it is the mark."""
        held = self.end_block()
        self.seen, self.held = bool(self.held), ""
        return held
