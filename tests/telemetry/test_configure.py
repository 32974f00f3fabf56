"""`configure()`, which sets the global providers: here, those of a test."""

from __future__ import annotations

import gzip
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import anthropic
import opentelemetry.metrics._internal as metrics_internal
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once
from tests.samples import AT_ONCE
from tests.telemetry.recording import ASK, SDK_TRACES

import unbroken
from unbroken._telemetry import configure
from unbroken._telemetry.metrics import _global_instruments
from unbroken.telemetry import configure as configure_telemetry
from unbroken.testing import FaultServer, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL_SPAN = "anthropic.messages.create" if SDK_TRACES else "chat claude-haiku-4-5"


def call() -> None:
    """Make a call that takes three attempts, whose telemetry goes to the global providers."""
    lost = [faults.status(529), faults.reset(after_chars=20)]
    with (
        FaultServer("A story that is long enough. " * 3, faults=lost) as server,
        anthropic.Anthropic(base_url=server.url, api_key="test") as client,
        unbroken.wrap(client, AT_ONCE).messages.stream(**ASK) as stream,
    ):
        stream.until_done()


@pytest.fixture
def environ(monkeypatch):
    """Sets variables, where none of OpenTelemetry's is set and nothing has been configured."""
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(configure, "_configured", None)
    return monkeypatch.setenv


@pytest.fixture
def _no_providers(monkeypatch):
    """The state of OpenTelemetry, and of what was made of its global meter, in a new process."""
    _global_instruments.cache_clear()
    for module, name in ((trace, "_TRACER_PROVIDER"), (metrics_internal, "_METER_PROVIDER")):
        monkeypatch.setattr(module, name, None)
        monkeypatch.setattr(module, f"{name}_SET_ONCE", Once())
    proxy = metrics_internal._ProxyMeterProvider()
    monkeypatch.setattr(metrics_internal, "_PROXY_METER_PROVIDER", proxy)
    yield
    _global_instruments.cache_clear()


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


@pytest.mark.usefixtures("_no_providers")
def test_spans_and_metrics_arrive_by_otlp(environ, capsys):
    with Receiver() as receiver:
        environ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        configured = configure_telemetry()
        assert (configured.traces, configured.metrics) == ("otlp", "otlp")
        call()
        assert configured.flush()
        configured.shutdown()
    assert capsys.readouterr() == ("", "")
    spans = list(receiver.names("/v1/traces"))
    assert sorted(spans) == sorted([CALL_SPAN, *["messages.attempt"] * 3])
    assert {"unbroken.calls", "unbroken.attempts", "unbroken.recoveries"} <= set(
        receiver.names("/v1/metrics")
    )


@pytest.mark.usefixtures("environ", "_no_providers")
def test_otherwise_a_tree_is_written_once_however_often_it_is_configured(capsys):
    with anthropic.Anthropic(api_key="test") as client:
        unbroken.wrap(client)  # before there is a provider
        configured = configure_telemetry(console=sys.stdout)
        assert configure_telemetry() is configured
        assert (configured.traces, configured.metrics) == ("console", "none")
        call()
        assert configured.flush()
    configured.shutdown()
    out, err = capsys.readouterr()
    title, *attempts = out.splitlines()
    assert title.startswith(CALL_SPAN)
    assert "claude-haiku-4-5  saved  " in title
    assert [line.split()[:4] for line in attempts] == [
        ["├─", "1", "initial", "failed"],
        ["├─", "2", "retry", "interrupted"],
        ["└─", "3", "continuation", "complete"],
    ]
    assert "overloaded     HTTP 529" in attempts[0]
    assert "20 chars  req_" in attempts[1]
    assert err == ""


@pytest.mark.usefixtures("environ", "_no_providers")
def test_a_provider_of_the_application_is_left_alone(capsys):
    own = TracerProvider()
    trace.set_tracer_provider(own)
    configured = configure_telemetry()
    assert trace.get_tracer_provider() is own
    assert configured.tracer_provider is None
    call()
    own.shutdown()
    assert capsys.readouterr().out == ""


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
