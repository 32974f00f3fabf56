"""Why a request cannot go to another target: what it holds of the place that it was made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken._core.threads import continues_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Place", "obstacle"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is, compared with the caller's own client.

    Attributes:
        other_client: Whether it has a client of its own, perhaps of another account.
        other_platform: Whether that is of another platform, such as Bedrock or Vertex AI.
        other_kind: Whether one of the two clients is async, and the other one is not.
    """

    other_client: bool = False
    other_platform: bool = False
    other_kind: bool = False


def obstacle(body: Mapping[str, Any], betas: str, place: Place) -> str | None:
    """Why a target cannot take a request, in a few words; None if it can.

    Args:
        body: The request; with the whole conversation, where that is known of a thread.
        betas: Its `anthropic-beta` header, or nothing.
        place: Where the target is.
    """
    for reason, applies, holds in _TABLE:
        if applies(place) and holds(body, betas):
            return reason
    return None


def _anywhere(_: Place) -> bool:
    return True


def _with_other_kind(place: Place) -> bool:
    return place.other_kind


def _in_other_account(place: Place) -> bool:
    return place.other_client


def _on_other_platform(place: Place) -> bool:
    return place.other_platform


def _always(_: Mapping[str, Any], __: str) -> bool:
    return True


def _continues_thread(body: Mapping[str, Any], _: str) -> bool:
    return continues_thread(body)


def _has_container(body: Mapping[str, Any], _: str) -> bool:
    return bool(body.get("container"))


def _has_files(body: Mapping[str, Any], _: str) -> bool:
    return any(
        block.get("type") == "container_upload"
        or (isinstance(block.get("source"), dict) and block["source"].get("type") == "file")
        for block in _blocks(body)
    )


def _has_betas(_: Mapping[str, Any], betas: str) -> bool:
    return bool(betas.strip())


def _has_server_tools(body: Mapping[str, Any], _: str) -> bool:
    tools = (tool for tool in body.get("tools") or () if isinstance(tool, dict))
    ran = (block.get("type") == "server_tool_use" for block in _blocks(body))
    return bool(body.get("mcp_servers")) or any(map(_is_server_tool, tools)) or any(ran)


def _is_server_tool(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type") or "custom"
    return kind != "custom" and not kind.startswith(_CLIENT_TOOLS)


_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")
"""The beginnings of types of tools that the caller runs, though the API defines them."""


def _blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The content blocks of all turns, and those within tool results."""
    for turn in body.get("messages") or ():
        yield from _within(turn.get("content"))


def _within(content: object) -> Iterator[Mapping[str, Any]]:
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict):
            yield block
            yield from _within(block.get("content"))


_TABLE: tuple[
    tuple[str, Callable[[Place], bool], Callable[[Mapping[str, Any], str], bool]], ...
] = (
    ("one of the two clients is async", _with_other_kind, _always),
    ("the request continues a thread that is not known", _anywhere, _continues_thread),
    ("the request uses a container of its account", _in_other_account, _has_container),
    ("the request refers to files of its account", _in_other_account, _has_files),
    ("the request uses beta features", _on_other_platform, _has_betas),
    ("the request uses server tools", _on_other_platform, _has_server_tools),
)
"""What a target cannot take: the reason, the targets that it applies to, and how it is found."""
