"""Streams that nobody closes: collected as garbage, or open when the interpreter exits."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.doors.conftest import request

import unbroken
from unbroken._drive.finalizers import Finalizers, finalizers
from unbroken._telemetry.calls import Telemetry
from unbroken.testing import faults
from unbroken.transport import RecoveryTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRAME = b'event: message_start\ndata: {"type": "message_start", "message": {"id": "msg_1"}}\n\n'
_STREAMS = 1000


class Endless(httpx.SyncByteStream):
    """A body that never ends."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield _FRAME


def answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=Endless(), headers={"content-type": "text/event-stream"})


def abandon(transport: RecoveryTransport, reads: int) -> None:
    """Leave a stream in a cycle of references."""
    asked = httpx.Request("POST", "http://127.0.0.1/v1/messages", json=request(stream=True))
    response = transport.handle_request(asked)
    chunks = response.iter_bytes()
    for _ in range(reads):
        next(chunks)
    cycle = [response, chunks]
    cycle.append(cycle)


def test_metrics_are_collected_while_streams_are_abandoned():
    """The reader holds a lock while it collects, and the garbage collector may run inside."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    events: list[Any] = []
    transport = RecoveryTransport(
        httpx.MockTransport(answer),
        unbroken.Policy(),
        meter_provider=provider,
        on_event=lambda event: events.append(type(event)),
    )
    over, collected = threading.Event(), threading.Event()
    thresholds = gc.get_threshold()
    gc.set_threshold(20, 2, 2)  # so that it runs inside the reader soon

    def collect() -> None:
        while not over.is_set():
            reader.get_metrics_data()
        collected.set()

    threading.Thread(target=collect, daemon=True).start()
    done = threading.Thread(
        target=lambda: [abandon(transport, number % 2) for number in range(_STREAMS)], daemon=True
    )
    done.start()
    done.join(60)
    over.set()
    gc.set_threshold(*thresholds)
    assert not done.is_alive()
    assert collected.wait(10)
    gc.collect()
    assert finalizers().finish()
    assert events.count(unbroken.Cancelled) == _STREAMS
    provider.shutdown()


def test_nothing_is_told_inside_the_garbage_collector():
    told: list[bool] = []
    transport = RecoveryTransport(
        httpx.MockTransport(answer), on_event=lambda _: told.append(finalizers().is_collecting())
    )
    gc.collect()
    for reads in (0, 1):
        abandon(transport, reads)
    gc.collect()
    assert finalizers().finish()
    assert told == [False] * 4
    assert not hasattr(Telemetry().call("POST", "http://127.0.0.1"), "__del__")


def test_a_stream_in_a_cycle_closes_its_connection(serve, connect):
    server = serve(faults=[faults.stall(after_chars=30)] * 2)
    client = connect(server)
    for reads in (0, 3):
        stream = client.messages.create(**request(stream=True))
        for _ in range(reads):
            next(stream)
        stream.cycle = stream
        del stream
        gc.collect()
        assert server.wait_idle()
    assert finalizers().finish()


def test_an_async_stream_that_nobody_reads_closes_its_connection(serve):
    server = serve(faults=[faults.stall(after_chars=30)])

    async def run() -> None:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="test") as client:
            stream = await unbroken.wrap(client).messages.create(**request(stream=True))
            stream.cycle = stream
            del stream
            gc.collect()
            assert await asyncio.to_thread(server.wait_idle)

    asyncio.run(run())
    assert finalizers().finish()


# The thread


def test_what_fails_keeps_nothing_else_from_being_finished():
    done: list[int] = []
    ours = Finalizers()
    ours.hand_over(lambda: 1 / 0)
    ours.hand_over(lambda: done.append(1))
    assert ours.finish()
    assert done == [1]


def test_the_queue_is_bounded():
    done: list[int] = []
    ours = Finalizers(most=2)
    with ours._working:
        for number in range(9):
            ours.hand_over(partial(done.append, number))
    assert ours.finish()
    assert done in ([0, 1], [0, 1, 2])  # the thread may have taken the first one


def test_the_wait_for_what_hangs_is_bounded():
    hangs, goes_on = threading.Event(), threading.Event()
    ours = Finalizers()

    def hang() -> None:
        hangs.set()
        goes_on.wait(10)

    ours.hand_over(hang)
    assert hangs.wait(5)
    assert not ours.finish(timeout=0)
    goes_on.set()
    assert ours.finish()


def test_nothing_is_taken_in_after_the_exit():
    done: list[int] = []
    ours = Finalizers()
    ours.hand_over(lambda: done.append(1))
    ours.close()
    ours.hand_over(lambda: done.append(2))
    assert ours.finish()
    assert done == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_leaves_streams_to_its_parent(serve, connect):
    server = serve(faults=[faults.slow(0.001)])
    events: list[Any] = []
    stream = connect(server, on_event=events.append).messages.create(**request(stream=True))
    next(stream)
    child = os.fork()
    if child == 0:
        del stream
        gc.collect()
        os._exit(0 if len(events) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [event.type for event in stream][-1] == "message_stop"


# The exit of the interpreter

EXIT = """
import asyncio, sys
import anthropic, httpx, unbroken
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from unbroken.transport import AsyncRecoveryTransport, RecoveryTransport

url, kind = sys.argv[1:]
provider = TracerProvider()
exporter = ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")
provider.add_span_processor(BatchSpanProcessor(exporter))
messages = [{"role": "user", "content": "x"}]
ask = {"model": "claude-opus-5-5", "max_tokens": 99, "messages": messages, "stream": True}
to_transport = {"method": "POST", "url": url + "/v1/messages", "json": ask}

def main():
    global client, streams
    client = anthropic.Anthropic(base_url=url, api_key="test")
    client = unbroken.wrap(client, tracer_provider=provider)
    transport = RecoveryTransport(httpx.HTTPTransport(), tracer_provider=provider)
    http = httpx.Client(transport=transport)
    responses = [http.send(http.build_request(**to_transport), stream=True) for _ in "12"]
    first = [iter(client.messages.create(**ask)), responses[0].iter_bytes()]
    streams = [*first, client.messages.create(**ask), responses[1]]
    for stream in first:
        next(stream)

async def amain():
    global client, streams
    client = anthropic.AsyncAnthropic(base_url=url, api_key="test")
    client = unbroken.wrap(client, tracer_provider=provider)
    transport = AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), tracer_provider=provider)
    http = httpx.AsyncClient(transport=transport)
    responses = [await http.send(http.build_request(**to_transport), stream=True) for _ in "12"]
    first = [aiter(await client.messages.create(**ask)), responses[0].aiter_bytes()]
    streams = [*first, await client.messages.create(**ask), responses[1]]
    for stream in first:
        await anext(stream)

if kind == "async":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(amain())
else:
    main()
"""


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_streams_left_open_at_exit_print_nothing_and_end_their_spans(serve, kind):
    """At both doors, read and unread."""
    server = serve(faults=[faults.stall(after_chars=60)] * 4)
    command = [sys.executable, "-c", EXIT, server.url, kind]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    spans = done.stdout.split()
    assert spans.count("messages.attempt") == spans.count("chat") == 4
