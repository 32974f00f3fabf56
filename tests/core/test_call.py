"""One call: its attempts are told as they happen, and what broke it is never masked."""

from __future__ import annotations

from typing import Any

import pytest

from unbroken._core.attempts import AttemptKind, Outcome
from unbroken._core.bounds import Reason
from unbroken._core.budget import RetryBudget
from unbroken._core.call import Call, FailedAttempt, LostCall
from unbroken._core.events import (
    AttemptFailed,
    AttemptStarted,
    Cancelled,
    Completed,
    GaveUp,
    Waiting,
)
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.policy import Policy
from unbroken._core.states import Phase
from unbroken._core.usage import Usage

K = FailureKind
DROPPED = FailedAttempt(Failure(K.DROPPED, "cut"), ConnectionResetError("cut"))
OVERLOADED = FailedAttempt(Failure(K.OVERLOADED, "busy"))
REJECTED = FailedAttempt(Failure(K.REJECTED, "bad"))


def call(now: float = 0.0, **fields: Any) -> Call:
    return Call(Policy(**{"time_scale": 0, "budget": None, **fields}), "claude", now)


def started(now: float = 0.0, **fields: Any) -> Call:
    made = call(now, **fields)
    made.begin(AttemptKind.RETRY, now)
    return made


def again(made: Call, now: float = 0.0) -> None:
    made.waited()
    made.begin(AttemptKind.CONTINUATION, now)


def broken_off() -> Call:
    """A call whose answer broke off in the middle, and that asks again."""
    made = started()
    made.stream_opened()
    made.progress(0.0)
    made.failed(DROPPED, 0.0)
    again(made)
    return made


def names(made: Call) -> list[str]:
    return [type(event).__name__ for event in made.take_events()]


def test_the_first_attempt_is_the_initial_one_whatever_it_is_called():
    made = started()
    assert made.attempt.kind is AttemptKind.INITIAL
    made.failed(DROPPED, 0.0)
    again(made)
    assert [a.kind for a in made.attempts] == [AttemptKind.INITIAL, AttemptKind.CONTINUATION]
    assert [a.number for a in made.attempts] == [1, 2]


def test_a_call_that_is_answered_is_complete():
    made = started(100.0)
    made.note(status=200, request_id="req_1")
    made.succeeded(102.5)
    assert made.phase is Phase.COMPLETE
    assert made.attempt.outcome is Outcome.COMPLETE
    assert made.attempt.seconds == 2.5
    assert made.attempt.status == 200
    (begun, completed) = made.take_events()
    assert isinstance(begun, AttemptStarted)
    assert isinstance(completed, Completed)
    assert completed.seconds == 2.5
    assert completed.attempts == (made.attempt,)
    assert completed.model == "claude"


def test_what_stands_around_the_answer_is_in_the_last_event():
    made = started()
    made.answered(
        {
            "id": "msg_1",
            "model": "claude-served",
            "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "secret"}],
            "usage": {"input_tokens": 3, "output_tokens": 4},
        }
    )
    made.succeeded(0.0)
    completed = made.take_events()[-1]
    assert isinstance(completed, Completed)
    assert completed.message_id == "msg_1"
    assert completed.served_by == "claude-served"
    assert completed.stop_reason == "end_turn"
    assert completed.usage == Usage(3, None, None, 4)
    assert made.attempt.usage == completed.usage
    assert "secret" not in repr(completed)


@pytest.mark.parametrize("usage", [None, "many", [], {}], ids=repr)
def test_an_answer_without_usage_has_none(usage):
    made = started()
    made.answered({"id": "msg_1", "usage": usage})
    made.succeeded(0.0)
    assert made.attempt.usage is None


def test_a_failure_is_told_and_waited_for():
    made = started(10.0, time_scale=1)
    made.failed(OVERLOADED, 13.0)
    assert made.phase is Phase.WAITING
    assert 30 <= made.wait <= 60
    assert made.attempt.outcome is Outcome.FAILED
    assert made.attempt.failure is OVERLOADED.failure
    assert made.attempt.seconds == 3
    begun, failed, waiting = made.take_events()
    assert isinstance(begun, AttemptStarted)
    assert isinstance(failed, AttemptFailed)
    assert failed.failure is OVERLOADED.failure
    assert failed.attempt.outcome is Outcome.FAILED
    assert isinstance(waiting, Waiting)
    assert waiting.seconds == made.wait


def test_an_attempt_tells_what_was_waited_before_it_and_when_it_began():
    made = started(10.0, time_scale=1)
    made.failed(OVERLOADED, 13.0)
    again(made, 60.0)
    assert made.attempt.waited == made.wait
    assert made.attempt.begun == 50
    assert made.attempts[0].waited == 0


@pytest.mark.parametrize(
    ("began", "outcome"),
    [
        pytest.param(None, Outcome.FAILED, id="no stream"),
        pytest.param(False, Outcome.FAILED, id="a stream without an event"),
        pytest.param(True, Outcome.INTERRUPTED, id="a stream with an event"),
    ],
)
def test_an_attempt_whose_answer_began_is_interrupted(began, outcome):
    made = started(10.0)
    if began is not None:
        made.stream_opened()
    if began:
        made.note_first_event(10.5)
        assert made.attempt.first_event == 0.5
    made.failed(DROPPED, 11.0)
    assert made.attempt.outcome is outcome


def test_a_call_that_gives_up_is_lost_and_says_why():
    made = started()
    made.failed(REJECTED, 3.0)
    assert made.phase is Phase.LOST
    assert made.reason is Reason.NOT_RETRYABLE
    event = made.take_events()[-1]
    assert isinstance(event, GaveUp)
    assert event.reason is Reason.NOT_RETRYABLE
    assert event.failure is REJECTED.failure
    assert event.seconds == 3
    assert event.attempts == tuple(made.attempts)


def test_there_may_be_nothing_to_ask_for_whatever_the_bounds_say():
    budget = RetryBudget(5, per_second=0)
    made = started(budget=budget)
    made.failed(DROPPED, 0.0, refusal=Reason.JSON_OUTPUT)
    assert made.reason is Reason.JSON_OUTPUT
    assert made.phase is Phase.LOST
    assert budget.level == 5


def test_what_was_asked_wrongly_is_asked_otherwise_even_if_its_kind_is_not_retried():
    made = started(time_scale=1)
    made.failed(REJECTED, 0.0, reformulate=True)
    assert made.phase is Phase.WAITING
    assert made.wait == 0
    assert made.attempt.failure is REJECTED.failure


# Who speaks


def test_before_anything_was_delivered_the_last_failure_speaks():
    made = started()
    made.failed(DROPPED, 0.0)
    again(made)
    made.failed(REJECTED, 0.0)
    assert made.reported_failure is REJECTED


def test_what_broke_the_answer_is_not_masked_by_what_a_later_attempt_got():
    made = broken_off()
    made.failed(REJECTED, 0.0)
    assert made.reported_failure is DROPPED
    assert made.last_failure is REJECTED


def test_after_something_new_the_next_failure_speaks():
    made = broken_off()
    made.stream_opened()
    made.progress(1.0)
    made.failed(OVERLOADED, 2.0)
    assert made.reported_failure is OVERLOADED


def test_something_new_tells_how_long_it_was_missing():
    made = started(10.0)
    assert made.progress(12.0) == 2
    assert made.progress(17.0) == 5
    assert made.delivered


# Ends


def test_an_attempt_that_broke_off_may_have_brought_all():
    made = started()
    made.stream_opened()
    made.note_first_event(0.0)
    made.complete_short(DROPPED, 1.0)
    assert made.phase is Phase.COMPLETE
    assert made.attempt.outcome is Outcome.INTERRUPTED
    assert names(made) == ["AttemptStarted", "AttemptFailed", "Completed"]


def test_a_success_fills_the_budget():
    budget = RetryBudget(5, per_second=0)
    budget.take(0.0)
    started(budget=budget).succeeded(0.0)
    assert budget.level == 5


def test_where_there_is_a_budget_it_is_asked_before_the_wait():
    made = started(budget=RetryBudget())
    made.failed(DROPPED, 0.0)
    assert made.phase is Phase.CHARGING
    assert names(made) == ["AttemptStarted", "AttemptFailed"]
    made.charged(granted=True, now=0.0)
    assert made.phase is Phase.WAITING
    assert names(made) == ["Waiting"]


def test_a_budget_that_is_used_up_ends_the_call():
    made = started(budget=RetryBudget())
    made.failed(DROPPED, 0.0)
    made.charged(granted=False, now=3.0)
    assert made.phase is Phase.LOST
    assert made.reason is Reason.BUDGET
    assert made.lost == LostCall(Reason.BUDGET, DROPPED, DROPPED, None)
    assert names(made) == ["AttemptStarted", "AttemptFailed", "GaveUp"]


def test_how_a_call_was_lost_names_what_began_the_outage():
    made = started()
    made.failed(DROPPED, 0.0)
    again(made)
    made.failed(REJECTED, 0.0)
    assert made.lost == LostCall(Reason.NOT_RETRYABLE, REJECTED, REJECTED, DROPPED)


@pytest.mark.parametrize("at", ["asking", "reading", "charging", "waiting"])
def test_closing_is_no_failure(at):
    made = started(10.0, budget=RetryBudget() if at == "charging" else None)
    if at == "reading":
        made.stream_opened()
    if at in ("charging", "waiting"):
        made.failed(DROPPED, 11.0)
    made.take_events()
    made.close(12.0)
    assert made.phase is Phase.CLOSED
    assert made.attempt.outcome is (
        Outcome.CANCELLED if at in ("asking", "reading") else Outcome.FAILED
    )
    (event,) = made.take_events()
    assert isinstance(event, Cancelled)
    assert event.seconds == 2
    assert event.attempts == tuple(made.attempts)


def test_closing_before_the_first_request_tells_nothing():
    made = call()
    made.close(0.0)
    assert made.phase is Phase.CLOSED
    assert made.take_events() == []


@pytest.mark.parametrize("end", ["complete", "lost", "closed"])
def test_closing_what_is_over_changes_and_tells_nothing(end):
    made = started()
    if end == "complete":
        made.succeeded(0.0)
    elif end == "lost":
        made.failed(REJECTED, 0.0)
    else:
        made.close(0.0)
    phase, attempt = made.phase, made.attempt
    made.take_events()
    made.close(1.0)
    assert made.phase is phase
    assert made.attempt == attempt
    assert made.take_events() == []


def test_events_are_told_once_and_in_order():
    made = started()
    made.failed(DROPPED, 0.0)
    again(made)
    made.failed(OVERLOADED, 0.0)
    again(made)
    made.succeeded(0.0)
    assert names(made) == [
        "AttemptStarted",
        "AttemptFailed",
        "Waiting",
        "AttemptStarted",
        "AttemptFailed",
        "Waiting",
        "AttemptStarted",
        "Completed",
    ]
    assert made.take_events() == []


def test_an_event_keeps_what_was_known_then():
    made = started()
    (event,) = made.take_events()
    made.note(status=200)
    assert event.attempt.status is None
    assert made.attempt.status == 200


def test_what_an_attempt_was_billed_may_become_known_later():
    made = started()
    made.failed(DROPPED, 0.0)
    again(made)
    made.bill(1, Usage(1, None, None, 2))
    assert made.attempts[0].usage == Usage(1, None, None, 2)
    assert made.attempts[1].usage is None


def test_a_call_out_of_order_is_one_clear_error():
    made = call()
    with pytest.raises(RuntimeError, match="unbroken: "):
        made.waited()
    made.begin(AttemptKind.RETRY, 0.0)
    made.succeeded(0.0)
    with pytest.raises(RuntimeError, match="unbroken: "):
        made.failed(DROPPED, 0.0)


def test_the_words_of_an_error_are_not_shown():
    assert "secret" not in repr(FailedAttempt(Failure(K.REJECTED, "x"), message="secret"))
