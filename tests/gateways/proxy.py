"""A proxy, as companies have them."""

from __future__ import annotations

import select
import socket
import socketserver
import struct
from http.client import parse_headers
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.gateways.loopback import Loopback

if TYPE_CHECKING:
    import ssl

_RESET = struct.pack("ii", 1, 0)


class Proxy(Loopback):
    """Forwards requests to http, and tunnels to https; what breaks behind it breaks before it.

    Args:
        tls: How it ends TLS itself, for those who tunnel through it to a server without.

    Attributes:
        targets: Of the requests that it got: a whole URL, or `host:port` of a tunnel.
        answers: What it answers itself, one for each of the next requests.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(_Proxied)
        self.tls = tls
        self.targets: list[str] = []
        self.answers: list[bytes] = []


class _Proxied(socketserver.StreamRequestHandler):
    """One connection, on which one request follows the other."""

    server: Proxy
    upstream: socket.socket | None = None
    tunnels = False

    def handle(self) -> None:
        try:
            while self.step():
                pass
        except ConnectionResetError:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def step(self) -> bool:
        """Pass on what comes next; False at the end of either connection."""
        if self.upstream is None:
            return self.take_request()
        ready, _, _ = select.select([self.request, self.upstream], [], [])
        if self.upstream in ready:
            return _pass_on(self.upstream, self.request)
        return _pass_on(self.request, self.upstream) if self.tunnels else self.take_request()

    def take_request(self) -> bool:
        line = self.rfile.readline()
        if not line:
            return False
        method, target, _ = line.decode().split()
        self.server.targets.append(target)
        headers = parse_headers(self.rfile)
        body = self.rfile.read(int(headers.get("content-length", 0)))
        if self.server.answers:
            self.wfile.write(self.server.answers.pop(0))
        elif method == "CONNECT":
            self.open_tunnel(target)
        else:
            url = urlsplit(target)
            head = [f"{method} {url.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
            self.upstream = self.upstream or _connect(url.netloc)
            self.upstream.sendall("\r\n".join((*head, "", "")).encode("latin-1") + body)
        return True

    def open_tunnel(self, target: str) -> None:
        assert self.server.tls is not None
        self.upstream = _connect(target)
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.server.connections.append(self.request)
        self.tunnels = True

    def finish(self) -> None:
        super().finish()
        if self.upstream is not None:
            self.upstream.close()
        self.request.close()


def _connect(netloc: str) -> socket.socket:
    host, _, port = netloc.partition(":")
    return socket.create_connection((host, int(port)))


def _pass_on(source: socket.socket, sink: socket.socket) -> bool:
    data = source.recv(65536)
    sink.sendall(data)
    return bool(data)
