"""The lines of the logger `unbroken`."""

from __future__ import annotations

import logging
import re
from typing import Any

import anthropic
import pytest
from tenacity import wait_none
from tests.telemetry.recording import ASK, MODEL, values

import unbroken
from unbroken import FailureKind, Policy, Rule
from unbroken.testing import faults

SDK = f"[anthropic {anthropic.__version__}]"

SAVED_AFTER_THREE = [
    (
        "WARNING call {id}: attempt 1 of {m} failed: rate_limited (status 429, "
        "error type rate_limit_error, code ramp_limit_exceeded, request {0}); "
        "next attempt in 0.0 s {sdk}"
    ),
    (
        "WARNING call {id}: attempt 2 of {m} failed: dropped (status 200, error type -, code -, "
        "request {1}); next attempt at once {sdk}"
    ),
    (
        "WARNING call {id}: attempt 3 of {m} failed: overloaded (status 200, "
        "error type overloaded_error, code -, request {2}); next attempt at once {sdk}"
    ),
    (
        "INFO call {id}: answer of {m} saved after 3 failure(s): 4 attempt(s), "
        "20 characters kept, 0.1 s, request {3} {sdk}"
    ),
]


def stream(client: Any) -> Any:
    with client.messages.stream(**ASK) as opened:
        return opened.get_final_text()


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [r for r in caplog.records if r.name == "unbroken" and r.levelno >= logging.INFO]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if "." in name}


def test_one_line_for_each_failure_and_one_for_the_saved_answer(recording, server, caplog):
    server.script(
        faults.status(429, code="ramp_limit_exceeded", headers={"retry-after-ms": "40"}),
        faults.reset(after_chars=20),
        faults.error_event("overloaded_error"),
    )
    client = recording.client(server, policy=Policy(rules=at_once()))
    stream(client)
    ids = [request.id for request in server.message_requests]
    lines = [f"{record.levelname} {record.getMessage()}" for record in records(caplog)]
    lines[-1] = re.sub(r"\d+\.\d s", "0.1 s", lines[-1])
    call_id = recording.events[0].call_id
    meant = [line.format(*ids, id=call_id, m=MODEL, sdk=SDK) for line in SAVED_AFTER_THREE]
    assert lines == meant


def at_once() -> dict[FailureKind, Rule]:
    return {FailureKind.OVERLOADED: Rule(wait=wait_none())}


def test_the_fields_of_a_failure(recording, server, caplog):
    server.script(faults.status(429, code="ramp_limit_exceeded", headers={"retry-after-ms": "40"}))
    stream(recording.client(server, policy=Policy()))
    assert fields(records(caplog)[0]) == {
        "unbroken.call.id": recording.events[0].call_id,
        "unbroken.model": MODEL,
        "unbroken.attempt.number": 1,
        "unbroken.attempt.kind": "initial",
        "unbroken.failure.kind": "rate_limited",
        "http.response.status_code": 429,
        "error.type": "429",
        "unbroken.error.type": "rate_limit_error",
        "unbroken.error.code": "ramp_limit_exceeded",
        "unbroken.request_id": server.message_requests[0].id,
        "unbroken.wait_s": 0.04,
        "unbroken.sdk.version": anthropic.__version__,
    }


def test_the_fields_of_a_saved_answer(recording, server, caplog):
    server.script(faults.reset(after_chars=20))
    stream(recording.client(server))
    found = fields(records(caplog)[-1])
    assert found.pop("unbroken.call.seconds") > 0
    assert found == {
        "unbroken.call.id": recording.events[0].call_id,
        "unbroken.model": MODEL,
        "unbroken.call.outcome": "saved",
        "unbroken.call.attempts": 2,
        "unbroken.kept_chars": 20,
        "unbroken.request_id": server.message_requests[-1].id,
        "unbroken.sdk.version": anthropic.__version__,
    }


def test_giving_up_says_why(recording, server, caplog):
    server.script(faults.status(401))
    with pytest.raises(anthropic.AuthenticationError):
        stream(recording.client(server))
    [record] = records(caplog)
    assert "; gave up: this kind of failure is not retried [" in record.getMessage()
    assert record.levelname == "ERROR"
    assert fields(record)["unbroken.given_up"] == "not_retryable"
    assert fields(record)["unbroken.call.outcome"] == "failed"
    assert fields(record)["unbroken.call.attempts"] == 1


def test_giving_up_names_what_broke_the_answer_and_what_ended_the_recovery(
    recording, server, caplog
):
    server.script(faults.reset(after_chars=20), faults.status(401))
    with pytest.raises(unbroken.StreamInterrupted):
        stream(recording.client(server))
    line = records(caplog)[-1].getMessage()
    assert "rejected (HTTP status 401), after dropped (ReadError) [" in line
    end = recording.events[-1]
    assert [end.failure.kind, end.last_failure.kind] == ["dropped", "rejected"]


def test_only_the_line_of_the_lost_call_is_an_error(recording, server, caplog):
    server.script(*[faults.status(503)] * 2)
    with pytest.raises(anthropic.InternalServerError):
        stream(recording.client(server, policy=Policy(time_scale=0, max_attempts=2)))
    assert [record.levelname for record in records(caplog)] == ["WARNING", "ERROR"]


def test_calls_that_interleave_can_be_told_apart(recording, server, caplog):
    server.script(*[faults.reset(after_chars=20)] * 2)
    client = recording.client(server)
    with client.messages.stream(**ASK) as one, client.messages.stream(**ASK) as other:
        next(iter(one))
        other.until_done()
        one.until_done()
    ids = [report.call_id for report in map(unbroken.report, (one, other))]
    assert len(set(ids)) == 2
    assert {fields(record)["unbroken.call.id"] for record in records(caplog)} == set(ids)
    for call_id in ids:
        assert values(recording.attempts_of(call_id), "unbroken.attempt.number") == [1, 2]


def test_a_call_without_failure_is_silent(recording, server, caplog):
    stream(recording.client(server))
    assert not records(caplog)


def test_a_text_in_place_of_an_error_type_is_not_logged(recording, server, caplog):
    server.script(faults.status(529, type="line\nbreak and words", code="two words"))
    stream(recording.client(server))
    message = records(caplog)[0].getMessage()
    assert "error type -, code -" in message
    assert "words" not in message
