"""A reverse proxy in front of a `FaultServer`, with the ways of those that break streams."""

from __future__ import annotations

import contextlib
import socketserver
import zlib
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from tests.gateways.loopback import Loopback, address_of

from unbroken.testing.wire import Body, ClientGoneError, Connection

if TYPE_CHECKING:
    import socket
    import ssl
    from http.client import HTTPResponse

    from unbroken.testing import FaultServer
    from unbroken.testing.wire import Head

_HOP_BY_HOP = ("connection", "content-length", "transfer-encoding", "content-encoding")


class ReverseProxy(Loopback):
    """Forwards requests to a server.

    Args:
        upstream: The server.
        tls: How it ends TLS; it speaks plain HTTP if None.
        buffers: Whether it holds each response until it is whole.
        compresses: Whether it compresses what is not compressed.
        cuts_after: Closes a connection after so many seconds without a byte from the server.
        rewrites_errors: Whether it answers errors with its own page.
    """

    def __init__(
        self,
        upstream: FaultServer,
        *,
        tls: ssl.SSLContext | None = None,
        buffers: bool = False,
        compresses: bool = False,
        cuts_after: float | None = None,
        rewrites_errors: bool = False,
    ) -> None:
        super().__init__(_Forwarded)
        self.upstream = address_of(upstream)
        self.tls = tls
        self.buffers = buffers
        self.compresses = compresses
        self.cuts_after = cuts_after
        self.rewrites_errors = rewrites_errors

    @property
    def url(self) -> str:
        return super().url if self.tls is None else super().url.replace("http", "https", 1)


class _Forwarded(socketserver.BaseRequestHandler):
    server: ReverseProxy

    def handle(self) -> None:
        sock: socket.socket = self.request
        if self.server.tls is not None:
            sock = self.server.tls.wrap_socket(sock, server_side=True)
            self.server.connections.append(sock)
        connection = Connection(sock)
        with contextlib.closing(connection), contextlib.suppress(ClientGoneError):
            while head := connection.read_request():
                if not self.forward(connection, head):
                    return

    def forward(self, connection: Connection, head: Head) -> bool:
        upstream = HTTPConnection(*self.server.upstream, timeout=self.server.cuts_after)
        headers = {k: v for k, v in head.headers.items() if k not in _HOP_BY_HOP}
        headers.pop("accept-encoding", None)
        with contextlib.closing(upstream):
            upstream.request(head.method, head.target, head.body, headers)
            try:
                self.answer(connection, upstream.getresponse())
            except (OSError, HTTPException):
                return False
        return True

    def answer(self, connection: Connection, response: HTTPResponse) -> None:
        if self.server.rewrites_errors and response.status >= 400:
            page = b"<html>Sorry</html>"
            response.read()
            headers = {"content-type": "text/html", "content-length": str(len(page))}
            connection.send_head(200, headers)
            connection.send(page)
            return
        headers = {k: v for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP}
        if self.server.compresses:
            headers["content-encoding"] = "gzip"
        whole = response.read() if self.server.buffers else None
        connection.send_head(response.status, {**headers, "transfer-encoding": "chunked"})
        body = Body(connection, chunked=True)
        packer = zlib.compressobj(wbits=31) if self.server.compresses else None
        for data in iter([whole]) if whole is not None else iter(response.read1, b""):
            if packer is not None:
                data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)  # noqa: PLW2901
            body.write(data)
        if packer is not None:
            body.write(packer.flush())
        body.finish()
