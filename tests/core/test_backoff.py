"""How long each kind of failure waits: tenacity's waits, told how many failures came in a row."""

from __future__ import annotations

import random
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from unbroken._core.backoff import backoff
from unbroken._core.bounds import Bounds
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.policy import Policy
from unbroken._core.rules import DEFAULT_RULES, Rule

K = FailureKind
DRAWS = 200


def waits(rule: Rule, in_a_row: int, kind: FailureKind = K.SERVER_ERROR) -> list[float]:
    """Many draws of one wait."""
    return [backoff(rule, Failure(kind, "x"), in_a_row, None) for _ in range(DRAWS)]


def row(kind: FailureKind, in_a_row: int, least: float, most: float) -> Any:
    return pytest.param(kind, in_a_row, least, most, id=f"{kind}, {in_a_row} in a row")


def at_once_then_slower(kind: FailureKind) -> list[Any]:
    return [row(kind, n, wait, wait) for n, wait in enumerate((0, 1, 2, 4, 8, 8, 8), 1)]


def exponential(kind: FailureKind) -> list[Any]:
    rows = [row(kind, n, wait, wait * 1.2) for n, wait in enumerate((1, 2, 4, 8, 16), 1)]
    return [*rows, row(kind, 6, 27, 30), row(kind, 7, 27, 30), row(kind, 50, 27, 30)]


@pytest.mark.parametrize(
    ("kind", "in_a_row", "least", "most"),
    [
        row(K.RATE_LIMITED, 1, 5, 6),
        row(K.RATE_LIMITED, 2, 10, 12),
        row(K.RATE_LIMITED, 3, 20, 24),
        row(K.RATE_LIMITED, 4, 20, 24),
        row(K.RATE_LIMITED, 50, 20, 24),
        row(K.OVERLOADED, 1, 30, 60),
        row(K.OVERLOADED, 7, 30, 60),
        *at_once_then_slower(K.REQUEST_TIMEOUT),
        *exponential(K.SERVER_ERROR),
        *exponential(K.UNREACHABLE),
        *at_once_then_slower(K.DROPPED),
        *at_once_then_slower(K.STALLED),
    ],
)
def test_a_kind_waits_as_the_table_says(kind, in_a_row, least, most):
    drawn = waits(DEFAULT_RULES[kind], in_a_row, kind)
    assert all(least <= wait <= most for wait in drawn)
    spread = max(drawn) - min(drawn)
    assert spread == 0 if least == most else spread > (most - least) / 2


@pytest.mark.parametrize("kind", K)
def test_a_kind_is_retried_as_the_table_says(kind):
    fails_at_once = {K.CONFLICT, K.SPEND_LIMITED, K.REJECTED}
    assert DEFAULT_RULES[kind].retry is (kind not in fails_at_once)


def test_every_kind_has_a_rule():
    assert set(DEFAULT_RULES) == set(K)


@given(st.sampled_from(list(K)), st.integers(1, 1000), st.integers())
def test_no_default_wait_is_longer_than_a_minute(kind, in_a_row, seed):
    random.seed(seed)
    wait = backoff(DEFAULT_RULES[kind], Failure(kind, "x"), in_a_row, None)
    assert 0 <= wait <= 60


# retry-after


@pytest.mark.parametrize("kind", K)
@pytest.mark.parametrize("seconds", [0.0, 0.25, 7.0, 1000.0])
def test_what_the_service_asks_for_wins_exactly(kind, seconds):
    failure = Failure(kind, "x", retry_after=seconds)
    assert backoff(DEFAULT_RULES[kind], failure, 3, None) == seconds


# Any wait fits in a rule


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        pytest.param(tenacity.wait_none(), (0, 0, 0), id="wait_none"),
        pytest.param(tenacity.wait_fixed(3), (3, 3, 3), id="wait_fixed"),
        pytest.param(tenacity.wait_exponential(), (1, 2, 4), id="wait_exponential"),
        pytest.param(tenacity.wait_exponential(max=3), (1, 2, 3), id="wait_exponential, capped"),
        pytest.param(tenacity.wait_incrementing(1, 2), (1, 3, 5), id="wait_incrementing"),
        pytest.param(
            tenacity.wait_chain(tenacity.wait_fixed(7), tenacity.wait_fixed(9)),
            (7, 9, 9),
            id="wait_chain",
        ),
        pytest.param(
            tenacity.wait_combine(tenacity.wait_fixed(1), tenacity.wait_incrementing(0, 1)),
            (1, 2, 3),
            id="wait_combine",
        ),
        pytest.param(
            tenacity.wait_fixed(1) + tenacity.wait_fixed(2), (3, 3, 3), id="a sum of waits"
        ),
        pytest.param(lambda state: state.attempt_number * 10, (10, 20, 30), id="a function"),
        pytest.param(lambda _state: -5, (0, 0, 0), id="a function that goes below 0"),
    ],
)
def test_any_wait_of_tenacity_fits_in_a_rule(wait, expected):
    rule = Rule(wait=wait)
    drawn = [backoff(rule, Failure(K.DROPPED, "x"), n, None) for n in (1, 2, 3)]
    assert drawn == list(expected)
    assert all(isinstance(seconds, float) for seconds in drawn)


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        pytest.param(tenacity.wait_random(2, 5), 2, 5, id="wait_random"),
        pytest.param(tenacity.wait_random_exponential(max=8), 0, 4, id="wait_random_exponential"),
        pytest.param(tenacity.wait_exponential_jitter(jitter=1), 4, 5, id="with jitter"),
    ],
)
def test_a_random_wait_stays_within_its_bounds(wait, least, most):
    drawn = waits(Rule(wait=wait), 3)
    assert all(least <= seconds <= most for seconds in drawn)
    assert len(set(drawn)) > DRAWS / 2


class Told:
    """A wait that looks at all that it is told."""

    def __init__(self) -> None:
        self.state: Any = None

    def __call__(self, state: tenacity.RetryCallState) -> float:
        self.state = state
        return 1.0


def test_a_wait_is_told_what_failed_and_how_often():
    told, cause = Told(), ConnectionResetError("gone")
    backoff(Rule(wait=told), Failure(K.DROPPED, "x"), 4, cause)
    assert told.state.attempt_number == 4
    assert told.state.outcome.failed
    assert told.state.outcome.exception() is cause
    assert told.state.seconds_since_start == 0


def test_a_wait_gets_an_exception_where_there_was_none():
    told = Told()
    backoff(Rule(wait=told), Failure(K.OVERLOADED, "x"), 1, None)
    assert isinstance(told.state.outcome.exception(), Exception)


@pytest.mark.skipif(not hasattr(tenacity, "wait_exception"), reason="this tenacity has it not")
def test_a_wait_may_depend_on_the_exception():
    wait = tenacity.wait_exception(lambda error: 3.0 if isinstance(error, EOFError) else 1.0)
    assert backoff(Rule(wait=wait), Failure(K.DROPPED, "x"), 1, EOFError()) == 3.0
    assert backoff(Rule(wait=wait), Failure(K.DROPPED, "x"), 1, OSError()) == 1.0


def test_asking_does_not_change_a_wait():
    wait = tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(2))
    assert waits(Rule(wait=wait), 1) == [1.0] * DRAWS


# time_scale


@pytest.mark.parametrize("scale", [0, 0.1, 1.0, 3])
@pytest.mark.parametrize("retry_after", [None, 10.0])
def test_time_scale_multiplies_every_wait(scale, retry_after):
    rules = {K.DROPPED: Rule(wait=tenacity.wait_fixed(10))}
    bounds = Bounds(Policy(rules=rules, time_scale=scale), 0.0)
    bounds.attempt()
    wait = bounds.failed(Failure(K.DROPPED, "x", retry_after=retry_after), None, 0.0)
    assert wait == 10 * scale
