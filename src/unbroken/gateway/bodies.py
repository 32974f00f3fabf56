"""Reads the body of a request, within a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

__all__ = ["ClientLeft", "read_body"]


class ClientLeft(Exception):  # noqa: N818  # it reads as what happened
    """The client closed the connection before its request was complete."""


async def read_body(headers: Mapping[str, str], receive: Receive, most: int) -> bytes:
    """Read a body.

    Args:
        headers: The headers of the request.
        receive: Gives the next part.
        most: Bytes that it may have.

    Raises:
        GatewayError: If it is longer.
        ClientLeft: If the client left.
    """
    told = headers.get("content-length", "")
    if told.isascii() and told.isdigit() and int(told[:18]) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _too_large(most: int) -> GatewayError:
    return GatewayError(413, f"the body must have at most {most} bytes")
