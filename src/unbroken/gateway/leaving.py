"""What happens to an answer that nobody reads any more."""

from __future__ import annotations

import math
from enum import StrEnum

__all__ = ["OnDisconnect", "linger_of"]


class OnDisconnect(StrEnum):
    """What the request asks for, in `x-unbroken-on-disconnect`."""

    STOP = "stop"
    LINGER = "linger"
    CONTINUE = "continue"


def linger_of(asked: OnDisconnect | None, *, has_key: bool, linger: float) -> float:
    """Seconds for which an answer goes on without a reader; infinite to its end.

    Args:
        asked: What the request asks for, if it does.
        has_key: Whether it has an `Idempotency-Key`, so that its client can come again.
        linger: Seconds, as configured.
    """
    match asked:
        case OnDisconnect.STOP:
            return 0.0
        case OnDisconnect.CONTINUE:
            return math.inf
        case OnDisconnect.LINGER:
            return linger
        case None:
            return linger if has_key else 0.0
