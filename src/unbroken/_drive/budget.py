"""The retry budget of this process, as the async driver asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken._drive.ports import Budget

__all__ = ["LocalBudget"]


class LocalBudget:
    """Answers at once: no other process is asked.

    Args:
        budget: The budget of this process.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    async def take(self, now: float) -> bool:
        """Take one retry; False if none is left. `now` is in monotonic seconds."""
        return self._budget.take(now)
