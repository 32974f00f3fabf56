"""Streams through a proxy."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from tests.gateways.proxy import Proxy
from tests.samples import STORY
from tests.transport.callers import DROPS, body

import unbroken
from unbroken import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.transport.callers import Caller

BAD_GATEWAY = b"""\
HTTP/1.1 502 Bad Gateway\r
content-type: text/html\r
content-length: 12\r
\r
<p>Sorry</p>"""


@pytest.fixture
def authority() -> Any:
    return pytest.importorskip("trustme").CA()


@pytest.fixture
def proxy(authority: Any) -> Iterator[Proxy]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with Proxy(tls) as proxy:
        yield proxy


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, server: Any) -> str:
    """Plain requests are forwarded, encrypted ones tunnelled."""
    return f"{server.url}/v1/messages".replace("http", request.param, 1)


def through(caller: Caller, proxy_url: str, authority: Any) -> Any:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    library = caller.library
    kind = library.AsyncHTTPTransport if caller.is_async else library.HTTPTransport
    return caller.transport(inner=lambda _: kind(proxy=proxy_url, verify=trust))


@pytest.mark.parametrize("fault", DROPS.values(), ids=DROPS)
def test_a_stream_reaches_its_end(caller, server, proxy, authority, url, fault):
    server.script(fault)
    read = caller.stream(url, body(stream=True), through(caller, proxy.url, authority))
    assert read.error is None
    assert read.text == STORY
    assert len(server.message_requests) == 2
    if url.startswith("https"):  # a tunnel that did not break is used again
        assert set(proxy.targets) == {server.url.removeprefix("http://")}
    else:
        assert proxy.targets == [url, url]


PASSWORD = b"""\
HTTP/1.1 407 Proxy Authentication Required\r
proxy-authenticate: Basic realm="ours"\r
content-length: 0\r
\r
"""


def test_a_proxy_that_asks_for_a_password_fails_at_once(caller, server, proxy, authority, url):
    proxy.answers += [PASSWORD] * 9
    read = caller.stream(url, body(stream=True), through(caller, proxy.url, authority))
    assert len(proxy.targets) == 1
    if url.startswith("https"):  # a tunnel that is refused is no response
        assert isinstance(read.error, caller.library.ProxyError)
    else:
        assert read.response.status_code == 407
    report = unbroken.report(read.error or read.response)
    assert report.reason is unbroken.Reason.NOT_RETRYABLE
    assert report.failure is not None
    assert report.failure.kind is FailureKind.REJECTED
    assert "407" in report.failure.detail


def test_an_error_page_of_the_proxy_is_retried(caller, server, proxy, authority, url):
    proxy.answers += [BAD_GATEWAY, BAD_GATEWAY]
    read = caller.stream(url, body(stream=True), through(caller, proxy.url, authority))
    assert read.text == STORY
    kinds = [attempt.failure.kind for attempt in unbroken.report(read.response).attempts[:2]]
    # A tunnel that is refused is no response: there is no connection.
    tunnels = url.startswith("https")
    assert kinds == [FailureKind.UNREACHABLE if tunnels else FailureKind.SERVER_ERROR] * 2
    assert len(proxy.targets) == 3
    assert len(server.requests) == 1


def test_a_proxy_that_cannot_be_reached_is_tried_again(caller, server, authority, url):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"http://127.0.0.1:{listener.getsockname()[1]}"
    read = caller.stream(url, body(stream=True), through(caller, gone, authority))
    assert isinstance(read.error, caller.library.ConnectError)
    attempts = unbroken.report(read.error).attempts
    assert [attempt.failure.kind for attempt in attempts] == [FailureKind.UNREACHABLE] * 4
    assert server.requests == []
