"""The spans of one call: one for each attempt, and one for the call where the SDK makes none."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from unbroken._core.attempts import Outcome
from unbroken._core.bounds import explanation
from unbroken._core.events import (
    AttemptFailed,
    AttemptStarted,
    Cancelled,
    Completed,
    Extended,
    GaveUp,
)
from unbroken._telemetry import names
from unbroken._telemetry.facts import (
    error_type,
    identifier,
    input_tokens,
    known,
    of_target,
    time_to_first_chunk,
)
from unbroken._telemetry.propagation import outgoing
from unbroken._telemetry.scopes import is_call_of_sdk
from unbroken._telemetry.suppression import hides_call, without_suppression

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from unbroken._core.attempts import Attempt
    from unbroken._core.events import RecoveryEvent
    from unbroken._core.failures import Failure
    from unbroken._telemetry.facts import Endpoint

__all__ = ["CallSpans"]


class CallSpans:
    """Makes the spans of one call.

    Attempts may be made in another thread, task or context than the call was begun in, so the
    context is captured here, and no span stays the current one beyond the sending of a request.

    Args:
        tracer: Makes the spans.
        endpoint: What the call asks, and whom.
    """

    def __init__(self, tracer: Tracer, endpoint: Endpoint) -> None:
        self._tracer = tracer
        self._endpoint = endpoint
        captured = context.get_current()
        self._has_call_span = hides_call(captured)  # somebody else's
        self._context = without_suppression(captured) if self._has_call_span else captured
        self._sent_in = self._sending = captured
        self._call: Span | None = None
        self._sdk_call: Span | None = None
        self._attempt: Span | None = None
        self._links: list[Link] = []
        self._begun = False

    def notify(self, event: RecoveryEvent) -> None:
        """Begin and end spans."""
        match event:
            case AttemptStarted():
                self._begin_attempt(event)
            case AttemptFailed() | Extended():
                self._end_attempt(event.attempt)
            case Completed() | GaveUp() | Cancelled():
                self._end_attempt(event.attempt)
                self._end_call(event)

    def sending(self) -> AbstractContextManager[None]:
        """Make the attempt's span the current one."""
        return _current(self._sending)

    def telling(self) -> AbstractContextManager[None]:
        """Make the call's span the current one, whoever reads the stream."""
        return _current(self._context)

    # Attempts

    def _begin_attempt(self, event: AttemptStarted) -> None:
        if not self._begun:
            self._begin_call(event)
        attempt = event.attempt
        if self._sdk_call is not None and attempt.number > 1:
            self._sdk_call.set_attribute(names.RESEND_COUNT, attempt.number - 1)
        self._attempt = span = self._tracer.start_span(
            names.ATTEMPT_SPAN,
            context=self._context,
            kind=SpanKind.CLIENT,
            attributes=self._asked(event),
            links=self._links,
        )
        self._links = [Link(span.get_span_context())]
        sending = trace.set_span_in_context(span, self._sent_in)
        self._sending = sending if self._sdk_call is not None else outgoing(sending)

    def _asked(self, event: AttemptStarted) -> dict[str, Any]:
        attempt = event.attempt
        return known(
            {
                names.REQUEST_METHOD: self._endpoint.method,
                names.RESEND_COUNT: max(attempt.number - 1, 0) or None,
                **self._server(),
                names.CALL_ID: event.call_id,
                names.ATTEMPT_NUMBER: attempt.number,
                names.ATTEMPT_KIND: attempt.kind.value,
                names.WAIT_S: attempt.waited,
                names.MODEL: event.model,
                **of_target(attempt),
            }
        )

    def _server(self) -> dict[str, Any]:
        return {
            names.SERVER_ADDRESS: self._endpoint.host,
            names.SERVER_PORT: self._endpoint.port,
        }

    def _end_attempt(self, attempt: Attempt) -> None:
        span, self._attempt = self._attempt, None
        if span is None:
            return
        span.set_attributes(_brought(attempt))
        if attempt.failure is not None:
            _fail(span, attempt.failure, attempt.failure.detail)
        span.end()

    # The call

    def _begin_call(self, event: AttemptStarted) -> None:
        self._begun = True
        current = trace.get_current_span(self._context)
        if is_call_of_sdk(current):
            self._sdk_call = current
            current.set_attribute(names.CALL_ID, event.call_id)
            return
        if self._has_call_span or not self._endpoint.creates_message:
            return
        model = event.model
        attributes = {
            names.OPERATION: "chat",
            names.PROVIDER: self._endpoint.provider,
            names.REQUEST_MODEL: model,
            names.CALL_ID: event.call_id,
            **self._server(),
        }
        self._call = self._tracer.start_span(
            f"chat {model}" if model else "chat",
            context=self._context,
            kind=SpanKind.CLIENT,
            attributes=known(attributes),
        )
        self._context = trace.set_span_in_context(self._call, self._context)

    def _end_call(self, event: Completed | GaveUp | Cancelled) -> None:
        span, self._call = self._call, None
        if span is None:
            return
        first = time_to_first_chunk(event.attempts)
        if first is not None:
            span.set_attribute(names.TIME_TO_FIRST_CHUNK_ATTRIBUTE, first[0])
        if isinstance(event, Completed):
            span.set_attributes(_answered(event))
        elif isinstance(event, GaveUp):
            why = explanation(event.reason, event.failure, event.last_failure)
            _fail(span, event.failure, f"{event.failure.detail}; {why}")
        span.end()


@contextmanager
def _current(attached: Context) -> Iterator[None]:
    token = context.attach(attached)
    try:
        yield
    finally:
        context.detach(token)


def _brought(attempt: Attempt) -> dict[str, Any]:
    failure, usage = attempt.failure, attempt.usage
    status = attempt.status if failure is None else attempt.status or failure.status
    counted = attempt.first_event is not None and attempt.outcome is not Outcome.CANCELLED
    return known(
        {
            names.STATUS_CODE: status,
            names.ATTEMPT_OUTCOME: None if attempt.outcome is None else attempt.outcome.value,
            names.REQUEST_ID: identifier(attempt.request_id),
            names.RECEIVED_CHARS: attempt.received_chars if counted else None,
            names.DELIVERED_CHARS: attempt.delivered_chars if counted else None,
            names.SEAM: None if attempt.seam is None else attempt.seam.value,
            names.ATTEMPT_INPUT_TOKENS: input_tokens(usage),
            names.ATTEMPT_OUTPUT_TOKENS: None if usage is None else usage.output_tokens,
        }
    )


def _answered(event: Completed) -> dict[str, Any]:
    usage = event.usage
    return known(
        {
            names.RESPONSE_ID: event.message_id,
            names.RESPONSE_MODEL: event.served_by,
            names.FINISH_REASONS: None if event.stop_reason is None else [event.stop_reason],
            names.INPUT_TOKENS: input_tokens(usage),
            names.CACHE_READ_TOKENS: usage and usage.cache_read_input_tokens,
            names.CACHE_CREATION_TOKENS: usage and usage.cache_creation_input_tokens,
            names.OUTPUT_TOKENS: usage and usage.output_tokens,
        }
    )


def _fail(span: Span, failure: Failure, description: str) -> None:
    span.set_attributes(
        {names.ERROR_TYPE: error_type(failure), names.FAILURE_KIND: failure.kind.value}
    )
    span.set_status(Status(StatusCode.ERROR, description))
