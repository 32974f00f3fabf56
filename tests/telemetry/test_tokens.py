"""What attempts were billed, and how much of it is part of the answer."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.samples import STORY
from tests.telemetry.recording import ASK, MODEL

import unbroken
from unbroken import Attempt, AttemptKind, Outcome, Policy, Usage
from unbroken._telemetry.tokens import billed_tokens
from unbroken.testing import faults
from unbroken.testing.answers import Answer, text, thinking

if TYPE_CHECKING:
    from tests.telemetry.recording import Recording


def tokens_of(*attempts: Attempt) -> dict[tuple[int, str, str], int]:
    return {
        (billed.attempt.number, billed.type.value, billed.use.value): billed.tokens
        for billed in billed_tokens(attempts)
        if billed.tokens
    }


def attempt(number: int, *, received: int = 0, delivered: int = 0, **more: Any) -> Attempt:
    kind = AttemptKind.INITIAL if number == 1 else AttemptKind.CONTINUATION
    usage = Usage(**more)
    outcome = Outcome.COMPLETE
    return Attempt(
        number, kind, outcome, received_chars=received, delivered_chars=delivered, usage=usage
    )


def test_an_attempt_that_was_not_billed_counts_nothing():
    refused = Attempt(1, AttemptKind.INITIAL, Outcome.FAILED)
    assert tokens_of(refused, attempt(2, input_tokens=7)) == {(2, "input", "answer"): 7}


def test_the_input_of_further_attempts_is_overhead_by_what_it_was_billed_as():
    first = attempt(1, input_tokens=10, cache_creation_input_tokens=90)
    again = attempt(2, input_tokens=12, cache_read_input_tokens=90)
    assert tokens_of(first, again) == {
        (1, "input", "answer"): 10,
        (1, "cache_creation", "answer"): 90,
        (2, "input", "overhead"): 12,
        (2, "cache_read", "overhead"): 90,
    }


def test_the_input_of_an_extension_is_what_was_asked_for():
    first = attempt(1, input_tokens=10)
    extension = dataclasses.replace(attempt(2, input_tokens=30), kind=AttemptKind.EXTENSION)
    assert tokens_of(first, extension)[2, "input", "answer"] == 30


def test_output_is_split_by_the_characters_that_the_caller_got():
    repeated = attempt(1, received=100, delivered=75, output_tokens=40)
    assert tokens_of(repeated) == {(1, "output", "answer"): 30, (1, "output", "overhead"): 10}


def test_an_estimate_is_of_what_was_delivered():
    cut = attempt(1, received=100, delivered=60, output_tokens=15, estimated=True)
    assert tokens_of(cut) == {(1, "output", "answer"): 15, (1, "output", "overhead"): 10}


def test_output_that_nobody_counted_is_estimated_by_its_characters():
    cut = attempt(1, received=100, delivered=60, input_tokens=1)
    assert tokens_of(cut) == {
        (1, "input", "answer"): 1,
        (1, "output", "answer"): 15,
        (1, "output", "overhead"): 10,
    }


def test_a_whole_answer_is_all_of_it(recording, server):
    message = recording.client(server).messages.create(**ASK)
    assert counted(recording) == {
        ("initial", "input", "answer"): message.usage.input_tokens,
        ("initial", "output", "answer"): message.usage.output_tokens,
    }


def counted(recording: Recording) -> dict[tuple[str, str, str], Any]:
    return {
        (
            has["unbroken.attempt.kind"],
            has["unbroken.tokens.type"],
            has["unbroken.tokens.use"],
        ): point.value
        for has, point in recording.points("unbroken.tokens")
    }


def test_what_a_resumed_answer_costs(recording, server):
    server.script(faults.reset(after_chars=40))
    with recording.client(server).messages.stream(**ASK) as stream:
        message = stream.get_final_message()
    found, attempts = counted(recording), unbroken.report(stream).attempts
    assert found["initial", "input", "answer"] == message.usage.input_tokens
    assert found["continuation", "input", "overhead"] == attempts[1].usage.input_tokens
    assert ("initial", "output", "overhead") not in found
    total = sum(count for (_, kind, _), count in found.items() if kind == "output")
    assert total == sum(one.usage.output_tokens or 0 for one in attempts if one.usage)
    assert attempts[0].delivered_chars == attempts[0].received_chars == 40
    assert attempts[1].delivered_chars == len(STORY) - 40


def test_thinking_that_was_lost_with_its_attempt_is_overhead(recording, server):
    server.answer = Answer([thinking("I wonder about it. " * 9), text("So be it.")])
    server.script(faults.reset(after_chars=120))
    asked = {**ASK, "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    with recording.client(server).messages.stream(**asked) as stream:
        stream.until_done()
    cut, rest = unbroken.report(stream).attempts
    assert (cut.received_chars, cut.delivered_chars) == (120, 0)
    assert rest.delivered_chars == rest.received_chars
    found = counted(recording)
    assert found["initial", "output", "overhead"] == 30
    assert ("initial", "output", "answer") not in found
    assert ("retry", "output", "overhead") not in found


def test_what_a_call_cost_that_was_given_up(recording, server):
    server.script(*[faults.reset(after_chars=40)] * 2)
    client = recording.client(server, policy=Policy(time_scale=0, max_attempts=2))
    with pytest.raises(anthropic.APIConnectionError), client.messages.stream(**ASK) as stream:
        stream.until_done()
    found = counted(recording)
    assert found["initial", "input", "answer"] > 0
    assert found["continuation", "input", "overhead"] > 0


def test_the_usage_of_the_message_is_recorded_once(recording, server):
    server.script(faults.status(529), faults.reset(after_chars=40))
    with recording.client(server).messages.stream(**ASK) as stream:
        usage = stream.get_final_message().usage
    points = recording.points("gen_ai.client.token.usage")
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
    }
    assert [(has, point.count, point.sum) for has, point in points] == [
        ({**common, "gen_ai.token.type": "input"}, 1, usage.input_tokens),
        ({**common, "gen_ai.token.type": "output"}, 1, usage.output_tokens),
    ]
    assert points[0][1].explicit_bounds[:3] == (1, 4, 16)
    assert points[0][1].explicit_bounds[-1] == 67108864


def test_other_endpoints_use_no_tokens(recording, server):
    recording.client(server).messages.count_tokens(model=MODEL, messages=ASK["messages"])
    assert recording.points("unbroken.tokens") == []
    assert recording.points("gen_ai.client.token.usage") == []
