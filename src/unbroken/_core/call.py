"""The record of one call: its attempts, and what each failure leads to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unbroken._core.attempts import Attempt, AttemptKind, Outcome
from unbroken._core.bounds import Bounds, Reason
from unbroken._core.callbacks import CallbackError
from unbroken._core.events import (
    AttemptFailed,
    AttemptStarted,
    Cancelled,
    Completed,
    Extended,
    GaveUp,
    RecoveryEvent,
    Waiting,
)
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.route import Route
from unbroken._core.states import Input, Phase, after
from unbroken._core.usage import AttemptUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken._core.policy import Policy
    from unbroken._core.usage import Usage

__all__ = ["Call", "FailedAttempt", "LostCall"]


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A failure, with what is needed to raise it.

    Attributes:
        failure: What failed.
        error: The exception behind it, if there was one.
        origin: The response with the HTTP error, or the frame of the error event, if there was one.
        message: The message of the API's error; never logged or shown.
        request_id: The `request-id` header of the response, if there was one.
        is_callers: Whether `error` is of the caller's own code, neither of the connection nor of
            the API. It is raised as it is.
    """

    failure: Failure
    error: BaseException | None = None
    origin: Any = None
    message: str = field(default="", repr=False)
    request_id: str | None = None
    is_callers: bool = False


@dataclass(frozen=True, slots=True)
class LostCall:
    """How a call was lost.

    Attributes:
        reason: Why no further attempt is made.
        reported: The failure that the caller gets.
        last: The failure that ended the recovery.
        cause: The first failure of the outage, if it is another one than the reported.
    """

    reason: Reason
    reported: FailedAttempt
    last: FailedAttempt
    cause: FailedAttempt | None


class Call:
    """The attempts, failures and events of one call.

    Args:
        policy: The policy of the call.
        model: The model that the request names, if it names one.
        now: Monotonic seconds at which the call starts.
        route: Chooses the targets; by default there is one.
        call_id: Its id, for its events.
    """

    def __init__(
        self,
        policy: Policy,
        model: str | None,
        now: float,
        route: Route | None = None,
        *,
        call_id: str = "",
    ) -> None:
        self.policy = policy
        self.id = call_id
        self.model = model
        self.route = route or Route(policy)
        self.bounds = Bounds(policy, now, self.route)
        self.attempts: list[Attempt] = []
        self.events: list[RecoveryEvent] = []
        """What happened since `take_events()` was called last."""
        self.outage_cause: FailedAttempt | None = None
        """The first failure since the caller last got something new."""
        self.last_failure: FailedAttempt | None = None
        """The last failure since then."""
        self.reason: Reason | None = None
        """Why the call was given up."""
        self.wait = self.bounds.first_wait(now)
        """Seconds to wait before the next attempt."""
        self.phase = Phase.WAITING if self.wait else Phase.ASKING
        self.has_ended = False
        """Whether the model ended an answer, of which more was asked for."""
        self.delivered = False
        """Whether the caller has been given anything."""
        self._answer: dict[str, Any] = {}
        self.begun = now
        """Monotonic seconds at which the call started."""
        self._attempt_begun = now

    @property
    def reported_failure(self) -> FailedAttempt:
        """The failure that the caller gets: what broke the answer off, else the last failure."""
        broke_off = self.delivered and self.reason is not Reason.CALLBACK
        failed = self.outage_cause if broke_off else self.last_failure
        assert failed is not None
        return failed

    @property
    def lost(self) -> LostCall:
        """How the call was lost, once it was given up."""
        assert self.reason is not None
        assert self.last_failure is not None
        reported, cause = self.reported_failure, self.outage_cause
        cause = None if cause is reported else cause
        return LostCall(self.reason, reported, self.last_failure, cause)

    @property
    def attempt(self) -> Attempt:
        """The current attempt, or the last one."""
        return self.attempts[-1]

    @property
    def is_sending(self) -> bool:
        """Whether a request was sent, and its response has not begun."""
        return self.phase is Phase.ASKING and bool(self.attempts) and self.attempt.outcome is None

    @property
    def extra_tokens(self) -> int:
        """Tokens that recovery cost: those of all attempts but the first that was billed."""
        billed = [one for one in self.attempts if one.usage is not None]
        return sum(
            one.usage.total()
            for one in billed[1:]
            if one.usage is not None and one.kind is not AttemptKind.EXTENSION
        )

    def begin(self, kind: AttemptKind, now: float) -> None:
        """A request is about to be sent."""
        number = self.bounds.attempt()
        if number == 1 and kind is AttemptKind.RETRY and not self.delivered:
            kind = AttemptKind.INITIAL
        target = self.route.target
        self._begin(
            Attempt(
                number,
                kind,
                begun=now - self.begun,
                waited=self.wait,
                target=target.name or None,
                model=target.model or self.model,
            ),
            now,
        )

    def begin_replay(self, now: float) -> None:
        """What a journal holds of the answer is about to be read."""
        self._begin(Attempt(0, AttemptKind.REPLAY, begun=now - self.begun, model=self.model), now)

    def _begin(self, attempt: Attempt, now: float) -> None:
        self.attempts.append(attempt)
        self._attempt_begun = now
        self.emit(AttemptStarted)

    @property
    def is_replay(self) -> bool:
        """Whether the current attempt reads a journal, which costs nothing."""
        return self.attempt.kind is AttemptKind.REPLAY

    def stream_opened(self) -> None:
        """The response is a stream."""
        self.phase = after(self.phase, Input.STREAM_OPENED)

    def note(self, **known: Any) -> None:
        """Record what is now known of the attempt."""
        self._note(-1, **known)

    def note_first_event(self, now: float) -> None:
        """The first event other than a ping came."""
        self.note(first_event=now - self._attempt_begun)

    def bill(self, number: int, usage: Usage | None) -> None:
        """Record what an attempt was billed."""
        for at, attempt in enumerate(self.attempts):
            if attempt.number == number and attempt.kind is not AttemptKind.REPLAY:
                self._note(at, usage=usage)

    def _note(self, at: int, **known: Any) -> None:
        self.attempts[at] = dataclasses.replace(self.attempts[at], **known)

    def progress(self, now: float) -> float:
        """The caller got new content: return the seconds since it last did."""
        # An exception holds stack frames, and those hold what was sent.
        self.outage_cause = self.last_failure = None
        self.delivered = True
        return self.bounds.progress(now)

    def failed(
        self,
        failed: FailedAttempt,
        now: float,
        *,
        refusal: Reason | CallbackError | None = None,
        reformulate: bool = False,
    ) -> None:
        """The attempt failed: wait for the next one, or give up.

        Args:
            failed: How it failed.
            now: Monotonic seconds.
            refusal: Why no request can follow, whatever the bounds say.
            reformulate: Whether the form of the request was refused, and the next one has another.
        """
        self._end_attempt(failed, now)
        verdict: float | Reason | CallbackError
        if refusal is not None:
            verdict = refusal
        elif reformulate:
            verdict = self.bounds.asked_wrongly(now)
        else:
            verdict = self._verdict(failed, now)
        if isinstance(verdict, CallbackError):
            self.callback_raised(verdict.error, failed, now)
        elif isinstance(verdict, Reason):
            self._give_up(verdict, now)
        else:
            self.wait = verdict
            self.phase = after(self.phase, Input.FAILED)
            if not self.bounds.costs_budget:
                self.charged(granted=True, now=now)

    def _verdict(self, failed: FailedAttempt, now: float) -> float | Reason | CallbackError:
        try:
            return self.bounds.failed(failed.failure, failed.error, now)
        except CallbackError as error:
            return error

    def callback_raised(self, error: Exception, failed: FailedAttempt, now: float) -> None:
        """Give up with what a function of the policy raised, caused by what it was called for."""
        failure = Failure(FailureKind.REJECTED, type(error).__name__)
        self.outage_cause = failed
        self.last_failure = FailedAttempt(failure, error, is_callers=True)
        self._give_up(Reason.CALLBACK, now)

    def charged(self, *, granted: bool, now: float) -> None:
        """The retry budget was asked for one more attempt, or need not be."""
        if not granted:
            self._give_up(Reason.BUDGET, now)
            return
        self.phase = after(self.phase, Input.CHARGED)
        self.emit(Waiting, seconds=self.wait)

    def complete_short(self, failed: FailedAttempt, now: float) -> None:
        """The attempt broke off, and what was delivered is the whole answer."""
        self._end_attempt(failed, now)
        self._complete(Input.FINISHED, now)

    def answered(self, message: Mapping[str, Any]) -> None:
        """The caller gets this message: its id, model, usage and stop reason go into the event."""
        usage, counts = AttemptUsage(), message.get("usage")
        usage.counted(counts if isinstance(counts, dict) else None)
        self._answer = {
            "message_id": message.get("id"),
            "served_by": message.get("model"),
            "stop_reason": message.get("stop_reason"),
            "usage": usage.billed(),
        }

    def succeeded(self, now: float) -> None:
        """The answer is complete."""
        usage = None if self.is_replay else self.attempt.usage or self._answer.get("usage")
        self.note(outcome=Outcome.COMPLETE, seconds=now - self._attempt_begun, usage=usage)
        happened = Input.FINISHED if self.phase is Phase.READING else Input.ANSWERED
        if self.policy.budget is not None:
            self.policy.budget.succeeded(now)
        self._complete(happened, now)

    def deposed(self, failed: FailedAttempt, now: float) -> None:
        """Another process took the answer over: what the attempt brought since is void."""
        self.events.clear()
        self.has_ended = False
        self.reason = None
        self.phase = after(self.phase, Input.DEPOSED)
        seconds = now - self._attempt_begun
        self.note(outcome=Outcome.INTERRUPTED, failure=failed.failure, seconds=seconds)
        self.emit(AttemptFailed, failure=failed.failure)

    def extended(self, now: float) -> None:
        """The attempt is complete, and more of its answer is asked for."""
        self.note(outcome=Outcome.COMPLETE, seconds=now - self._attempt_begun)
        if self.policy.budget is not None:
            self.policy.budget.succeeded(now)
        self.wait, self.has_ended = 0.0, True
        self.phase = after(self.phase, Input.EXTENDED)
        self.emit(Extended)

    def waited(self) -> None:
        """The wait is over."""
        self.phase = after(self.phase, Input.WAITED)

    def drained(self, now: float) -> None:
        """The process shuts down: make no further attempt."""
        self._give_up(Reason.DRAINED, now)

    def close(self, now: float) -> None:
        """The caller closed the stream, or cancelled the task."""
        before, self.phase = self.phase, after(self.phase, Input.CLOSE)
        if self.phase is before or not self.attempts:
            return
        if self.attempt.outcome is None:
            self.note(outcome=Outcome.CANCELLED, seconds=now - self._attempt_begun)
        self.emit(Cancelled, attempts=tuple(self.attempts), seconds=now - self.begun)

    def _end_attempt(self, failed: FailedAttempt, now: float) -> None:
        self.outage_cause = self.outage_cause or failed
        # A fallback that refuses the request says nothing of the outage.
        if self.route.is_own or self.bounds.retries(failed.failure) or self.last_failure is None:
            self.last_failure = failed
        began = self.phase is Phase.READING and self.attempt.first_event is not None
        outcome = Outcome.INTERRUPTED if began else Outcome.FAILED
        seconds = now - self._attempt_begun
        self.note(outcome=outcome, failure=failed.failure, seconds=seconds)
        self.emit(AttemptFailed, failure=failed.failure)

    def _give_up(self, reason: Reason, now: float) -> None:
        if self.has_ended:
            self._complete(Input.FINISHED, now)
            return
        self.reason = reason
        self.phase = after(self.phase, Input.GAVE_UP)
        self.emit(
            GaveUp,
            reason=reason,
            failure=self.lost.reported.failure,
            last_failure=self.lost.last.failure,
            attempts=tuple(self.attempts),
            seconds=now - self.begun,
        )

    def _complete(self, happened: Input, now: float) -> None:
        self.phase = after(self.phase, happened)
        seconds = now - self.begun
        self.emit(Completed, attempts=tuple(self.attempts), seconds=seconds, **self._answer)

    def take_events(self) -> list[RecoveryEvent]:
        """What happened since this was called last."""
        events = self.events.copy()
        self.events.clear()
        return events

    def emit(self, event: type[RecoveryEvent], **fields: Any) -> None:
        """Record that something happened."""
        self.events.append(event(self.id, self.model, self.attempt, **fields))
