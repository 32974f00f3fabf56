"""Where a reply joins the delivered text, and what proves it: the hypotheses of `FreeSeam` as data.

| hypothesis | the reply begins with                                    | proof                    |
|------------|----------------------------------------------------------|--------------------------|
| asked      | the words that were asked for, perhaps in quotes         | these words              |
| restarted  | text from further back that runs to the delivered end    | `Endings.proves()`       |
| announced  | a preamble that announces it, then one of the above      | `Endings.proves()`       |
| parted     | words that the reply before began with, too, then one of | `Endings.proves()`, and  |
|            | the above, where the reply before went on differently    | that the replies part    |
| all again  | anything, then all of the delivered text                 | that it is all, and long |

Anything else proves nothing: a reply that goes straight on, or a remark. Of two replies, the second
is compared with the first ("parted"): a preamble of any wording stays the same where the quoted
words change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from unbroken._core.seam.endings import MIN_PROOF, Endings
from unbroken._core.seam.fold import fold
from unbroken._core.seam.kinds import SeamKind
from unbroken._core.seam.opening import after_closing, after_marks, after_preamble

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Evidence", "Expected", "Found"]

# Behind words of any kind, a whole text of so many characters is the answer begun again.
_MIN_ALL = 100

# Two replies part within so many characters of where the known words begin, as the words that
# follow in the two may begin alike.
_PARTING = 16


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a reply.

    Attributes:
        delivered: The text that was delivered, up to the seam.
        asked: The end of it that a reply begins with if it does as asked.
        words: The beginning of that, which the prompt quoted.
        mark: What the prompt asks for where nothing is left to say, if it does.
        join_unproven: Whether a reply without proof is joined as it is; else it is a `SeamError`.
        empty_is_whole: Whether an empty reply means that nothing was left to say.
        before: The reply before this one, folded, if it proved nothing.
    """

    delivered: str
    asked: str
    words: str = ""
    mark: str | None = None
    join_unproven: bool = False
    empty_is_whole: bool = False
    before: str = ""


class _Hypothesis(Enum):
    """What stands before the known words of a reply."""

    AT_ONCE = "nothing, or marks that open a quotation"
    ANNOUNCED = "a preamble that announces a continuation"
    PARTED = "words of any kind, which the reply before began with, too"
    ALL_AGAIN = "words of any kind, before all of the delivered text"


class Found(NamedTuple):
    """Known words in a folded reply."""

    kind: SeamKind
    begins: int
    ends: int


class Evidence:
    """What is known of the delivered text, to be compared with a reply.

    Args:
        expected: What is expected of the reply.
    """

    def __init__(self, expected: Expected) -> None:
        self.known = Endings(expected.delivered)
        self.asked = fold(expected.asked.strip())
        self._words = fold(expected.words.strip())
        self._before = expected.before

    def find(self, reply: str, said: str, searched: int) -> Found | None:
        """Find the first known words that prove where the reply goes on.

        Args:
            reply: The reply.
            said: The reply, folded.
            searched: Characters of `said` in which no such words end.
        """
        last = self.known.text[-1:]
        ends = [end for end in range(searched + 1, len(said) + 1) if said[end - 1] == last]
        beginnings = list(self._beginnings(reply, said)) if ends else []
        for end in ends:
            for hypothesis, begin in beginnings:
                if begin < end and self._proves(hypothesis, said[begin:end]):
                    return Found(self._kind(hypothesis, said[begin:end]), begin, end)
        return None

    def repeated(self, reply: str, said: str) -> tuple[Found, list[int]] | None:
        """Find delivered text that a folded reply repeats to its end so far.

        Returns:
            What was found, and the positions behind it in the delivered text.
        """
        for hypothesis, begin in self._beginnings(reply, said):
            words = said[begin:]
            places = self.known.places(words) if len(words) >= MIN_PROOF else []
            if places:
                return Found(self._kind(hypothesis, words), begin, len(said)), places
        return None

    def repeats_end(self, said: str) -> bool:
        """Whether the end of the delivered text stands anywhere in a folded reply."""
        return bool(self.known.text) and self.known.text[-MIN_PROOF:] in said

    def _beginnings(self, reply: str, said: str) -> Iterator[tuple[_Hypothesis, int]]:
        """Where known words may begin in a reply."""
        for begin in after_marks(said):
            yield _Hypothesis.AT_ONCE, begin
            if self._words and said.startswith(self._words, begin):
                # The quoted words may stand in marks of their own, before what was left out.
                yield _Hypothesis.AT_ONCE, after_closing(said, begin + len(self._words))
        preamble = after_preamble(reply)
        if preamble:
            for begin in after_marks(said, preamble):
                yield _Hypothesis.ANNOUNCED, begin
        parting = _common_length(said, self._before)
        if parting < min(len(said), len(self._before)):
            for begin in range(max(parting - _PARTING, 1), parting + 1):
                yield _Hypothesis.PARTED, begin
        begins = self.known.text[:_MIN_ALL]
        if len(begins) == _MIN_ALL and (begin := said.find(begins)) > 0:
            yield _Hypothesis.ALL_AGAIN, begin

    def _proves(self, hypothesis: _Hypothesis, words: str) -> bool:
        if words != self.asked:
            return self.known.proves(words)
        # Away from the beginning, words that stand several times in the text prove nothing.
        return hypothesis is _Hypothesis.AT_ONCE or self.known.is_unique(words)

    def _kind(self, hypothesis: _Hypothesis, words: str) -> SeamKind:
        if hypothesis is not _Hypothesis.AT_ONCE:
            return SeamKind.ANNOUNCED
        return SeamKind.ASKED if words == self.asked else SeamKind.RESTARTED


def _common_length(text: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(text), len(other)))
