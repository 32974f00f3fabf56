"""How sure a seam is, and why a reply cannot be joined."""

from __future__ import annotations

from enum import Enum, StrEnum

__all__ = ["SeamError", "SeamKind", "SeamProblem"]


class SeamKind(StrEnum):
    """What proved where the text of an attempt joins the text that was delivered."""

    EXACT = "exact"
    """The reply had to begin with known text, and did: a prefill, or the same request again."""
    ASKED = "asked"
    """The reply began with the words that the prompt asked for."""
    RESTARTED = "restarted"
    """The reply began further back, and went through to the end of the delivered text."""
    ANNOUNCED = "announced"
    """As one of the two above, behind a preamble, which was removed."""
    UNPROVEN = "unproven"
    """Nothing proved it: the reply was joined as it came."""
    WHOLE = "whole"
    """Nothing was left to say."""


class SeamProblem(Enum):
    """Why a reply cannot be joined to the delivered text."""

    DIVERGED = "the new text does not begin with the text that was delivered"
    UNPROVEN = "nothing proves where the reply joins the text that was delivered"
    EMPTY = "the reply was empty, without the mark for a complete answer"
    OFF_TOPIC = "the reply is about the request, and does not continue the answer"
    NO_PROGRESS = "the reply repeated the delivered text, and did not get beyond it"


class SeamError(Exception):
    """The text of an attempt cannot be joined to the delivered text.

    Attributes:
        problem: Why.
    """

    def __init__(self, problem: SeamProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem
