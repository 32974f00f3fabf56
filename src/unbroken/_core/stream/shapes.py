"""The JSON types that events have. An event with other types is malformed, as a cut frame is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import FrameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken._core.framing.frames import Event

__all__ = ["check_shape"]

_EVENTS: dict[str, dict[str, type]] = {
    "message_start": {"message": dict},
    "content_block_start": {"index": int, "content_block": dict},
    "content_block_delta": {"index": int, "delta": dict},
    "content_block_stop": {"index": int},
    "message_delta": {"delta": dict},
    "message_stop": {},
}
"""What an event must have."""

_INNER: dict[str, type] = {
    "citations": list,
    "id": str,
    "model": str,
    "name": str,
    "partial_json": str,
    "signature": str,
    "stop_reason": str,
    "text": str,
    "thinking": str,
    "tool_use_id": str,
    "type": str,
    "usage": dict,
}
"""What these are in a message, a block, a delta or an end, if they are there."""

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)


def check_shape(event: Event) -> None:
    """Check the types of an event that this library reads.

    Raises:
        FrameError: If one of them is wrong.
    """
    data = event.data
    for name, kind in _EVENTS[event.name].items():
        if not isinstance(data.get(name), kind) or isinstance(data[name], bool):
            raise FrameError(f"a {event.name} event without its {name}")
    if event.name == "content_block_start" and data["content_block"].get("type") is None:
        raise FrameError("a content block without a type")
    for inner in (data.get("message"), data.get("content_block"), data.get("delta"), data):
        if isinstance(inner, dict):
            _check(event.name, inner, _INNER)
            _check(event.name, inner.get("usage") or {}, dict.fromkeys(_COUNTS, int))


def _check(event_name: str, values: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for name in kinds.keys() & values.keys():
        if values[name] is not None and not isinstance(values[name], kinds[name]):
            raise FrameError(f"a {event_name} event whose {name} has another type")
