"""The time, as drivers use it. Tests inject a clock of their own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AsyncClock", "AsyncInterrupt", "Clock", "Interrupt", "SystemAsyncClock", "SystemClock"]

Interrupt = threading.Event


class AsyncInterrupt:
    """An event that can be created without an event loop, and is set at most once."""

    def __init__(self) -> None:
        self._is_set = False
        self._wake: Callable[[], None] | None = None

    def set(self) -> None:
        """Wake the waiting task."""
        self._is_set = True
        if self._wake is not None:
            self._wake()

    async def wait(self, timeout: float) -> None:  # noqa: ASYNC109
        """Wait until `set()` is called, or these seconds have passed."""
        if self._is_set:
            return
        with anyio.CancelScope(deadline=anyio.current_time() + timeout) as scope:
            self._wake = scope.cancel
            await anyio.sleep_forever()


class Clock(Protocol):
    """Time, for threads."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float, interrupt: Interrupt) -> None:
        """Wait these seconds, or until the interrupt is set."""


class AsyncClock(Protocol):
    """Time, for tasks."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float, interrupt: AsyncInterrupt) -> None:
        """Wait these seconds, or until the interrupt is set."""


class SystemClock:
    """The time of the system."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def sleep(self, seconds: float, interrupt: Interrupt) -> None:
        """Wait these seconds, or until the interrupt is set."""
        if seconds > 0:
            interrupt.wait(seconds)


class SystemAsyncClock:
    """The time of the system."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float, interrupt: AsyncInterrupt) -> None:
        """Wait these seconds, or until the interrupt is set."""
        if seconds > 0:
            await interrupt.wait(seconds)
