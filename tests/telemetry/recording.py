"""What telemetry leaves behind in a test, and clients that leave it."""

from __future__ import annotations

import inspect
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.samples import AT_ONCE, PREFILLS

import unbroken

if TYPE_CHECKING:
    from unbroken.testing import FaultServer

SDK_TRACES = "open_telemetry" in inspect.signature(anthropic.Anthropic).parameters
MODEL = PREFILLS
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Tell me a story."}],
}


class _Lives(SpanProcessor):
    """Counts how often each span began and ended."""

    def __init__(self) -> None:
        self.open: Counter[int] = Counter()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.open[span.context.span_id] += 1

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        self.open[span.context.span_id] -= 1


class Recording:
    """The spans and metrics of a test, and the clients that make them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._lives = _Lives()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer_provider.add_span_processor(self._lives)
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracer = self.tracer_provider.get_tracer("app")
        self.events: list[Any] = []
        self._closing = ExitStack()

    # Clients

    def client(self, server: FaultServer, *, sdk: bool = False, **options: Any) -> Any:
        http = options.pop("http_client", None) or anthropic.DefaultHttpxClient(verify=False)
        self._closing.callback(http.close)
        return self._wrap(anthropic.Anthropic, server, http, sdk, options)

    def async_client(self, server: FaultServer, *, sdk: bool = False, **options: Any) -> Any:
        http = options.pop("http_client", None) or anthropic.DefaultAsyncHttpxClient(verify=False)
        return self._wrap(anthropic.AsyncAnthropic, server, http, sdk, options)

    def _wrap(self, cls: Any, server: FaultServer, http: Any, sdk: bool, options: Any) -> Any:
        policy = options.pop("policy", AT_ONCE)
        on_event = options.pop("on_event", self.events.append)
        journal = options.pop("journal", None)
        tracer_provider = options.pop("tracer_provider", self.tracer_provider)
        options.setdefault("api_key", "test")
        if SDK_TRACES:
            options["open_telemetry"] = {"tracer_provider": self.tracer_provider} if sdk else False
        client = cls(base_url=server.url, http_client=http, **options)
        return unbroken.wrap(
            client,
            policy,
            tracer_provider=tracer_provider,
            meter_provider=self.meter_provider,
            on_event=on_event,
            journal=journal,
        )

    def close(self) -> None:
        self._closing.close()

    # Spans

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def unended(self) -> list[int]:
        return [span for span, balance in self._lives.open.items() if balance]

    @property
    def attempts(self) -> list[ReadableSpan]:
        found = [span for span in self.spans if span.name == "messages.attempt"]
        return sorted(found, key=lambda span: of(span, "unbroken.attempt.number"))

    def attempts_of(self, call_id: str) -> list[ReadableSpan]:
        return [span for span in self.attempts if of(span, "unbroken.call.id") == call_id]

    def named(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.spans if span.name == name]
        return found

    @property
    def call(self) -> ReadableSpan:
        """The call's span, the SDK's or ours."""
        [found] = [s for s in self.spans if s.name.startswith(("chat ", "anthropic.messages."))]
        return found

    @property
    def call_id(self) -> Any:
        return of(self.call, "unbroken.call.id")

    # Metrics

    def _scopes(self) -> list[Any]:
        data = self._reader.get_metrics_data()
        return [s for r in data.resource_metrics for s in r.scope_metrics] if data else []

    def versions_of_meters(self) -> set[str]:
        return {scope.scope.version for scope in self._scopes()}

    def metrics(self) -> dict[str, Any]:
        scopes = self._scopes()
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        metric = self.metrics().get(name)
        return [(dict(p.attributes), p) for p in metric.data.data_points] if metric else []

    def count(self, name: str, **attributes: Any) -> int:
        """The sum of a counter over the points with these attributes, dots written as `__`."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        return sum(point.value for has, point in self.points(name) if wanted.items() <= has.items())


def of(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def values(spans: list[ReadableSpan], name: str) -> list[Any]:
    return [of(span, name) for span in spans]


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert parent.context is not None
    assert child.context is not None
    return (
        child.parent is not None
        and child.parent.span_id == parent.context.span_id
        and child.context.trace_id == parent.context.trace_id
    )
