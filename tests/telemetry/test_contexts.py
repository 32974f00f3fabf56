"""Parents are right wherever a stream is opened and read, and nobody's context is disturbed."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any

import anthropic
import anyio
import pytest
from opentelemetry import baggage, context, trace
from tests.samples import STORY
from tests.telemetry.recording import ASK, SDK_TRACES, is_child, values

from unbroken.testing import faults

if TYPE_CHECKING:
    from tests.telemetry.recording import Recording

DROPS = (faults.status(529), faults.reset(after_chars=20), faults.reset(after_chars=20))
SDK = [True, False] if SDK_TRACES else [False]


def assert_whole(recording: Recording, attempts: int = 4) -> None:
    assert len(recording.attempts) == attempts
    assert is_child(recording.call, recording.named("app"))
    assert all(is_child(attempt, recording.call) for attempt in recording.attempts)


def assert_apart(recording: Recording) -> None:
    calls = [span for span in recording.spans if span.name.startswith("chat ")]
    assert len({call.context.trace_id for call in calls}) == 8
    assert len(recording.attempts) == 16
    for call in calls:
        own = [attempt for attempt in recording.attempts if is_child(attempt, call)]
        assert values(own, "unbroken.attempt.number") == list(range(1, len(own) + 1))


@pytest.mark.parametrize("sdk", SDK)
def test_a_stream_read_in_another_thread_than_it_was_opened_in(recording, server, sdk):
    server.script(*DROPS)
    client, read = recording.client(server, sdk=sdk), []
    with recording.tracer.start_as_current_span("app"):
        opened = client.messages.create(stream=True, **ASK)
    reader = threading.Thread(target=lambda: read.extend(opened))
    reader.start()
    reader.join()
    assert read[-1].type == "message_stop"
    assert_whole(recording)


def test_calls_in_many_threads_keep_apart(recording, server):
    server.script(*(faults.reset(after_chars=20) for _ in range(8)))
    client = recording.client(server)

    def ask(number: int) -> None:
        app = recording.tracer.start_as_current_span(f"app {number}")
        with app, client.messages.stream(**ASK) as opened:
            opened.get_final_text()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_apart(recording)


@pytest.mark.anyio
@pytest.mark.parametrize("sdk", SDK)
async def test_an_async_stream(recording, server, sdk):
    server.script(*DROPS)
    async with recording.async_client(server, sdk=sdk) as client:
        with recording.tracer.start_as_current_span("app"):
            async with client.messages.stream(**ASK) as opened:
                assert await opened.get_final_text() == STORY
    assert_whole(recording)


@pytest.mark.anyio
@pytest.mark.parametrize("sdk", SDK)
async def test_a_stream_read_in_another_task_than_it_was_opened_in(recording, server, sdk):
    server.script(*DROPS)
    opened, read = [], []

    async def open_it(client: Any) -> None:
        with recording.tracer.start_as_current_span("app"):
            opened.append(await client.messages.create(stream=True, **ASK))

    async def read_it() -> None:
        with recording.tracer.start_as_current_span("reader"):
            read.extend([event async for event in opened[0]])

    async with recording.async_client(server, sdk=sdk) as client:
        for work in (lambda: open_it(client), read_it):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work)
    assert read[-1].type == "message_stop"
    assert_whole(recording)


@pytest.mark.anyio
async def test_calls_in_many_tasks_keep_apart(recording, server):
    server.script(*(faults.reset(after_chars=20) for _ in range(8)))

    async def ask(client: Any, number: int) -> None:
        with recording.tracer.start_as_current_span(f"app {number}"):
            async with client.messages.stream(**ASK) as opened:
                await opened.get_final_text()

    async with recording.async_client(server) as client, anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(ask, client, number)
    assert_apart(recording)


def test_the_caller_keeps_its_own_context_between_events(recording, server):
    server.script(faults.reset(after_chars=20))
    client = recording.client(server)
    with recording.tracer.start_as_current_span("app") as app:
        opened = client.messages.create(stream=True, **ASK)
        assert trace.get_current_span() is app
    with recording.tracer.start_as_current_span("reader") as reader:
        current = {trace.get_current_span() for _ in opened}
    assert current == {reader}


def test_an_attempts_span_is_current_while_its_request_is_sent(recording, server):
    seen = []

    def look(_request: Any) -> None:
        seen.append((trace.get_current_span().get_span_context(), baggage.get_baggage("who")))

    http = anthropic.DefaultHttpxClient(verify=False, event_hooks={"request": [look]})
    server.script(*DROPS)
    client = recording.client(server, http_client=http)

    def open_it() -> Any:
        context.attach(baggage.set_baggage("who", "caller"))
        return client.messages.create(stream=True, **ASK)

    for _ in contextvars.copy_context().run(open_it):
        pass
    assert seen == [(attempt.context, "caller") for attempt in recording.attempts]


class _CurrentTraces(logging.Handler):
    """The traces that are current when a line is written."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seen: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(trace.get_current_span().get_span_context().trace_id)


@pytest.mark.parametrize("sdk", SDK)
def test_what_is_told_while_a_stream_is_read_belongs_to_the_call(recording, server, sdk):
    server.script(*DROPS)
    handler, logger = _CurrentTraces(), logging.getLogger("unbroken")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        opened = recording.client(server, sdk=sdk).messages.create(stream=True, **ASK)
        with recording.tracer.start_as_current_span("reader") as reader:
            for _ in opened:
                assert trace.get_current_span() is reader
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert set(handler.seen) == {recording.call.context.trace_id}
    assert len(handler.seen) == 4


def test_metrics_told_while_a_stream_is_read_have_the_calls_trace(recording, server):
    server.script(faults.reset(after_chars=20))
    opened = recording.client(server).messages.create(stream=True, **ASK)
    with recording.tracer.start_as_current_span("reader"):
        list(opened)
    [(_, point)] = recording.points("unbroken.outage")
    assert {e.trace_id for e in point.exemplars} == {recording.call.context.trace_id}
