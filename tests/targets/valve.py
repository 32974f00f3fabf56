"""A proxy on loopback whose open connections can be made to pass nothing more, in silence."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Valve:
    """Passes bytes on to a port, until it is muted; connections made after that are passed on.

    Args:
        port: The port.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        self._open: list[socket.socket] = []
        self._muted: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._server, *self._open):
            with contextlib.suppress(OSError):  # it is not connected any more
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
            one.close()

    def mute(self) -> None:
        """Pass on nothing more of the connections that are open."""
        self._muted = set(self._open)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(4096):
                if source not in self._muted:
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
