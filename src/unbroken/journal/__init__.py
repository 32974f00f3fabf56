"""Durable answers: what a caller was given is appended to a journal before it is delivered."""

from unbroken.journal._tasks import InThreads
from unbroken.journal.protocol import (
    AsyncJournal,
    Claim,
    Deposed,
    Entry,
    EntryState,
    Journal,
    JournalUnavailable,
    Page,
)
from unbroken.journal.sqlite import SqliteJournal
from unbroken.journal.urls import from_url

__all__ = [
    "AsyncJournal",
    "Claim",
    "Deposed",
    "Entry",
    "EntryState",
    "InThreads",
    "Journal",
    "JournalUnavailable",
    "Page",
    "SqliteJournal",
    "from_url",
]
