"""`configure()`, in processes of their own where it sets the global providers."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.telemetry.recording import SDK_TRACES

from unbroken._telemetry import configure
from unbroken.telemetry import configure as configure_telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL = """
    import sys
    import anthropic, unbroken, unbroken.telemetry
    from unbroken.testing import FaultServer, faults

    def call():
        lost = [faults.status(529), faults.reset(after_chars=20)]
        with FaultServer("A story that is long enough. " * 3, faults=lost) as server:
            client = anthropic.Anthropic(base_url=server.url, api_key="test")
            wrapped = unbroken.wrap(client, unbroken.Policy(time_scale=0))
            with wrapped.messages.stream(
                model="claude-haiku-4-5",
                max_tokens=100,
                messages=[{"role": "user", "content": "Hi"}],
            ) as stream:
                stream.until_done()
            client.close()
"""
CALL_SPAN = "anthropic.messages.create" if SDK_TRACES else "chat claude-haiku-4-5"


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    script = textwrap.dedent(CALL) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
        timeout=50,
    )


class Receiver:
    """An OTLP/HTTP receiver."""

    def __init__(self) -> None:
        received: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                received.append((self.path, body))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def names(self, path: str) -> Iterator[str]:
        """The names of the spans or metrics that came."""
        kind = ExportTraceServiceRequest if path == "/v1/traces" else ExportMetricsServiceRequest
        for came, body in self._received:
            if came == path:
                yield from names_in(kind.FromString(body))


def names_in(request: Any) -> list[str]:
    if isinstance(request, ExportTraceServiceRequest):
        scopes = [s for resource in request.resource_spans for s in resource.scope_spans]
        return [span.name for scope in scopes for span in scope.spans]
    scopes = [s for resource in request.resource_metrics for s in resource.scope_metrics]
    return [metric.name for scope in scopes for metric in scope.metrics]


def test_spans_and_metrics_arrive_by_otlp():
    code = """
        configured = unbroken.telemetry.configure()
        call()
        assert configured.flush()
        configured.shutdown()
        print(configured.traces, configured.metrics)
    """
    with Receiver() as receiver:
        done = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert done.stdout.split() == ["otlp", "otlp"]
    assert done.stderr == ""
    spans = list(receiver.names("/v1/traces"))
    assert sorted(spans) == sorted([CALL_SPAN, *["messages.attempt"] * 3])
    assert {"unbroken.calls", "unbroken.attempts", "unbroken.recoveries"} <= set(
        receiver.names("/v1/metrics")
    )


def test_otherwise_a_tree_is_written_once_however_often_it_is_configured():
    code = """
        wrapped_before = unbroken.wrap(anthropic.Anthropic(api_key="test"))
        configured = unbroken.telemetry.configure(console=sys.stdout)
        assert unbroken.telemetry.configure() is configured
        assert (configured.traces, configured.metrics) == ("console", "none")
        call()
        assert configured.flush()
    """
    title, *attempts = run(code).stdout.splitlines()
    assert title.startswith(CALL_SPAN)
    assert "claude-haiku-4-5  saved  " in title
    assert [line.split()[:4] for line in attempts] == [
        ["├─", "1", "initial", "failed"],
        ["├─", "2", "retry", "interrupted"],
        ["└─", "3", "continuation", "complete"],
    ]
    assert "overloaded     HTTP 529" in attempts[0]
    assert "20 chars  req_" in attempts[1]


def test_a_provider_of_the_application_is_left_alone():
    code = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        own = TracerProvider()
        trace.set_tracer_provider(own)
        configured = unbroken.telemetry.configure()
        assert trace.get_tracer_provider() is own
        assert configured.tracer_provider is None
        call()
    """
    assert run(code).stdout == ""


@pytest.fixture
def environ(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(configure, "_configured", None)
    return monkeypatch.setenv


def test_a_disabled_sdk_is_not_set_up(environ):
    environ("OTEL_SDK_DISABLED", "TRUE")
    configured = configure_telemetry()
    assert (configured.tracer_provider, configured.meter_provider) == (None, None)
    assert configured.flush()
    configured.shutdown()


def test_no_exporter_is_set_up_where_none_is_asked_for(environ):
    environ("OTEL_TRACES_EXPORTER", "none")
    environ("OTEL_METRICS_EXPORTER", "none")
    environ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert configure_telemetry() == configure.Configuration()


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_METRICS_EXPORTER", "prometheus")],
)
def test_an_unknown_exporter_is_named(environ, name, value):
    environ(name, value)
    with pytest.raises(ValueError, match=rf"^{name} is '{value}'; .* otlp, console, none"):
        configure_telemetry()


def test_another_protocol_is_named(environ):
    environ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    environ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ValueError, match=r"is 'grpc'; configure\(\) speaks http/protobuf only"):
        configure_telemetry()


def test_a_missing_exporter_is_named_with_what_to_install(environ, monkeypatch):
    environ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ImportError, match="pip install opentelemetry-exporter-otlp-proto-http"):
        configure_telemetry()
