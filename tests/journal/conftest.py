"""Journals of both kinds, and a Redis server for all tests of a process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.journal.redis_server import RedisServer
from tests.samples import AT_ONCE

import unbroken
from unbroken.journal import from_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unbroken.journal import Journal
    from unbroken.testing import FaultServer


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(_redis: RedisServer) -> str:
    """The URL of a server that is empty."""
    _redis.flush()
    return _redis.url


@pytest.fixture(params=["sqlite", "redis"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """The URL of an empty journal, of both kinds."""
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    return f"sqlite:///{tmp_path / 'answers.db'}"


@pytest.fixture
def journal(journal_url: str) -> Iterator[Journal]:
    """An empty journal, of both kinds."""
    opened = from_url(f"{journal_url}?lease=0.4")
    yield opened
    opened.dispose()


@pytest.fixture
def connect(journal: Journal) -> Iterator[Callable[..., anthropic.Anthropic]]:
    """Makes clients with the journal, which are closed after the test."""
    with contextlib.ExitStack() as clients:

        def make(server: FaultServer, **settings: Any) -> anthropic.Anthropic:
            client = anthropic.Anthropic(base_url=server.url, api_key="sk-secret-key")
            clients.enter_context(client)
            options = {"journal": journal, **settings}
            return unbroken.wrap(client, options.pop("policy", AT_ONCE), **options)

        yield make
