"""What the API refuses in tool calls and their results, in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.testing.conversation import blocks_of, turns
from unbroken.testing.errors import ApiError
from unbroken.testing.models import refuses_forced_tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unbroken.testing.conversation import Turn

__all__ = ["check_tool_choice", "check_tool_use"]

_SERVER_CALLS = ("server_tool_use", "mcp_tool_use")


def check_tool_use(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse tool calls without a result, results without a call, and ids that are used twice.

    Raises:
        ApiError: With the API's own message.
    """
    _check_unique_ids(messages)
    firsts = list(_first_messages(messages))
    said = turns(messages)
    for number, turn in enumerate(said):
        following = said[number + 1] if number + 1 < len(said) else None
        _check_client_calls(firsts[number], turn, following)
        _check_server_calls(firsts[number], turn)
        _check_results(firsts[number], turn, said[number - 1] if number else None)


def _first_messages(messages: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """The index of the message that each turn begins with."""
    role = None
    for i, message in enumerate(messages):
        if message["role"] != role:
            yield i
        role = message["role"]


def _check_unique_ids(messages: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for message in messages:
        for block in blocks_of(message["content"]):
            if block["type"] in ("tool_use", *_SERVER_CALLS):
                if block.get("id") in seen:
                    raise ApiError("messages: `tool_use` ids must be unique")
                seen.add(str(block.get("id")))


def _check_client_calls(i: int, turn: Turn, following: Turn | None) -> None:
    calls = [block["id"] for block in turn.blocks if block["type"] == "tool_use"]
    results = _result_ids(following) if following else set()
    missing = [call for call in calls if call not in results]
    if missing:
        raise ApiError(
            f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message."
        )


def _result_ids(turn: Turn) -> set[str]:
    return {block["tool_use_id"] for block in turn.blocks if block["type"] == "tool_result"}


def _check_results(i: int, turn: Turn, before: Turn | None) -> None:
    calls = {b["id"] for b in before.blocks if b["type"] == "tool_use"} if before else set()
    for j, block in enumerate(turn.blocks):
        if block["type"] == "tool_result" and block["tool_use_id"] not in calls:
            raise ApiError(
                f"messages.{i}.content.{j}: unexpected `tool_use_id` found in `tool_result` "
                f"blocks: {block['tool_use_id']}. Each `tool_result` block must have a "
                "corresponding `tool_use` block in the previous message."
            )


def _check_server_calls(i: int, turn: Turn) -> None:
    open_calls: dict[str, str] = {}
    for j, block in enumerate(turn.blocks):
        kind = block["type"]
        if kind in _SERVER_CALLS:
            open_calls[str(block.get("id"))] = str(block.get("name"))
        elif kind.endswith("_tool_result"):
            _close_call(f"messages.{i}.content.{j}", block, open_calls)
    if turn.role == "assistant" and open_calls:
        tool_id, name = next(iter(open_calls.items()))
        raise ApiError(
            f"messages.{i}: `{name}` tool use with id `{tool_id}` was found without a "
            f"corresponding `{name}_tool_result` block"
        )


def _close_call(at: str, block: Mapping[str, Any], open_calls: dict[str, str]) -> None:
    if open_calls.pop(str(block.get("tool_use_id")), None) is None:
        raise ApiError(
            f"{at}: unexpected `tool_use_id` found in `{block['type']}` blocks: "
            f"{block.get('tool_use_id')}. Each `{block['type']}` block must have a corresponding "
            "`server_tool_use` block before it."
        )


def check_tool_choice(body: Mapping[str, Any]) -> None:
    """Refuse a forced tool where there is none, or where the model or its thinking forbids it.

    Raises:
        ApiError: With the API's own message.
    """
    choice = body.get("tool_choice") or {}
    kind = choice.get("type")
    if kind not in ("any", "tool"):
        return
    names = [tool.get("name") for tool in body.get("tools") or ()]
    if not names:
        raise ApiError("tool_choice: may only be specified while providing tools")
    if kind == "tool" and choice.get("name") not in names:
        raise ApiError(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        raise ApiError("Thinking may not be enabled when tool_choice forces tool use.")
    if refuses_forced_tools(body["model"]):
        raise ApiError("tool_choice: forcing tool use is not supported by this model")
