"""The error of a call whose connection was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic

from unbroken._doors.http import bare_request

if TYPE_CHECKING:
    from unbroken._doors.report import RecoveryReport

__all__ = ["StreamInterrupted", "StreamTimedOut"]


class StreamInterrupted(anthropic.APIConnectionError):  # it reads as what happened
    """The connection broke, and the answer could not be completed.

    It can be pickled and copied, and contains neither prompt nor key: its `request` has a method
    and a URL only. `__cause__` is the failure of the connection.

    Attributes:
        report: The attempts, and the partial answer.
    """

    report: RecoveryReport

    __module__ = "unbroken.errors"  # where the public name is, for tracebacks and pickles

    def __init__(self, message: str, *, report: RecoveryReport, method: str, url: str) -> None:
        request = bare_request(method, url)
        anthropic.APIConnectionError.__init__(self, message=message, request=request)
        self.report = report
        self._about = (message, method, url)

    def __reduce__(self) -> tuple[Any, ...]:
        message, method, url = self._about
        return _rebuild, (type(self), message, self.report, method, url)


class StreamTimedOut(StreamInterrupted, anthropic.APITimeoutError):
    """The connection took too long, and the answer could not be completed.

    Attributes:
        report: The attempts, and the partial answer.
    """

    __module__ = "unbroken.errors"


def _rebuild(
    cls: type[StreamInterrupted], message: str, report: RecoveryReport, method: str, url: str
) -> StreamInterrupted:
    return cls(message, report=report, method=method, url=url)
