"""What was billed, and what the one message used: told where the API tells it, else estimated."""

from __future__ import annotations

from typing import Any

import pytest

from unbroken._core.usage import CHARS_PER_TOKEN, AttemptUsage, Usage, logical, unfinished

CACHED = {"input_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 75}


def attempt(usage: dict[str, Any] | None = None, *counts: dict[str, Any] | None) -> AttemptUsage:
    """An attempt whose `message_start` brought the one, and whose `message_delta`s the others."""
    made = AttemptUsage()
    if usage is not None:
        made.started({"usage": usage})
    for count in counts:
        made.counted(count)
    return made


def test_an_attempt_that_never_began_was_billed_nothing_that_is_known():
    assert attempt().billed() is None
    assert attempt().input_total() is None
    assert attempt().output() is None


def test_the_output_count_of_the_start_is_a_placeholder():
    cut = attempt({**CACHED, "output_tokens": 3})
    assert cut.output() is None
    assert cut.billed() == Usage(5, 20, 75, None)


def test_counts_of_the_end_take_the_place_of_earlier_ones():
    whole = attempt(
        {**CACHED, "output_tokens": 3},
        {"output_tokens": 10},
        {"output_tokens": 25, "input_tokens": 6},
    )
    assert whole.billed() == Usage(6, 20, 75, 25)
    assert whole.output() == 25


@pytest.mark.parametrize(
    "usage",
    [
        {"output_tokens": 7},
        {"output_tokens": 7, "input_tokens": None, "cache_read_input_tokens": None},
    ],
    ids=["left out", "null"],
)
def test_a_count_that_the_end_does_not_tell_stands(usage):
    assert attempt(CACHED, usage).billed() == Usage(5, 20, 75, 7)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        pytest.param(CACHED, 100, id="cached"),
        pytest.param({"input_tokens": 10}, 10, id="not cached"),
        pytest.param({"input_tokens": 0, "cache_read_input_tokens": 9}, 9, id="all from the cache"),
        pytest.param({"input_tokens": 1, "cache_read_input_tokens": None}, 1, id="null"),
        pytest.param({}, None, id="nothing"),
        pytest.param({"input_tokens": "many"}, None, id="no number"),
    ],
)
def test_input_counts_cached_or_not(usage, total):
    assert attempt(usage).input_total() == total


@pytest.mark.parametrize("message", [{}, {"usage": None}, {"usage": {}}], ids=str)
def test_a_message_without_usage_tells_nothing(message):
    usage = AttemptUsage()
    usage.started(message)
    usage.counted(None)
    assert usage.billed() is None


def test_other_counts_are_kept_as_they_came():
    usage = attempt({"input_tokens": 1, "service_tier": "standard"})
    assert usage.count("service_tier", None) == "standard"
    assert usage.count("brand_new", 7) == 7


# The one message


def test_the_one_message_has_the_first_input_and_all_output():
    first = attempt({"input_tokens": 100, "output_tokens": 1})
    last = attempt({"input_tokens": 160}, {"input_tokens": 160, "output_tokens": 20})
    told = {"input_tokens": 160, "output_tokens": 20}
    assert logical(first, last, told, 10) == {"input_tokens": 100, "output_tokens": 50 + 20}


def test_cached_input_of_a_continuation_is_input_all_the_same():
    first = attempt(CACHED)
    last = attempt(
        {"input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 95},
        {"output_tokens": 20},
    )
    told = {"cache_read_input_tokens": 95, "output_tokens": 20}
    assert logical(first, last, told, 5) == {"cache_read_input_tokens": 75, "output_tokens": 50}


def test_the_same_request_again_carries_nothing():
    first, last = (
        attempt({"input_tokens": 100}),
        attempt({"input_tokens": 100}, {"output_tokens": 9}),
    )
    assert logical(first, last, {"output_tokens": 9}, None) == {"output_tokens": 9}


def test_other_fields_of_the_end_are_kept_and_none_is_made_up():
    first, last = (
        attempt({"input_tokens": 100}),
        attempt({"input_tokens": 100}, {"output_tokens": 9}),
    )
    told = {"output_tokens": 9, "server_tool_use": {"web_search_requests": 1}}
    assert logical(first, last, told, None) == told


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, {"input_tokens": 100}, id="the first did not tell"),
        pytest.param({"input_tokens": 100}, {}, id="the last did not tell"),
        pytest.param({"input_tokens": 100}, {"input_tokens": 90}, id="less than before"),
        pytest.param({"input_tokens": 100}, {"input_tokens": 105}, id="less than our own words"),
    ],
)
def test_what_cannot_be_told_is_not_made_up(before, after):
    last = attempt(after, {"output_tokens": 9})
    assert logical(attempt(before), last, {"output_tokens": 9}, 10)["output_tokens"] == 9


def test_the_callers_usage_is_not_changed():
    told = {"output_tokens": 9, "input_tokens": 160}
    logical(attempt({"input_tokens": 100}), attempt({"input_tokens": 160}, told), told, 10)
    assert told == {"output_tokens": 9, "input_tokens": 160}


# A message that we ended


def test_the_output_of_a_message_that_we_ended_is_an_estimate():
    only = attempt({"input_tokens": 100})
    assert unfinished(only, only, None, 400) == 400 // CHARS_PER_TOKEN
    assert unfinished(None, only, None, 400) == 400 // CHARS_PER_TOKEN


def test_the_output_of_earlier_attempts_is_in_it():
    first, last = attempt({"input_tokens": 100}), attempt({"input_tokens": 160})
    assert unfinished(first, last, 10, 400) == 50 + 400 // CHARS_PER_TOKEN
