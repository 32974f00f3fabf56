"""Fixtures for tests through the SDK on real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.samples import NEWEST

import unbroken
from unbroken.testing import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = """\
The night train left the harbour town at ten. On the platform stood two men who said nothing at \
all: one held a lantern, the other “a letter”.

- The first was old; the second was older — 七十歳.
- Ha ha ha, said neither of them."""


class Clock:
    """A clock that stands still but for waits, and writes those down."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_800_000_000.0

    def sleep(self, seconds: float, interrupt: Any) -> None:
        self.waits.append(seconds)
        self.time += seconds


class AsyncClock(Clock):
    async def sleep(self, seconds: float, interrupt: Any) -> None:  # type: ignore[override]
        self.waits.append(seconds)
        self.time += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def async_clock() -> AsyncClock:
    return AsyncClock()


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultServer]]:
    """Starts servers, which are closed after the test."""
    servers: list[FaultServer] = []

    def start(answer: Any = ANSWER, **settings: Any) -> FaultServer:
        servers.append(FaultServer(answer, **settings).start())
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect(clock: Clock) -> Iterator[Callable[..., anthropic.Anthropic]]:
    """Makes wrapped clients, which are closed after the test."""
    clients: list[anthropic.Anthropic] = []

    def make(server: FaultServer, policy: Any = None, **settings: Any) -> anthropic.Anthropic:
        options = {"clock": clock, **settings}
        client = anthropic.Anthropic(base_url=server.url, api_key="test")
        clients.append(client)
        return unbroken.wrap(client, policy, **options)

    yield make
    for client in clients:
        client.close()


def request(**fields: Any) -> dict[str, Any]:
    return {
        "model": NEWEST,
        "max_tokens": 10_000,
        "messages": [{"role": "user", "content": "Tell me a story."}],
        **fields,
    }


def read(client: anthropic.Anthropic, **fields: Any) -> tuple[str, Any]:
    """The text and the stream of a streamed message."""
    with client.messages.stream(**request(**fields)) as stream:
        text = "".join(stream.text_stream)
        assert stream.get_final_message().stop_reason is not None
    return text, stream
