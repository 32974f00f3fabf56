"""The telemetry of a call: its events go to its spans, its metrics and its log lines."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import metrics, trace

from unbroken._core.events import Cancelled, Completed, GaveUp
from unbroken._telemetry import names
from unbroken._telemetry.facts import DEFAULT_PROVIDER, Endpoint
from unbroken._telemetry.log import CallLog, logger
from unbroken._telemetry.metrics import CallMetrics, Instruments, instruments
from unbroken._telemetry.scopes import VERSION, is_call_of_sdk
from unbroken._telemetry.spans import CallSpans

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

    from unbroken._core.events import RecoveryEvent

__all__ = ["CallTelemetry", "Telemetry"]


class _Listener(Protocol):
    def notify(self, event: RecoveryEvent) -> None: ...


class Telemetry:
    """Makes the telemetry of all calls of a client.

    Args:
        tracer_provider: Makes the spans; the global one if it is None.
        meter_provider: Makes the metrics; the global one if it is None.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = _tracer(tracer_provider)
        self._instruments = _instruments(meter_provider)

    def call(
        self,
        method: str,
        url: str,
        *,
        creates_message: bool = False,
        provider: str = DEFAULT_PROVIDER,
    ) -> CallTelemetry:
        """Begin the telemetry of a call, with the current context as its parent.

        Args:
            method: The HTTP method of the call.
            url: The URL of the call.
            creates_message: Whether it asks for a message.
            provider: Who serves the model, as the conventions name it. Where it is the default, a
                span of the SDK for the call knows better.
        """
        if provider == DEFAULT_PROVIDER:
            provider = _provider_of_sdk() or provider
        endpoint = Endpoint.of(method, url, creates_message=creates_message, provider=provider)
        spans = CallSpans(self._tracer, endpoint)
        return CallTelemetry(spans, CallMetrics(self._instruments, endpoint), CallLog())


class CallTelemetry:
    """Tells the events of one call to its spans, its metrics and its log lines.

    What goes wrong in one of them is logged at DEBUG, and never reaches the caller.

    Args:
        spans: The spans of the call.
        metrics: The metrics of the call.
        others: What else is told.
    """

    _ended = False

    def __init__(self, spans: CallSpans, metrics: CallMetrics, *others: _Listener) -> None:
        self._spans = spans
        self._metrics = metrics
        self._listeners: tuple[_Listener, ...] = (spans, metrics, *others)
        # Reentrant: a log handler may close the stream that it is told about.
        self._lock = threading.RLock()

    def notify(self, event: RecoveryEvent) -> None:
        """Take in an event; what comes after the last one is ignored."""
        with self._lock:
            if self._ended:
                return
            self._ended = isinstance(event, (Completed, GaveUp, Cancelled))
            for listener in self._listeners:
                try:
                    with self._spans.telling():
                        listener.notify(event)
                except Exception:  # noqa: BLE001  # no answer may be lost to its telemetry
                    logger.debug("telemetry failed at %s", type(event).__name__, exc_info=True)

    def journal_failed(self) -> None:
        """Count a failure of the journal of the call."""
        self._metrics.journal_failed()

    def sending(self) -> AbstractContextManager[None]:
        """Make the attempt's span the current one, for as long as a request is being sent."""
        return self._spans.sending()


def _provider_of_sdk() -> str | None:
    span: Any = trace.get_current_span()
    if not is_call_of_sdk(span):
        return None
    provider = (span.attributes or {}).get(names.PROVIDER)
    return None if provider is None else str(provider)


def _tracer(provider: TracerProvider | None) -> Tracer:
    try:
        return trace.get_tracer(names.SCOPE, VERSION, tracer_provider=provider)
    except Exception:  # noqa: BLE001  # the environment names a provider that is not there
        logger.debug("there is no tracer, so there are no spans", exc_info=True)
        return trace.NoOpTracer()


def _instruments(provider: MeterProvider | None) -> Instruments:
    try:
        return instruments(provider)
    except Exception:  # noqa: BLE001  # the environment names a provider that is not there
        logger.debug("there is no meter, so there are no metrics", exc_info=True)
        return Instruments(metrics.NoOpMeterProvider())
