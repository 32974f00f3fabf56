"""Passes on what is not a message: bodies of any size, in both directions as they come."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

from unbroken.gateway.errors import GatewayError
from unbroken.gateway.headers import for_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Send

    from unbroken.gateway.upstream import UpstreamClient

__all__ = ["relay"]


class _Body:
    """The body of the client's request, as it comes; and whether the client is gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_read = asyncio.Event()
        self.gone = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
                raise httpx.WriteError("the client left")
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)
        self.is_read.set()

    async def until_gone(self) -> None:
        """Wait until the client leaves."""
        reading = asyncio.create_task(self.is_read.wait())
        gone = asyncio.create_task(self.gone.wait())
        try:
            await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            gone.cancel()
        while not self.gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self.gone.set()


async def relay(
    upstream: UpstreamClient,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    receive: Receive,
    send: Send,
    *,
    has_body: bool,
    has_users: bool,
) -> int:
    """Pass on a request and its response; return the status.

    Args:
        upstream: Where to.
        method: The HTTP method.
        path: The path and the query.
        headers: The headers for the upstream; with `content-length`, if it is known.
        receive: The body, and whether the client leaves.
        send: Sends to the client.
        has_body: Whether the request has a body.
        has_users: Whether several users share the upstream's account.

    Raises:
        GatewayError: If the upstream cannot be reached.
    """
    body = _Body(receive)
    passing = asyncio.create_task(
        _pass(upstream, method, path, headers, body, send, has_body=has_body, has_users=has_users)
    )
    if not has_body:
        body.is_read.set()
    watching = asyncio.create_task(body.until_gone())
    try:
        await asyncio.wait({passing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not passing.done():
            passing.cancel()
            with suppress(asyncio.CancelledError):
                await passing
            return 499
        return passing.result()
    finally:
        watching.cancel()
        passing.cancel()


async def _pass(
    upstream: UpstreamClient,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: _Body,
    send: Send,
    *,
    has_body: bool,
    has_users: bool,
) -> int:
    try:
        response = await _first(upstream, method, path, headers, body if has_body else None)
    except httpx.TransportError as error:
        if body.gone.is_set():
            return 499
        status = 504 if isinstance(error, httpx.TimeoutException) else 502
        kind = type(error).__name__
        raise GatewayError(status, f"the upstream could not answer: {kind}") from error
    try:
        given = [(name.lower(), value) for name, value in response.headers.multi_items()]
        passed = for_client(given, has_users=has_users, is_decoded=False)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in passed]
        await send({"type": "http.response.start", "status": response.status_code, "headers": raw})
        with suppress(httpx.TransportError):  # then the response ends as the upstream's did
            async for chunk in response.stream:  # type: ignore[union-attr]
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    finally:
        await response.aclose()
    return response.status_code


async def _first(
    upstream: UpstreamClient,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    body: _Body | None,
) -> httpx.Response:
    """Send the request; once more on a new connection, if an old one was closed meanwhile."""
    try:
        return await upstream.pass_on(method, path, headers, body)
    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
        if body is not None or method not in _SAFE:
            raise
        return await upstream.pass_on(method, path, headers, None)


_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
