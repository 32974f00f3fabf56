"""What the garbage collector may not do itself: it runs in a thread that may hold any lock."""

from __future__ import annotations

import _thread
import gc
import logging
import os
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Finalizers", "finalizers"]

_MOST = 10_000
_EXIT_S = 5.0

_log = logging.getLogger("unbroken")


class Finalizers:
    """Finishes the calls that finalizers hand over, in a thread that holds no lock.

    The thread starts when there is something to do, and ends with it.

    Args:
        most: How many calls may wait to be finished; further ones are dropped.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._collector: int | None = None  # the thread that runs the garbage collector
        self._is_installed = False
        self.is_closed = False
        """Whether the process exits, so that nothing is taken in any more."""
        self._reset()

    def _reset(self) -> None:
        self._queue: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._working = threading.RLock()
        self._is_running = False

    def install(self) -> None:
        """Note from now on when the garbage collector runs; may be called more than once."""
        if not self._is_installed:
            self._is_installed = True
            gc.callbacks.append(self._note_collection)
            # The parent process finishes its own calls.
            os.register_at_fork(after_in_child=self._reset)

    def _note_collection(self, phase: str, info: dict[str, int]) -> None:  # noqa: ARG002
        self._collector = _thread.get_ident() if phase == "start" else None

    def is_collecting(self) -> bool:
        """Whether this thread is in the middle of a garbage collection."""
        return self._collector is not None and self._collector == _thread.get_ident()

    def hand_over(self, work: Callable[[], object]) -> None:
        """Have the thread do something. It takes no lock, so that finalizers may call it."""
        if self.is_closed or self._queue.qsize() >= self._most:
            return
        self._queue.put(work)
        if not self._is_running:
            self._is_running = True
            try:
                _thread.start_new_thread(self._start, ())
            except RuntimeError:  # no thread can start at exit: `close()` does it
                self._is_running = False

    def finish(self, timeout: float = _EXIT_S) -> bool:
        """Do what is left to do; not from a finalizer.

        Args:
            timeout: Seconds to wait for what the thread is at.

        Returns:
            Whether all of it is done.
        """
        if not self._working.acquire(timeout=timeout):
            return False
        try:
            self._empty()
        finally:
            self._working.release()
        return True

    def close(self) -> None:
        """Do what is left to do, and take in nothing more, as the process exits."""
        self.finish()
        self.is_closed = True

    def _start(self) -> None:
        # Loggers know a thread of `threading`; its start takes locks, so a finalizer cannot do it.
        thread = threading.Thread(target=self._run, name="unbroken finalizer", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # as above
            self._is_running = False

    def _run(self) -> None:
        while True:
            self._empty()
            self._is_running = False
            # What came before that has nobody else to do it.
            if self._queue.empty() or self._is_running:
                return
            self._is_running = True

    def _empty(self) -> None:
        with suppress(Empty):
            while True:
                with self._working:
                    _do(self._queue.get_nowait())


def _do(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001  # the other calls are to be finished, too
        _log.debug("a call that was garbage collected was not finished: %s", type(error).__name__)


_finalizers = Finalizers()


def finalizers() -> Finalizers:
    """Those of this process."""
    return _finalizers
