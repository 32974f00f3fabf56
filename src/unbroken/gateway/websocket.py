"""A stream as JSON texts of a WebSocket."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect

from unbroken.gateway.message import event_of
from unbroken.gateway.reader import Lost, Reader
from unbroken.gateway.stream import Ending

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from unbroken.gateway.home import Home
    from unbroken.gateway.stream import Stream

__all__ = ["serve"]

_BEGINS_WITHIN = 10.0
_BAD = 1008
_GOING = 1012
_PING_EVERY = 3600.0  # the protocol has pings of its own


async def serve(home: Home, stream: Stream, socket: WebSocket, *, may_stop: bool) -> None:
    """Answer one WebSocket.

    Its first text is `{"after": n}`. Then come `{"id": n, "event": {...}}` until the stream is
    closed. `{"stop": true}` stops it.

    Args:
        home: Where streams are.
        stream: The stream.
        socket: The connection, not yet accepted.
        may_stop: Whether the client may stop the stream.
    """
    await socket.accept()
    try:
        async with asyncio.timeout(_BEGINS_WITHIN):
            first = _object(await socket.receive_text())
    except (WebSocketDisconnect, TimeoutError, KeyError):
        with suppress(RuntimeError):
            await socket.close(_BAD, 'the first text must be {"after": n}')
        return
    after = first.get("after")
    if not isinstance(after, int) or isinstance(after, bool) or after < 0:
        await socket.close(_BAD, 'the first text must be {"after": n}')
        return
    reader = Reader(home, stream, after, _PING_EVERY)
    listening = asyncio.create_task(_listen(home, stream, socket, reader, may_stop=may_stop))
    stream.come()
    try:
        await _send(stream, reader, socket)
    finally:
        stream.leave()
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def _send(stream: Stream, reader: Reader, socket: WebSocket) -> None:
    code = 1000
    try:
        while (frames := await reader.next()) != ():
            first = reader.after - len(frames or ()) + 1
            for at, frame in enumerate(frames or ()):
                await socket.send_text(json.dumps({"id": first + at, "event": event_of(frame)}))
        if stream.ending is Ending.FAILED:
            frame = stream.error or (stream.saved and b"data:" + stream.saved.body) or b""
            await socket.send_text(json.dumps({"event": event_of(frame)}))
        elif stream.ending is Ending.LEFT:
            code = _GOING
    except Lost:
        code = _GOING
    except (WebSocketDisconnect, RuntimeError):
        return
    if not reader.has_left:
        with suppress(RuntimeError):
            await socket.close(code)


async def _listen(
    home: Home, stream: Stream, socket: WebSocket, reader: Reader, *, may_stop: bool
) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            reader.left()
            return
        asked = _object(message.get("text") or "")
        if asked.get("stop") is True and may_stop:
            await home.stop(stream)


def _object(text: str) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        given = json.loads(text)
        if isinstance(given, dict):
            return given
    return {}
