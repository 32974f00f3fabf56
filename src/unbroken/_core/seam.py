"""Joining the text of a continuation to the text that the caller has.

Two kinds of seam. Where the model goes on from what it was sent (a prefill), or says the same again
from the beginning (a restart), the text must begin with a known string: `ExactSeam`. Where a user
turn asked it to go on, it is a new generation, and may repeat the last words, restart the word, the
line or all of it, and say something before: `FreeSeam`. Its request leaves out the last words that
the caller has, and quotes them, so that nearly always the text begins with something known.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from unbroken._core.overlap import Known, after_preamble, fold, starts, unfold

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HELD", "ExactSeam", "FreeSeam", "Seam", "SeamError"]

HELD = 400
"""Characters of a continuation that are held at most, before the seam is decided."""

# After what may be a preamble, shorter words than this may be chance.
_SURE = 5
# A continuation that has this much of the answer's beginning says it all again.
_REPLAY = 16

_NO_FURTHER = "the model said again what was delivered, and did not get beyond it"
_FINAL = tuple(".!?:;)]}\"'`*_|>\u2026\u201d\u2019\u3002\uff01\uff1f")

# White space that goes with the mark; more of it would be held without end.
_BEFORE_MARK = r"\s{0,64}"

_EVASION = re.compile(
    r"(?:(?:sure|of course|okay|ok|certainly|yes|no problem|understood|hello|hi)[,!.]* )*"
    r"(?:no response|i'm (?:not sure|sorry|ready|happy|unable)|i am (?:not sure|sorry|ready|happy"
    r"|unable)|i (?:don't|do not|cannot|can't|apologi)|could you|can you|what would you|how can i"
    r"|there(?:'s| is) nothing|it (?:looks|seems) like you|please (?:share|provide|clarify))",
    re.IGNORECASE,
)


_NOTHING = Known("", ())


class SeamError(Exception):
    """A continuation that does not go on from what the caller has."""


class Seam(Protocol):
    """Where a continuation's text joins the text that the caller has."""

    @property
    def settled(self) -> bool:
        """Whether all further text goes to the caller as it is, and there is no `end()` to call."""

    @property
    def joined(self) -> bool:
        """Whether the joint is decided: text passes through, except what may be the mark."""

    @property
    def holding(self) -> bool:
        """Whether text is held at the moment."""

    @property
    def trigger(self) -> bytes:
        """The byte that the mark begins with; empty if there is no mark.

        Once joined: a delta whose JSON text contains this byte, or ends in white space, must go
        through `feed()`, and so must one that begins with white space directly after such a delta.
        All others may bypass the seam while it is not `holding`.
        """

    def feed(self, text: str) -> str:
        """Take in text, and return what of it the caller gets now.

        Raises:
            SeamError: If it does not go on from what the caller has.
        """

    def end_block(self) -> str:
        """A text block is over, and the next may go on in its place: return what is decided."""

    def end(self, stop_reason: str | None) -> str:
        """The text is over: return what is still held.

        Args:
            stop_reason: Why the message ended; None if it did not.

        Raises:
            SeamError: If what came does not go on from what the caller has.
        """


def join_space(have: str, text: str) -> str:
    """What of a text to deliver where its first white space meets white space delivered before."""
    rest = text.lstrip()
    came = text[: len(text) - len(rest)]
    if came.startswith(have):
        return text[len(have) :]
    if "\n" in came:
        # The white space was written otherwise the second time: a line break is worth keeping.
        return rest if "\n" in have else text
    # Behind a line break that was delivered, more than one space is the next line's indentation.
    return text if have.endswith("\n") and came not in ("", " ") else rest


class ExactSeam:
    """Text that must begin with a known string, save for white space around it.

    Args:
        known: What the caller has of it already.
    """

    trigger = b""

    def __init__(self, known: str) -> None:
        self._core = known.strip()
        self._trail = known[len(known.rstrip()) :] if self._core else known
        self._seen = 0
        self._space = ""
        self.settled = not known

    @property
    def joined(self) -> bool:
        """Whether the known string came: nothing is held then."""
        return self.settled

    @property
    def holding(self) -> bool:
        """Whether white space is held."""
        return not self.settled and bool(self._space)

    def feed(self, text: str) -> str:
        """Take in text, and return what of it the caller gets now."""
        if self.settled:
            return text
        text = self._match(text)
        if self._seen < len(self._core):
            return ""
        self._space += text
        if self._trail and not self._space.strip():
            return ""
        self.settled = True
        return join_space(self._trail, self._space)

    def _match(self, text: str) -> str:
        """Compare with what must come; return what is beyond it."""
        if not self._seen and self._core:
            text = text.lstrip()
        known = self._core[self._seen : self._seen + len(text)]
        if not text.startswith(known):
            raise SeamError("the new text does not begin with the text that was delivered")
        self._seen += len(known)
        return text[len(known) :]

    def end_block(self) -> str:
        """A text block is over: the known string may go on in the next."""
        return ""

    def end(self, stop_reason: str | None) -> str:  # noqa: ARG002
        """The text is over: return the white space that is still held."""
        if self.settled:
            return ""
        if self._seen < len(self._core):
            raise SeamError("the new text ends before the end of the text that was delivered")
        self.settled = True
        return join_space(self._trail, self._space)


class _State(Enum):
    """How far a free seam is decided."""

    DECIDING = "the first characters are held"
    FOLLOWING = "the model says again what the caller has, and is compared as it comes"
    SEARCHING = "the model says it in other words, until it comes to the last ones"
    SPACING = "the seam is found, and the white space at it is not"
    DECIDED = "all further text goes to the caller as it is"


class FreeSeam:
    """Text of a new generation that was asked to go on.

    Args:
        delivered: The text that the caller has, up to the seam.
        tail: Its end that the request left out, which an exact continuation begins with.
        anchor: Its end that the prompt quoted.
        mark: What the prompt asks for where nothing is left to say, if it does.
        may_be_whole: Whether the answer may well have been at its end.
    """

    def __init__(
        self,
        delivered: str,
        *,
        tail: str,
        anchor: str,
        mark: str | None,
        may_be_whole: bool = False,
    ) -> None:
        self._mark = _Mark(mark) if mark else None
        self.trigger = mark[:1].encode() if mark else b""
        self._known = Known(delivered, (tail, anchor))
        self._trail = delivered[len(delivered.rstrip()) :]
        self._looks_whole = may_be_whole or delivered.rstrip().endswith(_FINAL)
        self._lead = ""
        self._held = ""
        self._places: list[int] = []
        self._elsewhere: set[int] = set()  # where what the caller has surely does not begin
        self._state = _State.DECIDING

    @property
    def settled(self) -> bool:
        """Whether no mark can come any more."""
        return self.joined and self._mark is None

    @property
    def joined(self) -> bool:
        """Whether the seam is decided."""
        return self._state is _State.DECIDED

    @property
    def holding(self) -> bool:
        """Whether text is held, for the seam or for the mark."""
        return not self.joined or (self._mark is not None and self._mark.holding)

    def feed(self, text: str) -> str:
        """Take in text, and return what of it the caller gets now."""
        return self._read(text if self._mark is None else self._mark.strip(text))

    def end_block(self) -> str:
        """A text block is over: what is held stays so, but for what follows the seam."""
        return self._read("" if self._mark is None else self._mark.end())

    def end(self, stop_reason: str | None) -> str:  # noqa: ARG002
        """The text is over: return what is still held."""
        out = self._read("" if self._mark is None else self._mark.end())
        if self._state is _State.DECIDING:
            out += self._join(self._cut_now())
        if self._state is _State.SPACING:
            out += join_space(self._trail, self._held)
        elif self._state is not _State.DECIDED:
            raise SeamError(_NO_FURTHER)
        self._settle()
        return out

    def _read(self, text: str) -> str:
        return _READ[self._state](self, text)

    # Reading text, by how far the seam is decided

    def _settle(self) -> None:
        """The seam is decided: forget the text before it, which may be long."""
        self._known = _NOTHING
        self._state = _State.DECIDED

    def _pass(self, text: str) -> str:
        return text

    def _decide(self, text: str) -> str:
        if not self._held:
            self._lead = (self._lead + text[: len(text) - len(text.lstrip())])[-HELD:]
            text = text.lstrip()
        self._held += text
        said = fold(self._held)
        for begins, rest in self._beginnings(said):
            if self._known.holds(rest):
                if not self._is_full(said):
                    return ""
                asked = self._known.asked(rest)
                return self._join(begins + asked) if asked else self._begin_to_follow(rest.rstrip())
            overlap = self._overlap(begins, rest)
            if overlap:
                return self._join(begins + overlap)
            self._elsewhere.add(begins)  # more text makes neither of the two come true
        found = self._known.found_in(said)
        if found:
            return self._join(found)
        if not self._is_full(said):
            return ""
        if self._is_other_words(said):
            return self._begin_to_search("")
        return self._join(after_preamble(self._held))

    def _is_full(self, said: str) -> bool:
        """Whether no more is to be held; white space alone may be longer than what it says."""
        return len(said) > HELD or len(self._held) > 4 * HELD

    def _beginnings(self, said: str) -> Iterator[tuple[int, str]]:
        """Where the answer may go on: at once, or after a preamble of any wording."""
        later = (at for at in starts(self._held) if at < len(said))
        yield from ((at, said[at:]) for at in (0, *later) if at not in self._elsewhere)

    def _overlap(self, begins: int, said: str) -> int:
        """How much of the text, from where it begins, the caller has already."""
        goes_straight_on = bool(self._lead) and not self._trail
        certain = begins in (0, after_preamble(self._held))
        found = self._known.overlap(said, words=certain and not goes_straight_on)
        return found if certain or found >= _SURE else 0

    def _is_other_words(self, said: str) -> bool:
        """Whether it is the answer begun again, which did not come to what the caller has."""
        return len(said) >= _REPLAY and said[:_REPLAY] == self._known.text[:_REPLAY]

    def _join(self, cut: int) -> str:
        """Deliver what is beyond the cut, and all that follows."""
        rest = self._held[unfold(self._held, cut) :] if cut else self._lead + self._held
        self._held = ""
        self._state = _State.SPACING
        return self._space(rest)

    def _space(self, text: str) -> str:
        self._held += text
        if self._trail and not self._held.strip():
            return ""
        self._settle()
        return join_space(self._trail, self._held)

    def _cut_now(self) -> int:
        """How much of what is held the caller has, now that no more comes."""
        said = fold(self._held.rstrip())
        overlaps = ((at, self._overlap(at, rest)) for at, rest in self._beginnings(said))
        cut = next((at + overlap for at, overlap in overlaps if overlap), 0)
        cut = cut or self._known.found_in(said)
        if not cut:
            self._refuse(said)
            cut = after_preamble(self._held)
        return cut

    def _refuse(self, said: str) -> None:
        if self._mark is not None and self._mark.seen:
            return
        if not said and not self._looks_whole:
            raise SeamError("the model had nothing to say, in the middle of a sentence")
        if _EVASION.match(said):
            raise SeamError("the model answered the request to go on, and did not go on")
        if self._is_other_words(said) or (len(said) >= _REPLAY and self._known.holds(said)):
            raise SeamError(_NO_FURTHER)

    # A model that says it all again is compared as it comes, not held

    def _begin_to_follow(self, said: str) -> str:
        self._places = self._known.places(said)
        self._held = self._held[len(self._held.rstrip()) :]
        self._state = _State.FOLLOWING
        return ""

    def _follow(self, text: str) -> str:
        self._held += text
        said = fold(self._held.rstrip())
        if not said:
            return ""
        known = self._known.text
        places = [at for at in self._places if known.startswith(said[: len(known) - at], at)]
        beyond = next((len(known) - at for at in places if len(known) - at <= len(said)), None)
        if beyond is not None:
            return self._join(beyond)
        if not places:
            return self._begin_to_search(self._held)
        self._places = [at + len(said) for at in places]
        self._held = self._held[len(self._held.rstrip()) :]
        return ""

    def _begin_to_search(self, text: str) -> str:
        self._held = ""
        self._state = _State.SEARCHING
        return self._search(text)

    def _search(self, text: str) -> str:
        self._held += text
        found = self._known.found_in(fold(self._held))
        if found:
            return self._join(found)
        self._held = self._held[-HELD:]
        return ""


_READ = {
    _State.DECIDING: FreeSeam._decide,  # noqa: SLF001
    _State.FOLLOWING: FreeSeam._follow,  # noqa: SLF001
    _State.SEARCHING: FreeSeam._search,  # noqa: SLF001
    _State.SPACING: FreeSeam._space,  # noqa: SLF001
    _State.DECIDED: FreeSeam._pass,  # noqa: SLF001
}


class _Mark:
    """Takes a mark out of a text that comes in pieces, with the white space before it."""

    def __init__(self, mark: str) -> None:
        self._whole = re.compile(_BEFORE_MARK + re.escape(mark))
        begun = "".join(f"(?:{re.escape(c)}" for c in mark) + ")?" * len(mark)
        self._begun = re.compile(rf"{_BEFORE_MARK}{begun}\Z")
        self._held = ""
        self.seen = False

    @property
    def holding(self) -> bool:
        """Whether what came last may be the beginning of the mark."""
        return bool(self._held)

    def strip(self, text: str) -> str:
        """Take in text, and return what of it is surely not the mark."""
        text, found = self._whole.subn("", self._held + text)
        self.seen = self.seen or found > 0
        begun = self._begun.search(text)
        assert begun is not None
        self._held = begun[0]
        return text[: begun.start()]

    def end(self) -> str:
        """Return what is still held."""
        held, self._held = self._held, ""
        return held
