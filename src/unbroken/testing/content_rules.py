"""What the API refuses in the content of messages, in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.testing.conversation import blocks_of
from unbroken.testing.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["check_content", "check_roles"]

_ANYWHERE = {"text", "tool_addition", "tool_removal"}
_FROM_USERS = {"image", "document", "search_result", "tool_result", "container_upload"}
_FROM_MODELS = {
    "thinking",
    "redacted_thinking",
    "tool_use",
    "server_tool_use",
    "mcp_tool_use",
    "mcp_tool_listing",
    "container_upload",
    "fallback",
}
_SUMMARIES = {"compaction"}
_RESULTS = {
    f"{tool}_tool_result"
    for tool in (
        "advisor",
        "bash_code_execution",
        "code_execution",
        "mcp",
        "text_editor_code_execution",
        "tool_search",
        "web_fetch",
        "web_search",
    )
}
_TYPES = {
    "user": _ANYWHERE | _FROM_USERS | _SUMMARIES,
    "assistant": _ANYWHERE | _FROM_MODELS | _SUMMARIES | _RESULTS,
    "system": _ANYWHERE,
}
_FIELDS = {
    "text": "text",
    "thinking": "signature",
    "redacted_thinking": "data",
    "tool_use": "id",
    "tool_result": "tool_use_id",
}


def check_roles(messages: Any) -> None:
    """Refuse messages that are none, or not in an order that the API takes.

    Raises:
        ApiError: With the API's own message.
    """
    if not isinstance(messages, list):
        raise ApiError("messages: Input should be a valid list")
    if not messages:
        raise ApiError("messages: at least one message is required")
    for i, message in enumerate(messages):
        _check_message(i, message)
    if messages[0]["role"] != "user":
        raise ApiError('messages: first message must use the "user" role')
    for i, message in enumerate(messages[1:], 1):
        if message["role"] == "system" and not _system_may_follow(messages[i - 1]):
            raise ApiError(
                f"messages.{i}: a `system` message must follow a `user` message or an `assistant` "
                "message that ends with a server tool result"
            )


def _check_message(i: int, message: Any) -> None:
    if not isinstance(message, dict):
        raise ApiError(f"messages.{i}: Input should be a valid dictionary")
    for field in ("role", "content"):
        if field not in message:
            raise ApiError(f"messages.{i}.{field}: Field required")
    if message["role"] not in _TYPES:
        raise ApiError(
            f'messages: Unexpected role "{message["role"]}". Allowed roles are "user", '
            '"assistant" or "system"'
        )
    if not isinstance(message["content"], str | list):
        raise ApiError(f"messages.{i}.content: Input should be a valid list")


def _system_may_follow(message: Mapping[str, Any]) -> bool:
    if message["role"] != "assistant":
        return True
    blocks = blocks_of(message["content"])
    return bool(blocks) and blocks[-1].get("type") in _RESULTS


def check_content(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse blocks that the API does not know, empty text, and thinking at the end of a turn.

    Raises:
        ApiError: With the API's own message.
    """
    for i, message in enumerate(messages):
        final_partial = i == len(messages) - 1 and message["role"] == "assistant"
        if not message["content"] and not final_partial:
            raise ApiError(
                f"messages.{i}: all messages must have non-empty content except for the optional "
                "final assistant message"
            )
        blocks = blocks_of(message["content"])
        for j, block in enumerate(blocks):
            _check_block(f"messages.{i}.content.{j}", message["role"], block)
        if message["role"] == "assistant" and blocks and blocks[-1]["type"] == "thinking":
            raise ApiError(
                f"messages.{i}: The final block in an assistant message cannot be `thinking`."
            )


def _check_block(at: str, role: str, block: Any) -> None:
    if not isinstance(block, dict):
        raise ApiError(f"{at}: Input should be a valid dictionary")
    kind = block.get("type")
    if kind is None:
        raise ApiError(f"{at}.type: Field required")
    if kind not in _TYPES[role]:
        known = ", ".join(f"'{name}'" for name in sorted(_TYPES[role]))
        raise ApiError(
            f"{at}: Input tag '{kind}' found using 'type' does not match any of the expected "
            f"tags: {known}"
        )
    field = _FIELDS.get(kind)
    if field is not None and not isinstance(block.get(field), str):
        raise ApiError(f"{at}.{kind}.{field}: Field required")
    if kind == "text":
        _check_text(block["text"])


def _check_text(text: str) -> None:
    if not text:
        raise ApiError("messages: text content blocks must be non-empty")
    if not text.strip():
        raise ApiError("messages: text content blocks must contain non-whitespace text")
