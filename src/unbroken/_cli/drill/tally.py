"""The statistics of a drill."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import unbroken
from unbroken._cli.drill.joints import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken._cli.drill.answers import Drilled
    from unbroken._cli.drill.joints import Joint

__all__ = ["Tally", "tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """The statistics of one model.

    Attributes:
        model: The model.
        answers: How many answers were asked for, those without a cut left out.
        complete: How many of them are whole.
        problems: Why the others are not, and how often.
        cuts: How many cuts there were.
        seams: How many joints of each kind.
        verdicts: How many joints did what to the text.
        doubled_chars: How many characters are doubled.
        lost_chars: How many characters are lost.
        interruptions: Why attempts that were not cut here were interrupted, and how often.
        requests: All requests, the answers without a cut included.
        input_tokens: The input tokens of these.
        output_tokens: The output tokens of these, as far as known.
        dollars: What they cost; None if the price is unknown.
        joints: All joints, the worst first.
    """

    model: str
    answers: int
    complete: int
    problems: Mapping[str, int]
    cuts: int
    seams: Mapping[str, int]
    verdicts: Mapping[str, int]
    doubled_chars: int
    lost_chars: int
    interruptions: Mapping[str, int]
    requests: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    joints: Sequence[Joint]

    @property
    def is_well(self) -> bool:
        """Whether all answers are whole, with nothing lost and nothing doubled."""
        return self.complete == self.answers and not self.doubled_chars and not self.lost_chars

    def document(self, *, shows: bool) -> dict[str, Any]:
        """The statistics as JSON.

        Args:
            shows: Whether text of the answers may be in it.
        """
        fields = (name for name in self.__slots__ if name != "joints")
        joints = [
            {
                "at": joint.at,
                "seam": joint.seam,
                "verdict": joint.verdict,
                "chars": joint.chars,
                **({"before": joint.before, "after": joint.after} if shows else {}),
            }
            for joint in self.joints
        ]
        return {name: getattr(self, name) for name in fields} | {"joints": joints}


def tally(model: str, references: Sequence[Drilled], drilled: Sequence[Drilled]) -> Tally:
    """Count what became of the answers of one model.

    Args:
        model: The model.
        references: The answers without a cut.
        drilled: The answers that were cut.
    """
    joints = [joint for one in drilled for joint in one.joints]
    every = [*references, *drilled]
    costs = [one.dollars for one in every if one.dollars is not None]
    seams, verdicts = Counter(j.seam for j in joints), Counter(j.verdict for j in joints)
    return Tally(
        model=model,
        answers=len(drilled),
        complete=sum(one.is_complete for one in drilled),
        problems=Counter(one.problem for one in drilled if one.problem is not None),
        cuts=sum(one.cuts for one in drilled),
        seams={kind.value: seams[kind] for kind in unbroken.SeamKind},
        verdicts={verdict.value: verdicts[verdict] for verdict in Verdict},
        doubled_chars=sum(j.chars for j in joints if j.verdict is Verdict.DOUBLED),
        lost_chars=sum(j.chars for j in joints if j.verdict is Verdict.LOST),
        interruptions=Counter(reason for one in drilled for reason in one.interruptions),
        requests=sum(one.requests for one in every),
        input_tokens=sum(one.input_tokens for one in every),
        output_tokens=sum(one.output_tokens for one in every),
        dollars=sum(costs) if len(costs) == len(every) else None,
        joints=sorted(joints, key=_badness),
    )


def _badness(joint: Joint) -> tuple[int, bool, int]:
    order = list(Verdict).index(joint.verdict)
    return order, joint.seam != unbroken.SeamKind.UNPROVEN, -joint.chars
