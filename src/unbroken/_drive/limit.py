"""Ends reads of a response that go on for too long, whatever its read timeout is."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AsyncReadLimit", "ReadLimit"]


class ReadLimit:
    """Ends the read of a thread, by closing the connection from another one."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None
        self._ends: float | None = None

    def until(
        self, ends: float, now: float, abort: Callable[[], object]
    ) -> AbstractContextManager[Any]:
        """The context to read in.

        Args:
            ends: Monotonic seconds at which the read must end.
            now: Monotonic seconds.
            abort: Closes the connection; may be called by another thread.
        """
        if ends != self._ends:  # one thread for all reads up to the same time
            self.off()
            self._ends = ends
            self._timer = threading.Timer(_seconds(ends, now), abort)
            self._timer.name, self._timer.daemon = "unbroken read limit", True
            self._timer.start()
        return nullcontext()

    def off(self) -> None:
        """End nothing any more."""
        timer, self._timer, self._ends = self._timer, None, None
        if timer is not None:
            timer.cancel()


class AsyncReadLimit:
    """Ends the read of a task, by cancelling it."""

    def until(
        self,
        ends: float,
        now: float,
        abort: Callable[[], object],  # noqa: ARG002  # the read is cancelled
    ) -> AbstractContextManager[Any]:
        """The context to read in; see `ReadLimit`."""
        return anyio.fail_after(_seconds(ends, now))

    def off(self) -> None:
        """Nothing outlives its context."""


def _seconds(ends: float, now: float) -> float:
    return min(max(ends - now, 0.0), threading.TIMEOUT_MAX)
