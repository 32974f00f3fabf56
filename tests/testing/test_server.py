"""Sockets and threads: what is open, what is under way, and that nothing is left."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import socket
import threading
import time

import httpx
import pytest
from tests.samples import HEADERS
from tests.testing.helpers import body, deltas, user

from unbroken.testing import FaultServer, faults
from unbroken.testing import server as server_module


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("FaultServer")]


def connect(server: FaultServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", httpx.URL(server.url).port))


def request(server: FaultServer) -> bytes:
    raw = httpx.Request("POST", server.url, json=body(stream=True)).read()
    headers = {**HEADERS, "content-length": len(raw)}
    lines = ["POST /v1/messages HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + raw


def test_nothing_is_left_after_close():
    before = len(threads())
    with contextlib.ExitStack() as stack:
        with FaultServer("Hi", faults=[faults.stall(), faults.hang(), None]) as server:
            socks = [stack.enter_context(connect(server)) for _ in range(4)]
            for sock in socks[:3]:
                sock.sendall(request(server))
            assert server.wait_for_requests(3)
            began = time.monotonic()
        assert time.monotonic() - began < server_module._JOIN_TIMEOUT
        assert len(threads()) == before
        assert server.open_connections == server.active == 0


def test_close_ends_latency_at_once():
    with FaultServer(latency=60) as server:
        sock = connect(server)
        sock.sendall(b"GET /v1/models HTTP/1.1\r\n\r\n")
        assert server.wait_for_requests(1)
        assert not server.wait_idle(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < server_module._JOIN_TIMEOUT
    sock.close()


def test_latency(serve):
    began = time.monotonic()
    serve(latency=0.02).post()
    assert time.monotonic() - began >= 0.02


def test_close_twice_and_without_start():
    server = FaultServer()
    server.close()
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url
    server.start()
    server.close()
    server.close()


def test_connections_are_kept_alive(serve):
    api = serve("Hi")
    for _ in range(3):
        api.post(stream=True)
        api.post()
    assert api.server.open_connections == 1
    assert api.server.wait_idle()
    api.http.close()
    assert api.server.wait_closed()


@pytest.mark.parametrize("fault", [faults.eof(after_chars=1), faults.error_event(after_chars=1)])
def test_a_proper_end_keeps_the_connection(serve, fault):
    api = serve("Hi", faults=[fault])
    api.broken()
    assert api.text() == "Hi"
    assert api.server.open_connections == 1


def test_a_client_that_leaves_a_stream_is_noticed(serve):
    api = serve("word " * 1_000_000)
    with api.http.stream("POST", "/v1/messages", json=body(stream=True, max_tokens=10**7)) as got:
        next(got.iter_bytes())
    assert api.server.wait_idle()
    assert api.server.wait_closed()


def test_requests_are_recorded(serve):
    api = serve("Hi", faults=[faults.status(529)])
    api.post(user("a"), stream=True)
    api.http.post("/v1/messages/count_tokens?beta=true", json=body(user("b")))
    api.http.get("/v1/models")
    first, count, models = api.server.requests
    assert (first.method, first.path, first.kind) == ("POST", "/v1/messages", "fresh")
    assert first.body["messages"] == [user("a")]
    assert first.headers["x-api-key"] == "test"
    assert first.fault == faults.status(529)
    assert (count.path, count.kind) == ("/v1/messages/count_tokens", "count_tokens")
    assert (models.kind, models.body) == ("other", None)
    assert api.server.message_requests == [first]


def test_a_chunked_request_is_read(serve):
    api = serve("Hi")
    raw = httpx.Request("POST", "http://x", json=body()).read()
    response = api.http.post("/v1/messages", content=iter([raw[:9], raw[9:]]))
    assert response.json()["content"][0]["text"] == "Hi"


def test_the_answer_can_be_changed(serve):
    api = serve("Hi")
    api.server.answer = "Bye"
    assert api.server.answer == "Bye"
    assert api.text() == "Bye"


def test_500_connections_at_once():
    with FaultServer("Hi there") as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server)) for _ in range(500)]
        for sock in socks:
            sock.sendall(request(server))
        assert server.wait_for_requests(500)
        assert server.wait_idle()
        found = [sock.recv(1_000_000) for sock in socks]
    assert all(b"message_stop" in raw for raw in found)


def test_threads_share_a_server(serve):
    api = serve("Hi there", faults=[faults.eof(after_chars=1), None] * 10)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        texts = sorted(deltas(raw) for raw, _ in pool.map(lambda _: api.broken(), range(20)))
    assert texts == ["H"] * 10 + ["Hi there"] * 10


def test_the_fixture(fault_server):
    fault_server.answer = "From the fixture"
    with httpx.Client(base_url=fault_server.url, headers=HEADERS) as http:
        message = http.post("/v1/messages", json=body()).json()
    assert message["content"][0]["text"] == "From the fixture"


def test_endless_faults(serve):
    api = serve("Hi", faults=itertools.repeat(faults.status(500)))
    assert {api.post().status_code for _ in range(5)} == {500}


def test_split_must_be_positive():
    with pytest.raises(ValueError, match="split"):
        FaultServer(split=0)


def test_a_client_that_does_not_speak_http_is_dropped(serve):
    server = serve().server
    with connect(server) as sock:
        sock.sendall(b"\x16\x03\x01\r\n\r\n")
        assert sock.recv(1) == b""
    assert server.requests == []
