"""Which headers pass through the gateway, in each direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CREDENTIALS", "STREAM_HEADERS", "for_client", "for_upstream"]

CREDENTIALS = frozenset({"x-api-key", "authorization", "proxy-authorization", "cookie"})
"""What is never stored, and never passed on where the upstream gets a key of its own."""

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
}
"""What keeps proxies from holding a stream back."""

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OURS = frozenset({"host", "content-length", "expect", "idempotency-key"})
_OUR_PREFIX = "x-unbroken-"


def for_upstream(
    headers: Iterable[tuple[str, str]], key: str | None, *, has_users: bool
) -> list[tuple[str, str]]:
    """The headers of a request, as the upstream gets them.

    Args:
        headers: Those of the client, names in lower case.
        key: The upstream's key; None to pass on the client's.
        has_users: Whether the client's credentials are for the gateway alone.
    """
    headers = list(headers)
    drop = _HOP_BY_HOP | _OURS | _named_by_connection(headers)
    if has_users or key is not None:
        drop |= CREDENTIALS
    passed = [
        (name, value)
        for name, value in headers
        if name not in drop and not name.startswith(_OUR_PREFIX)
    ]
    if key is not None:
        passed.append(("x-api-key", key))
    return passed


def for_client(
    headers: Iterable[tuple[str, str]], *, has_users: bool, is_decoded: bool
) -> list[tuple[str, str]]:
    """The headers of a response, as the client gets them.

    Args:
        headers: Those of the upstream, names in lower case.
        has_users: Whether several users share the upstream's account, and so no cookies of it.
        is_decoded: Whether the body is passed on decompressed, and with another length.
    """
    headers = list(headers)
    drop = _HOP_BY_HOP | _named_by_connection(headers) | {"server", "date"}
    if has_users:
        drop |= {"set-cookie"}
    if is_decoded:
        drop |= {"content-encoding", "content-length"}
    return [(name, value) for name, value in headers if name not in drop]


def _named_by_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    values = (value for name, value in headers if name == "connection")
    return {one.strip().lower() for value in values for one in value.split(",")}
