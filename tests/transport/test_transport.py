from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import anthropic
import pytest
from tests.samples import AT_ONCE, HEADERS, STORY
from tests.transport.callers import DROPS, answering, body

import unbroken
from unbroken import FailureKind, Policy
from unbroken.testing import FaultServer, faults
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

EVERY_DROP = {
    **DROPS,
    "half_frame": faults.half_frame(after_chars=20),
    "close_at_a_byte": faults.close(after_bytes=700),
    "garbage": faults.garbage(after_chars=20),
    "after_stop_reason": faults.eof(after_stop_reason=True),
}


def url(server: FaultServer) -> str:
    return f"{server.url}/v1/messages"


@pytest.mark.parametrize("fault", EVERY_DROP.values(), ids=EVERY_DROP)
def test_a_stream_reaches_its_end(caller, server, fault):
    server.script(fault)
    read = caller.stream(url(server), body(stream=True))
    assert read.error is None
    assert read.text == STORY
    assert (read.kinds[0], read.kinds[-1]) == ("message_start", "message_stop")
    assert unbroken.report(read.response).attempts[-1].outcome == "complete"


@pytest.mark.parametrize("fault", [faults.reset_before(), faults.status(500), faults.close()])
def test_a_whole_answer_comes(caller, server, fault):
    server.script(fault)
    response = caller.send("POST", url(server), json=body())
    assert response.json()["content"][0]["text"] == STORY
    assert response.elapsed.total_seconds() > 0
    assert unbroken.report(response).recovered


def test_many_drops(caller, server):
    server.script(*(faults.reset(after_chars=60) for _ in range(3)))
    assert caller.stream(url(server), body(stream=True)).text == STORY


def test_a_continuation_differs_in_its_body_alone(caller, server):
    server.script(faults.eof(after_chars=40))
    headers = {**HEADERS, "anthropic-beta": "a-2026-01-01", "x-mine": "ü".encode()}
    caller.stream(url(server), body(stream=True), headers=headers)
    first, second = (dict(request.headers) for request in server.message_requests)
    assert int(first.pop("content-length")) < int(second.pop("content-length"))
    assert first == second
    assert [turn["role"] for turn in server.message_requests[1].body["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


def test_a_retry_is_sent_as_the_caller_wrote_it(caller, server):
    sent: list[bytes] = []

    def recording(inner: Any) -> Any:
        library = caller.library
        base = library.AsyncBaseTransport if caller.is_async else library.BaseTransport

        class Recording(base):  # type: ignore[misc, valid-type]
            def handle_request(self, request: Any) -> Any:
                sent.append(request.content)
                return inner.handle_request(request)

            async def handle_async_request(self, request: Any) -> Any:
                sent.append(request.content)
                return await inner.handle_async_request(request)

            def close(self) -> None:
                inner.close()

            async def aclose(self) -> None:
                await inner.aclose()

        return Recording()

    server.script(faults.status(529), faults.reset_before())
    raw = json.dumps(body(stream=True), indent=3).encode()
    headers = {**HEADERS, "content-type": "application/json"}
    read = caller.stream(url(server), raw, caller.transport(inner=recording), headers=headers)
    assert read.text == STORY
    assert sent == [raw] * 3


def test_a_streamed_request_body(caller, server):
    parts = [json.dumps(body(stream=True)).encode()]
    headers = {**HEADERS, "content-type": "application/json"}

    async def generate() -> Any:
        for part in parts:
            yield part

    server.script(faults.eof(after_chars=20))
    content = generate() if caller.is_async else iter(parts)
    assert caller.stream(url(server), content, headers=headers).text == STORY


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/v1/messages/count_tokens", json.dumps(body())),
        ("GET", "/v1/models", ""),
        ("POST", "/v1/messages", "no JSON"),
        ("POST", "/v1/messages", "[]"),
        ("POST", "/v1/messages", "{}"),
        ("POST", "/model/amazon.nova-lite/invoke", '{"messages": []}'),
    ],
)
def test_other_requests_are_left_alone(caller, method, path, content):
    seen = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return caller.library.Response(529, content=b"busy")

    transport = caller.transport(inner=lambda _: answering(caller, answer))
    response = caller.send(method, "http://api.test" + path, transport, content=content)
    assert (response.status_code, response.content) == (529, b"busy")
    assert "x-should-retry" not in response.headers
    assert len(seen) == 1
    with pytest.raises(TypeError, match="no report"):
        unbroken.report(response)


def test_base_urls_with_a_prefix(caller):
    def answer(request: Any) -> Any:
        answers.append(request.url.path)
        status = 529 if len(answers) == 1 else 200
        return caller.library.Response(status, json={"type": "message", "content": []})

    answers: list[str] = []
    transport = caller.transport(inner=lambda _: answering(caller, answer))
    response = caller.send("POST", "http://api.test/a/b/v1/messages", transport, json=body())
    assert response.status_code == 200
    assert answers == ["/a/b/v1/messages"] * 2


# What is given up


def test_an_error_response_is_returned(caller, server):
    server.script(*[faults.status(529)] * 4)
    response = caller.send("POST", url(server), json=body())
    assert response.status_code == 529
    assert response.json()["error"]["type"] == "overloaded_error"
    assert response.headers["x-should-retry"] == "false"
    report = unbroken.report(response)
    assert [attempt.status for attempt in report.attempts] == [529] * 4
    assert "max_fruitless" in str(report.explanation)


def test_a_refusal_is_returned_at_once(caller, server):
    read = caller.stream(url(server), body(stream=True, max_tokens=0))
    assert read.response.status_code == 400
    assert len(server.requests) == 1


def test_no_connection(caller):
    with FaultServer() as server:
        gone = url(server)
    with pytest.raises(caller.library.ConnectError) as caught:
        caller.send("POST", gone, json=body())
    report = unbroken.report(caught.value)
    assert {attempt.failure.kind for attempt in report.attempts if attempt.failure} == {
        FailureKind.UNREACHABLE
    }


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (faults.reset(after_chars=20), "ReadError"),
        (faults.eof(after_chars=20), "RemoteProtocolError"),
        (faults.garbage(after_chars=20), "RemoteProtocolError"),
        (faults.close(after_chars=20), "RemoteProtocolError"),
        (faults.stall(after_chars=20), "ReadTimeout"),
        (faults.stall(after_chars=20, pings=True), "ReadTimeout"),
    ],
)
def test_a_broken_stream_raises_what_the_library_raises(caller, server, fault, name):
    server.script(fault)
    policy = AT_ONCE.replace(continuation="off", idle_timeout=0.2, progress_timeout=0.3)
    read = caller.stream(url(server), body(stream=True), caller.transport(policy))
    assert type(read.error) is getattr(caller.library, name)
    assert STORY.startswith(read.text)
    assert len(read.text) >= 15
    report = unbroken.report(read.error)
    assert report.partial is not None
    assert report.partial.content[0].text == read.text
    assert "Continuation(mode='off')" in str(report.explanation)
    assert len(server.requests) == 1


def test_an_error_event_is_passed_on(caller, server):
    server.script(faults.error_event(after_chars=20))
    transport = caller.transport(AT_ONCE.replace(continuation="off"))
    read = caller.stream(url(server), body(stream=True), transport)
    assert read.error is None
    assert read.events[-1]["error"]["type"] == "overloaded_error"


def test_an_error_status_after_the_stream_began_comes_as_an_event(caller, server):
    server.script(faults.reset(after_events=1), *[faults.status(429)] * 3)
    read = caller.stream(url(server), body(stream=True))
    assert read.response.status_code == 200
    assert read.error is None
    assert read.kinds == ["message_start", "error"]
    assert read.events[-1]["error"]["type"] == "rate_limit_error"


# Compression, timeouts, signatures


def test_compressed(caller):
    with FaultServer(STORY, gzip=True, faults=[faults.reset(after_chars=20)]) as server:
        read = caller.stream(url(server), body(stream=True))
        assert read.text == STORY
        assert read.response.headers["content-encoding"] == "gzip"
        server.script(faults.status(500))
        response = caller.send("POST", url(server), json=body())
        assert response.json()["content"][0]["text"] == STORY


@pytest.mark.parametrize("streams", [True, False])
def test_what_cannot_be_decompressed_is_left_alone(caller, streams):
    def answer(request: Any) -> Any:
        headers = {"content-encoding": "unheard-of"}
        return caller.library.Response(200, headers=headers, content=b"\x01\x02")

    transport = caller.transport(inner=lambda _: answering(caller, answer))
    response = caller.send(
        "POST", "http://api.test/v1/messages", transport, json=body(stream=streams)
    )
    assert response.content == b"\x01\x02"
    assert response.headers["content-encoding"] == "unheard-of"


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [(None, 7.0), (anthropic.DEFAULT_TIMEOUT.as_dict(), 7.0), (3.0, 3.0), ("none", None)],
)
def test_timeouts(caller, timeout, expected):
    seen = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions["timeout"])
        return caller.library.Response(400, json={})

    kwargs = {} if timeout is None else {"timeout": timeout}
    if timeout == "none":
        kwargs = {"timeout": None}
    elif isinstance(timeout, dict):
        kwargs = {"timeout": caller.library.Timeout(**timeout)}
    policy = AT_ONCE.replace(idle_timeout=7.0)
    for streams in (True, False):
        transport = caller.transport(policy, inner=lambda _: answering(caller, answer))
        asked = body(stream=streams)
        caller.send("POST", "http://api.test/v1/messages", transport, json=asked, **kwargs)
    assert seen[0]["read"] == expected
    whole = (
        {None: 5.0, "none": None}.get(timeout, timeout) if not isinstance(timeout, dict) else 600
    )
    assert seen[1]["read"] == whole


def test_a_deadline_bounds_reading(caller, server):
    server.script(faults.stall(after_chars=20))
    policy = AT_ONCE.replace(deadline=0.3)
    read = caller.stream(url(server), body(stream=True), caller.transport(policy))
    assert isinstance(read.error, caller.library.ReadTimeout)


def test_signed_bodies_are_never_changed(caller, server):
    signed = {**HEADERS, "authorization": "AWS4-HMAC-SHA256 Credential=..., Signature=..."}
    server.script(faults.status(529), faults.reset(after_chars=20))
    read = caller.stream(url(server), body(stream=True), headers=signed)
    assert isinstance(read.error, caller.library.ReadError)
    assert [request.kind for request in server.requests] == ["fresh", "fresh"]


# Life


def test_it_is_a_transport_of_its_library(caller):
    transport = caller.transport()
    name = "AsyncBaseTransport" if caller.is_async else "BaseTransport"
    assert isinstance(transport, getattr(caller.library, name))
    assert isinstance(transport, AsyncRecoveryTransport if caller.is_async else RecoveryTransport)


def test_wrong_arguments(caller):
    library = caller.library
    with pytest.raises(TypeError, match="neither httpx nor httpx2"):
        RecoveryTransport(object())
    with pytest.raises(TypeError, match="inner must be an BaseTransport, not AsyncHTTPTransport"):
        RecoveryTransport(library.AsyncHTTPTransport())
    with pytest.raises(TypeError, match="inner must be an AsyncBaseTransport, not HTTPTransport"):
        AsyncRecoveryTransport(library.HTTPTransport())
    with pytest.raises(ValueError, match="policy must be a Policy"):
        caller.transport({})


def test_the_environment_makes_the_policy(caller, server, monkeypatch):
    monkeypatch.setenv("UNBROKEN_MAX_ATTEMPTS", "1")
    transport = caller.transport(None)
    server.script(faults.status(529))
    assert caller.send("POST", url(server), transport, json=body()).status_code == 529


def test_override(caller, server):
    server.script(faults.status(529))
    with unbroken.override(Policy(max_attempts=1)):
        assert caller.send("POST", url(server), json=body()).status_code == 529


def test_events(caller, server):
    happened: list[Any] = []
    server.script(faults.reset(after_chars=20))
    caller.stream(url(server), body(stream=True), caller.transport(on_event=happened.append))
    assert [type(event).__name__ for event in happened] == [
        "AttemptStarted",
        "AttemptFailed",
        "Waiting",
        "AttemptStarted",
        "Resumed",
        "Completed",
    ]


def test_a_client_of_the_sdk_on_top(caller, server):
    if caller.library.__name__ != anthropic.DefaultHttpxClient.__mro__[1].__module__:
        pytest.skip("the installed SDK is built on the other library")
    asked: Any = body()
    server.script(faults.status(529), faults.reset(after_chars=20), faults.eof(after_chars=5))
    common: Any = {"base_url": server.url, "api_key": "test", "max_retries": 0}
    if caller.is_async:

        async def text() -> str:
            http = caller.library.AsyncClient(transport=caller.transport())
            client = anthropic.AsyncAnthropic(http_client=http, **common)
            async with client, client.messages.stream(**asked) as stream:
                return await stream.get_final_text()

        assert asyncio.run(text()) == STORY
    else:
        http = caller.library.Client(transport=caller.transport())
        with (
            anthropic.Anthropic(http_client=http, **common) as client,
            client.messages.stream(**asked) as stream,
        ):
            assert stream.get_final_text() == STORY


def test_closing_closes_the_connection(caller, server):
    server.script(faults.stall(after_chars=20), faults.stall(after_chars=20))
    library = caller.library

    async def aleave() -> None:
        async with library.AsyncClient(transport=caller.transport()) as client:
            for reads in (True, False):
                asked = {"headers": HEADERS, "json": body(stream=True)}
                async with client.stream("POST", url(server), **asked) as response:
                    if reads:
                        await anext(response.aiter_bytes())
                assert await asyncio.to_thread(server.wait_closed)

    if caller.is_async:
        asyncio.run(aleave())
        return
    with library.Client(transport=caller.transport()) as client:
        for reads in (True, False):
            asked = {"headers": HEADERS, "json": body(stream=True)}
            with client.stream("POST", url(server), **asked) as response:
                if reads:
                    next(response.iter_bytes())
            assert server.wait_closed()


def test_closing_from_another_thread_is_no_drop(caller, server):
    if caller.is_async:
        pytest.skip("threads only")
    server.script(faults.stall(after_chars=20))
    with (
        caller.library.Client(transport=caller.transport()) as client,
        client.stream("POST", url(server), headers=HEADERS, json=body(stream=True)) as response,
    ):
        timer = threading.Timer(0.1, response.stream.close)
        timer.start()
        with pytest.raises((caller.library.StreamError, caller.library.TransportError)):
            response.read()
        timer.join()
    assert len(server.requests) == 1


def test_connections_are_used_again(caller, server):
    library = caller.library
    asked = {"headers": HEADERS, "json": body(stream=True)}

    async def aread() -> None:
        async with library.AsyncClient(transport=caller.transport()) as client:
            for _ in range(3):
                await client.post(url(server), **asked)
            assert server.open_connections == 1

    if caller.is_async:
        asyncio.run(aread())
        return
    with library.Client(transport=caller.transport()) as client:
        for _ in range(3):
            client.post(url(server), **asked)
        assert server.open_connections == 1


def fail(_: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize("fault", [faults.reset_before(), faults.status(529)], ids=repr)
def test_a_wait_that_raises_is_raised_with_the_failure_as_its_cause(caller, server, fault):
    rules = dict.fromkeys(FailureKind, unbroken.Rule(retry=True, wait=fail))
    server.script(fault)
    transport = caller.transport(unbroken.Policy(rules=rules))
    with pytest.raises(ZeroDivisionError) as raised:
        caller.stream(url(server), body(stream=True), transport)
    assert isinstance(raised.value.__cause__, caller.library.HTTPError)
    assert unbroken.report(raised.value).reason is unbroken.Reason.CALLBACK
