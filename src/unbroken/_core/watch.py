"""Whether an open stream is overdue: it stalls, or the deadline of the call passes."""

from __future__ import annotations

import math
from enum import Enum

__all__ = ["Overdue", "Watch"]


class Overdue(Enum):
    """What is overdue."""

    CALL = "the deadline of the call passed"
    STREAM = "nothing but pings came for too long"


class Watch:
    """Compares the time with the deadline and with the last event.

    Args:
        deadline: Monotonic seconds at which the call must end; None for no deadline.
        progress_timeout: Seconds without an event other than a ping after which a stream is
            stalled; None for no limit.
    """

    __slots__ = ("_deadline", "_progress_timeout", "alarm", "last_event")

    def __init__(self, deadline: float | None, progress_timeout: float | None) -> None:
        self._deadline = math.inf if deadline is None else deadline
        self._progress_timeout = math.inf if progress_timeout is None else progress_timeout
        self.last_event = -math.inf
        """Monotonic seconds at which the last event other than a ping came."""
        self.alarm = -math.inf
        """Monotonic seconds at which to call `overdue()` again: nothing is overdue before."""

    def begin(self, now: float) -> None:
        """A stream was opened."""
        self.last_event, self.alarm = now, -math.inf

    def overdue(self, now: float) -> Overdue | None:
        """What is overdue, if anything is."""
        self.alarm = min(self._deadline, self.last_event + self._progress_timeout)
        if now < self.alarm:
            return None
        return Overdue.CALL if now >= self._deadline else Overdue.STREAM
