"""Joining the text of an attempt to the text that was delivered.

After a prefill, and where the same request is made again, the text must begin with a known string:
`ExactSeam`. After a user turn that asks the model to continue, it is a new generation: `FreeSeam`.
"""

from __future__ import annotations

from typing import Protocol

from unbroken._core.seam.evidence import Expected
from unbroken._core.seam.exact import ExactSeam
from unbroken._core.seam.free import FreeSeam
from unbroken._core.seam.kinds import SeamError, SeamKind, SeamProblem

__all__ = ["ExactSeam", "Expected", "FreeSeam", "Seam", "SeamError", "SeamKind", "SeamProblem"]


class Seam(Protocol):
    """Where the text of an attempt joins the text that was delivered."""

    @property
    def settled(self) -> bool:
        """Whether all further text is delivered as it is, and there is nothing to `end()`."""

    @property
    def joined(self) -> bool:
        """Whether the joint is decided: further text is delivered, except for the mark."""

    @property
    def trigger(self) -> bytes:
        """The byte that the mark begins with; empty if no mark is looked for."""

    @property
    def holding(self) -> bool:
        """Whether text is held."""

    kind: SeamKind | None
    """What proved the seam, once it is decided; None if there is no text to join."""

    reply: str
    """The beginning of a reply that proved nothing, folded."""

    def feed(self, text: str) -> str:
        """Take in text, and return what of it is delivered now.

        Raises:
            SeamError: If it cannot be joined.
        """

    def end_block(self) -> str:
        """A text block is over, and the next may go on in its place: return what is decided."""

    def end(self, stop_reason: str | None) -> str:
        """The text is over: return what is still held.

        Args:
            stop_reason: Why the message stopped; None if another block follows the text.

        Raises:
            SeamError: If what came cannot be joined.
        """
