"""Attempts are seen below a span of somebody else that suppresses all others, as logfire's does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, SpanKind
from tests.telemetry.recording import ASK, is_child, values

from unbroken._telemetry.suppression import _KEYS
from unbroken.testing import faults

if TYPE_CHECKING:
    from tests.telemetry.recording import Recording


def is_suppressed() -> bool:
    return any(context.get_value(key) for key in _KEYS)


class Honouring(TracerProvider):
    """Makes no span where spans are suppressed in the current context, as logfire's provider."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(shutdown_on_exit=False)
        self._provider = recording.tracer_provider

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        tracer: Any = self._provider.get_tracer(*args, **kwargs)
        start = tracer.start_span
        tracer.start_span = lambda *a, **kw: INVALID_SPAN if is_suppressed() else start(*a, **kw)
        return tracer


def call(recording: Recording, server: Any, key: str, *, streamed: bool) -> list[bool]:
    """Make a call that drops, and return whether spans were suppressed as each request was sent."""
    seen: list[bool] = []
    http = anthropic.DefaultHttpxClient(
        verify=False, event_hooks={"request": [lambda _: seen.append(is_suppressed())]}
    )
    server.script(faults.status(529), *[faults.reset(after_chars=20)] * (2 if streamed else 0))
    client = recording.client(server, http_client=http, tracer_provider=Honouring(recording))
    token = context.attach(context.set_value(key, True))
    try:
        answer = client.messages.create(stream=streamed, **ASK)
    finally:
        context.detach(token)
    if streamed:
        list(answer)
    return seen


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("key", _KEYS, ids=["plain", "private"])
def test_all_attempts_are_children_of_the_span_that_stands_for_the_call(
    recording, server, key, streamed
):
    instrumented = recording.tracer.start_as_current_span("instrumented", kind=SpanKind.CLIENT)
    with instrumented:
        suppressed = call(recording, server, key, streamed=streamed)
    own = recording.named("instrumented")
    assert len(recording.attempts) == len(suppressed) == (4 if streamed else 2)
    assert all(is_child(attempt, own) for attempt in recording.attempts)
    assert len(recording.spans) == len(recording.attempts) + 1  # no second span for the call
    assert all(suppressed)  # an instrumentation of the HTTP client still makes no spans
    assert len(set(values(recording.attempts, "unbroken.call.id"))) == 1


@pytest.mark.parametrize("streamed", [True, False])
def test_no_attempt_is_recorded_where_no_span_stands_for_the_call(recording, server, streamed):
    call(recording, server, _KEYS[0], streamed=streamed)
    assert recording.spans == []
