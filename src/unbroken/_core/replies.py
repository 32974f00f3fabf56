"""Replies that could not be joined: what each leads to, and what the next request knows of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from unbroken._core.bounds import Reason
from unbroken._core.seam import SeamProblem

if TYPE_CHECKING:
    from unbroken._core.policy import Continuation
    from unbroken._core.seam import Seam

__all__ = ["NO_REPLIES", "Next", "Replies", "after_problem"]

MAX_OFF_TOPIC = 3
"""After so many replies in a row that are about the request, another one would be, too."""


class Next(Enum):
    """What follows a reply that could not be joined."""

    REFORMULATE = "another request, at once: the reply failed for how it was asked"
    BACK_OFF = "another request, as after a drop"


@dataclass(frozen=True, slots=True)
class Replies:
    """The replies in a row that could not be joined, since the caller last got something new.

    Attributes:
        unproven: Replies without proof.
        empty: Empty replies.
        off_topic: Replies about the request.
        diverged: Whether the same request, made again, was answered differently.
        before: The last reply without proof, or about the request, folded.
    """

    unproven: int = 0
    empty: int = 0
    off_topic: int = 0
    diverged: bool = False
    before: str = ""

    @property
    def count(self) -> int:
        """How many there are, without those to the same request again."""
        return self.unproven + self.empty + self.off_topic

    def add(self, problem: SeamProblem, seam: Seam) -> Replies:
        """Count one more of them."""
        match problem:
            case SeamProblem.UNPROVEN:
                return dataclasses.replace(self, unproven=self.unproven + 1, before=seam.reply)
            case SeamProblem.EMPTY:
                return dataclasses.replace(self, empty=self.empty + 1)
            case SeamProblem.OFF_TOPIC:
                return dataclasses.replace(self, off_topic=self.off_topic + 1, before=seam.reply)
            case SeamProblem.DIVERGED | SeamProblem.NO_PROGRESS:
                return dataclasses.replace(self, diverged=True)


NO_REPLIES = Replies()


def after_problem(
    problem: SeamProblem, replies: Replies, continuation: Continuation, *, is_json: bool
) -> Next | Reason:
    """What follows a problem at a seam.

    Args:
        problem: The problem.
        replies: The replies that could not be joined, this one included.
        continuation: The policy's settings.
        is_json: Whether the answer is a JSON document.
    """
    match problem:
        case SeamProblem.UNPROVEN if continuation.unproven == "give_up":
            return Reason.UNPROVEN
        case SeamProblem.UNPROVEN | SeamProblem.EMPTY:
            return Next.REFORMULATE
        case SeamProblem.OFF_TOPIC if replies.off_topic >= MAX_OFF_TOPIC:
            return Reason.OFF_TOPIC
        case SeamProblem.OFF_TOPIC if replies.off_topic == 1:
            return Next.REFORMULATE
        case SeamProblem.DIVERGED if continuation.mode == "restart":
            return Reason.DIVERGED
        case SeamProblem.DIVERGED if not is_json:
            return Next.REFORMULATE
        case _:
            return Next.BACK_OFF
