"""Journals in trouble: no space, no permission, a server that goes away, or is slow."""

from __future__ import annotations

import socket
import sqlite3
import time

import anthropic
import anyio
import pytest
from tests.journal.redis_server import RedisServer
from tests.journal.test_calls import ASK, STORY, read
from tests.samples import AT_ONCE

import unbroken
from unbroken.journal import JournalUnavailable, SqliteJournal
from unbroken.journal.redis import RedisJournal


@pytest.fixture
def server(fault_server):
    fault_server.answer = STORY
    return fault_server


@pytest.fixture
def file(tmp_path):
    journal = SqliteJournal(tmp_path / "answers.db")
    yield journal
    journal.dispose()


def fill(journal) -> None:
    """Let the file grow no more, as on a disk without space."""
    with journal._using() as opened:
        [pages] = opened.writing.execute("PRAGMA page_count").fetchone()
        opened.writing.execute(f"PRAGMA max_page_count = {pages}")


def test_a_disk_without_space_costs_no_answer(server, connect_to, file, caplog):
    client = connect_to(server, file)
    read(client, "before")
    fill(file)
    assert read(client, "after", max_tokens=3000)[0] == STORY
    assert "full" in caplog.text


def test_a_disk_that_fills_up_in_the_middle_costs_no_answer(server, connect_to, file, caplog):
    client = connect_to(server, file)
    with unbroken.durable("job"), client.messages.stream(**ASK) as stream:
        for at, _ in enumerate(stream):
            if at == 20:
                fill(file)
        assert stream.get_final_text() == STORY
    assert "full" in caplog.text
    assert read(client)[0] == STORY


def test_a_file_that_may_not_be_written_costs_no_answer(server, connect_to, file, caplog):
    client = connect_to(server, file)
    with file._using() as opened:
        opened.writing.execute("PRAGMA query_only = ON")
    assert read(client)[0] == STORY
    assert "readonly" in caplog.text


def test_a_file_that_another_process_locks_is_unavailable(file):
    with file._using() as opened:
        opened.writing.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(file._path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalUnavailable, match="locked"):
        file.claim("k", "a")
    other.execute("COMMIT")
    other.close()
    assert file.claim("k", "a").granted


@pytest.fixture
def connect_to():
    clients = []

    def make(server, journal):
        clients.append(anthropic.Anthropic(base_url=server.url, api_key="test"))
        return unbroken.wrap(clients[-1], AT_ONCE, journal=journal)

    yield make
    for client in clients:
        client.close()


def test_redis_that_goes_away_costs_no_answer_and_is_used_again(server, connect_to, tmp_path):
    redis = RedisServer(tmp_path).start()
    journal = RedisJournal(redis.url, timeout=1.0)
    client = connect_to(server, journal)
    try:
        with unbroken.durable("job"), client.messages.stream(**ASK) as stream:
            for at, _ in enumerate(stream):
                if at == 20:
                    redis.stop()
            assert stream.get_final_text() == STORY
        assert read(client, "without")[0] == STORY
        made = len(server.requests)
        redis.start()
        for _ in range(2):
            assert read(client, "back")[0] == STORY
        assert len(server.requests) == made + 1
    finally:
        journal.dispose()
        redis.stop()


def test_redis_that_does_not_answer_costs_no_answer(server, connect_to, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        journal = RedisJournal(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        assert read(connect_to(server, journal))[0] == STORY
        journal.dispose()
    assert "Timeout" in caplog.text


def test_a_slow_journal_does_not_block_the_event_loop(server, file):
    append = file.append_all

    def slow(jobs):
        time.sleep(0.03)
        return append(jobs)

    file.append_all = slow
    ticks = []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await anyio.sleep(0.001)

    async def main():
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as bare:
            client = unbroken.wrap(bare, AT_ONCE, journal=file)
            with unbroken.durable("job"):
                async with (
                    client.messages.stream(**ASK) as stream,
                    anyio.create_task_group() as group,
                ):
                    group.start_soon(tick)
                    text = await stream.get_final_text()
                    group.cancel_scope.cancel()
        assert text == STORY

    anyio.run(main)  # no blocking call is allowed in it
    assert len(ticks) > 20
    assert file.read(file.entries()[0].key).frames
