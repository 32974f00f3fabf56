"""Readers that wait for frames of an entry."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TaskSignal", "Waiters"]


class Waiters:
    """Who is to be woken when an entry changes. Each is woken once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, dict[object, Callable[[], None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def add(self, key: str, wake: Callable[[], None]) -> None:
        """Wake by this function, from any thread, when the entry changes."""
        with self._lock:
            self._by_key.setdefault(key, {})[wake] = wake

    def has(self, key: str) -> bool:
        """Whether anybody waits for this entry."""
        return bool(self._by_key.get(key))

    def discard(self, key: str, wake: Callable[[], None]) -> None:
        """Wake it no more. Takes no lock, so that a task may call it."""
        self._by_key.get(key, {}).pop(wake, None)

    def notify(self, key: str) -> None:
        """The entry changed."""
        if key in self._by_key:
            with self._lock:
                waiting = self._by_key.pop(key, {})
            _wake(waiting)

    def notify_all(self) -> None:
        """Any entry may have changed."""
        with self._lock:
            found, self._by_key = self._by_key, {}
        for waiting in found.values():
            _wake(waiting)

    def prune(self) -> None:
        """Drop the entries that nobody waits for any more."""
        with self._lock:
            for key in [key for key, waiting in self._by_key.items() if not waiting]:
                del self._by_key[key]


def _wake(waiting: dict[object, Callable[[], None]]) -> None:
    for wake in list(waiting.values()):
        wake()


class TaskSignal:
    """An event that any thread sets and a task awaits. Make it in the task."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._schedule = _scheduler()

    def set(self) -> None:
        """Wake the task, from any thread; not where its event loop has ended."""
        with suppress(RuntimeError):
            self._schedule(self._event.set)

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()


def _scheduler() -> Callable[[Callable[[], None]], object]:
    """What runs a function soon in the event loop that is running now, from any thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        token = sys.modules["trio"].lowlevel.current_trio_token()
        soon: Callable[[Callable[[], None]], object] = token.run_sync_soon
        return soon
