"""How long a call goes on: every bound of the policy is checked here, and nowhere else."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from unbroken._core.backoff import backoff

if TYPE_CHECKING:
    from unbroken._core.failures import Failure, FailureKind
    from unbroken._core.policy import Policy

__all__ = ["REASONS", "Bounds", "Reason"]


class Reason(StrEnum):
    """Why a call was given up; `REASONS` says it in a sentence."""

    NOT_RETRYABLE = "not_retryable"
    MAX_ATTEMPTS = "max_attempts"
    MAX_FRUITLESS = "max_fruitless"
    MAX_OUTAGE = "max_outage"
    DEADLINE = "deadline"
    MAX_RETRY_AFTER = "max_retry_after"
    BUDGET = "budget"
    CONTINUATION_OFF = "continuation_off"
    JSON_OUTPUT = "json_output"
    THREAD = "thread"
    UNKNOWN_BLOCK = "unknown_block"
    LIVE_BLOCK = "live_block"
    DIVERGED = "diverged"


REASONS = {
    Reason.NOT_RETRYABLE: "this kind of failure is not retried",
    Reason.MAX_ATTEMPTS: "Policy.max_attempts requests were made",
    Reason.MAX_FRUITLESS: "Policy.max_fruitless attempts in a row brought nothing new",
    Reason.MAX_OUTAGE: "the next attempt would begin later than Policy.max_outage allows",
    Reason.DEADLINE: "Policy.deadline has passed, or would before the next attempt",
    Reason.MAX_RETRY_AFTER: "the service asked to wait longer than Policy.max_retry_after",
    Reason.BUDGET: "the RetryBudget is used up",
    Reason.CONTINUATION_OFF: "text was delivered already, and Continuation(mode='off') is set",
    Reason.JSON_OUTPUT: (
        "half a JSON document cannot be continued; ask again, or set Continuation(mode='restart')"
    ),
    Reason.THREAD: (
        "the request continues a thread, whose earlier turns are not in it; "
        "start a new thread with the whole history"
    ),
    Reason.UNKNOWN_BLOCK: (
        "the answer holds a kind of content block that this version cannot send back; "
        "ask again, or update unbroken"
    ),
    Reason.LIVE_BLOCK: (
        "the stream broke inside a block that is delivered as it comes "
        "(eager tool input, or Policy(thinking='live')), and it cannot be taken back"
    ),
    Reason.DIVERGED: "the new answer does not begin with what was delivered; ask again",
}


class Bounds:
    """Counts one call's attempts and failures, and says whether and when to try again.

    Args:
        policy: The policy of the call.
        now: Monotonic seconds at which the call began.
    """

    def __init__(self, policy: Policy, now: float) -> None:
        self._policy = policy
        self._last_new = now
        self.ends = None if policy.deadline is None else now + policy.deadline
        """Monotonic seconds at which the deadline passes, if there is one."""
        self.attempts = 0
        """Requests made so far."""
        self._fruitful = False
        self._fruitless = 0
        self._kind: FailureKind | None = None
        self._in_a_row = 0

    @property
    def costs_budget(self) -> bool:
        """Whether the retry budget must be asked for one more attempt."""
        return self._policy.budget is not None

    def attempt(self) -> int:
        """Count one more request, and return its number, from 1."""
        self._fruitful = False
        self.attempts += 1
        return self.attempts

    def progress(self, now: float) -> float:
        """The caller got something new: seconds since that was last so."""
        self._fruitful = True
        since, self._last_new = now - self._last_new, now
        return since

    def failed(self, failure: Failure, cause: BaseException | None, now: float) -> float | Reason:
        """Take in a failed attempt: seconds to wait before the next one, or why there is none."""
        again = failure.kind is self._kind and not self._fruitful
        self._kind = failure.kind
        self._in_a_row = self._in_a_row + 1 if again else 1
        self._fruitless = 0 if self._fruitful else self._fruitless + 1
        return self._refusal(failure) or self._affordable(self._wait(failure, cause), now)

    def asked_wrongly(self, now: float) -> float | Reason:
        """The attempt failed for how it was asked, and the next one asks otherwise, at once."""
        return self._affordable(0.0, now)

    def _refusal(self, failure: Failure) -> Reason | None:
        policy = self._policy
        if failure.should_retry is False or not policy.rules[failure.kind].retry:
            return Reason.NOT_RETRYABLE
        if (failure.retry_after or 0) > policy.max_retry_after:
            return Reason.MAX_RETRY_AFTER
        if self._fruitless >= policy.max_fruitless:
            return Reason.MAX_FRUITLESS
        return None

    def _wait(self, failure: Failure, cause: BaseException | None) -> float:
        rule = self._policy.rules[failure.kind]
        return backoff(rule, failure, self._in_a_row, cause) * self._policy.time_scale

    def _affordable(self, wait: float, now: float) -> float | Reason:
        if self.attempts >= self._policy.max_attempts:
            return Reason.MAX_ATTEMPTS
        if now + wait > self._last_new + self._policy.max_outage:
            return Reason.MAX_OUTAGE
        if self.ends is not None and now + wait >= self.ends:
            return Reason.DEADLINE
        return wait
