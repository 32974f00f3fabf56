"""The events of one framing as frames of another: an answer of Bedrock for a reader of SSE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from unbroken._core.framing.frames import Event, Framing, PlainDelta

__all__ = ["Translated"]


class Translated:
    """Reads frames of a source, and gives frames of a target for them.

    What is not an event, such as a comment, is left out.

    Args:
        source: Reads the bytes that come.
        target: Writes frames for the caller.
    """

    def __init__(self, source: Framing, target: Framing) -> None:
        self._source = source
        self._target = target
        self.pending = False
        """Whether a frame has begun, and not ended."""

    def split(self, data: bytes) -> Iterator[bytes]:
        """The frames that are complete with these bytes."""
        frames = self._source.split(data)
        self.pending = self._source.pending
        for frame in frames:
            event = self._source.decode(frame)
            if event is not None:
                yield self._target.encode(event.name, event.data)

    def decode(self, frame: bytes) -> Event | None:
        """The event in a frame of the target; None if there is none."""
        return self._target.decode(frame)

    def encode(self, name: str, data: Mapping[str, Any]) -> bytes:
        """A frame of the target."""
        return self._target.encode(name, data)

    def plain_delta(self, frame: bytes) -> PlainDelta | None:
        """A delta in a frame of the target, without parsing it."""
        return self._target.plain_delta(frame)
