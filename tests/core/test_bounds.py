"""How long a call goes on: each bound to the second, and what counts as being in a row."""

from __future__ import annotations

from typing import Any

import pytest
import tenacity

from unbroken._core.bounds import REASONS, Bounds, Reason
from unbroken._core.budget import RetryBudget
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.policy import Policy
from unbroken._core.rules import Rule

K = FailureKind
DROPPED = Failure(K.DROPPED, "x")
OVERLOADED = Failure(K.OVERLOADED, "x")
SLOW = {K.DROPPED: Rule(wait=tenacity.wait_fixed(10)), K.OVERLOADED: Rule(wait=lambda _state: 10)}
COUNTING = {
    kind: Rule(wait=lambda state: state.attempt_number) for kind in (K.DROPPED, K.OVERLOADED)
}
NO_BOUND: dict[str, Any] = {
    "max_attempts": 1000,
    "max_fruitless": 1000,
    "max_outage": 1e9,
    "budget": None,
}


def bounds(now: float = 0.0, **fields: Any) -> Bounds:
    return Bounds(Policy(**{**NO_BOUND, **fields}), now)


def fail(
    bounds: Bounds, now: float = 0.0, failure: Failure = DROPPED, *, new: bool = False
) -> float | Reason:
    """One more attempt, which may have brought something new before it failed."""
    bounds.attempt()
    if new:
        bounds.progress(now)
    return bounds.failed(failure, None, now)


@pytest.mark.parametrize("kind", [K.CONFLICT, K.SPEND_LIMITED, K.REJECTED])
def test_what_is_not_retryable_fails_at_once(kind):
    assert fail(bounds(), failure=Failure(kind, "x")) is Reason.NOT_RETRYABLE


def test_a_rule_can_make_anything_retryable_or_not():
    rules = {K.CONFLICT: Rule(wait=tenacity.wait_fixed(3)), K.DROPPED: Rule(retry=False)}
    assert fail(bounds(rules=rules), failure=Failure(K.CONFLICT, "x")) == 3
    assert fail(bounds(rules=rules)) is Reason.NOT_RETRYABLE


@pytest.mark.parametrize("kind", K)
def test_x_should_retry_false_makes_anything_fail_at_once(kind):
    failure = Failure(kind, "x", should_retry=False)
    assert fail(bounds(), failure=failure) is Reason.NOT_RETRYABLE


def test_x_should_retry_true_rescues_nothing():
    failure = Failure(K.REJECTED, "x", should_retry=True)
    assert fail(bounds(), failure=failure) is Reason.NOT_RETRYABLE
    assert fail(bounds(), failure=Failure(K.DROPPED, "x", should_retry=True)) == 0


@pytest.mark.parametrize("most", [1, 2, 8])
def test_max_attempts_is_the_requests_of_a_call(most):
    call = bounds(max_attempts=most)
    for _ in range(most - 1):
        assert isinstance(fail(call, new=True), float)
    assert fail(call, new=True) is Reason.MAX_ATTEMPTS
    assert call.attempts == most


@pytest.mark.parametrize("most", [1, 2, 4])
def test_max_fruitless_is_attempts_in_a_row_without_anything_new(most):
    call = bounds(max_fruitless=most)
    for _ in range(most - 1):
        assert isinstance(fail(call), float)
    assert fail(call) is Reason.MAX_FRUITLESS


def test_anything_new_begins_the_row_anew():
    call = bounds(max_fruitless=2)
    for _ in range(5):
        assert isinstance(fail(call, new=True), float)
        assert isinstance(fail(call), float)
    assert fail(call) is Reason.MAX_FRUITLESS


def test_fruitless_attempts_of_different_kinds_are_in_one_row():
    call = bounds(max_fruitless=2)
    assert isinstance(fail(call), float)
    assert fail(call, failure=OVERLOADED) is Reason.MAX_FRUITLESS


def test_any_number_of_fruitless_attempts_is_fine_without_max_fruitless():
    call = bounds(max_fruitless=None, rules=COUNTING)
    assert not any(isinstance(fail(call), Reason) for _ in range(500))


@pytest.mark.parametrize(
    ("now", "verdict"),
    [(89.9, 10.0), (90.0, Reason.MAX_OUTAGE), (500.0, Reason.MAX_OUTAGE)],
)
def test_an_attempt_does_not_begin_at_the_end_of_max_outage(now, verdict):
    call = bounds(rules=SLOW, max_outage=100)
    assert fail(call, 0.0) == 10
    assert fail(call, now) == verdict


@pytest.mark.parametrize("noticed", [0.0, 99.0, 100.0, 5000.0])
def test_an_outage_is_counted_from_the_failure_and_not_from_the_silence_before_it(noticed):
    call = bounds(rules=SLOW, max_outage=100)
    assert fail(call, noticed) == 10
    assert fail(call, noticed + 89.9) == 10
    assert fail(call, noticed + 90.0) is Reason.MAX_OUTAGE


def test_an_outage_ends_with_something_new():
    call = bounds(rules=SLOW, max_outage=100)
    assert fail(call, 0.0) == 10
    assert fail(call, 80.0) == 10
    assert fail(call, 500.0, new=True) == 10
    assert fail(call, 589.0) == 10
    assert fail(call, 590.0) is Reason.MAX_OUTAGE


def test_an_answer_that_keeps_coming_is_no_outage():
    call = bounds(rules=SLOW, max_outage=100)
    for now in range(0, 5000, 90):
        assert fail(call, float(now), new=True) == 10
    assert fail(call, now + 100.0) is Reason.MAX_OUTAGE


def test_without_any_outage_allowed_nothing_is_retried():
    assert fail(bounds(max_outage=0)) is Reason.MAX_OUTAGE


# Attempts that are to last as long as the outage may


def waits(call: Bounds, failure: Failure = DROPPED) -> list[float]:
    """What is waited after each of the attempts of an outage without end."""
    found: list[float] = []
    while not isinstance(wait := fail(call, sum(found), failure), Reason):
        found.append(wait)
    return found


@pytest.mark.parametrize("failure", [DROPPED, Failure(K.RATE_LIMITED, "x", retry_after=1)])
def test_after_twelve_quick_attempts_the_others_are_spread_over_what_is_left(failure):
    rules = {K.DROPPED: Rule(wait=lambda _state: 1)}
    call = bounds(rules=rules, max_attempts=25, max_outage=300)
    found = waits(call, failure)
    assert found[:12] == [1] * 12
    assert found[12:] == pytest.approx([24] * 11)
    assert call.attempts == 24


def test_longer_waits_stay_as_they_are():
    call = bounds(rules={K.DROPPED: Rule(wait=lambda _state: 40)}, max_attempts=30, max_outage=1200)
    assert waits(call) == [40] * 29


def test_attempts_that_reach_far_enough_are_not_slowed_down():
    call = bounds(rules={K.DROPPED: Rule(wait=lambda _state: 1)}, max_attempts=1000, max_outage=300)
    assert waits(call) == [1] * 299


@pytest.mark.parametrize("most", [2, 8, 13])
def test_a_few_attempts_are_made_quickly(most):
    call = bounds(rules={K.DROPPED: Rule(wait=lambda _state: 1)}, max_attempts=most)
    assert waits(call) == [1] * (most - 1)


def test_the_spread_is_never_more_than_half_a_minute():
    call = bounds(rules={K.DROPPED: Rule(wait=lambda _state: 1)}, max_attempts=15, max_outage=9000)
    assert waits(call) == [1] * 12 + [30] * 2


def test_something_new_ends_the_spread():
    call = bounds(rules={K.DROPPED: Rule(wait=lambda _state: 1)}, max_attempts=25, max_outage=300)
    assert [fail(call) for _ in range(13)] == [1] * 12 + [25]
    assert fail(call, new=True) == 1
    assert fail(call) == 1


# What an attempt may take


def test_nothing_bounds_an_attempt_while_all_is_well():
    call = bounds(max_outage=100)
    assert call.time_left(5000.0) is None
    fail(call, 5000.0)
    call.progress(5010.0)
    assert call.time_left(5020.0) is None


def test_an_attempt_in_an_outage_may_take_what_is_left_of_it():
    call = bounds(max_outage=100)
    fail(call, 5000.0)
    assert [call.time_left(now) for now in (5000.0, 5030.0, 5100.0, 5200.0)] == [100, 70, 0, 0]
    fail(call, 5060.0)
    assert call.time_left(5070.0) == 30


def test_an_attempt_may_take_what_is_left_of_the_deadline():
    call = bounds(deadline=50, max_outage=100)
    assert [call.time_left(now) for now in (0.0, 20.0, 60.0)] == [50, 30, 0]
    fail(call, 10.0)
    assert call.time_left(10.0) == 40
    assert bounds(1000.0, deadline=50).time_left(1001.0) == 49


def test_a_stream_may_be_silent_for_half_of_an_outage():
    call = bounds(max_outage=300)
    assert call.longest_silence(5000.0) is None
    fail(call, 5000.0)
    moments = (5000.0, 5100.0, 5240.0, 5241.0, 5299.0, 5400.0)
    assert [call.longest_silence(now) for now in moments] == [150, 100, 30, 59, 1, 0]
    call.progress(5250.0)
    assert call.longest_silence(5260.0) is None


def test_a_deadline_bounds_silence_as_it_is():
    call = bounds(deadline=500, max_outage=300)
    assert call.longest_silence(0.0) == 500
    fail(call, 0.0)
    assert call.longest_silence(0.0) == 150


def test_an_outage_may_end_before_the_deadline():
    call = bounds(deadline=500, max_outage=100)
    fail(call, 10.0)
    assert call.time_left(10.0) == 100
    call.progress(20.0)
    assert call.time_left(20.0) == 480


def test_something_new_tells_how_long_it_was_missing():
    call = bounds(1000.0)
    assert call.progress(1003.0) == 3
    assert call.progress(1010.0) == 7


@pytest.mark.parametrize(
    ("now", "verdict"), [(89.9, 10.0), (90.0, Reason.DEADLINE), (100.0, Reason.DEADLINE)]
)
def test_an_attempt_does_not_begin_at_the_deadline(now, verdict):
    assert fail(bounds(rules=SLOW, deadline=100), now, new=True) == verdict


def test_the_deadline_is_told_in_the_callers_time():
    assert bounds(1000.0, deadline=5).ends == 1005
    assert bounds(1000.0).ends is None


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(119.0, 119.0), (120.0, 120.0), (120.1, Reason.MAX_RETRY_AFTER), (float("inf"), None)],
)
def test_a_retry_after_beyond_the_bound_fails_at_once(seconds, verdict):
    failure = Failure(K.RATE_LIMITED, "x", retry_after=seconds)
    assert fail(bounds(), failure=failure) == (verdict or Reason.MAX_RETRY_AFTER)


@pytest.mark.parametrize("scale", [0, 0.001])
def test_time_scale_does_not_lift_the_bound_on_a_retry_after(scale):
    failure = Failure(K.RATE_LIMITED, "x", retry_after=121.0)
    assert fail(bounds(time_scale=scale), failure=failure) is Reason.MAX_RETRY_AFTER


def test_an_attempt_after_one_that_brought_something_new_is_free():
    call = bounds(budget=RetryBudget(0))
    fail(call, new=True)
    assert not call.costs_budget
    fail(call)
    assert call.costs_budget


def test_an_attempt_after_one_that_reached_nobody_is_free():
    call = bounds(budget=RetryBudget(0))
    fail(call, failure=Failure(K.UNREACHABLE, "x"))
    assert not call.costs_budget
    fail(call, failure=OVERLOADED)
    assert call.costs_budget


@pytest.mark.parametrize("budget", [RetryBudget(0), None], ids=["a budget", "none"])
def test_a_retry_costs_the_budget_where_there_is_one(budget):
    call = bounds(budget=budget)
    assert isinstance(fail(call), float), "whether it can be paid is another matter"
    assert call.costs_budget is (budget is not None)


@pytest.mark.parametrize(
    ("fields", "failure", "reason"),
    [
        pytest.param({}, Failure(K.REJECTED, "x"), Reason.NOT_RETRYABLE, id="not retryable"),
        pytest.param({"max_attempts": 1}, DROPPED, Reason.MAX_ATTEMPTS, id="max_attempts"),
        pytest.param({"max_fruitless": 1}, DROPPED, Reason.MAX_FRUITLESS, id="max_fruitless"),
        pytest.param({"max_outage": 0, "rules": SLOW}, DROPPED, Reason.MAX_OUTAGE, id="outage"),
        pytest.param({"deadline": 5, "rules": SLOW}, DROPPED, Reason.DEADLINE, id="deadline"),
    ],
)
def test_a_call_that_ends_anyway_is_told_why(fields, failure, reason):
    assert fail(bounds(**fields), failure=failure) is reason


# In a row


def test_failures_of_a_kind_in_a_row_are_counted():
    call = bounds(rules=COUNTING)
    assert [fail(call) for _ in range(4)] == [1, 2, 3, 4]


def test_another_kind_begins_a_row_of_its_own():
    call = bounds(rules=COUNTING)
    failures = [DROPPED, DROPPED, OVERLOADED, OVERLOADED, DROPPED]
    assert [fail(call, failure=failure) for failure in failures] == [1, 2, 1, 2, 1]


def test_something_new_begins_a_row_anew():
    call = bounds(rules=COUNTING)
    news = [False, False, True, False, False]
    assert [fail(call, new=new) for new in news] == [1, 2, 1, 2, 3]


# An attempt that was asked for wrongly


def test_what_was_asked_wrongly_is_asked_otherwise_at_once():
    call = bounds(rules=SLOW, max_fruitless=1)
    call.attempt()
    assert call.asked_wrongly(0.0) == 0


def test_what_was_asked_wrongly_does_not_break_a_row():
    call = bounds(rules=COUNTING)
    assert [fail(call), fail(call)] == [1, 2]
    call.attempt()
    assert call.asked_wrongly(0.0) == 0
    assert fail(call) == 3


@pytest.mark.parametrize(
    ("fields", "now", "reason"),
    [
        pytest.param({"max_attempts": 1}, 0.0, Reason.MAX_ATTEMPTS, id="max_attempts"),
        pytest.param({"max_outage": 0}, 0.0, Reason.MAX_OUTAGE, id="max_outage"),
        pytest.param({"deadline": 10}, 10.0, Reason.DEADLINE, id="deadline"),
    ],
)
def test_what_was_asked_wrongly_keeps_to_the_bounds(fields, now, reason):
    call = bounds(**fields)
    call.attempt()
    assert call.asked_wrongly(now) is reason


def test_every_reason_is_said_in_a_sentence():
    assert set(REASONS) == set(Reason)
    assert len(set(REASONS.values())) == len(REASONS)
    for sentence in REASONS.values():
        assert sentence.strip() == sentence
        assert not sentence.endswith(".")
