"""Which models take a prefill: known by id, and learned from the API's refusal.

Source: "Prefill not supported" in the API's error reference: Claude 4.6 and later models and
Claude Mythos Preview refuse a request whose last turn is the assistant's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["THINKING", "Prefill", "base_model", "for_model", "refuses_prefill"]

_FIRST_WITHOUT = (4, 6)

THINKING = ("thinking", "redacted_thinking")

# claude-opus-4-5-20251101, us.anthropic.claude-sonnet-4-5-20250929-v1:0, claude-haiku-4-5@20251001
_FAMILY_FIRST = re.compile(r"claude-(?:opus|sonnet|haiku)-(\d{1,2})(?:[-.](\d{1,2}))?(?![\d.])")
# claude-3-5-sonnet-latest, claude-3-opus-20240229, claude-2.1, claude-instant-1.2
_VERSION_FIRST = re.compile(r"claude-(?:instant-)?v?([1-3])(?![\d])")

# The date has eight digits; the versions of Bedrock are like -v1:0.
_NAME = re.compile(r"claude(?:-(?!\d{8}|latest|v\d+(?::|$))[a-z0-9.]+)+")


def takes_prefill(model: str) -> bool:
    """Whether a model is known to go on from a last assistant turn; unknown ones are not."""
    model = model.lower()
    found = _FAMILY_FIRST.search(model)
    if found:
        return (int(found[1]), int(found[2] or 0)) < _FIRST_WITHOUT
    return _VERSION_FIRST.search(model) is not None


def base_model(model: str) -> str:
    """A model's id without what platforms add to it: a prefix, a date, a version, `-latest`."""
    found = _NAME.search(model.lower())
    return found[0] if found else model.lower()


def for_model(body: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """A request for another model: thinking of one model is not sent to another."""
    if base_model(model or "") == base_model(body.get("model") or ""):
        return {**body, "model": model}
    return {**body, "model": model, "messages": list(map(_without_thinking, body["messages"]))}


def _without_thinking(turn: dict[str, Any]) -> dict[str, Any]:
    content = turn.get("content")
    if turn.get("role") != "assistant" or not isinstance(content, list):
        return turn
    kept = [block for block in content if block.get("type") not in THINKING]
    return {**turn, "content": kept} if kept else turn


def refuses_prefill(status: int | None, message: str) -> bool:
    """Whether an error is the API's 400 that says that the model takes no prefill.

    The API has no code for it, so its wording has to do: "This model does not support assistant
    message prefill. The conversation must end with a user message."
    """
    return status == 400 and "prefill" in message and "not support" in message


class Prefill:
    """What is known of models and prefill, by all calls of a client."""

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def taken_by(self, model: str) -> bool:
        """Whether to try a prefill with this model."""
        return model not in self._refused and takes_prefill(model)

    def refused_by(self, model: str) -> None:
        """Remember that the API refused a prefill for this model."""
        self._refused.add(model)
