"""How long a caller may wait under a policy, where everything goes wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken._core.bounds import LONGEST_SPREAD, QUICK_ATTEMPTS
from unbroken._core.failures import FailureKind

if TYPE_CHECKING:
    from unbroken._core.policy import Policy

__all__ = ["WorstCase", "worst_cases"]


@dataclass(frozen=True, slots=True)
class WorstCase:
    """One thing that goes wrong, and how long that takes at most.

    Attributes:
        trouble: What goes wrong.
        longest_silence: Seconds in which the caller gets nothing new: then something, or an error.
        longest_call: Seconds until the call ends, without the time in which its answer comes.
    """

    trouble: str
    longest_silence: float
    longest_call: float


@dataclass(frozen=True, slots=True)
class _Trouble:
    """How every attempt fails.

    Attributes:
        kind: The kind of failure.
        hangs: Seconds until that is noticed.
        midway: Whether text may come before it.
        retry_after: What the service asks to wait.
    """

    kind: FailureKind
    hangs: float = 0.0
    midway: bool = False
    retry_after: float | None = None


def worst_cases(policy: Policy, *, plain_timeout: float | None = 600) -> tuple[WorstCase, ...]:
    """Return how long a caller waits at most under a policy, for each thing that goes wrong.

    The first attempt of a call begins at once: waits for a connection of the pool do not count. A
    budget that is used up makes calls shorter.

    Args:
        policy: The policy.
        plain_timeout: The read timeout of calls that are not streamed, in seconds: by default the
            SDK's. None for none.
    """
    idle, progress = _seconds(policy.idle_timeout), _seconds(policy.progress_timeout)
    overloaded, stalled = FailureKind.OVERLOADED, FailureKind.STALLED
    troubles = {
        "overloaded for ever": _Trouble(overloaded),
        "rate limited for ever, with retry-after: 119": _Trouble(
            FailureKind.RATE_LIMITED, retry_after=119
        ),
        "streams hang before the headers": _Trouble(stalled, idle),
        "calls that are not streamed hang": _Trouble(stalled, _seconds(plain_timeout)),
        "streams fall silent in the middle": _Trouble(stalled, idle, midway=True),
        "streams only ping in the middle": _Trouble(stalled, progress, midway=True),
    }
    return tuple(_worst(name, trouble, policy) for name, trouble in troubles.items())


def _seconds(timeout: float | None) -> float:
    return math.inf if timeout is None else timeout


def _worst(name: str, trouble: _Trouble, policy: Policy) -> WorstCase:
    retried = policy.rules[trouble.kind].retry
    if trouble.midway and policy.resuming.mode == "off":
        retried = False
    silence = trouble.hangs + (_outage(trouble, policy) if retried else 0.0)
    call = silence
    if trouble.midway and retried:
        # Each attempt brings a little, and that ends the outage before it.
        pauses = (policy.max_attempts - 1) * _wait(trouble, policy, 1)
        call = max(silence, policy.max_attempts * trouble.hangs + pauses)
    ends = _seconds(policy.deadline)
    return WorstCase(name, min(silence, ends), min(call, ends))


def _outage(trouble: _Trouble, policy: Policy) -> float:
    """Seconds from the first failure to the end of a call that gets nothing more."""
    if (trouble.retry_after or 0) > policy.max_retry_after:
        return 0.0
    most = policy.max_attempts
    if policy.max_fruitless is not None:
        most = min(most, policy.max_fruitless)
    passed = 0.0
    for failures in range(1, most):
        wait = _wait(trouble, policy, failures)
        if passed + wait >= policy.max_outage:
            # A wait by chance may be a shorter one, after which another attempt fits in.
            return passed if trouble.retry_after is not None else policy.max_outage
        passed = min(passed + wait + trouble.hangs, policy.max_outage)
    return passed


def _wait(trouble: _Trouble, policy: Policy, in_a_row: int) -> float:
    """The longest wait after so many failures in a row."""
    wait = trouble.retry_after
    if wait is None:
        wait = policy.rules[trouble.kind].longest_wait(in_a_row)
    if in_a_row > QUICK_ATTEMPTS:
        wait = max(wait, LONGEST_SPREAD)
    return wait * policy.time_scale if policy.time_scale else 0.0
