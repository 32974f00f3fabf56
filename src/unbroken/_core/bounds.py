"""How long a call goes on: every bound of the policy is checked here, and nowhere else."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from unbroken._core.backoff import backoff
from unbroken._core.failures import FailureKind
from unbroken._core.route import Route

if TYPE_CHECKING:
    from unbroken._core.failures import Failure
    from unbroken._core.policy import Policy

__all__ = ["LONGEST_SPREAD", "QUICK_ATTEMPTS", "REASONS", "Bounds", "Reason", "explanation"]


QUICK_ATTEMPTS = 12
"""So many fruitless attempts in a row are made as quickly as the waits of their kinds allow."""

LONGEST_SPREAD = 30.0
"""Seconds: no wait after them is made longer than this to save attempts."""

_SHORTEST_SILENCE = 30.0


class Reason(StrEnum):
    """Why a call was given up; `REASONS` says it in a sentence."""

    NOT_RETRYABLE = "not_retryable"
    MAX_ATTEMPTS = "max_attempts"
    MAX_FRUITLESS = "max_fruitless"
    MAX_OUTAGE = "max_outage"
    DEADLINE = "deadline"
    MAX_RETRY_AFTER = "max_retry_after"
    BUDGET = "budget"
    MAX_EXTRA_TOKENS = "max_extra_tokens"
    CONTINUATION_OFF = "continuation_off"
    JSON_OUTPUT = "json_output"
    THREAD = "thread"
    UNKNOWN_BLOCK = "unknown_block"
    LIVE_BLOCK = "live_block"
    DIVERGED = "diverged"
    UNPROVEN = "unproven"
    OFF_TOPIC = "off_topic"
    DRAINED = "drained"
    TOOL_INPUT = "tool_input"
    CALLBACK = "callback"


REASONS = {
    Reason.NOT_RETRYABLE: "this kind of failure is not retried",
    Reason.MAX_ATTEMPTS: "Policy.max_attempts requests were made",
    Reason.MAX_FRUITLESS: "Policy.max_fruitless attempts in a row brought nothing new",
    Reason.MAX_OUTAGE: "Policy.max_outage has passed, or would before the next attempt",
    Reason.DEADLINE: "Policy.deadline has passed, or would before the next attempt",
    Reason.MAX_RETRY_AFTER: "the service asked to wait longer than Policy.max_retry_after",
    Reason.BUDGET: "the RetryBudget is used up",
    Reason.MAX_EXTRA_TOKENS: "the next attempt would cost more than Policy.max_extra_tokens allows",
    Reason.CONTINUATION_OFF: "text was delivered already, and Continuation(mode='off') is set",
    Reason.JSON_OUTPUT: (
        "half a JSON document cannot be continued; ask again, or set Continuation(mode='restart')"
    ),
    Reason.THREAD: (
        "the request continues a thread whose earlier turns this client did not make, or has "
        "forgotten; start a new thread with the whole history"
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
    Reason.UNPROVEN: (
        "nothing proves where the model's reply joins the text that was delivered, and "
        "Continuation(unproven='give_up') is set"
    ),
    Reason.DRAINED: "unbroken.drain() was called",
    Reason.TOOL_INPUT: "the model wrote a tool call twice whose input is no JSON object",
    Reason.CALLBACK: "a function of the policy raised: Continuation.prompt, or the wait of a rule",
    Reason.OFF_TOPIC: "the model answered the request to continue several times, and did not",
}


def explanation(reason: Reason, failure: Failure, last_failure: Failure) -> str:
    """Why a call was given up, in a sentence without its full stop.

    Args:
        reason: Why no further attempt is made.
        failure: The failure that the caller gets.
        last_failure: The failure that ended the recovery.
    """
    if last_failure == failure:
        return REASONS[reason]
    met = f"the last attempt failed with {_named(last_failure)}, after {_named(failure)}"
    return f"{REASONS[reason]}; {met}"


def _named(failure: Failure) -> str:
    return f"{failure.kind} ({failure.detail})"


class Bounds:
    """Counts one call's attempts and failures, and says whether and when to try again.

    An outage lasts from the first failure after something new until the caller gets something new.

    Args:
        policy: The policy of the call.
        now: Monotonic seconds at which the call began.
        route: Chooses the targets; by default there is one.
    """

    def __init__(self, policy: Policy, now: float, route: Route | None = None) -> None:
        self._policy = policy
        self._route = route or Route(policy)
        self._last_new = now
        self.ends = None if policy.deadline is None else now + policy.deadline
        """Monotonic seconds at which the deadline passes, if there is one."""
        self.outage_ends: float | None = None
        """Monotonic seconds at which the outage must be over, if there is one."""
        self.attempts = 0
        """Requests made so far."""
        self._fruitful = False
        self._fruitless = 0
        self._kind: FailureKind | None = None
        self._in_a_row = 0
        self._is_new_target = False
        self._failed_targets: set[int] = set()  # of the outage

    @property
    def costs_budget(self) -> bool:
        """Whether the retry budget must grant the next attempt.

        One that follows an attempt which brought something new is free, and so is one that follows
        an attempt which found no connection: that sent nothing. One that goes to a target which
        did not fail in this outage adds nothing to the load of those that did.
        """
        if self._policy.budget is None or self._fruitful or self._is_new_target:
            return False
        return self._kind is not FailureKind.UNREACHABLE

    def attempt(self) -> int:
        """Count one more request, and return its number, from 1."""
        self._fruitful = False
        self.attempts += 1
        return self.attempts

    def progress(self, now: float) -> float:
        """The caller got something new: seconds since that was last so."""
        self._fruitful = True
        self.outage_ends = None
        since, self._last_new = now - self._last_new, now
        return since

    def failed(self, failure: Failure, cause: BaseException | None, now: float) -> float | Reason:
        """Take in a failed attempt: seconds to wait before the next one, or why there is none.

        Raises:
            CallbackError: If the wait of the policy's rule raises.
        """
        again = failure.kind is self._kind and not self._fruitful
        self._kind = failure.kind
        self._in_a_row = self._in_a_row + 1 if again else 1
        self._fruitless = 0 if self._fruitful else self._fruitless + 1
        self._is_new_target = False
        if self.outage_ends is None:
            self._failed_targets.clear()
        self._failed_targets.add(self._route.current)
        if not self.retries(failure):
            if self._route.is_own:
                return Reason.NOT_RETRYABLE
            return self._elsewhere(self._route.refused(now), now)
        if self._is_fruitless():
            return Reason.MAX_FRUITLESS
        wait = backoff(self._policy.rules[failure.kind], failure, self._in_a_row, cause)
        waited = self._waited(failure.kind, now)
        elsewhere = self._route.failed(failure.kind, wait, now, waited=waited)
        if elsewhere is not None:
            return self._elsewhere(elsewhere, now)
        if (failure.retry_after or 0) > self._policy.max_retry_after:
            return Reason.MAX_RETRY_AFTER
        left = self._outage_left(now)
        wait = max(wait, self._spread(left)) * self._policy.time_scale
        return self._affordable(wait, left, now)

    def retries(self, failure: Failure) -> bool:
        """Whether the target that failed like this may be asked again."""
        return failure.should_retry is not False and self._policy.rules[failure.kind].retry

    def _elsewhere(self, wait: float, now: float) -> float | Reason:
        """Go on with another target, after so many seconds."""
        self._is_new_target = self._route.current not in self._failed_targets
        self._kind = None  # its failures are counted from the first
        return self._affordable(wait, self._outage_left(now), now)

    def _waited(self, kind: FailureKind, now: float) -> float:
        """Seconds that the outage took so far; a stall was waited for before it was noticed."""
        if kind is FailureKind.STALLED:
            return now - self._last_new
        return now - (self.outage_ends - self._policy.max_outage) if self.outage_ends else 0.0

    def first_wait(self, now: float) -> float:
        """Seconds to wait for a target before the first attempt: none where they are too many."""
        wait = self._route.begin(now)
        ends = self._policy.max_outage if self.ends is None else self.ends - now
        return wait if wait < min(ends, self._policy.max_outage) else 0.0

    def asked_wrongly(self, now: float) -> float | Reason:
        """The attempt failed for how it was asked, and the next one asks otherwise, at once."""
        return self._affordable(0.0, self._outage_left(now), now)

    def time_left(self, now: float) -> float | None:
        """Seconds that an attempt may take from now on; None if nothing bounds it.

        `deadline` bounds every attempt, `max_outage` those that are made in an outage.
        """
        ends = [end for end in (self.ends, self.outage_ends) if end is not None]
        return max(min(ends) - now, 0.0) if ends else None

    def longest_silence(self, now: float) -> float | None:
        """Seconds that a stream may be silent from now on; None if nothing bounds it.

        In an outage it is half of what is left, so that a stream that hangs leaves time for another
        one; but all of it where a half is too short to wait for the first words of a long answer.
        """
        left = self.time_left(now)
        if left is None or self.outage_ends is None or left < 2 * _SHORTEST_SILENCE:
            return left
        return left / 2

    def _is_fruitless(self) -> bool:
        most = self._policy.max_fruitless
        return most is not None and self._fruitless >= most

    def _outage_left(self, now: float) -> float:
        """Seconds left of the outage, which begins now if there is none."""
        if self.outage_ends is None:
            self.outage_ends = now + self._policy.max_outage
        return self.outage_ends - now

    def _spread(self, left: float) -> float:
        """The least wait by which the attempts that are left reach to the end of the outage."""
        attempts = self._policy.max_attempts - self.attempts
        if self._fruitless <= QUICK_ATTEMPTS or attempts < 1:
            return 0.0
        return min(left / attempts, LONGEST_SPREAD)

    def _affordable(self, wait: float, left: float, now: float) -> float | Reason:
        if self.attempts >= self._policy.max_attempts:
            return Reason.MAX_ATTEMPTS
        # Nothing would be left for an attempt that begins at the very end.
        if wait >= left:
            return Reason.MAX_OUTAGE
        if self.ends is not None and now + wait >= self.ends:
            return Reason.DEADLINE
        return wait
