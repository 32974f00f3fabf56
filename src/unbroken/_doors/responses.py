"""Responses for the caller, of the HTTP library that its client is built on."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from unbroken._doors.http import bare_request, joined_class, library_of, sdk_library
from unbroken._drive.body import Timed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from types import ModuleType

    from httpx2 import Response
else:
    Response = object  # `joined_class` adds that of the library

__all__ = ["raising_response", "replayed_response", "spliced_response"]

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""The encodings that the standard library writes, with zlib's parameter for each."""


class SplicedResponse(Response):
    """Passes on the bytes of its body, which are decompressed already.

    Its headers are those of the first attempt. Where they say that the body is compressed,
    `iter_raw()` compresses it again.
    """

    stream: Any
    _counted = 0
    _compressed: Any = None  # the first attempt's response, if it is compressed

    @property
    def num_bytes_downloaded(self) -> int:
        """The bytes that were read so far; of a compressed stream, those of its first attempt."""
        if self._compressed is not None:
            first: int = self._compressed.num_bytes_downloaded
            return first
        return super().num_bytes_downloaded + self._counted

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__getstate__() | {"_num_bytes_downloaded": self.num_bytes_downloaded}
        for ours in ("_counted", "_compressed"):
            state.pop(ours, None)
        return _unpickled, (type(self).__bases__[1],), state

    def iter_raw(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The bytes of the body, compressed if the headers say so."""
        self._compress()
        yield from super().iter_raw(chunk_size)

    async def aiter_raw(self, chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of the body, compressed if the headers say so."""
        self._compress()
        async for chunk in super().aiter_raw(chunk_size):
            yield chunk

    def _compress(self) -> None:
        if self._compressed is not None and not (self.is_stream_consumed or self.is_closed):
            body = _AsyncCompressed if hasattr(self.stream, "__aiter__") else _Compressed
            bits = _WINDOW_BITS[self.headers["content-encoding"].strip().lower()]
            self.stream = _body(library_of(self), body, self.stream, bits)

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The bytes of the body."""
        if chunk_size is not None or self.is_stream_consumed or self.is_closed:
            yield from super().iter_bytes(chunk_size)
            return
        self.is_stream_consumed = True
        request_error = library_of(self).RequestError  # at exit, it is not found any more
        try:
            for chunk in self.stream:
                self._counted += len(chunk)
                yield chunk
        except request_error as error:
            error.request = self.request
            raise
        finally:
            self.close()

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes of the body."""
        if chunk_size is not None or self.is_stream_consumed or self.is_closed:
            async for chunk in super().aiter_bytes(chunk_size):
                yield chunk
            return
        self.is_stream_consumed = True
        request_error = library_of(self).RequestError  # as above
        try:
            async for chunk in self.stream:
                self._counted += len(chunk)
                yield chunk
        except request_error as error:
            error.request = self.request
            raise
        finally:
            await self.aclose()


def _unpickled(cls: Any) -> Any:
    """An empty response of the library: what a pickle makes of a spliced one."""
    return cls.__new__(cls)


def spliced_response(response: Any, body: type, driver: Any, extensions: dict[str, Any]) -> Any:
    """Copy a response, with a body that is read through a driver.

    Args:
        response: The response whose status and headers the caller gets to see.
        body: The class of the body, made from a driver.
        driver: Reads it.
        extensions: What to add to the response's extensions.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    wrong = (
        {b"content-length"}
        if encoding in _WINDOW_BITS
        else {b"content-length", b"content-encoding"}
    )
    # As bytes: what is not ASCII has no other form that is certain to be the same.
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in wrong]
    stream = _body(library_of(response), body, driver)
    spliced = _like(
        response, joined_class(SplicedResponse, type(response), disguised=True), headers, stream
    )
    spliced.extensions.update(extensions)
    if encoding in _WINDOW_BITS:
        spliced._compressed = response  # noqa: SLF001  # it is of this module
    return spliced


def _like(response: Any, cls: Any, headers: Any, stream: Any) -> Any:
    """A response like another one, with a body of its own."""
    made = cls(
        response.status_code,
        headers=headers,
        stream=stream,
        request=response.request,
        extensions=dict(response.extensions),
        history=response.history,
        default_encoding=response.default_encoding,
    )
    made.next_request = response.next_request
    return made


class _Compressed:
    """A body that is compressed chunk by chunk, for threads."""

    def __init__(self, stream: Any, window_bits: int) -> None:
        self._stream = stream
        self._bits = window_bits

    def __iter__(self) -> Iterator[bytes]:
        compress = zlib.compressobj(wbits=self._bits)
        for chunk in self._stream:
            yield compress.compress(chunk) + compress.flush(zlib.Z_SYNC_FLUSH)
        yield compress.flush()

    def close(self) -> None:
        """Close the body."""
        self._stream.close()


class _AsyncCompressed:
    """A body that is compressed chunk by chunk, for tasks."""

    def __init__(self, stream: Any, window_bits: int) -> None:
        self._stream = stream
        self._bits = window_bits

    async def __aiter__(self) -> AsyncIterator[bytes]:
        compress = zlib.compressobj(wbits=self._bits)
        async for chunk in self._stream:
            yield compress.compress(chunk) + compress.flush(zlib.Z_SYNC_FLUSH)
        yield compress.flush()

    async def aclose(self) -> None:
        """Close the body."""
        await self._stream.aclose()


class _Replay(Timed):
    """A body that was read before, for threads."""

    def __init__(self, content: bytes, seconds: float) -> None:
        super().__init__()
        self._content = content
        self._seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    def close(self) -> None:
        """Tell how long it took to get it."""
        self.set_elapsed(self._seconds)


class _AsyncReplay(Timed):
    """A body that was read before, for tasks."""

    def __init__(self, content: bytes, seconds: float) -> None:
        super().__init__()
        self._content = content
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content

    async def aclose(self) -> None:
        """Tell how long it took to get it."""
        self.set_elapsed(self._seconds)


def replayed_response(
    response: Any, raw: bytes, seconds: float, *, is_async: bool
) -> tuple[Any, bytes]:
    """Copy a response whose body was read as it came, so that it can be read once more.

    Args:
        response: The response.
        raw: Its body, as it came.
        seconds: How long the call took.
        is_async: Whether a task is going to read it.

    Returns:
        The copy, and its body, decompressed.

    Raises:
        DecodingError: Of the library, if the body cannot be decompressed.
    """
    library = library_of(response)
    headers = response.headers.raw
    content = library.Response(200, headers=headers, content=raw, request=response.request).content
    stream = _body(library, _AsyncReplay if is_async else _Replay, raw, seconds)
    copied = _like(response, type(response), headers, stream)
    stream.set_response(copied)
    return copied, content


class _Raising:
    """A body that raises when it is read, for threads."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        raise self._error

    def close(self) -> None:
        """Nothing is open."""


class _AsyncRaising:
    """A body that raises when it is read, for tasks."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise self._error

    async def aclose(self) -> None:
        """Nothing is open."""


def raising_response(error: BaseException, url: str, *, is_async: bool) -> Any:
    """Create a response that raises when it is read, and that the SDK does not retry."""
    library = sdk_library()
    return library.Response(
        503,
        headers={"x-should-retry": "false"},
        stream=_body(library, _AsyncRaising if is_async else _Raising, error),
        request=bare_request("POST", url),
    )


def _body(library: ModuleType, body: type, *args: Any) -> Any:
    is_async = hasattr(body, "__aiter__")
    base = library.AsyncByteStream if is_async else library.SyncByteStream
    return joined_class(body, base)(*args)
