"""`unbroken doctor` against real faults on loopback."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.doors.platforms import ACCESS_KEY, SECRET_KEY, Platform
from tests.gateway.serving import serving
from tests.gateways.loopback import Loopback
from tests.gateways.proxy import Proxy
from tests.gateways.reverse_proxy import ReverseProxy

from unbroken._cli import main as cli
from unbroken._cli.doctor import network
from unbroken._cli.doctor.examination import BOUNDARIES
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "sk-ant-api03-SECRET"
LINES = "\n".join(["one two three four five"] * 20)
NEVER = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
EXPIRED = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
NEEDS_A_PASSWORD = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer(LINES) as server:
        yield server


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the doctor, and returns what it found at each boundary."""

    def run(url: str, *args: str) -> dict[str, Any]:
        status = cli.main(["doctor", "--base-url", url, "--json", *args])
        shown = capsys.readouterr()
        assert "SECRET" not in shown.out + shown.err
        assert "It makes" in shown.err
        document = json.loads(shown.out)
        found = {one["boundary"]: one for one in document["boundaries"]}
        failed = [one for one in document["boundaries"] if one["status"] == "failed"]
        assert document["ok"] is (not failed) is (status == 0)
        assert len(failed) <= 1
        if failed:
            names = list(found)
            behind = names[names.index(failed[0]["boundary"]) + 1 :]
            assert {found[name]["status"] for name in behind} <= {"skipped"}
            assert failed[0]["next"]
        return found

    return run


@pytest.fixture(scope="module")
def authority() -> Any:
    return pytest.importorskip("trustme").CA(organization_name="Somebody In Between")


@pytest.fixture
def trusted(authority: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


def ending_tls(authority: Any, *names: str, **options: Any) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",)), **options).configure_cert(tls)
    return tls


def test_all_is_well(examine, api):
    found = examine(api.url)
    assert list(found) == [b.name for b in BOUNDARIES if b.name not in ("proxy", "tls")]
    assert {one["status"] for name, one in found.items() if name != "silence"} == {"ok"}
    assert found["silence"]["status"] == "skipped"
    assert found["environment"]["measured"]["key"] == "ANTHROPIC_API_KEY"
    assert found["stream"]["measured"]["events"] > 40
    assert found["errors"]["measured"]["request_id"] == api.requests[0].id
    assert [request.fault for request in api.requests] == [None] * 3


def test_people_get_a_line_each_and_the_cost_first(api, capsys):
    assert cli.main(["doctor", "--base-url", api.url]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{api.url}, claude-haiku-4-5"
    assert shown[1].startswith(
        "It makes 3 requests: some 60 tokens of input, up to 216 of output, $"
    )
    assert [line.split()[:2] for line in shown[3:5]] == [["ok", "environment"], ["ok", "name"]]


def test_what_fails_is_explained_to_people(api, capsys):
    api.script(faults.status(401))
    assert cli.main(["doctor", "--base-url", api.url]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("FAILED"))
    assert "the key is refused (401, authentication_error)" in lines[at]
    assert lines[at + 1].strip() == "tried: how that request is refused"
    assert lines[at + 2].strip().startswith("next: make a new one in the Console")
    assert lines[at + 3].split() == ["skipped", "errors", "behind", "credentials"]


# The network


def test_a_name_that_does_not_resolve():
    done = subprocess.run(  # outside of the guards of these tests
        [sys.executable, "-m", "unbroken", "doctor", "--base-url", "http://nowhere.invalid"],
        env={**os.environ, "ANTHROPIC_API_KEY": KEY, "RES_OPTIONS": "timeout:1 attempts:1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (1, "")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert line.split()[1] == "name"
    assert "nowhere.invalid" in line
    assert "behind name" in done.stdout


def test_a_closed_port(examine):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    found = examine(url)["connection"]
    assert found["status"] == "failed"
    assert "refuses the connection: nobody listens there" in found["tells"]


def test_a_certificate_of_somebody_in_between(examine, api, authority):
    with ReverseProxy(api, tls=ending_tls(authority)) as between:
        found = examine(between.url)["tls"]
    assert found["status"] == "failed"
    assert (
        "(by Somebody In Between) is issued by an authority that is not trusted" in found["tells"]
    )
    assert "do not send a key over this network" in found["next"]
    assert api.requests == []


def test_an_authority_that_is_trusted_but_not_public_is_noted(examine, api, authority, trusted):
    with ReverseProxy(api, tls=ending_tls(authority)) as between:
        found = examine(between.url)
    assert found["tls"]["status"] == "note"
    assert (
        "certificate by Somebody In Between, which is no public authority" in found["tls"]["tells"]
    )
    assert found["stream"]["status"] == "ok"


def test_a_certificate_that_expired(examine, api, authority, trusted):
    tls = ending_tls(authority, not_before=NEVER, not_after=EXPIRED)
    with ReverseProxy(api, tls=tls) as between:
        found = examine(between.url)["tls"]
    assert "(by Somebody In Between) has expired on 2020-01-01" in found["tells"]
    assert "clock" in found["next"]


def test_a_certificate_that_is_self_signed(examine, api, authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.private_key_pem.tempfile() as key, authority.cert_pem.tempfile() as certificate:
        tls.load_cert_chain(certificate, key)
    with ReverseProxy(api, tls=tls) as between:
        found = examine(between.url)["tls"]
    assert "(by Somebody In Between) is self-signed" in found["tells"]


def test_a_certificate_for_another_host(examine, api, authority, trusted):
    with ReverseProxy(api, tls=ending_tls(authority, "api.example")) as between:
        found = examine(between.url)["tls"]
    assert "is for another" in found["tells"]


def test_no_tls_at_all(examine):
    class Plain(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            self.request.recv(65536)

    with Loopback(Plain) as plain:
        found = examine(plain.url.replace("http", "https"))["tls"]
    assert found["status"] == "failed"
    assert "does not speak TLS" in found["tells"]


def test_tls_that_is_never_answered(examine, api, monkeypatch):
    monkeypatch.setattr(network, "TIMEOUT", 0.05)
    found = examine(api.url.replace("http", "https"))["tls"]
    assert "does not answer to TLS" in found["tells"]


def test_a_connection_that_ends_when_tls_begins(examine):
    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)

    with Loopback(HangUp) as filtering:
        found = examine(filtering.url.replace("http", "https"))["tls"]
    assert "ends when TLS begins" in found["tells"]


# Proxies


def test_a_proxy_that_opens_tunnels(examine, api, authority, trusted, monkeypatch):
    with Proxy(ending_tls(authority)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:SECRET@"))
        found = examine(api.url.replace("http", "https"))
        host = proxy.url.removeprefix("http://")
    assert found["proxy"]["status"] == "ok"
    assert found["environment"]["measured"]["proxy"] == host
    assert found["stream"]["status"] == "ok"
    assert set(proxy.targets) == {api.url.removeprefix("http://")}


@pytest.mark.parametrize(
    ("user", "words"),
    [("", "asks for a password"), ("me:SECRET@", "refuses the user or the password")],
)
def test_a_proxy_that_asks_for_a_password(examine, api, monkeypatch, user, words):
    with Proxy() as proxy:
        proxy.answers += [NEEDS_A_PASSWORD]
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//{user}"))
        found = examine(api.url.replace("http", "https"))["proxy"]
    assert found["status"] == "failed"
    assert words in found["tells"]


def test_a_proxy_that_asks_for_a_password_without_a_tunnel(examine, api, monkeypatch):
    with Proxy() as proxy:
        proxy.answers += [NEEDS_A_PASSWORD]
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        found = examine(api.url)["http"]
    assert "asks for a password (407)" in found["tells"]


def test_a_proxy_that_is_not_for_this_host(examine, api, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert examine(api.url)["stream"]["status"] == "ok"


def test_what_is_no_proxy(examine, api, monkeypatch):
    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"220 mail.example ESMTP\r\n\r\n")
            self.request.recv(65536)

    with Loopback(Silent) as other:
        monkeypatch.setenv("HTTPS_PROXY", other.url)
        found = examine("https://127.0.0.1:9")["proxy"]
    assert found["status"] == "failed"


# What answers


@pytest.mark.parametrize(
    ("fault", "boundary", "words"),
    [
        (faults.html(), "http", "a web page answers (200), not the API: a captive portal"),
        (faults.html(502), "http", "a web page answers (502)"),
        (faults.status(200, body="pong"), "http", "not with the API's JSON"),
        (faults.status(407), "http", "asks for a password (407)"),
        (faults.status(529), "http", "the API is overloaded (529, overloaded_error)"),
        (faults.disconnect(), "http", "the connection breaks before an answer"),
        (faults.status(401), "credentials", "the key is refused (401, authentication_error)"),
        (faults.status(403), "credentials", "may not be used for this (403, permission_error)"),
        (faults.status(200, body={"type": "message"}), "errors", "as if it were a good one"),
        (faults.status(429), "errors", "the rate limit is reached"),
    ],
)
def test_the_first_request_tells(examine, api, fault, boundary, words):
    api.script(fault)
    found = examine(api.url)[boundary]
    assert found["status"] == "failed"
    assert words in found["tells"]


def test_errors_of_another_shape_are_noted(examine, api):
    api.script(faults.status(422, body={"detail": f"no messages, key {KEY}"}))
    found = examine(api.url)
    assert found["errors"]["status"] == "note"
    assert found["stream"]["status"] == "ok"


@pytest.mark.parametrize(
    ("fault", "boundary", "words"),
    [
        (faults.status(404, message="model: claude-x"), "model", "may not be used here (404"),
        (faults.status(403, message="no access to this model"), "model", "may not be used here"),
        (
            faults.status(429, code="enforced_spend_limit_reached"),
            "call",
            "a spend limit is reached",
        ),
        (
            faults.status(400, message="Your credit balance is too low to access the API."),
            "call",
            "no credit left (400, invalid_request_error)",
        ),
        (faults.status(402), "call", "a spend limit is reached"),
        (faults.status(500), "call", "what answers has an error of its own (500, api_error)"),
        (faults.reset(), "call", "the connection breaks before an answer"),
        (faults.status(200, body={"type": "completion"}), "call", "no message of the API"),
    ],
)
def test_the_call_tells(examine, api, fault, boundary, words):
    api.script(None, fault)
    found = examine(api.url, "--model", "claude-sonnet-4-6")[boundary]
    assert found["status"] == "failed"
    assert words in found["tells"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.eof(after_events=9), "and 9 events, before its end"),
        (faults.reset(after_events=9), "and 9 events, before its end"),
        (faults.status(200, body={"type": "message"}), "no event came"),
        (faults.status(529), "the API is overloaded"),
        (faults.reset_before(), "the connection breaks before an answer"),
    ],
)
def test_the_stream_tells(examine, api, fault, words):
    api.script(None, None, fault)
    found = examine(api.url)["stream"]
    assert found["status"] == "failed"
    assert words in found["tells"]


# What is in between


def test_a_reverse_proxy_that_passes_everything_on(examine, api):
    with ReverseProxy(api) as between:
        assert examine(between.url)["stream"]["status"] == "ok"
    assert len(api.requests) == 3


def test_a_gateway_of_ours(examine, api, tmp_path):
    with serving(api.url, tmp_path) as between:
        found = examine(between.url)
    assert {one["status"] for name, one in found.items() if name != "silence"} == {"ok"}
    assert len(api.requests) == 3


@pytest.mark.parametrize("compresses", [False, True])
def test_a_stream_that_is_buffered(examine, api, compresses):
    api.script(None, None, faults.slow(0.005))
    with ReverseProxy(api, buffers=True, compresses=compresses) as between:
        found = examine(between.url)["stream"]
    assert found["status"] == "failed"
    assert (
        f"buffered{', compressed with gzip' if compresses else ''}: nothing for" in found["tells"]
    )
    assert "proxy_buffering off" in found["next"]


def test_a_stream_that_is_compressed(examine, api):
    with ReverseProxy(api, compresses=True) as between:
        found = examine(between.url)["stream"]
    assert found["status"] == "note"
    assert found["measured"]["encoding"] == "gzip"


def test_errors_that_become_a_page(examine, api):
    with ReverseProxy(api, rewrites_errors=True) as between:
        found = examine(between.url)["http"]
    assert "a web page answers (200)" in found["tells"]


def test_a_silence_that_is_cut(examine, api):
    api.script(None, None, None, faults.stall(seconds=5))
    with ReverseProxy(api, cuts_after=0.5) as between:
        found = examine(between.url, "--idle", "1")["silence"]
    assert found["status"] == "failed"
    assert "something ends the connection after 0." in found["tells"]
    assert "proxy_read_timeout" in found["next"]


def test_a_silence_that_a_gateway_ends(examine, api):
    api.script(None, None, None, faults.status(504))
    found = examine(api.url, "--idle", "1")["silence"]
    assert "something ends the request, with 504" in found["tells"]


def test_a_silence_that_survives(examine, api):
    api.script(None, None, None, faults.stall(seconds=0.02))
    found = examine(api.url, "--idle", "0.01")["silence"]
    assert found["status"] == "ok"
    assert api.requests[-1].body["max_tokens"] == 16


def test_a_silence_that_is_over_too_soon(examine, api):
    found = examine(api.url, "--idle", "100")["silence"]
    assert found["status"] == "note"
    assert api.requests[-1].body["max_tokens"] == 9600


# Arguments


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "no key"),
        (" sk-ant-api03-SECRET", "begins or ends with white space"),
        ('"sk-ant-api03-SECRET"', "has quotation marks around it"),
        ("sk-ant-api03-SECRET SECRET", "has characters that no key has"),
        ("sk-ant-oat01-SECRET", "belongs into ANTHROPIC_AUTH_TOKEN"),
        ("your-api-key", "holds a placeholder"),
    ],
)
def test_a_key_of_the_wrong_shape(examine, api, monkeypatch, key, words):
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    found = examine(api.url)["environment"]
    assert found["status"] == "failed"
    assert words in found["tells"]
    assert api.requests == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--base-url", "api.anthropic.com"], "must be like https://api.anthropic.com"),
        (["--base-url", "ftp://host"], "must be like https://api.anthropic.com"),
        (["--idle", "0"], "--idle must be a number of seconds"),
        (["--idle", "nan"], "--idle must be a number of seconds"),
    ],
)
def test_wrong_arguments_are_a_sentence(capsys, args, words):
    assert cli.main(["doctor", *args]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err


def test_a_proxy_that_cannot_be_used_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "ftp://me:SECRET@proxy")
    assert cli.main(["doctor"]) == 2
    assert "HTTPS_PROXY=ftp://...@proxy cannot be used as a proxy" in capsys.readouterr().err


def test_the_base_url_of_the_environment(api, monkeypatch, capsys):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
    assert cli.main(["doctor", "--model", "claude-sonnet-4-6"]) == 0
    assert {request.body["model"] for request in api.requests} == {"claude-sonnet-4-6"}


def test_a_connection_that_is_never_answered(monkeypatch, examine):
    monkeypatch.setattr(network, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]  # the queue of a listener that takes nobody
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        found = examine(f"http://127.0.0.1:{full.getsockname()[1]}")["connection"]
        for one in waiting:
            one.close()
    assert "does not answer: a firewall drops the packets" in found["tells"]


# Bedrock and Vertex


def test_bedrock(examine, monkeypatch):
    pytest.importorskip("boto3")
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with Platform("bedrock", LINES) as server:
        found = examine(server.url, "--platform", "bedrock")
    assert {one["status"] for name, one in found.items() if name != "silence"} == {"ok"}
    assert [seen.model for seen in server.seen] == [
        "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    ] * 3
    assert found["stream"]["measured"]["events"] > 40


def test_bedrock_without_credentials(examine, monkeypatch, tmp_path):
    pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")  # the SDK keeps the session of each region
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with Platform("bedrock", LINES) as server:
        found = examine(server.url, "--platform", "bedrock")["http"]
    assert found["status"] == "failed"
    assert "the request could not be made" in found["tells"]
    assert "aws sts get-caller-identity" in found["next"]


def test_vertex_without_its_variables_is_a_sentence(capsys, monkeypatch):
    for name in ("CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["doctor", "--platform", "vertex"]) == 2
    assert "set CLOUD_ML_REGION and ANTHROPIC_VERTEX_PROJECT_ID" in capsys.readouterr().err


def test_vertex(examine, monkeypatch):
    pytest.importorskip("google.auth")
    monkeypatch.setenv("CLOUD_ML_REGION", "us-east5")
    monkeypatch.setenv("ANTHROPIC_VERTEX_PROJECT_ID", "my-project")
    init = anthropic.AnthropicVertex.__init__

    def with_token(self: Any, **options: Any) -> None:
        init(self, access_token="SECRET-token", **options)

    monkeypatch.setattr(anthropic.AnthropicVertex, "__init__", with_token)
    with Platform("vertex", LINES) as server:
        found = examine(f"{server.url}/v1", "--platform", "vertex")
    assert {one["status"] for name, one in found.items() if name != "silence"} == {"ok"}
    assert {seen.model for seen in server.seen} == {"claude-haiku-4-5@20251001"}


def test_a_platform_whose_extra_is_missing_is_a_sentence(capsys, monkeypatch):
    def missing(**_options: Any) -> None:
        raise ImportError("no boto3")

    monkeypatch.setattr(anthropic, "AnthropicBedrock", missing)
    assert cli.main(["doctor", "--platform", "bedrock"]) == 2
    assert "pip install 'anthropic[bedrock]'" in capsys.readouterr().err
