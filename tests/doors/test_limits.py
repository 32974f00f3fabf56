"""Bounds end attempts that hang, wherever they hang.

No timeout of the client or the policy would end them: without the bound, these tests hang.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import httpx
import pytest
from tests.doors.conftest import ANSWER, read, request

import unbroken
from unbroken import FailureKind, Policy, Reason
from unbroken._doors.http import sdk_library
from unbroken.testing import faults
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SHORT = 0.2
ENDLESS = {"idle_timeout": None, "progress_timeout": None, "time_scale": 0, "budget": None}
OUTAGE = Policy(max_outage=SHORT, **ENDLESS)
DEADLINE = Policy(deadline=SHORT, **ENDLESS)

HANGS = {
    "before the headers": faults.hang(),
    "at the first byte": faults.stall(),
    "after the first event": faults.stall(after_events=1),
    "with pings": faults.stall(after_events=1, pings=True),
}


def ask(url: str, policy: Policy, *, is_async: bool, **fields: Any) -> unbroken.RecoveryReport:
    """The report of a call that is given up."""
    if not is_async:
        with anthropic.Anthropic(base_url=url, api_key="test", timeout=None) as client:
            return _ask(unbroken.wrap(client, policy), fields)

    async def run() -> unbroken.RecoveryReport:
        async with anthropic.AsyncAnthropic(base_url=url, api_key="test", timeout=None) as client:
            return await _ask_async(unbroken.wrap(client, policy), fields)

    return anyio.run(run)


def _ask(client: Any, fields: dict[str, Any]) -> unbroken.RecoveryReport:
    with pytest.raises(anthropic.APIConnectionError) as raised:
        list(client.messages.create(**request(**fields)))
    return unbroken.report(raised.value)


async def _ask_async(client: Any, fields: dict[str, Any]) -> unbroken.RecoveryReport:
    with pytest.raises(anthropic.APIConnectionError) as raised:
        [event async for event in await client.messages.create(**request(**fields))]
    return unbroken.report(raised.value)


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
@pytest.mark.parametrize("fault", HANGS.values(), ids=HANGS)
def test_an_outage_ends_while_an_attempt_hangs(serve, fault, is_async):
    server = serve(faults=[faults.reset_before(), *[fault] * 50])
    report = ask(server.url, OUTAGE, is_async=is_async, stream=True)
    assert report.reason is Reason.MAX_OUTAGE
    assert report.attempts[-1].failure.kind is FailureKind.STALLED


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
@pytest.mark.parametrize(
    "fault",
    [*HANGS.values(), faults.stall(after_chars=30), faults.stall(after_chars=30, pings=True)],
    ids=[*HANGS, "in the middle", "with pings in the middle"],
)
def test_the_deadline_ends_a_stream_that_hangs(serve, fault, is_async):
    server = serve(faults=[fault] * 50)
    report = ask(server.url, DEADLINE, is_async=is_async, stream=True)
    assert report.reason is Reason.DEADLINE
    assert report.attempts[-1].failure.kind is FailureKind.STALLED


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
@pytest.mark.parametrize("policy", [OUTAGE, DEADLINE], ids=["outage", "deadline"])
def test_a_plain_call_that_hangs_is_ended(serve, policy, is_async):
    server = serve(faults=[faults.reset_before(), *[faults.hang()] * 50])
    report = ask(server.url, policy, is_async=is_async)
    assert report.reason in (Reason.MAX_OUTAGE, Reason.DEADLINE)
    assert [attempt.failure.kind for attempt in report.attempts][-1] is FailureKind.STALLED


@pytest.fixture
def unaccepting() -> Iterator[str]:
    """The URL of a socket whose queue of connections is full, so that connecting hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "tasks"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_connecting_is_bounded(unaccepting, stream, is_async):
    report = ask(unaccepting, DEADLINE, is_async=is_async, stream=stream)
    assert report.reason is Reason.DEADLINE
    assert report.attempts[-1].failure.kind is FailureKind.UNREACHABLE


def test_waiting_for_the_pool_is_bounded(serve):
    server = serve(faults=[faults.stall(after_chars=30)])
    http = anthropic.DefaultHttpxClient(limits=sdk_library().Limits(max_connections=1))
    with anthropic.Anthropic(
        base_url=server.url, api_key="test", timeout=None, http_client=http
    ) as client:
        held = client.messages.create(**request(stream=True))
        next(iter(held))
        report = _ask(unbroken.wrap(client, DEADLINE), {"stream": True})
        held.close()
    assert report.reason is Reason.DEADLINE
    assert report.attempts[0].failure.kind is FailureKind.UNREACHABLE


@pytest.mark.parametrize("fault", HANGS.values(), ids=HANGS)
def test_a_transport_is_bounded_in_the_same_way(serve, fault):
    server = serve(faults=[faults.reset_before(), *[fault] * 50])
    transport = RecoveryTransport(httpx.HTTPTransport(), OUTAGE)
    with (
        httpx.Client(transport=transport, timeout=None) as client,
        pytest.raises(httpx.TransportError) as raised,
        _stream(client, server) as response,
    ):
        response.read()
    assert unbroken.report(raised.value).reason is Reason.MAX_OUTAGE


@pytest.mark.anyio
@pytest.mark.parametrize("fault", HANGS.values(), ids=HANGS)
async def test_an_async_transport_is_bounded_in_the_same_way(serve, fault):
    server = serve(faults=[faults.reset_before(), *[fault] * 50])
    transport = AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), OUTAGE)
    async with httpx.AsyncClient(transport=transport, timeout=None) as client:
        with pytest.raises(httpx.TransportError) as raised:
            async with _stream(client, server) as response:
                await response.aread()
    assert unbroken.report(raised.value).reason is Reason.MAX_OUTAGE


class Endless(httpx.AsyncBaseTransport):
    """Answers never, whatever the timeouts of a request are."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_what_knows_no_timeout_is_bounded_in_a_task(stream):
    transport = AsyncRecoveryTransport(Endless(), DEADLINE)
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ReadTimeout) as raised:
            await client.post("http://127.0.0.1/v1/messages", json=request(stream=stream))
    report = unbroken.report(raised.value)
    assert report.reason is Reason.DEADLINE
    assert report.attempts[-1].failure.kind is FailureKind.STALLED


class Trickling(httpx.AsyncBaseTransport):
    """Answers with a body that never ends."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.body())

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(SHORT / 8)
            yield b" "


@pytest.mark.anyio
async def test_an_answer_that_is_not_streamed_may_not_trickle_for_ever_in_a_task():
    transport = AsyncRecoveryTransport(Trickling(), DEADLINE)
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ReadTimeout) as raised:
            await client.post("http://127.0.0.1/v1/messages", json=request())
    assert unbroken.report(raised.value).reason is Reason.DEADLINE


def _stream(client: Any, server: Any) -> Any:
    headers = {"x-api-key": "test", "anthropic-version": "2023-06-01"}
    body = request(stream=True)
    return client.stream("POST", f"{server.url}/v1/messages", headers=headers, json=body)


def test_bounds_are_lifted_from_an_answer_that_comes(serve):
    """The read timeout that was capped for the headers does not stay with the body."""
    pause = faults.stall(after_chars=60, seconds=3 * SHORT)
    server = serve(faults=[faults.reset(after_chars=30), pause])
    policy = Policy(max_outage=2 * SHORT, time_scale=0, budget=None)
    with anthropic.Anthropic(base_url=server.url, api_key="test") as client:
        text, stream = read(unbroken.wrap(client, policy))
    assert text == ANSWER
    assert len(unbroken.report(stream).attempts) == 2


Timeouts = dict[str, float | None]


@pytest.fixture
def timeouts(serve, clock) -> Callable[..., list[Timeouts]]:
    """The timeouts that the attempts of a call are sent with, where each fails with a 500."""

    def ask(policy: Policy, *, timeout: Any = anthropic.NOT_GIVEN, **fields: Any) -> list[Timeouts]:
        seen: list[Timeouts] = []
        http = anthropic.DefaultHttpxClient(
            event_hooks={"request": [lambda sent: seen.append(dict(sent.extensions["timeout"]))]}
        )
        server = serve(faults=[faults.status(500, headers={"retry-after": "40"})] * 9)
        with anthropic.Anthropic(
            base_url=server.url, api_key="test", timeout=timeout, http_client=http
        ) as client:
            wrapped = unbroken.wrap(client, policy, clock=clock)
            with pytest.raises(anthropic.InternalServerError):
                wrapped.messages.create(**request(**fields))
        return seen

    return ask


def test_the_timeouts_of_a_stream(timeouts):
    seen = timeouts(Policy(max_outage=100), stream=True)
    assert [each["read"] for each in seen] == [180, 30, 14]
    assert [each["connect"] for each in seen] == [5, 5, 2]
    assert [each["pool"] for each in seen] == [600, 6, 2]


def test_the_timeouts_of_a_plain_call(timeouts):
    """A second attempt gets all the time that is left: an answer cut off early would never come."""
    assert [each["read"] for each in timeouts(Policy())[:3]] == [600, 260, 220]


def test_the_deadline_bounds_the_first_attempt(timeouts):
    seen = timeouts(Policy(deadline=50), stream=True)
    assert [each["read"] for each in seen] == [35, 7]
    assert [each["write"] for each in seen] == [50, 10]


@pytest.mark.parametrize("deadline", [6, 10, 47.5, 300, 5000])
def test_connecting_and_the_headers_together_are_bounded(timeouts, deadline):
    """TLS has the timeout of connecting once more."""
    [first, *_] = timeouts(Policy(deadline=deadline), timeout=None, stream=True)
    times = {phase: seconds or 0 for phase, seconds in first.items()}
    assert times["pool"] + 2 * times["connect"] + times["read"] == pytest.approx(deadline)


def test_a_short_time_that_is_left_is_not_divided(timeouts):
    [first, *_] = timeouts(Policy(deadline=0.5), timeout=None, stream=True)
    assert first == {"pool": 0.5, "connect": 0.5, "write": 0.5, "read": 0.5}


def test_the_timeouts_of_the_caller_are_capped_only(timeouts):
    seen = timeouts(Policy(max_outage=100), timeout=30.0, stream=True)
    assert [each["read"] for each in seen] == [30, 30, 14]
