"""What stands in the way of a command, said in a sentence instead of a traceback."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ProblemError", "check_collector", "explained"]

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_COLLECTORS = {
    "TRACES": ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    "METRICS": ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
}
_PORTS = {"http": 80, "https": 443}
_CONNECT_TIMEOUT = 3.0


class ProblemError(Exception):
    """A command cannot do its work; the text says why, and what to do."""


def explained(error: Exception, environ: Mapping[str, str] | None = None) -> str:
    """Return why no HTTP client can be made, in terms of the environment.

    Args:
        error: What its constructor raised.
        environ: The variables; `os.environ` if it is None.
    """
    environ = os.environ if environ is None else environ
    if isinstance(error, ImportError) and "socks" in str(error).lower():
        proxies = _set(environ, _PROXIES, holding="socks")
        return f"{proxies} asks for a SOCKS proxy, which takes: pip install socksio"
    if isinstance(error, OSError):  # an SSLError is one, too
        stores = _set(environ, _CERTIFICATES)
        return f"{stores} cannot be read as certificates: {_reason(error)}"
    return f"{_set(environ, _PROXIES)} cannot be used as a proxy: {error}"


def check_collector(environ: Mapping[str, str] | None = None) -> None:
    """Look whether somebody listens where traces and metrics are to be sent.

    Args:
        environ: The variables; `os.environ` if it is None.

    Raises:
        ProblemError: If nobody does, or the address is none.
    """
    environ = os.environ if environ is None else environ
    for signal, variables in _COLLECTORS.items():
        exporter = environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
        name = next((one for one in variables if environ.get(one)), None)
        if name is not None and exporter in ("", "otlp"):
            _check_endpoint(name, environ[name])


def _check_endpoint(name: str, url: str) -> None:
    address = _address(url)
    if address is None:
        raise ProblemError(f"{name} is {url!r}, but must be a URL such as http://localhost:4318")
    try:
        socket.create_connection(address, _CONNECT_TIMEOUT).close()
    except OSError as error:
        raise ProblemError(
            f"{name} is {url!r}, where nobody takes traces: {_reason(error)}. "
            "Start a collector there, or unset it to see the trace here"
        ) from error


def _address(url: str) -> tuple[str, int] | None:
    """The host and the port of a URL, if it is one of HTTP."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        return None
    return parts.hostname, port


def _set(environ: Mapping[str, str], names: tuple[str, ...], holding: str = "") -> str:
    """Which of some variables are set, and to what, without a password."""
    every = (*names, *map(str.lower, names))
    found = [name for name in every if holding in environ.get(name, "") and environ.get(name)]
    shown = (f"{name}={_without_password(environ[name])}" for name in found)
    return " or ".join(shown) or "The environment"


def _without_password(value: str) -> str:
    before, at, after = value.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    return f"{scheme}{slashes}...@{after}" if at else value


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
