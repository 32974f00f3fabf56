"""What the environment has wrong is said in a sentence, without a traceback or a password."""

from __future__ import annotations

import importlib.util
import os
import socket
import ssl
import subprocess
import sys

import pytest

from unbroken._cli import demo
from unbroken._cli import main as cli
from unbroken._cli.problems import ProblemError, check_collector, explained

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
SOCKS = ImportError("Using SOCKS proxy, but the 'socksio' package is not installed.")
NO_FILE = FileNotFoundError(2, "No such file or directory")


@pytest.fixture
def refused() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("error", "environ", "sentence"),
    [
        (
            SOCKS,
            {"ALL_PROXY": "socks5://me:SECRET@proxy:1080", "HTTP_PROXY": "http://proxy"},
            (
                "ALL_PROXY=socks5://...@proxy:1080 asks for a SOCKS proxy, which takes: "
                "pip install socksio"
            ),
        ),
        (
            SOCKS,
            {"https_proxy": "socks5h://proxy:1080"},
            (
                "https_proxy=socks5h://proxy:1080 asks for a SOCKS proxy, which takes: "
                "pip install socksio"
            ),
        ),
        (
            NO_FILE,
            {"SSL_CERT_FILE": "/none.pem"},
            "SSL_CERT_FILE=/none.pem cannot be read as certificates: No such file or directory",
        ),
        (
            ssl.SSLError(1, "no certificate or crl found"),
            {"SSL_CERT_FILE": "a.pem", "SSL_CERT_DIR": "certs"},
            (
                "SSL_CERT_FILE=a.pem or SSL_CERT_DIR=certs cannot be read as certificates: "
                "no certificate or crl found"
            ),
        ),
        (
            ValueError("Unknown scheme"),
            {"HTTP_PROXY": "http://a", "HTTPS_PROXY": "ftp://b"},
            "HTTPS_PROXY=ftp://b or HTTP_PROXY=http://a cannot be used as a proxy: Unknown scheme",
        ),
        (ValueError("odd"), {}, "The environment cannot be used as a proxy: odd"),
    ],
)
def test_what_keeps_a_client_from_being_made(error, environ, sentence):
    assert explained(error, environ) == sentence


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALL_PROXY", "socks5://me:SECRET@127.0.0.1:9", "asks for a SOCKS proxy"),
        ("SSL_CERT_FILE", "/none/at/all.pem", "cannot be read as certificates"),
        ("HTTPS_PROXY", "ftp://127.0.0.1:9", "cannot be used as a proxy"),
        ("HTTPS_PROXY", "http://[::1", "cannot be used as a proxy"),
    ],
)
def test_the_demo_says_it_and_does_without(monkeypatch, capsys, variable, value, words):
    monkeypatch.setattr(demo, "paced", lambda seed, pause: lambda: 64)
    monkeypatch.setattr(demo, "FAST", 0.001)
    monkeypatch.setenv(variable, value)
    if "socks" in value and importlib.util.find_spec("socksio") is not None:
        pytest.skip("SOCKS works here")
    assert cli.main(["demo", "--fast"]) == 0
    shown = capsys.readouterr()
    assert "byte for byte" in shown.out
    assert words in shown.err
    assert shown.err.endswith(". The demo does without it.\n")
    assert shown.err.count("\n") == 1
    assert "SECRET" not in shown.err


# Traces


def test_a_collector_that_is_there_is_fine():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        check_collector({ENDPOINT: url, TRACES: f"{url}/v1/traces"})


@pytest.mark.parametrize("variable", [ENDPOINT, TRACES, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"])
def test_a_collector_that_is_not_there_is_told(refused, variable):
    with pytest.raises(
        ProblemError, match=rf"^{variable} is '{refused}', where nobody takes traces"
    ):
        check_collector({variable: refused})


@pytest.mark.parametrize(
    "url", ["localhost:4317", "grpc://localhost:4317", "http://", "4317", "http://[::1"]
)
def test_an_address_that_is_none_is_told(url):
    with pytest.raises(ProblemError, match=f"^{ENDPOINT} is '"):
        check_collector({ENDPOINT: url})


def test_where_nothing_is_sent_nothing_is_looked_at(refused):
    check_collector({})
    check_collector({ENDPOINT: ""})
    off = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}
    check_collector({ENDPOINT: refused, **off})


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (ENDPOINT, None, "where nobody takes traces"),
        (ENDPOINT, "localhost:4317", "must be a URL such as http://localhost:4318"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "configure() knows otlp, console, none"),
    ],
)
def test_a_trace_that_cannot_be_sent_is_a_sentence(refused, variable, value, words):
    done = subprocess.run(
        [sys.executable, "-m", "unbroken", "demo", "--fast", "--trace"],
        env={**os.environ, variable: value or refused},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("unbroken: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
