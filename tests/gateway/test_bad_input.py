"""Bad input: a clear error in the API's shape, nothing lost, no secrets told."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.asking import ask, body, client, text_of
from tests.gateway.serving import serving
from tests.profiles import examples
from tests.samples import HEADERS, STORY

from unbroken.gateway import connections
from unbroken.testing import FaultServer

JSON = {"content-type": "application/json"}


def is_clear(answer) -> Any:
    """Whether an error has the API's shape, and says something."""
    error = answer.json()["error"]
    return answer.json()["type"] == "error" and bool(error["type"]) and bool(error["message"])


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"{}", JSON, 400),
        (b'{"model": 1}', JSON, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {}, 415),
        (b"{}", {**JSON, "content-encoding": "gzip"}, 415),
    ],
)
def test_bodies_that_are_no_request(server, gateway, content, headers, status):
    with client(gateway) as http:
        answer = http.post("/v1/messages", content=content, headers=headers)
    assert answer.status_code == status
    assert is_clear(answer)
    assert not server.requests


@pytest.mark.parametrize("is_told", [True, False])
def test_bodies_that_are_too_large(server, tmp_path, is_told):
    content = json.dumps(body(filler="x" * 5000)).encode()
    with serving(server.url, tmp_path, max_body=4000) as gateway, client(gateway) as http:
        given = content if is_told else iter([content[:3000], content[3000:]])
        answer = http.post("/v1/messages", content=given, headers=JSON)
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")
        assert text_of(ask(gateway).text) == STORY
    assert len(server.requests) == 1


def test_bodies_of_30_mb(server, gateway):
    text = "x" * 30_000_000
    answer = ask(gateway, messages=[{"role": "user", "content": text}])
    assert answer.status_code == 200
    assert server.message_requests[0].body["messages"][0]["content"] == text


def raw(gateway, data) -> Any:
    """Send bytes, and return what comes until the connection ends."""
    host, port = gateway.url.removeprefix("http://").split(":")
    got = b""
    with socket.create_connection((host, int(port)), timeout=10) as made:
        made.sendall(data)
        while part := made.recv(65536):
            got += part
    return got


def test_endless_headers(gateway):
    lines = b"".join(b"x-%d: %b\r\n" % (number, b"a" * 1000) for number in range(100))
    got = raw(gateway, b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + lines)
    assert got.startswith(b"HTTP/1.1 431 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["type"] == "error"


def test_a_request_that_does_not_come_is_not_waited_for(gateway, monkeypatch):
    monkeypatch.setattr(connections, "_WITHIN", 0.05)
    assert raw(gateway, b"GET /healthz HTTP/1.1\r\nhost:") == b""
    assert raw(gateway, b"") == b""


@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: b\rc: d\r\n\r\n",
    ],
)
def test_what_is_no_http(gateway, data):
    assert raw(gateway, data).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods(server, gateway, method):
    with client(gateway) as http:
        answer = http.request(method, "/v1/streams/x/url")
    assert answer.status_code in (404, 405)
    assert is_clear(answer)


@pytest.mark.parametrize("stream", ["x", "%00", "a" * 5000, "..%2f..", "é"])
def test_foreign_ids(gateway, stream):
    with client(gateway) as http:
        answer = http.get(f"/v1/streams/{stream}")
    assert answer.status_code == 404
    assert is_clear(answer)
    assert not [entry for entry in gateway.journal.entries() if "stream" in entry.key]


WORDS = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20).map(
    str.strip
)
PATHS = st.lists(
    st.sampled_from(["v1", "messages", "streams", "x", "message", "url", "..", "%2e", "a%0a", ""]),
    max_size=4,
).map(lambda parts: "/" + "/".join(parts))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=30),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"model": st.just("claude-opus-5-5") | VALUES, "messages": VALUES},
        optional={"stream": VALUES, "system": VALUES, "max_tokens": VALUES, "thinking": VALUES},
    ).map(lambda value: json.dumps(value).encode()),
)
NAMES = [
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-unbroken-on-disconnect",
    "x-stainless-retry-count",
    "x-claude-code-session-id",
    "authorization",
    "content-encoding",
    "traceparent",
]
GIVEN = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(["application/json", "1", "x"]) | WORDS, max_size=4
)


def test_the_whole_surface(tmp_path):
    with FaultServer() as server, serving(server.url, tmp_path) as gateway, client(gateway) as http:

        @settings(max_examples=examples(150))
        @given(
            st.sampled_from(["GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
            PATHS | st.just("/v1/messages"),
            st.dictionaries(st.sampled_from(["after", "signature", "may", "expires"]), WORDS),
            GIVEN,
            BODIES,
        )
        def fuzz(method, path, query, headers, content):
            encoded = [(name, value.encode("latin-1")) for name, value in headers.items()]
            request = http.build_request(
                method, gateway.url + path, params=query, headers=encoded, content=content
            )
            answer = http.send(request)
            assert answer.status_code < 500 or answer.status_code == 502, answer.text
            if answer.status_code >= 400 and method != "HEAD":
                assert is_clear(answer)
            assert HEADERS["x-api-key"] not in answer.text.replace("latest", "")

        fuzz()
        assert http.get("/healthz").status_code == 200
        assert text_of(ask(gateway).text)
