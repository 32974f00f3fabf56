"""Every way to call the SDK, sync and async, through a break in the middle of the answer."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.conftest import ANSWER, AsyncClock, read, request

import unbroken
from unbroken._doors.http import sdk_library
from unbroken.testing import faults

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def texts(events: Any) -> str:
    return "".join(e.delta.text for e in events if e.type == "content_block_delta")


def raw_create(client: anthropic.Anthropic) -> str:
    return texts(client.messages.create(**request(stream=True)))


def helper_events(client: anthropic.Anthropic) -> str:
    with client.messages.stream(**request()) as stream:
        found = ""
        for event in stream:
            if event.type == "text":
                found += event.text
                assert event.snapshot == found
        return found


def final_message(client: anthropic.Anthropic) -> str:
    with client.messages.stream(**request()) as stream:
        return stream.get_final_message().content[0].text


def beta_create(client: anthropic.Anthropic) -> str:
    return texts(client.beta.messages.create(**request(stream=True)))


def beta_stream(client: anthropic.Anthropic) -> str:
    with client.beta.messages.stream(**request()) as stream:
        return "".join(stream.text_stream)


def raw_response(client: anthropic.Anthropic) -> str:
    raw = client.messages.with_raw_response.create(**request(stream=True))
    assert raw.headers["request-id"]
    assert unbroken.report(raw).attempts
    return texts(raw.parse())


def streaming_response(client: anthropic.Anthropic) -> str:
    with client.messages.with_streaming_response.create(**request(stream=True)) as response:
        answer = texts(response.parse())
    assert response.elapsed.total_seconds() > 0
    return answer


def raw_lines(client: anthropic.Anthropic) -> str:
    with client.messages.with_streaming_response.create(**request(stream=True)) as response:
        data = [json.loads(x[6:]) for x in response.iter_lines() if x.startswith("data: ")]
    return "".join(d["delta"]["text"] for d in data if d["type"] == "content_block_delta")


def options(client: anthropic.Anthropic) -> str:
    return raw_create(client.with_options(timeout=20, max_retries=3))


def extra_body(client: anthropic.Anthropic) -> str:
    return texts(client.messages.create(**request(stream=True), extra_body={"metadata": {}}))


SURFACES = [
    raw_create,
    helper_events,
    final_message,
    beta_create,
    beta_stream,
    raw_response,
    streaming_response,
    raw_lines,
    options,
    extra_body,
]


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
def test_a_stream_is_whole(serve, connect, surface: Callable[[anthropic.Anthropic], str]):
    server = serve(faults=[faults.reset(after_chars=77), faults.status(529)])
    assert surface(connect(server)) == ANSWER
    assert len(server.requests) == 3


def plain_create(client: anthropic.Anthropic) -> str:
    return client.messages.create(**request()).content[0].text


def plain_beta(client: anthropic.Anthropic) -> str:
    return client.beta.messages.create(**request()).content[0].text


def plain_raw(client: anthropic.Anthropic) -> str:
    raw = client.messages.with_raw_response.create(**request())
    assert len(unbroken.report(raw).attempts) == 2
    return raw.parse().content[0].text


def plain_streaming_response(client: anthropic.Anthropic) -> str:
    with client.messages.with_streaming_response.create(**request()) as response:
        return response.parse().content[0].text


PLAIN = [plain_create, plain_beta, plain_raw, plain_streaming_response]
CUTS = {
    "cut body": faults.close(after_bytes=99),
    "reset body": faults.reset(after_bytes=99),
    "short body": faults.eof(after_bytes=99),
    "a proxy's page": faults.html(),
    "overloaded": faults.status(529),
}


@pytest.mark.parametrize("surface", PLAIN, ids=lambda surface: surface.__name__)
@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS)
def test_a_plain_answer_is_whole(serve, connect, surface, fault):
    server = serve(faults=[fault])
    assert surface(connect(server)) == ANSWER
    assert len(server.requests) == 2


async def async_text(client: anthropic.AsyncAnthropic) -> str:
    async with client.messages.stream(**request()) as stream:
        return "".join([text async for text in stream.text_stream])


async def async_create(client: anthropic.AsyncAnthropic) -> str:
    stream = await client.messages.create(**request(stream=True))
    return texts([event async for event in stream])


async def async_beta(client: anthropic.AsyncAnthropic) -> str:
    async with client.beta.messages.stream(**request()) as stream:
        return (await stream.get_final_message()).content[0].text


async def async_raw(client: anthropic.AsyncAnthropic) -> str:
    raw = await client.messages.with_raw_response.create(**request(stream=True))
    parsed: Any = raw.parse()
    stream = await parsed if inspect.isawaitable(parsed) else parsed  # 0.x has nothing to await
    return texts([event async for event in stream])


async def async_streaming_response(client: anthropic.AsyncAnthropic) -> str:
    async with client.messages.with_streaming_response.create(**request(stream=True)) as response:
        stream = await response.parse()
        answer = texts([event async for event in stream])
    assert response.elapsed.total_seconds() > 0
    return answer


ASYNC = [async_text, async_create, async_beta, async_raw, async_streaming_response]


@pytest.mark.parametrize("surface", ASYNC, ids=lambda surface: surface.__name__)
def test_an_async_stream_is_whole(
    serve, surface: Callable[[anthropic.AsyncAnthropic], Awaitable[str]]
):
    server = serve(faults=[faults.reset(after_chars=77), faults.status(529), faults.eof()])

    async def run() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            return await surface(unbroken.wrap(client, clock=AsyncClock()))

    assert asyncio.run(run()) == ANSWER
    assert len(server.requests) == 4


def test_an_async_plain_answer_is_whole(serve):
    server = serve(faults=[faults.close(after_bytes=99), faults.status(429)])

    async def run() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            wrapped = unbroken.wrap(client, clock=AsyncClock())
            return (await wrapped.messages.create(**request())).content[0].text

    assert asyncio.run(run()) == ANSWER
    assert len(server.requests) == 3


def test_trio_works_too(serve):
    import trio

    server = serve(faults=[faults.reset(after_chars=77), faults.status(500)])

    async def run() -> str:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            return await async_text(unbroken.wrap(client, unbroken.Policy(time_scale=0)))

    assert trio.run(run) == ANSWER


def test_the_wrapped_client_is_of_the_same_class_and_the_given_one_stays_as_it_is(serve):
    class Mine(anthropic.Anthropic):
        pass

    client = Mine(base_url=serve().url, api_key="test", max_retries=4)
    wrapped = unbroken.wrap(client)
    assert type(wrapped) is Mine
    assert (client.max_retries, list(client.middleware)) == (4, [])
    assert (wrapped.max_retries, len(wrapped.middleware)) == (0, 1)
    client.close()


@pytest.mark.parametrize("strict", [True, False])
def test_the_wrapped_client_validates_responses_as_the_given_one(serve, strict):
    body = {"id": 3, "type": "message"}
    server = serve()
    http = anthropic.DefaultHttpxClient(
        transport=sdk_library().MockTransport(lambda _: sdk_library().Response(200, json=body))
    )
    with anthropic.Anthropic(
        base_url=server.url, api_key="test", http_client=http, _strict_response_validation=strict
    ) as client:
        for one in (client, unbroken.wrap(client, unbroken.Policy(time_scale=0))):
            error = anthropic.APIResponseValidationError
            with pytest.raises(error) if strict else nullcontext():
                one.messages.create(**request())


def test_wrapping_twice_is_wrapping_once(serve, connect):
    server = serve(faults=[faults.status(500)] * 9)
    client = connect(server)
    again = unbroken.wrap(client, unbroken.Policy(max_attempts=2, time_scale=0))
    assert len(again.middleware) == 1
    with pytest.raises(anthropic.InternalServerError):
        again.messages.create(**request())
    assert len(server.requests) == 2


def test_the_middleware_can_be_given_to_a_constructor(serve):
    server = serve(faults=[faults.reset(after_chars=50)])
    middleware = unbroken.RecoveryMiddleware(unbroken.Policy(time_scale=0))
    with anthropic.Anthropic(
        base_url=server.url, api_key="test", middleware=[middleware], max_retries=0
    ) as client:
        assert read(client)[0] == ANSWER


def test_the_frames_of_a_whole_stream_are_passed_on_as_they_came(serve, connect):
    def frames(client: anthropic.Anthropic) -> list[bytes]:
        with client.messages.with_streaming_response.create(**request(stream=True)) as response:
            found = re.sub(rb"msg_\w+", b"", response.read()).split(b"\n\n")
        # A block is opened with its first characters, so a ping may come before it.
        return [frame for frame in found if b"ping" not in frame]

    server = serve(ping_every=4)
    with anthropic.Anthropic(base_url=server.url, api_key="test") as bare:
        assert frames(bare) == frames(connect(server))


def test_connections_are_used_again(serve, connect):
    server = serve()
    client = connect(server)
    for _ in range(4):
        assert read(client)[0] == ANSWER
    assert server.wait_idle()
    assert server.open_connections == 1


def test_what_is_no_client_is_refused():
    with pytest.raises(TypeError, match="client of anthropic"):
        unbroken.wrap(object())
    with pytest.raises(ValueError, match="policy"):
        unbroken.RecoveryMiddleware("fast")
    with pytest.raises(ValueError, match="on_event"):
        unbroken.RecoveryMiddleware(on_event=3)
    with pytest.raises(TypeError, match="no report"):
        unbroken.report("x")
