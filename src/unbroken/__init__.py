"""Claude responses that finish, even when the network or the API fails midway.

import anthropic, unbroken

client = unbroken.wrap(anthropic.Anthropic())
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken import errors as errors
    from unbroken import journal as journal
    from unbroken import middleware as middleware
    from unbroken import telemetry as telemetry
    from unbroken import testing as testing
    from unbroken import transport as transport
    from unbroken._core.attempts import Attempt, AttemptKind, Outcome
    from unbroken._core.bounds import Reason
    from unbroken._core.budget import RetryBudget
    from unbroken._core.events import (
        AttemptFailed,
        AttemptStarted,
        Cancelled,
        Completed,
        Extended,
        GaveUp,
        RecoveryEvent,
        Replayed,
        Resumed,
        Waiting,
    )
    from unbroken._core.failures import Failure, FailureKind
    from unbroken._core.journal.block import durable
    from unbroken._core.policy import Continuation, Policy, override
    from unbroken._core.rules import Rule
    from unbroken._core.seam import SeamKind
    from unbroken._core.usage import Usage
    from unbroken._core.worst import WorstCase, worst_cases
    from unbroken._doors.report import RecoveryReport, report
    from unbroken._doors.targets import Target
    from unbroken._drive.drain import drain
    from unbroken._install import install, uninstall
    from unbroken.errors import StreamInterrupted, StreamTimedOut
    from unbroken.fleet import RedisFleet
    from unbroken.middleware import RecoveryMiddleware, wrap

__version__: str

__all__ = [
    "Attempt",
    "AttemptFailed",
    "AttemptKind",
    "AttemptStarted",
    "Cancelled",
    "Completed",
    "Continuation",
    "Extended",
    "Failure",
    "FailureKind",
    "GaveUp",
    "Outcome",
    "Policy",
    "Reason",
    "RecoveryEvent",
    "RecoveryMiddleware",
    "RecoveryReport",
    "RedisFleet",
    "Replayed",
    "Resumed",
    "RetryBudget",
    "Rule",
    "SeamKind",
    "StreamInterrupted",
    "StreamTimedOut",
    "Target",
    "Usage",
    "Waiting",
    "WorstCase",
    "drain",
    "durable",
    "install",
    "override",
    "report",
    "uninstall",
    "worst_cases",
    "wrap",
]

# Where each name is. They are imported when they are used, as the SDK takes more than a second.
_HOMES = {
    "Attempt": "_core.attempts",
    "AttemptFailed": "_core.events",
    "AttemptKind": "_core.attempts",
    "AttemptStarted": "_core.events",
    "Cancelled": "_core.events",
    "Completed": "_core.events",
    "Continuation": "_core.policy",
    "Extended": "_core.events",
    "Failure": "_core.failures",
    "FailureKind": "_core.failures",
    "GaveUp": "_core.events",
    "Outcome": "_core.attempts",
    "Policy": "_core.policy",
    "Reason": "_core.bounds",
    "RecoveryEvent": "_core.events",
    "RecoveryMiddleware": "middleware",
    "RecoveryReport": "_doors.report",
    "RedisFleet": "fleet",
    "Replayed": "_core.events",
    "Resumed": "_core.events",
    "RetryBudget": "_core.budget",
    "Rule": "_core.rules",
    "SeamKind": "_core.seam",
    "StreamInterrupted": "errors",
    "StreamTimedOut": "errors",
    "Target": "_doors.targets",
    "Usage": "_core.usage",
    "Waiting": "_core.events",
    "WorstCase": "_core.worst",
    "drain": "_drive.drain",
    "durable": "_core.journal.block",
    "install": "_install",
    "override": "_core.policy",
    "report": "_doors.report",
    "uninstall": "_install",
    "worst_cases": "_core.worst",
    "wrap": "middleware",
}
_MODULES = {"errors", "journal", "middleware", "telemetry", "testing", "transport"}


if not TYPE_CHECKING:  # a type checker knows the names that there are

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return _import_module("importlib.metadata").version("unbroken")
        if name in _MODULES:
            return _import_module(f"unbroken.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(_import_module(f"unbroken.{_HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__"]
