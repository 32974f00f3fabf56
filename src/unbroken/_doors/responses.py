"""Responses for the caller, of the HTTP library that its client is built on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken._doors.http import bare_request, joined_class, library_of, sdk_library

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from types import ModuleType

    from httpx2 import Response
else:
    Response = object  # `joined_class` adds that of the library

__all__ = ["raising_response", "spliced_response"]


class SplicedResponse(Response):
    """Passes on the bytes of its body, which are decompressed already."""

    stream: Any

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The bytes of the body."""
        if chunk_size is not None or self.is_stream_consumed or self.is_closed:
            yield from super().iter_bytes(chunk_size)
            return
        self.is_stream_consumed = True
        request_error = library_of(self).RequestError  # at exit, it is not found any more
        try:
            yield from self.stream
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
                yield chunk
        except request_error as error:
            error.request = self.request
            raise
        finally:
            await self.aclose()


def spliced_response(response: Any, body: type, driver: Any, extensions: dict[str, Any]) -> Any:
    """Copy a response, with a body that is read through a driver.

    Args:
        response: The response whose status and headers the caller gets to see.
        body: The class of the body, made from a driver.
        driver: Reads it.
        extensions: What to add to the response's extensions.
    """
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    ]
    return joined_class(SplicedResponse, type(response))(
        response.status_code,
        headers=headers,
        stream=_body(library_of(response), body, driver),
        request=response.request,
        extensions={**response.extensions, **extensions},
    )


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
