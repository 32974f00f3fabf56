"""What `httpx` and `httpx2` share, found by name, so that neither has to be imported.

`anthropic` 0.x is built on `httpx`, 1.x and 2.x on `httpx2`; both have the same classes.
"""

from __future__ import annotations

import functools
import re
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import anthropic

from unbroken._core.call import FailedAttempt
from unbroken._core.failures import Failure, FailureKind, classify, error_in, retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = [
    "bare_request",
    "connection_failure",
    "failed_response",
    "forget_request",
    "hang_up",
    "is_of_library",
    "joined_class",
    "library_of",
    "request_id",
    "sdk_library",
    "set_read_timeout",
    "timed_out",
    "transport_class",
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
    "ClientConnectorError": FailureKind.UNREACHABLE,
    "ConnectionRefusedError": FailureKind.UNREACHABLE,
    "gaierror": FailureKind.UNREACHABLE,
    "H2Error": FailureKind.DROPPED,
    "APITimeoutError": FailureKind.STALLED,
    "TimeoutError": FailureKind.STALLED,
    "OSError": FailureKind.DROPPED,
    "EOFError": FailureKind.DROPPED,
}

# Packages that do nothing but transport: whatever else they raise is of a connection.
_TRANSPORTS = {"aiohttp", "anyio", "h11", "h2", "http", "httpcore", "httpcore2", "trio", "urllib3"}

_STATUS = re.compile(r"[1-5]\d\d\b")  # begins the message of a ProxyError, if the proxy answered


def transport_failure(error: BaseException) -> Failure | None:
    """Classify an exception of a connection; None if it is another exception."""
    names = [cls.__name__ for cls in type(error).__mro__]
    kind = next((_KINDS[name] for name in names if name in _KINDS), None)
    if kind is None:
        packages = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
        return None if packages.isdisjoint(_TRANSPORTS) else connection_failure(error)
    if "ProxyError" in names:
        return _refused_by_proxy(error)
    if "LocalProtocolError" in names and _began_in_http2(error):
        kind = FailureKind.DROPPED
    return connection_failure(error, kind)


def connection_failure(error: BaseException, kind: FailureKind = FailureKind.DROPPED) -> Failure:
    """The failure of a connection that an exception tells."""
    return Failure(kind, type(error).__name__)


def _refused_by_proxy(error: BaseException) -> Failure:
    """A proxy that asks for a password, or that forbids the host, will do so again."""
    told = _STATUS.match(str(error))
    if told is None:
        return connection_failure(error, FailureKind.UNREACHABLE)
    fatal = classify(int(told[0])) is FailureKind.REJECTED
    kind = FailureKind.REJECTED if fatal else FailureKind.UNREACHABLE
    return Failure(kind, f"{type(error).__name__}, HTTP status {told[0]} of the proxy")


def timed_out(failed: FailedAttempt) -> bool:
    """Whether an attempt failed because it took too long, to connect or to answer."""
    names = {cls.__name__ for cls in type(failed.error).__mro__}
    stalled = failed.failure.kind is FailureKind.STALLED
    return stalled or not names.isdisjoint({"TimeoutException", "TimeoutError"})


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


def failed_response(
    response: Any, body: bytes | Mapping[str, Any], wall_time: float
) -> FailedAttempt:
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
        if isinstance(sock, socket.socket):  # not by the method of an SSL socket
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.shutdown(socket.SHUT_RDWR)


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


def is_of_library(error: BaseException) -> bool:
    """Whether an exception is one of the HTTP library that the SDK is built on."""
    library = sdk_library()
    return isinstance(error, (library.HTTPError, library.StreamError))


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


def transport_class(ours: type, base_name: str, inner: object) -> type:
    """A subclass of a transport of ours that fits the transport inside of it.

    Args:
        ours: The class.
        base_name: The base class that the library has for transports of its kind.
        inner: The transport inside.

    Raises:
        TypeError: If `inner` is no transport of that kind.
    """
    base = getattr(library_of(inner), base_name)
    if not isinstance(inner, base):
        raise TypeError(f"inner must be an {base_name}, not {type(inner).__name__}")
    return joined_class(ours, base)  # type: ignore[no-any-return]


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
