"""What `on_event` is told, and that it can break nothing."""

from __future__ import annotations

import dataclasses
import gc
from functools import partial
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import pytest
from tests.samples import STORY
from tests.telemetry.recording import ASK, MODEL, of

import unbroken
from unbroken import (
    Attempt,
    AttemptFailed,
    AttemptKind,
    AttemptStarted,
    Cancelled,
    Completed,
    FailureKind,
    GaveUp,
    Reason,
    Resumed,
    Usage,
    Waiting,
)
from unbroken._doors.observers import AsyncCallObserver
from unbroken._telemetry.calls import Telemetry
from unbroken.testing import faults

if TYPE_CHECKING:
    from tests.telemetry.recording import Recording

    from unbroken.testing import FaultServer

SAVED = [AttemptStarted, AttemptFailed, Waiting, AttemptStarted, Resumed, Completed]


def stream(client: Any) -> Any:
    with client.messages.stream(**ASK) as opened:
        return opened.get_final_message()


async def stream_async(recording: Recording, server: FaultServer, on_event: Any) -> None:
    async with (
        recording.async_client(server, on_event=on_event) as client,
        client.messages.stream(**ASK) as opened,
    ):
        assert await opened.get_final_text() == STORY


def kinds(events: list[Any]) -> list[type]:
    return [type(event) for event in events]


def test_the_events_of_a_saved_answer(recording, server):
    server.script(faults.reset(after_chars=20))
    message = stream(recording.client(server))
    started, failed, waiting, again, resumed, completed = recording.events
    assert kinds(recording.events) == SAVED
    assert {event.model for event in recording.events} == {MODEL}
    assert {event.call_id for event in recording.events} == {of(recording.call, "unbroken.call.id")}
    assert [e.attempt.number for e in recording.events] == [1, 1, 1, 2, 2, 2]
    assert (started.attempt.kind, again.attempt.kind) == ("initial", "continuation")
    assert again.attempt.begun > started.attempt.begun >= 0
    assert failed.failure.kind is FailureKind.DROPPED
    assert waiting.seconds == 0
    assert resumed.kept_chars == 20
    assert completed.message_id == message.id
    assert completed.served_by == message.model
    assert completed.stop_reason == "end_turn"
    assert completed.usage.output_tokens == message.usage.output_tokens
    assert [attempt.outcome for attempt in completed.attempts] == ["interrupted", "complete"]


def test_a_plain_answer_is_told_with_what_stands_around_it(recording, server):
    message = recording.client(server).messages.create(**ASK)
    [_, completed] = recording.events
    assert completed.message_id == message.id
    assert completed.usage == Usage(message.usage.input_tokens, 0, 0, message.usage.output_tokens)
    assert completed.attempt.usage == completed.usage


def test_giving_up(recording, server):
    server.script(faults.status(400))
    with pytest.raises(anthropic.BadRequestError):
        stream(recording.client(server))
    assert kinds(recording.events) == [AttemptStarted, AttemptFailed, GaveUp]
    assert recording.events[-1].reason is Reason.NOT_RETRYABLE


def test_closing(recording, server):
    recording.client(server).messages.create(stream=True, **ASK).close()
    assert kinds(recording.events) == [AttemptStarted, Cancelled]


def test_events_cannot_be_changed(recording, server):
    stream(recording.client(server))
    for event in recording.events:
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.model = "another"


@pytest.mark.anyio
@pytest.mark.parametrize("awaits", [False, True])
async def test_async_clients_take_functions_of_both_kinds(recording, server, awaits):
    told = []

    async def later(event: Any) -> None:
        told.append(event)

    server.script(faults.reset(after_chars=20))
    on_event = later if awaits else told.append
    await stream_async(recording, server, on_event)
    assert kinds(told) == SAVED


class Later:
    """An object whose call is a coroutine."""

    async def __call__(self, event: Any) -> None: ...


async def later_with(where: Any, event: Any) -> None:
    """A coroutine function that is called through a partial."""


COROUTINES = {"object": Later(), "method": Later().__call__, "partial": partial(later_with, None)}


@pytest.mark.parametrize("later", COROUTINES.values(), ids=COROUTINES)
def test_sync_clients_refuse_coroutine_functions_when_they_are_made(server, later):
    words = "on_event must be a plain function for a sync client"
    with anthropic.Anthropic(base_url=server.url, api_key="test") as client:
        with pytest.raises(ValueError, match=words):
            unbroken.wrap(client, on_event=later)
        with pytest.raises(ValueError, match=words):
            unbroken.transport.RecoveryTransport(httpx.HTTPTransport(), on_event=later)
        # Its constructor does not tell what kind of client a middleware is for.
        given = client.with_options(middleware=[unbroken.RecoveryMiddleware(on_event=later)])
        with pytest.raises(ValueError, match=words):
            given.models.list()
    assert server.requests == []


@pytest.mark.parametrize("later", COROUTINES.values(), ids=COROUTINES)
def test_no_coroutine_is_made_where_nothing_can_await_it(later, recwarn):
    observer = AsyncCallObserver(Telemetry().call("POST", "http://127.0.0.1"), later)
    attempt = Attempt(1, AttemptKind.INITIAL, begun=0.0, waited=0.0)
    observer.notify_now(AttemptStarted("id", MODEL, attempt))
    observer.notify_now(Cancelled("id", MODEL, attempt, attempts=(attempt,), seconds=0.0))
    gc.collect()
    assert not recwarn.list


def test_async_transports_take_coroutine_functions():
    later = unbroken.transport.AsyncRecoveryTransport(httpx.AsyncHTTPTransport(), on_event=Later())
    assert isinstance(later, httpx.AsyncBaseTransport)


def test_a_function_that_raises_breaks_nothing(recording, server, caplog):
    def broken(event: Any) -> None:
        raise RuntimeError("SECRET")

    server.script(faults.reset(after_chars=20))
    stream(recording.client(server, on_event=broken))
    complaints = [r.getMessage() for r in caplog.records if "on_event" in r.getMessage()]
    begin = f"call {recording.call_id}: on_event raised RuntimeError at "
    assert complaints == [f"{begin}{kind.__name__}" for kind in SAVED]
    assert "SECRET" not in caplog.text
    assert len(recording.attempts) == 2


@pytest.mark.anyio
async def test_a_coroutine_that_raises_breaks_nothing(recording, server):
    async def broken(event: Any) -> None:
        raise RuntimeError("SECRET")

    server.script(faults.reset(after_chars=20))
    await stream_async(recording, server, broken)
    assert len(recording.attempts) == 2
