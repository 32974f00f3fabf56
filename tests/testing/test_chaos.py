"""`ChaosTransport` does to real traffic what a `FaultServer` does, and writes it down."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import random
import re
import threading
from typing import Any

import anyio
import httpx
import pytest
from tests.samples import HEADERS, STORY
from tests.transport.callers import Caller, body, callers

import unbroken
from unbroken.testing import AsyncChaosTransport, ChaosTransport, FaultServer, chaos, faults
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

TIMEOUT = httpx.Timeout(10).as_dict()
ALL: dict[str, faults.Fault] = {
    "status": faults.status(529),
    "retry-after": faults.status(429, headers={"retry-after": "3"}),
    "plain": faults.status(502),
    "html": faults.html(),
    "disconnect": faults.disconnect(),
    "reset_before": faults.reset_before(),
    "hang": faults.hang(),
    "reset": faults.reset(after_chars=31),
    "reset-bytes": faults.reset(after_bytes=777),
    "reset-at-once": faults.reset(),
    "eof": faults.eof(after_events=5),
    "eof-block": faults.eof(after_block=0),
    "close": faults.close(after_stop_reason=True),
    "half_frame": faults.half_frame(after_chars=30),
    "half_frame-inside": faults.half_frame(after_bytes=777),
    "garbage": faults.garbage(after_chars=30),
    "garbage-close": faults.garbage(b"\xff\xfe", then_close=True, after_chars=30),
    "error_event": faults.error_event(after_chars=30),
    "stall": faults.stall(after_chars=30),
    "stall-over": faults.stall(seconds=0.01, after_chars=30),
    "pings": faults.stall(pings=True, seconds=0.01, ping_interval=0.004, after_chars=30),
    "slow": faults.slow(0.0001),
    "beyond": faults.reset(after_chars=10_000),
}


@pytest.fixture(params=callers())
def caller(request: pytest.FixtureRequest) -> Caller:
    found: Caller = request.param
    return found


def breaking(caller: Caller, *faults: Any, **options: Any) -> Any:
    """A transport that breaks the next requests."""
    cls = AsyncChaosTransport if caller.is_async else ChaosTransport

    async def no_sleep(_seconds: float) -> None: ...

    no_wait = no_sleep if caller.is_async else lambda _seconds: None
    made = cls(plain(caller), **{"share": 0, "sleep": no_wait, **options})
    made.script(*faults)
    return made


def plain(caller: Caller) -> Any:
    kind = caller.library.AsyncHTTPTransport if caller.is_async else caller.library.HTTPTransport
    return kind(verify=False)


PLAIN = ("hang", "reset", "reset-bytes", "close", "half_frame", "error_event", "stall", "pings")
"""Those that are another thing where there are no events."""


@dataclasses.dataclass
class Arrived:
    """What came of a request."""

    status: int | None = None
    data: bytes = b""
    error: type[Exception] | None = None


def ask(caller: Caller, server: FaultServer, transport: Any, **fields: Any) -> Arrived:
    """What comes of a request, but for the ids of requests."""
    arrived = Arrived()
    kwargs = {
        "headers": HEADERS,
        "json": body(**fields),
        "extensions": {"timeout": dict(TIMEOUT)},
    }
    url = f"{server.url}/v1/messages"

    async def read_async() -> None:
        async with (
            caller.library.AsyncClient(transport=transport) as client,
            client.stream("POST", url, **kwargs) as response,
        ):
            arrived.status = response.status_code
            async for data in response.aiter_bytes():
                arrived.data += data

    def read() -> None:
        with (
            caller.library.Client(transport=transport) as client,
            client.stream("POST", url, **kwargs) as response,
        ):
            arrived.status = response.status_code
            for data in response.iter_bytes():
                arrived.data += data

    try:
        anyio.run(read_async) if caller.is_async else read()
    except caller.library.HTTPError as error:
        arrived.error = type(error)
    arrived.data = re.sub(rb"req_\w+", b"req", arrived.data)
    return arrived


def from_server(caller: Caller, fault: faults.Fault, **fields: Any) -> Arrived:
    """What comes of a request to a server with this fault; a reader's timeout is not waited for."""
    silent = caller.library.ReadTimeout
    if isinstance(fault, faults.Hang):
        return Arrived(error=silent)
    if ends := isinstance(fault, faults.Stall) and fault.seconds is None:
        fault = faults.Break(fault.at, "eof")
    with FaultServer(STORY, faults=[fault]) as server:
        arrived = ask(caller, server, plain(caller), **fields)
    return dataclasses.replace(arrived, error=silent) if ends else arrived


@pytest.mark.parametrize("fault", ALL.values(), ids=ALL)
def test_a_fault_is_the_one_that_a_server_has(caller, fault):
    real = from_server(caller, fault, stream=True)
    with FaultServer(STORY, gzip=True) as server:
        transport = breaking(caller, fault)
        assert ask(caller, server, transport, stream=True) == real
    [entry] = transport.log
    assert (entry.number, entry.fault) == (1, fault)
    assert entry.happened is (fault != ALL["beyond"])
    sent = not isinstance(fault, faults.Status | faults.Html | faults.NoResponse | faults.Hang)
    assert (len(server.requests) == 1) is sent
    assert entry.request_id == (server.requests[0].id if sent else None)


@pytest.mark.parametrize("name", PLAIN)
def test_a_response_that_is_no_stream_breaks_as_that_of_a_server(caller, name):
    fault = ALL[name]
    real = from_server(caller, fault)
    with FaultServer(STORY) as server:
        assert ask(caller, server, breaking(caller, fault)) == real


def test_it_has_every_fault_there_is():
    functions = {name for name in faults.__all__ if inspect.isfunction(getattr(faults, name))}
    assert set(chaos.KINDS) == functions
    for name, make in chaos.KINDS.items():
        for seed in range(9):
            argument = {"status": [500], "slow": [0]}.get(name, [])
            made, example = make(random.Random(seed)), getattr(faults, name)(*argument)
            assert type(made) is type(example)
            assert getattr(made, "end", None) == getattr(example, "end", None)


def test_recovery_makes_every_answer_whole(caller, server):
    kinds = [kind for kind in chaos.KINDS if kind not in ("hang", "stall", "slow")]
    inner = breaking(caller, share=0.5, kinds=kinds, seed=4)
    policy = unbroken.Policy(time_scale=0, budget=None)
    cls = AsyncRecoveryTransport if caller.is_async else RecoveryTransport
    text = "A story that goes on, and on, and on. " * 40 + "The end."
    server.answer = text
    for _ in range(12):
        transport = cls(inner, policy)
        read = caller.stream(f"{server.url}/v1/messages", body(stream=True), transport)
        assert (read.error, read.text) == (None, text)
    assert len(inner.log) >= 6
    assert len({type(entry.fault) for entry in inner.log if entry.happened}) >= 4


def test_a_seed_breaks_the_same_requests_in_the_same_way(server):
    caller = Caller("httpx", is_async=False)
    logs = []
    for seed in (1, 1, 2):
        transport = breaking(caller, share=0.4, seed=seed)
        for _ in range(15):
            ask(caller, server, transport, stream=True)
        logs.append([(entry.number, entry.fault) for entry in transport.log])
        assert transport.requests == 15
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]
    assert 0 < len(logs[0]) < 15


def test_without_a_seed_it_says_which_it_took():
    first, second = (breaking(Caller("httpx", is_async=False)) for _ in range(2))
    assert first.seed != second.seed


def test_a_share_of_0_and_of_1(server):
    caller = Caller("httpx", is_async=False)
    for share, broken in ((0, 0), (1, 5)):
        transport = breaking(caller, share=share, kinds="disconnect", seed=3)
        for _ in range(5):
            ask(caller, server, transport)
        assert len(transport.log) == broken


def test_only_requests_for_a_message_break(caller, server):
    transport = breaking(caller, share=1)
    url = f"{server.url}/v1/messages/count_tokens"
    response = caller.send("POST", url, transport, json=body())
    assert response.status_code == 200
    assert (transport.requests, list(transport.log)) == (0, [])


def test_an_error_of_the_api_stays_what_it_is(caller, server):
    server.script(faults.status(529))
    transport = breaking(caller, faults.reset(after_chars=3))
    assert ask(caller, server, transport, stream=True).status == 529
    assert [entry.happened for entry in transport.log] == [False]


def test_all_that_it_did_is_told(server, caplog):
    told: list[Any] = []
    caller = Caller("httpx", is_async=False)
    transport = breaking(caller, faults.reset_before(), None, faults.eof(), on_fault=told.append)
    with caplog.at_level(logging.INFO, "unbroken.chaos"):
        for _ in range(3):
            ask(caller, server, transport, stream=True)
    assert told == list(transport.log)
    assert [entry.number for entry in told] == [1, 3]
    assert [record.args[0] for record in caplog.records] == [1, 3]


def test_who_closes_a_response_that_is_silent_is_not_kept_waiting(server):
    client = httpx.Client(transport=ChaosTransport(httpx.HTTPTransport(verify=False), share=0))
    client._transport.script(faults.stall(after_chars=5))  # type: ignore[attr-defined]
    errors: list[Exception] = []
    with (
        client,
        client.stream(
            "POST", f"{server.url}/v1/messages", headers=HEADERS, json=body(stream=True)
        ) as response,
    ):

        def read() -> None:
            try:
                for _ in response.iter_bytes():
                    arrived.set()
            except httpx.ReadError as error:
                errors.append(error)

        arrived = threading.Event()
        reader = threading.Thread(target=read)
        reader.start()
        assert arrived.wait(5)
        response.stream.close()
        reader.join(5)
        assert not reader.is_alive()
    assert len(errors) == 1


def test_the_fixture_repeats_itself(chaos, server, capsys):
    transport = chaos(httpx.HTTPTransport(verify=False), share=1, kinds=["reset_before"])
    again = chaos(httpx.AsyncHTTPTransport(verify=False))
    assert isinstance(transport, ChaosTransport)
    assert isinstance(again, AsyncChaosTransport)
    assert transport.seed == again.seed
    caller = Caller("httpx", is_async=False)
    assert ask(caller, server, transport).error is httpx.ReadError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": 1.5}, "share must be from 0 to 1"),
        ({"share": float("nan")}, "share must be from 0 to 1"),
        ({"kinds": ["sneeze"]}, "kinds must be some of status, html"),
        ({"kinds": []}, "kinds must be some of status, html"),
    ],
)
def test_wrong_options_are_refused(caller, options, words):
    with pytest.raises(ValueError, match=words):
        breaking(caller, **options)


def test_what_is_no_transport_or_no_fault_is_refused(caller):
    other = Caller(caller.name, is_async=not caller.is_async)
    cls = AsyncChaosTransport if caller.is_async else ChaosTransport
    with pytest.raises(TypeError, match="inner must be an"):
        cls(plain(other))
    with pytest.raises(TypeError, match="fault 1 must be a fault"):
        breaking(caller, "reset")
