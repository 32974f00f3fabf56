"""A retry budget: a token bucket that keeps an outage from being answered by a storm."""

from __future__ import annotations

import threading
from typing import Any

from unbroken._core.validation import Checks

__all__ = ["RetryBudget"]


class RetryBudget:
    """Retries that all calls under a policy share.

    Each request after one that gave the caller nothing new takes one token. A request after one
    that did is free, so that any number of streams that are cut at once are resumed; so is one
    after an attempt that found no connection, as that sent nothing. Each answer that arrives whole
    puts tokens back, and so does time, slowly. A call that finds the bucket empty fails with the
    failure it has.

    Clients that are wrapped with the same policy share its budget. Safe to share between threads
    and tasks.

    Args:
        capacity: Tokens in a full bucket, and the tokens it begins with.
        per_success: Tokens put back by an answer that arrived whole.
        per_second: Tokens put back by each second that passes.

    Raises:
        ValueError: If a value is not a finite number of at least 0; it names the field.
    """

    __slots__ = ("_level", "_lock", "_updated", "capacity", "per_second", "per_success")

    def __init__(
        self, capacity: float = 100, *, per_success: float = 1.0, per_second: float = 0.1
    ) -> None:
        checks = Checks("RetryBudget")
        checks.number("capacity", capacity)
        checks.number("per_success", per_success)
        checks.number("per_second", per_second)
        checks.raise_if_any()
        self.capacity = capacity
        self.per_success = per_success
        self.per_second = per_second
        self._level = float(capacity)
        self._updated: float | None = None
        self._lock = threading.Lock()

    @property
    def level(self) -> float:
        """Tokens left, as of the last time that one was taken or put back."""
        return self._level

    def renew_lock(self) -> None:
        """Replace the lock in a forked process: a thread that is not there may hold it."""
        self._lock = threading.Lock()

    def take(self, now: float) -> bool:
        """Take the token for one retry; False if there is none. `now` is in monotonic seconds."""
        with self._lock:
            self._refill(now)
            if self._level < 1:
                return False
            self._level -= 1
            return True

    def succeeded(self, now: float) -> None:
        """Put back what an answer that arrived whole earns. `now` is in monotonic seconds."""
        with self._lock:
            self._refill(now)
            self._level = min(self.capacity, self._level + self.per_success)

    def _refill(self, now: float) -> None:
        before = now if self._updated is None else self._updated
        passed = max(now - before, 0.0)
        self._updated = before + passed
        self._level = min(self.capacity, self._level + passed * self.per_second)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, and what a pickle is made into, is a full bucket of its own."""
        return _full, (self.capacity, self.per_success, self.per_second)

    def __repr__(self) -> str:
        return f"RetryBudget(capacity={self.capacity!r}, level={self._level:.1f})"


def _full(capacity: float, per_success: float, per_second: float) -> RetryBudget:
    return RetryBudget(capacity, per_success=per_success, per_second=per_second)
