"""The seam of a new generation: a user turn asked the model to continue.

Where the reply joins the delivered text is decided on proof (`Evidence`), and depends on the text
alone, never on how it comes in chunks. What is proved is cut. What is not proved is an error, or is
joined as it is. Nothing at all, or the mark alone, may mean that nothing was left to say.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import TYPE_CHECKING

from unbroken._core.seam.evidence import Evidence
from unbroken._core.seam.fold import fold, unfold
from unbroken._core.seam.kinds import SeamError, SeamKind, SeamProblem
from unbroken._core.seam.mark import Mark
from unbroken._core.seam.off_topic import is_off_topic
from unbroken._core.seam.opening import closing
from unbroken._core.seam.replay import Replay
from unbroken._core.seam.space import join_space, space_after

if TYPE_CHECKING:
    from unbroken._core.seam.evidence import Expected

__all__ = ["ROOM", "FreeSeam"]

ROOM = 260
"""Characters that are held at most for what stands before the words that were asked for."""


# White space at the seam that is held at most.
_MAX_SPACE = 1024

# Marks that open a quotation as well as close it.
_SYMMETRIC = frozenset("\"'`*_")


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
        self._trail = space_after(expected.delivered)
        self._evidence = Evidence(expected)
        self._window = len(self._evidence.asked) + ROOM
        self._mark = None if expected.mark is None else Mark(expected.mark)
        self._state = _State.DECIDING
        self._lead = ""  # white space before the reply
        self._held = ""
        self._searched = 0  # characters of the folded reply in which no known words end
        self._replay: Replay | None = None
        self._opening = ""  # what stands before the text that is repeated
        self._closing = ""  # marks that may close the quotation of the known words
        self._is_empty = True
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
        return self._read(text if self._mark is None else self._mark.strip(text))

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
            out += self._join_repeated()
        if self._state is _State.CLOSING:
            out += self._begin_spacing(self._without_closing(self._held))
        if self._state is _State.SPACING:
            out += self._pass_from_now_on(self._held)
        if self._is_empty and not out:
            self._check_empty(stop_reason)
        return out

    def _read(self, text: str) -> str:
        out = _READ[self._state](self, text)
        self._is_empty = self._is_empty and not out
        return out

    # Deciding

    def _decide(self, text: str) -> str:
        if not self._held:
            self._lead = (self._lead + text[: len(text) - len(text.lstrip())])[-self._window :]
            text = text.lstrip()
        self._held += text
        said = fold(self._held)
        found = self._evidence.find(self._held, said[: self._window], self._searched)
        if found is not None:
            self.kind = found.kind
            self._closing = closing(said[: found.begins], self._expected.delivered)
            return self._begin_closing(self._held[unfold(self._held, found.ends) :])
        self._searched = min(len(said), self._window)
        if len(said) > self._window or len(self._held) > 4 * self._window:
            return self._decide_without_proof(said[: self._window].rstrip())
        return ""

    def _decide_without_proof(self, said: str) -> str:
        """No more of the reply is held: it repeats delivered text, or it proves nothing."""
        repeated = self._evidence.repeated(self._held, said)
        if repeated is None:
            return self._join_unproven(self._lead + self._held, said)
        found, places = repeated
        self.kind = found.kind
        self._closing = closing(said[: found.begins], self._expected.delivered)
        self._opening = self._held[: unfold(self._held, found.begins)]
        self._replay = Replay(self._evidence.known, places, found.ends - found.begins)
        rest, self._held = self._held[unfold(self._held, len(said)) :], ""
        self._state = _State.FOLLOWING
        return self._follow(rest)

    def _decide_at_end(self, stop_reason: str | None) -> str:
        said = fold(self._held.rstrip())
        if not said:
            return self._begin_spacing("")
        if is_off_topic(said) and not self._evidence.repeats_end(said):
            if stop_reason is None:
                return self._begin_spacing("")  # an apology before a tool call
            if stop_reason == "end_turn":
                self.reply = said
                raise SeamError(SeamProblem.OFF_TOPIC)
        if stop_reason == "refusal":
            return self._begin_spacing(self._lead + self._held)
        return self._join_unproven(self._lead + self._held, said)

    def _check_empty(self, stop_reason: str | None) -> None:
        """The reply brought nothing new: that ends the answer only if something else says so."""
        marked = self._mark is not None and self._mark.seen
        if stop_reason == "end_turn" and not marked and not self._expected.empty_is_whole:
            raise SeamError(SeamProblem.EMPTY)
        if stop_reason is not None:
            self.kind = SeamKind.WHOLE

    def _join_unproven(self, text: str, said: str) -> str:
        if self._evidence.known.text:
            if not self._expected.join_unproven:
                self.reply = said[: self._window]
                raise SeamError(SeamProblem.UNPROVEN)
            self.kind = SeamKind.UNPROVEN
        return self._begin_spacing(text)

    # A reply that repeats more of the delivered text than is held

    def _follow(self, text: str) -> str:
        assert self._replay is not None
        rest = self._replay.feed(text)
        if rest is not None:
            return self._begin_closing(rest)
        return self._join_repeated() if self._replay.lost else ""

    def _join_repeated(self) -> str:
        """The reply did not get to the delivered end: what was compared is text of its own."""
        assert self._replay is not None
        begin, end = self._replay.repeated
        if self._expected.join_unproven and begin == 0:
            raise SeamError(SeamProblem.NO_PROGRESS)
        delivered = self._expected.delivered.lstrip()
        again = self._opening + delivered[unfold(delivered, begin) : unfold(delivered, end)]
        said = fold(again[: 4 * self._window])
        return self._join_unproven(self._lead + again + self._replay.rest, said)

    # What follows the seam

    def _begin_closing(self, rest: str) -> str:
        self._held = ""
        self._state = _State.CLOSING
        return self._close(rest)

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
        may_open = _SYMMETRIC.issuperset(rest[:size]) and rest[size : size + 1].isalnum()
        return rest if may_open and not self._evidence.known.text[-1].isalnum() else rest[size:]

    def _begin_spacing(self, rest: str) -> str:
        self._held = ""
        self._state = _State.SPACING
        return self._space(rest)

    def _space(self, text: str) -> str:
        self._held += text
        if self._trail and not self._held.strip() and len(self._held) <= _MAX_SPACE:
            return ""
        return self._pass_from_now_on(self._held)

    def _pass_from_now_on(self, text: str) -> str:
        text = join_space(self._trail, text)
        # The delivered text may be long, and is not needed any more.
        self._expected = dataclasses.replace(self._expected, delivered="", before="")
        self._evidence, self._replay = Evidence(self._expected), None
        self._held = ""
        self._state = _State.JOINED
        return text

    def _pass(self, text: str) -> str:
        return text


_READ = {
    _State.DECIDING: FreeSeam._decide,  # noqa: SLF001
    _State.FOLLOWING: FreeSeam._follow,  # noqa: SLF001
    _State.CLOSING: FreeSeam._close,  # noqa: SLF001
    _State.SPACING: FreeSeam._space,  # noqa: SLF001
    _State.JOINED: FreeSeam._pass,  # noqa: SLF001
}
