"""What each kind of failure gets: `Rule`, and the failure table of the README as data."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from tenacity import RetryCallState, wait_chain, wait_fixed, wait_none, wait_random

from unbroken._core.backoff import longest_wait
from unbroken._core.failures import FailureKind
from unbroken._core.validation import Checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tenacity.wait import wait_base

__all__ = ["DEFAULT_RULES", "Rule", "rules_growing_to", "switched"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of failure gets.

    Attributes:
        retry: Whether to try again at all.
        wait: Any tenacity wait, or a function of a `tenacity.RetryCallState`: seconds to wait.
            Its `attempt_number` counts the failures of this kind in a row, from 1; its `outcome`
            holds the exception. A `retry-after` of the service wins over it.

    Raises:
        ValueError: If `wait` cannot be called, or `retry` is not a bool; it names the field.
    """

    retry: bool = True
    wait: wait_base | Callable[[RetryCallState], float] = field(default_factory=wait_none)

    def __post_init__(self) -> None:
        checks = Checks("Rule")
        checks.that(isinstance(self.retry, bool), "retry", f"True or False, not {self.retry!r}")
        checks.that(callable(self.wait), "wait", f"a tenacity wait, not {self.wait!r}")
        checks.raise_if_any()

    def longest_wait(self, in_a_row: int) -> float:
        """Return the longest wait after so many failures of this kind in a row, in seconds.

        It is infinite for a function, and for a wait of tenacity that does not tell its bounds.

        Args:
            in_a_row: The failures of this kind in a row, from 1.
        """
        return longest_wait(self.wait, in_a_row)


def _waits(*seconds: float, jitter: float = 0.0) -> wait_base:
    """These waits in turn, the last one from then on, each made longer by up to `jitter` of it."""
    return wait_chain(*(wait_fixed(s) + wait_random(0, s * jitter) for s in seconds))


_FAIL = Rule(retry=False)
_AT_ONCE_THEN_SLOWER = Rule(wait=_waits(0, 1, 2, 4, 8))
# The last wait has its jitter below it, so that 30 s stays the longest.
_EXPONENTIAL = Rule(
    wait=wait_chain(
        *(wait_fixed(s) + wait_random(0, s * 0.2) for s in (1, 2, 4, 8, 16)), wait_random(27, 30)
    )
)

DEFAULT_RULES: Mapping[FailureKind, Rule] = MappingProxyType(
    {
        FailureKind.RATE_LIMITED: Rule(wait=_waits(5, 10, 20, jitter=0.2)),
        FailureKind.OVERLOADED: Rule(wait=wait_random(30, 60)),
        FailureKind.REQUEST_TIMEOUT: _AT_ONCE_THEN_SLOWER,
        FailureKind.SERVER_ERROR: _EXPONENTIAL,
        FailureKind.CONFLICT: _FAIL,
        FailureKind.UNREACHABLE: _EXPONENTIAL,
        FailureKind.DROPPED: _AT_ONCE_THEN_SLOWER,
        FailureKind.STALLED: _AT_ONCE_THEN_SLOWER,
        FailureKind.SPEND_LIMITED: _FAIL,
        FailureKind.REJECTED: _FAIL,
    }
)


def switched(kind: FailureKind, *, retry: bool) -> Rule:
    """The rule of a kind that somebody wants to be retried, or not."""
    if not retry:
        return _FAIL
    rule = DEFAULT_RULES[kind]
    return rule if rule.retry else _EXPONENTIAL


@functools.lru_cache(maxsize=16)  # so that two presets of the same patience are equal
def rules_growing_to(longest: float) -> Mapping[FailureKind, Rule]:
    """Rules whose waits begin as those of the table, and double until they are this long.

    Args:
        longest: Seconds; where the table begins with a longer wait, this one is taken.
    """
    exponential = Rule(wait=_jittered(_doubled(1, longest), at_least=0.8))
    at_once = Rule(wait=_waits(0, *_doubled(1, longest)))
    rules = {
        FailureKind.RATE_LIMITED: Rule(wait=_jittered(_doubled(5, longest), at_least=0.8)),
        FailureKind.OVERLOADED: Rule(wait=_jittered(_doubled(60, longest), at_least=0.5)),
        FailureKind.REQUEST_TIMEOUT: at_once,
        FailureKind.SERVER_ERROR: exponential,
        FailureKind.UNREACHABLE: exponential,
        FailureKind.DROPPED: at_once,
        FailureKind.STALLED: at_once,
    }
    return MappingProxyType(rules)


def _doubled(first: float, longest: float) -> list[float]:
    """The wait to begin with, its doubles, and the longest wait."""
    found = []
    while first < longest:
        found.append(first)
        first *= 2
    return [*found, longest]


def _jittered(seconds: list[float], *, at_least: float) -> wait_base:
    """Each wait in turn, shortened by chance to `at_least` of it."""
    return wait_chain(*(wait_random(s * at_least, s) for s in seconds))
