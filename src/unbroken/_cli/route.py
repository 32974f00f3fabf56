"""Which way requests go: the host, and the proxy that the environment names for it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["Route", "route_to"]

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a request.

    Attributes:
        url: Where it goes, without user, password, path and query.
        host: Its host.
        port: Its port.
        is_tls: Whether it is encrypted.
        proxy: The proxy, if it goes through one.
    """

    url: str
    host: str
    port: int
    is_tls: bool
    proxy: SplitResult | None

    @property
    def first_hop(self) -> tuple[str, int]:
        """The host and the port that this machine connects to."""
        if self.proxy is None:
            return self.host, self.port
        return self.proxy.hostname or "", self.proxy.port or _PORTS[self.proxy.scheme]

    @property
    def is_tunnelled(self) -> bool:
        """Whether a proxy opens a tunnel for it."""
        return self.proxy is not None and self.is_tls

    @property
    def is_socks(self) -> bool:
        """Whether the proxy is one of SOCKS, which is not looked into."""
        return self.proxy is not None and self.proxy.scheme.startswith("socks")

    @property
    def shown_hop(self) -> str:
        """The first hop, for people."""
        host, port = self.first_hop
        return f"{'the proxy ' if self.proxy else ''}{host}:{port}"


def route_to(url: str) -> Route:
    """Return the route to a base URL.

    Raises:
        ValueError: If the URL, or that of the proxy, is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the base URL must be like https://api.anthropic.com")
    port = parts.port or _PORTS[parts.scheme]
    proxies = {} if proxy_bypass(f"{parts.hostname}:{port}") else getproxies()
    given = proxies.get(parts.scheme) or proxies.get("all")
    proxy = _proxy(given) if given else None
    host = parts.hostname
    shown = f"[{host}]" if ":" in host else host
    bare = f"{parts.scheme}://{shown}" + (f":{parts.port}" if parts.port else "")
    return Route(bare, host, port, parts.scheme == "https", proxy)


def _proxy(given: str) -> SplitResult:
    parts = urlsplit(given if "://" in given else f"http://{given}")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("a proxy must be like http://proxy.example:3128")
    _ = parts.port  # a ValueError if it is no number
    return parts
