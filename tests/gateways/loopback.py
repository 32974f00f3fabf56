"""What the servers that stand between a client and a `FaultServer` have in common."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from unbroken.testing import FaultServer


class Loopback(socketserver.ThreadingTCPServer):
    """A server on 127.0.0.1 with a thread for each connection; leaving `with` ends them all."""

    daemon_threads = False  # so that they are waited for

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.errors: list[BaseException] = []
        self.connections: list[socket.socket] = []
        """All that were ever opened."""
        self._loop = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections.append(sock)
        return sock, address

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # and nothing before it: an RST is to come without a FIN

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):  # not that the client was gone
            self.errors.append(error)

    def __enter__(self) -> Self:
        self._loop.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._loop.join()
        for sock in self.connections:
            hang_up(sock)
        self.server_close()
        if self.errors:
            raise self.errors[0]


def hang_up(sock: socket.socket) -> None:
    """End a connection that another thread may be waiting on, and will close."""
    with contextlib.suppress(OSError):  # it is closed already
        sock.shutdown(socket.SHUT_RDWR)


def address_of(server: FaultServer) -> tuple[str, int]:
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port
