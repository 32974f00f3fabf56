"""Which models take a prefill: every spelling of every id, and what the API's refusal teaches."""

from __future__ import annotations

import pytest

from unbroken._core.models import Prefill, refuses_prefill, takes_prefill

REFUSAL = (
    "This model does not support assistant message prefill. "
    "The conversation must end with a user message."
)

TAKE = [
    # Anthropic
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-20250929",
    "claude-opus-4-5",
    "claude-opus-4-5-20251101",
    "claude-opus-4-1",
    "claude-opus-4-1-20250805",
    "claude-opus-4-0",
    "claude-opus-4",
    "claude-opus-4-20250514",
    "claude-sonnet-4-0",
    "claude-sonnet-4-20250514",
    "claude-3-7-sonnet-latest",
    "claude-3-7-sonnet-20250219",
    "claude-3-5-sonnet-latest",
    "claude-3-5-haiku-20241022",
    "claude-3-opus-20240229",
    "claude-3-haiku-20240307",
    "claude-2.1",
    "claude-2",
    "claude-instant-1.2",
    "Claude-Haiku-4-5",
    # Amazon Bedrock
    "anthropic.claude-haiku-4-5-20251001-v1:0",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "global.anthropic.claude-opus-4-5-20251101-v1:0",
    "eu.anthropic.claude-sonnet-4-20250514-v1:0",
    "apac.anthropic.claude-3-7-sonnet-20250219-v1:0",
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "anthropic.claude-v2:1",
    "anthropic.claude-instant-v1",
    "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
    # Vertex
    "claude-haiku-4-5@20251001",
    "claude-sonnet-4-5@20250929",
    "claude-opus-4-1@20250805",
    "claude-sonnet-4@20250514",
    "claude-3-7-sonnet@20250219",
    "claude-3-5-sonnet-v2@20241022",
    "publishers/anthropic/models/claude-haiku-4-5@20251001",
    # As routers write them
    "anthropic/claude-sonnet-4.5",
    "anthropic/claude-3.5-sonnet",
]

REFUSE = [
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-sonnet-4-6",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-opus-5-20260601",
    "claude-fable-5",
    "claude-fable-5-1",
    "claude-fable-5-2",
    "claude-mythos-5",
    "claude-mythos-5-1",
    "claude-mythos-5-2",
    "claude-mythos-preview",
    "claude-opus-10",
    "claude-opus-4-10",
    "claude-haiku-6-1",
    "anthropic.claude-opus-4-6-v1",
    "anthropic.claude-opus-4-6-v1:0",
    "us.anthropic.claude-sonnet-4-6-20260101-v1:0",
    "global.anthropic.claude-opus-5-5-v1:0",
    "anthropic.claude-mythos-preview",
    "claude-opus-4-6@20260101",
    "claude-sonnet-5@20260601",
    "claude-fable-5@default",
    "anthropic/claude-opus-4.6",
    "anthropic/claude-sonnet-5.5",
    # What is no model that anybody knows
    "",
    "my-deployment",
    "gpt-4",
    "claude",
    "claude-opus",
    "claude-latest",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123",
]


@pytest.mark.parametrize("model", TAKE)
def test_claude_4_5_and_earlier_take_a_prefill(model):
    assert takes_prefill(model)
    assert Prefill().taken_by(model)


@pytest.mark.parametrize("model", REFUSE)
def test_later_and_unknown_models_are_not_asked_to(model):
    assert not takes_prefill(model)
    assert not Prefill().taken_by(model)


def test_a_refusal_is_learned_for_that_spelling():
    known = Prefill()
    known.refused_by("claude-haiku-4-5")
    assert not known.taken_by("claude-haiku-4-5")
    assert known.taken_by("claude-haiku-4-5-20251001")
    assert Prefill().taken_by("claude-haiku-4-5"), "and by nobody else"


@pytest.mark.parametrize(
    "message",
    [
        REFUSAL,
        f"messages: {REFUSAL}",
        "ValidationException: This model does not support assistant message prefill.",
        "prefill is not supported for this model",
    ],
)
def test_the_refusal_is_recognised(message):
    assert refuses_prefill(400, message)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        pytest.param(429, REFUSAL, id="another status"),
        pytest.param(None, REFUSAL, id="no status"),
        pytest.param(400, "", id="no words"),
        pytest.param(400, "messages: text content blocks must be non-empty", id="other words"),
        pytest.param(400, "This model does not support images.", id="something else"),
    ],
)
def test_no_other_error_is_taken_for_it(status, message):
    assert not refuses_prefill(status, message)
