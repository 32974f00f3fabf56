"""The tree of a call, as it is written to a console."""

from __future__ import annotations

import io

import pytest
from tests.telemetry.recording import ASK, MODEL

from unbroken import Policy
from unbroken._telemetry.console import ConsoleTree
from unbroken.testing import faults


@pytest.fixture
def console(recording):
    out = io.StringIO()
    recording.tracer_provider.add_span_processor(ConsoleTree(out))
    return out


def test_a_call_is_written_when_it_ends(recording, server, console):
    server.script(faults.status(429, headers={"retry-after-ms": "60"}))
    opened = recording.client(server, policy=Policy()).messages.create(stream=True, **ASK)
    next(opened)
    assert console.getvalue() == ""
    opened.close()
    title, first, last = console.getvalue().splitlines()
    assert title.startswith(f"chat {MODEL}  cancelled  ")
    assert first.startswith("├─ 1 initial       failed       rate_limited   HTTP 429  ")
    assert "  0.1 s waited  " in last
    assert last.endswith(server.message_requests[1].id)


def test_attempts_of_other_endpoints_are_written_alone(recording, server, console):
    with recording.tracer.start_as_current_span("app"):
        recording.client(server).messages.count_tokens(model=MODEL, messages=ASK["messages"])
        title, only = console.getvalue().splitlines()
    assert title.startswith(f"messages.attempt {MODEL}  complete  ")
    assert only.startswith("└─ 1 initial       complete ")


def test_spans_of_others_are_not_written(recording, console):
    with recording.tracer.start_as_current_span("messages.attempt"):
        pass
    assert console.getvalue() == ""
