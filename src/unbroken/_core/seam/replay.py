"""A reply that repeats more of the delivered text than is held: it is compared as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken._core.seam.fold import fold, unfold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken._core.seam.endings import Endings

__all__ = ["Replay"]

# White space is compared when something follows it; more of it than this is no repetition.
_MAX_SPACE = 1024


class Replay:
    """Compares a reply with the places in the delivered text that it may repeat.

    Args:
        known: The delivered text.
        places: Positions in it, behind the words that were repeated so far.
        length: Characters of these words, folded.
    """

    def __init__(self, known: Endings, places: Sequence[int], length: int) -> None:
        self._known = known
        self._places = places
        self._length = length
        self._held = ""
        self.lost = False
        """Whether the reply went on differently before it came to the delivered end."""

    def feed(self, text: str) -> str | None:
        """Take in more of the reply: what follows the delivered end, or None if that did not come.

        Once `lost`, the text that was not compared is in `rest`.
        """
        self._held += text
        said = fold(self._held.rstrip())
        if not said:
            self.lost = len(self._held) > _MAX_SPACE
            return None
        known = self._known.text
        places = [at for at in self._places if known.startswith(said[: len(known) - at], at)]
        ends = min((len(known) - at for at in places if len(known) - at <= len(said)), default=0)
        if ends and self._known.proves(known[len(known) - self._length - ends :]):
            return self._held[unfold(self._held, ends) :]
        if ends or not places:
            self.lost = True
            return None
        self._places = [at + len(said) for at in places]
        self._length += len(said)
        self._held = self._held[len(self._held.rstrip()) :]
        return None

    @property
    def rest(self) -> str:
        """The text that was not compared."""
        return self._held

    @property
    def repeated(self) -> tuple[int, int]:
        """Where the repeated text begins and ends in the delivered text."""
        return self._places[0] - self._length, self._places[0]
