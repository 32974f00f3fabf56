"""Bytes to frames and back. A framing knows bytes and no policy; what is above it sees no bytes.

Two framings exist: server-sent events, here, and AWS event streams, in `eventstream`. Both hand out
whole frames only: what a drop cuts in half is never delivered, not even at the end of the body.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_FRAME",
    "Event",
    "FrameError",
    "Framing",
    "PlainDelta",
    "ServerSentEvents",
    "to_json",
]

# The API caps a request at 32 MB; no event of an answer comes near that.
MAX_FRAME = 64 * 1024 * 1024


class FrameError(ValueError):
    """What came is not an event of the Messages API: a proxy's page, or a broken frame."""


class Event(NamedTuple):
    """One event: its name, its JSON payload, and the frame that it came in."""

    name: str
    data: dict[str, Any]
    frame: bytes


PlainDelta = tuple[bytes, bytes, bytes]
"""A delta of text, thinking or tool input that was not parsed: as they stand in the JSON, the
index of its content block, its type, and its string with the escapes."""


class Framing(Protocol):
    """One way to write events as bytes."""

    pending: bool
    """Whether a frame has begun, and not ended."""

    def split(self, data: bytes) -> list[bytes]:
        """Take in bytes, and return the frames that they complete."""

    def plain_delta(self, frame: bytes) -> PlainDelta | None:
        """Tell a plain delta by its shape alone; None if the frame must be parsed."""

    def another(self, frame: bytes) -> bytes | None:
        """The text, as it stands in the JSON, of a frame that is a plain delta like the last one.

        None if it is none, or differs in more than its text.
        """

    def decode(self, frame: bytes) -> Event | None:
        """Parse a frame; None if it carries no event (a comment, say).

        Raises:
            FrameError: If it is no frame of the Messages API.
        """

    def encode(self, name: str, data: Mapping[str, Any]) -> bytes:
        """Write an event as a frame."""


_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_FRAME = re.compile(rb"(?s:.*?)(?:" + _END.pattern + rb")")
_LINE = re.compile(rb"\r\n|\n|\r")
_FIELDS = {b"event", b"data", b"id", b"retry", b""}

# The rest of a plain delta: the inside of a JSON string, by its grammar, and what closes it all.
_TEXT_AND_END = re.compile(
    rb'([^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*)" *\} *\} *\n\n'
)
# What the API writes for nearly every event.
_PLAIN_DELTA = re.compile(
    rb"event: content_block_delta\n"
    rb'data: \{"type": ?"content_block_delta", ?"index": ?(\d+), ?"delta": ?\{"type": ?'
    rb'(?:"(text_delta)", ?"text"|"(thinking_delta)", ?"thinking"'
    rb'|"(input_json_delta)", ?"partial_json"): ?"' + _TEXT_AND_END.pattern
)


class ServerSentEvents:
    """Server-sent events, as the Messages API writes them.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, save that an event at
    the end of the body without its blank line is not handed out: it may be cut.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self.pending = False
        # What the last plain delta says before its text.
        self._before, self._block, self._kind = b"\n", b"", b""

    def split(self, data: bytes) -> list[bytes]:
        """Take in bytes, and return the frames that they complete, each with its blank line."""
        unsearched = self._rest[-3:] + data  # three of the four bytes of an end may have come
        self._rest += data
        frames: list[bytes] = []
        if b"\r" in unsearched:
            frames = _FRAME.findall(self._rest) if _END.search(unsearched) else []
        elif b"\n\n" in unsearched:
            frames = [frame + b"\n\n" for frame in bytes(self._rest).split(b"\n\n")[:-1]]
        del self._rest[: sum(map(len, frames))]
        self.pending = bool(self._rest)
        if len(self._rest) > MAX_FRAME:
            raise FrameError("a frame has no end")
        return frames

    def plain_delta(self, frame: bytes) -> PlainDelta | None:
        """Tell a plain delta by its shape alone; None if the frame must be parsed."""
        text = self.another(frame)
        if text is not None:
            return self._block, self._kind, text
        match = _PLAIN_DELTA.fullmatch(frame)
        if match is None or not _is_utf8(frame):
            return None
        self._before = frame[: match.start(5)]
        self._block, self._kind = match[1], match[2] or match[3] or match[4]
        return self._block, self._kind, match[5]

    def another(self, frame: bytes) -> bytes | None:
        """The text of a plain delta that differs in nothing else from the last one."""
        if not frame.startswith(self._before):
            return None
        match = _TEXT_AND_END.fullmatch(frame, len(self._before))
        if match is None:
            return None
        text = match[1]
        return text if text.isascii() or _is_utf8(text) else None

    def decode(self, frame: bytes) -> Event | None:
        """Parse a frame; None if it holds no data: comments, say."""
        name, data = _fields(frame)
        if not data:
            return None
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            raise FrameError("an event without valid JSON") from None
        if not isinstance(payload, dict):
            raise FrameError("an event whose JSON is no object")
        return Event(name or str(payload.get("type")), payload, frame)

    def encode(self, name: str, data: Mapping[str, Any]) -> bytes:
        """Write an event as a frame."""
        return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(data))


def to_json(data: object) -> bytes:
    """JSON as the API writes it: UTF-8, with escapes only for what UTF-8 cannot carry."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()


def _fields(frame: bytes) -> tuple[str | None, bytes]:
    name: str | None = None
    data: list[bytes] = []
    known = False
    for line in _LINE.split(frame):
        key, colon, value = line.partition(b":")
        known = known or (key in _FIELDS and bool(colon))
        value = value.removeprefix(b" ")
        if key == b"event":
            name = value.decode("utf-8", "replace")
        elif key == b"data":
            data.append(value)
    if not known and frame.strip():
        raise FrameError("lines that are no fields of an event")
    return name, b"\n".join(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
