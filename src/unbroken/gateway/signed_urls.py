"""URLs that let a browser read or stop one stream, for a while, without a key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SIGNED", "Signer", "lifetime"]

SIGNED = ("read", "stop")
"""What a signed URL can allow."""

_LONGEST = 24 * 3600


class Signer:
    """Signs and checks the queries of URLs.

    Args:
        secret: The key of the signatures.
    """

    def __init__(self, secret: str) -> None:
        self._secret = hashlib.sha256(b"unbroken signed url\0" + secret.encode()).digest()

    def query(self, stream_id: str, expires: int, *, may_stop: bool) -> str:
        """The query of a URL.

        Args:
            stream_id: The stream.
            expires: Until when it holds, in seconds since the epoch.
            may_stop: Whether it can stop the stream, too.
        """
        may = "stop" if may_stop else "read"
        signature = self._signature(stream_id, str(expires), may)
        return urlencode({"expires": expires, "may": may, "signature": signature})

    def allows(
        self, query: Mapping[str, str], stream_id: str, now: float, *, to_stop: bool
    ) -> bool:
        """Whether a query allows to read, or to stop, a stream at this wall time."""
        expires, may = query.get("expires", ""), query.get("may", "")
        expected = self._signature(stream_id, expires, may)
        given = query.get("signature", "").encode("utf-8", "surrogateescape")
        genuine = hmac.compare_digest(expected.encode(), given)
        if not genuine or not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            return False
        return now < int(expires) and may in SIGNED and (may == "stop" or not to_stop)

    def _signature(self, stream_id: str, expires: str, may: str) -> str:
        signed = f"{stream_id}\n{expires}\n{may}".encode("utf-8", "surrogateescape")
        digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def lifetime(asked: object) -> int | None:
    """Seconds that a URL is asked to hold; None if that makes no sense."""
    if isinstance(asked, bool) or not isinstance(asked, int):
        return None
    return asked if 1 <= asked <= _LONGEST else None
