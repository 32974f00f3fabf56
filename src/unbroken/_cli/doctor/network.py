"""Looks at the network up to TLS. What it finds is judged in `network_verdicts`."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import certifi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken._cli.route import Route

__all__ = [
    "Connected",
    "Handshake",
    "Resolved",
    "Tunnel",
    "connect",
    "resolve",
    "shake_hands",
    "tunnel",
]

TIMEOUT = 10.0
_NO_CHECK_TIME = 0x200000  # of OpenSSL; the module ssl has no name for it


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name resolves to."""

    host: str
    addresses: tuple[str, ...] = ()
    error: OSError | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """How a connection was opened."""

    hop: str
    is_proxy: bool
    seconds: float
    error: OSError | None = None


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What a proxy says to CONNECT."""

    hop: str
    status: int | None = None
    has_password: bool = False
    error: OSError | None = None


@dataclass(frozen=True, slots=True)
class Handshake:
    """How TLS began.

    Attributes:
        host: Whose certificate it should be.
        version: The version of TLS.
        issuer: Who issued the certificate.
        expires: When it expires, in seconds since the epoch.
        is_public: Whether a public authority issued it; None if that is not known.
        error: Why there is no TLS.
    """

    host: str
    version: str | None = None
    issuer: str = ""
    expires: float | None = None
    is_public: bool | None = None
    error: OSError | None = None


def resolve(route: Route) -> Resolved:
    """Resolve the name of the first hop."""
    host, port = route.first_hop
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Resolved(host, error=error)
    except UnicodeError:  # a name that cannot be one
        return Resolved(host, error=socket.gaierror(socket.EAI_NONAME, "no name"))
    return Resolved(host, tuple(dict.fromkeys(str(address[4][0]) for address in found)))


def connect(route: Route) -> Connected:
    """Open a connection to the first hop, and close it."""
    begun = time.monotonic()
    error = None
    try:
        socket.create_connection(route.first_hop, TIMEOUT).close()
    except OSError as refused:
        error = refused
    seconds = time.monotonic() - begun
    return Connected(route.shown_hop, route.proxy is not None, seconds, error)


def tunnel(route: Route) -> Tunnel:
    """Ask the proxy for a tunnel, and close it."""
    assert route.proxy is not None
    has_password = route.proxy.username is not None
    try:
        with _first_hop(route) as sock:
            status = _open_tunnel(sock, route)
    except OSError as error:
        return Tunnel(route.shown_hop, None, has_password, error)
    return Tunnel(route.shown_hop, status, has_password)


def shake_hands(route: Route, context: ssl.SSLContext) -> Handshake:
    """Begin TLS as the SDK would, and look at the certificate.

    Args:
        route: Where to.
        context: What the SDK trusts.
    """
    try:
        with _tls(route, context) as sock:
            certificate, version = sock.getpeercert(), sock.version()
    except OSError as error:
        return Handshake(route.host, error=error, **_of_stranger(route, error))
    return Handshake(route.host, version, is_public=_is_public(route), **_read(certificate))


def _of_stranger(route: Route, error: OSError) -> dict[str, Any]:
    """What the certificate says that is not trusted."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return {}
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, ValueError):  # the certificate may be another one each time
        with _tls(route, blind) as sock:
            found = sock.getpeercert(binary_form=True) or b""
        # Only certificates that are verified are decoded, so this one is trusted to read it.
        reading = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        reading.check_hostname = False
        reading.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
        reading.load_verify_locations(cadata=found)
        with _tls(route, reading) as sock:
            return _read(sock.getpeercert())
    return {}


def _read(certificate: Any) -> dict[str, Any]:
    names = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    issuer = names.get("organizationName") or names.get("commonName") or ""
    expires = certificate.get("notAfter")
    return {
        "issuer": "".join(char for char in issuer if char.isprintable())[:80],
        "expires": ssl.cert_time_to_seconds(expires) if expires else None,
    }


def _is_public(route: Route) -> bool | None:
    """Whether a public authority issued the certificate."""
    try:
        with _tls(route, ssl.create_default_context(cafile=certifi.where())):
            return True
    except ssl.SSLCertVerificationError:
        return False
    except OSError:  # this connection tells nothing of the certificate
        return None


@contextlib.contextmanager
def _first_hop(route: Route) -> Iterator[socket.socket]:
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(route.first_hop, TIMEOUT))
        if route.proxy is not None and route.proxy.scheme == "https":
            context = ssl.create_default_context()
            sock = stack.enter_context(
                context.wrap_socket(sock, server_hostname=route.first_hop[0])
            )
        yield sock


@contextlib.contextmanager
def _tls(route: Route, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with _first_hop(route) as sock:
        if route.is_tunnelled:
            _open_tunnel(sock, route)
        with context.wrap_socket(sock, server_hostname=route.host) as wrapped:
            yield wrapped


def _open_tunnel(sock: socket.socket, route: Route) -> int:
    """Send CONNECT; return the status of the answer.

    Raises:
        OSError: If there is no answer of HTTP.
    """
    assert route.proxy is not None
    target = f"{route.host}:{route.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if route.proxy.username is not None:
        user = f"{unquote(route.proxy.username)}:{unquote(route.proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}")
    sock.sendall("\r\n".join((*lines, "", "")).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        # Byte by byte: what follows belongs to TLS.
        if not (byte := sock.recv(1)) or len(answer) > 65536:
            raise ConnectionResetError("the proxy closed the connection")
        answer += byte
    words = answer.split(maxsplit=2)
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionResetError("the proxy does not speak HTTP")
    return int(words[1])
