"""Entries that a process writes are kept alive."""

from __future__ import annotations

import os
import time

import pytest

from unbroken.journal import EntryState, SqliteJournal
from unbroken.journal.signs import SignsOfLife

PATIENCE = 10.0


@pytest.fixture
def journal(tmp_path):
    journal = SqliteJournal(tmp_path / "answers.db", lease=0.06)
    yield journal
    journal.dispose()


def eventually(holds) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def seen(journal) -> float:
    [entry] = journal.entries()
    return entry.seen


def test_an_entry_is_renewed_until_it_is_left(journal):
    signs = SignsOfLife(journal)
    journal.claim("k", "a")
    first = seen(journal)
    signs.add("k", "a")
    eventually(lambda: seen(journal) > first)
    signs.leave("k", "a")
    eventually(lambda: journal.entries()[0].owner is None)


def test_an_entry_that_is_removed_is_renewed_no_more(journal):
    signs = SignsOfLife(journal)
    journal.claim("k", "a")
    signs.add("k", "a")
    signs.remove("k", "a")
    eventually(lambda: journal.read("k").state is EntryState.LEFT)


def test_a_deposed_owner_renews_nothing(journal):
    signs = SignsOfLife(journal)
    journal.claim("k", "a")
    journal.leave("k", "a")
    journal.claim("k", "b")
    signs.add("k", "a")
    eventually(lambda: journal.read("k").state is EntryState.LEFT)


def test_a_forked_process_keeps_no_entry_of_its_parent_alive(journal):
    signs = SignsOfLife(journal)
    journal.claim("parent", "a")
    signs.add("parent", "a")
    child = os.fork()
    if child == 0:  # pragma: no cover  # another process
        try:
            journal.claim("child", "b")
            signs.add("child", "b")
            first = journal.read("child").state
            time.sleep(0.1)
            os._exit(0 if first is journal.read("child").state is EntryState.ALIVE else 1)
        finally:
            os._exit(2)
    signs.remove("parent", "a")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    eventually(lambda: journal.read("parent").state is EntryState.LEFT)
    eventually(lambda: journal.read("child").state is EntryState.LEFT)
