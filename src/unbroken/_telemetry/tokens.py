"""What the attempts of a call were billed, and how much of it became part of the answer.

Of the input, that of the first attempt that was billed is the answer's: the caller reads it in the
usage of the message. What later attempts were billed for the same prompt is overhead, but for those
that `Continuation.extend` asked for. Of the output, what the caller got is the answer's, in
proportion to the characters. The API counts the output at the end of a stream only; that of a cut
attempt is estimated.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from unbroken._core.attempts import AttemptKind, Outcome
from unbroken._core.usage import CHARS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken._core.attempts import Attempt
    from unbroken._core.usage import Usage

__all__ = ["BilledTokens", "TokenType", "TokenUse", "billed_tokens"]


class TokenType(StrEnum):
    """What tokens are billed as."""

    INPUT = "input"
    """Input that was neither read from the cache nor written to it."""
    CACHE_READ = "cache_read"
    CACHE_CREATION = "cache_creation"
    OUTPUT = "output"


class TokenUse(StrEnum):
    """What tokens were billed for."""

    ANSWER = "answer"
    """They are part of the answer."""
    OVERHEAD = "overhead"
    """Input that was billed again, and output that the caller did not get."""


class BilledTokens(NamedTuple):
    """Tokens that an attempt was billed."""

    attempt: Attempt
    type: TokenType
    use: TokenUse
    tokens: int


def billed_tokens(attempts: Sequence[Attempt]) -> Iterator[BilledTokens]:
    """The tokens that the attempts of one call were billed, as far as that is known."""
    use = TokenUse.ANSWER
    for attempt in attempts:
        if attempt.usage is None:
            continue
        if attempt.kind is AttemptKind.EXTENSION:
            use = TokenUse.ANSWER
        for kind, count in _inputs(attempt.usage):
            yield BilledTokens(attempt, kind, use, count)
        use = TokenUse.OVERHEAD
        answer, overhead = _outputs(attempt, attempt.usage)
        yield BilledTokens(attempt, TokenType.OUTPUT, TokenUse.ANSWER, answer)
        yield BilledTokens(attempt, TokenType.OUTPUT, TokenUse.OVERHEAD, overhead)


def _inputs(usage: Usage) -> Iterator[tuple[TokenType, int]]:
    yield TokenType.INPUT, usage.input_tokens or 0
    yield TokenType.CACHE_READ, usage.cache_read_input_tokens or 0
    yield TokenType.CACHE_CREATION, usage.cache_creation_input_tokens or 0


def _outputs(attempt: Attempt, usage: Usage) -> tuple[int, int]:
    """The output tokens that the caller got, and the others."""
    received, delivered = attempt.received_chars, attempt.delivered_chars
    lost = max(received - delivered, 0)
    if usage.output_tokens is None:
        return delivered // CHARS_PER_TOKEN, lost // CHARS_PER_TOKEN
    if usage.estimated:  # from what was sent back, which is what was delivered
        return usage.output_tokens, lost // CHARS_PER_TOKEN
    if not received:  # a whole answer is no stream, and has no count of characters
        whole = attempt.outcome is Outcome.COMPLETE
        return (usage.output_tokens, 0) if whole else (0, usage.output_tokens)
    overhead = round(usage.output_tokens * lost / received)
    return usage.output_tokens - overhead, overhead
