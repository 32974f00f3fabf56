"""Claude responses that finish, even when the network or the API fails midway.

import anthropic, unbroken

client = unbroken.wrap(anthropic.Anthropic())
"""

import importlib as _importlib
from importlib.metadata import version as _version

from unbroken._core.attempts import Attempt, AttemptKind, Outcome
from unbroken._core.bounds import Reason
from unbroken._core.budget import RetryBudget
from unbroken._core.events import (
    AttemptFailed,
    AttemptStarted,
    Cancelled,
    Completed,
    GaveUp,
    RecoveryEvent,
    Resumed,
    Waiting,
)
from unbroken._core.failures import Failure, FailureKind
from unbroken._core.policy import Continuation, Policy, override
from unbroken._core.rules import Rule
from unbroken._core.seam import SeamKind
from unbroken._core.usage import Usage
from unbroken._core.worst import WorstCase, worst_cases
from unbroken._doors.report import RecoveryReport, report
from unbroken._drive.drain import drain
from unbroken.errors import StreamInterrupted
from unbroken.middleware import RecoveryMiddleware, wrap

__all__ = [
    "Attempt",
    "AttemptFailed",
    "AttemptKind",
    "AttemptStarted",
    "Cancelled",
    "Completed",
    "Continuation",
    "Failure",
    "FailureKind",
    "GaveUp",
    "Outcome",
    "Policy",
    "Reason",
    "RecoveryEvent",
    "RecoveryMiddleware",
    "RecoveryReport",
    "Resumed",
    "RetryBudget",
    "Rule",
    "SeamKind",
    "StreamInterrupted",
    "Usage",
    "Waiting",
    "WorstCase",
    "drain",
    "override",
    "report",
    "worst_cases",
    "wrap",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version("unbroken")
    if name in ("testing", "transport"):  # imported on first use
        return _importlib.import_module(f"unbroken.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
