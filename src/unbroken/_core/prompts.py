"""The user turns that ask a model to continue its answer.

They are written as a person whose connection dropped would write: a note that sounds like a system
is refused as an injection, and a bare "continue" is answered with a remark.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken._core.callbacks import callback
from unbroken._core.seam.mark import choose_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unbroken._core.policy import Continuation

__all__ = [
    "PROMPT",
    "PROMPT_AFTER_RESULT",
    "PROMPT_AGAIN",
    "Prompt",
    "write_prompt",
]

PROMPT = """\
My connection dropped while you were answering. The last words that reached me are:

{anchor}

Please go on with the same answer. Begin by repeating exactly those words, then continue from \
there as if nothing had happened, with no introduction and no remark. If nothing was left to say \
after them, reply with {mark} and nothing else."""

PROMPT_AGAIN = """\
I lost the connection before the end of your message. It broke off at these words:

{anchor}

Please write these words again, exactly as they are, and then go on from them to the end of the \
answer. The first words of your reply must be the first of these: add no greeting, explanation or \
quotation marks. If nothing was left to say, reply with {mark} and nothing else."""

PROMPT_AFTER_RESULT = """\
My connection dropped while you were answering, right after the last result above. Please go on \
with the same answer from there as if nothing had happened, with no introduction and no remark. If \
nothing was left to say, reply with {mark} and nothing else."""

_FIELD = re.compile(r"\{(?:anchor|mark)\}")
_ANY_MARK = re.compile(r"\[\[[^\[\]\n]+\]\]")


class Prompt(NamedTuple):
    """A user turn, and the word in it that stands for "nothing was left to say"."""

    text: str
    mark: str | None


def write_prompt(
    continuation: Continuation, default: str, words: str, partial: str, body: Mapping[str, Any]
) -> Prompt:
    """Write the user turn that asks the model to continue.

    Args:
        continuation: The policy's settings, which may bring a prompt of their own.
        default: The prompt to use if they do not.
        words: The words to quote.
        partial: The text that was delivered.
        body: The request: the mark stands nowhere in it.

    Raises:
        CallbackError: If the policy's function raises, or returns no text.
    """

    def is_used(word: str) -> bool:
        return word in partial or _holds(body, word)

    if callable(continuation.prompt):
        return _written(continuation.prompt, partial, words, is_used)
    template = default if continuation.prompt is None else continuation.prompt
    mark = choose_mark(is_used) if "{mark}" in template else None
    fields = {"{anchor}": words, "{mark}": mark}
    # At once: what is quoted is the model's text, and may hold the name of a field.
    return Prompt(_FIELD.sub(lambda field: fields[field[0]] or "", template), mark)


def _written(
    write: Callable[[str], str], partial: str, words: str, is_used: Callable[[str], bool]
) -> Prompt:
    with callback():
        said: Any = write(partial)
        if not isinstance(said, str) or not said.strip():
            raise ValueError("Continuation.prompt must return a text that is not blank")
    asked = said.replace(words, "") if words else said
    marks = (mark for mark in _ANY_MARK.findall(asked) if not is_used(mark))
    return Prompt(said, next(marks, None))


def _holds(value: Any, word: str) -> bool:
    """Whether a word stands in a text anywhere in JSON."""
    if isinstance(value, str):
        return word in value
    if isinstance(value, dict):
        return any(_holds(inner, word) for pair in value.items() for inner in pair)
    return isinstance(value, list) and any(_holds(inner, word) for inner in value)
