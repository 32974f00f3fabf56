"""What recovery costs a call, and the bound on it."""

from __future__ import annotations

from tests.core.service import AT_ONCE, Service, request

from unbroken._core.bounds import Reason
from unbroken._core.states import Phase

TEXT = " ".join(f"Line {n} of a story that is cut here and there." for n in range(40))


def test_they_are_those_of_all_attempts_but_the_first() -> None:
    run = Service(TEXT, cuts=[2000, 4000]).run(request())
    attempts = run.machine.call.attempts
    assert len(attempts) == 3
    usages = [attempt.usage for attempt in attempts[1:]]
    assert run.machine.call.extra_tokens == sum(usage.total() for usage in usages if usage) > 0


def test_an_attempt_that_would_cost_more_is_not_made() -> None:
    run = Service(TEXT, cuts=[2000, 4000]).run(request(), AT_ONCE.replace(max_extra_tokens=0))
    assert run.phase is Phase.LOST
    assert run.machine.call.reason is Reason.MAX_EXTRA_TOKENS
    assert len(run.machine.call.attempts) == 1


def test_an_attempt_after_one_that_cost_nothing_is_free() -> None:
    run = Service(TEXT, cuts=[0]).run(request(), AT_ONCE.replace(max_extra_tokens=0))
    assert run.phase is Phase.COMPLETE
    assert run.machine.call.extra_tokens == 0


def test_a_bound_that_is_far_away_changes_nothing() -> None:
    run = Service(TEXT, cuts=[2000]).run(request(), AT_ONCE.replace(max_extra_tokens=100_000))
    assert run.phase is Phase.COMPLETE
