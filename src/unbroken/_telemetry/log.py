"""The log lines of calls: for each failure, and for each call that was saved or given up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anthropic

from unbroken._core.bounds import explanation
from unbroken._core.events import AttemptFailed, Completed, GaveUp, Resumed, Waiting
from unbroken._telemetry import names
from unbroken._telemetry.facts import (
    CallOutcome,
    call_outcome,
    error_type,
    identifier,
    known,
    of_target,
)

if TYPE_CHECKING:
    from unbroken._core.attempts import Attempt
    from unbroken._core.events import RecoveryEvent

__all__ = ["CallLog", "logger"]

logger = logging.getLogger("unbroken")
logger.addHandler(logging.NullHandler())

_FAILURE = (
    "call %(call)s: attempt %(attempt)s of %(model)s failed: %(kind)s "
    "(status %(status)s, error type %(type)s, code %(code)s, request %(request)s); "
    "%(next)s [anthropic %(sdk)s]"
)
_SAVED = (
    "call %(call)s: answer of %(model)s saved after %(failures)s failure(s): "
    "%(attempts)s attempt(s), %(kept)s characters kept, %(seconds).1f s, request %(request)s "
    "[anthropic %(sdk)s]"
)


class CallLog:
    """Writes the lines of one call."""

    def __init__(self) -> None:
        self._failed: AttemptFailed | None = None
        self._last: AttemptFailed | None = None
        self._failures = 0
        self._kept_chars = 0

    def notify(self, event: RecoveryEvent) -> None:
        """Write a line once it is known what follows a failure, and when a call was saved."""
        match event:
            case AttemptFailed():
                self._failures += 1
                self._failed = self._last = event
            case Waiting():
                when = f"in {event.seconds:.1f} s" if event.seconds else "at once"
                self._log_failure(f"next attempt {when}", {names.WAIT_S: event.seconds})
            case GaveUp():
                self._failed = self._failed or self._last  # a wait may have been ended
                self._log_given_up(event)
            case Resumed():
                self._kept_chars = event.kept_chars
            case Completed():
                self._log_failure("the answer is whole without another attempt", {})
                if call_outcome(event) is CallOutcome.SAVED:
                    self._log_saved(event)

    def _log_given_up(self, event: GaveUp) -> None:
        why = explanation(event.reason, event.failure, event.last_failure)
        fields = {
            names.GIVEN_UP: event.reason.value,
            **_of_end(event, CallOutcome.FAILED),
        }
        self._log_failure(f"gave up: {why}", fields, logging.ERROR)

    def _log_failure(
        self, follows: str, fields: dict[str, Any], level: int = logging.WARNING
    ) -> None:
        event, self._failed = self._failed, None
        if event is None:
            return
        attempt, failure = event.attempt, event.failure
        status = attempt.status or failure.status
        api_type, code = identifier(failure.error_type), identifier(failure.error_code)
        request_id = identifier(attempt.request_id)
        words = {
            "call": event.call_id,
            "attempt": attempt.number,
            "model": _asked(attempt, event.model),
            "kind": failure.kind.value,
            "status": status or "-",
            "type": api_type or "-",
            "code": code or "-",
            "request": request_id or "-",
            "next": follows,
            "sdk": anthropic.__version__,
        }
        extra = {
            names.CALL_ID: event.call_id,
            names.MODEL: event.model,
            **of_target(attempt),
            names.ATTEMPT_NUMBER: attempt.number,
            names.ATTEMPT_KIND: attempt.kind.value,
            names.FAILURE_KIND: failure.kind.value,
            names.STATUS_CODE: status,
            names.ERROR_TYPE: error_type(failure),
            names.API_ERROR_TYPE: api_type,
            names.ERROR_CODE: code,
            names.REQUEST_ID: request_id,
            names.SDK_VERSION: anthropic.__version__,
            **fields,
        }
        logger.log(level, _FAILURE, words, extra=known(extra))

    def _log_saved(self, event: Completed) -> None:
        request_id = identifier(event.attempt.request_id)
        words = {
            "call": event.call_id,
            "model": event.model or "-",
            "failures": self._failures,
            "attempts": len(event.attempts),
            "kept": self._kept_chars,
            "seconds": event.seconds,
            "request": request_id or "-",
            "sdk": anthropic.__version__,
        }
        extra = {
            names.CALL_ID: event.call_id,
            names.MODEL: event.model,
            **_of_end(event, CallOutcome.SAVED),
            names.KEPT_CHARS: self._kept_chars,
            names.REQUEST_ID: request_id,
            names.SDK_VERSION: anthropic.__version__,
        }
        logger.info(_SAVED, words, extra=known(extra))


def _asked(attempt: Attempt, model: str | None) -> str:
    """The model that an attempt asked, and at which target, if there are some."""
    if attempt.target is None:
        return model or "-"
    return f"{attempt.model or '-'} at {attempt.target}"


def _of_end(event: Completed | GaveUp, outcome: CallOutcome) -> dict[str, Any]:
    return {
        names.CALL_OUTCOME: outcome.value,
        names.CALL_ATTEMPTS: len(event.attempts),
        names.CALL_SECONDS: event.seconds,
    }
