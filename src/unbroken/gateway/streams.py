"""`/v1/streams/{id}`: reads a stream again, tells what there is of it, stops it, signs its URL."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from unbroken.gateway.bodies import read_body
from unbroken.gateway.errors import GatewayError
from unbroken.gateway.message import message_of
from unbroken.gateway.messages import own_headers, sender_for
from unbroken.gateway.reader import Reader
from unbroken.gateway.responses import answer, answer_whole
from unbroken.gateway.signed_urls import lifetime
from unbroken.gateway.stream import Ending
from unbroken.gateway.websocket import serve

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.types import Receive, Send
    from starlette.websockets import WebSocket

    from unbroken.gateway.access import Record
    from unbroken.gateway.app import Gateway
    from unbroken.gateway.stream import Stream

__all__ = ["Streams"]

_MOST = 4096
"""Bytes that the body of a request for a URL may have."""


class Streams:
    """Answers requests about streams.

    Args:
        gateway: The gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def read(self, request: Request, record: Record, receive: Receive, send: Send) -> int:
        """Replay a stream after a number, and follow it to its end; then 204."""
        stream = await self._stream(request, record)
        after = _after(request)
        own = own_headers(request, stream)
        is_over = stream.ending in (Ending.COMPLETE, Ending.STOPPED)
        if is_over and stream.about.streams and after >= stream.last:
            await Response(status_code=204, headers=own)(request.scope, receive, send)
            return 204
        config = self._gateway.config
        reader = Reader(self._gateway.home, stream, after, config.ping_every)
        if not stream.about.streams:
            return await answer_whole(stream, reader, own, receive, send)
        return await answer(
            stream, reader, own, receive, send, headers_within=config.headers_within
        )

    async def message(self, request: Request, record: Record, receive: Receive, send: Send) -> int:
        """Tell the message so far, with its usage and a status."""
        stream = await self._stream(request, record, resumes=False)
        told = await self._told(stream)
        await JSONResponse(told, headers=own_headers(request, stream))(request.scope, receive, send)
        return 200

    async def stop(self, request: Request, record: Record, receive: Receive, send: Send) -> int:
        """Stop a stream; it may be over already."""
        stream = await self._stream(request, record, to_stop=True, resumes=False)
        await self._gateway.home.stop(stream)
        await Response(status_code=204)(request.scope, receive, send)
        return 204

    async def url(self, request: Request, record: Record, receive: Receive, send: Send) -> int:
        """Sign a URL that reads, or stops, one stream."""
        gateway = self._gateway
        if "signature" in request.query_params:
            raise GatewayError(403, "a signed URL cannot sign others")
        body = await read_body(request.headers, receive, _MOST)
        seconds, may_stop = _url_asked(body)
        stream = await self._stream(request, record, resumes=False)
        expires = math.ceil(time.time()) + seconds
        query = gateway.signer.query(stream.id, expires, may_stop=may_stop)
        url = f"{own_headers(request, stream)['location']}?{query}"
        await JSONResponse({"url": url, "expires_at": expires})(request.scope, receive, send)
        return 200

    async def websocket(self, socket: WebSocket) -> None:
        """Send a stream as JSON texts."""
        try:
            stream = await self._stream(socket, None)
        except GatewayError as error:
            await socket.close(4000 + error.status, error.message)
            return
        await serve(self._gateway.home, stream, socket, may_stop=self._may_stop(socket, stream))

    async def _stream(
        self,
        connection: HTTPConnection,
        record: Record | None,
        *,
        to_stop: bool = False,
        resumes: bool = True,
    ) -> Stream:
        """The stream that a request is about.

        Raises:
            GatewayError: If there is none, or it is not for who asks.
        """
        gateway = self._gateway
        stream_id: str = connection.path_params["id"]
        sender = sender_for(gateway, connection) if resumes else None
        owner = None
        if "signature" in connection.query_params:
            query, now = connection.query_params, time.time()
            if not gateway.signer.allows(query, stream_id, now, to_stop=to_stop):
                raise GatewayError(
                    403, "the signed URL is not valid, or no longer, or not for this"
                )
        else:
            who = await gateway.who(connection)
            owner = who.owner
            if record is not None:
                record.user = who.name
        stream = await gateway.home.find(stream_id, owner, sender)
        if stream is None:
            raise GatewayError(404, "there is no such stream")
        if record is not None:
            record.stream = stream.id
        return stream

    def _may_stop(self, connection: HTTPConnection, stream: Stream) -> bool:
        query = connection.query_params
        if "signature" not in query:
            return True
        return self._gateway.signer.allows(query, stream.id, time.time(), to_stop=True)

    async def _told(self, stream: Stream) -> dict[str, Any]:
        if not stream.about.streams:
            message: Any = {"type": "message", "role": "assistant", "content": []}
            if stream.saved is not None:
                message = json.loads(stream.saved.body)
            return {**message, "status": _status(stream, whole=stream.saved is not None)}
        frames = await self._gateway.home.frames(stream)
        whole = bool(frames) and frames[-1].startswith(b"event: message_stop")
        return {**message_of(frames), "status": _status(stream, whole=whole)}


def _status(stream: Stream, *, whole: bool) -> str:
    if whole:
        return "complete"
    if stream.ending in (Ending.COMPLETE, Ending.STOPPED):
        return "stopped"
    return "in_progress" if stream.ending is None else "interrupted"


def _after(connection: HTTPConnection) -> int:
    told = connection.query_params.get("after")
    name = "after" if told is not None else "last-event-id"
    told = told if told is not None else connection.headers.get("last-event-id", "0")
    if not told.isascii() or not told.isdigit() or len(told) > 12:
        raise GatewayError(400, f"{name}: must be the id of an event, a whole number")
    return int(told)


def _url_asked(body: bytes) -> tuple[int, bool]:
    try:
        asked = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise GatewayError(400, "the body is not valid JSON") from None
    if not isinstance(asked, dict):
        raise GatewayError(400, "the body must be a JSON object")
    seconds, may_stop = lifetime(asked.get("expires_in", 300)), asked.get("stop", False)
    if seconds is None:
        raise GatewayError(400, "expires_in: must be a whole number of seconds, 1 to 86400")
    if not isinstance(may_stop, bool):
        raise GatewayError(400, "stop: must be true or false")
    return seconds, may_stop
