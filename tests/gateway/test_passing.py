"""Everything else of the API passes through, of any size, as it comes."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import httpx
import pytest
from tests.gateway.asking import client
from tests.gateway.serving import serving

from unbroken.gateway.errors import GatewayError
from unbroken.gateway.paths import check_path


class Upstream:
    """An HTTP server that answers each request by a function of its connection."""

    def __init__(self, answer) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://{}:{}".format(*self._listener.getsockname())
        self.heads: list[list[str]] = []
        self.gone = threading.Event()
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        try:
            made, _ = self._listener.accept()
        except OSError:
            return
        with made, made.makefile("rb") as lines:
            head = []
            while (line := lines.readline().strip()) != b"":
                head.append(line.decode())
            self.heads.append(head)
            self._answer(self, made, lines)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def before(tmp_path):
    """Serves a gateway before an upstream that answers by a function."""
    made: list[Any] = []

    def start(answer, **settings):
        upstream = Upstream(answer)
        served = serving(upstream.url, tmp_path, **settings)
        made.extend([served, upstream])
        return served.__enter__(), upstream

    yield start
    if made:
        made[0].__exit__(None, None, None)
        made[1].close()


def read_body(head, lines) -> Any:
    length = next(line for line in head if line.lower().startswith("content-length"))
    return lines.read(int(length.split(": ")[1]))


def test_uploads_of_any_size(before):
    sizes = []

    def answer(upstream, made, lines):
        sizes.append(len(read_body(upstream.heads[0], lines)))
        made.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    gateway, upstream = before(answer)
    with client(gateway) as http:
        done = http.post("/v1/files?beta=true", files={"file": b"x" * 40_000_000})
    assert (done.status_code, done.text) == (200, "{}")
    assert sizes[0] > 40_000_000
    assert upstream.heads[0][0] == "POST /v1/files?beta=true HTTP/1.1"


def test_results_pass_as_they_come(before):
    go_on = threading.Event()

    def answer(upstream, made, lines):
        made.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-jsonl\r\n")
        made.sendall(b"transfer-encoding: chunked\r\n\r\n2\r\n1\n\r\n")
        assert go_on.wait(5)
        made.sendall(b"2\r\n2\n\r\n0\r\n\r\n")

    gateway, _ = before(answer)
    path = "/v1/messages/batches/b/results"
    with client(gateway) as http, http.stream("GET", path) as response:
        lines = response.iter_lines()
        assert next(lines) == "1"
        go_on.set()
        assert list(lines) == ["2"]


def test_a_client_that_leaves_ends_the_request(before):
    def answer(upstream, made, lines):
        assert made.recv(1) == b""
        upstream.gone.set()

    gateway, upstream = before(answer)
    with client(gateway) as http, pytest.raises(httpx.ReadTimeout):
        http.get("/v1/models", timeout=0.2)
    assert upstream.gone.wait(5)


def test_a_response_that_breaks_is_not_ended_properly(before):
    def answer(upstream, made, lines):
        made.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")

    gateway, _ = before(answer)
    with client(gateway) as http, pytest.raises(httpx.RemoteProtocolError):
        http.get("/v1/models")


def test_headers_pass_but_those_of_the_connection(before):
    def answer(upstream, made, lines):
        made.sendall(
            b"HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nrequest-id: r\r\n"
            b"content-encoding: odd\r\ncontent-length: 2\r\n\r\n{}"
        )

    gateway, upstream = before(answer)
    with client(gateway, connection="x-there", **{"x-there": "1", "x-odd": "2"}) as http:
        done = http.get("/v1/models?limit=1000")
    assert "x-hop" not in done.headers
    assert (done.headers["request-id"], done.headers["content-encoding"]) == ("r", "odd")
    passed = {line.partition(":")[0].lower() for line in upstream.heads[0][1:]}
    assert "x-there" not in passed
    assert {"x-odd", "x-api-key", "anthropic-version"} <= passed


def test_an_upstream_that_is_not_there(tmp_path):
    with serving("http://127.0.0.1:9", tmp_path) as gateway, client(gateway) as http:
        assert http.get("/v1/models").status_code == 502
        assert http.get("/healthz").json() == {"status": "ok"}
        assert http.get("/readyz").status_code == 503


PASSED = ["/v1/models", "/v1/models/a-b:c", "/v1/files/f/content", "/v1/messages/batches/"]
REFUSED = [
    "/v1/../admin",
    "/v1/%2e%2e/admin",
    "/v1/a/./b",
    "/v1//models",
    "/v1/a%5c..%5cb",
    "/v1/a\\b",
    "/v1/a%00b",
    "/v1/a%0d%0ab",
    "/v1/a%252e",
    "/v1/é",
    "/v1/",
]


@pytest.mark.parametrize("path", PASSED)
def test_paths_that_pass(path):
    check_path(path)


@pytest.mark.parametrize("path", REFUSED)
def test_paths_that_do_not(path):
    with pytest.raises(GatewayError, match="no such path"):
        check_path(path)


def test_a_client_that_sends_its_body_slowly_is_passed_on_slowly(before):
    def answer(upstream, made, lines):
        assert read_body(upstream.heads[0], lines) == b"12345"
        made.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    def body() -> Any:
        for byte in b"12345":
            time.sleep(0.01)
            yield bytes([byte])

    gateway, _ = before(answer)
    with client(gateway, **{"content-length": "5"}) as http:
        assert http.post("/v1/files", content=body()).status_code == 200
