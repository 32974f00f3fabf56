"""What the doctor makes of what it finds, where loopback has no such thing."""

from __future__ import annotations

import socket
import ssl

import pytest

from unbroken._cli.doctor import call_verdicts, environment, network_verdicts
from unbroken._cli.doctor.calls import Reply, Streamed
from unbroken._cli.doctor.finding import Status
from unbroken._cli.doctor.network import Connected, Handshake, Resolved, Tunnel
from unbroken._cli.route import route_to

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
EVEN = tuple(0.5 + 0.02 * n for n in range(100))
AT_ONCE = tuple(2.5 + 0.0001 * n for n in range(100))
LATE = tuple(8.0 + 0.01 * n for n in range(100))


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("arrivals", "tokens", "status"),
    [
        (EVEN, 200, Status.OK),
        (LATE, 200, Status.OK),  # a model that thinks first
        (AT_ONCE, 200, Status.FAILED),
        (tuple(at - 2.4 for at in AT_ONCE), 200, Status.OK),  # too soon for a model: a replay
        ((0.5, 0.501), 9, Status.OK),  # too short to tell
    ],
)
def test_a_stream_is_buffered_if_no_model_comes_like_that(arrivals, tokens, status):
    found = Streamed(Reply(0.5, 200), arrivals, tokens, "end_turn")
    assert call_verdicts.judge_stream(found).status is status


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "later"), "the name server does not answer"),
        (socket.gaierror(socket.EAI_NONAME, "no"), "the name host does not resolve"),
    ],
)
def test_names(error, words):
    assert words in network_verdicts.judge_name(Resolved("host", error=error)).tells


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "nobody listens there"),
        (TimeoutError(), "a firewall drops the packets"),
        (OSError(101, "Network is unreachable"), "cannot be reached (OSError)"),
    ],
)
@pytest.mark.parametrize("is_proxy", [False, True])
def test_connections(error, words, is_proxy):
    found = network_verdicts.judge_connection(Connected("host:443", is_proxy, 1.0, error))
    assert words in found.tells
    assert found.status is Status.FAILED
    assert found.next


@pytest.mark.parametrize(
    ("tunnel", "words"),
    [
        (Tunnel("proxy:1", 200), "opens a tunnel"),
        (Tunnel("proxy:1", 403), "refuses a tunnel (403)"),
        (Tunnel("proxy:1", error=ConnectionResetError()), "does not answer as a proxy does"),
    ],
)
def test_tunnels(tunnel, words):
    assert words in network_verdicts.judge_tunnel(tunnel).tells


def test_a_public_certificate_is_fine():
    found = network_verdicts.judge_tls(Handshake("host", "TLSv1.3", "Big CA", 2e9, is_public=True))
    assert found.status is Status.OK
    assert found.measured["expires"] == "2033-05-18"


@pytest.mark.parametrize("code", [9, 10, 18, 19, 20, 21, 62, 64, 99])
def test_every_reason_not_to_trust_has_something_to_do(code):
    error = ssl.SSLCertVerificationError(1, "no")
    error.verify_code = code
    found = network_verdicts.judge_tls(Handshake("host", error=error))
    assert found.status is Status.FAILED
    assert found.next


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ReadTimeout", "no answer comes"),
        ("ConnectTimeout", "no answer comes"),
        ("ProxyError", "the proxy refuses the request"),
        ("RemoteProtocolError", "the connection breaks before an answer (RemoteProtocolError)"),
    ],
)
def test_requests_without_an_answer(name, words):
    error = type("APIConnectionError", (Exception,), {})("x")
    error.__cause__ = type(name, (Exception,), {})("x")
    for judge in (call_verdicts.judge_http, call_verdicts.judge_call):
        assert words in judge(Reply(1.0, error=error)).tells
    assert words in call_verdicts.judge_stream(Streamed(Reply(1.0, error=error))).tells


def test_a_refusal_while_a_silence_is_tried_is_no_cut():
    found = call_verdicts.judge_silence(Reply(1.0, 429, "json", "rate_limit_error"), 60)
    assert "the rate limit is reached" in found.tells


# Routes


@pytest.mark.parametrize(
    ("url", "proxies", "hop", "is_tunnelled"),
    [
        ("https://api.example", {}, ("api.example", 443), False),
        ("http://user:SECRET@api.example:80/x?y", {}, ("api.example", 80), False),
        ("https://api.example", {"HTTPS_PROXY": "http://p:3128"}, ("p", 3128), True),
        ("https://api.example", {"ALL_PROXY": "p:3128"}, ("p", 3128), True),
        ("https://api.example", {"HTTP_PROXY": "http://p:3128"}, ("api.example", 443), False),
        ("http://api.example", {"HTTP_PROXY": "http://p"}, ("p", 80), False),
        (
            "https://api.example",
            {"HTTPS_PROXY": "http://p", "NO_PROXY": ".example"},
            ("api.example", 443),
            False,
        ),
        ("https://[::1]:8443", {}, ("::1", 8443), False),
    ],
)
def test_the_first_hop(monkeypatch, url, proxies, hop, is_tunnelled):
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    route = route_to(url)
    assert (route.first_hop, route.is_tunnelled) == (hop, is_tunnelled)
    assert "SECRET" not in route.url


def test_a_socks_proxy_is_not_looked_into(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://p")
    route = route_to("https://api.example")
    assert (route.is_socks, route.first_hop) == (True, ("p", 1080))


@pytest.mark.parametrize("proxy", ["ftp://p", "http://", "http://p:x"])
def test_what_is_no_proxy_is_refused(monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ValueError, match=r"proxy must be like|Port could not"):
        route_to("https://api.example")


# Keys


def test_a_key_that_does_not_look_like_one_is_noted():
    route = route_to("https://api.anthropic.com")
    found = environment.look_around(
        route, is_api_key=True, has_credentials=True, environ={"ANTHROPIC_API_KEY": "SECRET"}
    )
    judged = environment.judge_environment(found)
    assert judged.status is Status.NOTE
    assert "SECRET" not in repr((found, judged))


def test_a_profile_needs_no_variable():
    route = route_to("https://api.anthropic.com")
    found = environment.look_around(route, is_api_key=True, has_credentials=True, environ={})
    assert environment.judge_environment(found).status is Status.OK
