"""`drain()`, which ends the waits of all calls of this process when it is to shut down."""

from __future__ import annotations

import _thread
import asyncio
import atexit
import os
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from unbroken._core.validation import Checks
from unbroken._drive.finalizers import finalizers

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AsyncRunner", "Drain", "Runner", "drain", "process"]


class _Driver(Protocol):
    def drain(self, *, reads: bool) -> Any: ...

    def abandon(self) -> None: ...


class Runner:
    """Runs a function for a driver of threads: at once, in any thread."""

    def __call__(self, work: Callable[[], Any]) -> None:
        """Run it."""
        work()


class AsyncRunner:
    """Runs a coroutine function for a driver of tasks, in the event loop that is running now."""

    def __init__(self) -> None:
        self._tasks: set[Any] = set()  # the loop holds them by weak references only
        self._schedule = self._find_loop()

    def __call__(self, work: Callable[[], Any]) -> None:
        """Run it, from any thread; not where the loop has ended."""
        with suppress(RuntimeError):
            self._schedule(work)

    def _find_loop(self) -> Callable[[Callable[[], Any]], object]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            lowlevel = sys.modules["trio"].lowlevel
            token = lowlevel.current_trio_token()
            return lambda work: token.run_sync_soon(lowlevel.spawn_system_task, work)

        def start(work: Callable[[], Any]) -> None:
            task = loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return lambda work: loop.call_soon_threadsafe(start, work)


class Drain:
    """The calls of a process, and whether they are to end."""

    def __init__(self) -> None:
        self.is_requested = False
        """Whether calls make no further attempts."""
        self._drivers: WeakKeyDictionary[_Driver, Callable[..., None]] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._is_used = False

    def register(self, driver: _Driver, run: Callable[..., None]) -> None:
        """Add a driver, which is forgotten with its last reference.

        Args:
            driver: The driver of a call.
            run: Runs what is to be done with it.
        """
        with self._lock:
            self._drivers[driver] = run
            if not self._is_used:
                self._begin()
        if self.is_requested:
            run(_Telling(driver, reads=False))

    def start(self, timeout: float | None) -> None:
        """End waits now, and reads after so many seconds.

        A signal handler may have interrupted any code, so that no lock is taken here.
        """
        self.is_requested = True
        _thread.start_new_thread(self._run, (timeout,))

    def _begin(self) -> None:
        """Prepare for garbage collections, forks and the exit of the process."""
        self._is_used = True
        finalizers().install()
        os.register_at_fork(after_in_child=self._drivers.clear)  # the parent has these calls
        # Handlers run in reverse order: this one before those of a telemetry that was set up.
        atexit.register(self._exit)

    def _exit(self) -> None:
        """End the calls that are left, while modules and telemetry still work."""
        for driver in list(self._drivers):
            driver.abandon()
        finalizers().close()

    def _run(self, timeout: float | None) -> None:
        self._tell(reads=False)
        if timeout is not None:
            time.sleep(timeout)
            self._tell(reads=True)

    def _tell(self, *, reads: bool) -> None:
        with self._lock:
            drivers = list(self._drivers.items())
        for driver, run in drivers:
            run(_Telling(driver, reads=reads))


class _Telling:
    """Tells a driver, as a function without arguments."""

    def __init__(self, driver: _Driver, *, reads: bool) -> None:
        self._driver = driver
        self._reads = reads

    def __call__(self) -> Any:
        return self._driver.drain(reads=self._reads)


_process = Drain()


def process() -> Drain:
    """The calls of this process."""
    return _process


def drain(timeout: float | None = None) -> None:
    """End the waits of all calls of this process, as when it is to shut down.

    Calls that wait for their next attempt fail now, with `StreamInterrupted` and `Reason.DRAINED`
    in its report; transports raise or return what they had. No call makes another attempt from now
    on: calls that begin later make their first one only. Streams go on until they end or fail, or
    until `timeout`, and so do requests of async clients whose response has not begun. Such a
    request of a sync client cannot be interrupted: it ends with its response, or by its timeouts.

    Returns at once. It may be called by a signal handler, in any thread, before any call, and more
    than once:

        signal.signal(signal.SIGTERM, lambda *_: unbroken.drain(timeout=20))

    Args:
        timeout: Seconds after which streams that are still open, and requests of async clients,
            fail in the same way; None to let them end.

    Raises:
        ValueError: If `timeout` is not a number of seconds of at least 0.
    """
    if timeout is not None:
        checks = Checks("drain()")
        checks.number("timeout", timeout)
        checks.raise_if_any()
    process().start(timeout)
