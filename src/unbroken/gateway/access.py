"""What is seen of each call: one access line, metrics by user, and a span around it.

They have no prompt, no answer, no key and no header value.
"""

from __future__ import annotations

import json
import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import SpanKind, StatusCode

from unbroken._core.attempts import AttemptKind
from unbroken._core.events import AttemptStarted, Cancelled, Completed, GaveUp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from unbroken._core.events import RecoveryEvent

__all__ = ["Access", "Record", "current"]

_log = logging.getLogger("unbroken.gateway.access")

current: ContextVar[Record | None] = ContextVar("unbroken.gateway.record", default=None)
"""The record of the call that is under way in this task."""


@dataclass(slots=True)
class Record:
    """What is known of one call.

    Attributes:
        method: The HTTP method.
        path: The path of the route, without what the client chose in it.
        user: Who asked; `-` where there are no users.
        began: Monotonic seconds.
        model: The model that the request names.
        stream: The id of the stream.
        joined: Whether it joined another one.
        status: The HTTP status; 499 if the client left before there was one.
        attempts: Requests to the upstream.
        input_tokens: As billed.
        output_tokens: As billed.
        outcome: How the answer ended.
        first: Seconds to the first frame.
    """

    method: str
    path: str
    user: str = "-"
    began: float = field(default_factory=time.monotonic)
    model: str | None = None
    stream: str | None = None
    joined: bool = False
    status: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    outcome: str | None = None
    first: float | None = None

    def take(self, event: RecoveryEvent) -> None:
        """Take in what happened in the call."""
        if isinstance(event, AttemptStarted):
            self.attempts += event.attempt.kind is not AttemptKind.REPLAY
        elif isinstance(event, Completed | GaveUp | Cancelled):
            usages = [one.usage for one in event.attempts if one.usage is not None]
            self.input_tokens = sum(usage.input_tokens or 0 for usage in usages)
            self.output_tokens = sum(usage.output_tokens or 0 for usage in usages)
            self.outcome = _OUTCOMES[type(event)]


_OUTCOMES: dict[type, str] = {Completed: "complete", GaveUp: "failed", Cancelled: "left"}


class Access:
    """Writes access lines, metrics and spans.

    Args:
        log_format: `text` or `json`.
        tracer_provider: Creates the spans; the global provider if None.
        meter_provider: Creates the metrics; the global provider if None.
        now: Monotonic seconds.
    """

    def __init__(
        self,
        log_format: str,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_json = log_format == "json"
        self._now = now
        self._tracer = trace.get_tracer("unbroken.gateway", tracer_provider=tracer_provider)
        meter = metrics.get_meter("unbroken.gateway", meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "unbroken.gateway.call.duration", "s", "Time to the last byte, by user and outcome"
        )
        self._first = meter.create_histogram(
            "unbroken.gateway.time_to_first_event", "s", "Time to the first event, by user"
        )
        self._tokens = meter.create_counter(
            "unbroken.gateway.tokens", "{token}", "Tokens billed, by user and type"
        )
        self._attempts = meter.create_counter(
            "unbroken.gateway.attempts", "{request}", "Requests to the upstream, by user"
        )

    def span(self, record: Record, headers: Mapping[str, str]) -> Span:
        """Begin the span of a call, as a child of the client's."""
        parent = propagate.extract(
            {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        )
        return self._tracer.start_span(
            f"{record.method} {record.path}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": record.method, "http.route": record.path},
        )

    def done(self, record: Record, span: Span) -> None:
        """A call is over."""
        seconds = self._now() - record.began
        self._count(record, seconds)
        line = _line(record, seconds)
        if self._is_json:
            _log.info("%s", json.dumps(line))
        else:
            _log.info("%s", " ".join(f"{name}={value}" for name, value in line.items()))
        span.set_attributes({f"unbroken.gateway.{k}": v for k, v in line.items() if k in _ON_SPAN})
        span.set_attribute("http.response.status_code", record.status)
        if record.status >= _SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end()

    def _count(self, record: Record, seconds: float) -> None:
        who = {"unbroken.gateway.user": record.user}
        outcome = {"unbroken.gateway.outcome": record.outcome or "none"}
        self._duration.record(
            seconds,
            {
                **who,
                **outcome,
                "http.response.status_code": record.status,
                "http.route": record.path,
            },
        )
        if record.first is not None:
            self._first.record(record.first, who)

    def generated(self, record: Record) -> None:
        """The upstream is asked no more for the answer of a call."""
        who = {"unbroken.gateway.user": record.user}
        if record.attempts:
            self._attempts.add(record.attempts, who)
        for kind in ("input", "output"):
            tokens = getattr(record, f"{kind}_tokens")
            if tokens:
                self._tokens.add(tokens, {**who, "gen_ai.token.type": kind})


_SERVER_ERROR = 500
_ON_SPAN = frozenset({"user", "stream", "joined", "outcome"})


def _line(record: Record, seconds: float) -> dict[str, Any]:
    line = {
        "user": record.user,
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "seconds": round(seconds, 4),
        "first": None if record.first is None else round(record.first, 4),
        "model": _plain(record.model),
        "stream": record.stream,
        "joined": record.joined or None,
        "attempts": record.attempts or None,
        "input_tokens": record.input_tokens or None,
        "output_tokens": record.output_tokens or None,
        "outcome": record.outcome,
    }
    return {name: value for name, value in line.items() if value is not None}


def _plain(model: str | None) -> str | None:
    """A model's name, which the client chose: no line breaks and no spaces in a line."""
    if model is None:
        return None
    return "".join(one if one.isalnum() or one in "-_.:@/" else "?" for one in model[:100])
