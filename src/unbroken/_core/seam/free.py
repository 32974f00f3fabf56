"""The seam of a new generation: a user turn asked the model to continue.

The reply may begin with the words that were asked for, further back, behind a preamble, or right
after them. Which of these it is, is decided on proof, in the order of this table, and depends on
the text alone, never on how it comes in chunks:

| hypothesis | the reply begins with                                    | proof                    |
|------------|----------------------------------------------------------|--------------------------|
| asked      | the words that were asked for, perhaps in quotes         | these words              |
| restarted  | text from further back that runs to the delivered end    | `Endings.proves`         |
| announced  | a preamble that announces it, then one of the above      | `Endings.proves`         |
| all again  | anything, then all of the delivered text                 | that it is all, and long |
| parted     | words that the reply before began with, too, then one of | `Endings.proves`, and    |
|            | the above, where the reply before went on differently    | that the replies part    |
| whole      | the mark alone, or nothing at all for the second time    | the mark, or two replies |
| unproven   | anything else: straight on after the words, or a remark  | none                     |

What is proved is cut. What is not proved is asked for once more, with other words quoted, and
joined as it is if that proves nothing, either. Of two replies, the second is compared with the
first ("parted"): a preamble of any wording stays the same where the quoted words change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from unbroken._core.seam.endings import MIN_PROOF, Endings
from unbroken._core.seam.fold import fold, unfold
from unbroken._core.seam.kinds import SeamError, SeamKind, SeamProblem
from unbroken._core.seam.mark import Mark
from unbroken._core.seam.off_topic import is_off_topic
from unbroken._core.seam.opening import after_closing, after_marks, after_preamble, closing
from unbroken._core.seam.space import join_space

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROOM", "Expected", "FreeSeam"]

ROOM = 260
"""Characters that are held at most for what stands before the words that were asked for."""

# Behind words of any kind, a whole text of so many characters is the answer begun again.
_MIN_ALL = 100

# Two replies part within so many characters of where the known words begin: the words that follow
# may begin alike.
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


class _Found(NamedTuple):
    """A proved hypothesis, with the positions of the known words in the folded reply."""

    kind: SeamKind
    begins: int
    ends: int


class _State(Enum):
    """How far a seam is decided."""

    DECIDING = "the beginning of the reply is held"
    FOLLOWING = "the reply repeats delivered text, and is compared as it comes"
    CLOSING = "the seam is found, and the marks that close the quotation are not"
    SPACING = "the seam is found, and the white space at it is not"
    JOINED = "all further text is delivered as it is"


class FreeSeam:
    """Text of a new generation that was asked to continue.

    Args:
        expected: What is expected of the reply.
    """

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._known = Endings(expected.delivered)
        self._asked = fold(expected.asked.strip())
        self._words = fold(expected.words.strip())
        self._asked_is_unique = self._known.is_unique(self._asked)
        self._trail = expected.delivered[len(expected.delivered.rstrip()) :]
        self._window = len(self._asked) + ROOM
        self._mark = None if expected.mark is None else Mark(expected.mark)
        self._state = _State.DECIDING
        self._lead = ""
        self._held = ""
        self._tried = 0  # characters of the folded reply up to which nothing is proved
        self._opening = ""
        self._closing = ""
        self._places: list[int] = []
        self._followed = 0
        self._has_passed_text = False
        self.kind: SeamKind | None = None
        """What proved the seam, once it is decided; None if there is no text to join."""
        self.reply = ""
        """The beginning of the reply, folded, once it turned out to prove nothing."""

    @property
    def trigger(self) -> bytes:
        """The byte that the mark begins with."""
        return b"" if self._mark is None else self._mark.trigger

    @property
    def joined(self) -> bool:
        """Whether the joint is decided: only the mark is looked for."""
        return self._state is _State.JOINED

    @property
    def settled(self) -> bool:
        """Whether all further text is delivered as it is."""
        return self.joined and self._mark is None

    @property
    def holding(self) -> bool:
        """Whether text is held."""
        return bool(self._held or (self._mark is not None and self._mark.held))

    def feed(self, text: str) -> str:
        """Take in text, and return what of it is delivered now.

        Raises:
            SeamError: If the reply proves nothing, and is not to be joined as it is.
        """
        out = self._read(text if self._mark is None else self._mark.strip(text))
        self._has_passed_text = self._has_passed_text or bool(out)
        return out

    def end_block(self) -> str:
        """A text block is over: what is undecided stays held, as the next block may go on."""
        return self._read("" if self._mark is None else self._mark.end_block())

    def end(self, stop_reason: str | None) -> str:
        """The text is over: return what is still held.

        Args:
            stop_reason: Why the message stopped; None if another block follows the text.

        Raises:
            SeamError: If the reply is no continuation, or proves nothing.
        """
        out = self._read("" if self._mark is None else self._mark.end())
        if self._state is _State.DECIDING:
            out += self._decide_at_end(stop_reason)
        elif self._state is _State.FOLLOWING:
            out += self._lose_track("")
        if self._state is _State.CLOSING:
            out += self._begin_spacing(self._without_closing(self._held))
        if self._state is _State.SPACING:
            out += self._pass_from_now_on(join_space(self._trail, self._held))
        if not (out or self._has_passed_text):
            self._check_empty(stop_reason)
        return out

    def _read(self, text: str) -> str:
        return _READ[self._state](self, text)

    def _pass(self, text: str) -> str:
        return text

    def _pass_from_now_on(self, text: str) -> str:
        # The delivered text may be long: it is not needed any more.
        self._known = _NOTHING
        self._expected = replace(self._expected, delivered="", before="")
        self._held = ""
        self._state = _State.JOINED
        return text

    # Deciding

    def _decide(self, text: str) -> str:
        if not self._held:
            self._lead = (self._lead + text[: len(text) - len(text.lstrip())])[-self._window :]
            text = text.lstrip()
        self._held += text
        said = fold(self._held)
        found = self._find(said)
        if found is not None:
            return self._cut(found, said)
        if len(said) > self._window or len(self._held) > 4 * self._window:
            return self._decide_without_proof(said[: self._window])
        return ""

    def _find(self, said: str) -> _Found | None:
        """The first known words that end in the reply, and prove where it goes on."""
        if not self._known.text:
            return None
        hypotheses = list(self._hypotheses(said))
        last = self._known.text[-1]
        ends = range(self._tried + 1, min(len(said), self._window) + 1)
        self._tried = max(self._tried, len(ends) and ends[-1])
        for end in ends:
            if said[end - 1] == last:
                for kind, begin in hypotheses:
                    if begin < end and self._is_proved(kind, said[begin:end]):
                        return _Found(self._named(kind, said[begin:end]), begin, end)
        return None

    def _hypotheses(self, said: str) -> Iterator[tuple[SeamKind, int]]:
        """Where known words may begin in the reply, and what they make of the seam."""
        for begin in after_marks(said):
            yield SeamKind.ASKED, begin
            if self._words and said.startswith(self._words, begin):
                # The words may be quoted by themselves, where more was left out.
                yield SeamKind.ASKED, after_closing(said, begin + len(self._words))
        preamble = after_preamble(self._held)
        if preamble:
            for begin in after_marks(said, preamble):
                yield SeamKind.ANNOUNCED, begin
        if self._expected.before:
            parting = _common_length(said, self._expected.before)
            if parting < min(len(said), len(self._expected.before)):
                for begin in range(max(parting - _PARTING, 1), parting + 1):
                    yield SeamKind.RESTARTED, begin
        if len(self._known.text) >= _MIN_ALL:
            begin = said.find(self._known.text[:_MIN_ALL])
            if begin > 0:
                yield SeamKind.RESTARTED, begin

    def _is_proved(self, kind: SeamKind, words: str) -> bool:
        if words == self._asked:
            # Away from the beginning, what repeats in the text proves nothing.
            return kind is SeamKind.ASKED or (kind is SeamKind.ANNOUNCED and self._asked_is_unique)
        return self._known.proves(words)

    def _named(self, kind: SeamKind, words: str) -> SeamKind:
        if kind is SeamKind.ASKED and words != self._asked:
            return SeamKind.RESTARTED
        return SeamKind.ANNOUNCED if kind is SeamKind.RESTARTED else kind

    def _decide_without_proof(self, said: str) -> str:
        """As much is held as may be: follow delivered text that is repeated, or give up."""
        said = said.rstrip()
        for kind, begin in self._hypotheses(said):
            words = said[begin:]
            self._places = self._known.places(words) if words else []
            if self._places:
                self.kind = self._named(kind, words)
                at = unfold(self._held, len(said))
                self._opening = self._held[: unfold(self._held, begin)]
                self._closing = closing(said[:begin], self._expected.delivered)
                self._followed = len(words)
                rest, self._held = self._held[at:], ""
                self._state = _State.FOLLOWING
                return self._follow(rest)
        return self._join_unproven(self._lead + self._held, said)

    def _decide_at_end(self, stop_reason: str | None) -> str:
        said = fold(self._held.rstrip())
        if not said:
            return self._begin_spacing("")
        if is_off_topic(said) and not self._repeats_end(said):
            if stop_reason is None:
                return self._begin_spacing("")  # an apology before a tool call
            if stop_reason == "end_turn":
                self.reply = said
                raise SeamError(SeamProblem.OFF_TOPIC)
        if stop_reason == "refusal":
            return self._begin_spacing(self._lead + self._held)
        return self._join_unproven(self._lead + self._held, said)

    def _repeats_end(self, said: str) -> bool:
        """Whether the end of the delivered text stands in the reply, wherever that is."""
        return bool(self._known.text) and self._known.text[-MIN_PROOF:] in said

    def _check_empty(self, stop_reason: str | None) -> None:
        """The reply brought nothing new: that ends the answer only if something else says so."""
        marked = self._mark is not None and self._mark.seen
        if stop_reason == "end_turn" and not marked and not self._expected.empty_is_whole:
            raise SeamError(SeamProblem.EMPTY)
        if stop_reason is not None:
            self.kind = SeamKind.WHOLE

    def _join_unproven(self, text: str, said: str) -> str:
        if not self._known.text:  # there is nothing to join the text to
            return self._begin_spacing(text)
        if not self._expected.join_unproven:
            self.reply = said[: self._window]
            raise SeamError(SeamProblem.UNPROVEN)
        self.kind = SeamKind.UNPROVEN
        return self._begin_spacing(text)

    # Cutting

    def _cut(self, found: _Found, said: str) -> str:
        self.kind = found.kind
        self._closing = closing(said[: found.begins], self._expected.delivered)
        self._held = self._held[unfold(self._held, found.ends) :]
        self._state = _State.CLOSING
        return self._close("")

    def _close(self, text: str) -> str:
        self._held += text
        if self._closing and len(self._held) <= len(self._closing):
            return ""
        return self._begin_spacing(self._without_closing(self._held))

    def _without_closing(self, rest: str) -> str:
        """What follows the known words, without the marks that close their quotation."""
        size = len(self._closing)
        if not size or fold(rest[:size]) != self._closing:
            return rest
        opens = rest[size : size + 1].isalnum() and not self._known.text[-1].isalnum()
        return rest if opens else rest[size:]

    def _begin_spacing(self, rest: str) -> str:
        self._held = ""
        self._state = _State.SPACING
        return self._space(rest)

    def _space(self, text: str) -> str:
        self._held += text
        if self._trail and not self._held.strip():
            return ""
        return self._pass_from_now_on(join_space(self._trail, self._held))

    # A reply that repeats more of the delivered text is compared as it comes, not held

    def _follow(self, text: str) -> str:
        self._held += text
        said = fold(self._held.rstrip())
        if not said:
            return ""
        known = self._known.text
        places = [at for at in self._places if known.startswith(said[: len(known) - at], at)]
        beyond = min((len(known) - at for at in places if len(known) - at <= len(said)), default=0)
        if beyond:
            return self._cut_followed(beyond)
        if not places:
            return self._lose_track(self._held)
        self._places = [at + len(said) for at in places]
        self._followed += len(said)
        self._held = self._held[len(self._held.rstrip()) :]
        return ""

    def _cut_followed(self, end: int) -> str:
        words = self._known.text[len(self._known.text) - self._followed - end :]
        if not self._known.proves(words):
            return self._lose_track(self._held)
        self._held = self._held[unfold(self._held, end) :]
        self._state = _State.CLOSING
        return self._close("")

    def _lose_track(self, rest: str) -> str:
        """The reply did not get to the delivered end: what was compared is text of its own."""
        at = self._places[0]
        begin = at - self._followed
        if self._expected.join_unproven and begin == 0:
            raise SeamError(SeamProblem.NO_PROGRESS)
        delivered = self._expected.delivered.lstrip()
        again = self._opening + delivered[unfold(delivered, begin) : unfold(delivered, at)]
        return self._join_unproven(self._lead + again + rest, fold(again[: 4 * self._window]))


def _common_length(text: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(text), len(other)))


_NOTHING = Endings("")

_READ = {
    _State.DECIDING: FreeSeam._decide,  # noqa: SLF001
    _State.FOLLOWING: FreeSeam._follow,  # noqa: SLF001
    _State.CLOSING: FreeSeam._close,  # noqa: SLF001
    _State.SPACING: FreeSeam._space,  # noqa: SLF001
    _State.JOINED: FreeSeam._pass,  # noqa: SLF001
}
