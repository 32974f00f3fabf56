"""What the API refuses of a whole request, in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.testing.content_rules import check_content, check_roles
from unbroken.testing.conversation import is_thinking, turns
from unbroken.testing.errors import ApiError
from unbroken.testing.tool_rules import check_tool_choice, check_tool_use

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.testing.conversation import Turn

__all__ = ["NO_PREFILL", "check_headers", "check_last_turn", "check_request"]

NO_PREFILL = (
    "This model does not support assistant message prefill. "
    "The conversation must end with a user message."
)
_NO_PREFILL_WITH_THINKING = (
    "messages.{}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{}`. When "
    "`thinking` is enabled, a final `assistant` message must start with a thinking block."
)
_BUDGET = (
    "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation "
    "at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
    "#max-tokens-and-context-window-size"
)
_LEAST_BUDGET = 1024

_FIELDS = {
    *("model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "metadata"),
    *("stop_sequences", "temperature", "top_k", "top_p", "thinking", "output_config", "thread"),
    *("output_format", "cache_control", "service_tier", "speed", "inference_geo", "container"),
    *("context_management", "mcp_servers", "diagnostics", "fallbacks", "fallback_credit_token"),
    *("billing_policy", "compaction", "betas", "user_profile_id", "workspace_id"),
}


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse a request without a key or a version.

    Raises:
        ApiError: With the API's own message.
    """
    if not headers.get("x-api-key") and not headers.get("authorization"):
        raise ApiError("x-api-key header is required", status=401)
    if not headers.get("anthropic-version"):
        raise ApiError("anthropic-version: header is required")


def check_request(body: Any, *, counting: bool = False) -> None:
    """Refuse a request that the API would, but for its last turn and its signatures.

    Args:
        body: The request, with the whole conversation.
        counting: Whether it only asks for a count of tokens, which needs no `max_tokens`.

    Raises:
        ApiError: With the API's own message.
    """
    _check_fields(body, counting=counting)
    check_roles(body["messages"])
    check_content(body["messages"])
    check_tool_use(body["messages"])
    check_tool_choice(body)
    if not counting:
        _check_tokens(body)


def _check_fields(body: Any, *, counting: bool) -> None:
    if not isinstance(body, dict):
        raise ApiError("Input should be a valid dictionary")
    required = ("model", "messages") if counting else ("model", "max_tokens", "messages")
    for field in required:
        if body.get(field) is None:
            raise ApiError(f"{field}: Field required")
    if not isinstance(body["model"], str):
        raise ApiError("model: Input should be a valid string")
    for field in body:
        if field not in _FIELDS:
            raise ApiError(f"{field}: Extra inputs are not permitted")
    names = [tool.get("name") for tool in body.get("tools") or () if tool.get("name")]
    if len(set(names)) < len(names):
        raise ApiError("tools: Tool names must be unique.")


def _check_tokens(body: Mapping[str, Any]) -> None:
    limit = body["max_tokens"]
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise ApiError("max_tokens: Input should be a valid integer")
    if limit < 1:
        raise ApiError("max_tokens: Input should be greater than or equal to 1")
    thinking = body.get("thinking") or {}
    if thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int):
        raise ApiError("thinking.enabled.budget_tokens: Field required")
    if budget < _LEAST_BUDGET:
        raise ApiError(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        )
    if limit <= budget:
        raise ApiError(_BUDGET)


def check_last_turn(body: Mapping[str, Any], *, prefill: bool, paused: bool) -> None:
    """Refuse a last assistant turn where the model cannot go on from one.

    Args:
        body: The request.
        prefill: Whether the model takes prefill.
        paused: Whether the last turn is an answer that paused.

    Raises:
        ApiError: With the API's own message.
    """
    last = turns(body["messages"])[-1]
    if last.role != "assistant" or paused or _ends_in_server_result(last):
        return
    if not prefill and not body.get("fallback_credit_token"):
        raise ApiError(NO_PREFILL)
    if (body.get("thinking") or {}).get("type", "disabled") != "disabled":
        _refuse_prefill_with_thinking(len(body["messages"]) - 1, last)
    if (body.get("output_config") or {}).get("format") or body.get("output_format"):
        raise ApiError("Assistant message prefill is not supported with `output_config.format`.")
    if last.blocks and last.blocks[-1].get("text", "").endswith((" ", "\n", "\t", "\r")):
        raise ApiError("messages: final assistant content cannot end with trailing whitespace")


def _ends_in_server_result(turn: Turn) -> bool:
    return bool(turn.blocks) and str(turn.blocks[-1]["type"]).endswith("_tool_result")


def _refuse_prefill_with_thinking(i: int, turn: Turn) -> None:
    if turn.blocks and not is_thinking(turn.blocks[0]):
        raise ApiError(_NO_PREFILL_WITH_THINKING.format(i, turn.blocks[0]["type"]))
    raise ApiError("Assistant message prefill is not supported when `thinking` is enabled.")
