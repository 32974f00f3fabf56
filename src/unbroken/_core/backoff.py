"""How long to wait before the next attempt. The waits are tenacity's; only the inputs are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tenacity import RetryCallState

if TYPE_CHECKING:
    from unbroken._core.failures import Failure
    from unbroken._core.policy import Rule

__all__ = ["backoff"]


def backoff(rule: Rule, failure: Failure, in_a_row: int, cause: BaseException | None) -> float:
    """Seconds to wait after a failure, before `Policy.time_scale`.

    Args:
        rule: What the policy says of this kind of failure.
        failure: The failure; its `retry_after` wins over the rule's wait.
        in_a_row: Failures of this kind in a row with nothing new between them, from 1.
        cause: The exception behind the failure, for waits that look at `outcome`.
    """
    if failure.retry_after is not None:
        return failure.retry_after
    return max(float(rule.wait(_retry_state(in_a_row, cause or RuntimeError(failure.kind)))), 0.0)


def _retry_state(in_a_row: int, cause: BaseException) -> RetryCallState:
    """The state that tenacity's own loop would pass, without its loop, sleep and clock."""
    state = RetryCallState(retry_object=cast("Any", None), fn=None, args=(), kwargs={})
    state.set_exception((type(cause), cause, None))
    # set_exception() stamps the state with time.monotonic(): take that back.
    state.start_time = state.outcome_timestamp = 0.0
    state.attempt_number = in_a_row
    return state
