"""The journal in a file."""

from __future__ import annotations

import os
import sqlite3
import stat

import pytest

from unbroken.journal import JournalUnavailable, SqliteJournal
from unbroken.journal.testkit import JournalTests


class TestSqliteJournal(JournalTests):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.path = tmp_path / "answers.db"

    def open(self, **settings):
        return SqliteJournal(self.path, **settings)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.db"


def test_the_files_are_readable_by_their_owner_alone(path):
    journal = SqliteJournal(path)
    journal.claim("k", "a")
    modes = {stat.S_IMODE(os.stat(file).st_mode) for file in path.parent.iterdir()}
    journal.dispose()
    assert modes == {0o600}


def test_a_file_that_is_no_database_is_refused(path):
    path.write_text("This is a letter to a friend, and much longer than a header.\n" * 20)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"answers\.db is not a database"):
        SqliteJournal(path)
    assert path.read_bytes() == before


def test_the_database_of_something_else_is_refused(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bills (id)")
    other.close()
    with pytest.raises(ValueError, match="the database of something else"):
        SqliteJournal(path)


def test_a_file_of_another_version_is_refused(path):
    SqliteJournal(path).dispose()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ValueError, match="another version"):
        SqliteJournal(path)


def test_a_directory_that_is_missing_is_named(path):
    with pytest.raises(JournalUnavailable, match="missing"):
        SqliteJournal(path.parent / "missing" / "answers.db")


@pytest.mark.parametrize(("field", "value"), [("lease", 0), ("lease", -1), ("ttl", -1)])
def test_wrong_settings_are_named(path, field, value):
    with pytest.raises(ValueError, match=field):
        SqliteJournal(path, **{field: value})
