"""Endings of the delivered text, and which of them prove a seam.

A continuation that repeats an ending of the delivered text tells by it where it goes on, if that
ending can be nothing else: it stands nowhere else in the text, it is long, and it does not repeat
itself. Text that does ("ha ha ha") looks the same one repetition further on.
"""

from __future__ import annotations

from unbroken._core.seam.fold import fold

__all__ = ["MIN_PROOF", "Endings", "is_periodic"]

MIN_PROOF = 32
"""Characters that an ending has at least if it proves a seam without having been asked for."""

# The whole of a short text, said again, proves as much as a long ending.
_MIN_WHOLE = 8

_MAX_PLACES = 64

# So many characters are looked for at once, where a text may repeat itself.
_HEAD = 8


class Endings:
    """The delivered text, folded and without white space around it.

    Positions are positions in this text.

    Args:
        delivered: The text as it was delivered.
    """

    def __init__(self, delivered: str) -> None:
        self.text = fold(delivered.strip())

    def proves(self, ending: str) -> bool:
        """Whether a text is an ending that proves where a continuation goes on."""
        length = _MIN_WHOLE if len(ending) == len(self.text) else MIN_PROOF
        return (
            len(ending) >= length
            and self.text.endswith(ending)
            and self.is_unique(ending)
            and not is_periodic(ending)
        )

    def is_unique(self, ending: str) -> bool:
        """Whether an ending stands nowhere else in the text."""
        return self.text.find(ending) == len(self.text) - len(ending)

    def period(self, ending: str) -> int:
        """The distance at which an ending repeats, in itself or to where it stood before."""
        begins = len(self.text) - len(ending)
        before = self.text.rfind(ending, 0, len(self.text) - 1)
        return begins - before if before >= 0 else _period(ending)

    def places(self, said: str) -> list[int]:
        """Positions behind these words in the text, the last ones first, where more follows."""
        found: list[int] = []
        at = self.text.rfind(said, 0, len(self.text) - 1)
        while at >= 0 and len(found) < _MAX_PLACES:
            found.append(at + len(said))
            at = self.text.rfind(said, 0, at + len(said) - 1)
        return found


def is_periodic(text: str) -> bool:
    """Whether a text is one string at least twice over, the last time perhaps cut short."""
    # The space after the last repetition may be missing.
    versions = (text, text + " ") if text else ()
    return any(_period(version) <= len(version) // 2 for version in versions)


def _period(text: str) -> int:
    """The smallest distance at which a text repeats itself; its length if it does not."""
    head = text[:_HEAD]
    period = text.find(head, 1)
    while period >= 0:
        if text.startswith(text[period:]):
            return period
        period = text.find(head, period + 1)
    rest = range(max(len(text) - _HEAD + 1, 1), len(text))
    return next((period for period in rest if text.startswith(text[period:])), len(text))
