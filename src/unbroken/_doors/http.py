"""What is the same in `httpx` and `httpx2`, told by names, so that neither has to be imported.

`anthropic` 0.x stands on `httpx`, 1.x and 2.x on `httpx2`; both have the same classes.
"""

from __future__ import annotations

import functools
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import anthropic

from unbroken._core.call import FailedAttempt
from unbroken._core.failures import Failure, FailureKind, classify, error_in, retry_after

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "bare_request",
    "failed_response",
    "forget_request",
    "hang_up",
    "joined_class",
    "library_of",
    "request_id",
    "sdk_library",
    "transport_failure",
]

# Classes of httpx and httpx2 by name: the first one found among an exception's bases decides.
_KINDS = {
    "ConnectError": FailureKind.UNREACHABLE,
    "ConnectTimeout": FailureKind.UNREACHABLE,
    "PoolTimeout": FailureKind.UNREACHABLE,
    "ProxyError": FailureKind.UNREACHABLE,
    "TimeoutException": FailureKind.STALLED,
    "UnsupportedProtocol": FailureKind.REJECTED,
    "LocalProtocolError": FailureKind.REJECTED,
    "TransportError": FailureKind.DROPPED,
    "DecodingError": FailureKind.DROPPED,
    "StreamError": FailureKind.DROPPED,
    # What other transports raise.
    "ConnectionRefusedError": FailureKind.UNREACHABLE,
    "gaierror": FailureKind.UNREACHABLE,
    "H2Error": FailureKind.DROPPED,
    "TimeoutError": FailureKind.STALLED,
    "OSError": FailureKind.DROPPED,
}


def transport_failure(error: BaseException) -> Failure | None:
    """What an exception of a connection means; None if it is no such exception."""
    names = [cls.__name__ for cls in type(error).__mro__]
    kind = next((_KINDS[name] for name in names if name in _KINDS), None)
    if kind is None:
        return None
    if "LocalProtocolError" in names and _began_in_http2(error):
        kind = FailureKind.DROPPED
    return Failure(kind, type(error).__name__)


def _began_in_http2(error: BaseException | None) -> bool:
    """Whether the connection is at fault rather than the request.

    What comes on a connection of HTTP/2 after its end was announced (GOAWAY) is an `H2Error` to
    the libraries, and they take some of those for a mistake of the client.
    """
    while error is not None:
        if any(cls.__name__ == "H2Error" for cls in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


def failed_response(response: Any, body: bytes, wall_time: float) -> FailedAttempt:
    """What a response with an error status means.

    Args:
        response: The response.
        body: Its body.
        wall_time: Seconds since the epoch.
    """
    status = response.status_code
    error_type, code, message = error_in(body)
    says = response.headers.get("x-should-retry")
    failure = Failure(
        classify(status, error_type, code),
        f"HTTP status {status}",
        status=status,
        error_type=error_type,
        error_code=code,
        retry_after=retry_after(response.headers, wall_time),
        should_retry={"true": True, "false": False}.get(says),
    )
    return FailedAttempt(failure, origin=response, message=message, request_id=request_id(response))


def request_id(response: Any) -> str | None:
    """The id that the service gave to a request; Bedrock has its own name for it."""
    headers = response.headers
    found: str | None = headers.get("request-id") or headers.get("x-amzn-requestid")
    return found


def hang_up(response: Any) -> None:
    """Wake up a thread that waits for more of a body: closing a socket does not.

    A connection of HTTP/2 has other responses on it, and is left alone.
    """
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if sock is None or response.is_closed or response.http_version != "HTTP/1.1":
        return
    with suppress(OSError):  # the other end was faster
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def forget_request(response: Any) -> None:
    """Let go of the body of a request whose response began: it may be long.

    The library's connection holds the stream of the request for as long as the response is read.
    """
    request = response.request
    library = library_of(request)
    if isinstance(request.stream, library.ByteStream):
        library.ByteStream.__init__(request.stream, b"")
    response.request = library.Request(request.method, request.url, headers=request.headers)


def library_of(thing: object) -> ModuleType:
    """The library, `httpx` or `httpx2`, that an object of it comes from."""
    classes = (thing if isinstance(thing, type) else type(thing)).__mro__
    for name in ("httpx2", "httpx"):
        library = sys.modules.get(name)
        # Not by `__module__`: the SDK renames that of classes which it exports, too.
        if any(getattr(library, cls.__name__, None) is cls for cls in classes):
            assert library is not None
            return library
    raise TypeError(f"{type(thing).__name__} is of neither httpx nor httpx2")


def bare_request(method: str, url: str) -> Any:
    """A request with a method and a URL without its query, and nothing else."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = urlunsplit((parts.scheme, host, parts.path, "", ""))
    return sdk_library().Request(method, bare)


@functools.cache
def sdk_library() -> ModuleType:
    """The library that the installed `anthropic` stands on."""
    return library_of(anthropic.DefaultHttpxClient)


def joined_class(ours: Any, base: Any) -> Any:
    """A class of ours that the library takes for one of its own."""
    return _joined_class(ours, base)


@functools.cache
def _joined_class(ours: Any, base: Any) -> Any:
    return type(ours.__name__, (ours, base), {})
