"""Which target a call asks next: the caller's own client and model, or one of its fallbacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken._core.failures import FailureKind
from unbroken._core.models import base_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken._core.cooldown import Cooldowns
    from unbroken._core.policy import Policy

__all__ = ["NOWHERE_ELSE", "Candidate", "Route"]

ELSEWHERE = frozenset(
    {
        FailureKind.RATE_LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.UNREACHABLE,
        FailureKind.STALLED,
    }
)
"""The failures that another target need not share."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target, as far as the choice depends on it.

    Attributes:
        name: What reports, spans and metrics call it.
        model: The model that it is asked for; None for one that names none.
        key: What its cooldown is known by, to all calls: the host, the model and the account.
        obstacle: Why it cannot take the request; None if it can.
    """

    name: str
    model: str | None
    key: str
    obstacle: str | None = None


NOWHERE_ELSE = (Candidate("", None, ""),)
"""The candidates of a call without fallbacks."""


class Route:
    """The targets of one call.

    Args:
        policy: The policy of the call: `patience` and `time_scale`.
        candidates: The targets, the caller's own first.
        cooldowns: The targets that cool down; None if failures of other calls do not count.
    """

    def __init__(
        self,
        policy: Policy,
        candidates: Sequence[Candidate] = NOWHERE_ELSE,
        cooldowns: Cooldowns | None = None,
    ) -> None:
        self._policy = policy
        self._candidates = candidates
        self._cooldowns = cooldowns
        self._refused: set[int] = set()
        self.current = 0
        """The number of the target that is asked, or was asked last."""
        self._order = sorted(range(len(candidates)), key=self._has_other_model)

    @property
    def target(self) -> Candidate:
        """The target that is asked, or was asked last."""
        return self._candidates[self.current]

    @property
    def is_own(self) -> bool:
        """Whether that is the caller's own."""
        return self.current == 0

    def skipped(self) -> dict[str, str]:
        """The targets that cannot take the request, by name, and why."""
        obstacles = {one.name: one.obstacle for one in self._candidates if one.obstacle}
        refused = {self._candidates[n].name: "it refused the request" for n in self._refused}
        return {**obstacles, **refused}

    def begin(self, now: float) -> float:
        """Choose the target of the first attempt: seconds until it may be asked."""
        return self._choose(now)

    def failed(
        self, kind: FailureKind, wait: float, now: float, *, waited: float = 0.0
    ) -> float | None:
        """Choose another target than the current one, which failed and cools down.

        Args:
            kind: How it failed.
            wait: Seconds that it is to be given, before `Policy.time_scale`.
            now: Monotonic seconds.
            waited: Seconds that it was waited for already.

        Returns:
            Seconds until the other one may be asked; None to stay.
        """
        if kind not in ELSEWHERE or self._cooldowns is None:
            return None
        before, given = self.current, wait * self._policy.time_scale
        self._cooldowns.cool(self.target.key, now + given, now)
        if waited + wait <= self._policy.patience:
            return None
        seconds = self._choose(now, without=before)
        if seconds > given:
            self.current = before
        return None if self.current == before else seconds

    def refused(self, now: float) -> float:
        """Choose another target than the current one, which refused the request.

        It is not asked again. Return the seconds until the other one may be asked.
        """
        self._refused.add(self.current)
        return self._choose(now)

    def _choose(self, now: float, without: int | None = None) -> float:
        """Take the first target that may be asked within `patience`, else that which may be first.

        Return the seconds until then.
        """
        if self._cooldowns is None:
            return 0.0
        left = {
            number: self._cooldowns.left(self._candidates[number].key, now)
            for number in self._order
            if number != without and self._can_take(number) and not self._is_same(number, without)
        }
        patient = (number for number, seconds in left.items() if seconds <= self._policy.patience)
        soonest = min(left, key=left.__getitem__, default=self.current)
        self.current = next(patient, soonest)
        return left.get(self.current, 0.0)

    def _can_take(self, number: int) -> bool:
        return self._candidates[number].obstacle is None and number not in self._refused

    def _is_same(self, number: int, other: int | None) -> bool:
        """Whether two numbers mean the same target, given twice."""
        return other is not None and self._candidates[number].key == self._candidates[other].key

    def _has_other_model(self, number: int) -> bool:
        own, model = self._candidates[0].model, self._candidates[number].model
        return base_model(own or "") != base_model(model or "")
