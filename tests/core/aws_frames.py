"""Frames of AWS event streams, written from the specification and not by the code under test."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def frame(headers: Mapping[str, str] | bytes, payload: bytes) -> bytes:
    """A frame with these headers: texts, or as they stand in the frame."""
    if isinstance(headers, bytes):
        head = headers
    else:
        head = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    whole = prelude + head + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()


def chunk(data: Any, **extra: str) -> bytes:
    """An event of the Messages API as Bedrock sends it."""
    payload = {"bytes": base64.b64encode(json.dumps(data).encode()).decode(), **extra}
    headers = {
        ":event-type": "chunk",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, json.dumps(payload).encode())


def exception(kind: str, payload: bytes = b'{"message": "no"}') -> bytes:
    """An exception that ends a stream."""
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, payload)
