"""How long to wait before the next attempt. The waits are tenacity's; only the inputs are ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import tenacity
from tenacity import RetryCallState

from unbroken._core.callbacks import callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken._core.failures import Failure
    from unbroken._core.rules import Rule

__all__ = ["backoff", "longest_wait"]


def backoff(rule: Rule, failure: Failure, in_a_row: int, cause: BaseException | None) -> float:
    """Seconds to wait after a failure, before `Policy.time_scale`.

    Args:
        rule: What the policy says of this kind of failure.
        failure: The failure; its `retry_after` wins over the rule's wait.
        in_a_row: Failures of this kind in a row with nothing new between them, from 1.
        cause: The exception behind the failure, for waits that look at `outcome`.

    Raises:
        CallbackError: If the rule's wait raises, or returns no number.
    """
    if failure.retry_after is not None:
        return failure.retry_after
    state = _retry_state(in_a_row, cause or RuntimeError(failure.kind))
    with callback():
        wait = float(rule.wait(state))
    return max(wait, 0.0)


def longest_wait(wait: Callable[[RetryCallState], float], in_a_row: int) -> float:
    """The longest that a wait may be, in seconds; infinite where it does not tell.

    Args:
        wait: A wait of tenacity, or a function.
        in_a_row: Failures of this kind in a row, from 1.
    """
    known = _LONGEST.get(type(wait))
    return math.inf if known is None else max(float(known(wait, in_a_row)), 0.0)


def _as_it_is(wait: Any, in_a_row: int) -> float:
    return float(wait(_retry_state(in_a_row, RuntimeError())))


def _in_chain(wait: Any, in_a_row: int) -> float:
    return longest_wait(wait.strategies[min(in_a_row, len(wait.strategies)) - 1], in_a_row)


# Only these very classes: a subclass may do anything.
_LONGEST: dict[type, Callable[[Any, int], float]] = {
    tenacity.wait_none: _as_it_is,
    tenacity.wait_fixed: _as_it_is,
    tenacity.wait_exponential: _as_it_is,
    tenacity.wait_incrementing: _as_it_is,
    tenacity.wait_random: lambda wait, _: wait.wait_random_max,
    tenacity.wait_chain: _in_chain,
    tenacity.wait_combine: lambda wait, n: sum(longest_wait(one, n) for one in wait.wait_funcs),
}


def _retry_state(in_a_row: int, cause: BaseException) -> RetryCallState:
    """The state that tenacity's own loop would pass, without its loop, sleep and clock."""
    state = RetryCallState(retry_object=cast("Any", None), fn=None, args=(), kwargs={})
    state.set_exception((type(cause), cause, None))
    # set_exception() stamps the state with time.monotonic(): take that back.
    state.start_time = state.outcome_timestamp = 0.0
    state.attempt_number = in_a_row
    return state
