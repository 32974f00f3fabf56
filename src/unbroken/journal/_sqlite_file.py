"""The file of a journal: its tables, and the transactions on them."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbroken._core.journal.entries import Claim, Deposed, Entry, EntryState, JournalUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["File", "errors_told"]

_APPLICATION = 0x756E6272
"""Marks a database as a journal."""
_VERSION = 1

_TABLES = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    about TEXT NOT NULL,
    note BLOB NOT NULL,
    owner TEXT,
    seen REAL NOT NULL,
    closed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX entries_seen ON entries (seen);
CREATE TABLE frames (
    entry INTEGER NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (entry, number)
) WITHOUT ROWID;
"""

_LAST = "(SELECT coalesce(max(number), 0) FROM frames WHERE entry = id)"
_SIZE = "(SELECT coalesce(sum(length(data)), 0) FROM frames WHERE entry = id)"

_BUSY = 5.0
"""Seconds to wait for another process that writes."""
_PAGE = 1000
"""Frames to read at once."""


@contextmanager
def errors_told(path: str) -> Iterator[None]:
    """Raise `JournalUnavailable` for what SQLite raises."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalUnavailable(f"the journal {path} failed: {error}") from error


class File:
    """Connections to one file, and what is done with them. It does no locking of its own.

    Args:
        path: The file, which is created if there is none.

    Raises:
        ValueError: If the file is no journal.
        JournalUnavailable: If it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._create()
        with errors_told(path), self.refused():
            self.writing = self._connect()
            self._prepare()
            self.reading = self._connect()

    def _create(self) -> None:
        """Create the file for its owner alone: SQLite gives its helper files the same mode."""
        with errors_told(self.path):
            if not Path(self.path).exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Raise `ValueError` for a file that is no database."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
                raise ValueError(f"{self.path} is not a database; name another file") from error
            raise

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(
            self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        made.execute("PRAGMA synchronous = NORMAL")
        return made

    def _prepare(self) -> None:
        """Make the tables, unless they are there.

        Raises:
            ValueError: If the tables are those of something else.
        """
        if not self._is_ready():
            self._switch_to_wal()
            with self.transaction():
                if not self._is_ready():
                    for statement in _TABLES.split(";"):
                        self.writing.execute(statement)
                    self.writing.execute(f"PRAGMA application_id = {_APPLICATION}")
                    self.writing.execute(f"PRAGMA user_version = {_VERSION}")

    def _is_ready(self) -> bool:
        [application] = self.writing.execute("PRAGMA application_id").fetchone()
        [version] = self.writing.execute("PRAGMA user_version").fetchone()
        [tables] = self.writing.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not application:
            return False
        if application != _APPLICATION:
            raise ValueError(f"{self.path} is the database of something else; name another file")
        if version != _VERSION:
            raise ValueError(f"{self.path} was written by another version of unbroken; remove it")
        return True

    def _switch_to_wal(self) -> None:
        """Two processes that do this at once get an error rather than a wait."""
        until = time.monotonic() + _BUSY
        while True:
            try:
                self.writing.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def close(self) -> None:
        """Close the connections."""
        for connection in (self.reading, self.writing):
            with suppress(sqlite3.Error):
                connection.close()

    def __del__(self) -> None:
        if hasattr(self, "reading"):
            self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that is done inside, or nothing."""
        execute = self.writing.execute
        execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            raise
        try:
            execute("COMMIT")
        except sqlite3.Error:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            raise

    def changes(self) -> int:
        """A number that is another one after other processes wrote."""
        [number] = self.writing.execute("PRAGMA data_version").fetchone()
        return int(number)

    # Inside a transaction

    def claim(
        self, key: str, owner: str, about: str, note: bytes, now: float, lease: float
    ) -> Claim:
        """Become the owner, if the entry is absent or left."""
        row = self.writing.execute(
            f"SELECT id, about, note, owner, seen, closed, {_LAST} FROM entries WHERE key = ?",  # noqa: S608
            (key,),
        ).fetchone()
        if row is None:
            self.writing.execute(
                "INSERT INTO entries (key, about, note, owner, seen) VALUES (?, ?, ?, ?, ?)",
                (key, about, note, owner, now),
            )
            return Claim(True, EntryState.ABSENT, 0, about, note)
        number, about, note, owned, seen, closed, last = row
        found = Entry(key, about, owned, last, 0, seen, bool(closed)).state(now, lease)
        granted = found is EntryState.LEFT
        if granted:
            self.writing.execute(
                "UPDATE entries SET owner = ?, seen = ? WHERE id = ?", (owner, now, number)
            )
        return Claim(granted, found, last, about, note)

    def append(
        self, key: str, owner: str, first: int, frames: Sequence[bytes], now: float, lease: float
    ) -> None:
        """Write frames, if the writer may.

        Raises:
            Deposed: If it may not.
        """
        row = self.writing.execute(
            f"SELECT id, about, owner, seen, closed, {_LAST} FROM entries WHERE key = ?",  # noqa: S608
            (key,),
        ).fetchone()
        if row is None:
            raise Deposed
        number, about, owned, seen, closed, last = row
        if not Entry(key, about, owned, last, 0, seen, bool(closed)).takes(owner, first):
            raise Deposed
        self.writing.executemany(
            "INSERT INTO frames (entry, number, data) VALUES (?, ?, ?)",
            [(number, first + at, frame) for at, frame in enumerate(frames)],
        )
        if now - seen > lease / 10:  # one page less to write, otherwise
            self.writing.execute("UPDATE entries SET seen = ? WHERE id = ?", (now, number))

    def update(self, key: str, owner: str, changes: str, *values: Any) -> bool:
        """Change the row of an entry, if the writer owns it; return whether it does."""
        done = self.writing.execute(
            f"UPDATE entries SET {changes} WHERE key = ? AND owner = ? AND NOT closed",  # noqa: S608
            (*values, key, owner),
        )
        return done.rowcount == 1

    def forget(self, where: str, *values: Any) -> int:
        """Remove entries, and return how many."""
        found = self.writing.execute(f"SELECT id FROM entries WHERE {where}", values).fetchall()  # noqa: S608
        self.writing.executemany("DELETE FROM frames WHERE entry = ?", found)
        self.writing.executemany("DELETE FROM entries WHERE id = ?", found)
        return len(found)

    # Reading

    def frames(self, key: str, after: int) -> list[bytes]:
        """Frames after a number; not all, if there are many."""
        rows = self.reading.execute(
            "SELECT data FROM frames WHERE entry = (SELECT id FROM entries WHERE key = ?)"
            " AND number > ? ORDER BY number LIMIT ?",
            (key, after, _PAGE),
        )
        return [data for (data,) in rows]

    def entry(self, key: str) -> Entry | None:
        """An entry; None if there is none. Its size is not computed."""
        row = self.reading.execute(
            f"SELECT key, about, owner, {_LAST}, 0, seen, closed FROM entries WHERE key = ?",  # noqa: S608
            (key,),
        ).fetchone()
        return None if row is None else _entry(row)

    def entries(self) -> list[Entry]:
        """All entries, the one seen last first."""
        rows = self.reading.execute(
            f"SELECT key, about, owner, {_LAST}, {_SIZE}, seen, closed FROM entries"  # noqa: S608
            " ORDER BY seen DESC, id DESC"
        )
        return [_entry(row) for row in rows]


def _entry(row: tuple[Any, ...]) -> Entry:
    key, about, owner, last, size, seen, closed = row
    return Entry(key, about, owner, last, size, seen, bool(closed))
