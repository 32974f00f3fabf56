"""The metrics of calls: what an operator counts and watches."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics

from unbroken._core.attempts import AttemptKind, Outcome
from unbroken._core.events import (
    AttemptFailed,
    Cancelled,
    Completed,
    Extended,
    GaveUp,
    Replayed,
    Resumed,
    Waiting,
)
from unbroken._telemetry import names
from unbroken._telemetry.facts import (
    CallOutcome,
    call_outcome,
    error_type,
    input_tokens,
    of_target,
    time_to_first_chunk,
)
from unbroken._telemetry.scopes import VERSION
from unbroken._telemetry.tokens import billed_tokens

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from unbroken._core.attempts import Attempt
    from unbroken._core.events import RecoveryEvent
    from unbroken._core.failures import Failure
    from unbroken._telemetry.facts import Endpoint

__all__ = ["CallMetrics", "Instruments", "instruments"]

# The boundaries that the conventions give for the time to the first chunk.
_FIRST_CHUNK_S = [0.01 * 2**step for step in range(14)]
# Those for a number of tokens.
_TOKENS = [4**step for step in range(14)]
_WAIT_S = [0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300]
_TOKENS_PER_SECOND = [5, 10, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500]


class Instruments:
    """The metrics of all calls of a client.

    Args:
        meter_provider: Makes them; the global one if it is None.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        meter = metrics.get_meter(names.SCOPE, VERSION, meter_provider=meter_provider)
        self.attempts = meter.create_counter(names.ATTEMPTS, "{attempt}", "Requests that ended.")
        self.recoveries = meter.create_counter(
            names.RECOVERIES, "{recovery}", "Outages of calls, by how they ended."
        )
        self.calls = meter.create_counter(names.CALLS, "{call}", "Calls that ended.")
        self.kept_chars = meter.create_counter(
            names.KEPT_CHARS, "{character}", "Characters that a resumed answer had already."
        )
        self.seams = meter.create_counter(
            names.SEAMS,
            "{seam}",
            "Joints between the text of an attempt and the text before it, by what proved them.",
        )
        self.replays = meter.create_counter(
            names.REPLAYS, "{replay}", "Calls that got what a journal holds of their answer."
        )
        self.journal_failures = meter.create_counter(
            names.JOURNAL_FAILURES, "{failure}", "Calls that go on without their journal."
        )
        self.wait = meter.create_histogram(
            names.WAIT,
            "s",
            "Wait between a failure and the next attempt.",
            explicit_bucket_boundaries_advisory=_WAIT_S,
        )
        self.outage = meter.create_histogram(
            names.OUTAGE,
            "s",
            "Time without anything new for the caller, where a recovery ended it.",
            explicit_bucket_boundaries_advisory=_WAIT_S,
        )
        self.first_chunk = meter.create_histogram(
            names.TIME_TO_FIRST_CHUNK,
            "s",
            "Time from the beginning of a call to the first event of its answer.",
            explicit_bucket_boundaries_advisory=_FIRST_CHUNK_S,
        )
        self.tokens = meter.create_counter(
            names.TOKENS, "{token}", "Tokens that attempts were billed, by what for."
        )
        self.token_usage = meter.create_histogram(
            names.USAGE,
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.output_rate = meter.create_histogram(
            names.OUTPUT_RATE,
            "{token}/s",
            "Output tokens a second of the attempts that brought an answer to its end.",
            explicit_bucket_boundaries_advisory=_TOKENS_PER_SECOND,
        )


@functools.cache
def _global_instruments() -> Instruments:
    return Instruments(None)


def instruments(meter_provider: MeterProvider | None) -> Instruments:
    """The metrics of a provider; those of the global one are made once."""
    return _global_instruments() if meter_provider is None else Instruments(meter_provider)


class CallMetrics:
    """Counts one call.

    Args:
        instruments: The metrics to count it in.
        endpoint: What the call asks, and whom.
    """

    def __init__(self, instruments: Instruments, endpoint: Endpoint) -> None:
        self._to = instruments
        self._of_call: dict[str, Any] = {}
        if endpoint.creates_message:
            self._of_call = {names.OPERATION: "chat", names.PROVIDER: endpoint.provider}
        self._outage: Failure | None = None  # the failure that it began with

    def notify(self, event: RecoveryEvent) -> None:
        """Count what happened."""
        if event.model is not None:
            self._of_call[names.REQUEST_MODEL] = event.model
        match event:
            case AttemptFailed():
                self._outage = self._outage or event.failure
                self._count_attempt(event.attempt)
            case Extended():
                self._count_attempt(event.attempt)
            case Waiting():
                self._to.wait.record(event.seconds, self._of_failure(event.attempt.failure))
            case Resumed():
                self._resumed(event)
            case Replayed():
                self._to.replays.add(1, {**self._of_call, names.REPLAY_WHOLE: event.whole})
            case Completed() | GaveUp() | Cancelled():
                self._ended(event)

    def journal_failed(self) -> None:
        """Count a failure of the journal."""
        self._to.journal_failures.add(1, self._of_call)

    def _of_failure(self, failure: Failure | None) -> dict[str, Any]:
        if failure is None:
            return self._of_call
        return {**self._of_call, names.FAILURE_KIND: failure.kind.value}

    def _of_attempt(self, attempt: Attempt) -> dict[str, Any]:
        return {
            **self._of_call,
            **of_target(attempt),
            names.ATTEMPT_KIND: attempt.kind.value,
        }

    def _count_attempt(self, attempt: Attempt) -> None:
        if attempt.kind is AttemptKind.REPLAY:
            return  # no request
        attributes = {**self._of_failure(attempt.failure), **self._of_attempt(attempt)}
        if attempt.outcome is not None:
            attributes[names.ATTEMPT_OUTCOME] = attempt.outcome.value
        if attempt.failure is not None:
            attributes[names.ERROR_TYPE] = error_type(attempt.failure)
        self._to.attempts.add(1, attributes)
        if attempt.seam is not None:
            self._to.seams.add(1, {**self._of_attempt(attempt), names.SEAM: attempt.seam.value})

    def _resumed(self, event: Resumed) -> None:
        self._to.kept_chars.add(event.kept_chars, self._of_attempt(event.attempt))
        self._to.outage.record(event.outage, self._of_failure(self._outage))
        self._end_outage(CallOutcome.SAVED)

    def _end_outage(self, outcome: CallOutcome) -> None:
        failure, self._outage = self._outage, None
        if failure is not None:
            attributes = {**self._of_failure(failure), names.RECOVERY_OUTCOME: outcome.value}
            self._to.recoveries.add(1, attributes)

    def _ended(self, event: Completed | GaveUp | Cancelled) -> None:
        outcome, attempt = call_outcome(event), event.attempt
        if attempt.failure is None:
            self._count_attempt(attempt)
        if self._outage is not None:
            if isinstance(event, Completed) and attempt.outcome is Outcome.COMPLETE:
                self._to.outage.record(event.seconds, self._of_failure(self._outage))
            self._end_outage(outcome)
        self._to.calls.add(1, {**self._of_call, names.CALL_OUTCOME: outcome.value})
        self._record_speed(event)
        self._count_tokens(event)

    def _record_speed(self, event: Completed | GaveUp | Cancelled) -> None:
        first = time_to_first_chunk(event.attempts)
        if first is not None:
            seconds, attempt = first
            self._to.first_chunk.record(seconds, self._of_attempt(attempt))
        rate = _output_rate(event.attempt)
        if rate is not None:
            self._to.output_rate.record(rate, self._of_attempt(event.attempt))

    def _count_tokens(self, event: Completed | GaveUp | Cancelled) -> None:
        for billed in billed_tokens(event.attempts):
            if billed.tokens:
                attributes = {
                    **self._of_attempt(billed.attempt),
                    names.TOKENS_TYPE: billed.type.value,
                    names.TOKENS_USE: billed.use.value,
                }
                self._to.tokens.add(billed.tokens, attributes)
        if isinstance(event, Completed):
            self._record_usage(event)

    def _record_usage(self, event: Completed) -> None:
        """Record the usage of the message, as the span of the call has it."""
        usage = event.usage
        output = None if usage is None else usage.output_tokens
        counts = {"input": input_tokens(usage), "output": output}
        for kind, count in counts.items():
            if count is not None:
                self._to.token_usage.record(count, {**self._of_call, names.USAGE_TYPE: kind})


def _output_rate(attempt: Attempt) -> float | None:
    """Output tokens a second, from the first event on, of an attempt that was not cut."""
    if attempt.outcome is not Outcome.COMPLETE or attempt.usage is None:
        return None
    tokens, seconds = attempt.usage.output_tokens, attempt.seconds
    if not tokens or seconds is None:
        return None
    seconds -= attempt.first_event or 0.0
    return tokens / seconds if seconds > 0 else None
