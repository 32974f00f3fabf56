"""How much of the delivered text a request sends back, and what it quotes or leaves out.

What is left out is generated again, so the continuation begins with known words, which prove where
it joins. They are chosen so that they stand nowhere else in the text: its parts may look alike, as
in lists, tables, code and logs.
"""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING, NamedTuple

from unbroken._core.seam.endings import MIN_PROOF, Endings, is_periodic
from unbroken._core.seam.fold import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "MIN_TEXT",
    "MIN_TEXT_AGAIN",
    "Cut",
    "Quote",
    "cut_for_prefill",
    "is_shorter",
    "quote_again",
    "quote_ending",
    "strip_lone_surrogates",
    "strip_trailing",
]

# A word this long is no word.
_MAX_WORD = 40

_MIN_QUOTE = 40
"""Characters that are quoted at least: as many as others found to give clean seams."""
_MAX_QUOTE = 300
_MIN_QUOTE_AGAIN = 60
_MAX_BEYOND = 160
"""Characters from the end of a second quotation to the end of the text, at most."""
MIN_TEXT = 24
"""A text shorter than this is asked for again as a whole: no quotation of it proves much."""
MIN_TEXT_AGAIN = 140
"""The same, after a reply that proved nothing: a shorter text cannot be quoted otherwise."""

# Words are longer than this on average only in a script, or a code, that has no spaces.
_MAX_MEAN_WORD = 20
_BOUNDARY = re.compile(r"\n\s*(?=\S)|[.!?\u3002\uff01\uff1f]\s*(?=\S)")
_SPACE = re.compile(r"\s+")
_LONE_SURROGATES = "".join(map(chr, range(0xD800, 0xE000)))


class Cut(NamedTuple):
    """The delivered text in two parts."""

    sent: str
    """What the request sends back: it does not end in white space, and is not blank."""
    rest: str
    """What an exact continuation begins with."""


class Quote(NamedTuple):
    """What a user turn sends back and quotes."""

    sent: str
    """What the request sends back as the assistant's turn; see `Cut.sent`."""
    words: str
    """What the prompt quotes, and asks the model to begin with."""
    asked: str
    """What a reply then begins with: the quoted words, and what was delivered after them."""

    @property
    def is_ending(self) -> bool:
        """Whether the quoted words end the delivered text, so that any reply can follow it."""
        return self.words == self.asked


# A prefill


def cut_for_prefill(text: str, *, trim_word: bool) -> Cut:
    """Cut at the text's white space, or where its last word begins if it may end inside that."""
    end = _end(text)
    at = _last_space(text, end) if trim_word and end == len(text) and text[-1].isalnum() else end
    if end - at > _MAX_WORD or not text[:at].strip():
        at = end
    return Cut(text[:at].rstrip(), text[len(text[:at].rstrip()) :])


def _last_space(text: str, end: int) -> int:
    """Where the last white space before a position begins."""
    word = end - len(text[max(end - 4 * _MAX_WORD, 0) : end].rsplit(maxsplit=1)[-1])
    return len(text[:word].rstrip())


# A user turn


def is_shorter(text: str, least: int) -> bool:
    """Whether a text has fewer characters than this."""
    return _length(text, 0, len(text)) < least


def quote_ending(text: str, least: int = _MIN_QUOTE) -> Quote:
    """Quote the end of the text, and leave out what is quoted.

    The quoted words stand nowhere else in the text. Where nothing of at most 300 characters does,
    the text repeats itself: then no more than one repetition is quoted.

    Args:
        text: The delivered text.
        least: Characters that are quoted at least, if the text has more of them.
    """
    end = _end(text)
    known = Endings(text[:end])
    starts = _after_something(text, _starts(text, end))
    if not starts or _length(text, starts[-1], end) < MIN_TEXT:
        starts = _after_something(text, _all_starts(text, end))
    unique = _unique_endings(known, text, end, starts, least)
    at = unique[0] if unique else _one_repetition(known, text, end, starts)
    words = text[at:end].strip()
    return Quote(strip_trailing(text[:at]) or text[:end], words, words)


def quote_again(text: str) -> Quote:
    """Quote the text otherwise than `quote_ending()` does: shortly before its end, if that can be.

    What follows the quoted words is left out, too. A reply goes through that, whether it repeats
    the words, begins further back, or goes straight on after them; if it does not, it cannot be
    joined. Where a line or a sentence begins both within the quoted words and after them, a reply
    that begins one again begins elsewhere than the first reply did.
    """
    end = _end(text)
    known = Endings(text[:end])
    beyond = _unique_endings(known, text, end, _starts(text, end), MIN_PROOF)
    last = _beyond_boundary(text, beyond, end, _MAX_BEYOND)
    if last is not None and _length(text, last, end) >= MIN_PROOF:
        starts = _after_something(text, _starts(text, last))
        least = max(_MIN_QUOTE_AGAIN, end - last + 1)
        whole = fold(text[:end].strip())
        quotes = [
            at
            for at in starts
            if _length(text, at, last) >= least and whole.count(fold(text[at:last].strip())) == 1
        ]
        at = _beyond_boundary(text, quotes, last, _MAX_QUOTE)
        if at is not None:
            sent = strip_trailing(text[:at]) or text[:end]
            return Quote(sent, text[at:last].strip(), text[at:end].strip())
    return quote_ending(text, 2 * _MIN_QUOTE)


def _beyond_boundary(text: str, starts: Sequence[int], end: int, most: int) -> int | None:
    """The nearest of these places that has a line or a sentence behind it, or just the nearest."""
    near = [at for at in starts if _length(text, at, end) <= most]
    crossing = (at for at in near if _BOUNDARY.search(text, at, end))
    return next(crossing, near[0] if near else None)


def _unique_endings(
    known: Endings, text: str, end: int, starts: Sequence[int], least: int
) -> list[int]:
    """Where the endings begin that stand nowhere else and do not repeat themselves."""
    endings = [fold(text[at:end].strip()) for at in starts]
    long = bisect.bisect_left(endings, least, key=len)
    # Of a text that has only shorter ones, the longest is as good as any.
    long = min(long, max(len(endings) - 1, 0))
    unique = bisect.bisect_left(endings, True, lo=long, key=known.is_unique)
    return [starts[n] for n in range(unique, len(endings)) if not is_periodic(endings[n])]


def _one_repetition(known: Endings, text: str, end: int, starts: Sequence[int]) -> int:
    """Where the last repetition begins, in a text that repeats itself."""
    begin = starts[-1] if starts else _begin(text)
    long = (at for at in starts if _length(text, at, end) >= _MIN_QUOTE)
    most = min(known.period(fold(text[next(long, begin) : end].strip())), _MAX_QUOTE)
    fitting = [at for at in starts if _length(text, at, end) <= most]
    if not fitting:
        return max(end - most, begin)
    return next((at for at in fitting if _length(text, at, end) >= _MIN_QUOTE), fitting[-1])


def _starts(text: str, end: int) -> list[int]:
    """Where what is quoted may begin, the nearest to its end first: at words, if there are any."""
    words = _word_starts(text, end)
    seen = min(4 * _MIN_QUOTE, end - _begin(text))
    near = [at for at in words if end - at <= seen]
    return words if len(near) * _MAX_MEAN_WORD >= seen else _all_starts(text, end)


def _word_starts(text: str, end: int) -> list[int]:
    begin = max(end - _MAX_QUOTE, _begin(text))
    words = [match.end() for match in _SPACE.finditer(text, begin, end)]
    return ([begin, *words] if begin == _begin(text) else words)[::-1]


def _all_starts(text: str, end: int) -> list[int]:
    return list(range(end - 1, max(end - _MAX_QUOTE, _begin(text)) - 1, -1))


def _after_something(text: str, starts: Sequence[int]) -> list[int]:
    """Those of these places that have text before them, to be sent back."""
    begin = _begin(text)
    return [at for at in starts if at > begin]


def _length(text: str, begin: int, end: int) -> int:
    return len(fold(text[begin:end].strip()))


def strip_lone_surrogates(text: str) -> str:
    """The text without half a character (in UTF-16) at its end, which cannot be sent."""
    return text.rstrip(_LONE_SURROGATES)


def strip_trailing(text: str) -> str:
    """What of the text can be the end of a turn: whole characters, and no white space."""
    return strip_lone_surrogates(text.rstrip()).rstrip()


def _begin(text: str) -> int:
    return len(text) - len(text.lstrip())


def _end(text: str) -> int:
    return len(strip_trailing(text))
