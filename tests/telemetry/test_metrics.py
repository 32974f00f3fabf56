"""What is counted, and by what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.samples import STORY
from tests.telemetry.recording import ASK, MODEL

from unbroken import Policy
from unbroken.testing import faults

if TYPE_CHECKING:
    from tests.telemetry.recording import Recording

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": MODEL,
}


def stream(client: Any) -> Any:
    with client.messages.stream(**ASK) as opened:
        return opened.get_final_text()


def histogram(recording: Recording, name: str) -> dict[frozenset[Any], tuple[int, float]]:
    """Count and sum by the attributes that are not the same on all."""
    return {
        frozenset((has.items()) - CHAT.items()): (point.count, point.sum)
        for has, point in recording.points(name)
        if CHAT.items() <= has.items()
    }


def by(name: str, value: str) -> frozenset[tuple[str, str]]:
    return frozenset({(name, value)})


def test_a_call_that_was_saved(recording, server):
    server.script(faults.status(529), faults.reset(after_chars=20), faults.error_event())
    assert stream(recording.client(server)) == STORY
    saved = {**CHAT, "unbroken.call.outcome": "saved"}
    assert [(has, point.value) for has, point in recording.points("unbroken.calls")] == [(saved, 1)]
    assert recording.count("unbroken.attempts") == 4
    interrupted = {
        **CHAT,
        "unbroken.attempt.kind": "retry",
        "unbroken.attempt.outcome": "interrupted",
        "unbroken.failure.kind": "dropped",
        "error.type": "dropped",
    }
    assert interrupted in [has for has, _ in recording.points("unbroken.attempts")]
    recoveries = {
        has["unbroken.failure.kind"]: has["unbroken.recovery.outcome"]
        for has, _ in recording.points("unbroken.recoveries")
    }
    assert recoveries == {"overloaded": "saved", "dropped": "saved"}
    assert recording.count("unbroken.kept_chars", unbroken__attempt__kind="continuation") == 20


def test_waits_and_outages_are_measured_by_the_failure_they_began_with(recording, server):
    server.script(
        faults.status(429, headers={"retry-after-ms": "30"}),
        faults.status(529, headers={"retry-after-ms": "20"}),
    )
    stream(recording.client(server, policy=Policy()))
    assert histogram(recording, "unbroken.wait") == {
        by("unbroken.failure.kind", "rate_limited"): (1, 0.03),
        by("unbroken.failure.kind", "overloaded"): (1, 0.02),
    }
    [(attributes, (count, seconds))] = histogram(recording, "unbroken.outage").items()
    assert attributes == by("unbroken.failure.kind", "rate_limited")
    assert count == 1
    assert seconds >= 0.05


def test_the_outage_of_a_plain_call_is_all_of_it(recording, server):
    server.script(faults.status(429, headers={"retry-after-ms": "30"}))
    recording.client(server, policy=Policy()).messages.create(**ASK)
    [(count, seconds)] = histogram(recording, "unbroken.outage").values()
    assert count == 1
    assert seconds >= 0.03
    assert recording.count("unbroken.recoveries", unbroken__recovery__outcome="saved") == 1


def test_the_time_to_the_first_chunk_includes_what_failed_before(recording, server):
    client = recording.client(server, policy=Policy())
    stream(client)
    server.script(faults.status(429, headers={"retry-after-ms": "50"}))
    stream(client)
    found = histogram(recording, "gen_ai.client.operation.time_to_first_chunk")
    at_first = found[by("unbroken.attempt.kind", "initial")]
    after_failure = found[by("unbroken.attempt.kind", "retry")]
    assert at_first[0] == after_failure[0] == 1
    assert after_failure[1] >= 0.05


def test_the_first_chunk_of_a_resumed_answer_came_with_the_first_attempt(recording, server):
    server.script(faults.reset(after_chars=20))
    stream(recording.client(server))
    found = histogram(recording, "gen_ai.client.operation.time_to_first_chunk")
    assert list(found) == [by("unbroken.attempt.kind", "initial")]


def test_output_tokens_a_second(recording, server):
    client = recording.client(server)
    client.messages.create(**ASK)
    server.script(faults.reset(after_chars=20))
    stream(client)
    found = histogram(recording, "unbroken.output_rate")
    assert set(found) == {
        by("unbroken.attempt.kind", "initial"),
        by("unbroken.attempt.kind", "continuation"),
    }
    assert all(count == 1 and rate > 0 for count, rate in found.values())


def test_calls_by_outcome(recording, server):
    client = recording.client(server)
    stream(client)
    client.messages.create(stream=True, **ASK).close()
    server.script(faults.status(400))
    with pytest.raises(anthropic.BadRequestError):
        stream(client)
    outcomes = {
        has["unbroken.call.outcome"]: point.value
        for has, point in recording.points("unbroken.calls")
    }
    assert outcomes == {"complete": 1, "cancelled": 1, "failed": 1}
    failed = {"unbroken__recovery__outcome": "failed", "unbroken__failure__kind": "rejected"}
    assert recording.count("unbroken.recoveries", **failed) == 1
    assert recording.count("unbroken.recoveries") == 1


def test_other_endpoints_are_no_chats(recording, server):
    recording.client(server).messages.count_tokens(model=MODEL, messages=ASK["messages"])
    [(has, _)] = recording.points("unbroken.calls")
    assert has == {"gen_ai.request.model": MODEL, "unbroken.call.outcome": "complete"}


def test_the_boundaries_of_the_time_to_the_first_chunk_are_the_conventions(recording, server):
    stream(recording.client(server))
    [(_, point)] = recording.points("gen_ai.client.operation.time_to_first_chunk")
    assert point.explicit_bounds[:4] == pytest.approx((0.01, 0.02, 0.04, 0.08))
    assert point.explicit_bounds[-1] == pytest.approx(81.92)
