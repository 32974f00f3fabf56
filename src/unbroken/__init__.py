"""A Claude answer that reaches its end, whatever the network and the service do on the way.

import anthropic, unbroken

client = unbroken.wrap(anthropic.Anthropic())
"""

import importlib as _importlib
import typing as _typing
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
from unbroken._core.usage import Usage
from unbroken._core.worst import WorstCase, worst_cases
from unbroken._install import install, uninstall
from unbroken._report import RecoveryReport, report
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
    "StreamInterrupted",
    "Usage",
    "Waiting",
    "WorstCase",
    "install",
    "override",
    "report",
    "uninstall",
    "worst_cases",
    "wrap",
]


__version__: str

if _typing.TYPE_CHECKING:
    from unbroken import errors as errors
    from unbroken import middleware as middleware
    from unbroken import telemetry as telemetry
    from unbroken import testing as testing
    from unbroken import transport as transport
else:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return _version("unbroken")
        if name in ("testing", "transport"):  # who does not use them does not pay for them
            return _importlib.import_module(f"unbroken.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
