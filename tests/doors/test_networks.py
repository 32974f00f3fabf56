"""Clients whose HTTP client speaks HTTP/2, or goes through a proxy."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.conftest import ANSWER, request
from tests.gateways.proxy import Proxy
from tests.transport.callers import DROPS

import unbroken
from unbroken._doors import http
from unbroken.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIBRARY = http.library_of(anthropic.DefaultHttpxClient)


@dataclass
class Network:
    """What is between a client and a server.

    Attributes:
        base_url: Where the client is to go.
        settings: Of its HTTP client.
        version: Of HTTP, as the client speaks it.
        between: The gateway or the proxy.
    """

    base_url: str
    settings: dict[str, Any]
    version: str
    between: Any

    @property
    def passed(self) -> int:
        """How many requests came this way."""
        if self.version == "HTTP/2":
            return sum(len(streams) for streams in self.between.streams)
        return len(self.between.targets)

    def client(self) -> anthropic.Anthropic:
        http = LIBRARY.Client(trust_env=False, **self.settings)
        client = anthropic.Anthropic(base_url=self.base_url, api_key="test", http_client=http)
        return unbroken.wrap(client, unbroken.Policy(time_scale=0))

    def async_client(self) -> anthropic.AsyncAnthropic:
        http = LIBRARY.AsyncClient(trust_env=False, **self.settings)
        client = anthropic.AsyncAnthropic(base_url=self.base_url, api_key="test", http_client=http)
        return unbroken.wrap(client, unbroken.Policy(time_scale=0))


@pytest.fixture(params=["HTTP/2", "proxy"])
def network(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Network]]:
    with ExitStack() as stack:

        def make(server: Any) -> Network:
            if request.param == "proxy":
                proxy = stack.enter_context(Proxy())
                return Network(server.url, {"proxy": proxy.url}, "HTTP/1.1", proxy)
            pytest.importorskip("h2")
            from tests.gateways.http2 import Http2Gateway

            gateway = stack.enter_context(Http2Gateway(server))
            return Network(gateway.url, {"http1": False, "http2": True}, "HTTP/2", gateway)

        yield make


async def read(client: anthropic.AsyncAnthropic, prompt: str = "Tell me a story.") -> Any:
    """The text and the HTTP version of a streamed message."""
    asked = request(messages=[{"role": "user", "content": prompt}])
    async with client.messages.stream(**asked) as stream:
        text = "".join([text async for text in stream.text_stream])
        return text, stream.response.http_version


@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
def test_a_stream_is_whole(serve, network, fault):
    server = serve(faults=[fault, faults.reset(after_chars=30)])
    there = network(server)
    with there.client() as client, client.messages.stream(**request()) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.response.http_version == there.version
    assert len(server.requests) == there.passed == 3


@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
def test_an_async_stream_is_whole(serve, network, fault):
    server = serve(faults=[fault, faults.reset(after_chars=30)])
    there = network(server)

    async def run() -> Any:
        async with there.async_client() as client:
            return await read(client)

    assert asyncio.run(run()) == (ANSWER, there.version)
    assert len(server.requests) == there.passed == 3


def test_a_plain_answer_is_whole(serve, network):
    server = serve(faults=[faults.close(after_bytes=99), faults.status(500)])
    there = network(server)
    with there.client() as client:
        assert client.messages.create(**request()).content[0].text == ANSWER
    assert there.passed == 3


def test_streams_at_the_same_time(serve, network):
    server = serve(
        lambda asked: f"{asked['messages'][0]['content']}: {ANSWER}",
        faults=[faults.reset(after_chars=77), None, faults.eof(after_chars=50)],
    )
    there = network(server)
    prompts = [f"Story {n}" for n in range(5)]

    async def run() -> Any:
        async with there.async_client() as client:
            return await asyncio.gather(*(read(client, prompt) for prompt in prompts))

    assert asyncio.run(run()) == [(f"{prompt}: {ANSWER}", there.version) for prompt in prompts]
    assert there.passed == 7
    assert there.version != "HTTP/2" or len(there.between.streams) == 1


@pytest.mark.parametrize("network", ["HTTP/2"], indirect=True)
def test_a_connection_whose_end_is_announced_is_replaced(serve, network):
    there = network(serve())
    there.between.goes_away = 2
    with there.client() as client, client.messages.stream(**request()) as stream:
        assert "".join(stream.text_stream) == ANSWER
    assert there.between.streams == [[1], [1], [1]]
