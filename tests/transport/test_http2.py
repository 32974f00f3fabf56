"""Streams that share a connection of HTTP/2."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pytest
from tests.samples import HEADERS, STORY
from tests.transport.callers import DROPS, Read, answering, body

import unbroken
from unbroken.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.transport.callers import Caller

OTHER = "There was another fox, and it told the first one “what” it had seen in the town."


@pytest.fixture
def gateway(server: Any) -> Iterator[Callable[..., Any]]:
    """Starts a gateway before the server, which tells a story to "A" and another one to "B"."""
    pytest.importorskip("h2")
    from tests.gateways.http2 import Http2Gateway

    server.answer = lambda asked: OTHER if asked["messages"][0]["content"] == "B" else STORY
    with ExitStack() as stack:
        yield lambda breaks="stream": stack.enter_context(Http2Gateway(server, breaks))


def over_http2(caller: Caller) -> Any:
    """A transport that begins with HTTP/2, as nothing negotiates it without TLS."""
    library = caller.library
    kind = library.AsyncHTTPTransport if caller.is_async else library.HTTPTransport
    return caller.transport(inner=lambda _: kind(verify=False, http1=False, http2=True))


def url(gateway: Any) -> str:
    return f"{gateway.url}/v1/messages"


def tell(who: str) -> dict[str, Any]:
    asked = body(stream=True, messages=[{"role": "user", "content": who}])
    return {"headers": HEADERS, "json": asked}


def take(read: Read, at_ping: Callable[[], Any] | None = None) -> None:
    """Read to the end, and do something at the first ping."""
    for line in read.response.iter_lines():
        read.take(line)
        if at_ping is not None and "ping" in line:
            at_ping()
            at_ping = None


async def atake(read: Read, at_ping: Callable[[], Any] | None = None) -> None:
    async for line in read.response.aiter_lines():
        read.take(line)
        if at_ping is not None and "ping" in line:
            at_ping()
            at_ping = None


@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
def test_a_stream_goes_on_over_its_connection(caller, server, gateway, fault):
    there = gateway()
    server.script(fault)
    read = caller.stream(url(there), body(stream=True), over_http2(caller))
    assert read.error is None
    assert read.text == STORY
    assert read.response.http_version == "HTTP/2"
    assert there.streams == [[1, 3]]


@pytest.mark.parametrize("breaks", ["connection", "goaway"])
def test_a_connection_that_breaks_is_replaced(caller, server, gateway, breaks):
    there = gateway(breaks)
    server.script(faults.reset(after_chars=20), faults.reset_before())
    read = caller.stream(url(there), body(stream=True), over_http2(caller))
    assert read.text == STORY
    assert there.streams == [[1], [1], [1]]


@pytest.mark.parametrize("streams", [True, False])
def test_a_connection_whose_end_is_announced_is_replaced(caller, server, gateway, streams):
    there = gateway()
    there.goes_away = 2
    response = caller.send("POST", url(there), over_http2(caller), json=body(stream=streams))
    assert response.is_success
    assert there.streams == [[1], [1], [1]]


@pytest.mark.parametrize("began_in_http2", [True, False])
def test_a_mistake_of_the_client_is_told_from_an_end(caller, server, began_in_http2):
    exceptions = pytest.importorskip("h2.exceptions")
    sent = []

    def fail(request: Any) -> Any:
        sent.append(request)
        try:
            raise exceptions.ProtocolError if began_in_http2 else ValueError
        except Exception as error:
            raise caller.library.LocalProtocolError("no") from error

    transport = caller.transport(inner=lambda _: answering(caller, fail))
    with pytest.raises(caller.library.LocalProtocolError):
        caller.send("POST", url(server), transport, json=body())
    assert len(sent) == (4 if began_in_http2 else 1)


@pytest.mark.parametrize("fault", [faults.reset_before(), faults.status(500), faults.close()])
def test_a_whole_answer_comes(caller, server, gateway, fault):
    there = gateway()
    server.script(fault)
    response = caller.send("POST", url(there), over_http2(caller), json=body())
    assert response.json()["content"][0]["text"] == STORY
    assert response.http_version == "HTTP/2"
    assert unbroken.report(response).recovered


# Two at a time


@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
def test_a_drop_leaves_the_other_stream_alone(caller, server, gateway, fault):
    there = gateway()
    server.script(fault)
    first, second = Read(), Read()

    def read_both() -> None:
        with (
            caller.library.Client(transport=over_http2(caller)) as client,
            client.stream("POST", url(there), **tell("A")) as first.response,
            client.stream("POST", url(there), **tell("B")) as second.response,
        ):
            lines = first.response.iter_lines(), second.response.iter_lines()
            for one, other in zip_longest(*lines, fillvalue=""):
                first.take(one)
                second.take(other)

    async def aread_both() -> None:
        async with (
            caller.library.AsyncClient(transport=over_http2(caller)) as client,
            client.stream("POST", url(there), **tell("A")) as first.response,
            client.stream("POST", url(there), **tell("B")) as second.response,
        ):
            await asyncio.gather(atake(first), atake(second))

    asyncio.run(aread_both()) if caller.is_async else read_both()
    assert (first.text, second.text) == (STORY, OTHER)
    assert there.streams == [[1, 3, 5]]
    assert len(unbroken.report(second.response).attempts) == 1


def test_an_early_end_leaves_the_other_stream_alone(caller, server, gateway):
    there = gateway()
    server.script(None, faults.stall(after_chars=20))
    left, other = Read(), Read()

    def leave() -> None:
        with (
            caller.library.Client(transport=over_http2(caller)) as client,
            client.stream("POST", url(there), **tell("B")) as other.response,
        ):
            with client.stream("POST", url(there), **tell("A")) as left.response:
                next(left.response.iter_bytes())
            take(other)
            assert client.post(url(there), **tell("B")).is_success

    async def aleave() -> None:
        async with (
            caller.library.AsyncClient(transport=over_http2(caller)) as client,
            client.stream("POST", url(there), **tell("B")) as other.response,
        ):
            async with client.stream("POST", url(there), **tell("A")) as left.response:
                await anext(left.response.aiter_bytes())
            await atake(other)
            assert (await client.post(url(there), **tell("B"))).is_success

    asyncio.run(aleave()) if caller.is_async else leave()
    assert other.text == OTHER
    assert unbroken.report(left.response).attempts[-1].outcome == "cancelled"
    assert there.streams == [[1, 3, 5]]
    # The libraries do not reset the stream that was left. It ends with the connection.
    assert there.resets == []
    assert server.wait_idle()


def test_closing_from_elsewhere_wakes_up_the_reader(caller, server, gateway):
    there = gateway()
    server.script(faults.stall(after_chars=20, pings=True, ping_interval=0.05))
    closed, other = Read(), Read()

    def close() -> None:
        with (
            caller.library.Client(transport=over_http2(caller)) as client,
            client.stream("POST", url(there), **tell("A")) as closed.response,
            client.stream("POST", url(there), **tell("B")) as other.response,
        ):
            closer = threading.Thread(target=closed.response.stream.close)
            with pytest.raises(caller.library.StreamClosed):
                take(closed, at_ping=closer.start)
            closer.join()
            take(other)

    async def close_in_a_task() -> None:
        async with (
            caller.library.AsyncClient(transport=over_http2(caller)) as client,
            client.stream("POST", url(there), **tell("A")) as closed.response,
            client.stream("POST", url(there), **tell("B")) as other.response,
            asyncio.TaskGroup() as group,
        ):
            aclose = closed.response.stream.aclose  # in a task, which begins when the reader waits
            with pytest.raises(caller.library.StreamClosed):
                await atake(closed, at_ping=lambda: group.create_task(aclose()))
            await atake(other)

    asyncio.run(close_in_a_task()) if caller.is_async else close()
    assert other.text == OTHER
    assert there.streams == [[1, 3]]
