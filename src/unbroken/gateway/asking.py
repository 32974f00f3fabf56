"""What a request for a message asks for, and what its user may have of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.gateway.config import User

__all__ = ["Ask", "ask_of", "check_content_type"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for.

    Attributes:
        body: The JSON, byte for byte as the client sent it unless the user's settings change it.
        model: The model that it names.
        streams: Whether it asks for a stream.
    """

    body: bytes
    model: str
    streams: bool


def check_content_type(headers: Mapping[str, str]) -> None:
    """Refuse what a web page of somebody else could send without asking.

    Raises:
        GatewayError: If the request does not say that it is JSON.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise GatewayError(415, "content-type: must be application/json")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise GatewayError(415, "content-encoding: the body must not be compressed")


def ask_of(body: bytes, user: User | None) -> Ask:
    """Read a request, and apply the settings of its user.

    Raises:
        GatewayError: If it is no request for a message, or its user may not ask for that.
    """
    given = _object(body)
    model = given.get("model")
    if not isinstance(model, str) or not model:
        raise GatewayError(400, "model: must be a text")
    changed = _as_allowed(given, user)
    if changed is not given:
        body = json.dumps(changed, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
    return Ask(body, model, given.get("stream") is True)


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise GatewayError(400, "the body is not valid JSON") from None
    if not isinstance(given, dict):
        raise GatewayError(400, "the body must be a JSON object")
    return given


def _as_allowed(given: dict[str, Any], user: User | None) -> dict[str, Any]:
    """The request as its user may make it; the same object if nothing is to be changed."""
    if user is None:
        return given
    if not user.may_use(given["model"]):
        raise GatewayError(403, f"model: {given['model']!r:.100} is not allowed for this key")
    changed = given
    if user.max_tokens is not None:
        asked = given.get("max_tokens")
        if isinstance(asked, int) and asked > user.max_tokens:
            changed = {**changed, "max_tokens": user.max_tokens}
            changed = _with_thinking_below(changed, user.max_tokens)
    if user.system is not None:
        changed = {**changed, "system": _with_system(user.system, given.get("system"))}
    return changed


def _with_thinking_below(given: dict[str, Any], max_tokens: int) -> dict[str, Any]:
    """A thinking budget must stay below `max_tokens`."""
    thinking = given.get("thinking")
    if not isinstance(thinking, dict) or not isinstance(thinking.get("budget_tokens"), int):
        return given
    budget = min(thinking["budget_tokens"], max_tokens - 1)
    if budget < _LEAST_THINKING:
        return {**given, "thinking": {"type": "disabled"}}
    return {**given, "thinking": {**thinking, "budget_tokens": budget}}


_LEAST_THINKING = 1024


def _with_system(ours: str, theirs: Any) -> Any:
    """Ours before theirs, in the form that theirs has."""
    if not theirs:
        return ours
    if isinstance(theirs, str):
        return f"{ours}\n\n{theirs}"
    if isinstance(theirs, list):
        return [{"type": "text", "text": ours}, *theirs]
    raise GatewayError(400, "system: must be a text or a list of blocks")
