"""The `Message` that the events of a stream tell, as far as they have come."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["event_of", "message_of"]


def event_of(frame: bytes) -> dict[str, Any]:
    """The JSON of a frame; empty if it has none."""
    data = [line[5:] for line in frame.splitlines() if line.startswith(b"data:")]
    with suppress(ValueError):
        event = json.loads(b"\n".join(data))
        if isinstance(event, dict):
            return event
    return {}


def message_of(frames: Iterable[bytes]) -> dict[str, Any]:
    """Put a message together; a tool call that is not complete has the input `{}`."""
    message: dict[str, Any] = {"type": "message", "role": "assistant", "content": []}
    inputs: dict[int, list[str]] = {}
    for frame in frames:
        event = event_of(frame)
        match event.get("type"):
            case "message_start":
                message = {**event["message"], "content": []}
            case "content_block_start":
                message["content"].append(dict(event["content_block"]))
            case "content_block_delta":
                block = message["content"][event["index"]]
                _add(block, event["delta"], inputs.setdefault(event["index"], []))
            case "content_block_stop":
                _finish(message["content"][event["index"]], inputs.get(event["index"], []))
            case "message_delta":
                message |= event["delta"]
                message["usage"] = {**(message.get("usage") or {}), **event.get("usage", {})}
    return message


_GROWING = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def _add(block: dict[str, Any], delta: dict[str, Any], inputs: list[str]) -> None:
    kind = delta.get("type", "")
    if kind in _GROWING:
        field = _GROWING[kind]
        block[field] = block.get(field, "") + delta[field]
    elif kind == "input_json_delta":
        inputs.append(delta["partial_json"])
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]


def _finish(block: dict[str, Any], inputs: list[str]) -> None:
    if any(inputs):
        with suppress(ValueError):
            block["input"] = json.loads("".join(inputs))
