"""What the model says when it is asked to go on: exactly the rest, or what real models do instead.

A voice is any function from a `Cue` to a text, so a test can bring its own. The voices
here speak in new turns only: after a prefill the model goes on exactly.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "Cue",
    "Voice",
    "after_anchor",
    "behind",
    "evades",
    "exact",
    "exact_stripped",
    "follows_anchor",
    "preamble",
    "quotes_changed",
    "repeats_chars",
    "repeats_words",
    "restarts_line",
    "restarts_lines",
    "restarts_paragraph",
    "restarts_sentence",
    "restarts_word",
    "says_it_all_again",
    "says_mark",
    "seeded",
]


@dataclass(frozen=True)
class Cue:
    """What a model has before it when it goes on.

    Attributes:
        answer: The text it meant to say, up to the end of the block that was cut.
        said: How many characters of `answer` were sent back to it.
        prompt: The text of the user turn that asks it to go on, `None` after a prefill.
        complete: Whether nothing at all is left to say.
    """

    answer: str
    said: int
    prompt: str | None = None
    complete: bool = False

    @property
    def partial(self) -> str:
        """What was sent back."""
        return self.answer[: self.said]

    @property
    def remaining(self) -> str:
        """What is left to say, with the white space it begins with."""
        return self.answer[self.said :]


Voice = Callable[[Cue], str]


def _in_new_turns(speak: Voice) -> Voice:
    def voice(asked: Cue) -> str:
        return asked.remaining if asked.prompt is None else speak(asked)

    voice.__name__ = voice.__qualname__ = speak.__name__
    voice.__doc__ = speak.__doc__
    return voice


def exact(asked: Cue) -> str:
    """Goes on right after what was sent back."""
    return asked.remaining


@_in_new_turns
def exact_stripped(asked: Cue) -> str:
    """Goes on, without the white space between."""
    return asked.remaining.lstrip()


def repeats_chars(count: int) -> Voice:
    """Repeats this many characters first."""

    @_in_new_turns
    def voice(asked: Cue) -> str:
        return asked.answer[max(0, asked.said - count) :]

    return voice


def repeats_words(count: int) -> Voice:
    """Repeats this many words first."""

    @_in_new_turns
    def voice(asked: Cue) -> str:
        return asked.answer[_words_back(asked, count) :]

    return voice


def _words_back(asked: Cue, count: int) -> int:
    starts = [match.start() for match in re.finditer(r"\S+", asked.partial)]
    return starts[-count:][0] if starts and count else asked.said


def _restarts_after(boundary: str, doc: str, count: int = 1) -> Voice:
    pattern = re.compile(boundary)

    @_in_new_turns
    def voice(asked: Cue) -> str:
        ends = [match.end() for match in pattern.finditer(asked.partial.rstrip())]
        return asked.answer[ends[-count] if len(ends) >= count else 0 :]

    voice.__doc__ = doc
    return voice


def restarts_lines(count: int) -> Voice:
    """Begins this many of the last lines again."""
    return _restarts_after(r"\n", f"Begins the last {count} lines again.", count)


restarts_word = _restarts_after(r"\s+", "Begins the last word again.")
restarts_line = restarts_lines(1)
restarts_sentence = _restarts_after(r"[.!?]\s+", "Begins the last sentence again.")
restarts_paragraph = _restarts_after(r"\n\s*\n", "Begins the last paragraph again.")


@_in_new_turns
def says_it_all_again(asked: Cue) -> str:
    """Says the whole answer from its beginning."""
    return asked.answer


def preamble(text: str = "Continuing from where I left off:", then: Voice = exact) -> Voice:
    """Says this first, in a paragraph of its own."""

    @_in_new_turns
    def voice(asked: Cue) -> str:
        return f"{text}\n\n{then(asked).lstrip()}"

    return voice


def behind(prefix: str, then: Voice, closing: str = "") -> Voice:
    """Says this first, and goes on in the way of another voice.

    Args:
        prefix: What stands before the other voice's words, without anything between.
        then: How it goes on.
        closing: Stands after the words that the prompt quotes, if the other voice says them: the
            mark that closes a quotation.
    """

    @_in_new_turns
    def voice(asked: Cue) -> str:
        said = then(asked)
        _, end = _anchor(asked) or (0, 0)
        begin = len(asked.answer) - len(said)
        if closing and asked.answer.endswith(said) and begin < end:
            said = said[: end - begin] + closing + said[end - begin :]
        return prefix + said

    return voice


@_in_new_turns
def follows_anchor(asked: Cue) -> str:
    """Begins with the words that the prompt quotes, and goes on from there."""
    found = _anchor(asked)
    return asked.answer[found[0] if found else asked.said :]


@_in_new_turns
def after_anchor(asked: Cue) -> str:
    """Goes on after the words that the prompt quotes, without repeating them."""
    found = _anchor(asked)
    return asked.answer[found[1] if found else asked.said :]


_OTHER_QUOTES = str.maketrans(
    {"'": "\u2019", '"': "\u201d", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}
)


@_in_new_turns
def quotes_changed(asked: Cue) -> str:
    """Repeats the last words with the other kind of quotes and single spaces, and goes on."""
    start, end = _anchor(asked) or (_words_back(asked, 6), asked.said)
    again = " ".join(asked.answer[start:end].split()).translate(_OTHER_QUOTES)
    space = re.search(r"\s*$", asked.answer[start:end])
    return again + (space.group() if space else "") + asked.answer[end:]


def evades(text: str = "No response requested.") -> Voice:
    """Says this and no more."""

    @_in_new_turns
    def voice(_asked: Cue) -> str:
        return text

    return voice


@_in_new_turns
def says_mark(asked: Cue) -> str:
    """Says only the `[[...]]` that the prompt names if nothing is left to say, else goes on."""
    mark = re.search(r"\[\[[^\[\]]+\]\]", asked.prompt or "")
    return mark.group() if mark and asked.complete else follows_anchor(asked)


def seeded(seed: int | str) -> Voice:
    """Speaks with one of the voices that go on, chosen for each request; the same for a seed."""

    @_in_new_turns
    def voice(asked: Cue) -> str:
        choice = random.Random(f"{seed}:{asked.said}:{asked.prompt}")  # noqa: S311
        return choice.choice(_GOING_ON)(asked)

    return voice


_GOING_ON: tuple[Voice, ...] = (
    exact,
    exact_stripped,
    repeats_words(1),
    repeats_words(5),
    repeats_chars(7),
    repeats_chars(40),
    restarts_word,
    restarts_line,
    restarts_sentence,
    restarts_paragraph,
    says_it_all_again,
    preamble(),
    preamble(then=follows_anchor),
    follows_anchor,
    after_anchor,
    quotes_changed,
)

_AROUND_THE_SEAM = 300
_LONGEST_ANCHOR = 300
_SHORTEST_ANCHOR = 4


def _anchor(asked: Cue) -> tuple[int, int] | None:
    """Where in the answer the words stand that the prompt quotes, near the end of the partial."""
    low = max(0, asked.said - _AROUND_THE_SEAM)
    window, places = _plain(asked.answer[low : asked.said + _AROUND_THE_SEAM])
    prompt, _ = _plain(asked.prompt or "")
    ends = [end for end in range(1, len(window) + 1) if window[end - 1] != " "]
    found = [(_quoted_length(window[:end], prompt), end) for end in ends]
    # Of words that stand there several times, those right behind the partial are meant, as the
    # request left them out, else those that end nearest to it.
    gap = len(asked.remaining) - len(asked.remaining.lstrip())
    length, end = max(
        found,
        key=lambda f: (
            f[0],
            f[0] > 0 and low + places[f[1] - f[0]] == asked.said + gap,
            -abs(low + places[f[1] - 1] - asked.said),
        ),
        default=(0, 0),
    )
    if length < _SHORTEST_ANCHOR:
        return None
    return low + places[end - length], low + places[end - 1] + 1


def _quoted_length(text: str, prompt: str) -> int:
    """How many of the last characters of the text stand in the prompt, by halving."""
    low, high = 0, min(len(text), _LONGEST_ANCHOR)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text[-middle:] in prompt else (low, middle - 1)
    return low


_STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


def _plain(text: str) -> tuple[str, list[int]]:
    """The text with straight quotes and single spaces, and where each character of it was."""
    chars: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text.translate(_STRAIGHT)):
        space = char.isspace()
        if space and chars and chars[-1] == " ":
            continue
        chars.append(" " if space else char)
        places.append(place)
    return "".join(chars), places
