"""Replies that are about the request to continue, and are no continuation.

Only a reply that nothing proved to be a continuation is looked at, and only as a whole: an answer
may well begin with "I don't ..." or end with "Would you like me to continue?".
"""

from __future__ import annotations

import re

__all__ = ["is_off_topic"]

_MAX_LENGTH = 400

_POLITE = r"(?:(?:sure|of\ course|okay|ok|certainly|yes|no\ problem|understood|hello|hi)[,!.]*\ )*"
_I = r"i(?:'m|\ am)"
_OFF_TOPIC = re.compile(
    rf"""{_POLITE}(?:
        no\ response\ (?:is\ )?(?:requested|needed|required)
        |{_I}\ (?:happy|ready|glad|unable|not\ sure|not\ able)\b
        |(?:{_I}\ )?(?:very\ |so\ )?sorry\b | (?:i\ )?apologi[sz]e\b | (?:my\ )?apologies\b
        |i\ (?:don't|do\ not|can't|cannot)\ (?:see|have|find|continue|recall|remember)\b
        |(?:could|can|would)\ you\b | how\ can\ i\b | what\ would\ you\ like\b
        |please\ (?:share|provide|clarify|resend|tell|let\ me\ know)\b
        |there(?:'s|\ is|\ was)\ nothing\b | nothing\ (?:was|is)\ left\b
        |(?:it\ )?(?:looks|seems|appears)\ (?:like|that|as)\b
        |(?:your|the|my)\ (?:last\ |previous\ )?(?:message|response|answer|reply|connection)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def is_off_topic(reply: str) -> bool:
    """Whether a whole reply, folded, speaks about the request instead of following it."""
    return len(reply) <= _MAX_LENGTH and _OFF_TOPIC.match(reply) is not None
