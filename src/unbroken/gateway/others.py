"""Everything else of the API, which passes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.gateway.headers import for_upstream
from unbroken.gateway.paths import check_path, check_reach
from unbroken.gateway.relay import relay

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Send

    from unbroken.gateway.access import Record
    from unbroken.gateway.app import Gateway

__all__ = ["Others"]


class Others:
    """Passes on requests.

    Args:
        gateway: The gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def pass_on(self, request: Request, record: Record, receive: Receive, send: Send) -> int:
        """Pass one on."""
        gateway = self._gateway
        who = await gateway.who(request)
        record.user = who.name
        path = _raw_path(request)
        check_path(path)
        check_reach(who.user, path)
        given = request.headers
        headers = for_upstream(
            given.items(), gateway.config.upstream.key, has_users=gateway.has_users
        )
        length = given.get("content-length")
        if length is not None:
            headers.append(("content-length", length))
        query = request.scope.get("query_string", b"").decode("latin-1")
        return await relay(
            gateway.upstream,
            request.method,
            f"{path}?{query}" if query else path,
            headers,
            receive,
            send,
            has_body=length not in (None, "0") or "transfer-encoding" in given,
            has_users=gateway.has_users,
        )


def _raw_path(request: Request) -> str:
    """The path as the client wrote it, below where the gateway is mounted."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.decode("latin-1").partition("?")[0]
    return path.removeprefix(request.scope.get("root_path", ""))
