"""Responses that read a stream, as ASGI callables of their own.

Starlette's `StreamingResponse` does not end its generator while it waits at a `yield`, so that the
request to the upstream would outlive the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.gateway.errors import error_frame
from unbroken.gateway.headers import STREAM_HEADERS
from unbroken.gateway.reader import PING, Lost
from unbroken.gateway.stream import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import Receive, Send

    from unbroken.gateway.reader import Reader
    from unbroken.gateway.records import Saved
    from unbroken.gateway.stream import Stream

__all__ = ["answer", "answer_whole"]


async def answer(
    stream: Stream,
    reader: Reader,
    own: Mapping[str, str],
    receive: Receive,
    send: Send,
    *,
    headers_within: float,
) -> int:
    """Send a stream to a client as server-sent events; return the status.

    A stream that this process gives up is not ended properly: the client finds its connection
    closed, and comes again.

    Args:
        stream: The stream.
        reader: Reads it.
        own: Headers of the gateway.
        receive: Tells when the client leaves.
        send: Sends to the client.
        headers_within: Seconds after which the response begins.
    """
    async with reader.watching(receive):
        await reader.until_open(headers_within)
        if reader.has_left:
            return 499
        if stream.ending and stream.saved and not stream.last:
            await _send_saved(stream.saved, own, send)
            return stream.saved.status
        if stream.ending is Ending.LEFT and not stream.is_open:
            return 503
        await _start(send, 200, [*_but(stream.headers, STREAM_HEADERS), *own.items()])
        await _send_events(stream, reader, send)
    return 200


async def answer_whole(
    stream: Stream, reader: Reader, own: Mapping[str, str], receive: Receive, send: Send
) -> int:
    """Send an answer that is not streamed to a client, once it is there; return the status."""
    async with reader.watching(receive):
        await reader.until_ended()
        saved = stream.saved
        if reader.has_left:
            return 499
        if saved is None:
            return 503
        await _send_saved(saved, own, send)
        return saved.status


async def _send_events(stream: Stream, reader: Reader, send: Send) -> None:
    try:
        while (frames := await reader.next()) != ():
            if frames is None:
                body = PING
            else:
                first = reader.after - len(frames) + 1
                body = b"".join(
                    b"id: %d\n%b" % (first + at, frame) for at, frame in enumerate(frames)
                )
            await send({"type": "http.response.body", "body": body, "more_body": True})
    except Lost:
        return
    if reader.has_left or stream.ending is Ending.LEFT:
        return
    await send({"type": "http.response.body", "body": _end(stream)})


def _end(stream: Stream) -> bytes:
    """What comes after the last frame."""
    if stream.saved is not None and not stream.error:
        return b"event: error\ndata: %b\n\n" % b" ".join(stream.saved.body.splitlines())
    if stream.ending is Ending.FAILED:
        return stream.error or error_frame(500, "the answer could not be completed")
    return b""


async def _send_saved(saved: Saved, own: Mapping[str, str], send: Send) -> None:
    headers = [*_but(saved.headers, own), *own.items()]
    headers.append(("content-length", str(len(saved.body))))
    await _start(send, saved.status, headers, is_stream=False)
    await send({"type": "http.response.body", "body": saved.body})


async def _start(
    send: Send, status: int, headers: Iterable[tuple[str, str]], *, is_stream: bool = True
) -> None:
    every = [*headers, *(STREAM_HEADERS.items() if is_stream else ())]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every]
    await send({"type": "http.response.start", "status": status, "headers": raw})


def _but(headers: Iterable[tuple[str, str]], others: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name not in others]
