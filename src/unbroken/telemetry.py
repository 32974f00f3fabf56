"""Spans, metrics and log lines of each call. Only this module imports OpenTelemetry."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from unbroken._core.events import RecoveryEvent

__all__ = ["CallTelemetry", "Telemetry"]


class Telemetry:
    def __init__(self, tracer_provider: Any = None, meter_provider: Any = None) -> None:
        pass

    def call(self, method: str, url: str) -> CallTelemetry:
        return CallTelemetry()


class CallTelemetry:
    def tell(self, event: RecoveryEvent) -> None:
        pass

    def sending(self) -> AbstractContextManager[Any]:
        return nullcontext()
