"""Ends requests and reads that go on for too long, whatever their timeouts are."""

from __future__ import annotations

import math
import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["AsyncReadLimit", "AsyncSendLimit", "ReadLimit", "SendLimit"]

_GRACE = 0.1
"""Seconds by which a limit is later than the timeouts of the library, whose errors tell more."""


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


class SendLimit:
    """Ends nothing: no thread can end the request of another one, which has its timeouts."""

    is_ended = False

    def within(self, seconds: float | None) -> AbstractContextManager[Any]:  # noqa: ARG002
        """The context to send in; see `AsyncSendLimit`."""
        return nullcontext()

    def end(self) -> None:
        """Do nothing."""


class AsyncSendLimit:
    """Ends the request of a task, by cancelling it."""

    def __init__(self) -> None:
        self.is_ended = False
        """Whether `end()` was called."""
        self._scope: anyio.CancelScope | None = None

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Send within so many seconds; None for no limit.

        Raises:
            TimeoutError: If they have passed, or `end()` was called.
        """
        lasts = math.inf if seconds is None else seconds + _GRACE
        with anyio.CancelScope(deadline=anyio.current_time() + lasts) as scope:
            self._scope = scope
            if self.is_ended:
                scope.cancel()
            yield
        self._scope = None
        if scope.cancelled_caught:
            raise TimeoutError("the request took too long")

    def end(self) -> None:
        """End the request that is under way, and all that follow."""
        self.is_ended = True
        if self._scope is not None:
            self._scope.cancel()


def _seconds(ends: float, now: float) -> float:
    return min(max(ends - now, 0.0), threading.TIMEOUT_MAX)
