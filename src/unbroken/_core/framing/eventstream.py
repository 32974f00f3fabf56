"""AWS event streams: how Amazon Bedrock frames the same events.

A frame is a length, a length of headers, their checksum, headers, payload, and a checksum of it
all. The payload of a `chunk` holds an event of the Messages API in base64; an `exception` or
`error` frame stands for what is an `error` event elsewhere.
Source: https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any

from unbroken._core.framing.frames import (
    MAX_FRAME,
    Event,
    FrameError,
    PlainDelta,
    from_json,
    to_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTENT_TYPE", "EventStream"]

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CHECKSUM.size

# The sizes of header values by type; types 6 and 7 (bytes and strings) bring their own length.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_WITH_LENGTH = (6, 7)

# Exceptions of Bedrock's stream, and the API's type for the same.
_TYPES = {
    "throttlingexception": "rate_limit_error",
    "serviceunavailableexception": "api_error",
    "internalserverexception": "api_error",
    "modelstreamerrorexception": "api_error",
    "modeltimeoutexception": "timeout_error",
    "validationexception": "invalid_request_error",
}


class EventStream:
    """AWS event streams, as Amazon Bedrock writes them."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self.pending = False

    def split(self, data: bytes) -> list[bytes]:
        """Take in bytes, and return the frames that they complete.

        What cannot be the beginning of a frame is handed out as it is, for `decode` to refuse.
        """
        self._rest += data
        frames = []
        begin = 0
        while len(self._rest) - begin >= _PRELUDE.size:
            size = _frame_size(self._rest, begin)
            end = len(self._rest) if size is None else begin + size
            if end > len(self._rest):
                break
            frames.append(bytes(self._rest[begin:end]))
            begin = end
        del self._rest[:begin]
        self.pending = bool(self._rest)
        return frames

    def plain_delta(self, frame: bytes) -> PlainDelta | None:  # noqa: ARG002
        """Recognise no delta: its JSON is in base64."""
        return None

    def decode(self, frame: bytes) -> Event | None:
        """Parse a frame; None if it carries no event of the Messages API.

        Raises:
            FrameError: If the frame, its checksum or its payload is malformed.
        """
        headers, payload = _opened(frame)
        kind = headers.get(":message-type")
        if kind in ("exception", "error"):
            return _exception(headers, payload, frame)
        if kind != "event":
            raise FrameError("a frame of an unknown type")
        if headers.get(":event-type") != "chunk":
            return None
        data = _inner(_json(payload))
        name = data.get("type")
        return Event(name, data, frame) if isinstance(name, str) else None

    def encode(self, name: str, data: Mapping[str, Any]) -> bytes:
        """Write an event as a frame: an `error` as an exception, anything else as a chunk."""
        if name == "error":
            return _error_frame(data)
        headers = {
            ":event-type": "chunk",
            ":content-type": "application/json",
            ":message-type": "event",
        }
        return _frame(headers, to_json({"bytes": base64.b64encode(to_json(data)).decode()}))


def _frame_size(data: bytes | bytearray, begin: int) -> int | None:
    """The size of the frame that begins here; None if none does."""
    size, headers, checksum = _PRELUDE.unpack_from(data, begin)
    lengths = data[begin : begin + _PRELUDE.size - _CHECKSUM.size]
    fits = _LEAST + headers <= size <= MAX_FRAME
    return size if fits and zlib.crc32(lengths) == checksum else None


def _opened(frame: bytes) -> tuple[dict[str, str], bytes]:
    """The text headers and the payload of a frame."""
    intact = len(frame) >= _LEAST and _frame_size(frame, 0) == len(frame)
    body, checksum = frame[: -_CHECKSUM.size], frame[-_CHECKSUM.size :]
    if not intact or _CHECKSUM.pack(zlib.crc32(body)) != checksum:
        raise FrameError("bytes that are not a frame of an event stream")
    begins = _PRELUDE.size + _PRELUDE.unpack_from(frame)[1]
    try:
        return _headers(frame[_PRELUDE.size : begins]), body[begins:]
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise FrameError("a frame with broken headers") from None


def _headers(data: bytes) -> dict[str, str]:
    """The headers whose value is a text."""
    found = {}
    at = 0
    while at < len(data):
        name_ends = at + 1 + data[at]
        name = data[at + 1 : name_ends].decode()
        kind = data[name_ends]
        at = name_ends + 1
        if kind in _WITH_LENGTH:
            (size,) = struct.unpack_from(">H", data, at)
            at += 2
        else:
            size = _SIZES[kind]
        if kind == 7:
            found[name] = data[at : at + size].decode()
        at += size
    return found


def _exception(headers: dict[str, str], payload: bytes, frame: bytes) -> Event:
    kind = headers.get(":exception-type") or headers.get(":error-code") or ""
    try:
        message = _json(payload).get("message")
    except FrameError:
        message = None
    error = {
        "type": _TYPES.get(kind.lower(), kind),
        "message": message or headers.get(":error-message", ""),
    }
    return Event("error", {"type": "error", "error": error}, frame)


def _error_frame(data: Mapping[str, Any]) -> bytes:
    error = data.get("error") or {}
    headers = {
        ":exception-type": str(error.get("type")),
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return _frame(headers, to_json({"message": error.get("message")}))


def _inner(payload: dict[str, Any]) -> dict[str, Any]:
    """The event in the payload of a chunk."""
    try:
        return _json(base64.b64decode(payload["bytes"]))
    except (KeyError, TypeError, ValueError):
        raise FrameError("a chunk without an event") from None


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = from_json(data)
    except ValueError:
        raise FrameError("a payload without valid JSON") from None
    if not isinstance(value, dict):
        raise FrameError("a payload whose JSON is not an object")
    return value


def _frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", _LEAST + len(head) + len(payload), len(head))
    body = b"".join((lengths, _CHECKSUM.pack(zlib.crc32(lengths)), head, payload))
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return b"%c%b\x07%b%b" % (len(key), key, struct.pack(">H", len(text)), text)
