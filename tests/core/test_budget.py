"""An outage is not answered by a storm: retries are taken from a bucket that refills slowly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from unbroken._core.budget import RetryBudget


def taken(budget: RetryBudget, now: float) -> int:
    count = 0
    while budget.take(now):
        count += 1
    return count


def test_a_hundred_retries_by_default():
    assert taken(RetryBudget(), 0.0) == 100


@pytest.mark.parametrize("capacity", [0, 1, 7, 2.5])
def test_a_full_bucket_holds_its_capacity(capacity):
    budget = RetryBudget(capacity)
    assert budget.level == capacity
    assert taken(budget, 0.0) == int(capacity)
    assert not budget.take(0.0)


def test_a_success_puts_tokens_back():
    budget = RetryBudget(3, per_success=0.5, per_second=0)
    assert taken(budget, 0.0) == 3
    budget.succeeded(0.0)
    assert not budget.take(0.0)
    budget.succeeded(0.0)
    assert budget.take(0.0)


def test_time_puts_tokens_back_slowly():
    budget = RetryBudget(3)
    assert taken(budget, 1000.0) == 3
    assert not budget.take(1009.0)
    assert budget.take(1010.5)


def test_the_time_before_the_first_use_counts_for_nothing():
    budget = RetryBudget(3, per_second=1)
    assert budget.take(1_000_000.0)
    assert budget.level == 2


@pytest.mark.parametrize("fill", ["time", "successes"])
def test_the_bucket_never_holds_more_than_its_capacity(fill):
    budget = RetryBudget(3, per_second=1)
    assert budget.take(0.0)
    if fill == "successes":
        for _ in range(10):
            budget.succeeded(0.0)
    assert taken(budget, 1000.0 if fill == "time" else 0.0) == 3


def test_a_clock_that_goes_back_takes_nothing_away():
    budget = RetryBudget(3, per_second=1)
    assert budget.take(100.0)
    assert budget.take(50.0)
    assert budget.level == 1


def test_a_clock_that_goes_back_gives_nothing_twice():
    """Threads tell the time before they wait for the lock, so a little of this is ordinary."""
    budget = RetryBudget(100, per_success=0, per_second=1)
    assert taken(budget, 100.0) == 100
    budget.succeeded(90.0)
    budget.succeeded(100.0)
    assert budget.level == 0


def test_threads_never_take_more_than_there_is():
    budget = RetryBudget(500, per_second=0)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: taken(budget, 0.0), range(8)))
    assert sum(counts) == 500


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "100", None, True])
@pytest.mark.parametrize("field", ["capacity", "per_success", "per_second"])
def test_a_bad_value_is_named(field, bad):
    with pytest.raises(ValueError, match=rf"RetryBudget: {field} must be"):
        RetryBudget(**{field: bad})


def test_every_bad_value_is_named():
    with pytest.raises(ValueError, match=r"capacity.*per_success.*per_second"):
        RetryBudget(-1, per_success=-1, per_second=-1)


def test_it_tells_its_level():
    budget = RetryBudget(5)
    budget.take(0.0)
    assert repr(budget) == "RetryBudget(capacity=5, level=4.0)"
