"""Imported by the process that workers are forked from: what a first call loads is loaded there."""

from __future__ import annotations

import tempfile

import anthropic
import redis
from tests.journal.worker import ask
from tests.samples import AT_ONCE

import unbroken
from unbroken.journal import SqliteJournal
from unbroken.testing import FaultServer

__all__ = ["redis"]

with tempfile.TemporaryDirectory() as folder, FaultServer() as server:
    journal = SqliteJournal(f"{folder}/answers.db")
    with anthropic.Anthropic(base_url=server.url, api_key="test") as bare:
        client = unbroken.wrap(bare, AT_ONCE, journal=journal)
        with unbroken.durable("warm"), client.messages.stream(**ask(0)) as stream:
            stream.until_done()
    journal.dispose()
