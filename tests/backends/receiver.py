"""An OTLP receiver on loopback, which keeps the spans and metrics that it gets."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True)
class Span:
    """A span as it was exported."""

    name: str
    id: str
    parent: str
    scope: str
    attributes: dict[str, Any]


@dataclass
class Receiver:
    """Takes in OTLP over HTTP."""

    spans: list[Span] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, path: str, body: bytes) -> None:
        if path.endswith("/traces"):
            self._take_spans(ExportTraceServiceRequest.FromString(body))
        elif path.endswith("/metrics"):
            request = ExportMetricsServiceRequest.FromString(body)
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    self.metrics |= {metric.name for metric in scope.metrics}

    def _take_spans(self, request: Any) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    made = Span(
                        span.name,
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        scope.scope.name,
                        {one.key: value_of(one.value) for one in span.attributes},
                    )
                    self.spans.append(made)


def value_of(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
