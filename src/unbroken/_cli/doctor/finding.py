"""What was found at one boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Finding", "Status", "failed", "noted", "passed"]

Measured = Mapping[str, float | int | str | None]


class Status(StrEnum):
    """How a boundary was found."""

    OK = "ok"
    NOTE = "note"
    """It works, and there is something to know about it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was not tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one boundary.

    Attributes:
        status: How it was found.
        tells: What that tells.
        next: What to do next.
        measured: Numbers and names, for JSON.
    """

    status: Status
    tells: str
    next: str = ""
    measured: Measured = field(default_factory=dict)


def passed(tells: str, **measured: float | str | None) -> Finding:
    """All is well."""
    return Finding(Status.OK, tells, "", measured)


def noted(tells: str, to_do: str, **measured: float | str | None) -> Finding:
    """It works, but."""
    return Finding(Status.NOTE, tells, to_do, measured)


def failed(tells: str, to_do: str, **measured: float | str | None) -> Finding:
    """It does not work."""
    return Finding(Status.FAILED, tells, to_do, measured)
