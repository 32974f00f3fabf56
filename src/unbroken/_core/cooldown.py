"""When a target that failed may be asked again: known to all calls, of one client or of a fleet."""

from __future__ import annotations

import threading

__all__ = ["Cooldowns"]


class Cooldowns:
    """The targets that failed, and when their cooldowns end. Safe to use from many threads."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """Replace the lock in a forked process: a thread that is not there may hold it."""
        self._lock = threading.Lock()

    def cool(self, target: str, until: float, now: float) -> None:
        """Let a target cool down, unless it does for longer already.

        Args:
            target: Its key.
            until: Monotonic seconds at which it may be asked again.
            now: Monotonic seconds.
        """
        with self._lock:
            # Nothing else removes those that are over.
            self._ends = {key: end for key, end in self._ends.items() if end > now}
            self._ends[target] = max(until, self._ends.get(target, until))

    def left(self, target: str, now: float) -> float:
        """Seconds until a target may be asked again; 0 if it may be now."""
        return max(self._ends.get(target, now) - now, 0.0)
