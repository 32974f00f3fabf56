"""How much each user may use, and how much of it is used.

Nothing here knows the time: it is given. Counters are kept in memory, for each process its own.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken.gateway.config import User

__all__ = ["Limits", "Refusal"]

_MINUTE = 60.0
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is not begun.

    Attributes:
        message: Which limit is reached.
        retry_after: Seconds after which it may be asked for again.
    """

    message: str
    retry_after: int


@dataclass(slots=True)
class _Used:
    """What one user has used."""

    requests: deque[float] = field(default_factory=deque)
    streams: int = 0
    day: int = -1
    tokens: int = 0


class Limits:
    """The counters of all users."""

    def __init__(self) -> None:
        self._used: dict[str, _Used] = {}

    def begin(self, user: User, now: float) -> Refusal | None:
        """Count a message that is asked for, unless a limit is reached. `now` is wall time."""
        used = self._of(user, now)
        refusal = (
            _requests_left(user, used, now)
            or _tokens_left(user, used, now)
            or _streams_left(user, used)
        )
        if refusal is None:
            used.streams += 1
            if user.requests_per_minute is not None:
                used.requests.append(now)
        return refusal

    def end(self, user: User, output_tokens: int, now: float) -> None:
        """Count what a message took, once it is over."""
        used = self._of(user, now)
        used.streams -= 1
        used.tokens += output_tokens

    def _of(self, user: User, now: float) -> _Used:
        used = self._used.setdefault(user.name, _Used())
        day = int(now // _DAY)
        if used.day != day:
            used.day, used.tokens = day, 0
        while used.requests and used.requests[0] <= now - _MINUTE:
            used.requests.popleft()
        return used


def _requests_left(user: User, used: _Used, now: float) -> Refusal | None:
    most = user.requests_per_minute
    if most is None or len(used.requests) < most:
        return None
    wait = used.requests[0] + _MINUTE - now
    return Refusal(f"{most} requests a minute are allowed", max(1, math.ceil(wait)))


def _tokens_left(user: User, used: _Used, now: float) -> Refusal | None:
    most = user.output_tokens_per_day
    if most is None or used.tokens < most:
        return None
    wait = (used.day + 1) * _DAY - now
    return Refusal(f"{most} output tokens a day are allowed", max(1, math.ceil(wait)))


def _streams_left(user: User, used: _Used) -> Refusal | None:
    most = user.streams
    if most is None or used.streams < most:
        return None
    return Refusal(f"{most} messages at once are allowed", 1)
