"""HTTP/1.1 on one socket: requests in, responses out, and an eye on whether the client is there."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import sys
import time
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if sys.platform == "linux":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Body", "ClientGoneError", "Connection", "Head"]

_READ = 65536
_RESET = struct.pack("ii", 1, 0)
_UNSENT_TIMEOUT = 1.0
_SIOCOUTQ = 0x5411


class ClientGoneError(Exception):
    """The client closed the connection, or the server is closing it."""


class Head(NamedTuple):
    """A request as it came, header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._buffer = bytearray()

    def read_request(self) -> Head | None:
        """The next request, or `None` when the client closed the connection instead.

        Raises:
            ClientGoneError: In the middle of a request, or if it does not speak HTTP.
        """
        try:
            head = self._read_until(b"\r\n\r\n")
        except ClientGoneError:
            if self._buffer:
                raise
            return None
        try:
            return self._parse(head)
        except ValueError as error:
            raise ClientGoneError from error

    def _parse(self, head: bytes) -> Head:
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = request_line.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return Head(method, target, headers, self._read_body(headers))

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self._read_exactly(int(headers.get("content-length", 0)))
        body = bytearray()
        while size := int(self._read_until(b"\r\n").partition(b";")[0], 16):
            body += self._read_exactly(size)
            self._read_until(b"\r\n")
        self._read_until(b"\r\n")
        return bytes(body)

    def _read_until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            self._fill()
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return found

    def _read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _fill(self) -> None:
        try:
            data = self._sock.recv(_READ)
        except OSError as error:
            raise ClientGoneError from error
        if not data:
            raise ClientGoneError
        self._buffer += data

    def send(self, data: bytes) -> None:
        """Send all of this.

        Raises:
            ClientGoneError: If there is nobody to send it to.
        """
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise ClientGoneError from error

    def send_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers of a response."""
        lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
        lines += (f"{name}: {value}" for name, value in headers.items())
        self.send("\r\n".join((*lines, "", "")).encode("latin-1"))

    def wait(self, seconds: float | None) -> None:
        """Wait so long, or for ever.

        Raises:
            ClientGoneError: As soon as the client closes the connection.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            left = seconds
            while left is None or left > 0:
                if selector.select(left):
                    self._fill()
                left = None if deadline is None else deadline - time.monotonic()

    def reset(self) -> None:
        """End the connection with an RST, once what was sent has arrived."""
        self._wait_until_sent()
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()

    def _wait_until_sent(self) -> None:
        """An RST throws away what is still on its way, so a place would not be exact."""
        deadline = time.monotonic() + _UNSENT_TIMEOUT
        while _unsent(self._sock) and time.monotonic() < deadline:
            self.wait(0.001)

    def shut_down(self) -> None:
        """End the connection from another thread; the one that serves it closes it."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


def _unsent(sock: socket.socket) -> int:
    """How many bytes the client has not acknowledged yet, where the system tells."""
    if sys.platform != "linux":
        return 0
    with contextlib.suppress(OSError):
        return int.from_bytes(fcntl.ioctl(sock, _SIOCOUTQ, bytes(4)), sys.byteorder)
    return 0


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unknown"


class Body:
    """Writes the body of one response.

    Args:
        connection: Where to.
        chunked: Whether it goes in chunks, or its length has been announced.
        gzip: Whether it is compressed.
        next_size: Gives the size of the next piece, if writes are not to be what `write` is given.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        chunked: bool,
        gzip: bool = False,
        next_size: Callable[[], int] | None = None,
    ) -> None:
        self._connection = connection
        self._chunked = chunked
        self._gzip = zlib.compressobj(wbits=31) if gzip else None
        self._next_size = next_size
        self._size = next_size() if next_size else 0
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        """Send this, in the pieces that were asked for; a last piece may wait for more."""
        if self._gzip:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        if self._next_size is None:
            self._send(data)
            return
        self._pending += data
        while len(self._pending) >= self._size:
            self._send(bytes(self._pending[: self._size]))
            del self._pending[: self._size]
            self._size = self._next_size()

    def flush(self) -> None:
        """Send what waits for more."""
        self._send(bytes(self._pending))
        self._pending.clear()

    def finish(self) -> None:
        """End the body as HTTP does."""
        if self._gzip:
            self._pending += self._gzip.flush()
        self.flush()
        if self._chunked:
            self._connection.send(b"0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        if data:
            framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
            self._connection.send(framed)
