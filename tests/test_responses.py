"""A spliced response behaves as one of the library, sync and async, of each library."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from unbroken._doors import responses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Read = Callable[[Any], list[Any]]

LIBRARIES = [name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
CHUNKS = [b"event: ping\n", b"data: {}\n\n", b"tail"]


class Body:
    """Chunks, and then perhaps an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from CHUNKS
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


class AsyncBody:
    """Chunks, and then perhaps an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed += 1


class Sync:
    """A response, read by a thread."""

    body = Body
    base = "SyncByteStream"

    def __init__(self, response: Any) -> None:
        self.response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self.response, name)

    def all(self, how: str, *args: Any) -> list[bytes]:
        return list(getattr(self.response, how)(*args))

    def some(self, how: str, count: int) -> list[bytes]:
        chunks = getattr(self.response, how)()
        got = [next(chunks) for _ in range(count)]
        chunks.close()
        return got

    def read(self) -> bytes:
        found: bytes = self.response.read()
        return found

    def close(self) -> None:
        self.response.close()


class Async(Sync):
    """A response, read by a task."""

    body: Any = AsyncBody
    base = "AsyncByteStream"

    def all(self, how: str, *args: Any) -> list[bytes]:
        async def run() -> list[bytes]:
            return [chunk async for chunk in getattr(self.response, "a" + how)(*args)]

        return asyncio.run(run())

    def some(self, how: str, count: int) -> list[bytes]:
        async def run() -> list[bytes]:
            chunks = getattr(self.response, "a" + how)()
            got = [await anext(chunks) for _ in range(count)]
            await chunks.aclose()
            return got

        return asyncio.run(run())

    def read(self) -> bytes:
        found: bytes = asyncio.run(self.response.aread())
        return found

    def close(self) -> None:
        asyncio.run(self.response.aclose())


READS: dict[str, Read] = {
    "all of it": lambda response: response.all("iter_bytes"),
    "as it came": lambda response: response.all("iter_raw"),
    "in pieces": lambda response: response.all("iter_bytes", 7),
    "by lines": lambda response: response.all("iter_lines"),
    "as text": lambda response: response.all("iter_text"),
    "at once": lambda response: [response.read(), response.read(), response.text],
    "at once, and then again": lambda response: [response.read(), response.all("iter_bytes")],
    "a bit of it": lambda response: response.some("iter_bytes", 2),
    "a bit, and then more": lambda r: [r.some("iter_bytes", 1), r.all("iter_bytes")],
    "twice": lambda response: [response.all("iter_bytes"), response.all("iter_bytes")],
    "closed before": lambda response: [response.close(), response.all("iter_bytes")],
    "closed twice": lambda response: [response.all("iter_bytes"), response.close()],
}


def observed(response: Any, read: Read) -> dict[str, Any]:
    try:
        result: Any = read(response)
    except Exception as error:  # noqa: BLE001
        result = type(error), str(error), getattr(error, "_request", None) is response.request
    return {
        "result": result,
        "consumed": response.is_stream_consumed,
        "closed": (response.is_closed, response.stream.closed),
    }


@pytest.mark.parametrize("breaks", [False, True], ids=["whole", "breaking"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("reader", [Sync, Async])
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_spliced_response_is_read_like_any_other(name, reader, read, breaks):
    library: Any = importlib.import_module(name)
    request = library.Request("POST", "http://test/")
    error = library.ReadError("gone") if breaks else None
    stream = type("Stream", (reader.body, getattr(library, reader.base)), {})(error)
    own = library.Response(200, stream=stream, request=request)
    spliced = responses.spliced_response(own, reader.body, error, {"added": 1})
    assert isinstance(spliced, library.Response)
    ours, theirs = observed(reader(spliced), read), observed(reader(own), read)
    if name == "httpx" and ours["closed"] == (True, 1):  # theirs stays open until it is read
        theirs["closed"] = (True, 1)
    assert ours == theirs


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("reader", [Sync, Async])
@pytest.mark.parametrize("name", LIBRARIES)
def test_the_raw_bytes_are_as_the_headers_say(name, reader, encoding):
    library: Any = importlib.import_module(name)
    headers = {"content-encoding": encoding, "content-length": "3", "request-id": "req_1"}
    request = library.Request("POST", "http://test/")
    own = library.Response(200, headers=headers, request=request, extensions={"one": 1})

    def spliced() -> Any:
        return responses.spliced_response(own, reader.body, None, {"two": 2})

    # The standard library writes no brotli.
    kept = {"content-encoding": encoding} if encoding != "br" else {}
    assert dict(spliced().headers) == {"request-id": "req_1", **kept}
    assert spliced().extensions == {"one": 1, "two": 2}
    assert reader(spliced()).read() == b"".join(CHUNKS)
    assert reader(spliced()).all("iter_bytes", 7) == reader(spliced()).all("iter_bytes", 7)
    raw = b"".join(reader(spliced()).all("iter_raw"))
    assert (raw == b"".join(CHUNKS)) is (encoding == "br")
    plain = library.Response(200, headers=spliced().headers, content=raw)
    assert plain.content == b"".join(CHUNKS)
