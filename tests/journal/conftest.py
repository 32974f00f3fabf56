"""A Redis server for all tests of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.journal.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


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
