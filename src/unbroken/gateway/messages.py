"""`POST /v1/messages`: joins an answer that is under way, or asks for one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from unbroken.gateway.asking import ask_of, check_content_type
from unbroken.gateway.bodies import read_body
from unbroken.gateway.errors import GatewayError
from unbroken.gateway.headers import CREDENTIALS, for_upstream
from unbroken.gateway.joining import body_digest, signs_of
from unbroken.gateway.leaving import OnDisconnect, linger_of
from unbroken.gateway.paths import MESSAGES
from unbroken.gateway.reader import Reader
from unbroken.gateway.records import About, Call
from unbroken.gateway.responses import answer, answer_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import HTTPConnection, Request
    from starlette.types import Receive, Send

    from unbroken.gateway.access import Record
    from unbroken.gateway.app import Gateway
    from unbroken.gateway.asking import Ask
    from unbroken.gateway.home import Sender
    from unbroken.gateway.joining import Signs
    from unbroken.gateway.stream import Stream
    from unbroken.gateway.who import Who

__all__ = ["Messages", "own_headers", "sender_for"]


class Messages:
    """Answers requests for messages.

    Args:
        gateway: The gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def post(self, request: Request, record: Record, receive: Receive, send: Send) -> int:
        """Answer one."""
        gateway, headers = self._gateway, request.headers
        who = await gateway.who(request)
        record.user = who.name
        check_content_type(headers)
        body = await read_body(headers, receive, gateway.config.max_body)
        ask = ask_of(body, who.user)
        record.model = ask.model
        digest = body_digest(_path_of(request), body)
        signs = signs_of(who.owner, headers, digest)
        linger = _linger_of(headers, signs, gateway.config.linger)
        sender = sender_for(gateway, request)
        stream = await gateway.home.join(signs, digest, who.owner, sender)
        record.joined = stream is not None
        if stream is None:
            about = About(who.owner, digest, ask.streams, ask.model)
            call = self._call(request, ask, linger, signs)
            stream = await self._begin(who, about, call, signs, sender, record)
        record.stream = stream.id
        return await self._answer(request, stream, record, receive, send)

    async def _begin(
        self,
        who: Who,
        about: About,
        call: Call,
        signs: Signs,
        sender: Sender,
        record: Record,
    ) -> Stream:
        """Ask for a new answer, if its user may have one now."""
        gateway, user = self._gateway, who.user
        if user is not None:
            refusal = gateway.limits.begin(user, time.time())
            if refusal is not None:
                raise GatewayError(429, refusal.message, {"retry-after": str(refusal.retry_after)})

        def over() -> None:
            gateway.access.generated(record)
            if user is not None:
                gateway.limits.end(user, record.output_tokens, time.time())

        return await gateway.home.begin(about, call, signs, sender, over)

    def _call(self, request: Request, ask: Ask, linger: float, signs: Signs) -> Call:
        gateway = self._gateway
        passed = for_upstream(request.headers.items(), None, has_users=gateway.has_users)
        own_key = not gateway.has_users and gateway.config.upstream.key is None
        return Call(
            path=_path_of(request),
            headers=tuple((name, value) for name, value in passed if name not in CREDENTIALS),
            body=ask.body,
            linger=linger,
            has_own_key=own_key and any(name in CREDENTIALS for name, _ in passed),
            has_key=signs.key is not None,
        )

    async def _answer(
        self, request: Request, stream: Stream, record: Record, receive: Receive, send: Send
    ) -> int:
        config = self._gateway.config
        reader = Reader(self._gateway.home, stream, 0, config.ping_every)
        own = own_headers(request, stream)
        try:
            if stream.about.streams:
                return await answer(
                    stream, reader, own, receive, send, headers_within=config.headers_within
                )
            return await answer_whole(stream, reader, own, receive, send)
        finally:
            record.first = reader.first


def own_headers(request: Request, stream: Stream) -> dict[str, str]:
    """The headers by which a client finds its stream again."""
    root = request.scope.get("root_path", "")
    return {
        "x-unbroken-stream-id": stream.id,
        "location": f"{root}/v1/streams/{stream.id}",
    }


def sender_for(gateway: Gateway, connection: HTTPConnection) -> Sender:
    """What sends the request of a stream, with the credentials of this client if need be."""
    key = gateway.config.upstream.key
    own = (
        []
        if gateway.has_users or key
        else [(name, value) for name, value in connection.headers.items() if name in CREDENTIALS]
    )

    async def send(call: Call, frames: list[bytes]) -> Any:
        headers = [*call.headers, *own, ("accept-encoding", "identity")]
        if key is not None:
            headers.append(("x-api-key", key))
        return await gateway.upstream.ask(call.path, headers, call.body, frames)

    send.has_credentials = bool(own)  # type: ignore[attr-defined]
    return send


def _path_of(request: Request) -> str:
    query = request.scope.get("query_string", b"").decode("latin-1")
    return f"{MESSAGES}?{query}" if query else MESSAGES


def _linger_of(headers: Mapping[str, str], signs: Signs, linger: float) -> float:
    asked = headers.get("x-unbroken-on-disconnect")
    known = {one.value for one in OnDisconnect}
    if asked is not None and asked not in known:
        raise GatewayError(
            400, f"x-unbroken-on-disconnect: must be one of {', '.join(sorted(known))}"
        )
    chosen = None if asked is None else OnDisconnect(asked)
    return linger_of(chosen, has_key=signs.key is not None, linger=linger)
