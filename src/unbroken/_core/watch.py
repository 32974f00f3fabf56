"""Whether an open stream is overdue: it stalls, or a bound of the call passes."""

from __future__ import annotations

import math
from enum import Enum

__all__ = ["Overdue", "Watch"]


class Overdue(Enum):
    """What is overdue."""

    CALL = "the deadline of the call passed"
    OUTAGE = "the outage lasted too long"
    STREAM = "nothing but pings came for too long"


class Watch:
    """Compares the time with the deadline and with the last event.

    Args:
        deadline: Monotonic seconds at which the call must end; None for no deadline.
        progress_timeout: Seconds without an event other than a ping after which a stream is
            stalled; None for no limit.
    """

    __slots__ = ("_deadline", "_longest", "_progress_timeout", "alarm", "last_event")

    def __init__(self, deadline: float | None, progress_timeout: float | None) -> None:
        self._deadline = math.inf if deadline is None else deadline
        self._progress_timeout = math.inf if progress_timeout is None else progress_timeout
        self._longest = self._progress_timeout
        self.last_event = -math.inf
        """Monotonic seconds at which the last event other than a ping came."""
        self.alarm = -math.inf
        """Monotonic seconds at which to call `overdue()` again: nothing is overdue before."""

    def begin(self, now: float, *, stalls: bool = True) -> None:
        """A stream was opened.

        Args:
            now: Monotonic seconds.
            stalls: Whether it counts as stalled after the progress timeout.
        """
        self._longest = self._progress_timeout if stalls else math.inf
        self.last_event, self.alarm = now, -math.inf

    def ends(self, outage_ends: float | None) -> float:
        """Monotonic seconds at which a read must end, whatever comes; infinite for never.

        Args:
            outage_ends: Monotonic seconds at which the outage must be over, if there is one.
        """
        return self._deadline if outage_ends is None else min(self._deadline, outage_ends)

    def overdue(self, now: float, outage_ends: float | None = None) -> Overdue | None:
        """What is overdue, if anything is; see `ends()`."""
        ends = self.ends(outage_ends)
        self.alarm = min(ends, self.last_event + self._longest)
        if now < self.alarm:
            return None
        if now >= self._deadline:
            return Overdue.CALL
        return Overdue.OUTAGE if now >= ends else Overdue.STREAM
