"""What a call does next, as data: the machine decides, a driver carries it out.

`Recovery.action` is one of these. The driver reports what came of it, and asks again. Reading makes
no objects: while the action is `READ`, each chunk goes to `Recovery.receive()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken._core.call import LostCall
    from unbroken._core.resume import Plan

__all__ = [
    "ASK_BUDGET",
    "FINISH",
    "READ",
    "RECALL",
    "Action",
    "AskBudget",
    "Finish",
    "GiveUp",
    "Read",
    "Recall",
    "Send",
    "Sleep",
    "is_end",
    "is_retry",
]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request, and report its response or its failure.

    Attributes:
        plan: What to send.
        number: The number of the attempt in the call, from 1.
        time_left: Seconds until the deadline, or the end of the outage; None for no limit. The
            timeouts of the attempt are at most these.
        longest_silence: Seconds that a stream may be silent before it begins; None for no limit.
        target: The number of the target that gets it: 0 is the caller's own.
    """

    plan: Plan
    number: int
    time_left: float | None
    longest_silence: float | None
    target: int = 0


@dataclass(frozen=True, slots=True)
class Recall:
    """Look the call up in the journal, and report what it holds, or that it holds nothing."""


@dataclass(frozen=True, slots=True)
class AskBudget:
    """Ask the retry budget whether one more attempt may be made, and report its answer."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait, then report that the wait is over.

    Attributes:
        seconds: How long.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Read:
    """Read the body of the response, and report each chunk and its end."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do: the answer is complete, or the caller closed the call."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Raise the error of the call, or deliver it.

    Attributes:
        lost: How the call was lost.
    """

    lost: LostCall


Action = Recall | Send | AskBudget | Sleep | Read | Finish | GiveUp


def is_retry(action: Action) -> bool:
    """Whether an action leads to another attempt, after one that failed."""
    if isinstance(action, Send):
        return action.number > 1 and not action.plan.extends
    return isinstance(action, Sleep | AskBudget)


def is_end(action: Action) -> bool:
    """Whether nothing follows an action: the call is complete, closed or lost."""
    return isinstance(action, Finish | GiveUp)


ASK_BUDGET = AskBudget()
READ = Read()
RECALL = Recall()
FINISH = Finish()
