"""Connections of clients: a request must begin soon, and its headers have a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from unbroken.gateway.errors import error_body

if TYPE_CHECKING:
    import asyncio

__all__ = ["Connection"]

_MOST = 64 * 1024
"""Bytes of the headers of a request."""
_WITHIN = 20.0
"""Seconds for them."""


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    _head = 0
    _is_in_head = True
    _too_slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; those of headers are counted."""
        if self._is_in_head:
            self._head += len(data)
            super().data_received(data)
            if self._head > _MOST:
                self._refuse_long_head()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if not self._is_in_head:
            self._begin_head()

    def on_headers_complete(self) -> None:
        """Its headers are complete."""
        self._end_head()
        super().on_headers_complete()

    def _begin_head(self) -> None:
        self._is_in_head, self._head = True, 0
        self._too_slow = self.loop.call_later(_WITHIN, self.transport.close)

    def _end_head(self) -> None:
        self._is_in_head = False
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None

    def _refuse_long_head(self) -> None:
        if not self._is_in_head or self.transport.is_closing():
            return
        body = error_body(431, f"the headers must have at most {_MOST} bytes")
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()
