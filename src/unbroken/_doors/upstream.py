"""A response of the HTTP library, as a driver reads it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from unbroken._core.framing.eventstream import CONTENT_TYPE, EventStream
from unbroken._core.framing.frames import Framing, ServerSentEvents
from unbroken._core.framing.translated import Translated
from unbroken._doors import http as http_facts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

__all__ = ["AsyncHttpUpstream", "HttpUpstream"]

_MOST_BUFFERED = 1024
"""So many chunks are read of a body that was closed: a transport may have an endless one."""


class _Upstream:
    """A response of the HTTP library; None where something else answered.

    Args:
        http: The response.
        answer: The whole answer, if it is a message that was read.
        is_stream: Whether it is to be read as a stream of events.
        read_as: The framing that the caller reads, if that may be another one.
    """

    def __init__(
        self,
        http: Any,
        answer: dict[str, Any] | None,
        *,
        is_stream: bool,
        read_as: type[Framing] | None = None,
    ) -> None:
        self.http = http
        self.status = 200 if http is None else http.status_code
        self.request_id = None if http is None else http_facts.request_id(http)
        self.is_stream = is_stream and http is not None
        self._framing = None if http is None else _framing_of(http)
        self._read_as = read_as
        if self._is_translated():
            http.headers["content-type"] = _CONTENT_TYPES[read_as]
        self.answer = answer
        self.shares_connection = http is not None and http.http_version == "HTTP/2"

    def _is_translated(self) -> bool:
        return self.is_stream and self._read_as not in (None, self._framing)

    def _is_compressed(self) -> bool:
        return "content-encoding" in self.http.headers

    def content(self) -> bytes:
        """The whole answer, as it came."""
        content: bytes = self.http.content
        return content

    def framing(self) -> Framing:
        """A new reader of the events of the body."""
        assert self._framing is not None
        framing = self._framing()
        if self._read_as is None or not self._is_translated():
            return framing
        return Translated(framing, self._read_as())

    def hang_up(self) -> None:
        """Shut down the socket, if it is this response's own: nothing is awaited or locked."""
        if self.http is not None:
            http_facts.hang_up(self.http)


_CONTENT_TYPES: dict[Any, str] = {
    EventStream: CONTENT_TYPE,
    ServerSentEvents: "text/event-stream; charset=utf-8",
}


def _framing_of(http: Any) -> type[EventStream | ServerSentEvents]:
    kind = http.headers.get("content-type", "")
    return EventStream if kind.startswith(CONTENT_TYPE) else ServerSentEvents


class HttpUpstream(_Upstream):
    """A response of a sync client."""

    _chunks: Iterator[bytes]

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the body, decompressed."""
        if not self.is_stream:
            self._chunks = _nothing()
        elif self._is_compressed():
            self._chunks = self.http.iter_bytes()
        else:  # what is not compressed need not go through the library's decoders
            self._chunks = iter(self.http.stream)
        return self._chunks

    def close(self) -> None:
        """Close the connection, or return it to the pool."""
        if self.http is not None:
            self.http.close()

    def abort(self) -> None:
        """Close the connection while another thread may be reading from it."""
        self.hang_up()
        self.close()


def _nothing() -> Iterator[bytes]:
    return iter(())


class AsyncHttpUpstream(_Upstream):
    """A response of an async client."""

    _chunks: AsyncIterator[bytes]

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the body, decompressed."""
        if not self.is_stream:
            self._chunks = _async_nothing()
        elif self._is_compressed():
            self._chunks = self.http.aiter_bytes()
        else:  # what is not compressed need not go through the library's decoders
            self._chunks = aiter(self.http.stream)
        return self._chunks

    async def close(self) -> None:
        """Close the connection, or return it to the pool."""
        if self.http is None:
            return
        await self.http.aclose()
        aclose = getattr(self._chunks, "aclose", None)  # not every transport's iterator has it
        if aclose is not None:
            await _read_to_its_end(self._chunks)
            with suppress(RuntimeError):  # another task is reading, and finds the connection closed
                await aclose()

    async def abort(self) -> None:
        """Close the connection while another task may be reading from it."""
        await self.close()


async def _read_to_its_end(chunks: AsyncIterator[bytes]) -> None:
    """Have the generators behind a closed body end, which `aclose()` does for the outermost only.

    Those inside of it would be collected while suspended, which trio warns of. What is buffered is
    discarded; nothing is waited for.
    """
    with anyio.CancelScope() as scope:
        scope.cancel()
        for _ in range(_MOST_BUFFERED):
            try:
                await anext(chunks)
            except Exception:  # noqa: BLE001  # its end, or another task is reading
                return


async def _async_nothing() -> AsyncGenerator[bytes]:
    return
    yield b""
