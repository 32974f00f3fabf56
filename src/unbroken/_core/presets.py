"""Policies for two ways of waiting: somebody who looks on, and nobody."""

from __future__ import annotations

import math
from typing import Any

from unbroken._core.rules import rules_growing_to
from unbroken._core.validation import Checks

__all__ = ["batch", "interactive"]

_LONGEST_INTERACTIVE_WAIT = 60.0
_LONGEST_BATCH_WAIT = 300.0


def interactive(patience: float) -> dict[str, Any]:
    """The fields of `Policy.interactive()`: half of the patience to notice, half to recover."""
    _check("Policy.interactive()", patience)
    half = patience / 2
    return {
        "max_outage": half,
        "idle_timeout": half,
        "progress_timeout": half,
        "max_retry_after": half,
        "patience": patience / 10,
        "rules": rules_growing_to(min(patience / 10, _LONGEST_INTERACTIVE_WAIT)),
    }


def batch(patience: float) -> dict[str, Any]:
    """The fields of `Policy.batch()`: time decides, and long waits stand in for the budget."""
    _check("Policy.batch()", patience)
    return {
        "max_attempts": max(25, math.ceil(patience / 10)),
        "max_outage": patience,
        "max_retry_after": patience,
        "patience": min(patience / 10, _LONGEST_BATCH_WAIT),
        "rules": rules_growing_to(min(patience / 10, _LONGEST_BATCH_WAIT)),
        "budget": None,
    }


def _check(owner: str, patience: float) -> None:
    checks = Checks(owner)
    checks.positive("patience", patience)
    checks.raise_if_any()
