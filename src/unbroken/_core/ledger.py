"""What each attempt of a call was billed, and what the one message used."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken._core.usage import AttemptUsage, logical, unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken._core.usage import Usage

__all__ = ["Ledger"]


class _Entry(NamedTuple):
    """An attempt that told its input."""

    number: int
    input_tokens: int
    """Cached or not, without those of our prompt."""
    usage: AttemptUsage


class Ledger:
    """Counts the tokens of the attempts of one call."""

    def __init__(self) -> None:
        self._number = 0
        self._usage = AttemptUsage()  # of the attempt that is read
        self._first: AttemptUsage | None = None  # of the one whose message_start was delivered
        self._prompt_tokens: int | None = None
        self._entry: _Entry | None = None

    def begin_attempt(self, number: int, prompt_tokens: int | None) -> None:
        """Count another attempt.

        Args:
            number: Its number in the call, from 1.
            prompt_tokens: About how many input tokens our own prompt is; None if the attempt does
                not continue a partial answer.
        """
        self._number, self._usage, self._prompt_tokens = number, AttemptUsage(), prompt_tokens

    def started(self, message: Mapping[str, Any]) -> None:
        """Take the counts of a `message_start`."""
        self._usage.started(message)
        self._first = self._first or self._usage

    def counted(self, usage: Mapping[str, Any] | None) -> None:
        """Take the counts of a `message_delta`."""
        self._usage.counted(usage)

    @property
    def is_first(self) -> bool:
        """Whether the attempt is the one whose `message_start` was delivered."""
        return self._usage is self._first

    @property
    def input_of_first(self) -> int:
        """Input tokens of the caller's request, as far as an attempt told them."""
        return 0 if self._first is None else self._first.input_total() or 0

    def billed(self) -> Usage | None:
        """What the attempt was billed so far; None if it never began."""
        return self._usage.billed()

    def estimate_cut_output(self) -> tuple[int, Usage] | None:
        """The number and the bill of the attempt cut before, if only this one's input tells it.

        The API tells the output count at the end of a stream. A continuation sends the partial
        answer back, so its input tells how many tokens that is.
        """
        total = self._usage.input_total()
        if total is None:
            return None
        cut = self._entry
        entry = _Entry(self._number, total - (self._prompt_tokens or 0), self._usage)
        self._entry = entry
        if cut is None or cut.number == entry.number or self._prompt_tokens is None:
            return None
        bill = cut.usage.billed()
        if bill is None or bill.output_tokens is not None:
            return None
        output = max(entry.input_tokens - cut.input_tokens, 0)
        return cut.number, dataclasses.replace(bill, output_tokens=output, estimated=True)

    def of_message(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """The usage of the message: the input of the first attempt, the output of all.

        Args:
            usage: The usage that came with the end of the message.
        """
        if self._first is None or self.is_first:
            return dict(usage)
        return logical(self._first, self._usage, usage, self._prompt_tokens)

    def unfinished(self, received_chars: int) -> int:
        """An estimate of the output tokens of a message that this attempt, cut, ended."""
        return unfinished(self._first, self._usage, self._prompt_tokens, received_chars)
