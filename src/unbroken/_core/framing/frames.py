"""Bytes to events and back.

Two framings exist: server-sent events, here, and AWS event streams, in `eventstream`. Both return
complete frames only: a frame that a drop cuts is never delivered, not even at the end of the body.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MAX_FRAME",
    "STRINGS",
    "Event",
    "FrameError",
    "Framing",
    "PlainDelta",
    "ServerSentEvents",
    "from_json",
    "string_of",
    "text_and_end",
    "to_json",
]

# The API caps a request at 32 MB; no event of an answer comes near that.
MAX_FRAME = 64 * 1024 * 1024


class FrameError(ValueError):
    """The bytes are not an event of the Messages API: a malformed frame, or a proxy's page."""


class Event(NamedTuple):
    """One event: its name, its JSON payload, and the frame that it came in."""

    name: str
    data: dict[str, Any]
    frame: bytes


class PlainDelta(NamedTuple):
    """A delta of text, thinking or tool input that was not parsed.

    Attributes:
        before: The frame up to its string.
        block_index: The index of its content block, as it stands in the JSON.
        kind: Its type.
    """

    before: bytes
    block_index: bytes
    kind: bytes

    def renumbered(self, index: int) -> bytes:
        """The frame up to its string, with another index."""
        return _INDEX.sub(rb"\g<1>%d" % index, self.before, count=1)


class Framing(Protocol):
    """One way to write events as bytes."""

    pending: bool
    """Whether a frame has begun, and not ended."""

    def split(self, data: bytes) -> Iterable[bytes]:
        """Take in bytes, and return the frames that they complete."""

    def plain_delta(self, frame: bytes) -> PlainDelta | None:
        """Recognise a plain delta without parsing it; None if the frame must be parsed."""

    def decode(self, frame: bytes) -> Event | None:
        """Parse a frame; None if it carries no event (a comment, say).

        Raises:
            FrameError: If the frame is malformed.
        """

    def encode(self, name: str, data: Mapping[str, Any]) -> bytes:
        """Write an event as a frame."""


# A blank line, whatever ends the lines. A CR that comes last may be half of a CRLF.
_END = re.compile(rb"\r\r|(?>\r\n|\n|\r)(?>\r\n|\n|\r(?!\Z))")
_FRAME = re.compile(rb"(?s:.*?)(?:" + _END.pattern + rb")")
_LINE = re.compile(rb"\r\n|\n|\r")
_FIELDS = {b"event", b"data", b"id", b"retry", b""}

STRINGS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""The string that deltas of a type extend."""

# With `*+`, nothing is tried a second time.
_UNESCAPED = rb'[^"\\\x00-\x1f]*+'
_ESCAPED = rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_TEXT = rb'(?!")(%b(?:%b%b)*+)' % (_UNESCAPED, _ESCAPED, _UNESCAPED)
_END_OF_DELTA = rb'" *+\} *+\} *+\n\n'  # with the spaces that the API pads its events with

# For a seam that must see some of the text: no escape of a character below U+0100, no white space
# at the end, raw or escaped.
_ESCAPED_ABOVE_LATIN = rb'\\(?:["\\/bfnrt]|u(?!00)[0-9a-fA-F]{4})'
_NO_SPACE_BEFORE = (
    rb"(?<! )(?<!\\[fnrt])(?<!\\u(?:1680|20[0-2][0-9a-fA-F]|205[fF]|3000))"
    rb"(?<!\xc2[\x85\xa0])"
    rb"(?<!\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)"
)

# What the API writes for nearly every event.
_PLAIN_DELTA = re.compile(
    rb"event: content_block_delta\n"
    rb'data: \{"type": ?"content_block_delta", ?"index": ?(0|[1-9]\d*+), ?"delta": ?\{"type": ?'
    rb'(?:"(text_delta)", ?"text"|"(thinking_delta)", ?"thinking"'
    rb'|"(input_json_delta)", ?"partial_json"): ?"' + _TEXT + _END_OF_DELTA
)
_INDEX = re.compile(rb'("index": ?)\d+')


def text_and_end(trigger: bytes | None = None) -> bytes:
    """A pattern for the rest of a plain delta: its text, which is not empty, and what closes it.

    Args:
        trigger: A byte that the text must not contain; it must not end in white space then, either.
            None to allow any text.
    """
    if trigger is None:
        return _TEXT + _END_OF_DELTA
    unescaped = _UNESCAPED.replace(b"]*+", re.escape(trigger) + b"]*+")
    text = rb'(?!")(%b(?:%b%b)*+)' % (unescaped, _ESCAPED_ABOVE_LATIN, unescaped)
    return text + _NO_SPACE_BEFORE + _END_OF_DELTA


class ServerSentEvents:
    """Server-sent events, as the Messages API writes them.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, save that an event at
    the end of the body without its blank line is not handed out: it may be cut.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self.pending = False

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
        """Recognise a plain delta without parsing it; None if the frame must be parsed."""
        match = _PLAIN_DELTA.fullmatch(frame)
        if match is None:
            return None
        kind = match[2] or match[3] or match[4]
        return PlainDelta(frame[: match.start(5)], match[1], kind)

    def decode(self, frame: bytes) -> Event | None:
        """Parse a frame; None if it carries no event.

        That are comments, and frames without an `event` line or without data: the SDK skips them.
        """
        plain = _PLAIN_DELTA.fullmatch(frame)
        if plain is not None:
            return _plain_event(plain, frame)
        name, data = _fields(frame)
        if name is None or not data:
            return None
        try:
            payload = from_json(data)
        except ValueError:
            raise FrameError("an event without valid JSON") from None
        if not isinstance(payload, dict):
            raise FrameError("an event whose JSON is not an object")
        return Event(name, payload, frame)

    def encode(self, name: str, data: Mapping[str, Any]) -> bytes:
        """Write an event as a frame."""
        return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(data))


def from_json(data: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        ValueError: If it is not valid JSON, or nested too deep to be parsed.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None


_decode = json.JSONDecoder().decode
# `json.dumps()` makes an encoder each time.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":")).encode


def string_of(inside: bytes | bytearray) -> str:
    """The string whose JSON, without its quotes, is this.

    Raises:
        ValueError: If it is not valid.
    """
    value: str = _decode(f'"{inside.decode()}"')
    return value


def to_json(data: object) -> bytes:
    """JSON as the API writes it: UTF-8, with escapes only for what UTF-8 cannot carry."""
    try:
        return _encode(data).encode()
    except UnicodeEncodeError:
        return _encode_ascii(data).encode()


def _plain_event(match: re.Match[bytes], frame: bytes) -> Event:
    """The event of a plain delta: only its text is parsed."""
    try:
        text = string_of(match[5])
    except ValueError:
        raise FrameError("an event without valid JSON") from None
    kind = (match[2] or match[3] or match[4]).decode()
    delta = {"type": kind, STRINGS[kind]: text}
    data = {"type": "content_block_delta", "index": int(match[1]), "delta": delta}
    return Event("content_block_delta", data, frame)


def _fields(frame: bytes) -> tuple[str | None, bytes]:
    name: str | None = None
    data: list[bytes] = []
    known = False
    for line in _LINE.split(frame):
        key, colon, value = line.partition(b":")
        known = known or (key in _FIELDS and bool(key or colon))
        value = value.removeprefix(b" ")
        if key == b"event":
            name = value.decode("utf-8", "replace")
        elif key == b"data":
            data.append(value)
    if not known and frame.strip():
        raise FrameError("lines that are not fields of an event")
    return name, b"\n".join(data)
