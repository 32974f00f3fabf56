"""A seam whose text must begin with a known string."""

from __future__ import annotations

from unbroken._core.seam.kinds import SeamError, SeamKind, SeamProblem
from unbroken._core.seam.space import join_space, space_after

__all__ = ["ExactSeam"]


class ExactSeam:
    """Text that must begin with a known string, save for white space around it.

    After a prefill this is what the request left out; after the same request again, all text that
    was delivered.

    Args:
        known: The known string.
    """

    trigger = b""
    reply = ""

    def __init__(self, known: str) -> None:
        self._core = known.strip()
        self._trail = space_after(known)
        self._seen = 0
        self._space = ""
        self.settled = not known
        self.kind: SeamKind | None = None
        """`EXACT` once the known string came."""

    @property
    def joined(self) -> bool:
        """Whether the joint is decided."""
        return self.settled

    @property
    def holding(self) -> bool:
        """Whether text is held."""
        return bool(self._space) and not self.settled

    def feed(self, text: str) -> str:
        """Take in text, and return what of it is delivered now.

        Raises:
            SeamError: If it differs from the known string.
        """
        if self.settled:
            return text
        text = self._match(text)
        if self._seen < len(self._core):
            return ""
        self._space += text
        if self._trail and not self._space.strip():
            return ""
        return self._settle()

    def _settle(self) -> str:
        self.settled = True
        self.kind = SeamKind.EXACT
        return join_space(self._trail, self._space)

    def _match(self, text: str) -> str:
        """Compare with what must come; return what is beyond it."""
        if not self._seen and self._core:
            text = text.lstrip()
        known = self._core[self._seen : self._seen + len(text)]
        if not text.startswith(known):
            raise SeamError(SeamProblem.DIVERGED)
        self._seen += len(known)
        return text[len(known) :]

    def end_block(self) -> str:
        """A text block is over: the known string may go on in the next."""
        return ""

    def end(self, stop_reason: str | None) -> str:  # noqa: ARG002
        """The text is over: return the white space that is still held.

        Raises:
            SeamError: If it is over before the end of the known string.
        """
        if self.settled:
            return ""
        if self._seen < len(self._core):
            raise SeamError(SeamProblem.NO_PROGRESS)
        return self._settle()
