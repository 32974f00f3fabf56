"""Sets up the OpenTelemetry SDK, by the standard environment variables or for the console."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from unbroken._telemetry.console import ConsoleTree
from unbroken._telemetry.log import logger

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Configuration", "set_up"]

_EXPORTERS = ("otlp", "console", "none")
_PROTOCOL = "http/protobuf"
_PACKAGE = "opentelemetry-exporter-otlp-proto-http"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What `configure()` set up.

    Attributes:
        traces: Where spans go: `otlp`, `console` or `none`.
        metrics: Where metrics go: `otlp`, `console` or `none`.
        tracer_provider: What makes the spans; None where the application has its own, or none.
        meter_provider: What makes the metrics; None where the application has its own, or none.
    """

    traces: str = "none"
    metrics: str = "none"
    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what was not sent yet.

        Args:
            timeout: Seconds that each of traces and metrics may take.

        Returns:
            Whether all of it was sent.
        """
        providers = (self.tracer_provider, self.meter_provider)
        milliseconds = round(timeout * 1000)
        sent = [one.force_flush(milliseconds) for one in providers if one is not None]
        return all(sent)

    def shutdown(self) -> None:
        """Send what was not sent yet, and stop."""
        for provider in (self.tracer_provider, self.meter_provider):
            if provider is not None:
                provider.shutdown()


_lock = threading.Lock()
_configured: Configuration | None = None


def set_up(console: TextIO | None) -> Configuration:
    """Set up what is not set up yet; see `unbroken.telemetry.configure()`."""
    global _configured  # noqa: PLW0603  # OpenTelemetry's providers are global, too
    with _lock:
        if _configured is None:
            _configured = _set_up(console)
        return _configured


def _set_up(console: TextIO | None) -> Configuration:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Configuration()
    traces, tracer_provider = _exporter("TRACES", "console"), None
    meters, meter_provider = _exporter("METRICS", "none"), None
    if traces != "none" and _is_free("tracer", trace.get_tracer_provider()):
        tracer_provider = _tracer_provider(traces, console)
        trace.set_tracer_provider(tracer_provider)
    if meters != "none" and _is_free("meter", metrics.get_meter_provider()):
        meter_provider = _meter_provider(meters, console)
        metrics.set_meter_provider(meter_provider)
    return Configuration(traces, meters, tracer_provider, meter_provider)


def _exporter(signal: str, otherwise: str) -> str:
    """The exporter that the environment names for a signal, `TRACES` or `METRICS`."""
    name = os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    if not name:
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        return "otlp" if any(os.environ.get(variable) for variable in endpoints) else otherwise
    if name not in _EXPORTERS:
        raise ValueError(
            f"OTEL_{signal}_EXPORTER is {name!r}; configure() knows {', '.join(_EXPORTERS)}. "
            "For others, set up the OpenTelemetry SDK yourself"
        )
    return name


def _is_free(what: str, provider: object) -> bool:
    """Whether the application has set no provider of its own."""
    if type(provider).__name__.lstrip("_").startswith("Proxy"):
        return True
    logger.warning("the application has set a %s provider; configure() leaves it alone", what)
    return False


def _tracer_provider(exporter: str, console: TextIO | None) -> TracerProvider:
    processor: Any
    if exporter == "otlp":
        processor = BatchSpanProcessor(_otlp("trace_exporter", "OTLPSpanExporter", "TRACES"))
    else:
        processor = ConsoleTree(console or sys.stderr)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    return provider


def _meter_provider(exporter: str, console: TextIO | None) -> MeterProvider:
    if exporter == "otlp":
        target = _otlp("metric_exporter", "OTLPMetricExporter", "METRICS")
    else:
        target = ConsoleMetricExporter(out=console or sys.stderr)
    return MeterProvider([PeriodicExportingMetricReader(target)])


def _otlp(module: str, name: str, signal: str) -> Any:
    variables = (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next(filter(None, map(os.environ.get, variables)), _PROTOCOL)
    if protocol != _PROTOCOL:
        raise ValueError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; configure() speaks {_PROTOCOL} only. "
            "For others, set up the OpenTelemetry SDK yourself"
        )
    try:
        exporters = importlib.import_module(f"opentelemetry.exporter.otlp.proto.http.{module}")
    except ImportError as error:
        raise ImportError(f"to export by OTLP, install it: pip install {_PACKAGE}") from error
    return getattr(exporters, name)()
