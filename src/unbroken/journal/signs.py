"""Signs of life for the entries that a process writes."""

from __future__ import annotations

import _thread
import os
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from unbroken._core.journal.entries import Deposed, JournalUnavailable

if TYPE_CHECKING:
    from unbroken.journal.protocol import Journal

__all__ = ["SignsOfLife"]

_A_LEASE = 3
"""How many signs of life a lease has: two may be late."""


class SignsOfLife:
    """Renews entries of a journal, in a thread that runs while there are any.

    Threads and tasks may use it: nothing here waits for the journal.

    Args:
        journal: The journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._period = journal.lease / _A_LEASE
        self._begin()

    def _begin(self) -> None:
        """Set up what belongs to this process: a forked one writes none of these entries."""
        self._process = os.getpid()
        self._owners: dict[str, str] = {}
        self._left: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self._is_running = False

    def add(self, key: str, owner: str) -> None:
        """Renew an entry until `remove()` or `leave()`, or until its owner was deposed."""
        if self._process != os.getpid():
            self._begin()
        self._owners[key] = owner
        self._run()

    def remove(self, key: str, owner: str) -> None:
        """Renew an entry no more."""
        if self._owners.get(key) == owner:
            self._owners.pop(key, None)
            if not self._owners:
                self._left.put(None)  # the thread can end

    def leave(self, key: str, owner: str) -> None:
        """Give an entry up, soon."""
        if self._process != os.getpid():
            self._begin()
        self._owners.pop(key, None)
        self._left.put((key, owner))
        self._run()

    def _run(self) -> None:
        if not self._is_running:
            self._is_running = True
            _thread.start_new_thread(self._beat, ())

    def _beat(self) -> None:
        due = time.monotonic() + self._period
        while self._owners or not self._left.empty():
            with suppress(Empty):
                self._leave(self._left.get(timeout=max(due - time.monotonic(), 0)))
            if time.monotonic() >= due:
                self._renew()
                due = time.monotonic() + self._period
        self._is_running = False
        if self._owners or not self._left.empty():  # one came in between
            self._run()

    def _leave(self, entry: tuple[str, str] | None) -> None:
        if entry is not None:
            with suppress(JournalUnavailable):  # it counts as left a lease from now
                self._journal.leave(*entry)

    def _renew(self) -> None:
        for key, owner in list(self._owners.items()):
            try:
                self._journal.renew(key, owner)
            except Deposed:
                self.remove(key, owner)
            except JournalUnavailable:
                return  # the next sign may come through
