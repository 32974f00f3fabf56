"""Token counts of attempts and of the message.

Counts in a stream are cumulative, and the final output count comes with the last `message_delta`
only. Of a cut attempt it is known from the next attempt, which sends the partial answer back: its
input is that of the first attempt, the partial answer, and our prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHARS_PER_TOKEN", "AttemptUsage", "Usage", "logical", "unfinished"]

CHARS_PER_TOKEN = 4

_INPUTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one attempt was billed, as far as known.

    Attributes:
        input_tokens: Input tokens that were neither read from the cache nor written to it.
        cache_creation_input_tokens: Input tokens written to the cache.
        cache_read_input_tokens: Input tokens read from the cache.
        output_tokens: Output tokens; None if unknown.
        estimated: Whether `output_tokens` is derived from the input count of the attempt that
            followed, rather than counted by the API; discarded output (half a tool call) is not in
            it.
    """

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    estimated: bool = False

    def total(self) -> int:
        """All tokens that are known, of input and output."""
        counts = (getattr(self, name) for name in (*_INPUTS, "output_tokens"))
        return sum(count or 0 for count in counts)


class AttemptUsage:
    """The counts of one attempt, as they come."""

    __slots__ = ("_final", "_now")

    def __init__(self) -> None:
        self._now: dict[str, Any] = {}
        self._final = False

    def started(self, message: Mapping[str, Any]) -> None:
        """Take the counts of a `message_start`; its output count is a placeholder."""
        self._now.update(_known(message.get("usage")))

    def counted(self, usage: Mapping[str, Any] | None) -> None:
        """Take the counts of a `message_delta`, which take the place of earlier ones."""
        known = _known(usage)
        self._final = self._final or "output_tokens" in known
        self._now.update(known)

    def input_total(self) -> int | None:
        """Input tokens, cached or not; None if the attempt never started."""
        if _int(self._now.get("input_tokens")) is None:
            return None
        return sum(_int(self._now.get(name)) or 0 for name in _INPUTS)

    def count(self, name: str, otherwise: Any) -> Any:
        """One of the counts, as it came."""
        return self._now.get(name, otherwise)

    def output(self) -> int | None:
        """Output tokens; None if the attempt did not reach their count."""
        return _int(self._now.get("output_tokens")) if self._final else None

    def billed(self) -> Usage | None:
        """The counts so far; None if the attempt never started."""
        if not self._now:
            return None
        fresh, written, read = (_int(self._now.get(name)) for name in _INPUTS)
        return Usage(fresh, written, read, self.output())


def logical(
    first: AttemptUsage, last: AttemptUsage, usage: Mapping[str, Any], prompt_tokens: int | None
) -> dict[str, Any]:
    """The usage of the one message, for its last `message_delta`.

    Args:
        first: The counts of the attempt whose `message_start` the caller was given.
        last: The counts of the attempt that ended the message.
        usage: The usage that came with that end.
        prompt_tokens: Tokens of our own words in that attempt's request; None if it did not go on
            from a partial answer.
    """
    spliced = dict(usage)
    for name in _INPUTS:
        if name in spliced:
            spliced[name] = first.count(name, spliced[name])
    spliced["output_tokens"] = _carried(first, last, prompt_tokens) + (last.output() or 0)
    return spliced


def unfinished(
    first: AttemptUsage | None, last: AttemptUsage, prompt_tokens: int | None, chars: int
) -> int:
    """Output tokens of a message whose last attempt never told its own: an estimate."""
    carried = 0 if first is None or first is last else _carried(first, last, prompt_tokens)
    return carried + chars // CHARS_PER_TOKEN


def _carried(first: AttemptUsage, last: AttemptUsage, prompt_tokens: int | None) -> int:
    """Output tokens of earlier attempts in the message, told by what they cost as input."""
    before, after = first.input_total(), last.input_total()
    if prompt_tokens is None or before is None or after is None:
        return 0
    return max(after - before - prompt_tokens, 0)


def _known(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (usage or {}).items() if value is not None}


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
