"""What `httpx` and `httpx2` share, found by name, so that neither has to be imported.

`anthropic` 0.x is built on `httpx`, 1.x and 2.x on `httpx2`; both have the same classes.
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
    "set_read_timeout",
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
    """Classify an exception of a connection; None if it is another exception."""
    names = [cls.__name__ for cls in type(error).__mro__]
    kind = next((_KINDS[name] for name in names if name in _KINDS), None)
    if kind is None:
        return None
    if "LocalProtocolError" in names and _began_in_http2(error):
        kind = FailureKind.DROPPED
    return Failure(kind, type(error).__name__)


def _began_in_http2(error: BaseException | None) -> bool:
    """Whether the connection failed, rather than the request.

    Frames on an HTTP/2 connection after GOAWAY raise an `H2Error`, which the libraries report as a
    `LocalProtocolError` in some cases.
    """
    while error is not None:
        if any(cls.__name__ == "H2Error" for cls in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


def failed_response(response: Any, body: bytes, wall_time: float) -> FailedAttempt:
    """Classify a response with an error status.

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
    """The id of a request at the API; Bedrock has another header for it."""
    headers = response.headers
    found: str | None = headers.get("request-id") or headers.get("x-amzn-requestid")
    return found


def hang_up(response: Any) -> None:
    """Wake a thread that waits for the body, by a shutdown of the socket: closing it does not.

    An HTTP/2 connection is not touched, as other responses use it.
    """
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if sock is None or response.is_closed or response.http_version != "HTTP/1.1":
        return
    with suppress(OSError):  # the peer closed it first
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def set_read_timeout(response: Any, seconds: float | None) -> None:
    """Change how long the body is waited for, before it is read; not on HTTP/2."""
    timeouts = response.request.extensions.get("timeout")
    if isinstance(timeouts, dict) and response.http_version != "HTTP/2":
        timeouts["read"] = seconds  # the connection has this very mapping


def forget_request(response: Any) -> None:
    """Drop the body of a request whose response started: it may be long.

    The connection of the library keeps the request for as long as the response is read.
    """
    request = response.request
    library = library_of(request)
    if isinstance(request.stream, library.ByteStream):
        library.ByteStream.__init__(request.stream, b"")
    response.request = library.Request(request.method, request.url, headers=request.headers)


def library_of(thing: object) -> ModuleType:
    """The library, `httpx` or `httpx2`, of one of its objects."""
    classes = (thing if isinstance(thing, type) else type(thing)).__mro__
    for name in ("httpx2", "httpx"):
        library = sys.modules.get(name)
        # Not by `__module__`: the SDK renames that of classes which it exports, too.
        if any(getattr(library, cls.__name__, None) is cls for cls in classes):
            assert library is not None
            return library
    raise TypeError(f"{type(thing).__name__} is of neither httpx nor httpx2")


def bare_request(method: str, url: str) -> Any:
    """A request with a method and a URL without its query only."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = urlunsplit((parts.scheme, host, parts.path, "", ""))
    return sdk_library().Request(method, bare)


@functools.cache
def sdk_library() -> ModuleType:
    """The library that the installed `anthropic` is built on."""
    return library_of(anthropic.DefaultHttpxClient)


def joined_class(ours: Any, base: Any, *, disguised: bool = False) -> Any:
    """A subclass of a class of ours and one of the library.

    Args:
        ours: The class of ours.
        base: The class of the library.
        disguised: Whether it has the name of the library's class, for messages about it.
    """
    return _joined_class(ours, base, disguised)


@functools.cache
def _joined_class(ours: Any, base: Any, disguised: bool) -> Any:
    named = base if disguised else ours
    names = {"__module__": named.__module__, "__qualname__": named.__qualname__}
    return type(named.__name__, (ours, base), names)
