"""A journal in one file, for the processes of one machine."""

from __future__ import annotations

import _thread
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unbroken._core.journal.entries import (
    Claim,
    Deposed,
    Entry,
    EntryState,
    JournalUnavailable,
    Page,
)
from unbroken._core.validation import Checks
from unbroken.journal._forks import forget_in_children
from unbroken.journal._sqlite_file import File, errors_told
from unbroken.journal._tasks import Append, Batches, read_waiting
from unbroken.journal._waiters import Waiters

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from unbroken.journal.protocol import AsyncJournal

__all__ = ["SqliteJournal"]

_POLL = 0.015
"""Seconds between looks at what other processes wrote, while a reader waits."""
_SWEEP = 300.0
"""Seconds between two sweeps, at least, while entries are claimed."""


class SqliteJournal:
    """A journal in an SQLite file, which processes of one machine share.

    The file is created for its owner alone (mode 0600). It is to be on a local disk. What was
    appended survives the process at once, and a failure of the machine up to its last checkpoint.

    Args:
        path: The file; it is created if there is none, in a directory that exists.
        lease: Seconds without a sign of life after which an entry counts as left.
        ttl: Seconds to keep an entry after its last sign of life; 0 to forget it when it is closed.
        required: Whether calls fail when the journal does, rather than go on without it.
        clock: Seconds since the epoch, for tests.

    Raises:
        ValueError: If the file is no journal, or a number is invalid.
        JournalUnavailable: If the file cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        lease: float = 10.0,
        ttl: float = 86_400.0,
        required: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        checks = Checks("SqliteJournal")
        checks.positive("lease", lease)
        checks.number("ttl", ttl)
        checks.raise_if_any()
        self.lease = lease
        self.ttl = ttl
        self.required = required
        self._path = str(Path(path).absolute())
        self._clock = clock
        self._begin()
        with self._using():
            pass
        forget_in_children(self)

    def _begin(self) -> None:
        """Set up what belongs to this process."""
        self._lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._file: File | None = None
        self._waiters = Waiters()
        self._is_polling = False
        self._swept = 0.0
        self._tasks: Batches | None = None

    @contextmanager
    def _using(self) -> Iterator[File]:
        """The file, while no other thread writes to it."""
        with self._lock, errors_told(self._path):
            if self._file is None:
                self._file = File(self._path)
            yield self._file

    @contextmanager
    def _writing(self) -> Iterator[File]:
        with self._using() as file, file.transaction():
            yield file

    @contextmanager
    def _reading(self) -> Iterator[File]:
        file = self._file
        if file is None:
            with self._using() as file:
                pass
        with self._read_lock, errors_told(self._path):
            yield file

    # Writing

    def claim(self, key: str, owner: str, *, about: str = "", note: bytes = b"") -> Claim:
        """Become the owner of an entry that is absent or left."""
        now = self._clock()
        with self._writing() as file:
            if now - self._swept >= _SWEEP:
                self._swept = now
                file.forget("seen <= ?", now - max(self.ttl, self.lease))
            claim = file.claim(key, owner, about, note, now, self.lease)
        self._waiters.notify(key)
        return claim

    def append(
        self, key: str, owner: str, first: int, frames: Sequence[bytes], *, closes: bool = False
    ) -> None:
        """Write frames, which is a sign of life, too."""
        job = Append(key, owner, first, frames, closes)
        with self._writing() as file:
            self._append(file, job)
        self._waiters.notify(key)

    def append_all(self, jobs: Sequence[Append]) -> list[Exception | None]:
        """Carry out several appends in one transaction, and return how each one failed."""
        results: list[Exception | None] = []
        try:
            with self._writing() as file:
                for job in jobs:
                    try:
                        self._append(file, job)
                    except Deposed as error:
                        results.append(error)
                    else:
                        results.append(None)
        except JournalUnavailable as error:
            return [error] * len(jobs)
        for job in jobs:
            self._waiters.notify(job.key)
        return results

    def _append(self, file: File, job: Append) -> None:
        now = self._clock()
        file.append(job.key, job.owner, job.first, job.frames, now, self.lease)
        if job.closes:
            self._close(file, job.key, job.owner)

    def renew(self, key: str, owner: str) -> None:
        """Show a sign of life."""
        with self._writing() as file:
            if not file.update(key, owner, "seen = ?", self._clock()):
                raise Deposed

    def close(self, key: str, owner: str) -> None:
        """Mark an entry as complete, and remove its note."""
        with self._writing() as file:
            self._close(file, key, owner)
        self._waiters.notify(key)

    def _close(self, file: File, key: str, owner: str) -> None:
        if not file.update(key, owner, "seen = ?, closed = 1, note = x''", self._clock()):
            raise Deposed
        if self.ttl == 0:
            file.forget("key = ?", key)

    def leave(self, key: str, owner: str) -> None:
        """Give an entry up, so that another writer can claim it at once; not if deposed."""
        with self._writing() as file:
            file.update(key, owner, "seen = ?, owner = NULL", self._clock())
        self._waiters.notify(key)

    def forget(self, key: str) -> bool:
        """Remove an entry, and return whether there was one."""
        with self._writing() as file:
            found = file.forget("key = ?", key) > 0
        self._waiters.notify(key)
        return found

    def sweep(self) -> int:
        """Remove the entries that were kept for `ttl` seconds, and return how many."""
        with self._writing() as file:
            return file.forget("seen <= ?", self._clock() - max(self.ttl, self.lease))

    # Reading

    def read(self, key: str, after: int = 0, *, wait: float = 0.0) -> Page:
        """Read the frames after a number."""
        return read_waiting(self, key, after, wait)

    def page_or_wake(self, key: str, after: int, wake: Callable[[], None]) -> Page | None:
        """A page with frames, or of an entry at which no writer is; else None, and wake later."""
        self._waiters.add(key, wake)
        page = self.page(key, after)
        if page.frames or page.state is not EntryState.ALIVE:
            self._waiters.discard(key, wake)
            return page
        self._poll()
        return None

    def page(self, key: str, after: int) -> Page:
        """The frames after a number, without waiting."""
        with self._reading() as file:
            entry = file.entry(key)  # before its frames: of a closed entry all are there
            frames = tuple(file.frames(key, after)) if entry is not None else ()
        state = EntryState.ABSENT if entry is None else self.state(entry)
        return Page(frames, after + len(frames), state)

    def entries(self) -> list[Entry]:
        """All entries, the one seen last first."""
        with self._reading() as file:
            return file.entries()

    def state(self, entry: Entry) -> EntryState:
        """What an entry of `entries()` is now."""
        return entry.state(self._clock(), self.lease)

    def _poll(self) -> None:
        """Wake readers when other processes write, for as long as somebody waits."""
        with self._lock:
            if not self._is_polling:
                self._is_polling = True
                _thread.start_new_thread(self._watch, ())

    def _watch(self) -> None:
        seen: int | None = None
        while self._waiters:
            time.sleep(_POLL)
            self._waiters.prune()
            try:
                with self._using() as file:
                    now = file.changes()
            except JournalUnavailable:
                self._waiters.notify_all()  # the readers meet the error
                continue
            if now != seen:
                self._waiters.notify_all()
            seen = now
        with self._lock:
            self._is_polling = False
        if self._waiters:  # one came in between
            self._poll()

    # The rest

    def dispose(self) -> None:
        """Release connections and threads. The journal opens them again when it is used."""
        with self._lock, self._read_lock:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def for_tasks(self) -> AsyncJournal:
        """The same journal, for tasks."""
        if self._tasks is None:
            self._tasks = Batches(self, self)
        return self._tasks

    @property
    def waiters(self) -> Waiters:
        """The readers that wait."""
        return self._waiters

    def after_fork(self) -> None:
        """Start anew in a forked process: it must not use the connections of its parent."""
        _inherited.append(self._file)  # to close it would drop locks of the parent
        self._begin()


_inherited: list[File | None] = []
